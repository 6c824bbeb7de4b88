/**
 * Rotary position embedding in plain float64. With f_i = theta^(-2i/D), i < D/2, the pair of component i is turned by
 * the angle position * f_i: (x, y) -> (x cos - y sin, y cos + x sin).
 *   'half'        pairs (x_i, x_{i + D/2})       Hugging Face
 *   'interleaved' pairs (x_{2i}, x_{2i + 1})     Meta, llama2.c, GGUF
 */

/** How the frequencies are stretched for longer contexts; the names of config.json. */
export type RopeScaling =
  | { rope_type: 'default' }
  | { rope_type: 'linear'; factor: number }
  | {
      rope_type: 'llama3';
      factor: number;
      low_freq_factor: number;
      high_freq_factor: number;
      original_max_position_embeddings: number;
    };

/** Which components form a pair. */
export type RopeStyle = 'half' | 'interleaved';

/** One frequency after scaling. */
function scaled(f: number, scaling: RopeScaling): number {
  if (scaling.rope_type === 'default') return f;
  if (scaling.rope_type === 'linear') return f / scaling.factor;
  const { factor, low_freq_factor: low, high_freq_factor: high } = scaling;
  const original = scaling.original_max_position_embeddings;
  const wavelength = (2 * Math.PI) / f;
  if (wavelength < original / high) return f;
  if (wavelength > original / low) return f / factor;
  const s = (original / wavelength - low) / (high - low);
  return f * ((1 - s) / factor + s);
}

/** f_i for i < headDim / 2. */
export function inverseFrequencies(
  headDim: number,
  theta = 10000,
  scaling: RopeScaling = { rope_type: 'default' },
): Float64Array {
  return new Float64Array(headDim / 2).map((_, i) => scaled(theta ** ((-2 * i) / headDim), scaling));
}

/** One head at one position, turned. */
export function rope(
  x: ArrayLike<number>,
  position: number,
  frequencies: ArrayLike<number>,
  style: RopeStyle = 'half',
): Float64Array {
  const half = frequencies.length;
  const out = Float64Array.from(x);
  for (let i = 0; i < half; i += 1) {
    const [p, q] = style === 'half' ? [i, i + half] : [2 * i, 2 * i + 1];
    const [c, s] = [Math.cos(position * frequencies[i]), Math.sin(position * frequencies[i])];
    out[p] = x[p] * c - x[q] * s;
    out[q] = x[q] * c + x[p] * s;
  }
  return out;
}
