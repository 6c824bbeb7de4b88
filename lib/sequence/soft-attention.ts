/**
 * A layer of softmax-free attention over a grid of tokens, with its gradient: projections, landmarks by strided convolution or
 * average pooling, SOFT or SOFT++ attention, a depthwise convolution of the values beside it, and the final linear layer.
 * Source: J. Lu et al., "Softmax-free Linear Transformers", arXiv 2207.03341, and the published code of the authors.
 */
import * as check from '../check.js';
import { threadsOf, realType, reals } from '../kernels/arguments.js';
import type { Reals } from '../kernels/arguments.js';
import { finite } from '../kernels/finite.js';
import { gaussianAttention, gaussianAttentionBackward } from '../kernels/gaussian.js';
import { matmul } from '../kernels/matmul.js';
import { newtonSettings } from '../kernels/newton.js';
import type { NewtonReport, NewtonSettings } from '../kernels/newton.js';
import { softAttention, softAttentionBackward } from '../kernels/soft-attention.js';
import type { SoftAttentionSaved } from '../kernels/soft-attention.js';
import { Philox } from '../random.js';
import {
  addHeadConvolution,
  headConvolutionWeights,
  like,
  normGelu,
  normGeluBackward,
  swapAxes,
} from './soft-attention-steps.js';
import type { ConvolutionSizes } from './soft-attention-steps.js';

/** Options of SoftAttention. */
export interface SoftAttentionLayerOptions {
  /** Width of a token. */
  channels: number;
  /** Heads; a divisor of `channels`. Each is d = channels / heads wide. */
  heads: number;
  /**
   * Side of the window of tokens that a landmark stands for: m = (height / ratio)(width / ratio). 1: no landmarks, exact
   * attention by the whole Gaussian kernel of the scaled queries, in quadratic time.
   */
  ratio: number;
  /**
   * 'conv' (default): a convolution with kernel and stride `ratio`, layer norm (epsilon 1e-5) and GELU, shared by the heads.
   * 'avgpool': the mean of the window's scaled queries.
   */
  landmarks?: 'conv' | 'avgpool';
  /** Side of the depthwise kernel over the values, odd; default 0: none. The published models take 9, 5, 3 by stage. */
  kernelSize?: number;
  /** SOFT++; default false. */
  normalize?: boolean;
  /** How the landmarks' pseudo-inverse is found; defaults of newtonPseudoInverse. */
  newton?: NewtonSettings;
  /** Type of parameters, inputs and outputs; default 'f32'. */
  dtype?: 'f32' | 'f64';
  /** Seed of the initial parameters; default 0. */
  seed?: number;
  /** Refuses NaN and infinities; default true. */
  checkFinite?: boolean;
  /** Threads; default 1. Results do not depend on them. */
  threads?: number;
}

/** The grid that tokens stand on, row by row. */
export interface SoftAttentionGrid {
  height: number;
  width: number;
  /** Items of x; default 1. */
  batch?: number;
}

/** A parameter or a gradient: numbers and their shape, row-major. */
export interface SoftParameter {
  data: Reals;
  shape: readonly number[];
}

/** Result of SoftAttention.backward. */
export interface SoftAttentionLayerGradients<T extends Reals = Reals> {
  /** Of the shape of x. */
  dx: T;
  /** By the names of parameters(). */
  parameters: Record<string, SoftParameter>;
}

/** What backward needs of forward. */
interface Kept {
  x: Reals;
  batch: number;
  n: number;
  grid: readonly [height: number, width: number];
  q: Reals;
  v: Reals;
  merged: Reals;
  patches?: Reals;
  before?: Reals;
  saved?: SoftAttentionSaved;
}

/** Checked options, without those of Newton's iteration. */
interface Settings {
  channels: number;
  heads: number;
  d: number;
  ratio: number;
  landmarks: 'conv' | 'avgpool';
  kernelSize: number;
  normalize: boolean;
  newton: NewtonSettings;
  dtype: 'f32' | 'f64';
  checkFinite: boolean;
  threads: number;
}

