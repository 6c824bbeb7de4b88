/** Types of two packages that bring none. */

declare module 'dtw' {
  /** Dynamic time warping on squared differences, unless told otherwise. */
  export default class DTW {
    /** Keeps the whole table; refuses anything but arrays. */
    compute(first: readonly number[], second: readonly number[], window?: number): number;
    path(): [number, number][];
  }
}

declare module 'dynamic-time-warping' {
  /** Dynamic time warping of two arrays of anything that `cost` can compare. */
  export default class DynamicTimeWarping<T> {
    constructor(first: ArrayLike<T>, second: ArrayLike<T>, cost: (a: T, b: T) => number);
    /** Keeps the whole table. */
    getDistance(): number;
    getPath(): [number, number][];
  }
}
