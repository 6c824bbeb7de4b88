import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { SeriesSet } from '../../lib/elastic/series.js';
import { parseTs, readTs, SeriesFileError, writeTs } from '../../lib/io/index.js';

const archive = join(__dirname, '../fixtures/ucr');
let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'softlane-ts-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

/** The cases of a file by string operations alone. */
async function plainly(path: string): Promise<{ label: string; channels: number[][] }[]> {
  const lines = (await readFile(path, 'utf8')).split(/\r?\n/);
  return lines
    .slice(lines.indexOf('@data') + 1)
    .filter((line) => line.trim() !== '')
    .map((line) => {
      const parts = line.split(':');
      return {
        label: parts[parts.length - 1],
        channels: parts.slice(0, -1).map((p) => p.split(',').map(Number)),
      };
    });
}

describe('the data sets of the archive', () => {
  it.each([
    ['ArrowHead', 36, 175, 1, 251, ['0', '1', '2']],
    ['BasicMotions', 40, 40, 6, 100, ['Standing', 'Running', 'Walking', 'Badminton']],
    ['GunPoint', 50, 150, 1, 150, ['1', '2']],
    ['ItalyPowerDemand', 67, 1029, 1, 24, ['1', '2']],
    ['PickupGestureWiimoteZ', 50, 50, 1, null, ['1', '2', '3', '4', '5', '6', '7', '8', '9', '10']],
  ])('%s', async (name, train, test, channels, length, classes) => {
    for (const [part, count] of [
      ['TRAIN', train],
      ['TEST', test],
    ] as const) {
      const path = join(archive, `${name}_${part}.ts`);
      const file = await readTs(path);
      expect(file).toMatchObject({ name, channels, classes, equalLength: length !== null });
      expect(file.set).toMatchObject({ count, channels, length });
      const cases = await plainly(path);
      expect(file.labels).toEqual(cases.map((each) => each.label));
      cases.forEach((each, i) => expect(Array.from(file.set.series(i))).toEqual(each.channels.flat()));
    }
  });

  it('have unequal lengths where they say so', async () => {
    const { set } = await readTs(join(archive, 'PickupGestureWiimoteZ_TRAIN.ts'));
    expect([Math.min(...set.lengths), Math.max(...set.lengths)]).toEqual([29, 361]);
  });

  it('come as float32 when asked for', async () => {
    const path = join(archive, 'GunPoint_TRAIN.ts');
    const [single, double] = [await readTs(path, { dtype: 'f32' }), await readTs(path)];
    expect(single.set.data).toEqual(Float32Array.from(double.set.data));
  });
});

describe('what a header may say', () => {
  const data = (head: string, cases: string): string => `@problemName x\n${head}\n@data\n${cases}`;

  it('nothing of classes: no labels', () => {
    const file = parseTs(data('@classLabel false', '1,2,3\n4,5,6\n'));
    expect(file).toMatchObject({ name: 'x', channels: 1, equalLength: true, labels: [], classes: [] });
    expect(Array.from(file.set.data)).toEqual([1, 2, 3, 4, 5, 6]);
  });

  it('a target instead of classes', () => {
    const file = parseTs(data('@targetLabel true', '1,2:0.5\n3,4:-1e3\n'));
    expect(file.labels).toEqual(['0.5', '-1e3']);
    expect(file.classes).toEqual([]);
  });

  it('keys in any case, CR LF, blank lines, comments between cases, a byte order mark, unknown keys', () => {
    const text =
      '\ufeff# one\r\n\r\n@PROBLEMNAME two words\r\n@ClassLabel TRUE a b\r\n@recorded 2019\r\n@DATA\r\n' +
      ' 1 , 2 : a \r\n# three\r\n\r\n3,4:b';
    const file = parseTs(text);
    expect(file).toMatchObject({ name: 'two words', labels: ['a', 'b'], classes: ['a', 'b'] });
    expect(Array.from(file.set.data)).toEqual([1, 2, 3, 4]);
  });

  it('@equalLength false of equal lengths: the lengths decide', () => {
    expect(parseTs(data('@equalLength false\n@classLabel false', '1\n2')).equalLength).toBe(true);
  });
});

