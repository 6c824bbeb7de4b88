import { gradCheck, randn, type Parameters, type Tensor } from '../../lib/autograd/index.js';
import { Philox } from '../../lib/random.js';
import {
  initAttentionBlock,
  initMambaBlock,
  initMlpBlock,
  initPrefixLinearAttentionBlock,
  initSequenceModel,
  initShortConvolutionBlock,
  initSoftAttentionBlock,
  linearAttentionBlock,
  mambaBlock,
  mlpBlock,
  attentionVariantBlock,
  prefixLinearAttentionBlock,
  recurrentSoftmaxBlock,
  sequenceLogits,
  shortConvolutionBlock,
  softAttentionBlock,
  softmaxAttentionBlock,
  type Block,
} from '../../lib/sequence/blocks/index.js';
import { expectThrown } from '../helpers/refused.js';
import { expectClose } from '../helpers/compare.js';

/** Every block, small, with whether a position must not see later ones. */
const BLOCKS: Record<string, Block & { causal: boolean }> = {
  mamba: {
    init: (o) => initMambaBlock({ ...o, dInner: 8, stateSize: 3, timeStepRank: 2 }),
    apply: mambaBlock,
    causal: true,
  },
  'mamba, LTI': {
    init: (o) => initMambaBlock({ ...o, dInner: 8, stateSize: 3, form: 'lti' }),
    apply: mambaBlock,
    causal: true,
  },
  'softmax attention': {
    init: (o) => initAttentionBlock({ ...o, heads: 2 }),
    apply: (p, x) => softmaxAttentionBlock(p, x, { heads: 2 }),
    causal: true,
  },
  'softmax attention, both ways': {
    init: (o) => initAttentionBlock(o),
    apply: (p, x) => softmaxAttentionBlock(p, x, { causal: false }),
    causal: false,
  },
  'linear attention': {
    init: (o) => initAttentionBlock({ ...o, heads: 2, headDim: 2, valueDim: 3 }),
    apply: (p, x) => linearAttentionBlock(p, x, { heads: 2 }),
    causal: true,
  },
  'linear attention, elu': {
    init: (o) => initAttentionBlock(o),
    apply: (p, x) => linearAttentionBlock(p, x, { featureMap: 'elu' }),
    causal: true,
  },
  'prefix linear attention': {
    init: (o) => initPrefixLinearAttentionBlock({ ...o, heads: 2, headDim: 2 }),
    apply: (p, x) => prefixLinearAttentionBlock(p, x, { heads: 2 }),
    causal: false,
  },
  'recurrent softmax, order 3': {
    init: (o) => initAttentionBlock({ ...o, heads: 2, headDim: 2 }),
    apply: (p, x) => recurrentSoftmaxBlock(p, x, { heads: 2, order: 3, normalization: 'l2' }),
    causal: true,
  },
  'attention by length': {
    init: (o) => initAttentionBlock({ ...o, heads: 2 }),
    apply: (p, x) => attentionVariantBlock(p, x, { heads: 2, variant: 'div_s' }),
    causal: true,
  },
  'attention, l2': {
    init: (o) => initAttentionBlock({ ...o, heads: 2 }),
    apply: (p, x) => attentionVariantBlock(p, x, { heads: 2, variant: 'l2norm' }),
    causal: true,
  },
  soft: {
    init: (o) => initSoftAttentionBlock({ ...o, heads: 2 }),
    apply: (p, x) => softAttentionBlock(p, x, { heads: 2, height: 2, ratio: 2, gradient: 'unrolled' }),
    causal: false,
  },
  'short convolution': { init: initShortConvolutionBlock, apply: shortConvolutionBlock, causal: true },
  mlp: { init: (o) => initMlpBlock({ ...o, hidden: 5 }), apply: mlpBlock, causal: true },
};

const [BATCH, LENGTH, WIDTH] = [2, 8, 4];

describe.each(Object.entries(BLOCKS))('%s', (_name, block) => {
  const options = { dModel: WIDTH, generator: new Philox(3), dtype: 'f64' } as const;
  const params = block.init(options);
  const names = Object.keys(params);
  const x = randn([BATCH, LENGTH, WIDTH], { seed: 5, dtype: 'f64', requiresGrad: true });

  it('keeps the shape and has the gradient of finite differences', () => {
    expect(block.apply(params, x).shape).toEqual([BATCH, LENGTH, WIDTH]);
    const run = ({ x: input, ...own }: Parameters): Tensor => block.apply(own, input);
    const { ok, message } = gradCheck(run, { ...params, x }, { sample: 12 });
    expect(ok ? '' : message).toBe('');
  });

  it(`${block.causal ? 'does not see' : 'sees'} later positions`, () => {
    const later = randn([BATCH, LENGTH, WIDTH], { seed: 5, dtype: 'f64' });
    // The last position of every row changes.
    for (let b = 0; b < BATCH; b++)
      for (let i = 0; i < WIDTH; i++) later.data[((b + 1) * LENGTH - 1) * WIDTH + i] += 0.5;
    const [before, after] = [x, later].map((each) => block.apply(params, each).data);
    const first = (data: ArrayLike<number>): number[] => Array.from(data).slice(0, (LENGTH - 1) * WIDTH);
    const change = first(after).map((value, i) => Math.abs(value - first(before)[i]));
    if (block.causal) expect(Math.max(...change)).toBeLessThan(1e-12);
    else expect(Math.max(...change)).toBeGreaterThan(1e-6);
    expect(after.subarray(-WIDTH)).not.toEqual(before.subarray(-WIDTH));
  });

  it('starts from the generator alone', () => {
    const again = block.init({ ...options, generator: new Philox(3) });
    expect(Object.keys(again)).toEqual(names);
    names.forEach((name) => expect(again[name].data).toEqual(params[name].data));
    expect(Object.values(again).every(({ requiresGrad }) => requiresGrad)).toBe(true);
  });
});

