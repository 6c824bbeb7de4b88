/**
 * The forward pass of a Mamba model over the next tokens of one sequence: the full scan for several, the single-step
 * kernels for one. Either way the state that is carried is the same, and of constant size.
 *
 *   v = embedding[token];  each layer: v += Wout y;  (x, z) = Win norm(v);  u = silu(conv(x) + bias)
 *   (r, B, C) = Wx u;  y = selectiveScan(u, delta = Wdt r, A, B, C, D, z, bias, softplus)
 *   logits = Whead norm(v)
 *
 * "Mamba: Linear-Time Sequence Modeling with Selective State Spaces", A. Gu and T. Dao, 2023, section 3.4.
 */
import { causalConv1dAsync, causalConv1dUpdate } from '../kernels/causal-conv.js';
import { gemm, gemmAsync, type GemmOptions } from '../kernels/gemm.js';
import { selectiveScanAsync } from '../kernels/selective-scan.js';
import { selectiveStateUpdate } from '../kernels/state-update.js';
import { layerNorm, rmsNorm } from '../kernels/transformer.js';
import { embed, type PackedWeights } from '../kernels/weights.js';
import type { MambaConfig } from './mamba-config.js';
import type { MambaLayerState } from './mamba-state.js';
import type { MambaLayerWeights, MambaWeights } from './mamba-weights.js';

/** What a pass runs on. */
export interface MambaPass {
  config: MambaConfig;
  weights: MambaWeights;
  threads: number;
}

/**
 * Multiply-adds from which a product leaves the JavaScript thread: some tenths of a millisecond, against some hundredths
 * for the way to the pool and back.
 */
const ASYNC_WORK = 2 ** 20;

/**
 * Reads tokens and gives the logits after some of them.
 *
 * @param pass model and threads
 * @param layers state of each layer, changed in place
 * @param tokens ids, at least one
 * @param wanted whose logits: those after the last token [vocabSize], after each [tokens, vocabSize], or none (undefined)
 */
export async function mambaForward(
  pass: MambaPass,
  layers: readonly MambaLayerState[],
  tokens: Int32Array,
  wanted: 'none' | 'last' | 'all',
): Promise<Float32Array | undefined> {
  const { config, weights, threads } = pass;
  const stream = embed(weights.embedding, tokens);
  for (const [i, layer] of weights.layers.entries()) await mix(pass, layer, layers[i], stream, tokens.length);
  if (wanted === 'none') return undefined;
  const rows = wanted === 'all' ? stream : stream.subarray((tokens.length - 1) * config.dModel);
  const { finalNorm, finalNormBias, head } = weights;
  return product(norm(pass, rows, finalNorm, finalNormBias), head, { threads });
}

/** Adds what a layer makes of the residual stream to it. */
async function mix(
  pass: MambaPass,
  layer: MambaLayerWeights,
  state: MambaLayerState,
  stream: Float32Array,
  length: number,
): Promise<void> {
  const { threads } = pass;
  const normed = norm(pass, stream, layer.norm, layer.normBias);
  const x = await product(normed, layer.x, { bias: layer.xBias, threads });
  const z = await product(normed, layer.z, { bias: layer.zBias, threads });
  const y = await (length === 1 ? step : scan)(pass, layer, state, x, z);
  await product(y, layer.out, { bias: layer.outBias, residual: stream, out: stream, threads });
}

/** Convolution and scan of several tokens. */
async function scan(
  { config, threads }: MambaPass,
  layer: MambaLayerWeights,
  state: MambaLayerState,
  x: Float32Array,
  z: Float32Array,
): Promise<Float32Array> {
  const { dInner: dim, convWidth: width, stateSize } = config;
  const length = x.length / dim;
  const shape = { batch: 1, dim, length, layout: 'time-first', threads } as const;
  const convolved = await causalConv1dAsync(
    { x, weight: layer.conv, bias: layer.convBias, initialState: state.conv },
    { ...shape, width, activation: 'silu', returnFinalState: true },
  );
  state.conv.set(convolved.finalState as Float32Array);
  const u = convolved.out;
  const { delta, b, c } = await select(layer, u, threads);
  const input = { u, delta, A: layer.a, B: b, C: c, D: layer.d, z, deltaBias: layer.timeStepBias };
  const { out, lastState } = await selectiveScanAsync(
    { ...input, initialState: state.scan },
    { ...shape, state: stateSize, deltaSoftplus: true, returnLastState: true },
  );
  state.scan.set(lastState as Float32Array);
  return out;
}

/** Convolution and scan of one token. */
async function step(
  { config, threads }: MambaPass,
  layer: MambaLayerWeights,
  state: MambaLayerState,
  x: Float32Array,
  z: Float32Array,
): Promise<Float32Array> {
  const { dInner: dim, convWidth: width, stateSize } = config;
  const u = causalConv1dUpdate(
    state.conv,
    { x, weight: layer.conv, bias: layer.convBias },
    { batch: 1, dim, width, activation: 'silu' },
  );
  const { delta, b, c } = await select(layer, u, threads);
  return selectiveStateUpdate(
    state.scan,
    { x: u, dt: delta, A: layer.a, B: b, C: c, D: layer.d, z, dtBias: layer.timeStepBias },
    { batch: 1, dim, state: stateSize, dtSoftplus: true, threads },
  );
}

/** What the selection makes of the input: time steps before bias and softplus, input weights and read-out weights. */
async function select(
  layer: MambaLayerWeights,
  u: Float32Array,
  threads: number,
): Promise<{ delta: Float32Array; b: Float32Array; c: Float32Array }> {
  const lowRank = await product(u, layer.lowRank, { threads });
  const b = await product(u, layer.b, { threads });
  const c = await product(u, layer.c, { threads });
  return { delta: await product(lowRank, layer.timeStep, { threads }), b, c };
}

function norm(
  { config, threads }: MambaPass,
  x: Float32Array,
  weight: Float32Array,
  bias: Float32Array | undefined,
): Float32Array {
  const options = { eps: config.normEps, threads };
  return config.rmsNorm ? rmsNorm(x, weight, options) : layerNorm(x, weight, bias, options);
}

async function product(a: Float32Array, w: PackedWeights, options: GemmOptions): Promise<Float32Array> {
  return (a.length / w.k) * w.n * w.k >= ASYNC_WORK ? gemmAsync(a, w, options) : gemm(a, w, options);
}
