'use strict';
// Whether the package that `npm pack` makes installs and runs where there is no compiler and no network: packs it,
// lints its manifest and types, installs the tarball in an empty folder with nothing but node on PATH, and uses it by
// import, by require and from the command line.
//
//   node tools/package-check.cjs [--from-source]     also compiles the tarball without its prebuilt binary (a minute or two)
const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const { tmpdir } = require('node:os');
const { dirname, join } = require('node:path');
const {
  environment,
  filesUnder,
  isNativeSource,
  nativeSources,
  newest,
  npmScript,
  root,
  run,
  tool,
} = require('./environment.cjs');

const MOST_BYTES = 10e6;
const work = fs.mkdtempSync(join(tmpdir(), 'softlane-package-'));
const step = (text) => console.log(`package-check: ${text}`);

/** An environment with node alone on PATH, no npm settings of the caller and an empty npm cache. */
function bareEnvironment(path) {
  const kept = Object.entries(process.env).filter(
    ([name]) => !/^(npm_|SOFTLANE_|ONNX|INIT_CWD|NODE_OPTIONS)/i.test(name),
  );
  return {
    ...Object.fromEntries(kept),
    PATH: path,
    HOME: work,
    npm_config_cache: join(work, 'cache'),
    npm_config_userconfig: join(work, 'npmrc'),
    npm_config_update_notifier: 'false',
    npm_config_script_shell: '/bin/sh',
  };
}