it('orders of the cut-off exponential approach softmax', () => {
  const generator = new Philox(8);
  const params = initAttentionBlock({ dModel: 8, heads: 2, generator, dtype: 'f64' });
  const x = randn([1, 20, 8], { seed: 9, dtype: 'f64' });
  const softmax = softmaxAttentionBlock(params, x, { heads: 2 }).data;
  const errors = [2, 4, 8].map((order) => {
    const { data } = recurrentSoftmaxBlock(params, x, { heads: 2, order });
    return Math.max(...Array.from(data, (value, i) => Math.abs(value - softmax[i])));
  });
  expect(errors[1]).toBeLessThan(0.3 * errors[0]);
  expect(errors[2]).toBeLessThan(1e-3 * errors[0]);
});

it('a Mamba block starts as the paper says', () => {
  const params = initMambaBlock({ dModel: 32, generator: new Philox(1) });
  expect(Object.fromEntries(Object.entries(params).map(([name, { shape }]) => [name, shape]))).toEqual({
    'norm.weight': [32],
    'mixer.in_proj.weight': [128, 32],
    'mixer.conv1d.weight': [64, 1, 4],
    'mixer.conv1d.bias': [64],
    'mixer.x_proj.weight': [34, 64],
    'mixer.dt_proj.weight': [64, 2],
    'mixer.dt_proj.bias': [64],
    'mixer.A_log': [64, 16],
    'mixer.D': [64],
    'mixer.out_proj.weight': [32, 64],
  });
  const logs = Array.from({ length: 16 }, (_, n) => Math.log(n + 1));
  expectClose(params['mixer.A_log'].data.subarray(0, 16), logs, () => 1e-6);
  const steps = Array.from(params['mixer.dt_proj.bias'].data, (x) => Math.log1p(Math.exp(x)));
  expect(Math.min(...steps)).toBeGreaterThan(0.00099);
  expect(Math.max(...steps)).toBeLessThan(0.101);
});

describe('sequenceLogits', () => {
  it('gives the rows that are wanted', () => {
    const blocks: Block[] = [BLOCKS.mamba, BLOCKS.mlp];
    const generator = new Philox(2);
    const params = initSequenceModel(blocks, { vocabSize: 11, dModel: WIDTH, positions: 6, generator });
    const tokens = Int32Array.of(1, 2, 3, 4, 5, 6, 7, 8, 9, 10);
    const all = sequenceLogits(params, blocks, tokens, { batch: 2, length: 5 });
    expect(all.shape).toEqual([10, 11]);
    const some = sequenceLogits(params, blocks, tokens, { batch: 2, length: 5, rows: Int32Array.of(7, 2) });
    expectClose(some.data, [...all.data.subarray(77, 88), ...all.data.subarray(22, 33)], () => 1e-6);
  });

  it('positions make a difference only where they are wanted', () => {
    const logits = (positions: number): ArrayLike<number> => {
      const generator = new Philox(2);
      const params = initSequenceModel([], { vocabSize: 5, dModel: 4, positions, generator });
      return sequenceLogits(params, [], Int32Array.of(3, 3), { batch: 1, length: 2 }).data;
    };
    expect(Array.from(logits(0)).slice(0, 5)).toEqual(Array.from(logits(0)).slice(5));
    expect(Array.from(logits(2)).slice(0, 5)).not.toEqual(Array.from(logits(2)).slice(5));
  });
});

it('sizes that are none are refused by name', () => {
  const generator = new Philox(1);
  expectThrown(() => initMambaBlock({ dModel: 0, generator }), 'range', 'dModel');
  expectThrown(() => initMambaBlock({ dModel: 4, generator, form: 'other' as never }), 'range', 'form');
  expectThrown(() => initAttentionBlock({ dModel: 4, generator, heads: 3 }), 'range', 'headDim');
  const params = initSoftAttentionBlock({ dModel: 4, generator });
  const attention = initAttentionBlock({ dModel: 4, generator });
  const x = randn([1, 6, 4], { seed: 1 });
  expectThrown(() => softAttentionBlock(params, x, { height: 2, ratio: 2 }), 'range', 'ratio');
  expectThrown(() => mambaBlock({}, randn([2, 3], { seed: 1 })), 'range', 'x');
  expectThrown(() => attentionVariantBlock(attention, x, { variant: 'none' as never }), 'range', 'variant');
});