describe('what is refused, with its line', () => {
  const head = '@classLabel true a b';
  it.each<[string, string, number | undefined, SeriesFileError['code'], RegExp]>([
    [
      'a missing value',
      `${head}\n@data\n1,2:a\n3,?,5:b`,
      4,
      'ERR_SERIES_MISSING',
      /value 2 of channel 1.*missing value "\?"/,
    ],
    ['NaN', `${head}\n@data\n1,NaN:a`, 3, 'ERR_SERIES_MISSING', /missing value "NaN"/],
    [
      'an empty value',
      `${head}\n@data\n1,,2:a`,
      3,
      'ERR_SERIES_FORMAT',
      /finite number as value 2 .*received ""/,
    ],
    ['infinity', `${head}\n@data\n1,Infinity:a`, 3, 'ERR_SERIES_FORMAT', /received "Infinity"/],
    ['overflow', `${head}\n@data\n1,1e999:a`, 3, 'ERR_SERIES_FORMAT', /received "1e999"/],
    ['a hexadecimal number', `${head}\n@data\n0x10:a`, 3, 'ERR_SERIES_FORMAT', /received "0x10"/],
    ['a word', `${head}\n@data\n1,two:a`, 3, 'ERR_SERIES_FORMAT', /received "two"/],
    [
      'time stamps by the header',
      `@timeStamps true\n@data\n`,
      1,
      'ERR_SERIES_UNSUPPORTED',
      /timeStamps false/,
    ],
    [
      'time stamps by the data',
      `${head}\n@data\n(0,1),(1,2):a`,
      3,
      'ERR_SERIES_UNSUPPORTED',
      /\(time, value\) pairs/,
    ],
    ['an ARFF file', '@relation x\n@attribute y', 1, 'ERR_SERIES_UNSUPPORTED', /ARFF/],
    ['an unknown class', `${head}\n@data\n1:c`, 3, 'ERR_SERIES_FORMAT', /classes "a", "b", received "c"/],
    ['no label', `${head}\n@data\n1,2`, 3, 'ERR_SERIES_FORMAT', /without ":"/],
    ['classes without names', '@classLabel true\n@data\n', 1, 'ERR_SERIES_FORMAT', /names of the classes/],
    ['classes and a target', `${head}\n@targetLabel true\n@data`, 3, 'ERR_SERIES_FORMAT', /received both/],
    [
      'a switch that is neither',
      '@univariate maybe\n@data\n',
      1,
      'ERR_SERIES_FORMAT',
      /"@univariate true" or/,
    ],
    [
      'a number that is none',
      '@dimensions two\n@data\n',
      1,
      'ERR_SERIES_FORMAT',
      /positive integer after "@dimensions"/,
    ],
    [
      'a length of 0',
      '@seriesLength 0\n@data\n',
      1,
      'ERR_SERIES_FORMAT',
      /positive integer after "@seriesLength"/,
    ],
    [
      'univariate of two dimensions',
      '@univariate true\n@dimensions 2\n@data',
      3,
      'ERR_SERIES_FORMAT',
      /one dimension/,
    ],
    [
      'univariate, two channels',
      `@univariate true\n${head}\n@data\n1:2:a`,
      4,
      'ERR_SERIES_FORMAT',
      /1 channels.*received 2/,
    ],
    [
      'another number of channels',
      `${head}\n@data\n1:2:a\n\n1:a`,
      5,
      'ERR_SERIES_FORMAT',
      /2 channels.*received 1/,
    ],
    [
      'fewer than declared',
      `@dimensions 3\n${head}\n@data\n1:2:a`,
      4,
      'ERR_SERIES_FORMAT',
      /3 channels.*received 2/,
    ],
    [
      'channels of unequal length',
      `${head}\n@data\n1,2:3:a`,
      3,
      'ERR_SERIES_FORMAT',
      /2 values in channel 2.*received 1/,
    ],
    [
      'another length than declared',
      `@equalLength true\n@seriesLength 3\n${head}\n@data\n1,2:a`,
      5,
      'ERR_SERIES_FORMAT',
      /3 values.*received 2/,
    ],
    [
      'unequal lengths said to be equal',
      `@equalLength true\n${head}\n@data\n1,2:a\n1:b`,
      5,
      'ERR_SERIES_FORMAT',
      /2 values.*received 1/,
    ],
    ['data before @data', '1,2,3\n', 1, 'ERR_SERIES_FORMAT', /header line.*received "1,2,3"/],
    ['no @data', '@univariate true\n', undefined, 'ERR_SERIES_FORMAT', /"@data", received the end/],
    ['no series', `${head}\n@data\n# none\n`, undefined, 'ERR_SERIES_FORMAT', /at least one series/],
    ['nothing', '', undefined, 'ERR_SERIES_FORMAT', /"@data"/],
  ])('%s', async (_, text, line, code, message) => {
    const error = (await Promise.resolve()
      .then(() => parseTs(text, { source: 'a.ts' }))
      .catch((e: unknown) => e)) as SeriesFileError;
    expect(error).toBeInstanceOf(SeriesFileError);
    expect(error).toMatchObject({ name: 'SeriesFileError', code, line });
    expect(error.message).toMatch(message);
    expect(error.message.startsWith(line === undefined ? 'a.ts: ' : `a.ts:${line}: `)).toBe(true);
    // The same from a file.
    const path = join(folder, 'a.ts');
    await writeFile(path, text);
    const fromFile = (await readTs(path).catch((e: unknown) => e)) as SeriesFileError;
    expect(fromFile.message).toBe(error.message.replace('a.ts', path));
  });

  it('values finite in float64 and not in float32', () => {
    const text = '@classLabel false\n@data\n1,1e200';
    expect(parseTs(text).set.data[1]).toBe(1e200);
    expect(() => parseTs(text, { dtype: 'f32' })).toThrow(/received "1e200"/);
  });

  it('files that are not there, folders, wrong arguments', async () => {
    await expect(readTs(join(folder, 'none.ts'))).rejects.toMatchObject({ code: 'ENOENT' });
    await expect(readTs(folder)).rejects.toThrow(`${folder}: expected a file, received a folder`);
    await expect(readTs(1 as never)).rejects.toMatchObject({ code: 'ERR_INVALID_ARG_TYPE' });
    await expect(readTs('a.ts', { dtype: 'f16' as never })).rejects.toMatchObject({
      code: 'ERR_OUT_OF_RANGE',
    });
    await expect(readTs('a.ts', { signal: {} as never })).rejects.toMatchObject({
      code: 'ERR_INVALID_ARG_TYPE',
    });
    expect(() => parseTs(new Uint8Array(3) as never)).toThrow(/"text" must be a string/);
  });

  it('stops on a signal', async () => {
    const reason = new Error('enough');
    await expect(
      readTs(join(archive, 'GunPoint_TRAIN.ts'), { signal: AbortSignal.abort(reason) }),
    ).rejects.toBe(reason);
  });
});

