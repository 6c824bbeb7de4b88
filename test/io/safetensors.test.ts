import { readdirSync, readFileSync } from 'node:fs';
import { appendFile, mkdir, mkdtemp, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openSafetensors, type SafetensorsFile } from '../../lib/io/index.js';
import { FLASH_FIXTURES } from '../helpers/flash-fixtures.js';
import { expectRejected } from '../helpers/refused.js';
import { badCheckpoint, safetensorsBytes } from '../helpers/safetensors.js';

let folder: string;
let count = 0;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'softlane-safetensors-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** Writes a file of its own name. */
async function file(bytes: Uint8Array | string, name = `${count++}.safetensors`): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, bytes);
  return path;
}

async function using<R>(path: string, use: (file: SafetensorsFile) => Promise<R> | R): Promise<R> {
  const opened = await openSafetensors(path);
  try {
    return await use(opened);
  } finally {
    await opened.close();
  }
}

const entry = (dtype: string, shape: unknown, offsets: unknown): string =>
  JSON.stringify({ dtype, shape, data_offsets: offsets });

describe('the malformed files of the fixtures', () => {
  const bad = join(FLASH_FIXTURES, 'bad-safetensors');
  const verdicts = JSON.parse(readFileSync(join(bad, 'expected.json'), 'utf8')) as Record<string, string>;
  const [accepted, rejected] = ['accepted', 'rejected'].map((verdict) =>
    Object.keys(verdicts).filter((name) => verdicts[name].startsWith(verdict)),
  );

  it('are all judged', () => {
    const names = readdirSync(bad).filter((name) => name.endsWith('.safetensors'));
    expect([...accepted, ...rejected].sort()).toEqual(names.sort());
  });

  const values: Record<string, [Record<string, number[]>, Record<string, number[]>]> = {
    'good.safetensors': [{ a: [2, 2] }, { a: [0, 1, 2, 3] }],
    'good-padded.safetensors': [{ a: [2, 2] }, { a: [0, 1, 2, 3] }],
    'good-empty.safetensors': [{ z: [0, 3] }, { z: [] }],
    'good-scalar.safetensors': [{ s: [] }, { s: [7] }],
    'good-unordered.safetensors': [
      { b: [1], a: [1] },
      { a: [1], b: [2] },
    ],
  };
  it.each(accepted)('accepted: %s', async (name) => {
    const [shapes, data] = values[name];
    await using(join(bad, name), async (opened) => {
      for (const [tensor, shape] of Object.entries(shapes)) {
        expect(opened.tensors[tensor]).toMatchObject({ dtype: 'F32', shape });
        expect(Array.from(await opened.read(tensor))).toEqual(data[tensor]);
      }
      expect(Object.keys(opened.tensors)).toEqual(Object.keys(shapes));
    });
  });

  const reasons: Record<string, RegExp> = {
    'too-short.safetensors': /3 bytes/,
    'header-past-end.safetensors': /65 bytes after the length, received a length of 1000000/,
    'header-huge.safetensors': /at most 100000000 bytes, received a length of 9223372036854775808/,
    'data-truncated.safetensors': /89 bytes.*received a file of 85 bytes \(it is cut off\)/,
    'data-trailing.safetensors': /89 bytes.*received a file of 93 bytes \(bytes follow the last tensor\)/,
    'overlap.safetensors': /tensor "b".*offset 8.*received 4 \(it overlaps/,
    'gap.safetensors': /tensor "b".*offset 4.*received 8 \(it leaves a gap/,
    'size-mismatch.safetensors': /tensor "a".*12 bytes for shape \[3\] of F32, received 16/,
    'begin-after-end.safetensors': /tensor "a".*received \[4, 0\]/,
    'negative-shape.safetensors': /tensor "a".*received \[-1\]/,
    'overflow-shape.safetensors': /tensor "a".*fewer than 2\^53, received \[4294967296,4294967296\] of F32/,
    'unknown-dtype.safetensors': /tensor "a".*dtype.*received "Q4_0"/,
    'not-json.safetensors': /not JSON/,
    'not-utf8.safetensors': /not UTF-8/,
    'not-object.safetensors': /JSON object.*received "\[1,2\]"/,
    'duplicate-key.safetensors': /"a" twice/,
    'missing-field.safetensors': /tensor "a".*a shape.*received none/,
  };
  it.each(rejected)('rejected: %s', async (name) => {
    const error = await badCheckpoint(openSafetensors(join(bad, name)));
    expect(error.message).toMatch(reasons[name]);
    expect(error.file).toBe(join(bad, name));
  });
});

describe('hostile headers', () => {
  const F32 = entry('F32', [1], [0, 4]);
  it.each([
    ['an empty file', Buffer.alloc(0), /0 bytes/],
    ['a length of 0', safetensorsBytes(''), /JSON object/],
    ['a length of 2^64 - 1', safetensorsBytes('{}', 0, 2n ** 64n - 1n), /18446744073709551615/],
    ['a length of 2^32 + 2, which wraps to 2', safetensorsBytes('{}', 0, 2n ** 32n + 2n), /4294967298/],
    ['a space before the brace', safetensorsBytes(' {}'), /JSON object/],
    ['a byte order mark', safetensorsBytes('\ufeff{}'), /JSON object/],
    ['text after the object', safetensorsBytes('{} x'), /not JSON/],
    ['zeros after the object', safetensorsBytes('{}\0\0'), /not JSON/],
    [
      'a surrogate in UTF-8',
      safetensorsBytes(Buffer.from('7b22eda08022 3a317d'.replace(/ /g, ''), 'hex')),
      /UTF-8/,
    ],
    ['a tensor that is null', safetensorsBytes('{"a":null}'), /tensor "a".*received null/],
    ['a tensor that is an array', safetensorsBytes('{"a":[]}'), /tensor "a".*an object/],
    ['a shape that is an object', safetensorsBytes(`{"a":${entry('F32', {}, [0, 4])}}`, 4), /a shape/],
    [
      'a length that is text',
      safetensorsBytes(`{"a":${entry('F32', ['1'], [0, 4])}}`, 4),
      /a shape.*\["1"\]/,
    ],
    ['half a row', safetensorsBytes(`{"a":${entry('F32', [0.5, 2], [0, 4])}}`, 4), /a shape/],
    [
      'an infinite length',
      safetensorsBytes('{"a":{"dtype":"F32","shape":[1e999],"data_offsets":[0,4]}}', 4),
      /shape/,
    ],
    [
      'a length above 2^53',
      safetensorsBytes('{"a":{"dtype":"U8","shape":[9007199254740993],"data_offsets":[0,0]}}'),
      /shape/,
    ],
    ['three offsets', safetensorsBytes(`{"a":${entry('F32', [1], [0, 4, 8])}}`, 4), /data_offsets/],
    ['a negative offset', safetensorsBytes(`{"a":${entry('F32', [2], [-4, 4])}}`, 4), /data_offsets/],
    [
      'an offset of 2^53 - 1',
      safetensorsBytes(`{"a":${entry('U8', [1], [2 ** 53 - 2, 2 ** 53 - 1])}}`),
      /below 2\^53/,
    ],
    [
      'a dtype of the prototype',
      safetensorsBytes(`{"a":${entry('toString', [1], [0, 4])}}`, 4),
      /"toString"/,
    ],
    ['half a byte', safetensorsBytes(`{"a":${entry('F4', [3], [0, 1])}}`, 1), /whole bytes/],
    ['metadata that are numbers', safetensorsBytes('{"__metadata__":{"a":1}}'), /__metadata__/],
    ['metadata twice', safetensorsBytes('{"__metadata__":{},"__metadata__":{}}'), /"__metadata__" twice/],
    ['one name spelled in two ways', safetensorsBytes(`{"a":${F32},"\\u0061":${F32}}`, 4), /"a" twice/],
    ['a member twice', safetensorsBytes(`{"a":{"dtype":"F32",${F32.slice(1)}}`, 4), /"dtype" twice/],
    [
      'a tensor inside another',
      safetensorsBytes(`{"a":${entry('U8', [4], [0, 4])},"b":${entry('U8', [0], [2, 2])}}`, 4),
      /overlaps/,
    ],
    ['a header of brackets', safetensorsBytes(`{"a":${'['.repeat(1e6)}`), /more than 32 deep/],
    ['a bracket too many', safetensorsBytes('{"a":[}'), /not JSON/],
  ])('%s', async (_, bytes, reason) => {
    const error = await badCheckpoint(openSafetensors(await file(bytes)));
    expect(error.message).toMatch(reason);
    expect(error.message.length).toBeLessThan(1000);
  });

  it.each([
    ['of empty arrays', `{"a":[${'[],'.repeat(3e7)}[]]}`, /60000003 brackets and commas, more than 1048576/],
    [
      'of empty tensors',
      `{${Array.from({ length: 200_000 }, (_, i) => `"${i}":${entry('U8', [0], [0, 0])}`).join()}}`,
      /brackets and commas, more than 1048576/,
    ],
    [
      'with a string for a tensor',
      `{"a":"${'x'.repeat(9e7)}"}`,
      /tensor "a": expected an object.*"x{99}\.\.\.$/,
    ],
    ['with a string for a shape', `{"a":${entry('U8', 'x'.repeat(9e7), [0, 0])}}`, /a shape.*x\.\.\.$/],
    ['with a string in a shape', `{"a":${entry('U8', ['x'.repeat(9e7)], [0, 0])}}`, /a shape.*x\.\.\.$/],
    ['with a string for offsets', `{"a":${entry('U8', [0], 'x'.repeat(9e7))}}`, /data_offsets.*x\.\.\.$/],
  ])('a long header %s is refused at once, in a few words', async (_, header, reason) => {
    const path = await file(safetensorsBytes(header));
    const started = performance.now();
    const error = await badCheckpoint(openSafetensors(path));
    expect(performance.now() - started).toBeLessThan(10_000);
    expect(error.message).toMatch(reason);
    expect(error.message.length).toBeLessThan(1000);
    await truncate(path);
  });

  it('claims of gigabytes cost no memory', async () => {
    const paths = [
      await file(safetensorsBytes('{}', 0, 100_000_000n)),
      await file(safetensorsBytes(`{"a":${entry('F32', [2 ** 40], [0, 2 ** 42])}}`, 16)),
    ];
    const before = process.memoryUsage().arrayBuffers;
    for (let i = 0; i < 50; i++) for (const path of paths) await badCheckpoint(openSafetensors(path));
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(10e6);
  });

  it('names are only names', async () => {
    const header = `{"__metadata__":{"__proto__":"x"},"__proto__":${entry('F32', [1], [4, 8])},"toString":${F32}}`;
    await using(await file(safetensorsBytes(header, 8)), async (opened) => {
      expect(Object.keys(opened.tensors).sort()).toEqual(['__proto__', 'toString']);
      expect(Object.entries(opened.metadata)).toEqual([['__proto__', 'x']]);
      expect(await opened.read('__proto__')).toHaveLength(1);
      const error = await badCheckpoint(opened.read('valueOf'));
      expect(error.tensor).toBe('valueOf');
    });
  });
});

describe('reading', () => {
  const header = `{"__metadata__":{"format":"pt"},
    "odd":${entry('U8', [3], [0, 3])},
    "f32":${entry('F32', [2, 3], [3, 27])},
    "f64":${entry('F64', [2], [27, 43])},
    "bf16":${entry('BF16', [3], [43, 49])},
    "f16":${entry('F16', [1, 1, 1], [49, 51])}}`;
  const data = Buffer.concat([
    Buffer.from([1, 2, 3]),
    new Uint8Array(Float32Array.of(1, 2, 3, 4, 5, -0).buffer),
    new Uint8Array(Float64Array.of(Math.PI, NaN).buffer),
    new Uint8Array(Uint16Array.of(0x3f80, 0x8000, 0x7fc0).buffer),
    new Uint8Array(Uint16Array.of(0x3c00).buffer),
  ]);
  let path: string;
  beforeAll(async () => {
    path = await file(safetensorsBytes(header, data), 'mixed.safetensors');
  });

  it('tells dtype, shape, size and metadata', () =>
    using(path, (opened) => {
      expect(opened.metadata).toEqual({ format: 'pt' });
      expect(opened.files).toEqual([path]);
      expect(opened.tensors.f32).toEqual({ dtype: 'F32', shape: [2, 3], bytes: 24, file: path });
      expect(opened.tensors.f16.shape).toEqual([1, 1, 1]);
    }));

  it('takes unaligned offsets, and gives 16-bit floats as bits', () =>
    using(path, async (opened) => {
      expect(await opened.read('f32')).toEqual(Float32Array.of(1, 2, 3, 4, 5, -0));
      expect(await opened.read('f64')).toEqual(Float64Array.of(Math.PI, NaN));
      expect(await opened.read('bf16')).toEqual(Uint16Array.of(0x3f80, 0x8000, 0x7fc0));
      expect(await opened.read('f16')).toEqual(Uint16Array.of(0x3c00));
    }));

  it('lists other dtypes and refuses to read them as numbers, but copies their bytes', () =>
    using(path, async (opened) => {
      expect(opened.tensors.odd).toMatchObject({ dtype: 'U8', bytes: 3 });
      const error = await badCheckpoint(opened.read('odd'));
      expect(error).toMatchObject({ tensor: 'odd', found: 'U8' });
      expect(await opened.readBytes('odd', 1, 2)).toEqual(Uint8Array.of(2, 3));
    }));

  it('reads rows, elements and bytes, also into a given array', () =>
    using(path, async (opened) => {
      expect(await opened.readRows('f32', 1, 1)).toEqual(Float32Array.of(4, 5, -0));
      const into = new Float32Array(10).fill(9);
      const view = await opened.readElements('f32', 2, 2, into);
      expect([view.length, view.buffer === into.buffer]).toEqual([2, true]);
      expect(Array.from(into)).toEqual([3, 4, 9, 9, 9, 9, 9, 9, 9, 9]);
      expect(await opened.readRows('f16', 0, 1)).toEqual(Uint16Array.of(0x3c00));
      expect(await opened.readBytes('bf16', 0, 2)).toEqual(Uint8Array.of(0x80, 0x3f));
    }));

  it('gives blocks of any size that together are the tensor', () =>
    using(path, async (opened) => {
      for (const [name, most] of [
        ['f32', 8],
        ['f32', 11],
        ['f32', 1000],
        ['odd', 8],
      ] as const) {
        const parts: number[] = [];
        for await (const block of opened.chunks(name, most)) {
          expect(block.byteLength).toBeLessThanOrEqual(most);
          parts.push(...block);
        }
        expect(parts).toEqual(name === 'odd' ? [1, 2, 3] : [1, 2, 3, 4, 5, -0]);
      }
    }));

  it('refuses ranges outside the tensor and arrays of another class', () =>
    using(path, async (opened) => {
      await expectRejected(() => opened.readRows('f32', 2, 1), 'range', 'count');
      await expectRejected(() => opened.readRows('f32', 3, 0), 'range', 'start');
      await expectRejected(() => opened.readElements('f32', 0, 7), 'range', 'count');
      await expectRejected(() => opened.readBytes('f32', 0, 25), 'range', 'count');
      await expectRejected(() => opened.read('f32', new Float64Array(6)), 'type', 'into');
      await expectRejected(() => opened.read('f32', new Float32Array(5)), 'range', 'into');
      await expectRejected(() => opened.readBytes('f32', 0, 4, [] as never), 'type', 'into');
      await expectRejected(() => opened.readBytes('f32', 0, 4, new Uint8Array(3)), 'range', 'into');
      await expectRejected(() => opened.chunks('f32', 4).next(), 'range', 'maxBytes');
      await expectRejected(() => openSafetensors(7 as never), 'type', 'path');
    }));

  it('notices that a file is cut short under it', async () => {
    const short = await file(safetensorsBytes(header, data));
    await using(short, async (opened) => {
      await truncate(short, 8 + header.length + 20);
      const error = await badCheckpoint(opened.read('f32'));
      expect(error).toMatchObject({ file: short, tensor: 'f32' });
      expect(error.message).toMatch(/24 bytes.*received 17 .*has become shorter/);
      expect(await opened.readElements('f32', 0, 4)).toEqual(Float32Array.of(1, 2, 3, 4));
    });
  });

  it('fails after close, and passes on what the system says', async () => {
    const opened = await openSafetensors(path);
    await opened.close();
    await expect(opened.read('f32')).rejects.toMatchObject({ code: 'EBADF' });
    await expect(openSafetensors(join(folder, 'none'))).rejects.toMatchObject({ code: 'ENOENT' });
  });
});

describe('shards', () => {
  const shard = (name: string): Buffer => safetensorsBytes(`{"${name}":${entry('F32', [1], [0, 4])}}`, 4);
  let made = 0;
  /** A folder with such an index and these files. */
  async function checkpoint(weightMap: unknown, files: Record<string, Uint8Array>): Promise<string> {
    const path = join(folder, `shards-${made++}`);
    await mkdir(path);
    const index = typeof weightMap === 'string' ? weightMap : JSON.stringify({ weight_map: weightMap });
    await writeFile(join(path, 'model.safetensors.index.json'), index);
    for (const [name, bytes] of Object.entries(files)) await writeFile(join(path, name), bytes);
    return path;
  }
  const files = { 'a.safetensors': shard('a'), 'b.safetensors': shard('b') };
  const map = { a: 'a.safetensors', b: 'b.safetensors' };

  it('are one checkpoint, by folder or by index', async () => {
    const path = await checkpoint(map, files);
    for (const each of [path, join(path, 'model.safetensors.index.json')])
      await using(each, async (opened) => {
        expect(Object.keys(opened.tensors)).toEqual(['a', 'b']);
        expect(opened.tensors.b.file).toBe(join(path, 'b.safetensors'));
        expect(await opened.read('b')).toHaveLength(1);
      });
  });

  it('may be links out of the folder, as in the cache of the hub', async () => {
    const path = await checkpoint({ a: 'a.safetensors' }, {});
    await symlink(await file(shard('a')), join(path, 'a.safetensors'));
    await using(path, async (opened) => expect(await opened.read('a')).toHaveLength(1));
  });

  it('the fixture in three shards', () =>
    using(join(FLASH_FIXTURES, 'tiny-scaled-sharded'), (opened) => {
      expect(opened.files).toHaveLength(3);
      const total = Object.values(opened.tensors).reduce((sum, { bytes }) => sum + bytes, 0);
      expect(total).toBe(75920);
    }));

  it('a single model.safetensors comes first', async () => {
    const path = await checkpoint(map, { 'model.safetensors': shard('c') });
    await using(path, (opened) => expect(Object.keys(opened.tensors)).toEqual(['c']));
  });

  it.each([
    [
      'a shard that is missing',
      map,
      { 'a.safetensors': shard('a') },
      /b\.safetensors: expected the file that/,
    ],
    [
      'a tensor in two shards',
      map,
      { ...files, 'b.safetensors': shard('a') },
      /tensor "a".*in one file.*here and in/,
    ],
    ['a tensor in no shard', { ...map, c: 'a.safetensors' }, files, /tensor "c".*received none/],
    [
      'a tensor in another shard',
      { a: 'b.safetensors', b: 'a.safetensors' },
      files,
      /tensor "a": expected it in .*b\.saf.*received it in .*a\.saf/,
    ],
    [
      'a shard that is damaged',
      map,
      { ...files, 'b.safetensors': shard('b').subarray(0, 20) },
      /b\.safetensors/,
    ],
    ['a path upwards', { a: '../a.safetensors' }, files, /tensor "a".*received "\.\.\/a\.saf/],
    ['a path downwards', { a: 'x/a.safetensors' }, files, /without path separators/],
    ['an absolute path', { a: '/etc/passwd' }, files, /without path separators/],
    ['a Windows path', { a: '..\\a.safetensors' }, files, /without path separators/],
    ['two points', { a: '..' }, files, /without path separators/],
    ['one point', { a: '.' }, files, /file name/],
    ['a zero byte', { a: 'a\0.safetensors' }, files, /file name/],
    ['no name', { a: '' }, files, /file name/],
    ['a name that is a number', { a: 1 }, files, /file name.*received 1/],
    ['no map', '{}', files, /weight_map.*received none/],
    ['null', 'null', files, /weight_map/],
    ['brackets', '['.repeat(1e6), files, /more than 32 deep/],
    ['a map that is a list', '{"weight_map":[]}', files, /weight_map/],
    ['no JSON', '{', files, /JSON/],
    ['a name twice', '{"weight_map":{"a":"a.safetensors","a":"b.safetensors"}}', files, /"a" twice/],
  ])('%s', async (_, weightMap, held, reason) => {
    const path = await checkpoint(weightMap, held);
    const error = await badCheckpoint(openSafetensors(path));
    expect(error.message).toMatch(reason);
  });

  it('a folder must hold a checkpoint', async () => {
    const path = join(folder, 'several');
    await mkdir(path);
    await writeFile(join(path, 'pytorch_model.bin'), '');
    expect((await badCheckpoint(openSafetensors(path))).message).toMatch(/received 1 other files/);
    await writeFile(join(path, 'x.safetensors'), shard('a'));
    await using(path, (opened) => expect(Object.keys(opened.tensors)).toEqual(['a']));
    await writeFile(join(path, 'y.safetensors'), shard('a'));
    const several = await badCheckpoint(openSafetensors(path));
    expect(several.message).toMatch(/several without an index \(x\.safetensors, y\.safetensors\)/);
    expect((await badCheckpoint(openSafetensors('/dev/null'))).message).toMatch(/a device/);
  });

  it('an index that is not UTF-8 is told', async () => {
    const path = await checkpoint(map, files);
    await appendFile(join(path, 'model.safetensors.index.json'), Buffer.from([0xff]));
    expect((await badCheckpoint(openSafetensors(path))).message).toMatch(/not UTF-8/);
  });
});
