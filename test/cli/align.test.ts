import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inflateSync } from 'node:zlib';
import { alignmentPath, costMatrix } from '../../lib/elastic/distance.js';
import type { MetricOptions } from '../../lib/elastic/metrics.js';
import { expectDrawing, marksOf } from '../helpers/svg.js';
import { ucr } from '../helpers/ucr.js';
import { dataSet, json, printed, refused } from './elastic.js';

interface Aligned {
  distance: number;
  lengths: number[];
  path: number[][];
}

const guns = dataSet('GunPoint', 'TRAIN');
const { series } = ucr('GunPoint', 'TRAIN');

let svg: string;
let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'softlane-align-'));
  svg = join(folder, 'F.svg');
});
afterEach(() => rm(folder, { recursive: true, force: true }));

function pathOf(i: number, j: number, options: MetricOptions): { distance: number; path: number[][] } {
  const { distance, path } = alignmentPath(series[i], series[j], options);
  const steps = path as Uint32Array;
  return {
    distance,
    path: Array.from({ length: steps.length / 2 }, (_, s) => [steps[2 * s], steps[2 * s + 1]]),
  };
}

describe('softlane align', () => {
  it.each([
    [['--window', '0.1'], { window: 0.1 }],
    [['--metric', 'msm', '--c', '0.1'], { metric: 'msm', c: 0.1 }],
    [['--metric', 'lcss', '--epsilon', '0.2'], { metric: 'lcss', epsilon: 0.2 }],
  ] as const)('%j: distance and path are those of the library', async (flags, options) => {
    const found = await json<Aligned>('align', guns, '2', '7', ...flags);
    expect(found).toMatchObject({ lengths: [150, 150], ...pathOf(2, 7, options) });
  });

  it('counts the points of a path on derivatives as those of the series', async () => {
    const { path } = await json<Aligned>('align', guns, '2', '7', '--metric', 'ddtw');
    expect([path[0], path[path.length - 1]]).toEqual([
      [1, 1],
      [148, 148],
    ]);
    expect(path).toEqual(pathOf(2, 7, { metric: 'ddtw' }).path.map(([i, j]) => [i + 1, j + 1]));
  });

  it('prints the path, and draws the series, the matches and the path on the costs', async () => {
    const text = await printed('align', guns, '0', '1', '--window', '0.1', '--plot', svg);
    const { distance, path } = pathOf(0, 1, { window: 0.1 });
    expect(text).toBe(
      `GunPoint_TRAIN.ts: series 0 and 1, dtw, window 0.1: distance ${Number(distance.toPrecision(6))}, ${path.length} steps\n` +
        `${path.map((step) => step.join(':')).join(' ')}\nwritten: ${svg}\n`,
    );
    const drawing = await readFile(svg, 'utf8');
    expectDrawing(drawing, [
      `GunPoint_TRAIN.ts: series 0 and 1, dtw, window 0.1, distance ${Number(distance.toPrecision(6))}`,
      'series 0',
      'series 1',
      'time point',
      'time point of series 0',
      'time point of series 1',
      'accumulated cost',
    ]);
    expect(marksOf(drawing, 'rule mark')).toHaveLength(120);
    // Two series; the path and the white line beneath it.
    expect(marksOf(drawing, 'line mark')).toHaveLength(4);
    expectPicture(drawing, costMatrix(series[0], series[1], { window: 0.1 }).data);
  });

  it.each([
    ['BasicMotions', ['--metric', 'shapeDtw'], 'squared difference', 6],
    ['PickupGestureWiimoteZ', ['--metric', 'adtw', '--penalty', '0.1'], 'accumulated cost', 1],
  ])('draws %s %j', async (name, flags, title, channels) => {
    await printed('align', dataSet(name, 'TRAIN'), '0', '5', ...flags, '--plot', svg);
    const drawing = await readFile(svg, 'utf8');
    expectDrawing(drawing, [title, 'series 0', 'series 5']);
    expect(marksOf(drawing, 'line mark')).toHaveLength(2 * channels + 2);
  });

  it('refuses what cannot be aligned with one line', async () => {
    expect(await refused(1, 'align', guns, '0', '50')).toContain(
      'expected indices of its 50 series, below 50, received 50',
    );
    expect(await refused(2, 'align', guns, '0', '-1')).toContain(
      "'-1' is invalid for argument 'J'. It must be an integer >= 0.",
    );
    expect(await refused(1, 'align', guns, '0', '1', '--metric', 'sbd')).toContain(
      '"metric" must be one with a path',
    );
  });
});

/** Fails unless the picture of a matrix of 150 x 150 has its first row at the bottom, and grey where there is no path. */
function expectPicture(drawing: string, costs: Float64Array): void {
  const png = Buffer.from(/data:image\/png;base64,([\w+/=]+)/.exec(drawing)?.[1] ?? '', 'base64');
  expect(png.subarray(1, 4).toString()).toBe('PNG');
  expect([png.readUInt32BE(16), png.readUInt32BE(20)]).toEqual([150, 150]);
  const begin = png.indexOf('IDAT') + 4;
  const pixels = inflateSync(png.subarray(begin, begin + png.readUInt32BE(begin - 8)));
  const isGrey = Uint8Array.from(costs, (_, at) => {
    const [row, col] = [Math.floor(at / 150), at % 150];
    const pixel = (149 - row) * 451 + 1 + 3 * col;
    return Number([0, 1, 2].every((channel) => pixels[pixel + channel] === 0xdd));
  });
  expect(isGrey).toEqual(Uint8Array.from(costs, (cost) => Number(cost === Infinity)));
}
