import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readSeries, SeriesFileError, writeNpy, type NpyInput } from '../../lib/io/index.js';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'softlane-series-file-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

async function npy(array: NpyInput): Promise<string> {
  const path = join(folder, 'a.npy');
  await writeNpy(path, array);
  return path;
}

describe('readSeries', () => {
  it('.ts with labels, classes and a name', async () => {
    const file = await readSeries(join(__dirname, '../fixtures/ucr/BasicMotions_TRAIN.ts'));
    expect(file).toMatchObject({
      name: 'BasicMotions',
      classes: ['Standing', 'Running', 'Walking', 'Badminton'],
      set: { count: 40, channels: 6, length: 100 },
    });
    expect(file.labels).toHaveLength(40);
  });

  it('.ts without labels has none', async () => {
    const path = join(folder, 'a.TS');
    await writeFile(path, '@data\n1,2\n');
    expect(Object.keys(await readSeries(path)).sort()).toEqual(['name', 'set']);
  });

  it('.csv and .tsv with their options', async () => {
    const [csv, tsv] = [join(folder, 'a.csv'), join(folder, 'a.tsv')];
    await writeFile(csv, '1,2,a\n');
    await writeFile(tsv, 'a\t1\t2\n');
    const [first, second] = [await readSeries(csv, { label: 'last' }), await readSeries(tsv)];
    expect(first).toEqual(second);
    expect(first).toMatchObject({ labels: ['a'], classes: ['a'], set: { data: Float64Array.of(1, 2) } });
  });

  it('.npy [count, length] and [count, channels, length], in its own float type', async () => {
    const data = Float32Array.from({ length: 12 }, (_, i) => i);
    const flat = await readSeries(await npy({ data, shape: [3, 4] }));
    expect(flat.set).toMatchObject({ count: 3, channels: 1, length: 4, data });
    expect(Object.keys(flat)).toEqual(['set']);
    const deep = await readSeries(await npy({ data, shape: [3, 2, 2] }));
    expect(deep.set).toMatchObject({ count: 3, channels: 2, length: 2, data });
    const wide = await readSeries(await npy({ data, shape: [3, 4] }), { dtype: 'f64' });
    expect(wide.set.data).toEqual(Float64Array.from(data));
    const ints = await readSeries(await npy({ data: Int16Array.of(1, -2, 3, 4), shape: [2, 2] }));
    expect(ints.set.data).toEqual(Float64Array.of(1, -2, 3, 4));
    const narrow = await readSeries(await npy({ data: Float64Array.of(0.1, 2), shape: [1, 2] }), {
      dtype: 'f32',
    });
    expect(narrow.set.data).toEqual(Float32Array.of(0.1, 2));
  });

  it('.npy padded by NaN holds series of unequal length', async () => {
    const data = Float64Array.of(1, 2, NaN, 3, 4, NaN, 5, 6, 7, 8, 9, 10);
    const { set } = await readSeries(await npy({ data, shape: [2, 2, 3] }));
    expect(set.lengths).toEqual(Int32Array.of(2, 3));
    expect(set.data).toEqual(Float64Array.of(1, 2, 3, 4, 5, 6, 7, 8, 9, 10));
  });

  it('.npy of one axis is one series', async () => {
    const { set } = await readSeries(await npy({ data: Float64Array.of(1, 2, 4) }));
    expect([set.count, set.channels, ...set.data]).toEqual([1, 1, 1, 2, 4]);
  });

  it.each<[string, NpyInput, SeriesFileError['code'], RegExp]>([
    [
      'four axes',
      { data: Float64Array.of(1), shape: [1, 1, 1, 1] },
      'ERR_SERIES_UNSUPPORTED',
      /\(1, 1, 1, 1\)/,
    ],
    ['no series', { data: new Float64Array(0), shape: [0, 3] }, 'ERR_SERIES_UNSUPPORTED', /\(0, 3\)/],
    [
      'float16',
      { data: new Uint16Array(2), shape: [1, 2], dtype: 'f16' },
      'ERR_SERIES_UNSUPPORTED',
      /received f16/,
    ],
    ['int64', { data: new BigInt64Array(2), shape: [1, 2] }, 'ERR_SERIES_UNSUPPORTED', /received i64/],
    [
      'NaN in between',
      { data: Float64Array.of(1, 2, NaN, 3), shape: [2, 2] },
      'ERR_SERIES_MISSING',
      /series 1.*NaN before the end/,
    ],
    [
      'NaN alone',
      { data: Float64Array.of(NaN, NaN, 1, 3), shape: [2, 2] },
      'ERR_SERIES_MISSING',
      /series 0.*NaN alone/,
    ],
    [
      'infinity',
      { data: Float64Array.of(1, Infinity), shape: [1, 2] },
      'ERR_SERIES_FORMAT',
      /series 0.*received Infinity/,
    ],
  ])('refuses .npy of %s', async (_, array, code, message) => {
    const path = await npy(array);
    const error = (await readSeries(path).catch((e: unknown) => e)) as SeriesFileError;
    expect(error).toBeInstanceOf(SeriesFileError);
    expect(error.code).toBe(code);
    expect(error.message).toMatch(message);
    expect(error.message.startsWith(`${path}: `)).toBe(true);
  });

  it('refuses other extensions, folders, and what is not there', async () => {
    const path = join(folder, 'a.txt');
    await writeFile(path, '1,2\n');
    await expect(readSeries(path)).rejects.toThrow(/named \.ts, \.csv, \.tsv or \.npy, received \.txt/);
    const bare = join(folder, 'bare');
    await writeFile(bare, '1,2\n');
    await expect(readSeries(bare)).rejects.toThrow(/received no extension/);
    await expect(readSeries(folder)).rejects.toThrow(/received a folder/);
    await expect(readSeries(join(folder, 'none.ts'))).rejects.toMatchObject({ code: 'ENOENT' });
    await expect(readSeries(3 as never)).rejects.toMatchObject({ code: 'ERR_INVALID_ARG_TYPE' });
  });

  it('stops on a signal', async () => {
    const reason = new Error('enough');
    const path = await npy({ data: Float64Array.of(1), shape: [1, 1] });
    await expect(readSeries(path, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
  });
});
