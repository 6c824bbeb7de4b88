/**
 * The readers of binary files against damaged and invented ones: every call gives a sound value or an error of a named
 * code, in bounded memory. What is read never reaches outside the file: a value's bytes are among those of the file.
 */
import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { CheckpointError, NpyError, openNpy, openSafetensors, parseNpy } from '../../lib/io/index.js';
import { FLASH_FIXTURES } from '../helpers/flash-fixtures.js';
import { safetensorsBytes } from '../helpers/safetensors.js';

let folder: string;
let path: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'softlane-fuzz-'));
  path = join(folder, 'file');
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const RUNS = { numRuns: 400 };
/** More than any of the files here needs by far. */
const MOST_MEMORY = 64e6;

/** Damage to a file: bytes changed, a piece cut out or doubled, an end cut off or added. */
const damage = fc.oneof(
  fc.record({
    kind: fc.constant('set' as const),
    places: fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 4 }),
  }),
  fc.record({ kind: fc.constant('cut' as const), at: fc.nat(), count: fc.integer({ min: 1, max: 40 }) }),
  fc.record({ kind: fc.constant('double' as const), at: fc.nat(), count: fc.integer({ min: 1, max: 40 }) }),
  fc.record({ kind: fc.constant('end' as const), at: fc.nat() }),
  fc.record({ kind: fc.constant('grow' as const), bytes: fc.uint8Array({ minLength: 1, maxLength: 20 }) }),
);
type Damage = typeof damage extends fc.Arbitrary<infer T> ? T : never;

/** Places are biased to the first 200 bytes, where the header is. */
function damaged(bytes: Uint8Array, what: Damage): Uint8Array {
  const place = (at: number): number => at % (at % 3 === 0 ? bytes.length : Math.min(200, bytes.length));
  if (what.kind === 'set') {
    const copy = Uint8Array.from(bytes);
    for (const [at, value] of what.places) copy[place(at)] = value;
    return copy;
  }
  if (what.kind === 'end') return bytes.slice(0, place(what.at));
  if (what.kind === 'grow') return Buffer.concat([bytes, what.bytes]);
  const at = place(what.at);
  const piece = what.kind === 'double' ? bytes.subarray(at, at + what.count) : new Uint8Array();
  const rest = bytes.subarray(what.kind === 'cut' ? at + what.count : at);
  return Buffer.concat([bytes.subarray(0, at), piece, rest]);
}

/** The value, or undefined where the call failed with an error of this class. */
async function soundly<T>(
  call: () => T | Promise<T>,
  kind: typeof CheckpointError | typeof NpyError,
): Promise<T | undefined> {
  const before = process.memoryUsage().arrayBuffers;
  try {
    return await call();
  } catch (error) {
    if (!(error instanceof kind)) throw error;
    expect(error.code).toMatch(/^ERR_(BAD_CHECKPOINT|NPY_\w+)$/);
    expect(error.message).toMatch(/expected [^]*, received /);
    expect(error.message.length).toBeLessThan(2000);
    return undefined;
  } finally {
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(MOST_MEMORY);
  }
}

/** Reads all that a file offers; returns how many bytes of tensors it has. */
async function readAll(bytes: Uint8Array): Promise<number | undefined> {
  await writeFile(path, bytes);
  return soundly(async () => {
    const file = await openSafetensors(path);
    try {
      let total = 0;
      for (const [name, { shape, dtype, bytes: size }] of Object.entries(file.tensors)) {
        expect(await file.readBytes(name, 0, size)).toHaveLength(size);
        if (['F32', 'F64', 'F16', 'BF16'].includes(dtype))
          expect(await file.read(name)).toHaveLength(shape.reduce((a, b) => a * b, 1));
        total += size;
      }
      return total;
    } finally {
      await file.close();
    }
  }, CheckpointError);
}

