import { readFileSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import * as npyjs from 'npyjs';
import { encodeNpy, parseNpy, readNpy, writeNpy, type NpyData, type NpyDtype } from '../../lib/io/npy.js';

const fixtures = join(__dirname, '../fixtures/npy');
const fixture = (name: string): Uint8Array => readFileSync(join(fixtures, name));

interface Expected {
  shape: number[];
  values: (number | string)[];
}
const expected = JSON.parse(readFileSync(join(fixtures, 'expected.json'), 'utf8')) as Record<
  string,
  Expected
>;

/** Element type that each fixture must come back with. */
const dtypes: Record<string, NpyDtype> = {
  'f2.npy': 'f16',
  'f4.npy': 'f32',
  'f8.npy': 'f64',
  'f2-big.npy': 'f16',
  'f4-big.npy': 'f32',
  'f8-big.npy': 'f64',
  'i8-big.npy': 'i64',
  'i1.npy': 'i8',
  'i2.npy': 'i16',
  'i4.npy': 'i32',
  'i8.npy': 'i64',
  'u1.npy': 'u8',
  'u2.npy': 'u16',
  'u4.npy': 'u32',
  'u8.npy': 'u64',
  'bool.npy': 'bool',
  'void2.npy': 'bf16',
  'special.npy': 'f64',
  'fortran-2d.npy': 'f32',
  'fortran-3d.npy': 'f64',
  'fortran-4d-big.npy': 'f16',
  'zero-dim.npy': 'f64',
  'zero-length.npy': 'f32',
  'zero-columns.npy': 'f32',
  'version-2.npy': 'f32',
  'version-3.npy': 'f32',
};

const arrays = {
  f16: Uint16Array,
  f32: Float32Array,
  f64: Float64Array,
  bf16: Uint16Array,
  i8: Int8Array,
  i16: Int16Array,
  i32: Int32Array,
  i64: BigInt64Array,
  u8: Uint8Array,
  u16: Uint16Array,
  u32: Uint32Array,
  u64: BigUint64Array,
  bool: Uint8Array,
} as const;

const bytesOf = (data: NpyData): Buffer => Buffer.from(data.buffer, data.byteOffset, data.byteLength);

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'softlane-npy-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe('files made by numpy', () => {
  it('are all listed here', () => {
    expect(Object.keys(dtypes).sort()).toEqual(Object.keys(expected).sort());
  });

  it.each(Object.entries(dtypes))('%s is read as %s, from bytes and from the file', async (name, dtype) => {
    const options = dtype === 'bf16' ? { dtype } : {};
    for (const array of [parseNpy(fixture(name), options), await readNpy(join(fixtures, name), options)]) {
      expect(array.dtype).toBe(dtype);
      expect(array.data).toBeInstanceOf(arrays[dtype]);
      expect(array.shape).toEqual(expected[name].shape);
      expect(array.fortranOrder).toBe(false);
      const big = array.data instanceof BigInt64Array || array.data instanceof BigUint64Array;
      const values = Array.from(array.data as ArrayLike<number | bigint>, (v) => (big ? String(v) : v));
      // JSON has no NaN and infinities: numpy wrote them as words.
      const special: Record<string, number> = { nan: NaN, inf: Infinity, '-inf': -Infinity };
      expect(values).toEqual(
        expected[name].values.map((v) => (typeof v === 'string' ? (special[v] ?? v) : v)),
      );
    }
  });

  it.each(Object.keys(dtypes).filter((name) => !/big|fortran|version|columns/.test(name)))(
    '%s is written with the same bytes as by numpy',
    (name) => {
      const dtype = dtypes[name];
      const array = parseNpy(fixture(name), dtype === 'bf16' ? { dtype } : {});
      expect(Buffer.from(encodeNpy(array)).equals(fixture(name))).toBe(true);
    },
  );

  it.each([
    ['structured.npy', `a structured type [["id","<i4"],["score","<f4"]]`],
    ['object.npy', `'|O' (Python objects: they would have to be unpickled)`],
    ['complex.npy', `'<c8'`],
    ['string.npy', `'<U4'`],
    ['date.npy', `'<M8[D]'`],
  ])('%s is refused by name', async (name, received) => {
    const path = join(fixtures, name);
    await expect(readNpy(path)).rejects.toMatchObject({ code: 'ERR_NPY_UNSUPPORTED', name: 'NpyError' });
    await expect(readNpy(path)).rejects.toThrow(`received ${received}`);
    await expect(readNpy(path)).rejects.toThrow(path);
  });

  it('void of two bytes asks what it holds, uint16 may be told, others may not', () => {
    expect(() => parseNpy(fixture('void2.npy'))).toThrow(
      expect.objectContaining({ code: 'ERR_NPY_UNSUPPORTED' }),
    );
    expect(parseNpy(fixture('void2.npy'), { dtype: 'f16' }).dtype).toBe('f16');
    expect(parseNpy(fixture('u2.npy'), { dtype: 'bf16' }).dtype).toBe('bf16');
    expect(parseNpy(fixture('f2.npy'), { dtype: 'f16' }).dtype).toBe('f16');
    expect(() => parseNpy(fixture('f4.npy'), { dtype: 'bf16' })).toThrow(
      /to be read as bf16, received '<f4'/,
    );
  });
});

