import { decodeLimits } from '../../lib/llm/limits.js';
import type { LimitOptions } from '../../lib/llm/limits.js';
import { expectThrown } from '../helpers/refused.js';

const LLAMA2_7B: LimitOptions['config'] = {
  hiddenSize: 4096,
  intermediateSize: 11008,
  numHiddenLayers: 32,
  numAttentionHeads: 32,
  numKeyValueHeads: 32,
  headDim: 128,
  vocabSize: 32000,
  attentionBias: false,
  outputBias: false,
  slidingWindow: null,
};

test('Llama2-7B in 16 bits: 13.21 GB and 524,288 bytes a cached token', () => {
  const at = (lengths: number[], bandwidthGBps = 2040) =>
    decodeLimits({ config: LLAMA2_7B, lengths, bandwidthGBps, weights: 'f16', cache: 'f16' });
  // 6,738,415,616 parameters less the embedding table; the 65 norms are float32.
  expect(at([]).bytes).toBe(2 * (6_738_415_616 - 32_000 * 4096) + 2 * 65 * 4096);
  expect(at([1]).bytes - at([]).bytes).toBe(524_288);
  expect(at([100, 28]).bytes - at([]).bytes).toBe(128 * 524_288);
  // A100 80 GB, H100 SXM, H200.
  expect(at([0]).milliseconds).toBeCloseTo(6.5, 1);
  expect(at([1024]).milliseconds).toBeCloseTo(6.7, 1);
  expect(at([1024], 3350).milliseconds).toBeCloseTo(4.1, 1);
  expect(at([1024], 4800).milliseconds).toBeCloseTo(2.87, 2);
});

test('small sizes by hand: grouped heads, biases, window, storage', () => {
  const config = {
    hiddenSize: 8,
    intermediateSize: 10,
    numHiddenLayers: 3,
    numAttentionHeads: 4,
    numKeyValueHeads: 2,
    headDim: 6,
    vocabSize: 7,
    attentionBias: true,
    outputBias: true,
    slidingWindow: 5,
  };
  const elements = 3 * (48 * 8 + 8 * 24 + 20 * 8 + 8 * 10) + 7 * 8;
  const rows = 3 * (48 + 8 + 20 + 8) + 7;
  const vectors = 4 * (3 * (2 * 8 + 48 + 8) + 8);
  const bytes = (o: Partial<LimitOptions>): number =>
    decodeLimits({ config, lengths: [], bandwidthGBps: 1, ...o }).bytes;
  expect(bytes({ weights: 'f32' })).toBe(4 * elements + vectors);
  expect(bytes({})).toBe(2 * elements + vectors);
  expect(bytes({ weights: 'int8' })).toBe(elements + 4 * rows + vectors);
  const cached = (o: Partial<LimitOptions>): number =>
    bytes({ lengths: Int32Array.of(3, 9), ...o }) - bytes({});
  expect(cached({})).toBe(8 * 2 * 3 * 2 * 6 * 4);
  expect(cached({ cache: 'bf16' })).toBe(8 * 2 * 3 * 2 * 6 * 2);
  expect(cached({ cache: 'int8' })).toBe(8 * 2 * 3 * 2 * (6 + 4));
});

test('refuses what is not a step', () => {
  const o: LimitOptions = { config: LLAMA2_7B, lengths: [1], bandwidthGBps: 39 };
  const wrong = (change: object, kind: 'type' | 'range', name: string): void =>
    expectThrown(() => decodeLimits({ ...o, ...change }), kind, name);
  wrong({ bandwidthGBps: 0 }, 'range', 'bandwidthGBps');
  wrong({ lengths: [1, -1] }, 'range', 'lengths');
  wrong({ lengths: 5 }, 'type', 'lengths');
  wrong({ config: null }, 'type', 'config');
  wrong({ weights: 'int4' }, 'range', 'weights');
  wrong({ cache: 'f64' }, 'range', 'cache');
});
