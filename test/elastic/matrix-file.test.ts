import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pairwiseToFile, planPairwise } from '../../lib/elastic/matrix-file.js';
import { METRICS, type MetricOptions } from '../../lib/elastic/metrics.js';
import { pairwise } from '../../lib/elastic/pairwise.js';
import { SeriesSet } from '../../lib/elastic/series.js';
import { encodeNpy, readNpy, readTs } from '../../lib/io/index.js';
import { gather, runPieces, selectPieces, type Plan } from '../../lib/pieces/index.js';
import { Philox } from '../../lib/random.js';
import { expectCleanEnding, runCode } from '../helpers/child.js';
import { expectSameBits } from '../helpers/compare.js';
import { expectArgumentError } from '../helpers/errors.js';

const archive = join(__dirname, '../fixtures/ucr');
let root: string;
let out: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'softlane-matrix-file-'));
  out = join(root, 'D.npy');
});
afterEach(() => rm(root, { recursive: true, force: true }));

/** Random series; `lengths` as SeriesSet has them. */
function randomSet(seed: number, count: number, lengths: number | number[], channels = 1): SeriesSet {
  const size = typeof lengths === 'number' ? count * lengths : lengths.reduce((a, b) => a + b, 0);
  const data = new Philox(seed).normal(new Float64Array(size * channels));
  return new SeriesSet(data, { channels, lengths });
}

async function expectAsPairwise(
  X: SeriesSet,
  Y: SeriesSet | null,
  options: MetricOptions & { tile: number; threads?: number },
): Promise<void> {
  await pairwiseToFile(X, Y, { ...options, out });
  const { data, shape } = await readNpy(out);
  expect(shape).toEqual([X.count, (Y ?? X).count]);
  expectSameBits(data, pairwise(X, Y, options), JSON.stringify(options));
}

describe('pairwiseToFile', () => {
  it.each(METRICS)('gives the bits of pairwise: %s', async (metric) => {
    const [X, Y] = [randomSet(1, 19, 20), randomSet(2, 9, 20)];
    await expectAsPairwise(X, null, { metric, tile: 7 });
    await expectAsPairwise(X, Y, { metric, tile: 8, threads: 2 });
    await expectAsPairwise(X.toFloat32(), null, { metric, tile: 5 });
    if (metric === 'squared' || metric === 'euclidean') return;
    const ragged = randomSet(3, 12, [9, 4, 12, 7, 7, 3, 15, 20, 5, 6, 8, 11], 2);
    await expectAsPairwise(ragged, null, { metric, tile: 5, windowAbs: 4 });
    const parallelogram = { metric, tile: 5, itakuraMaxSlope: 0.6 };
    if (metric !== 'ddtw' && metric !== 'wddtw') return expectAsPairwise(ragged, null, parallelogram);
    // Derivatives of series of three or four points are too short for one.
    await expect(pairwiseToFile(ragged, null, { ...parallelogram, out })).rejects.toThrow(
      /fewer than 3 points/,
    );
  });

  it('reads files: a data set of the archive', async () => {
    const [train, test] = ['TRAIN', 'TEST'].map((part) => join(archive, `PickupGestureWiimoteZ_${part}.ts`));
    const file = await pairwiseToFile(train, test, { out, metric: 'msm', tile: 16, dtype: 'f32' });
    expect(file).toEqual({ path: out, rows: 50, cols: 50, dtype: 'f32', tiles: 16, skipped: 0 });
    const [X, Y] = [(await readTs(train)).set, (await readTs(test)).set];
    expectSameBits((await readNpy(out)).data, Float32Array.from(pairwise(X, Y, { metric: 'msm' })));
  });

  it('takes gap values of several channels', async () => {
    const X = randomSet(4, 6, 10, 2);
    await expectAsPairwise(X, null, { metric: 'erp', g: Float64Array.of(0.5, -1), tile: 4 });
  });

  it('writes a block of the matrix', async () => {
    const [X, Y] = [randomSet(6, 15, 12), randomSet(7, 9, 12)];
    const blocks: [SeriesSet | null, [number, number] | undefined, [number, number] | undefined, number][] = [
      [Y, [2, 13], [4, 9], 6],
      [null, [3, 14], [3, 14], 6], // on the diagonal: symmetric
      [null, [0, 11], [5, 15], 9],
      [null, undefined, [7, 8], 4],
    ];
    for (const [y, rows, cols, tiles] of blocks) {
      const options = { metric: 'msm', rows, cols } as const;
      const made = await pairwiseToFile(X, y, { ...options, out, tile: 4 });
      const [a, b] = rows ?? [0, 15];
      const [c, d] = cols ?? [0, 15];
      expect(made).toMatchObject({ rows: b - a, cols: d - c, tiles });
      const { data, shape } = await readNpy(out);
      expect(shape).toEqual([b - a, d - c]);
      expectSameBits(data, pairwise(X, y, options), JSON.stringify(options));
    }
    await expect(pairwiseToFile(X, Y, { out, rows: [0, 16] })).rejects.toThrow(/"rows" must be a non-empty/);
    await expect(pairwiseToFile(X, Y, { out, cols: [9, 9] })).rejects.toThrow(/"cols" must be a non-empty/);
  });

  it('refuses names that are no options', async () => {
    const X = randomSet(1, 3, 10);
    const refused: [object, string, RegExp][] = [
      [{ metrik: 'msm' }, 'metrik', /there is no such option/],
      [{ loss: 'msm', gamma: 1 }, 'loss', /there is no such option/],
      [{ cutoff: 3 }, 'cutoff', /the distances of a file are computed to the end/],
    ];
    for (const [options, name, message] of refused) {
      for (const call of [
        pairwiseToFile(X, null, { ...options, out }),
        planPairwise('x', null, { ...options, out }),
      ]) {
        const error: unknown = await call.catch((e: unknown) => e);
        expectArgumentError(error, 'type', name);
        expect((error as Error).message).toMatch(message);
      }
    }
    await pairwiseToFile(X, null, { out, cutoff: undefined } as never);
    expect(await readdir(root)).toEqual(['D.npy']);
  });

  it('called twice at once gives the matrix, or says who has it', async () => {
    const X = randomSet(8, 24, 16);
    for (let round = 0; round < 5; round++) {
      const calls = [1, 2].map(() => pairwiseToFile(X, null, { out, tile: 4 }));
      const endings = await Promise.allSettled(calls);
      expect(endings.map(({ status }) => status)).toContain('fulfilled');
      for (const ending of endings)
        if (ending.status === 'rejected') expect(ending.reason).toMatchObject({ code: 'ERR_PIECE_MISSING' });
      expectSameBits((await readNpy(out)).data, pairwise(X, null));
    }
  });

  it('refuses options that do not fit before anything is written', async () => {
    const X = randomSet(1, 3, 10);
    const refused: [SeriesSet, SeriesSet | null, object, RegExp][] = [
      [X, null, { metric: 'dwt' }, /"metric"/],
      [X, null, { window: 2 }, /"window"/],
      [X, null, { c: -1 }, /"c"/],
      [X, randomSet(1, 3, 10, 2), {}, /"Y" must be of 1 channels/],
      [X, randomSet(1, 3, 10).toFloat32(), {}, /"Y" must be of float64/],
      [X, randomSet(1, 3, 9), { metric: 'euclidean' }, /"Y" must be of series of one length/],
      [randomSet(1, 3, 2), null, { metric: 'ddtw' }, /at least 3/],
    ];
    for (const [x, y, options, message] of refused)
      await expect(pairwiseToFile(x, y, { ...options, out })).rejects.toThrow(message);
    expect(await readdir(root)).toEqual([]);
  });
});

