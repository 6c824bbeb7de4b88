/**
 * The elastic kernels on fixed inputs, for `verify`.
 */
import { Philox } from '../random.js';
import { METRICS } from './metrics.js';
import { nearest } from './nearest.js';
import { pairwise } from './pairwise.js';
import { SeriesSet } from './series.js';
import { SOFT_LOSSES, softLossBatch } from './soft.js';
import { subsequenceSearch } from './subsequence.js';

/** A kernel's name, and its results with so many threads. */
export type ElasticKernel = [name: string, run: (threads: number) => ArrayBufferView[]];

function walks(
  count: number,
  shortest: number,
  longest: number,
  channels: number,
  stream: number,
): SeriesSet {
  const random = new Philox(1_906_2017, stream);
  const lengths = Array.from({ length: count }, (_, i) => shortest + ((i * 7) % (longest - shortest + 1)));
  const data = new Float64Array(lengths.reduce((a, b) => a + b, 0) * channels);
  random.uniform(data, -1, 1);
  for (let i = 1; i < data.length; i++) data[i] = 0.8 * data[i - 1] + data[i];
  return new SeriesSet(data, { channels, lengths });
}

/** Every distance and loss on lanes and on single pairs, with and without bands, and the searches. */
export function elasticKernels(): ElasticKernel[] {
  const equal = [walks(21, 37, 37, 1, 1), walks(18, 37, 37, 1, 2)];
  const ragged = [walks(9, 20, 41, 2, 3), walks(19, 20, 41, 2, 4)];
  const list: ElasticKernel[] = [];
  for (const metric of METRICS) {
    const pointwise = metric === 'squared' || metric === 'euclidean';
    list.push([
      `pairwise ${metric}`,
      (threads) => [
        pairwise(equal[0], equal[1], { metric, reach: 2, threads }),
        pairwise(equal[0].toFloat32(), null, { metric, reach: 2, window: 0.2, threads }),
        ...(pointwise ? [] : [pairwise(ragged[0], ragged[1], { metric, reach: 2, windowAbs: 9, threads })]),
      ],
    ]);
  }
  const first = (set: SeriesSet, count: number) => set.subset(Array.from({ length: count }, (_, i) => i));
  for (const loss of SOFT_LOSSES) {
    const results = (x: SeriesSet, y: SeriesSet, threads: number) => {
      const { values, dX, dY } = softLossBatch(x, y, { loss, gamma: 0.3, grad: true, threads });
      return [values, dX, dY].filter((part) => part !== undefined);
    };
    list.push([
      `soft ${loss}`,
      (threads) => [
        ...results(first(equal[0], 18), equal[1], threads),
        ...results(first(equal[0], 1).toFloat32(), equal[1].toFloat32(), threads),
        ...results(ragged[0], first(ragged[1], 9), threads),
      ],
    ]);
  }
  list.push(
    [
      'nearest dtw',
      (threads) => {
        const { index, distance } = nearest(equal[0], equal[1], { window: 0.1, k: 3, threads });
        return [index, distance];
      },
    ],
    [
      'subsequenceSearch',
      (threads) => {
        const query = equal[0].series(0);
        const options = { zNormalize: true, window: 0.1, k: 3, threads };
        const { position, distance } = subsequenceSearch(query, ragged[1].data, options);
        return [position, distance];
      },
    ],
  );
  return list;
}
