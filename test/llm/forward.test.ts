import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { PAGE_TOKENS, pageBytes, prepareForward } from '../../lib/llm/forward.js';
import type { CacheType, ForwardOptions } from '../../lib/llm/forward.js';
import { LlamaModel } from '../../lib/llm/model.js';
import { blocking, promised } from '../../lib/native.js';
import { expectClose, expectSameBits } from '../helpers/compare.js';
import { type InventedConfig, inventedConfig, inventModel } from '../helpers/invented-model.js';
import { onEveryIsa } from '../helpers/isa.js';
import { memo } from '../helpers/memo.js';
import { integers } from '../helpers/rows.js';
import { expectedOf, scoreRanges, shareOf, TINY_MODELS } from '../helpers/tiny-models.js';
import { ReferenceLlama } from '../reference/llama.js';

/** Rows of one sequence in a forward pass: its tokens from a position on. */
interface Piece {
  tokens: readonly number[];
  position: number;
}

/** Caches of some sequences, and passes over pieces of them. Pages lie scattered over slabs of two pages. */
class Caches {
  private readonly slabs: Uint8Array[];
  private readonly pageTable: Int32Array;
  private readonly maxPages: number;

  constructor(
    private readonly model: LlamaModel,
    private readonly count: number,
    longest: number,
    private readonly type: CacheType = 'f32',
  ) {
    this.maxPages = Math.ceil(longest / PAGE_TOKENS);
    const pages = count * this.maxPages;
    const bytes = pageBytes(model.shape, type);
    // What no token has been written to is NaN in every type.
    this.slabs = Array.from({ length: Math.ceil(pages / 2) }, () => new Uint8Array(2 * bytes).fill(0xff));
    this.pageTable = Int32Array.from({ length: pages }, (_, i) => pages - 1 - i);
  }

  /** Logits of every row, and what fell back. */
  pass(
    pieces: ReadonlyMap<number, Piece>,
    options: ForwardOptions = {},
    wanted?: number[],
  ): ReturnType<typeof prepareForward> {
    const rows = [...pieces].flatMap(([sequence, { tokens, position }]) =>
      tokens.map((token, i) => ({ token, sequence, position: position + i })),
    );
    if (this.count < 1) throw new Error('no sequences');
    const batch = {
      tokens: Int32Array.from(rows, ({ token }) => token),
      sequences: Int32Array.from(rows, ({ sequence }) => sequence),
      positions: Int32Array.from(rows, ({ position }) => position),
      pageTable: this.pageTable,
      maxPages: this.maxPages,
      logitRows: Int32Array.from(wanted ?? rows.keys()),
    };
    return prepareForward(this.model.shape, this.model.weights, this.slabs, this.type, batch, options);
  }
}

/** Logits of all tokens of one sequence, cut into pieces of these lengths (the last one again and again). */
function logitsOf(
  model: LlamaModel,
  tokens: readonly number[],
  cuts: readonly number[] = [tokens.length],
  type: CacheType = 'f32',
  options: ForwardOptions = {},
): Float32Array {
  const caches = new Caches(model, 1, tokens.length, type);
  const { vocab } = model.shape;
  const out = new Float32Array(tokens.length * vocab);
  let position = 0;
  for (let i = 0; position < tokens.length; i += 1) {
    const piece = tokens.slice(position, position + cuts[Math.min(i, cuts.length - 1)]);
    const pass = caches.pass(new Map([[0, { tokens: piece, position }]]), options);
    out.set(blocking(pass).logits, position * vocab);
    position += piece.length;
  }
  return out;
}

const tiny = memo((index: number, weights: 'as-stored' | 'f32' | 'bf16' | 'int8') => {
  const { folder, weightsFile } = TINY_MODELS[index];
  const file = weightsFile === 'model.safetensors' ? undefined : weightsFile;
  return LlamaModel.load(folder, { file, weights });
});
const expected = memo((index: number) => expectedOf(TINY_MODELS[index]));

/** Fails unless every row is within `share` of its largest logit. */
function expectLogits(
  actual: Float32Array,
  rows: readonly Float64Array[],
  share: number,
  label: string,
): void {
  rows.forEach((row, t) => {
    const part = actual.subarray(t * row.length, (t + 1) * row.length);
    expectClose(part, row, shareOf(share, row), `${label}, token ${t}`);
  });
}

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'softlane-forward-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Shapes that the fixtures do not have. */
const INVENTED: [string, Partial<InventedConfig>][] = [
  [
    'one head of two',
    { num_attention_heads: 1, head_dim: 2, hidden_size: 5, intermediate_size: 3, vocab_size: 7 },
  ],
  [
    'five query heads a head',
    { num_attention_heads: 10, num_key_value_heads: 2, head_dim: 6, hidden_size: 33 },
  ],
  ['a window', { architectures: ['MistralForCausalLM'], sliding_window: 9 }],
  ['biases everywhere', { attention_bias: true, num_attention_heads: 4, num_key_value_heads: 4 }],
  [
    'biases of Qwen2, tied',
    { architectures: ['Qwen2ForCausalLM'], tie_word_embeddings: true, num_hidden_layers: 3 },
  ],
  ['linear scaling', { rope_scaling: { rope_type: 'linear', factor: 4 }, rope_theta: 500 }],
  ['a large vocabulary', { vocab_size: 1025, num_hidden_layers: 1 }],
  ['heads of 130', { head_dim: 130, num_attention_heads: 2, num_key_value_heads: 1 }],
];

