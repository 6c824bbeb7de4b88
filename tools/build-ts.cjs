'use strict';
// Compiles lib/ and benchmarks/ into dist/cjs, and writes for each entry of package.json's exports a module in dist/esm that
// exports the same things by name: one implementation, whether a program imports or requires it or does both.
//
//   node tools/build-ts.cjs [--clean]     --clean removes what was there before
const { chmodSync, mkdirSync, readFileSync, rmSync, writeFileSync } = require('node:fs');
const { dirname, join, relative } = require('node:path');
const ts = require('typescript');
const { filesUnder, root } = require('./environment.cjs');

const host = {
  getCanonicalFileName: (name) => name,
  getCurrentDirectory: () => root,
  getNewLine: () => '\n',
};

function stopAt(diagnostics) {
  if (!diagnostics.length) return;
  console.error(ts.formatDiagnosticsWithColorAndContext(diagnostics, host));
  process.exit(1);
}

/** Writes a file; code is indented by tabs, which are a third of its size less, but for the lines inside of a template. */
function write(path, text) {
  if (!path.endsWith('.js')) return ts.sys.writeFile(path, text);
  const source = ts.createSourceFile(path, text, ts.ScriptTarget.Latest);
  const kept = new Set();
  const visit = (node) => {
    if (ts.isTemplateLiteralToken(node) || ts.isTemplateExpression(node)) {
      const line = (at) => source.getLineAndCharacterOfPosition(at).line;
      for (let i = line(node.getStart(source)) + 1; i <= line(node.end); i++) kept.add(i);
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  const indented = (line, i) => (kept.has(i) ? line : line.replace(/^ +/, (s) => '\t'.repeat(s.length >> 2)));
  return ts.sys.writeFile(path, text.split('\n').map(indented).join('\n'));
}

/** Compiles everything; returns the program, which knows what the entries export. */
function compile() {
  const config = ts.getParsedCommandLineOfConfigFile(
    join(root, 'tsconfig.build.json'),
    {},
    { ...ts.sys, onUnRecoverableConfigFileDiagnostic: (diagnostic) => stopAt([diagnostic]) },
  );
  stopAt(config.errors);
  const { fileNames, options } = config;
  // Comments are for readers of the types: in the code they are only bytes.
  const types = ts.createProgram(fileNames, { ...options, declaration: true, emitDeclarationOnly: true });
  stopAt(ts.getPreEmitDiagnostics(types));
  stopAt(types.emit().diagnostics);
  const silent = { ...options, declaration: false, removeComments: true };
  stopAt(ts.createProgram(fileNames, silent, undefined, types).emit(undefined, write).diagnostics);
  return types;
}

/** What a module exports beside types, by name. */
function namesOf(program, source) {
  const checker = program.getTypeChecker();
  const symbols = checker.getExportsOfModule(checker.getSymbolAtLocation(program.getSourceFile(source)));
  /** Whether something stands behind a name when the types are gone. */
  const isValue = (symbol) => {
    if (!(symbol.flags & ts.SymbolFlags.Alias)) return (symbol.flags & ts.SymbolFlags.Value) !== 0;
    if (symbol.declarations.some(ts.isTypeOnlyImportOrExportDeclaration)) return false;
    return isValue(checker.getImmediateAliasedSymbol(symbol));
  };
  return symbols.filter(isValue).map(({ name }) => name);
}

/** Writes the modules for import, and their types: those of the implementation. */
function writeEntries(program) {
  const { exports: entries } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  for (const { import: imported, require: required } of Object.values(entries).filter(
    (each) => each.import,
  )) {
    const [file, implementation] = [imported.default, required.default].map((path) => join(root, path));
    const source = join(root, relative('dist/cjs', required.default).replace(/\.js$/, '.ts'));
    const path = relative(dirname(file), implementation).replaceAll('\\', '/');
    mkdirSync(dirname(file), { recursive: true });
    const names = namesOf(program, source).map((name) => `  ${name},\n`);
    writeFileSync(file, `export {\n${names.join('')}} from '${path}';\n`);
    writeFileSync(file.replace(/\.js$/, '.d.ts'), `export * from '${path}';\n`);
  }
}

/** Removes types that no entry leads to: those of benchmarks, the command line, the insides. */
function pruneTypes() {
  const { exports: entries } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  const needed = new Set();
  const visit = (path) => {
    if (needed.has(path)) return;
    needed.add(path);
    const text = readFileSync(path, 'utf8');
    for (const [, name] of text.matchAll(/(?:from|import\()\s*['"](\.[^'"]*)\.js['"]/g))
      visit(join(dirname(path), `${name}.d.ts`));
  };
  for (const { require: required } of Object.values(entries)) if (required) visit(join(root, required.types));
  for (const name of filesUnder(['dist/cjs'], (each) => each.endsWith('.d.ts')))
    if (!needed.has(join(root, name))) rmSync(join(root, name));
}

for (const [format, type] of [
  ['esm', 'module'],
  ['cjs', 'commonjs'],
]) {
  const folder = join(root, 'dist', format);
  if (format === 'esm' || process.argv.includes('--clean')) rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'package.json'), `${JSON.stringify({ type }, null, 2)}\n`);
}
// The addon, where the modules look for it.
writeFileSync(join(root, 'dist/cjs/addon.cjs'), "module.exports = require('../../addon.cjs');\n");
writeEntries(compile());
pruneTypes();
chmodSync(join(root, 'dist/cjs/lib/cli/main.js'), 0o755);
writeFileSync(join(root, 'dist/.built'), ''); // tools/ready.cjs: everything before this date is compiled
