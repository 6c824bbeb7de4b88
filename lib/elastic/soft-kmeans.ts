/** k-means of time series under a soft loss, with its barycentre as the mean. */
import * as check from '../check.js';
import { LLOYD_ONLY, LloydClusterer } from './kmeans.js';
import { lloydOf } from './lloyd.js';
import type { LloydOptions, LloydRules } from './lloyd.js';
import { softPairwiseTask } from './matrix-task.js';
import { readOptions, without } from './model.js';
import type { SeriesSet } from './series.js';
import { requireSoft, softAveragingOf, softBarycenterTask } from './soft-barycenter.js';
import type { SoftAveragingOptions } from './soft-barycenter.js';
import type { SoftOptions } from './soft.js';
import type { Task } from './task.js';

/** Options of SoftKMeans. */
export interface SoftKMeansOptions extends LloydOptions, SoftOptions {
  /** How the clusters are averaged; each average starts at the present centre. Defaults as for softBarycenter. */
  averaging?: Omit<SoftAveragingOptions, 'init' | 'weights' | 'seed'>;
  /** Threads of each call, at least 1. Default 1. The result does not depend on it. */
  threads?: number;
}

/**
 * k-means with a soft loss: series are assigned to the centre of the smallest loss, the first of equals; centres become
 * the soft barycentres of their series. The inertia is a sum of losses and may be negative. Seeds are drawn by the
 * divergence, which is 0 for equal series, with what is below 0 counted as 0.
 *
 * @example
 * const model = new SoftKMeans({ k: 3, loss: 'msm', gamma: 0.1 }).fit(train);
 */
export class SoftKMeans extends LloydClusterer<SoftKMeansOptions> {
  protected readonly modelName = 'SoftKMeans';
  protected readonly rules: LloydRules;

  /** @throws TypeError, RangeError for bad options and hard metrics */
  constructor(options: SoftKMeansOptions) {
    super(check.options(options));
    const o = this.options;
    requireSoft(o, 'TimeSeriesKMeans');
    lloydOf(o);
    const averaging = check.options(o.averaging);
    const loss: SoftOptions & { threads?: number } = without(o, ...LLOYD_ONLY);
    softAveragingOf({ ...averaging, ...loss });
    const losses = (X: SeriesSet, Y: SeriesSet, changes?: SoftOptions): Task<Float64Array> =>
      softPairwiseTask(X, Y, { ...loss, ...changes }, [0, 1]);
    this.rules = {
      distances: losses,
      *seedDistances(X, i) {
        const divergences = yield* losses(X, X.subset([i]), { divergence: true });
        return divergences.map((each) => Math.max(each, 0));
      },
      *average(members, center) {
        const { channels } = members;
        const options = { ...averaging, ...loss, channels, init: center };
        return (yield* softBarycenterTask(members, options)).barycenter;
      },
    };
  }

  /** The model whose toJSON gave this. @throws TypeError, RangeError for other JSON, naming the field */
  static fromJSON(json: unknown): SoftKMeans {
    return new SoftKMeans(readOptions('SoftKMeans', json)).restore(json);
  }
}
