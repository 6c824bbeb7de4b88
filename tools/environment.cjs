'use strict';
// What the build tools share. Node built-ins only: a fresh clone has no node_modules yet.
const { execFileSync } = require('node:child_process');
const { existsSync, readFileSync, readdirSync, statSync } = require('node:fs');
const { availableParallelism } = require('node:os');
const { delimiter, dirname, join } = require('node:path');

const root = join(__dirname, '..');

/**
 * The environment of child processes: Node's own headers where they are installed beside it, so that node-gyp downloads
 * none; all cores for the compiler; no optional downloads of development dependencies.
 */
function environment() {
  const env = { ...process.env };
  const prefix = join(dirname(process.execPath), '..');
  const chosen = env.npm_config_nodedir || env.npm_package_config_node_gyp_nodedir;
  if (!chosen && existsSync(join(prefix, 'include/node/common.gypi'))) env.npm_config_nodedir = prefix;
  env.JOBS ??= String(availableParallelism());
  env.ONNXRUNTIME_NODE_INSTALL = 'skip';
  env.ONNXRUNTIME_NODE_INSTALL_CUDA = 'skip';
  return env;
}

/** Runs a program with its output shown; throws when it fails. */
function run(program, args, options = {}) {
  execFileSync(program, args, { cwd: root, stdio: 'inherit', env: environment(), ...options });
}

/** The script of a development tool, through its package.json: `tool('jest')`, `tool('typescript', 'tsc')`. */
function tool(name, command = name) {
  const folder = join(root, 'node_modules', name);
  const { bin } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
  return join(folder, typeof bin === 'string' ? bin : bin[command]);
}

/** The script of npm: the one that runs us, else the one beside node or on PATH. */
function npmScript() {
  if (/npm-cli\.c?js$/.test(process.env.npm_execpath ?? '')) return process.env.npm_execpath;
  const folders = [dirname(process.execPath), ...(process.env.PATH ?? '').split(delimiter)];
  for (const folder of folders) {
    for (const place of ['../lib/node_modules/npm/bin/npm-cli.js', 'node_modules/npm/bin/npm-cli.js']) {
      if (existsSync(join(folder, place))) return join(folder, place);
    }
  }
  throw new Error('npm was not found beside node or on PATH');
}

/** Runs npm; throws when it fails. */
function npm(args, options) {
  run(process.execPath, [npmScript(), ...args], options);
}

/** Files under the given files and folders (relative to the root) that `wanted` admits. Missing ones count as none. */
function filesUnder(places, wanted = () => true) {
  return places.flatMap((place) => {
    const path = join(root, place);
    if (!existsSync(path)) return [];
    if (!statSync(path).isDirectory()) return [place];
    return readdirSync(path, { recursive: true })
      .map((name) => join(place, name))
      .filter((name) => wanted(name) && statSync(join(root, name)).isFile());
  });
}

/** When the newest of the files was changed, in ms; 0 for none. */
function newest(files) {
  return files.reduce((time, file) => Math.max(time, statSync(join(root, file)).mtimeMs), 0);
}

/** When the oldest of the files was changed, in ms; 0 where one is missing. */
function oldest(files) {
  return Math.min(
    ...files.map((file) => (existsSync(join(root, file)) ? statSync(join(root, file)).mtimeMs : 0)),
  );
}

/** Whether the file is part of what the addon and the native tests are compiled from. */
const isNativeSource = (name) => /\.(cc|h|def|cu|json|gyp|cjs)$/.test(name);
const nativeSources = ['native', 'bindings', 'test/native', 'binding.gyp', 'tools/native.cjs'];

module.exports = {
  environment,
  filesUnder,
  isNativeSource,
  nativeSources,
  newest,
  npm,
  npmScript,
  oldest,
  root,
  run,
  tool,
};
