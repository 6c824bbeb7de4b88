/** Classification by the k nearest series, under a hard elastic distance or a soft loss. */
import * as check from '../check.js';
import { requireHard } from './barycenter.js';
import { Classifier } from './estimator.js';
import type { Classification } from './estimator.js';
import { softPairwiseTask } from './matrix-task.js';
import type { MetricOptions } from './metrics.js';
import { inClassOf, readOptions, requireClasses, requireCodes, requireField, without } from './model.js';
import type { Classes, Kinds } from './model.js';
import { nearest, nearestAsync } from './nearest.js';
import type { AsyncOptions } from '../native.js';
import type { Collection, SeriesSet } from './series.js';
import { requireSoft } from './soft-barycenter.js';
import type { SoftLoss, SoftOptions } from './soft.js';
import { breath, call, runLater, runNow } from './task.js';
import type { Task } from './task.js';

interface Voting {
  /** Neighbours that vote, from 1 to the number of series. Default 1. */
  k?: number;
  /**
   * 'uniform': one vote each. 'distance': 1 / distance; where neighbours have distance 0, they alone vote, one vote each. Not
   * for soft losses, which may be negative. Default 'uniform'.
   */
  weights?: 'uniform' | 'distance';
}

/** Neighbours under a hard distance, found with lower bounds and early abandoning. */
export interface HardNeighborsOptions extends Voting, MetricOptions {
  loss?: undefined;
  /** Whether bounds may skip distances; the answers are the same. Default true. */
  prune?: boolean;
  /** Threads of each call, at least 1. Default 1. The result does not depend on it. */
  threads?: number;
}

/** Neighbours under a soft loss: the smallest of all losses. */
export interface SoftNeighborsOptions extends Voting, SoftOptions {
  loss: SoftLoss;
  /** Threads of each call, at least 1. Default 1. The result does not depend on it. */
  threads?: number;
}

/** Options of KNeighborsTimeSeriesClassifier: a soft loss where `loss` is given, else a metric. */
export type KNeighborsOptions = HardNeighborsOptions | SoftNeighborsOptions;

interface Learned extends Classification {
  set: SeriesSet;
  codes: Int32Array;
}

/** Of each query the k nearest, in ascending order of distance, and how many distances were not computed to the end. */
interface Neighbors {
  index: Uint32Array;
  distance: Float64Array;
  pruned: number;
}

/**
 * The class that most of the k nearest series have. Equal distances go to the smaller index, equal votes to the class of
 * the nearest neighbour among those that have them.
 *
 * @example
 * const model = new KNeighborsTimeSeriesClassifier({ metric: 'msm' }).fit(train, labels);
 * model.score(test, testLabels);
 */
export class KNeighborsTimeSeriesClassifier extends Classifier<KNeighborsOptions, Learned> {
  protected readonly modelName = 'KNeighborsTimeSeriesClassifier';
  protected readonly kinds: Kinds = { set: 'set', classes: 'labels', codes: 'int32' };

  /**
   * Pairs of a series and one of the training set whose distance was not computed to the end in the latest predict,
   * predictProba or score, in either form; with a soft loss, with `prune: false` and before any of them 0.
   */
  pruned = 0;

  readonly #k: number;
  readonly #isByDistance: boolean;

  /** @throws TypeError, RangeError for bad options; 'distance' weights with a soft loss */
  constructor(options: KNeighborsOptions = {}) {
    super(check.options(options));
    const o = this.options;
    if (o.loss === undefined) requireHard(o, 'an option "loss"');
    else requireSoft(o, 'leaving "loss" out');
    this.#k = o.k === undefined ? 1 : check.positiveInteger('k', o.k);
    const weights = check.oneOf('weights', o.weights ?? 'uniform', ['uniform', 'distance']);
    if (weights === 'distance' && o.loss !== undefined)
      throw check.rangeError('weights', "'uniform' for a soft loss, which may be negative", weights);
    this.#isByDistance = weights === 'distance';
  }

  protected get channels(): number | undefined {
    return this.fitted?.set.channels ?? this.options.channels;
  }

