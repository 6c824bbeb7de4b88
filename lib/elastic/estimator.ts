/** The grammar of all models: fit, predict and score in both forms, and models as JSON. */
import type { AsyncOptions } from '../native.js';
import { classesOf, modelJson, readFitted } from './model.js';
import type { Classes, Kinds, ModelJson } from './model.js';
import { accuracy, adjustedRandIndex } from './scores.js';
import type { Label } from './scores.js';
import { asSet } from './series.js';
import type { Collection, SeriesSet } from './series.js';
import { runLater, runNow } from './task.js';
import type { Task } from './task.js';

/** What every model has; O are its options, F what it learns. */
abstract class Estimator<O extends object, F extends object> {
  /** The options as given. */
  readonly options: Readonly<O>;
  /** Undefined until fit. */
  protected fitted: F | undefined;

  protected constructor(options: O) {
    this.options = { ...options };
  }

  /** Name of the class, which JSON carries. */
  protected abstract readonly modelName: string;
  /** What each learned field must be when it comes from JSON. */
  protected abstract readonly kinds: Kinds;
  /** Channels of a series given as an array. */
  protected abstract readonly channels: number | undefined;

  /** What was learned, or the error that says that nothing was. */
  protected get learned(): F {
    if (this.fitted === undefined) throw new Error(`${this.modelName}: call fit before this, or fromJSON`);
    return this.fitted;
  }

  /** The series of an argument. */
  protected setOf(X: Collection): SeriesSet {
    return asSet('X', X, this.channels);
  }

  /** Options and what was learned, for JSON.stringify; fromJSON makes the model again. */
  toJSON(): ModelJson {
    return modelJson(this.modelName, this.options, this.fitted);
  }

  /** Takes what was learned from JSON. */
  protected restore(json: unknown): this {
    this.fitted = readFitted<F>(json, this.kinds);
    return this;
  }
}

/** What clusterings learn. */
export interface Clustering {
  /** Cluster of each series of the training set, from 0. */
  labels: Int32Array;
  /** Sum of the distances of the series to their centres. */
  inertia: number;
  /** Iterations made. */
  iterations: number;
  /** Whether it ended before `maxIter`. */
  converged: boolean;
}

/** A clustering of series around k centres. */
export abstract class Clusterer<O extends object, F extends Clustering> extends Estimator<O, F> {
  /** Cluster of each series of the training set, from 0. */
  get labels(): Int32Array {
    return this.learned.labels;
  }

  /** Sum of the distances of the series to their centres. */
  get inertia(): number {
    return this.learned.inertia;
  }

  /** Iterations of the start that was kept. */
  get iterations(): number {
    return this.learned.iterations;
  }

  /** Whether it ended before `maxIter`. */
  get converged(): boolean {
    return this.learned.converged;
  }

  protected abstract fitTask(X: SeriesSet): Task<F>;
  protected abstract predictTask(X: SeriesSet): Task<Int32Array>;

  *#fit(X: Collection): Task<this> {
    this.fitted = yield* this.fitTask(this.setOf(X));
    return this;
  }

  *#predict(X: Collection): Task<Int32Array> {
    // Before the check of X: a model without centres knows no channels.
    void this.learned;
    return yield* this.predictTask(this.setOf(X));
  }

  /**
   * Finds the clusters of a set, and returns the model.
   * @throws TypeError for wrong kinds of argument; RangeError for fewer than k series and for a band without a path
   */
  fit(X: Collection): this {
    return runNow(this.#fit(X));
  }

  /** Promise form of fit; the event loop stays free. */
  async fitAsync(X: Collection, options?: AsyncOptions): Promise<this> {
    return runLater(this.#fit(X), options);
  }

  /** The cluster of each series: that of the nearest centre, the first of equals. */
  predict(X: Collection): Int32Array {
    return runNow(this.#predict(X));
  }

  /** Promise form of predict. */
  async predictAsync(X: Collection, options?: AsyncOptions): Promise<Int32Array> {
    return runLater(this.#predict(X), options);
  }

  /** The adjusted Rand index of the predicted clusters and the given classes. */
  score(X: Collection, y: ArrayLike<Label>): number {
    return adjustedRandIndex(y, this.predict(X));
  }

  /** Promise form of score. */
  async scoreAsync(X: Collection, y: ArrayLike<Label>, options?: AsyncOptions): Promise<number> {
    return adjustedRandIndex(y, await this.predictAsync(X, options));
  }
}

/** What classifiers learn. */
export interface Classification {
  /** Sorted: numbers by value, then strings by code units. */
  classes: Label[];
}

/** A classifier of series. */
export abstract class Classifier<O extends object, F extends Classification> extends Estimator<O, F> {
  /** The classes met in fit, sorted: numbers by value, then strings by code units. */
  get classes(): Label[] {
    return this.learned.classes;
  }

  protected abstract fitTask(X: SeriesSet, y: Classes): Task<F>;
  /** The number of the class of each series. */
  protected abstract predictTask(X: SeriesSet): Task<Int32Array>;

  *#fit(X: Collection, y: ArrayLike<Label>): Task<this> {
    const set = this.setOf(X);
    this.fitted = yield* this.fitTask(set, classesOf('y', y, set.count));
    return this;
  }

  *#predict(X: Collection): Task<Label[]> {
    const { classes } = this.learned;
    const codes = yield* this.predictTask(this.setOf(X));
    return Array.from(codes, (code) => classes[code]);
  }

  /**
   * Learns from series and their classes, and returns the model.
   * @param y one string or number per series
   * @throws TypeError for wrong kinds of argument; RangeError where y has another length than X, for a band without a
   *   path where averages are made
   */
  fit(X: Collection, y: ArrayLike<Label>): this {
    return runNow(this.#fit(X, y));
  }

  /** Promise form of fit; the event loop stays free. */
  async fitAsync(X: Collection, y: ArrayLike<Label>, options?: AsyncOptions): Promise<this> {
    return runLater(this.#fit(X, y), options);
  }

  /** The class of each series. */
  predict(X: Collection): Label[] {
    return runNow(this.#predict(X));
  }

  /** Promise form of predict. */
  async predictAsync(X: Collection, options?: AsyncOptions): Promise<Label[]> {
    return runLater(this.#predict(X), options);
  }

  /** The share of series whose predicted class is the given one. */
  score(X: Collection, y: ArrayLike<Label>): number {
    return accuracy(y, this.predict(X));
  }

  /** Promise form of score. */
  async scoreAsync(X: Collection, y: ArrayLike<Label>, options?: AsyncOptions): Promise<number> {
    return accuracy(y, await this.predictAsync(X, options));
  }
}
