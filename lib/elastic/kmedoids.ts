/** k-medoids of time series: the matrix of distances by the kernels, the medoids by `pam.ts`. */
import * as check from '../check.js';
import { requireHard } from './barycenter.js';
import { Clusterer } from './estimator.js';
import { pairwiseTask } from './matrix-task.js';
import type { MetricOptions } from './metrics.js';
import { inClassOf, readOptions, requireCodes, requireField, smallestOfRows, without } from './model.js';
import type { Kinds } from './model.js';
import { medoidOptions, medoidsTask } from './pam.js';
import type { KMedoidsMatrixOptions, KMedoidsResult } from './pam.js';
import type { SeriesSet } from './series.js';
import { part } from './task.js';
import type { Task } from './task.js';

/** Options of KMedoids: those of kMedoids and of the metric. */
export interface KMedoidsOptions extends KMedoidsMatrixOptions, MetricOptions {
  /** Threads of each call, at least 1. Default 1. The result does not depend on it. */
  threads?: number;
}

interface Learned extends KMedoidsResult {
  centers: SeriesSet;
}

/**
 * k-medoids: the k series of the set itself that are nearest to all. It works under every metric, also those that have
 * no average, and holds the count x count matrix of distances while it fits.
 *
 * @example
 * const model = new KMedoids({ k: 3, metric: 'twe' }).fit(train);
 * model.medoids; // indices into train
 */
export class KMedoids extends Clusterer<KMedoidsOptions, Learned> {
  protected readonly modelName = 'KMedoids';
  protected readonly kinds: Kinds = {
    centers: 'set',
    medoids: 'uint32',
    labels: 'int32',
    inertia: 'number',
    iterations: 'number',
    converged: 'boolean',
  };

  readonly #metric: MetricOptions & { threads?: number };

  /** @throws TypeError, RangeError for bad options and soft losses (kMedoids takes their matrices) */
  constructor(options: KMedoidsOptions) {
    super(check.options(options));
    requireHard(this.options, 'kMedoids on their matrix');
    medoidOptions(this.options);
    this.#metric = without(this.options, 'k', 'method', 'init', 'maxIter', 'seed');
  }

  /** The medoids, copies of the series. */
  get centers(): SeriesSet {
    return this.learned.centers;
  }

  /** Indices of the medoids in the training set, ascending. */
  get medoids(): Uint32Array {
    return this.learned.medoids;
  }

  protected get channels(): number | undefined {
    return this.fitted?.centers.channels ?? this.options.channels;
  }

  protected *fitTask(X: SeriesSet): Task<Learned> {
    const matrix = yield* pairwiseTask(X, null, this.#metric, [0, 0.9]);
    const found = yield* part(medoidsTask(matrix, X.count, this.options), [0.9, 1]);
    return { ...found, centers: X.subset(found.medoids) };
  }

  protected *predictTask(X: SeriesSet): Task<Int32Array> {
    const { centers } = this.learned;
    const matrix = yield* pairwiseTask(inClassOf(centers, X), centers, this.#metric, [0, 1]);
    return smallestOfRows(matrix, centers.count).at;
  }

  protected override restore(json: unknown): this {
    super.restore(json);
    if (this.fitted === undefined) return this;
    const { centers, labels, medoids } = this.fitted;
    const { k } = this.options;
    requireField('centers', centers.count === k, `${k} series, as options.k says`, centers.count);
    requireField('medoids', medoids.length === k, `${k} indices, as options.k says`, medoids);
    requireCodes('labels', labels, k);
    requireCodes('medoids', medoids, labels.length);
    const stray = medoids.findIndex((medoid, m) => labels[medoid] !== m);
    requireField(
      'labels',
      stray < 0,
      `such that medoid ${stray} is of its own cluster`,
      labels[medoids[stray]],
    );
    return this;
  }

  /** The model whose toJSON gave this. @throws TypeError, RangeError for other JSON, naming the field */
  static fromJSON(json: unknown): KMedoids {
    return new KMedoids(readOptions('KMedoids', json)).restore(json);
  }
}