function capture(program, args, options) {
  return execFileSync(program, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'], ...options });
}

/** Packs a folder and returns what npm says of it. */
function pack(folder) {
  const args = [npmScript(), 'pack', folder, '--json', '--ignore-scripts', '--pack-destination', work];
  return JSON.parse(capture(process.execPath, args, { cwd: root }))[0];
}

function prebuilt() {
  const addons = filesUnder([`prebuilds/${process.platform}-${process.arch}`], (name) =>
    name.endsWith('.node'),
  );
  if (addons.length === 0 || newest(addons) < newest(filesUnder(nativeSources, isNativeSource))) {
    step('compiling the prebuilt binary');
    run(process.execPath, ['tools/prebuild.cjs']);
  }
  run(process.execPath, ['tools/ready.cjs']);
  const stale = filesUnder(['dist/esm', 'dist/cjs'], (name) => name.endsWith('.js')).filter(
    (name) => !fs.existsSync(join(root, name.replace(/^dist.(esm|cjs)./, '').replace(/\.js$/, '.ts'))),
  );
  if (stale.length) throw new Error(`dist holds what has no source any more, remove it: ${stale.join(', ')}`);
}

function checkContents({ files, unpackedSize, size }) {
  const paths = files.map(({ path }) => path);
  const foreign = paths.filter((path) =>
    /^(test|examples|node_modules|build|tools\/(?!native\.cjs))|\.(tgz|o)$/.test(path),
  );
  if (foreign.length) throw new Error(`the package must not hold ${foreign.join(', ')}`);
  for (const wanted of [
    'README.md',
    'LICENSE',
    'CHANGELOG.md',
    'binding.gyp',
    'native/isa.json',
    'addon.d.cts',
    'models/llama-kjv/config.json',
    'models/llama-kjv/model.safetensors',
    'models/llama-kjv/tokenizer.json',
  ]) {
    if (!paths.includes(wanted)) throw new Error(`the package lacks ${wanted}`);
  }
  if (!paths.some((path) => path.startsWith('prebuilds/')))
    throw new Error('the package lacks its prebuilt binary');
  step(
    `${paths.length} files, ${(unpackedSize / 1e6).toFixed(2)} MB unpacked, ${(size / 1e6).toFixed(2)} MB packed`,
  );
  if (unpackedSize >= MOST_BYTES) throw new Error(`the unpacked size must be under ${MOST_BYTES / 1e6} MB`);
}

/** The runtime dependencies, with theirs, as tarballs of what is installed here: nothing comes from the network. */
function packDependencies() {
  const tarballs = {};
  const visit = (name, from) => {
    const folder = [...ancestors(from)].map((each) => join(each, 'node_modules', name)).find(fs.existsSync);
    if (!folder || tarballs[name]) return; // an optional dependency may be missing
    tarballs[name] = join(work, pack(folder).filename);
    const manifest = JSON.parse(fs.readFileSync(join(folder, 'package.json'), 'utf8'));
    for (const each of Object.keys({ ...manifest.dependencies, ...manifest.optionalDependencies }))
      visit(each, folder);
  };
  const manifest = JSON.parse(fs.readFileSync(join(root, 'package.json'), 'utf8'));
  for (const name of Object.keys(manifest.dependencies)) visit(name, root);
  return tarballs;
}

function* ancestors(folder) {
  for (; ; folder = dirname(folder)) {
    yield folder;
    if (folder === root || folder === dirname(folder)) return;
  }
}

/** Installs the tarball in an empty folder; its dependencies come from tarballs as well. */
function install(name, tarball, dependencies, env) {
  const folder = join(work, name);
  fs.mkdirSync(folder);
  const overrides = Object.fromEntries(
    Object.entries(dependencies).map(([each, file]) => [each, `file:${file}`]),
  );
  const manifest = { name, private: true, dependencies: { softlane: `file:${tarball}` }, overrides };
  fs.writeFileSync(join(folder, 'package.json'), JSON.stringify(manifest));
  const flags = ['--offline', '--no-audit', '--no-fund', '--omit=peer', '--foreground-scripts'];
  execFileSync(process.execPath, [npmScript(), 'install', ...flags], { cwd: folder, env, stdio: 'inherit' });
  return folder;
}

const USE = `
  const x = Float64Array.of(1, 2, 3), y = Float64Array.of(2, 3, 5);
  if (elastic.distance(x, y) !== 5) throw new Error('dtw gave ' + elastic.distance(x, y));
  if (elastic.pairwise([x, y], null, { metric: 'msm' })[1] !== 4) throw new Error('pairwise gave something else');
  if (typeof pieces.runAll !== 'function') throw new Error('softlane/pieces is not there');
  const w = autograd.tensor([1, 2], { requiresGrad: true });
  autograd.backward(autograd.sum(autograd.mul(w, w)));
  if (w.grad.data.join() !== '2,4') throw new Error('autograd gave ' + w.grad.data);
  if (sequence.repeatPrompt(Int32Array.of(1, 2)).join() !== '1,2,1,2') throw new Error('sequence gave something else');
  const p = softlane.softmax(Float32Array.of(1, 2, 3, 4));
  const known = [0.0320586033, 0.0871443187, 0.2368828181, 0.6439142599];
  if (known.some((each, i) => Math.abs(p[i] - each) > 1e-7)) throw new Error('softmax gave ' + p);
  const model = llm.LlamaModel.embedded().then(({ config }) => {
    if (config.vocabSize !== 256) throw new Error('the embedded model has ' + config.vocabSize + ' tokens');
  });
  const later = softlane.softmaxAsync(Float32Array.of(1, 2, 3, 4)).then(async (q) => {
    await model;
    if (q.join() !== p.join()) throw new Error('the promise form gave ' + q);
    console.log(form + ': ' + p.join(' ') + ' on ' + softlane.info().isa + ', ' + Object.keys(io).sort().join(' '));
  });
`;

/** Uses an installed package by import, by require and from the command line. */
function use(folder, env) {
  const node = (args) => capture(process.execPath, args, { cwd: folder, env });
  const npx = (...args) =>
    node([join(dirname(npmScript()), 'npx-cli.js'), '--no-install', '--offline', ...args]);
  const imported = `import * as softlane from 'softlane'; import * as io from 'softlane/io'; import * as elastic from 'softlane/elastic'; import * as llm from 'softlane/llm'; import * as pieces from 'softlane/pieces'; import * as autograd from 'softlane/autograd'; import * as sequence from 'softlane/sequence'; const form = 'import';${USE} await later;`;
  const required = `const softlane = require('softlane'); const io = require('softlane/io'); const elastic = require('softlane/elastic'); const llm = require('softlane/llm'); const pieces = require('softlane/pieces'); const autograd = require('softlane/autograd'); const sequence = require('softlane/sequence'); const form = 'require';${USE}`;
  step(node(['--input-type=module', '-e', imported]).trim());
  step(node(['--input-type=commonjs', '-e', required]).trim());

  const info = npx('softlane', 'info');
  if (!/instruction set/.test(info)) throw new Error(`softlane info printed ${info}`);
  fs.copyFileSync(join(root, 'examples/kjv-logits.npy'), join(folder, 'logits.npy'));
  step(npx('softlane', 'softmax', 'logits.npy', '-o', 'probabilities.npy').trim());
  const sums = `
    import { readNpy } from 'softlane/io';
    const { data, shape } = await readNpy('probabilities.npy');
    const [rows, cols] = shape;
    for (let r = 0; r < rows; r++) {
      let sum = 0;
      for (let c = 0; c < cols; c++) sum += data[r * cols + c];
      if (!(Math.abs(sum - 1) < 1e-5)) throw new Error('row ' + r + ' sums to ' + sum);
    }
    console.log(rows + ' rows of ' + cols + ' sum to 1');`;
  step(node(['--input-type=module', '-e', sums]).trim());
  if (!/softmax/.test(npx('softlane', 'bench')))
    throw new Error('softlane bench does not list its questions');
}

function main() {
  prebuilt();
  const packed = pack(root);
  const tarball = join(work, packed.filename);
  checkContents(packed);
  run(process.execPath, [tool('publint'), '--strict', tarball]);
  run(process.execPath, [tool('@arethetypeswrong/cli', 'attw'), '--no-color', tarball]);

  const dependencies = packDependencies();
  const bin = join(work, 'bin');
  fs.mkdirSync(bin);
  fs.symlinkSync(process.execPath, join(bin, 'node'));
  const bare = bareEnvironment(bin);
  step('installing where PATH holds node alone');
  const folder = install('prebuilt', tarball, dependencies, bare);
  if (fs.existsSync(join(folder, 'node_modules/softlane/build')))
    throw new Error('the installation compiled something');
  use(folder, bare);

  if (process.argv.includes('--from-source')) {
    step('compiling the tarball without its prebuilt binary');
    const source = join(work, 'source');
    fs.cpSync(join(folder, 'node_modules/softlane'), source, { recursive: true });
    fs.rmSync(join(source, 'prebuilds'), { recursive: true });
    const bySource = join(work, 'from-source.tgz');
    fs.renameSync(join(work, pack(source).filename), bySource);
    const { npm_config_nodedir, JOBS } = environment();
    const env = { ...bareEnvironment(process.env.PATH), JOBS };
    if (npm_config_nodedir) env.npm_config_nodedir = npm_config_nodedir;
    const compiled = install('compiled', bySource, dependencies, env);
    if (!fs.existsSync(join(compiled, 'node_modules/softlane/build/Release/softlane.node')))
      throw new Error('nothing was compiled');
    use(compiled, env);
  }
  step('all is well');
}

try {
  main();
} catch (error) {
  console.error(`package-check: ${error.message}`);
  process.exitCode = 1;
} finally {
  fs.rmSync(work, { recursive: true, force: true });
}
