import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import {
  openSafetensors,
  writeSafetensors,
  type SafetensorsData,
  type SafetensorsDtype,
  type TensorInput,
} from '../../lib/io/index.js';
import { expectRejected } from '../helpers/refused.js';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'softlane-safetensors-writer-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const f32 = (...values: number[]): TensorInput => ({
  dtype: 'F32',
  shape: [values.length],
  data: Float32Array.from(values),
});

/** Everything in a checkpoint: dtype, shape and bytes by name. */
async function contents(path: string): Promise<Record<string, [string, readonly number[], number[]]>> {
  const file = await openSafetensors(path);
  const all: Record<string, [string, readonly number[], number[]]> = {};
  for (const [name, { dtype, shape, bytes }] of Object.entries(file.tensors))
    all[name] = [dtype, shape, Array.from(await file.readBytes(name, 0, bytes))];
  await file.close();
  return all;
}

describe('writeSafetensors', () => {
  it('writes what the reader gives back, any dtype and shape', async () => {
    const path = join(folder, 'model.safetensors');
    const kinds: [SafetensorsDtype, (n: number) => SafetensorsData | Uint8Array][] = [
      ['F32', (n) => new Float32Array(n)],
      ['F64', (n) => new Float64Array(n)],
      ['BF16', (n) => new Uint16Array(n)],
      ['F16', (n) => new Uint16Array(n)],
      ['I64', (n) => new Uint8Array(8 * n)],
      ['BOOL', (n) => new Uint8Array(n)],
    ];
    const tensor = fc
      .record({
        kind: fc.constantFrom(...kinds),
        shape: fc.array(fc.integer({ min: 0, max: 4 }), { maxLength: 3 }),
        seed: fc.integer({ min: 0, max: 255 }),
      })
      .map(({ kind: [dtype, make], shape, seed }): TensorInput => {
        const data = make(shape.reduce((a, b) => a * b, 1));
        new Uint8Array(data.buffer).forEach((_, i, bytes) => (bytes[i] = i * 31 + seed));
        return { dtype, shape, data };
      });
    const tensors = fc.uniqueArray(fc.tuple(fc.string(), tensor), {
      selector: ([name]) => name,
      maxLength: 6,
    });
    const metadata = fc.dictionary(fc.string(), fc.string(), { maxKeys: 2 });
    await fc.assert(
      fc.asyncProperty(tensors, metadata, async (entries, metadata) => {
        const written = new Map(entries.filter(([name]) => name !== '__metadata__'));
        expect(await writeSafetensors(path, written, { metadata })).toEqual([path]);
        const expected = [...written].map(([name, { dtype, shape, data }]) => [
          name,
          [dtype, shape, Array.from(new Uint8Array((data as Uint8Array).buffer))],
        ]);
        const found = Object.entries(await contents(path));
        expect(new Map(found)).toEqual(new Map(expected as typeof found));
        const file = await openSafetensors(path);
        await file.close();
        expect(Object.entries(file.metadata).sort()).toEqual(Object.entries(metadata).sort());
      }),
      { numRuns: 60 },
    );
  });

  it('aligns the data of every tensor', async () => {
    const path = join(folder, 'aligned.safetensors');
    await writeSafetensors(path, {
      byte: { dtype: 'U8', shape: [3], data: Uint8Array.of(1, 2, 3) },
      half: { dtype: 'BF16', shape: [1], data: Uint16Array.of(5) },
      double: { dtype: 'F64', shape: [], data: Float64Array.of(7) },
    });
    const bytes = await readFile(path);
    const length = Number(bytes.readBigUInt64LE());
    expect(length % 8).toBe(0);
    const header = JSON.parse(bytes.subarray(8, 8 + length).toString()) as Record<
      string,
      { data_offsets: number[] }
    >;
    expect(header.double.data_offsets).toEqual([0, 8]);
    expect(header.half.data_offsets).toEqual([8, 10]);
    expect(header.byte.data_offsets).toEqual([10, 13]);
  });

  it('streams from functions, so that a checkpoint can be copied in bounded memory', async () => {
    const [from, to] = ['from.safetensors', 'to.safetensors'].map((name) => join(folder, name));
    const values = Float32Array.from({ length: 10_000 }, (_, i) => i);
    const odd = { dtype: 'I8', shape: [5], data: Uint8Array.of(1, 2, 3, 4, 5) } as const;
    await writeSafetensors(from, { w: { dtype: 'F32', shape: [100, 100], data: values }, odd });
    const source = await openSafetensors(from);
    const copies = Object.entries(source.tensors).map(([name, { dtype, shape }]): [string, TensorInput] => [
      name,
      { dtype, shape, data: () => source.chunks(name, 1000) },
    ]);
    await writeSafetensors(to, new Map(copies));
    await source.close();
    expect(await readFile(to)).toEqual(await readFile(from));
  });

  it('cuts into shards of bounded size with an index, and never a tensor', async () => {
    const path = join(folder, 'model.safetensors');
    await writeFile(path, 'an older one');
    const tensors = { a: f32(1, 2), b: f32(3), c: f32(4, 5, 6, 7), d: f32(8) };
    const files = await writeSafetensors(path, tensors, { maxShardBytes: 12, metadata: { format: 'pt' } });
    const names = [1, 2, 3].map((i) => `model-0000${i}-of-00003.safetensors`);
    expect(files).toEqual([...names, 'model.safetensors.index.json'].map((name) => join(folder, name)));
    expect((await readdir(folder)).sort()).toEqual([...names, 'model.safetensors.index.json']);
    const index = JSON.parse(await readFile(`${path}.index.json`, 'utf8')) as unknown;
    expect(index).toEqual({
      metadata: { total_size: 32 },
      weight_map: { a: names[0], b: names[0], c: names[1], d: names[2] },
    });
    const file = await openSafetensors(folder);
    expect(await file.read('c')).toEqual(Float32Array.of(4, 5, 6, 7));
    expect(file.metadata).toEqual({ format: 'pt' });
    await file.close();

    // The other way round: a checkpoint of one file takes the place of the shards.
    await writeSafetensors(path, { a: f32(9) });
    const single = await openSafetensors(folder);
    expect(Object.keys(single.tensors)).toEqual(['a']);
    await single.close();
    expect(await readdir(folder)).not.toContain('model.safetensors.index.json');
  });

  it('leaves the old file where a source fails or gives another number of bytes', async () => {
    const path = join(folder, 'model.safetensors');
    await writeSafetensors(path, { a: f32(1) });
    const before = await readFile(path);
    const sources: [string, () => Iterable<Float32Array>][] = [
      ['more', () => [new Float32Array(2), new Float32Array(1)]],
      ['less', () => [new Float32Array(1)]],
    ];
    for (const [, data] of sources)
      await expectRejected(
        () => writeSafetensors(path, { w: { dtype: 'F32', shape: [2], data } }),
        'range',
        'tensors.w.data',
      );
    const failing = (): never => {
      throw new Error('no more');
    };
    const failed = writeSafetensors(path, { w: { dtype: 'F32', shape: [2], data: failing } });
    await expect(failed).rejects.toThrow('no more');
    expect(await readFile(path)).toEqual(before);
    expect(await readdir(folder)).toEqual(['model.safetensors']);
  });

  it('an interrupted run over an older checkpoint leaves no index', async () => {
    const path = join(folder, 'model.safetensors');
    await writeSafetensors(path, { a: f32(1, 2), b: f32(3, 4) }, { maxShardBytes: 8 });
    const broken: TensorInput = { dtype: 'F32', shape: [2], data: () => [] };
    const run = writeSafetensors(path, { a: f32(5, 6), b: broken }, { maxShardBytes: 8 });
    await expect(run).rejects.toThrow('tensors.b.data');
    await expect(openSafetensors(folder)).rejects.toMatchObject({ code: 'ERR_BAD_CHECKPOINT' });
  });

  it('refuses what the format cannot hold before anything is written', async () => {
    const path = join(folder, 'none.safetensors');
    const data = new Float32Array(2);
    const bad: [unknown, 'type' | 'range', string][] = [
      [{ w: { dtype: 'f32', shape: [2], data } }, 'range', 'tensors.w.dtype'],
      [{ w: { dtype: 'F32', shape: 2, data } }, 'type', 'tensors.w.shape'],
      [{ w: { dtype: 'F32', shape: [-2], data } }, 'range', 'tensors.w.shape'],
      [{ w: { dtype: 'F32', shape: [2 ** 30, 2 ** 30], data } }, 'range', 'tensors.w.shape'],
      [{ w: { dtype: 'F4', shape: [3], data: new Uint8Array(2) } }, 'range', 'tensors.w.shape'],
      [{ w: { dtype: 'F32', shape: [3], data } }, 'range', 'tensors.w.data'],
      [{ w: { dtype: 'F64', shape: [2], data } }, 'type', 'tensors.w.data'],
      [{ w: { dtype: 'I8', shape: [2], data } }, 'type', 'tensors.w.data'],
      [{ __metadata__: { dtype: 'F32', shape: [2], data } }, 'range', 'tensors'],
      [{ w: data }, 'range', 'tensors.w.dtype'],
      [{ w: null }, 'type', 'tensors.w'],
      [null, 'type', 'tensors'],
    ];
    for (const [tensors, kind, name] of bad)
      await expectRejected(() => writeSafetensors(path, tensors as never), kind, name);
    await expectRejected(
      () => writeSafetensors(path, {}, { metadata: { a: 1 } as never }),
      'type',
      'metadata.a',
    );
    await expectRejected(() => writeSafetensors(path, {}, { maxShardBytes: 0 }), 'range', 'maxShardBytes');
    await expectRejected(() => writeSafetensors(1 as never, {}), 'type', 'path');
    expect(await readdir(folder)).toEqual([]);
    await mkdir(path);
    await expect(writeSafetensors(path, {})).rejects.toMatchObject({ syscall: 'rename' });
  });
});
