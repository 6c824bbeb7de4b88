// What binding.gyp asks: the sources of a folder (the folder is the list) and the flags of an instruction set
// (native/isa.json, which CMakeLists.txt reads as well). A published package has no test/native: no sources, no target.
const { existsSync, readdirSync } = require('node:fs');
const { join } = require('node:path');

const [, , what, name] = process.argv;
const root = join(__dirname, '..');

/** A family of kernels with many files has a folder below native; what is compiled differently is named apart. */
function foldersOf(folder) {
  if (folder !== 'native') return [folder];
  const apart = ['core', 'cuda', 'isa', 'algebra'];
  const families = readdirSync(join(root, folder), { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && !apart.includes(entry.name))
    .map((entry) => `${folder}/${entry.name}`);
  return [folder, ...families.sort()];
}

if (what === 'sources') {
  for (const folder of foldersOf(name))
    for (const file of readdirSync(join(root, folder)).sort())
      if (file.endsWith('.cc')) console.log(`${folder}/${file}`);
} else if (what === 'flags') {
  console.log(require('../native/isa.json')[name].join('\n'));
} else if (what === 'has') {
  console.log(existsSync(join(root, name)) ? 'yes' : 'no');
} else {
  throw new Error('usage: native.cjs sources FOLDER | flags ISA | has FOLDER');
}
