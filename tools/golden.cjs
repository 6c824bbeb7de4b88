// Rewrites test/golden.json: the hashes of every kernel in every instruction set of this machine. Run it only when a
// change of bits is meant, and name it in CHANGELOG.md.
const { readFileSync, writeFileSync } = require('node:fs');
const { join } = require('node:path');
const { verify } = require('../dist/cjs/lib/index.js');

const path = join(__dirname, '../test/golden.json');
let golden = {};
try {
  golden = JSON.parse(readFileSync(path, 'utf8'));
} catch {
  // The first time there is none.
}
for (const isa of new Set(verify().map((line) => line.isa))) golden[isa] = {};
for (const { kernel, isa, hash } of verify()) golden[isa][kernel] = hash;
writeFileSync(path, `${JSON.stringify(golden, null, 2)}\n`);
