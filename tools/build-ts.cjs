// Compiles lib/ and benchmarks/ twice, into dist/esm and dist/cjs, each a package scope of its own `type`. Each gets a
// one-line bridge to addon.cjs where its modules look for it, so that both load the same file.
const { execFileSync } = require('node:child_process');
const { chmodSync, mkdirSync, rmSync, writeFileSync } = require('node:fs');
const { join } = require('node:path');

const root = join(__dirname, '..');
const tsc = require.resolve('typescript/bin/tsc');
for (const [format, type] of [
  ['esm', 'module'],
  ['cjs', 'commonjs'],
]) {
  const folder = join(root, 'dist', format);
  if (process.argv.includes('--clean')) rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'package.json'), `${JSON.stringify({ type }, null, 2)}\n`);
  writeFileSync(join(folder, 'addon.cjs'), "module.exports = require('../../addon.cjs');\n");
  const compile = (...options) =>
    execFileSync(process.execPath, [tsc, '-p', join(root, `tsconfig.${format}.json`), ...options], {
      stdio: 'inherit',
    });
  // The comments are for readers of the types and of the modules: in the second copy of the code they are only bytes.
  if (format === 'cjs') {
    compile('--removeComments', '--declaration', 'false');
    compile('--emitDeclarationOnly');
  } else {
    compile();
  }
}
chmodSync(join(root, 'dist/esm/lib/cli/main.js'), 0o755);
writeFileSync(join(root, 'dist/.built'), ''); // tools/ready.cjs: everything before this date is compiled
