'use strict';
// Compiles the addon for this platform into prebuilds/, stripped: what `npm pack` ships. One file a platform and C
// library, for every Node.js version (Node-API).
const { mkdirSync, readdirSync, rmSync, statSync } = require('node:fs');
const { join } = require('node:path');
const { root, run, tool } = require('./environment.cjs');

const platform = `${process.platform}-${process.arch}`;
const folder = join(root, 'prebuilds', platform);
mkdirSync(folder, { recursive: true });
const libc =
  process.platform !== 'linux'
    ? ''
    : process.report.getReport().header.glibcVersionRuntime
      ? '.glibc'
      : '.musl';
const wanted = `softlane${libc}.node`;
rmSync(join(folder, wanted), { force: true });

const target = `--target=${process.versions.node}`;
run(process.execPath, [tool('prebuildify'), '--napi', '--strip', '--tag-libc', target]);
// prebuildify has stripped the linker's own output in place: the next build is to link it anew, with its symbols.
rmSync(join(root, 'build/Release/obj.target/softlane.node'), { force: true });
for (const file of readdirSync(folder)) {
  if (!/^softlane(\.(glibc|musl))?\.node$/.test(file))
    throw new Error(`prebuilds/${platform} holds ${file} besides the addon`);
}
const kib = Math.round(statSync(join(folder, wanted)).size / 1024);
console.log(`prebuilds/${platform}/${wanted}: ${kib} KiB`);
