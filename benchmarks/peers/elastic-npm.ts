/**
 * What npm offers for dynamic time warping, as contenders. Development dependencies here, optional ones for whoever runs
 * the benchmark.
 */
import { messageOf } from '../harness/errors.js';

/** A package by its name, and its distance of two arrays: DTW on squared differences. */
export interface NpmDtw {
  name: string;
  distance: (x: readonly number[], y: readonly number[]) => number;
}

/** The packages in the order of tables, and how each is loaded. */
const PACKAGES: Record<string, () => Promise<NpmDtw['distance']>> = {
  'dynamic-time-warping': async () => {
    const { default: DynamicTimeWarping } = await import('dynamic-time-warping');
    const squared = (a: number, b: number): number => (a - b) * (a - b);
    return (x, y) => new DynamicTimeWarping(x, y, squared).getDistance();
  },
  dtw: async () => {
    const { default: Dtw } = await import('dtw');
    return (x, y) => new Dtw().compute(x, y);
  },
};

/** Names of the packages. */
export const NPM_PACKAGES: readonly string[] = Object.keys(PACKAGES);

/** Loads what is installed; each package that cannot be had adds a line to `remarks`. */
export async function loadNpmDtw(remarks: string[]): Promise<NpmDtw[]> {
  const found: NpmDtw[] = [];
  for (const [name, load] of Object.entries(PACKAGES)) {
    try {
      found.push({ name, distance: await load() });
    } catch (error) {
      remarks.push(`${name} is left out, it cannot be loaded: ${messageOf(error)}`);
    }
  }
  return found;
}
