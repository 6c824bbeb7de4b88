'use strict';
// Runs the native test program that binding.gyp builds.
const { join } = require('node:path');
const { root, run } = require('./environment.cjs');

try {
  run(join(root, 'build/Release/softlane_test'), process.argv.slice(2));
} catch (error) {
  console.error(`softlane_test failed: ${error.signal ?? `exit status ${error.status}`}`);
  process.exitCode = 1;
}