describe('safetensors', () => {
  const seeds = ['good', 'good-unordered', 'good-empty', 'good-padded'].map((name) =>
    readFileSync(join(FLASH_FIXTURES, 'bad-safetensors', `${name}.safetensors`)),
  );

  it('damaged files', async () => {
    let [accepted, refused] = [0, 0];
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...seeds), fc.array(damage, { maxLength: 2 }), async (seed, all) => {
        const bytes = all.reduce(damaged, seed);
        const total = await readAll(bytes);
        if (total === undefined) refused++;
        else accepted++;
        // Header and data together are the file.
        if (total !== undefined)
          expect(8 + Number(Buffer.from(bytes).readBigUInt64LE()) + total).toBe(bytes.length);
      }),
      RUNS,
    );
    // Both ends of the property were met.
    expect(Math.min(accepted, refused)).toBeGreaterThan(20);
  });

  it('invented headers', async () => {
    const integer = fc.oneof(
      fc.integer({ min: 0, max: 9 }),
      fc.constantFrom(-1, 0.5, 2 ** 31, 2 ** 32, 2 ** 53 - 1, 2 ** 53, 2 ** 63, 1e300),
    );
    const some = <T>(sound: fc.Arbitrary<T>): fc.Arbitrary<unknown> =>
      fc.oneof({ weight: 8, arbitrary: sound }, { weight: 1, arbitrary: fc.jsonValue() });
    const tensor = fc.record(
      {
        dtype: some(fc.constantFrom('F32', 'BF16', 'F64', 'U8', 'F4', 'I64', 'BOOL')),
        shape: some(fc.array(integer, { maxLength: 4 })),
        data_offsets: some(fc.tuple(integer, integer)),
      },
      { requiredKeys: ['dtype', 'shape'] },
    );
    const header = fc.dictionary(
      fc.oneof(fc.string(), fc.constantFrom('__metadata__', '__proto__', 'a')),
      some(tensor),
    );
    const length = fc.option(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), { freq: 6 });
    await fc.assert(
      fc.asyncProperty(some(header), fc.nat(64), length, async (value, size, claimed) => {
        await readAll(safetensorsBytes(JSON.stringify(value), size, claimed ?? undefined));
      }),
      RUNS,
    );
  });

  it('sound headers, made up: always read', async () => {
    const tensor = fc.record({
      dtype: fc.constantFrom<[string, number]>(['F32', 4], ['BF16', 2], ['F64', 8], ['U8', 1]),
      shape: fc.array(fc.integer({ min: 0, max: 3 }), { maxLength: 3 }),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(tensor, { maxLength: 5 }), fc.nat(9), async (all, spaces) => {
        let at = 0;
        const entries = all.map(({ dtype: [dtype, size], shape }, i) => {
          const begin = at;
          at += shape.reduce((a, b) => a * b, size);
          return [`t${i}`, { dtype, shape, data_offsets: [begin, at] }] as const;
        });
        const text = JSON.stringify(Object.fromEntries(entries.reverse())) + ' '.repeat(spaces);
        expect(await readAll(safetensorsBytes(text, at))).toBe(at);
      }),
      { numRuns: 100 },
    );
  });

  it('damaged indexes of shards', async () => {
    const shard = safetensorsBytes('{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}', 4);
    await writeFile(join(folder, 'a.safetensors'), shard);
    const index = join(folder, 'x.index.json');
    const seed = Buffer.from('{"metadata":{},"weight_map":{"a":"a.safetensors"}}');
    await fc.assert(
      fc.asyncProperty(damage, async (what) => {
        await writeFile(index, damaged(seed, what));
        await soundly(async () => (await openSafetensors(index)).close(), CheckpointError);
      }),
      RUNS,
    );
  });
});

describe('npy', () => {
  const fixtures = join(__dirname, '../fixtures/npy');
  const seeds = ['f4.npy', 'fortran-4d-big.npy'].map((name) => readFileSync(join(fixtures, name)));

  /** Both readers; they must agree. */
  async function readBoth(bytes: Uint8Array): Promise<boolean> {
    const whole = await soundly(() => parseNpy(bytes), NpyError);
    await writeFile(path, bytes);
    const opened = await soundly(async () => {
      const file = await openNpy(path);
      try {
        return await file.readRows(0, file.rows);
      } finally {
        await file.close();
      }
    }, NpyError);
    expect(opened).toEqual(whole?.data);
    if (whole) {
      expect(whole.data).toHaveLength(whole.shape.reduce((a, b) => a * b, 1));
      expect(whole.data.byteLength).toBeLessThan(bytes.length);
    }
    return whole !== undefined;
  }

  it('damaged files', async () => {
    let [accepted, refused] = [0, 0];
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...seeds), fc.array(damage, { maxLength: 2 }), async (seed, all) => {
        if (await readBoth(all.reduce(damaged, seed))) accepted++;
        else refused++;
      }),
      RUNS,
    );
    expect(Math.min(accepted, refused)).toBeGreaterThan(20);
  });

  it('invented headers', async () => {
    const piece = fc.oneof(
      fc.constantFrom("'descr': '<f4'", "'fortran_order': False", "'fortran_order': True"),
      fc.constantFrom("'shape': (1,)", "'shape': ()", "'shape': (0, 99999999999999999999)", "'shape': (-1,)"),
      fc.constantFrom(
        "'descr': '|O'",
        "'descr': '<f16'",
        "'descr': [('a', '<f4')]",
        "'shape': (4294967296, 4294967296)",
      ),
      fc
        .array(fc.constantFrom('(', ')', '[', ']', '{', '}', ',', "'", '1', 'L', '\\', ' '), {
          maxLength: 40,
        })
        .map((all) => all.join('')),
    );
    const header = fc.array(piece, { minLength: 2, maxLength: 4 }).map((pieces) => `{${pieces.join(', ')}}`);
    const version = fc.constantFrom(0, 1, 2, 3, 4);
    await fc.assert(
      fc.asyncProperty(
        header,
        version,
        fc.nat(16),
        fc.option(fc.nat(2 ** 32 - 1)),
        async (text, major, size, claimed) => {
          const prefix = Buffer.from([0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, major, 0, 0, 0, 0, 0]);
          const length = claimed ?? text.length;
          if (major === 1) prefix.writeUInt16LE(length % 65536, 8);
          else prefix.writeUInt32LE(length, 8);
          const start = prefix.subarray(0, major === 1 ? 10 : 12);
          await readBoth(Buffer.concat([start, Buffer.from(text), Buffer.alloc(size)]));
        },
      ),
      RUNS,
    );
  });

  it('claims of gigabytes cost no memory', async () => {
    const text = "{'descr': '<f4', 'fortran_order': True, 'shape': (65536, 65536), }";
    const prefix = Buffer.from([0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, 1, 0, text.length, 0]);
    expect(await readBoth(Buffer.concat([prefix, Buffer.from(text), Buffer.alloc(64)]))).toBe(false);
  });
});
