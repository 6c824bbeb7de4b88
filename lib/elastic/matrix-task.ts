/** Matrices of distances and of soft losses as calls within tasks. */
import { pairwise, pairwiseAsync } from './pairwise.js';
import type { PairwiseOptions } from './pairwise.js';
import type { SeriesSet } from './series.js';
import { softPairwise, softPairwiseAsync } from './soft.js';
import type { SoftOptions } from './soft.js';
import { call } from './task.js';
import type { Task } from './task.js';

/**
 * `pairwise` within a task.
 * @param span as for `call`
 */
export const pairwiseTask = (
  X: SeriesSet,
  Y: SeriesSet | null,
  options: PairwiseOptions,
  span?: readonly [number, number],
): Task<Float64Array> =>
  call(
    () => pairwise(X, Y, options),
    (a) => pairwiseAsync(X, Y, { ...options, ...a }),
    span,
  );

/**
 * `softPairwise` within a task.
 * @param span as for `call`
 */
export const softPairwiseTask = (
  X: SeriesSet,
  Y: SeriesSet | null,
  options: SoftOptions & { threads?: number },
  span?: readonly [number, number],
): Task<Float64Array> =>
  call(
    () => softPairwise(X, Y, options),
    (a) => softPairwiseAsync(X, Y, { ...options, ...a }),
    span,
  );
