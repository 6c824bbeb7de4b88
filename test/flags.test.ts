/** Both builds take the flags of each instruction set from native/isa.json, and have none of their own. */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const root = join(__dirname, '..');
const read = (file: string) => readFileSync(join(root, file), 'utf8');
const flags = JSON.parse(read('native/isa.json')) as Record<string, string[]>;

/** Without comments, which may talk about flags. */
const code = (file: string) => read(file).replace(/#.*$/gm, '');

test('every instruction set has its flags, and none touches the rounding of results', () => {
  expect(Object.keys(flags)).toEqual(['common', 'bindings', 'scalar', 'avx2', 'avx512']);
  const all = Object.values(flags).flat();
  expect(all.filter((flag) => /fast-math|ffp-contract=(fast|on)|march=/.test(flag))).toEqual([]);
  expect(flags.common).toContain('-ffp-contract=off');
  expect([...flags.common, ...flags.scalar].filter((flag) => flag.startsWith('-m'))).toEqual([]);
});

test('binding.gyp asks tools/native.cjs, which reads native/isa.json', () => {
  const gyp = code('binding.gyp');
  for (const name of Object.keys(flags)) expect(gyp).toContain(`node tools/native.cjs flags ${name}`);
  expect(gyp.match(/"-(m(?!64)|O|ffast|march)[^"]*"/g)).toBeNull();
  for (const [name, list] of Object.entries(flags)) {
    const printed = execFileSync(process.execPath, ['tools/native.cjs', 'flags', name], {
      cwd: root,
      encoding: 'utf8',
    });
    expect(printed.trim().split('\n')).toEqual(list);
  }
});

test('CMakeLists.txt reads native/isa.json', () => {
  const cmake = code('CMakeLists.txt');
  expect(cmake).toContain('file(READ native/isa.json isa_json)');
  expect(cmake).toContain('softlane_flags(common common)');
  expect(cmake).toMatch(/softlane_flags\(flags \$\{isa\}\)/);
  expect(cmake.match(/\s-(m|march)[a-z0-9=-]+/g)).toBeNull();
});

test('both builds compile the same folders', () => {
  const cmake = code('CMakeLists.txt');
  for (const folder of ['native', 'native/core', 'test/native']) {
    expect(code('binding.gyp')).toContain(`tools/native.cjs sources ${folder})`);
    expect(cmake).toContain(`${folder}/*.cc`);
  }
  // Every folder of native is a family of loops, but for the same few in both.
  expect(cmake).toContain('native/*/*.cc');
  const excluded = /EXCLUDE REGEX "native\/\(([a-z|]+)\)\/"/.exec(cmake)![1].split('|');
  const apart = /const apart = \[(.*)\]/.exec(read('tools/native.cjs'))![1].match(/[a-z]+/g);
  expect(excluded).toEqual(apart);
  const printed = execFileSync(process.execPath, ['tools/native.cjs', 'sources', 'native'], {
    cwd: root,
    encoding: 'utf8',
  });
  const families = new Set(printed.match(/^native\/.*(?=\/[^/]*$)/gm));
  expect([...families]).toEqual(expect.arrayContaining(['native/attention', 'native/gemm', 'native/llama']));
  expect([...families].filter((folder) => excluded.includes(folder.slice('native/'.length)))).toEqual([]);
});

const makefile = join(root, 'build/softlane_avx512.target.mk');
const configured = existsSync(makefile) ? test : test.skip;
configured('the generated makefiles hold exactly these flags', () => {
  for (const isa of ['scalar', 'avx2', 'avx512']) {
    const text = read(`build/softlane_${isa}.target.mk`);
    const release = /CFLAGS_CC_Release := \\\n((?:\t.*\n)+)/.exec(text);
    const used = release![1].split('\n').map((line) => line.replace(/\\$/, '').trim());
    const own = used.filter((flag) => /^-m(?!64)/.test(flag));
    expect(own).toEqual(flags[isa].filter((flag) => flag.startsWith('-m')));
    for (const flag of [...flags.common, ...flags[isa]]) expect(used).toContain(flag);
  }
});
