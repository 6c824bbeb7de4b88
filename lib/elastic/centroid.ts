/** Nearest-centroid classification: one barycentre per class, under a hard elastic distance or a soft loss. */
import * as check from '../check.js';
import { averagingOf, barycenterTask } from './barycenter.js';
import type { BarycenterOptions, BarycenterResult } from './barycenter.js';
import { Classifier } from './estimator.js';
import type { Classification } from './estimator.js';
import { pairwiseTask, softPairwiseTask } from './matrix-task.js';
import type { MetricOptions } from './metrics.js';
import { inClassOf, readOptions, requireClasses, requireField, smallestOfRows, without } from './model.js';
import type { Classes, Kinds } from './model.js';
import { SeriesSet } from './series.js';
import { softAveragingOf, softBarycenterTask } from './soft-barycenter.js';
import type { SoftBarycenterOptions } from './soft-barycenter.js';
import type { SoftLoss } from './soft.js';
import { part } from './task.js';
import type { Task } from './task.js';

/** Centroids under a hard distance; the options of barycenter. */
export interface HardCentroidOptions extends Omit<BarycenterOptions, 'weights' | 'onIteration'> {
  loss?: undefined;
}

/** Centroids under a soft loss; the options of softBarycenter. */
export interface SoftCentroidOptions extends Omit<SoftBarycenterOptions, 'weights' | 'onIteration'> {
  loss: SoftLoss;
}

/** Options of NearestCentroidClassifier: a soft loss where `loss` is given, else a metric. */
export type NearestCentroidOptions = HardCentroidOptions | SoftCentroidOptions;

interface Learned extends Classification {
  centroids: SeriesSet;
  objectives: Float64Array;
}

/**
 * Each class has one centroid, the barycentre of its series; a series gets the class of the nearest, the first of equals.
 * With metric 'euclidean' that is the classifier by class means.
 *
 * @example
 * const model = new NearestCentroidClassifier({ loss: 'msm', gamma: 0.1, maxIter: 100, tol: 1e-3 }).fit(train, labels);
 * model.predict(test);
 */
export class NearestCentroidClassifier extends Classifier<NearestCentroidOptions, Learned> {
  protected readonly modelName = 'NearestCentroidClassifier';
  protected readonly kinds: Kinds = { centroids: 'set', classes: 'labels', objectives: 'float64' };

  /** @throws TypeError, RangeError for bad options and for options of both kinds together */
  constructor(options: NearestCentroidOptions = {}) {
    super(check.options(options));
    const o = this.options;
    if ('weights' in o)
      throw check.rangeError('weights', 'absent: series of a class count alike', 'an option');
    if ('onIteration' in o)
      throw check.rangeError('onIteration', 'absent: each class is averaged by itself', 'an option');
    if (o.loss === undefined) averagingOf(without(o, 'loss'));
    else softAveragingOf(o);
  }

  /** One centroid per class, in the order of `classes`. */
  get centroids(): SeriesSet {
    return this.learned.centroids;
  }

  /** Of each centroid the sum of the distances of its class to it, which its average made small. */
  get objectives(): Float64Array {
    return this.learned.objectives;
  }

  protected get channels(): number | undefined {
    return this.fitted?.centroids.channels ?? this.options.channels;
  }

  protected override restore(json: unknown): this {
    super.restore(json);
    if (this.fitted === undefined) return this;
    const { centroids, classes, objectives } = this.fitted;
    requireClasses(classes);
    const isEach = centroids.count === classes.length;
    requireField('centroids', isEach, `${classes.length} series, one per class`, centroids.count);
    const isValued = objectives.length === classes.length;
    requireField('objectives', isValued, `${classes.length} long, one per class`, objectives);
    return this;
  }

  protected *fitTask(X: SeriesSet, { classes, codes }: Classes): Task<Learned> {
    const averages: BarycenterResult[] = [];
    for (let c = 0; c < classes.length; c++) {
      const members = X.subset(indicesOf(codes, c));
      averages.push(yield* part(this.#average(members), [c / classes.length, (c + 1) / classes.length]));
    }
    const set = SeriesSet.from(
      averages.map(({ barycenter }) => barycenter),
      { channels: X.channels },
    );
    return {
      classes,
      centroids: inClassOf(X, set),
      objectives: Float64Array.from(averages, ({ objective }) => objective),
    };
  }

  #average(members: SeriesSet): Task<BarycenterResult> {
    const { options } = this;
    const { channels } = members;
    return options.loss === undefined
      ? barycenterTask(members, { ...without(options, 'loss'), channels })
      : softBarycenterTask(members, { ...options, channels });
  }

  protected *predictTask(X: SeriesSet): Task<Int32Array> {
    const { centroids } = this.learned;
    return smallestOfRows(yield* this.#distances(inClassOf(centroids, X), centroids), centroids.count).at;
  }

  #distances(X: SeriesSet, centroids: SeriesSet): Task<Float64Array> {
    const { options } = this;
    if (options.loss !== undefined) {
      const loss = without(options, 'init', 'maxIter', 'tol', 'seed');
      return softPairwiseTask(X, centroids, loss, [0, 1]);
    }
    const metric: MetricOptions & { threads?: number } = without(
      options,
      'loss',
      'init',
      'method',
      'maxIter',
      'tol',
      'seed',
      'firstStep',
      'lastStep',
    );
    return pairwiseTask(X, centroids, metric, [0, 1]);
  }

  /** The model whose toJSON gave this. @throws TypeError, RangeError for other JSON, naming the field */
  static fromJSON(json: unknown): NearestCentroidClassifier {
    return new NearestCentroidClassifier(readOptions('NearestCentroidClassifier', json)).restore(json);
  }
}

function indicesOf(codes: Int32Array, code: number): number[] {
  const indices: number[] = [];
  codes.forEach((each, i) => {
    if (each === code) indices.push(i);
  });
  return indices;
}