const invented = memo(async (index: number) => {
  const {
    config,
    tensors,
    folder: path,
  } = inventModel(join(folder, String(index)), inventedConfig(INVENTED[index][1]), index);
  const tokens = [...integers(37, config.vocab_size, index)];
  const reference = new ReferenceLlama(config, tensors);
  return { model: await LlamaModel.load(path), tokens, rows: tokens.map((token) => reference.step(token)) };
});

onEveryIsa(() => {
  it.each(TINY_MODELS.map(({ name, weightsFile }, i) => [name, weightsFile, i] as const))(
    '%s, %s: the logits of the fixtures, as stored and in float32',
    async (_name, _file, index) => {
      const { tokens, logits } = expected(index);
      for (const weights of ['as-stored', 'f32'] as const) {
        const model = await tiny(index, weights);
        for (const softmax of ['online', 'unified', 'pair'] as const) {
          const actual = logitsOf(model, tokens, [1], 'f32', { softmax });
          expectLogits(actual, logits, 1e-5, `${weights}, ${softmax}`);
        }
      }
    },
  );

  it.each(INVENTED.map(([name], i) => [name, i] as const))(
    '%s: the logits of the reference',
    async (_name, index) => {
      const { model, tokens, rows } = await invented(index);
      expectLogits(logitsOf(model, tokens), rows, 1e-5, 'at once');
      expectLogits(logitsOf(model, tokens, [1]), rows, 1e-5, 'token by token');
    },
  );

  it.each(TINY_MODELS.map(({ name, weightsFile }, i) => [name, weightsFile, i] as const))(
    '%s, %s: how a prompt is cut, threads and other sequences do not change a bit',
    async (_name, _file, index) => {
      const model = await tiny(index, 'as-stored');
      const { tokens } = expected(index);
      const { vocab } = model.shape;
      for (const type of ['f32', 'bf16', 'f16', 'int8'] as const) {
        for (const softmax of ['online', 'unified', 'pair'] as const) {
          const steps = logitsOf(model, tokens, [1], type, { softmax });
          for (const cuts of [[tokens.length], [5], [7, 1, 1, 9], [16], [tokens.length - 1, 1]]) {
            const label = `${type}, ${softmax}, cut at ${cuts.join()}`;
            expectSameBits(logitsOf(model, tokens, cuts, type, { softmax }), steps, label);
          }
          for (const threads of [2, 3]) {
            expectSameBits(
              logitsOf(model, tokens, [6], type, { softmax, threads }),
              steps,
              `${threads} threads`,
            );
          }
          // Three sequences that begin alike, at different places, one of them in the middle of its prompt.
          const caches = new Caches(model, 3, tokens.length, type);
          const [a, b, c] = [tokens.slice(0, 9), tokens.slice(0, 20), tokens.slice(0, 2)];
          const row = (t: number): Float32Array => steps.subarray(t * vocab, (t + 1) * vocab);
          const first = blocking(
            caches.pass(
              new Map([
                [0, { tokens: a, position: 0 }],
                [1, { tokens: b, position: 0 }],
                [2, { tokens: c, position: 0 }],
              ]),
              { softmax },
              [8, 28, 30],
            ),
          );
          expectSameBits(
            first.logits,
            Float32Array.from([...row(8), ...row(19), ...row(1)]),
            `${type} together`,
          );
          const next = blocking(
            caches.pass(
              new Map([
                [1, { tokens: [tokens[20]], position: 20 }],
                [0, { tokens: tokens.slice(9, 12), position: 9 }],
                [2, { tokens: [tokens[2]], position: 2 }],
              ]),
              { softmax, threads: 2 },
            ),
          );
          const rows = [20, 9, 10, 11, 2].flatMap((t) => [...row(t)]);
          expectSameBits(next.logits, Float32Array.from(rows), `${type} mixed`);
        }
      }
    },
  );

  it('caches of 16 bits and less', async () => {
    const [model] = [await tiny(0, 'f32')];
    const { tokens, logits } = expected(0);
    for (const [type, share] of [
      ['bf16', 0.02],
      ['f16', 0.005],
      ['int8', 0.03],
    ] as const) {
      const actual = logitsOf(model, tokens, [tokens.length], type);
      expectLogits(actual, logits, share, type);
      expect(() => expectLogits(actual, logits, 1e-6, type)).toThrow(/tolerance/);
    }
  });

  it('the promise form gives the same bits', async () => {
    const model = await tiny(0, 'f32');
    const { tokens } = expected(0);
    const piece = new Map([[0, { tokens, position: 0 }]]);
    const caches = [0, 1].map(() => new Caches(model, 1, tokens.length));
    const [now, later] = [
      blocking(caches[0].pass(piece)),
      await promised(caches[1].pass(piece, { threads: 2 })),
    ];
    expectSameBits(later.logits, now.logits);
  });

  it('sums the largest scores of each layer', async () => {
    const model = await tiny(0, 'f32');
    const { tokens } = expected(0);
    const scoreMaxima = new Float64Array(model.shape.layers);
    logitsOf(model, tokens, [10], 'f32', { scoreMaxima });
    const count = tokens.length * model.shape.queryHeads;
    expectClose(
      scoreMaxima.map((sum) => sum / count),
      scoreRanges().map(({ meanRowMax }) => meanRowMax),
      () => 1e-4,
    );
  });

  it('a unified maximum that is far off falls back in every row and changes little', async () => {
    const model = await tiny(0, 'f32');
    const { tokens, logits } = expected(0);
    const pass = (phi: number | Float64Array): { logits: Float32Array; fallbackRows: number } =>
      blocking(
        new Caches(model, 1, tokens.length).pass(new Map([[0, { tokens, position: 0 }]]), {
          softmax: 'unified',
          phi,
        }),
      );
    const off = pass(500);
    expect(off.fallbackRows).toBe(tokens.length * model.shape.layers * model.shape.queryHeads);
    expectLogits(off.logits, logits, 1e-5, 'phi 500');
    const { layers, queryHeads } = model.shape;
    expect(layers).toBe(2);
    const half = pass(Float64Array.of(0, 500));
    expect(half.fallbackRows).toBe(tokens.length * queryHeads);
    expect(pass(1).fallbackRows).toBe(0);
  });
});

