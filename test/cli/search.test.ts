import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { subsequenceSearch } from '../../lib/elastic/subsequence.js';
import { writeNpy } from '../../lib/io/npy.js';
import { Philox } from '../../lib/random.js';
import { ucr } from '../helpers/ucr.js';
import { dataSet, json, printed, refused } from './elastic.js';

interface Searched {
  lengths: { query: number; stream: number };
  matches: { position: number; distance: number }[];
}

const guns = dataSet('GunPoint', 'TRAIN');
const query = ucr('GunPoint', 'TRAIN').series[7];
/** A random walk that is longer than what is read at a time, with the query in it twice, once stretched in height. */
const LENGTH = 2 ** 20 + 5000;
const PLACES = [1500, 2 ** 20 - 70];

let folder: string;
let npy: string;
let stream: Float32Array;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'softlane-search-'));
  npy = join(folder, 'stream.npy');
  const steps = new Philox(7).normal(new Float64Array(LENGTH));
  let at = 0;
  stream = Float32Array.from(steps, (step) => (at = 0.99 * at + step));
  stream.set(query, PLACES[0]);
  stream.set(
    query.map((value) => 5 * value + 3),
    PLACES[1],
  );
  await writeNpy(npy, { data: stream });
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe('softlane search', () => {
  it('finds the matches of the library in a file that it reads in parts', async () => {
    const flags = ['--query', '7', '--k', '4', '--znorm', '--window', '0.05'];
    const found = await json<Searched>('search', guns, npy, ...flags);
    const expected = subsequenceSearch(query, Float64Array.from(stream), {
      k: 4,
      window: 0.05,
      zNormalize: true,
    });
    expect(found.lengths).toEqual({ query: 150, stream: LENGTH });
    expect(found.matches).toEqual(
      Array.from(expected.position, (position, i) => ({ position, distance: expected.distance[i] })),
    );
    expect(
      found.matches
        .slice(0, 2)
        .map(({ position }) => position)
        .sort((a, b) => a - b),
    ).toEqual(PLACES);
  });

  it('prints and writes the matches of a short stream, one number a line', async () => {
    const [csv, out] = [join(folder, 'stream.csv'), join(folder, 'matches.csv')];
    await writeFile(csv, [...stream.subarray(1000, 3000)].join('\n'));
    const text = await printed('search', guns, csv, '--query', '7', '--window-abs', '5', '-o', out);
    expect(text).toMatch(
      /^150 points in 2000, dtw, windowAbs 5, .* s\n\nmatch +position +distance\n +1 +500 +\S+\n/,
    );
    expect(await readFile(out, 'utf8')).toMatch(/^position,distance\n500,\S+\n$/);
  });

  it('refuses with one line what is no query or no stream', async () => {
    expect(await refused(2, 'search', guns, npy)).toContain(
      'expected one series, received 50: choose with --query',
    );
    expect(await refused(2, 'search', guns, npy, '--query', '50')).toContain('--query must be below 50');
    expect(await refused(1, 'search', npy, guns, '--series', '0')).toContain(
      'expected at least the 1053576 points',
    );
    expect(await refused(1, 'search', dataSet('BasicMotions', 'TRAIN'), npy)).toContain(
      'of one channel, received 6',
    );
    const bad = join(folder, 'bad.npy');
    const withNaN = stream.slice();
    withNaN[LENGTH - 3] = NaN;
    await writeNpy(bad, { data: withNaN });
    expect(await refused(1, 'search', guns, bad, '--query', '7')).toContain(
      `bad.npy: expected finite numbers, received NaN at index ${LENGTH - 3}`,
    );
  });
});