describe('planPairwise', () => {
  it('is shared out to workers', async () => {
    const train = join(archive, 'ItalyPowerDemand_TRAIN.ts');
    const plan = await planPairwise(train, null, { out, metric: 'twe', tile: 20 });
    expect(plan.pieces).toHaveLength(10);
    const { pieces } = JSON.parse(JSON.stringify(plan)) as Plan;
    for (const share of ['3/3', '1/3', '2/3']) await runPieces(selectPieces(pieces, share), { threads: 2 });
    expect(await gather(pieces)).toEqual({ path: out, rows: 67, cols: 67, dtype: 'f64' });
    const { set } = await readTs(train);
    expectSameBits((await readNpy(out)).data, pairwise(set, null, { metric: 'twe' }));
    expect(await readdir(root)).toEqual(['D.npy']);
  });
});

it.each(['cjs', 'esm'])(
  'a worker that loads softlane/pieces alone runs a piece from its queue (%s)',
  async (format) => {
    const train = join(archive, 'ItalyPowerDemand_TRAIN.ts');
    const { pieces } = await planPairwise(train, null, { out, tile: 40 });
    const code = `
    import('./dist/${format}/lib/pieces/index.js')
      .then(({ runPiece }) => runPiece(${JSON.stringify(pieces[1])}))
      .then(({ path }) => console.log(path));
  `;
    const ending = await runCode(code, { load: false });
    expectCleanEnding(ending);
    expect(ending.stdout.trim()).toBe(pieces[1].path);
    const { set } = await readTs(train);
    await runPieces(pieces);
    await gather(pieces);
    expectSameBits((await readNpy(out)).data, pairwise(set, null));
  },
);

describe('kill -9', () => {
  /** Runs a matrix of 40 series in 55 tiles, and kills itself once as many tiles as given are there. */
  const script = (killAt: number): string => `
    const { pairwiseToFile } = require('./dist/cjs/lib/elastic/matrix-file.js');
    const { existsSync, readdirSync } = require('node:fs');
    const out = ${JSON.stringify(out)};
    const folder = out + '.pieces'; // gone once all is done
    const finished = () => existsSync(folder) && readdirSync(folder).filter((name) => name.endsWith('.piece')).length;
    const onProgress = () => { if (finished() >= ${killAt}) process.kill(process.pid, 'SIGKILL'); };
    pairwiseToFile(${JSON.stringify(join(root, 'x.csv'))}, null, { out, tile: 4, metric: 'adtw', threads: 2, onProgress })
      .then(({ skipped }) => console.log(skipped));
  `;

  it('in the middle and at the end, and a rerun give the same bytes', async () => {
    const X = randomSet(9, 40, 30);
    const rows = Array.from({ length: 40 }, (_, i) => Array.from(X.series(i)).join(','));
    await writeFile(join(root, 'x.csv'), `${rows.join('\n')}\n`);
    let finished = 0;
    for (const killAt of [1, 20, 55]) {
      const { signal } = await runCode(script(killAt), { load: false });
      expect(signal).toBe('SIGKILL');
      expect(await readdir(root)).toEqual(['D.npy.pieces', 'x.csv']);
      finished = (await readdir(`${out}.pieces`)).filter((name) => name.endsWith('.piece')).length;
      expect(finished).toBeGreaterThanOrEqual(killAt);
    }
    const last = await runCode(script(Infinity), { load: false });
    expectCleanEnding(last);
    expect(Number(last.stdout)).toBe(finished);
    const expected = encodeNpy({ data: pairwise(X, null, { metric: 'adtw' }), shape: [40, 40] });
    expect((await readFile(out)).equals(expected)).toBe(true);
    expect(await readdir(root)).toEqual(['D.npy', 'x.csv']);
  });
});
