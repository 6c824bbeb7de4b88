'use strict';
// Loads the native addon: a prebuilt binary from prebuilds/, or the one in build/. Shared by the ESM and CommonJS builds
// (each has a bridge of this name in its folder), so that a process has one. A failed load says what was looked for and what to do.
//
// A function, not a module that throws: a CommonJS module that throws while it is imported from ESM makes Node raise a
// second, unhandled rejection beside that of `import()`.

const load = require('node-gyp-build');

let addon;

module.exports = function loadAddon() {
  if (addon) return addon;
  try {
    addon = load(__dirname);
  } catch (cause) {
    if (cause && cause.code === 'ERR_OUT_OF_RANGE') throw cause; // SOFTLANE_ISA: the addon is there, the wish is not
    throw explained(cause);
  }
  addon.version = require('./package.json').version;
  addon.path = load.resolve(__dirname);
  addon.root = __dirname;
  return addon;
};

function explained(cause) {
  const { platform, arch, versions } = process;
  let libc = '';
  if (platform === 'linux')
    libc = process.report.getReport().header.glibcVersionRuntime ? ' with glibc' : ' with musl';
  const error = new Error(
    `softlane could not load its native addon for ${platform}-${arch}${libc}, Node.js ${versions.node}.\n` +
      `Looked for prebuilds/${platform}-${arch}/*.node and build/Release/softlane.node in ${__dirname}.\n` +
      'If no prebuilt binary fits this platform, install a C++17 compiler, make and python3, then run ' +
      '"npm rebuild softlane".\n' +
      `The loader said: ${cause.message}`,
    { cause },
  );
  error.code = 'ERR_ADDON_LOAD';
  return error;
}
