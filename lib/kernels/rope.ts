/**
 * Rotation frequencies of rotary position embedding (Su et al., "RoFormer", 2021) and the two ways of stretching them
 * to longer contexts that Llama checkpoints use. All in float64: an angle of float32 is off by 5e-4 at position 8192.
 */
import * as check from '../check.js';

/** How the frequencies are stretched; null for not at all. */
export type RopeScaling =
  | {
      /** Positions are divided by `factor` (position interpolation, Chen et al. 2023). */
      readonly type: 'linear';
      /** Greater than 0. */
      readonly factor: number;
    }
  | {
      /**
       * Llama 3.1's rule: wavelengths shorter than original / high keep their frequency, those longer than
       * original / low have it divided by `factor`, those between are blended.
       */
      readonly type: 'llama3';
      /** Greater than 0. */
      readonly factor: number;
      /** Greater than 0. */
      readonly lowFreqFactor: number;
      /** Greater than lowFreqFactor. */
      readonly highFreqFactor: number;
      /** Context length, in tokens, of the training before the stretch. */
      readonly originalMaxPositionEmbeddings: number;
    }
  | null;

/** Numbers of a head: far more than any model has. */
const MOST_NUMBERS = 2 ** 24;

/**
 * Angle per position of each rotated pair: f_i = theta^(-2 i / headDim), i < headDim / 2, after scaling. With
 * w = 2 pi / f and s = (original / w - low) / (high - low), 'llama3' gives f where w < original / high, f / factor
 * where w > original / low, and f ((1 - s) / factor + s) between.
 *
 * @param headDim numbers per head, even, at most 2^24
 * @param theta base, greater than 0. Default 10000
 * @param scaling default null
 * @returns headDim / 2 frequencies in radians per position
 * @throws RangeError ERR_OUT_OF_RANGE, TypeError ERR_INVALID_ARG_TYPE
 */
export function inverseFrequencies(
  headDim: number,
  theta = 10000,
  scaling: RopeScaling = null,
): Float64Array {
  check.positiveInteger('headDim', headDim);
  if (headDim % 2 !== 0) throw check.rangeError('headDim', 'even', headDim);
  if (headDim > MOST_NUMBERS) throw check.rangeError('headDim', `at most ${MOST_NUMBERS}`, headDim);
  check.positiveNumber('theta', theta);
  checkScaling(scaling);
  return Float64Array.from({ length: headDim / 2 }, (_, i) =>
    scaled(Math.pow(theta, (-2 * i) / headDim), scaling),
  );
}

function checkScaling(scaling: RopeScaling): void {
  if (scaling === null) return;
  check.oneOf('scaling.type', scaling.type, ['linear', 'llama3']);
  check.positiveNumber('scaling.factor', scaling.factor);
  if (scaling.type === 'linear') return;
  const low = check.positiveNumber('scaling.lowFreqFactor', scaling.lowFreqFactor);
  const high = check.positiveNumber('scaling.highFreqFactor', scaling.highFreqFactor);
  if (high <= low) throw check.rangeError('scaling.highFreqFactor', `greater than ${low}`, high);
  check.positiveNumber('scaling.originalMaxPositionEmbeddings', scaling.originalMaxPositionEmbeddings);
}

function scaled(frequency: number, scaling: RopeScaling): number {
  if (scaling === null) return frequency;
  const slow = frequency / scaling.factor;
  if (scaling.type === 'linear') return slow;
  const { lowFreqFactor: low, highFreqFactor: high, originalMaxPositionEmbeddings: original } = scaling;
  const wavelength = (2 * Math.PI) / frequency;
  if (wavelength < original / high) return frequency;
  if (wavelength > original / low) return slow;
  const share = (original / wavelength - low) / (high - low);
  return frequency * ((1 - share) / scaling.factor + share);
}
