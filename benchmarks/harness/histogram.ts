import { quantile } from './stats.js';

const BLOCKS = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/**
 * A histogram of `samples` in one line of block characters, a blank where a bin is empty. It reaches from the fastest
 * sample to the 90 % quantile, and everything slower falls into the last bin: with one interrupted sample on a linear
 * axis to the maximum, all others would share the first bin. So a single sharp peak at the left means a quiet
 * measurement, two peaks mean two states of the machine.
 *
 * @param width number of bins, default 10
 */
export function histogram(samples: readonly number[], width = 10): string {
  if (samples.length === 0) return ' '.repeat(width);
  const sorted = [...samples].sort((a, b) => a - b);
  const low = sorted[0];
  const high = quantile(sorted, 0.9);
  const bins = new Array<number>(width).fill(0);
  for (const sample of sorted) {
    const position = high > low ? Math.floor(((sample - low) / (high - low)) * width) : 0;
    bins[Math.min(position, width - 1)] += 1;
  }
  const tallest = Math.max(...bins);
  return bins
    .map((count) => (count === 0 ? ' ' : BLOCKS[Math.ceil((count / tallest) * BLOCKS.length) - 1]))
    .join('');
}
