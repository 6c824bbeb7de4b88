'use strict';
// clang-format over every C++ source: reports what differs from .clang-format, or rewrites it with --fix.
const { execFileSync, spawnSync } = require('node:child_process');
const { filesUnder, root, tool } = require('./environment.cjs');

const files = filesUnder(['native', 'bindings', 'test/native'], (name) => /\.(cc|h)$/.test(name));
const format = [tool('clang-format'), '--style=file'];
if (process.argv.includes('--fix')) {
  execFileSync(process.execPath, [...format, '-i', ...files], { cwd: root, stdio: 'inherit' });
} else {
  const result = spawnSync(process.execPath, [...format, '--dry-run', '--Werror', ...files], {
    cwd: root,
    stdio: 'inherit',
  });
  process.exitCode = result.status === 0 ? 0 : 1;
}
