import type { SoftmaxAlgorithm } from '../../lib/index.js';

/** Every value of the `algorithm` option. */
export const ALGORITHMS: readonly SoftmaxAlgorithm[] = [
  'auto',
  'two-pass',
  'online',
  'blocked',
  'three-pass-recompute',
  'three-pass-reload',
];

/** Lengths around every vector width and block size, two primes, and nothing. */
export const LENGTHS: readonly number[] = [
  0, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 97, 251, 1009, 4095, 4096, 4097, 8191, 8192,
  8193,
];

/** A length of many blocks that no vector width divides. */
export const LARGE = 300_007;

/** Declares the tests of `body` once per algorithm. */
export function onEveryAlgorithm(body: (algorithm: SoftmaxAlgorithm) => void): void {
  describe.each(ALGORITHMS)('%s', body);
}