describe('round trip', () => {
  const shape = fc.array(fc.nat(5), { maxLength: 5 });
  const dtype = fc.constantFrom(...(Object.keys(arrays) as NpyDtype[]));

  it('keeps type, shape and every bit, NaN patterns included', () => {
    fc.assert(
      fc.property(dtype, shape, fc.infiniteStream(fc.nat(255)), (type, lengths, random) => {
        const count = lengths.reduce((a, b) => a * b, 1);
        const data = new arrays[type](count);
        const bytes = bytesOf(data);
        for (let i = 0; i < bytes.length; i++) bytes[i] = random.next().value as number;
        const encoded = encodeNpy({ data, shape: lengths, dtype: type });
        expect((encoded.length - data.byteLength) % 64).toBe(0);
        const back = parseNpy(encoded, type === 'bf16' ? { dtype: 'bf16' } : {});
        expect(back.dtype).toBe(type);
        expect(back.shape).toEqual(lengths);
        expect(bytesOf(back.data).equals(bytes)).toBe(true);
      }),
    );
  });

  it('through a file, replacing what was there and leaving no temporary file', async () => {
    const path = join(folder, 'round.npy');
    await writeNpy(path, { data: new Float32Array(10) });
    await writeNpy(path, { data: Float64Array.of(1, 2, 3, 4, 5, 6), shape: [2, 3] });
    expect(await readNpy(path)).toEqual({
      data: Float64Array.of(1, 2, 3, 4, 5, 6),
      shape: [2, 3],
      dtype: 'f64',
      fortranOrder: false,
    });
    expect(await readdir(folder)).toEqual(['round.npy']);
  });

  it('of a view keeps to the view, wherever it starts', () => {
    const data = Float32Array.of(9, 1, 2, 9).subarray(1, 3);
    const odd = new Uint8Array(encodeNpy({ data }).length + 1);
    odd.set(encodeNpy({ data }), 1);
    expect(Array.from(parseNpy(odd.subarray(1)).data as Float32Array)).toEqual([1, 2]);
    expect(Array.from(parseNpy(encodeNpy({ data }).buffer as ArrayBuffer).data as Float32Array)).toEqual([
      1, 2,
    ]);
  });

  it('does not share memory with the bytes it was read from', () => {
    const bytes = encodeNpy({ data: Float64Array.of(1) });
    const { data } = parseNpy(bytes);
    bytes.fill(0);
    expect(data[0]).toBe(1);
  });

  it('of a header too long for numpy padding is still read', () => {
    const lengths = new Array<number>(64).fill(1);
    expect(parseNpy(encodeNpy({ data: Int8Array.of(3), shape: lengths })).shape).toEqual(lengths);
  });
});

describe('npyjs', () => {
  const exact = (bytes: Uint8Array): ArrayBuffer => bytes.slice().buffer;

  it.each(['f16', 'f32', 'f64', 'i8', 'i16', 'i32', 'i64', 'u8', 'u16', 'u32', 'u64'] as const)(
    'reads what is written here as %s',
    (dtype) => {
      const data = new arrays[dtype](6);
      bytesOf(data).set(Array.from({ length: data.byteLength }, (_, i) => i + 1));
      const read = npyjs.parse(exact(encodeNpy({ data, shape: [2, 3], dtype })), { convertFloat16: false });
      expect(read.shape).toEqual([2, 3]);
      expect(bytesOf(read.data as NpyData).equals(bytesOf(data))).toBe(true);
    },
  );

  it('writes what is read here', () => {
    const data = Float32Array.of(1, -2, 3.5, 4, 5, Infinity);
    const read = parseNpy(npyjs.dump(data, [3, 2]));
    expect(read).toEqual({ data, shape: [3, 2], dtype: 'f32', fortranOrder: false });
  });

  it('agrees on the example logits', async () => {
    const bytes = await readFile(join(__dirname, '../../examples/kjv-logits.npy'));
    const ours = parseNpy(bytes);
    expect(ours.shape).toEqual([2048, 256]);
    const theirs = npyjs.parse(exact(bytes)).data as NpyData;
    expect(bytesOf(theirs).equals(bytesOf(ours.data))).toBe(true);
    expect(Buffer.from(encodeNpy(ours)).equals(bytes)).toBe(true);
  });
});

