/** k-means of time series under a hard elastic distance, with the barycentre of that distance as the mean. */
import * as check from '../check.js';
import { averagingOf, barycenterTask, requireHard } from './barycenter.js';
import type { AveragingOptions } from './barycenter.js';
import { Clusterer } from './estimator.js';
import { lloyd, lloydOf } from './lloyd.js';
import type { LloydOptions, LloydResult, LloydRules } from './lloyd.js';
import { pairwiseTask } from './matrix-task.js';
import type { MetricOptions } from './metrics.js';
import { inClassOf, readOptions, requireCodes, requireField, smallestOfRows, without } from './model.js';
import type { Kinds } from './model.js';
import type { SeriesSet } from './series.js';
import type { Task } from './task.js';

/** The options of Lloyd's iteration and of its averages; all others are those of the distance. */
export const LLOYD_ONLY = ['k', 'init', 'restarts', 'maxIter', 'tol', 'seed', 'averaging'] as const;

/** A clustering by Lloyd's iteration, whatever its distance and its average. */
export abstract class LloydClusterer<O extends LloydOptions & { channels?: number }> extends Clusterer<
  O,
  LloydResult
> {
  protected readonly kinds: Kinds = {
    centers: 'set',
    labels: 'int32',
    inertia: 'number',
    iterations: 'number',
    converged: 'boolean',
  };

  protected abstract readonly rules: LloydRules;

  /** The k centres, in the class of the series that they come from. */
  get centers(): SeriesSet {
    return this.learned.centers;
  }

  protected get channels(): number | undefined {
    return this.fitted?.centers.channels ?? this.options.channels;
  }

  protected override restore(json: unknown): this {
    super.restore(json);
    if (this.fitted === undefined) return this;
    const { centers, labels } = this.fitted;
    const { k } = this.options;
    requireField('centers', centers.count === k, `${k} series, as options.k says`, centers.count);
    requireCodes('labels', labels, k);
    return this;
  }

  protected fitTask(X: SeriesSet): Task<LloydResult> {
    return lloyd(X, this.options, this.rules);
  }

  protected *predictTask(X: SeriesSet): Task<Int32Array> {
    const { centers } = this.learned;
    return smallestOfRows(yield* this.rules.distances(inClassOf(centers, X), centers), centers.count).at;
  }
}

/** Options of TimeSeriesKMeans. */
export interface TimeSeriesKMeansOptions extends LloydOptions, Omit<MetricOptions, 'root'> {
  /** How the clusters are averaged; each average starts at the present centre. Defaults as for barycenter. */
  averaging?: Omit<AveragingOptions, 'init' | 'weights' | 'seed'>;
  /** Threads of each call, at least 1. Default 1. The result does not depend on it. */
  threads?: number;
}

/**
 * k-means: series are assigned to the nearest of k centres, the first of equals; centres become the barycentres of their
 * series; until no label changes. An empty cluster gets the series farthest from its centre. The same for any number
 * of threads; another seed may give another result, as for every k-means.
 *
 * @example
 * const model = new TimeSeriesKMeans({ k: 3, metric: 'msm' }).fit(train);
 * model.predict(test);
 */
export class TimeSeriesKMeans extends LloydClusterer<TimeSeriesKMeansOptions> {
  protected readonly modelName = 'TimeSeriesKMeans';
  protected readonly rules: LloydRules;

  /** @throws TypeError, RangeError for bad options, soft losses and metrics that have no average */
  constructor(options: TimeSeriesKMeansOptions) {
    super(check.options(options));
    const o = this.options;
    requireHard(o, 'SoftKMeans');
    lloydOf(o);
    const averaging = check.options(o.averaging);
    const metric = without(o, ...LLOYD_ONLY);
    averagingOf({ ...averaging, ...metric });
    const distances = (X: SeriesSet, Y: SeriesSet): Task<Float64Array> => pairwiseTask(X, Y, metric, [0, 1]);
    this.rules = {
      distances,
      seedDistances: (X, i) => distances(X, X.subset([i])),
      *average(members, center) {
        const { channels } = members;
        return (yield* barycenterTask(members, { ...averaging, ...metric, channels, init: center }))
          .barycenter;
      },
    };
  }

  /** The model whose toJSON gave this. @throws TypeError, RangeError for other JSON, naming the field */
  static fromJSON(json: unknown): TimeSeriesKMeans {
    return new TimeSeriesKMeans(readOptions('TimeSeriesKMeans', json)).restore(json);
  }
}
