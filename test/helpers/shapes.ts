import { SeriesSet } from '../../lib/elastic/series.js';
import { Philox } from '../../lib/random.js';

/** Options of shapesSet. */
export interface ShapesOptions {
  count?: number;
  length?: number;
  channels?: number;
  seed?: number;
  /** Lengths differ by a few points. */
  ragged?: boolean;
}

/** Sizes of the noise that is added. */
const NOISE = 0.05;

/**
 * Series of three kinds that differ in shape and not in place: one hump, two humps, a step, each at a random position.
 * Series i is of kind i mod 3.
 */
export function shapesSet(o: ShapesOptions = {}): { set: SeriesSet; labels: number[] } {
  const { count = 18, length = 24, channels = 1, seed = 1, ragged = false } = o;
  const random = new Philox(seed);
  const shift = random.uniform(new Float64Array(count), -0.1, 0.1);
  const series = Array.from({ length: count }, (_, i) => {
    const n = ragged ? length - (i % 5) : length;
    const noise = random.normal(new Float64Array(2 * Math.ceil((channels * n) / 2)));
    return Float64Array.from({ length: channels * n }, (_, at) => {
      const t = (at % n) / n - shift[i];
      const sign = at < n ? 1 : -1;
      return sign * shapeAt(i % 3, t) + NOISE * noise[at];
    });
  });
  return {
    set: SeriesSet.from(series, { channels }),
    labels: Array.from({ length: count }, (_, i) => i % 3),
  };
}

function shapeAt(kind: number, t: number): number {
  const hump = (center: number): number => 2 * Math.exp(-(((t - center) / 0.08) ** 2));
  if (kind === 0) return hump(0.5);
  return kind === 1 ? hump(0.3) + hump(0.7) : t < 0.5 ? -1 : 1;
}
