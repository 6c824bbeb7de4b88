'use strict';
// Makes a fresh clone ready for `npm start` and `npm test`, and does nothing where all is fresh already: installs what
// package-lock.json names, compiles the addon and the native tests, compiles the TypeScript.
//
//   node tools/ready.cjs [--rebuild | --install]     --rebuild compiles even what is fresh, --install compiles nothing
const { existsSync, readFileSync, utimesSync } = require('node:fs');
const { join } = require('node:path');
const {
  filesUnder,
  isNativeSource,
  nativeSources,
  newest,
  npm,
  oldest,
  root,
  run,
  tool,
} = require('./environment.cjs');

const rebuild = process.argv.includes('--rebuild');

/** Whether node_modules holds what the lock file names: dates would call every fresh checkout stale. */
function installed() {
  const record = join(root, 'node_modules/.package-lock.json');
  if (!existsSync(record)) return false;
  const wanted = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')).packages;
  const present = JSON.parse(readFileSync(record, 'utf8')).packages;
  return Object.entries(wanted).every(([path, entry]) => {
    if (path === '' || (entry.optional && !present[path])) return true; // optional: for another platform
    return present[path]?.version === entry.version;
  });
}

/** The addon and, where its sources are, the native test program. */
function nativeOutputs() {
  const suffix = process.platform === 'win32' ? '.exe' : '';
  const outputs = ['build/Release/softlane.node'];
  if (existsSync(join(root, 'test/native'))) outputs.push(`build/Release/softlane_test${suffix}`);
  return outputs;
}

function buildNative() {
  const gyp = tool('node-gyp');
  run(process.execPath, [gyp, 'configure', '--loglevel=warn']); // reads the list of sources anew
  run(process.execPath, [gyp, 'build', '--loglevel=warn']);
  // make leaves an output alone where only a date changed: without this it would look stale for ever.
  const now = new Date();
  for (const file of nativeOutputs()) utimesSync(join(root, file), now, now);
}

function isDistStale() {
  const sources = filesUnder(['lib', 'benchmarks', 'tools/build-ts.cjs'], (name) =>
    /\.(ts|json|cjs)$/.test(name),
  );
  const settings = ['tsconfig.json', 'tsconfig.build.json', 'package.json'];
  return newest([...sources, ...settings]) > oldest(['dist/.built']);
}

function ready() {
  if (!installed()) {
    console.log('softlane: installing what package-lock.json names');
    npm(['ci', '--no-audit', '--no-fund']);
  }
  if (process.argv.includes('--install')) return;
  if (rebuild || newest(filesUnder(nativeSources, isNativeSource)) > oldest(nativeOutputs())) {
    console.log('softlane: compiling the addon and the native tests (two to five minutes the first time)');
    buildNative();
  }
  if (rebuild || isDistStale()) {
    console.log('softlane: compiling TypeScript');
    run(process.execPath, ['tools/build-ts.cjs']);
  }
}

try {
  ready();
} catch (error) {
  console.error(`softlane: not ready: ${error.message}`); // the tool that failed has said why
  process.exitCode = 1;
}
