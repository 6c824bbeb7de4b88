/** Series for the cases, from softlane's own generator: every run sees the same numbers. */
import { SeriesSet } from '../../lib/elastic/index.js';
import { Philox } from '../../lib/random.js';
import type { CaseDtype } from './methods.js';

const SEED = 2026;

const arrayOf = (dtype: CaseDtype, length: number): Float32Array | Float64Array =>
  dtype === 'f32' ? new Float32Array(length) : new Float64Array(length);

/** Random walks with mean 0 and deviation 1: `count` series of `length` time points. */
export function walks(dtype: CaseDtype, count: number, length: number): SeriesSet {
  const data = arrayOf(dtype, count * length);
  new Philox(SEED, length).normal(data);
  for (let i = 0; i < data.length; i++) if (i % length > 0) data[i] += data[i - 1];
  return new SeriesSet(data, { lengths: length }).zNormalized();
}

/** Shapes that series of `classes` are made of. */
const CLASSES = 8;
const HARMONICS = 6;

/**
 * Series as a classifier meets them: eight smooth shapes, each series one of them with time bent by up to a twentieth of
 * the length and with noise of a tenth of its height, then mean 0 and deviation 1.
 *
 * @param stream keeps sets apart: candidates and queries
 */
export function classes(dtype: CaseDtype, count: number, length: number, stream: number): SeriesSet {
  const shapes = new Philox(SEED, 1).normal(new Float64Array(CLASSES * HARMONICS * 2));
  const data = arrayOf(dtype, count * length);
  const noise = new Philox(SEED, 2 + stream).normal(new Float64Array(data.length));
  const bends = new Philox(SEED, 1000 + stream).normal(new Float64Array(2 * count));
  for (let s = 0; s < count; s++) {
    const shape = (s % CLASSES) * HARMONICS * 2;
    for (let i = 0; i < length; i++) {
      const t = i / length;
      const bent =
        t + 0.02 * bends[2 * s] * Math.sin(Math.PI * t) + 0.01 * bends[2 * s + 1] * Math.sin(2 * Math.PI * t);
      let value = 0;
      for (let h = 0; h < HARMONICS; h++) {
        const angle = 2 * Math.PI * (h + 1) * bent;
        value +=
          (shapes[shape + 2 * h] * Math.sin(angle) + shapes[shape + 2 * h + 1] * Math.cos(angle)) / (h + 1);
      }
      data[s * length + i] = value + 0.1 * noise[s * length + i];
    }
  }
  return new SeriesSet(data, { lengths: length }).zNormalized();
}

/** A query, and a random walk in which a bent copy of it lies at `position`. */
export interface Stream {
  query: Float64Array;
  stream: Float64Array;
  position: number;
}

/** A stream of `points` time points with one occurrence of a query of `length`. */
export function streamWith(length: number, points: number): Stream {
  const pair = classes('f64', CLASSES + 1, length, 500);
  // Series 0 and 8 are of one shape.
  const [query, copy] = [pair.series(0) as Float64Array, pair.series(CLASSES)];
  const stream = new Philox(SEED, 3).normal(new Float64Array(points));
  for (let i = 1; i < points; i++) stream[i] += stream[i - 1];
  const position = Math.floor(0.7 * (points - length));
  const level = stream[position];
  for (let i = 0; i < length; i++) stream[position + i] = level + 5 * copy[i];
  return { query: Float64Array.from(query), stream, position };
}