  protected override restore(json: unknown): this {
    super.restore(json);
    if (this.fitted === undefined) return this;
    const { set, classes, codes } = this.fitted;
    requireClasses(classes);
    requireField('codes', codes.length === set.count, `${set.count} long, one per series`, codes);
    requireCodes('codes', codes, classes.length);
    requireField('set', set.count >= this.#k, `at least ${this.#k} series, as options.k says`, set.count);
    return this;
  }

  protected *fitTask(X: SeriesSet, { classes, codes }: Classes): Task<Learned> {
    if (this.#k > X.count) throw check.rangeError('k', `at most the ${X.count} series`, this.#k);
    return { set: X, classes, codes };
  }

  protected *predictTask(X: SeriesSet): Task<Int32Array> {
    return (yield* this.#votes(X)).winners;
  }

  /**
   * The share of the votes that each class has.
   * @returns count x classes, row-major, in the order of `classes`; rows sum to 1
   */
  predictProba(X: Collection): Float64Array {
    return runNow(this.#shares(X));
  }

  /** Promise form of predictProba. */
  async predictProbaAsync(X: Collection, options?: AsyncOptions): Promise<Float64Array> {
    return runLater(this.#shares(X), options);
  }

  *#shares(X: Collection): Task<Float64Array> {
    void this.learned;
    return (yield* this.#votes(this.setOf(X))).shares;
  }

  *#votes(X: SeriesSet): Task<{ shares: Float64Array; winners: Int32Array }> {
    const { classes, codes } = this.learned;
    const k = this.#k;
    const { index, distance, pruned } = yield* this.#neighbors(X);
    this.pruned = pruned;
    const shares = new Float64Array(X.count * classes.length);
    const winners = new Int32Array(X.count);
    for (let q = 0; q < X.count; q++) {
      const row = shares.subarray(q * classes.length, (q + 1) * classes.length);
      const distances = distance.subarray(q * k, (q + 1) * k);
      const weights = this.#isByDistance ? weightsOf(distances) : new Float64Array(k).fill(1);
      let total = 0;
      for (let j = 0; j < k; j++) {
        row[codes[index[q * k + j]]] += weights[j];
        total += weights[j];
      }
      // The nearest neighbour of a class with the most votes.
      const most = Math.max(...row);
      let j = 0;
      while (row[codes[index[q * k + j]]] < most) j++;
      winners[q] = codes[index[q * k + j]];
      for (let c = 0; c < row.length; c++) row[c] /= total;
    }
    return { shares, winners };
  }

  *#neighbors(X: SeriesSet): Task<Neighbors> {
    const { set } = this.learned;
    const queries = inClassOf(set, X);
    const k = this.#k;
    const { options } = this;
    if (options.loss === undefined) {
      const search = { ...without(options, 'weights', 'loss'), k };
      return yield* call<Neighbors>(
        () => nearest(set, queries, search),
        (a) => nearestAsync(set, queries, { ...search, ...a }),
        [0, 1],
      );
    }
    const loss = without(options, 'weights', 'k');
    const matrix = yield* softPairwiseTask(queries, set, loss, [0, 1]);
    return yield* smallest(matrix, set.count, k);
  }

  /** The model whose toJSON gave this. @throws TypeError, RangeError for other JSON, naming the field */
  static fromJSON(json: unknown): KNeighborsTimeSeriesClassifier {
    const name = 'KNeighborsTimeSeriesClassifier';
    return new KNeighborsTimeSeriesClassifier(readOptions(name, json)).restore(json);
  }
}

/** 1 / distance; where distances are 0, one vote for each of those. */
function weightsOf(distances: Float64Array): Float64Array {
  if (distances.includes(0)) return distances.map((each) => Number(each === 0));
  const weights = distances.map((each) => 1 / each);
  // Neighbours without any path have weight 0; where none has one, they vote alike.
  return weights.every((each) => each === 0) ? weights.fill(1) : weights;
}

/** The k smallest of each row, ascending, equal ones by index. */
function* smallest(matrix: Float64Array, cols: number, k: number): Task<Neighbors> {
  const rows = matrix.length / cols;
  const index = new Uint32Array(rows * k);
  const distance = new Float64Array(rows * k);
  for (let i = 0; i < rows; i++) {
    yield* breath();
    const row = matrix.subarray(i * cols, (i + 1) * cols);
    const order = Uint32Array.from(row, (_, j) => j).sort((a, b) => row[a] - row[b] || a - b);
    for (let j = 0; j < k; j++) {
      index[i * k + j] = order[j];
      distance[i * k + j] = row[order[j]];
    }
  }
  return { index, distance, pruned: 0 };
}