function settingsOf(o: SoftAttentionLayerOptions): Settings {
  const channels = check.positiveInteger('channels', o.channels);
  const heads = check.positiveInteger('heads', o.heads);
  if (channels % heads !== 0) throw check.rangeError('heads', `a divisor of the ${channels} channels`, heads);
  const kernelSize = o.kernelSize === undefined ? 0 : check.nonNegativeInteger('kernelSize', o.kernelSize);
  if (kernelSize > 0 && kernelSize % 2 === 0) throw check.rangeError('kernelSize', '0 or odd', kernelSize);
  const newton = { ...check.options(o.newton) };
  newtonSettings(newton);
  return {
    channels,
    heads,
    d: channels / heads,
    ratio: check.positiveInteger('ratio', o.ratio),
    landmarks: check.oneOf('landmarks', o.landmarks ?? 'conv', ['conv', 'avgpool'] as const),
    kernelSize,
    normalize: check.boolean('normalize', o.normalize ?? false),
    newton,
    dtype: check.oneOf('dtype', o.dtype ?? 'f32', ['f32', 'f64'] as const),
    checkFinite: check.boolean('checkFinite', o.checkFinite ?? true),
    threads: threadsOf(o.threads),
  };
}

/**
 * The layer. Tokens x are [batch, height x width, channels]. Parameters, by name:
 *
 *   query.weight [channels, channels]     rows are outputs; queries are the keys too
 *   value.weight [channels, channels]
 *   output.weight [channels, channels], output.bias [channels]
 *   landmarks.weight [ratio, ratio, d, d] of 'conv': row and column of the window, input, output
 *   landmarks.norm.weight, landmarks.norm.bias [d] of 'conv'
 *   residual.weight [heads, kernelSize, kernelSize] where there is such a kernel
 *
 * Linear weights start normal with deviation 0.02, convolutions uniform within 1 / sqrt(inputs), norms as the identity.
 */
export class SoftAttention {
  readonly #settings: Settings;
  readonly #parameters: Record<string, SoftParameter> = {};
  #kept: Kept | undefined;