describe('what a pass refuses', () => {
  const wrong = async (
    change: (batch: Parameters<typeof prepareForward>[4]) => void,
    message: RegExp,
  ): Promise<void> => {
    const model = await tiny(0, 'f32');
    const slabs = [new Uint8Array(4 * pageBytes(model.shape, 'f32'))];
    const batch = {
      tokens: Int32Array.of(1, 2, 3),
      sequences: Int32Array.of(0, 0, 1),
      positions: Int32Array.of(0, 1, 0),
      pageTable: Int32Array.of(2, -1, 0, -1),
      maxPages: 2,
      logitRows: Int32Array.of(1, 2),
    };
    const run = (): unknown => blocking(prepareForward(model.shape, model.weights, slabs, 'f32', batch));
    expect(run).not.toThrow();
    slabs[0].fill(0);
    change(batch);
    expect(run).toThrow(expect.objectContaining({ name: 'RangeError', code: 'ERR_OUT_OF_RANGE' }) as Error);
    expect(run).toThrow(message);
    expect(slabs[0].every((byte) => byte === 0)).toBe(true);
  };

  it.each<[string, (batch: Parameters<typeof prepareForward>[4]) => void, RegExp]>([
    ['a token outside the vocabulary', (b) => (b.tokens[1] = 256), /token/],
    ['a negative token', (b) => (b.tokens[2] = -1), /token/],
    ['a position without a page', (b) => (b.positions = Int32Array.of(15, 16, 0)), /page|position/],
    ['a position beyond the table', (b) => (b.positions = Int32Array.of(0, 1, 32)), /page|position/],
    ['a negative position', (b) => (b.positions[2] = -1), /position/],
    ['more rows of logits than rows', (b) => (b.logitRows = Int32Array.of(0, 1, 2, 2)), /logitRows|row/],
    ['a page outside the slabs', (b) => (b.pageTable[0] = 4), /page/],
    ['a sequence outside the table', (b) => (b.sequences[2] = 2), /sequence/],
    ['a negative sequence', (b) => (b.sequences = Int32Array.of(-1, -1, 1)), /sequence/],
    ['a row of logits that is not there', (b) => (b.logitRows = Int32Array.of(1, 3)), /logitRows|row/],
    ['a negative row of logits', (b) => (b.logitRows = Int32Array.of(-1, 2)), /logitRows|row/],
    ['too few positions', (b) => (b.positions = Int32Array.of(0, 1)), /position/],
    ['too few sequences', (b) => (b.sequences = Int32Array.of(0, 0)), /sequence/],
    ['a table that is too short', (b) => (b.maxPages = 3), /page/],
  ])('%s', async (_what, change, message) => wrong(change, message));
});