describe('writing refuses', () => {
  const f32 = new Float32Array(6);
  it.each([
    ['shape', { data: f32, shape: [4] }, 'ERR_OUT_OF_RANGE'],
    ['shape', { data: f32, shape: [-1, -6] }, 'ERR_OUT_OF_RANGE'],
    ['shape', { data: f32, shape: [1.5, 4] }, 'ERR_OUT_OF_RANGE'],
    ['shape', { data: f32, shape: '6' as unknown as number[] }, 'ERR_INVALID_ARG_TYPE'],
    ['dtype', { data: new Uint16Array(6) }, 'ERR_INVALID_ARG_TYPE'],
    ['dtype', { data: f32, dtype: 'f128' as NpyDtype }, 'ERR_OUT_OF_RANGE'],
    ['data', { data: f32, dtype: 'f64' as NpyDtype }, 'ERR_INVALID_ARG_TYPE'],
    ['data', { data: [1, 2] as unknown as NpyData }, 'ERR_INVALID_ARG_TYPE'],
  ])('a bad %s', async (name, array, code) => {
    const failure = expect.objectContaining({ code, message: expect.stringContaining(`"${name}"`) });
    expect(() => encodeNpy(array)).toThrow(failure);
    const path = join(folder, 'never.npy');
    await expect(writeNpy(path, array)).rejects.toEqual(failure);
    await expect(readFile(path)).rejects.toMatchObject({ code: 'ENOENT' });
  });

  it('a folder that is not there, and a target that is a folder', async () => {
    await expect(writeNpy(join(folder, 'no', 'x.npy'), { data: f32 })).rejects.toMatchObject({
      code: 'ENOENT',
    });
    await expect(writeNpy(folder, { data: f32 })).rejects.toThrow(
      /expected a file name to write to, received a folder/,
    );
  });
});

describe('reading refuses', () => {
  it('a file that is not there, a folder, a device', async () => {
    await expect(readNpy(join(folder, 'none.npy'))).rejects.toMatchObject({ code: 'ENOENT' });
    await expect(readNpy(folder)).rejects.toThrow(/expected a regular file, received a folder/);
    await expect(readNpy('/dev/null')).rejects.toThrow(/expected a regular file, received a device or pipe/);
  });

  it('every file that is cut off, with a named error', async () => {
    const whole = encodeNpy({ data: Float32Array.of(1, 2, 3), shape: [3] });
    const path = join(folder, 'cut.npy');
    for (let length = 0; length < whole.length; length++) {
      const failure = expect.objectContaining({ code: 'ERR_NPY_TRUNCATED' });
      expect(() => parseNpy(whole.subarray(0, length))).toThrow(failure);
      await writeFile(path, whole.subarray(0, length));
      await expect(readNpy(path)).rejects.toEqual(failure);
      await expect(readNpy(path)).rejects.toThrow(path);
    }
  });

  it('bytes after the array, with their number', () => {
    const whole = encodeNpy({ data: Float32Array.of(1, 2, 3) });
    const longer = new Uint8Array(whole.length + 5);
    longer.set(whole);
    expect(() => parseNpy(longer, { source: 'x.npy' })).toThrow(
      'x.npy: expected 12 bytes of data for float32 of shape (3), received 17 (5 bytes follow the array)',
    );
  });

  it('what is not a byte array', () => {
    expect(() => parseNpy('x' as unknown as Uint8Array)).toThrow(
      expect.objectContaining({ code: 'ERR_INVALID_ARG_TYPE' }),
    );
  });

  it('random damage anywhere with nothing but its own errors', () => {
    const whole = encodeNpy({ data: Float32Array.of(1, 2, 3, 4), shape: [2, 2] });
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(whole.length - 1), fc.nat(255)), { minLength: 1, maxLength: 6 }),
        (hits) => {
          const bytes = whole.slice();
          for (const [at, value] of hits) bytes[at] = value;
          try {
            expect(parseNpy(bytes).data.byteLength).toBe(bytes.length - 128);
          } catch (error) {
            expect(error).toMatchObject({ name: 'NpyError' });
          }
        },
      ),
      { numRuns: 2000 },
    );
  });
});