  /** @throws TypeError (ERR_INVALID_ARG_TYPE), RangeError (ERR_OUT_OF_RANGE) naming the option */
  constructor(options: SoftAttentionLayerOptions) {
    const o = check.options(options);
    const s = (this.#settings = settingsOf(o));
    const seed = o.seed === undefined ? 0 : check.nonNegativeInteger('seed', o.seed);
    let stream = 0;
    const add = (name: string, shape: readonly number[], fill: (x: Reals, random: Philox) => void): void => {
      const length = shape.reduce((product, side) => product * side, 1);
      const data = s.dtype === 'f64' ? new Float64Array(length) : new Float32Array(length);
      fill(data, new Philox(seed, (stream += 1)));
      this.#parameters[name] = { data, shape };
    };
    const normal = (x: Reals, random: Philox): void => {
      random.normal(x);
      x.forEach((value, i) => (x[i] = 0.02 * value));
    };
    const uniform =
      (inputs: number) =>
      (x: Reals, random: Philox): void => {
        random.uniform(x, -1 / Math.sqrt(inputs), 1 / Math.sqrt(inputs));
      };
    const { channels, d, ratio, kernelSize } = s;
    for (const name of ['query', 'value', 'output']) add(`${name}.weight`, [channels, channels], normal);
    add('output.bias', [channels], (x) => x.fill(0));
    if (s.landmarks === 'conv' && ratio > 1) {
      add('landmarks.weight', [ratio, ratio, d, d], uniform(ratio * ratio * d));
      add('landmarks.norm.weight', [d], (x) => x.fill(1));
      add('landmarks.norm.bias', [d], (x) => x.fill(0));
    }
    if (kernelSize > 0) add('residual.weight', [s.heads, kernelSize, kernelSize], uniform(kernelSize ** 2));
  }

  /** The parameters themselves, by name: what is written into their data counts from the next forward on. */
  parameters(): Record<string, SoftParameter> {
    return { ...this.#parameters };
  }

  #data<T extends Reals>(name: string): T {
    return this.#parameters[name].data as T;
  }

  /**
   * Runs the layer and keeps what backward needs, until the next forward.
   *
   * @param x [batch, height x width, channels], of the layer's type; must stay as it is until backward
   * @returns the outputs, of the shape of x, and what became of Newton's iteration (none where ratio is 1)
   * @throws TypeError (ERR_INVALID_ARG_TYPE), RangeError (ERR_OUT_OF_RANGE) naming the argument; ConvergenceError
   *   (ERR_NO_CONVERGENCE) when a tolerance is set and a residual exceeds it
   */
  forward<T extends Reals>(x: T, grid: SoftAttentionGrid): { out: T; newton?: NewtonReport } {
    const { channels, heads, d, ratio, dtype, threads, normalize, checkFinite, ...s } = this.#settings;
    const { height, width, batch: given } = check.options(grid);
    if (realType('x', x) !== dtype)
      throw check.typeError('x', `a ${dtype === 'f64' ? 'Float64Array' : 'Float32Array'}`, x);
    for (const [name, side] of Object.entries({ height, width }))
      if (check.positiveInteger(name, side) % ratio !== 0)
        throw check.rangeError(name, `a multiple of the ratio ${ratio}`, side);
    const batch = given === undefined ? 1 : check.nonNegativeInteger('batch', given);
    const n = height * width;
    reals('x', x, dtype, batch * n * channels);
    finite('x', x, checkFinite, threads);

    const projected = (name: string): T =>
      swapAxes(
        matmul(x, this.#data<T>(name), { m: batch * n, n: channels, k: channels, transposeB: true, threads }),
        ...([batch, n, heads, d, threads] as const),
      );
    const [q, v] = [projected('query.weight'), projected('value.weight')];
    const kept: Kept = { x, batch, n, grid: [height, width], q, v, merged: q };
    const shape = { batch, heads, n, d, checkFinite, threads };
    let out: T;
    let newton: NewtonReport | undefined;
    if (ratio === 1) {
      out = gaussianAttention({ q, v }, shape);
    } else {
      const landmarks = this.#landmarks(kept) as T;
      const result = softAttention(
        { q, landmarks, v },
        { ...shape, ...s.newton, m: n / ratio ** 2, normalize },
      );
      ({ out } = result);
      const { residual, penrose, condition, alpha, iterations, halvings } = result;
      newton = { residual, penrose, condition, alpha, iterations, halvings };
      kept.saved = result.saved;
    }
    if (s.kernelSize > 0)
      addHeadConvolution(v, this.#data<T>('residual.weight'), out, this.#convolution(kept), false, threads);
    const merged = (kept.merged = swapAxes(out, batch, heads, n, d, threads));
    const bias = this.#data<T>('output.bias');
    const result = like(x, x.length);
    for (let row = 0; row < batch * n; row += 1) result.set(bias, row * channels);
    matmul(merged, this.#data<T>('output.weight'), {
      ...{ m: batch * n, n: channels, k: channels },
      ...{ transposeB: true, accumulate: true, out: result, threads },
    });
    this.#kept = kept;
    return { out: result, newton };
  }

  #convolution({ batch, grid }: Kept): ConvolutionSizes {
    const { heads, d, kernelSize } = this.#settings;
    return [batch, heads, grid[0], grid[1], d, kernelSize];
  }

  /** Windows of the queries, one after the other: the axes of rows in a window and of windows in a row exchanged. */
  #windows<T extends Reals>(x: T, { batch, grid }: Kept, back: boolean): T {
    const { heads, d, ratio, threads } = this.#settings;
    const outer = (batch * heads * grid[0]) / ratio;
    const across = grid[1] / ratio;
    const sides = back ? ([across, ratio] as const) : ([ratio, across] as const);
    return swapAxes(x, outer, ...sides, ratio * d, threads);
  }

