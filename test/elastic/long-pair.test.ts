/** Promise forms of one pair: the same numbers, progress to 1, and an abort in the middle. */
import {
  alignmentPath,
  alignmentPathAsync,
  costMatrix,
  costMatrixAsync,
  distance,
  distanceAsync,
  softDistance,
  softDistanceAsync,
  softDistanceGrad,
  softDistanceGradAsync,
} from '../../lib/elastic/index.js';
import { Philox } from '../../lib/random.js';

function series(length: number, stream: number): Float64Array {
  const x = new Float64Array(length);
  new Philox(11, stream).uniform(x, -1, 1);
  return x;
}

const x = series(900, 1);
const y = series(1100, 2);

test('promises give what the blocking forms give', async () => {
  expect(await distanceAsync(x, y, { metric: 'twe' })).toBe(distance(x, y, { metric: 'twe' }));
  expect(await costMatrixAsync(x, y, { window: 0.2 })).toEqual(costMatrix(x, y, { window: 0.2 }));
  expect(await alignmentPathAsync(x, y, { metric: 'msm' })).toEqual(alignmentPath(x, y, { metric: 'msm' }));
  const soft = { loss: 'msm', gamma: 0.5, divergence: true } as const;
  expect(await softDistanceAsync(x, y, soft)).toBe(softDistance(x, y, soft));
  expect(await softDistanceGradAsync(x, y, soft)).toEqual(softDistanceGrad(x, y, soft));
});

test('arguments are refused by rejection', async () => {
  await expect(distanceAsync(x, new Float64Array(0))).rejects.toMatchObject({ code: 'ERR_OUT_OF_RANGE' });
  await expect(softDistanceGradAsync(x, y, { gamma: 0 })).rejects.toMatchObject({ code: 'ERR_OUT_OF_RANGE' });
});

test('progress rises to 1', async () => {
  const long = series(12_000, 3);
  const shares: number[] = [];
  await distanceAsync(long, long, { metric: 'msm', onProgress: (done) => shares.push(done) });
  expect(shares.at(-1)).toBe(1);
  expect(shares.every((share, i) => share >= 0 && share <= 1 && (i === 0 || share >= shares[i - 1]))).toBe(
    true,
  );
});

test('an abort stops a pair that would take minutes', async () => {
  // 200,000 x 200,000 cells: only a loop that looks at the signal ends within the time of a test.
  const long = series(200_000, 4);
  const controller = new AbortController();
  const pending = distanceAsync(long, long, { metric: 'msm', signal: controller.signal });
  setTimeout(() => controller.abort(), 20);
  await expect(pending).rejects.toMatchObject({ name: 'AbortError' });
});
