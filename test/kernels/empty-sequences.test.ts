import {
  causalConv1d,
  deltaRuleRecurrence,
  linearAttention,
  ltiScan,
  recurrentAttention,
  selectiveScan,
  selectiveScanBackward,
  ssdScan,
} from '../../lib/index.js';

const none = new Float32Array(0);
const one = new Float32Array(1);
const qkv = { q: none, k: none, v: none };
const scan = { u: none, delta: none, A: one, B: none, C: none };

/** Calls on sequences of length 0, which no array bounds. */
const calls: [string, (batch: number) => unknown][] = [
  ['selectiveScan', (batch) => selectiveScan(scan, { batch, dim: 1, length: 0, state: 1 })],
  [
    'selectiveScanBackward',
    (batch) => selectiveScanBackward(scan, none, { batch, dim: 1, length: 0, state: 1 }),
  ],
  [
    'ssdScan',
    (batch) =>
      ssdScan(
        { x: none, dt: none, A: one, B: none, C: none },
        { batch, heads: 1, headDim: 1, length: 0, state: 1 },
      ),
  ],
  [
    'ltiScan',
    (batch) =>
      ltiScan({ u: none, delta: one, A: one, B: one, C: one }, { batch, dim: 1, length: 0, state: 1 }),
  ],
  [
    'deltaRuleRecurrence',
    (batch) => deltaRuleRecurrence({ ...qkv, beta: none }, { batch, length: 0, keyDim: 1, valueDim: 1 }),
  ],
  [
    'causalConv1d',
    (batch) => causalConv1d({ x: none, weight: new Float32Array(2) }, { batch, dim: 1, length: 0, width: 2 }),
  ],
  ['linearAttention', (batch) => linearAttention(qkv, { batch, length: 0, headDim: 1, valueDim: 1 })],
  ['recurrentAttention', (batch) => recurrentAttention(qkv, { batch, length: 0, headDim: 1, valueDim: 1 })],
];

describe('sequences of length 0', () => {
  it.each(calls)('%s: many are quick, a number that no loop would get through is refused', (_, run) => {
    expect(() => run(1000)).not.toThrow();
    expect(() => run(2 ** 40)).toThrow(
      expect.objectContaining({
        code: 'ERR_OUT_OF_RANGE',
        message: expect.stringContaining('"batch"') as unknown,
      }),
    );
  });
});