describe('long files', () => {
  it('lines longer than a chunk, and characters across its border', async () => {
    const values = Float64Array.from({ length: 300_000 }, (_, i) => Math.sin(i));
    const text = `# ${'é'.repeat(1 << 20)}\n@classLabel true é\n@data\n${values.join(',')}:é\n`;
    const path = join(folder, 'long.ts');
    await writeFile(path, text);
    const file = await readTs(path);
    expect(file.labels).toEqual(['é']);
    expect(file.set.data).toEqual(values);
  });
});

describe('writeTs', () => {
  const finite = fc.double({ noNaN: true, noDefaultInfinity: true });
  const sets = fc
    .tuple(
      fc.integer({ min: 1, max: 3 }),
      fc.array(fc.integer({ min: 1, max: 7 }), { minLength: 1, maxLength: 5 }),
    )
    .chain(([channels, lengths]) => {
      const size = lengths.reduce((sum, n) => sum + n * channels, 0);
      return fc
        .array(finite, { minLength: size, maxLength: size })
        .map((values) => new SeriesSet(Float64Array.from(values), { channels, lengths }));
    });

  it('brings back every bit', async () => {
    const path = join(folder, 'round.ts');
    await fc.assert(
      fc.asyncProperty(sets, fc.boolean(), async (set, hasLabels) => {
        const labels = Array.from({ length: set.count }, (_, i) => `c${i % 2}`);
        await writeTs(path, { set, labels: hasLabels ? labels : undefined, name: 'a b', comment: 'x\ny' });
        const back = await readTs(path);
        expect(back).toMatchObject({ name: 'a b', channels: set.channels, labels: hasLabels ? labels : [] });
        expect(back.set.lengths).toEqual(set.lengths);
        expect(back.set.data).toEqual(set.data); // toEqual tells 0 from -0
      }),
      { numRuns: 60 },
    );
    expect(await readdir(folder)).toEqual(['round.ts']);
  });

  it('writes what is read elsewhere: the archive, again', async () => {
    const file = await readTs(join(archive, 'BasicMotions_TRAIN.ts'));
    const path = join(folder, 'again.ts');
    await writeTs(path, file);
    const { set, ...rest } = await readTs(path);
    expect(rest).toEqual({
      name: file.name,
      channels: 6,
      equalLength: true,
      labels: file.labels,
      classes: file.classes,
    });
    expect(set.data).toEqual(file.set.data);
    expect((await readFile(path, 'utf8')).split('\n').slice(0, 8)).toEqual([
      '@problemName BasicMotions',
      '@timeStamps false',
      '@missing false',
      '@univariate false',
      '@dimensions 6',
      '@equalLength true',
      '@seriesLength 100',
      '@classLabel true Standing Running Walking Badminton',
    ]);
  });

  it('sorts classes by number where all are numbers', async () => {
    const set = new SeriesSet(Float64Array.of(1, 2, 3), { lengths: 1 });
    const path = join(folder, 'a.ts');
    await writeTs(path, { set, labels: ['10', '9', '-1'] });
    expect((await readTs(path)).classes).toEqual(['-1', '9', '10']);
  });

  it('refuses what the format cannot hold', async () => {
    const set = new SeriesSet(Float64Array.of(1, 2), { lengths: 1 });
    const path = join(folder, 'a.ts');
    const refused: [object, string, RegExp][] = [
      [{ set: [1] }, 'ERR_INVALID_ARG_TYPE', /"set"/],
      [{ set, labels: ['a'] }, 'ERR_OUT_OF_RANGE', /"labels" must be one for each of the 2 series/],
      [{ set, labels: ['a', 'b c'] }, 'ERR_OUT_OF_RANGE', /"labels".*'b c'/],
      [{ set, labels: ['a', ''] }, 'ERR_OUT_OF_RANGE', /"labels"/],
      [{ set, labels: ['a', 1] }, 'ERR_INVALID_ARG_TYPE', /"labels"/],
      [{ set, labels: ['a', 'b'], classes: ['a'] }, 'ERR_OUT_OF_RANGE', /"classes".*"b"/],
      [{ set, name: 'a\nb' }, 'ERR_OUT_OF_RANGE', /"name"/],
      [{ set, name: 3 }, 'ERR_INVALID_ARG_TYPE', /"name"/],
      [{ set, comment: 3 }, 'ERR_INVALID_ARG_TYPE', /"comment"/],
    ];
    for (const [input, code, message] of refused) {
      const error: unknown = await writeTs(path, input as never).catch((e: unknown) => e);
      expect(error).toMatchObject({ code });
      expect((error as Error).message).toMatch(message);
    }
    expect(await readdir(folder)).toEqual([]);
  });
});
