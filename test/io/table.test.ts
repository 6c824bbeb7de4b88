import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseTable, readTable, readTs, SeriesFileError, type TableOptions } from '../../lib/io/index.js';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'softlane-table-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

/** A table as text and as a file, which must agree. */
async function read(text: string, options: TableOptions = {}, name = 'a.csv') {
  const path = join(folder, name);
  await writeFile(path, text);
  const file = await readTable(path, options);
  const parsed = parseTable(text, { source: path, ...options });
  expect(parsed).toEqual(file);
  return {
    ...file,
    series: Array.from({ length: file.set.count }, (_, i) => Array.from(file.set.series(i))),
  };
}

describe('readTable', () => {
  it('reads a .csv of values', async () => {
    const { series, labels, classes, set } = await read('1,2.5,-3e2\n.5,+1,7.\n');
    expect(series).toEqual([
      [1, 2.5, -300],
      [0.5, 1, 7],
    ]);
    expect({ labels, classes, length: set.length }).toEqual({
      labels: undefined,
      classes: undefined,
      length: 3,
    });
    expect(set.data).toBeInstanceOf(Float64Array);
  });

  it('reads a .tsv of the archive of 2018: label first, NaN at the end of the shorter', async () => {
    const { series, labels, classes } = await read(
      '2\t1\t2\tNaN\tNaN\n10\t3\t4\t5\t6\n1\t7\tNaN\tNaN\tNaN',
      {},
      'A_TRAIN.tsv',
    );
    expect(series).toEqual([[1, 2], [3, 4, 5, 6], [7]]);
    expect(labels).toEqual(['2', '10', '1']);
    expect(classes).toEqual(['1', '2', '10']);
  });

  it('agrees with the .ts file of the same data', async () => {
    const { set, labels } = await readTs(join(__dirname, '../fixtures/ucr/PickupGestureWiimoteZ_TRAIN.ts'));
    const longest = Math.max(...set.lengths);
    const rows = labels.map((label, i) =>
      [label, ...set.series(i), ...Array<number>(longest - set.lengths[i]).fill(NaN)].join('\t'),
    );
    const back = await read(rows.join('\n'), {}, 'P.tsv');
    expect(back.labels).toEqual(labels);
    expect(back.set.lengths).toEqual(set.lengths);
    expect(back.set.data).toEqual(set.data);
  });

  it('labels last, in any table; rows as long as they are; empty cells at the end', async () => {
    const { series, labels } = await read('1,2,3,a\n4,5,,b\n6,"b ""c"""\n', { label: 'last' });
    expect(series).toEqual([[1, 2, 3], [4, 5], [6]]);
    expect(labels).toEqual(['a', 'b', 'b "c"']);
  });

  it('.tsv without labels, other delimiters, CR LF, a byte order mark, blank lines', async () => {
    expect((await read('1\t2\n', { label: 'none' }, 'a.tsv')).series).toEqual([[1, 2]]);
    expect((await read('\ufeff1;2\r\n\r\n3;4\r\n', { delimiter: ';' })).series).toEqual([
      [1, 2],
      [3, 4],
    ]);
  });

  it('headers when told, and by themselves', async () => {
    const text = 'class,t0,t1\na,1,2\n';
    for (const header of [true, 'auto'] as const)
      expect((await read(text, { header, label: 'first' })).series).toEqual([[1, 2]]);
    expect((await read('1,2\n3,4\n', { header: 'auto' })).series).toHaveLength(2);
    expect((await read('0,1\n3,4\n', { header: true })).series).toEqual([[3, 4]]);
    await expect(read(text, { label: 'first' })).rejects.toThrow(
      /a\.csv:1: .*"t0" \(a header\? pass header: true\)/,
    );
  });

  it('several channels, one after the other, padded alike', async () => {
    const { set, series } = await read('1,2,NaN,4,5,NaN\n1,2,3,4,5,6\n', { channels: 2 });
    expect(series).toEqual([
      [1, 2, 4, 5],
      [1, 2, 3, 4, 5, 6],
    ]);
    expect(set).toMatchObject({ channels: 2, lengths: Int32Array.of(2, 3) });
  });

  it('float32 on request', async () => {
    expect((await read('0.1,2\n', { dtype: 'f32' })).set.data).toEqual(Float32Array.of(0.1, 2));
  });

  it.each<[string, string, TableOptions, number | undefined, SeriesFileError['code'], RegExp]>([
    ['a missing value', '1,2\n1,,3\n', {}, 2, 'ERR_SERIES_MISSING', /value 2 of channel 1/],
    ['a question mark', '1,?,3\n', {}, 1, 'ERR_SERIES_MISSING', /value 2 of channel 1/],
    [
      'padding of one channel',
      '1,NaN,3,4\n',
      { channels: 2 },
      1,
      'ERR_SERIES_MISSING',
      /value 2 of channel 1/,
    ],
    ['a row of nothing', '1,2\nNaN,NaN\n', {}, 2, 'ERR_SERIES_MISSING', /at least one value/],
    ['a word', '1,2\n\n"3","x"\n', {}, 3, 'ERR_SERIES_FORMAT', /value 2, received "x"/],
    ['a number with a unit', '1,2\n3,4 mm\n', {}, 2, 'ERR_SERIES_FORMAT', /received "4 mm"/],
    ['infinity', '1,inf\n', {}, 1, 'ERR_SERIES_FORMAT', /received "inf"/],
    ['float32 overflow', '1,1e99\n', { dtype: 'f32' }, 1, 'ERR_SERIES_FORMAT', /received "1e99"/],
    ['a label alone', '1,2\na\n', { label: 'first' }, 2, 'ERR_SERIES_FORMAT', /beside the label, received 0/],
    [
      'channels that do not divide',
      '1,2,3\n',
      { channels: 2 },
      1,
      'ERR_SERIES_FORMAT',
      /2 channels.*received 3/,
    ],
    [
      'a quote that stays open',
      '1,2\n"3,4\n',
      {},
      2,
      'ERR_SERIES_FORMAT',
      /csv-parse says: Quote Not Closed/,
    ],
    ['an empty file', '\n', {}, undefined, 'ERR_SERIES_FORMAT', /an empty file/],
    ['a header alone', 'a,b\n', { header: true }, undefined, 'ERR_SERIES_FORMAT', /a header alone/],
  ])('refuses %s', async (_, text, options, line, code, message) => {
    const path = join(folder, 'a.csv');
    await writeFile(path, text);
    const error = (await readTable(path, options).catch((e: unknown) => e)) as SeriesFileError;
    expect(error).toBeInstanceOf(SeriesFileError);
    expect({ line: error.line, code: error.code }).toEqual({ line, code });
    expect(error.message).toMatch(message);
    expect(error.message.startsWith(line === undefined ? `${path}: ` : `${path}:${line}: `)).toBe(true);
    const parse = (): unknown => parseTable(text, { ...options, source: path });
    expect(parse).toThrow(error.message);
  });

  it('refuses wrong arguments before it opens the file', async () => {
    const refused: [TableOptions, string, RegExp][] = [
      [{ delimiter: '' }, 'ERR_OUT_OF_RANGE', /"delimiter"/],
      [{ delimiter: '"' }, 'ERR_OUT_OF_RANGE', /"delimiter"/],
      [{ delimiter: 1 as never }, 'ERR_INVALID_ARG_TYPE', /"delimiter"/],
      [{ label: 'second' as never }, 'ERR_OUT_OF_RANGE', /"label" must be one of 'first', 'last', 'none'/],
      [{ header: 1 as never }, 'ERR_INVALID_ARG_TYPE', /"header"/],
      [{ channels: 0 }, 'ERR_OUT_OF_RANGE', /"channels"/],
      [{ dtype: 'f16' as never }, 'ERR_OUT_OF_RANGE', /"dtype"/],
    ];
    for (const [options, code, message] of refused) {
      const error: unknown = await readTable(join(folder, 'none.csv'), options).catch((e: unknown) => e);
      expect(error).toMatchObject({ code });
      expect((error as Error).message).toMatch(message);
    }
    await expect(readTable(join(folder, 'none.csv'))).rejects.toMatchObject({ code: 'ENOENT' });
    await expect(readTable(folder)).rejects.toThrow(`${folder}: expected a file, received a folder`);
    expect(() => parseTable(3 as never)).toThrow(/"text" must be a string/);
  });

  it('stops on a signal, before and during', async () => {
    const path = join(folder, 'big.csv');
    await writeFile(path, '1,2,3,4,5,6,7,8\n'.repeat(100_000));
    const reason = new Error('enough');
    await expect(readTable(path, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
    const controller = new AbortController();
    const reading = readTable(path, { signal: controller.signal });
    setImmediate(() => controller.abort(reason));
    await expect(reading).rejects.toBe(reason);
  });
});