  /** Landmarks of the queries; the windows, and what the norm reads, are kept. */
  #landmarks(kept: Kept): Reals {
    const { heads, d, ratio, landmarks, threads } = this.#settings;
    const count = (kept.batch * heads * kept.n) / ratio ** 2;
    const alpha = d ** -0.25;
    const patches = (kept.patches = this.#windows(kept.q, kept, false));
    if (landmarks === 'avgpool') {
      const ones = like(kept.q, ratio ** 2).fill(1);
      const sizes = { m: 1, n: d, k: ratio ** 2, batch: count, strideA: 0 };
      return matmul(ones, patches, { ...sizes, alpha: alpha / ratio ** 2, threads });
    }
    const sizes = { m: count, n: d, k: ratio ** 2 * d, alpha, threads };
    kept.before = matmul(patches, this.#data('landmarks.weight'), sizes);
    return normGelu(kept.before, this.#data('landmarks.norm.weight'), this.#data('landmarks.norm.bias'));
  }

  /**
   * Gradients of the last forward.
   *
   * @param gradOut with respect to its outputs, of their shape
   * @param options `gradient`: how to go through Newton's iteration, see softAttentionBackward
   * @throws TypeError (ERR_INVALID_ARG_TYPE), RangeError (ERR_OUT_OF_RANGE) naming the argument; Error (ERR_NO_FORWARD) where no
   *   forward came before
   */
  backward<T extends Reals>(
    gradOut: T,
    options: { gradient?: 'implicit' | 'unrolled' } = {},
  ): SoftAttentionLayerGradients<T> {
    const kept = this.#kept;
    if (!kept)
      throw Object.assign(new Error('backward needs a forward before it'), { code: 'ERR_NO_FORWARD' });
    const { channels, heads, d, kernelSize, dtype, checkFinite, threads } = this.#settings;
    const { batch, n, x, v } = kept as Kept & { x: T; v: T };
    reals('gradOut', gradOut, dtype, batch * n * channels);
    const gradients: Record<string, SoftParameter> = {};
    const keep = (name: string, data: Reals): void => {
      gradients[name] = { data, shape: this.#parameters[name].shape };
    };
    const rows = batch * n;
    const through = (gradient: T, input: Reals): T =>
      matmul(gradient, input as T, { m: channels, n: channels, k: rows, transposeA: true, threads });
    keep('output.weight', through(gradOut, kept.merged));
    const ones = like(x, rows).fill(1);
    keep('output.bias', matmul(ones, gradOut, { m: 1, n: channels, k: rows, threads }));
    const dMerged = matmul(gradOut, this.#data<T>('output.weight'), {
      m: rows,
      n: channels,
      k: channels,
      threads,
    });
    const dOut = swapAxes(dMerged, batch, n, heads, d, threads);

    let dq: T;
    let dv: T;
    if (kept.saved) {
      const back = softAttentionBackward(kept.saved, dOut, { ...options, threads });
      dv = back.dv as T;
      dq = this.#landmarksBackward(kept, back.dLandmarks as T, back.dq as T, keep);
    } else {
      const input = { q: kept.q as T, v };
      ({ dq, dv } = gaussianAttentionBackward(input, dOut, { batch, heads, n, d, checkFinite, threads }));
    }
    if (kernelSize > 0) {
      const sizes = this.#convolution(kept);
      addHeadConvolution(dOut, this.#data<T>('residual.weight'), dv, sizes, true, threads);
      keep('residual.weight', headConvolutionWeights(v, dOut, sizes, threads));
    }
    const dx = like(x, x.length);
    for (const [name, part] of [
      ['query.weight', dq],
      ['value.weight', dv],
    ] as const) {
      const joined = swapAxes(part, batch, heads, n, d, threads);
      keep(name, through(joined, x));
      const sizes = { m: rows, n: channels, k: channels, accumulate: true, out: dx, threads };
      matmul(joined, this.#data<T>(name), sizes);
    }
    return { dx, parameters: gradients };
  }

  /** The queries' gradient with what comes through the landmarks. */
  #landmarksBackward<T extends Reals>(
    kept: Kept,
    dLandmarks: T,
    dq: T,
    keep: (name: string, data: Reals) => void,
  ): T {
    const { heads, d, ratio, landmarks, threads } = this.#settings;
    const count = (kept.batch * heads * kept.n) / ratio ** 2;
    const alpha = d ** -0.25;
    const windows = this.#windows(dq, kept, false);
    const onto = { accumulate: true, out: windows, threads };
    if (landmarks === 'avgpool') {
      const ones = like(dq, ratio ** 2).fill(1) as T;
      const sizes = { m: ratio ** 2, n: d, k: 1, batch: count, strideA: 0 };
      matmul(ones, dLandmarks, { ...sizes, alpha: alpha / ratio ** 2, ...onto });
    } else {
      const [weight, bias] = ['weight', 'bias'].map((name) => this.#data<T>(`landmarks.norm.${name}`));
      const { dx, dWeight, dBias } = normGeluBackward(kept.before as T, weight, bias, dLandmarks);
      keep('landmarks.norm.weight', dWeight);
      keep('landmarks.norm.bias', dBias);
      const wide = ratio ** 2 * d;
      const sizes = { m: wide, n: d, k: count, alpha, threads };
      keep('landmarks.weight', matmul(kept.patches as T, dx, { ...sizes, transposeA: true }));
      matmul(dx, this.#data<T>('landmarks.weight'), {
        m: count,
        n: wide,
        k: d,
        transposeB: true,
        alpha,
        ...onto,
      });
    }
    return this.#windows(windows, kept, true);
  }
}
