/**
 * The machine's own limits on one core, measured natively in the same run as the contenders. A limit is the best of
 * the calls made for it: whatever disturbs a measurement makes it slower, never faster.
 */
import { ceilings, type Isa } from '../../lib/index.js';
import type { Ceilings } from './results.js';
import { formatDigits } from './sizes.js';

/** Memory that the streaming figures walk over: far beyond any cache that a core sees. */
const BYTES = 2 ** 28;

/** Rates that are the same on every instruction set. */
const MEMORY_RATES = ['readGBps', 'readLargeGBps', 'copyGBps', 'streamCopyGBps'] as const;

/**
 * Measures every instruction set of `isas`. The memory figures are the best over all of them, since memory is the same
 * whoever asks; the fused multiply-add rate stands for each.
 */
export function measureCeilings(isas: readonly Isa[]): Ceilings {
  const best: Ceilings = { readGBps: 0, readLargeGBps: 0, copyGBps: 0, streamCopyGBps: 0, fmaGflops: {} };
  for (const isa of isas) {
    const { fmaGflops, ...memory } = ceilings({ isa, bytes: BYTES });
    for (const name of MEMORY_RATES) best[name] = Math.max(best[name], memory[name]);
    best.fmaGflops[isa] = fmaGflops;
  }
  return best;
}

/** The ceilings as lines for the head of a report. */
export function ceilingLines(measured: Ceilings): string[] {
  const { readGBps, readLargeGBps, copyGBps, streamCopyGBps, fmaGflops } = measured;
  const rates = Object.entries(fmaGflops).map(([isa, rate]) => `${isa} ${formatDigits(rate)}`);
  return [
    `ceilings of one core: read ${formatDigits(readGBps)} GB/s (large pages ${formatDigits(readLargeGBps)} GB/s), ` +
      `copy ${formatDigits(copyGBps)} GB/s (read + written), non-temporal copy ${formatDigits(streamCopyGBps)} GB/s`,
    `fused multiply-add: ${rates.join(', ')} Gflop/s`,
  ];
}
