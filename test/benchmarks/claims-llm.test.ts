import { verdictOf } from '../../benchmarks/claims/claim.js';
import { measureLlmClaims } from '../../benchmarks/claims/llm.js';
import { formClaims, readClaims, verdictLines } from '../../benchmarks/claims/llm-attention.js';
import { fallbackClaims, fallbackRate, rateLines, stepClaims } from '../../benchmarks/claims/llm-decode.js';
import type { Ceilings, ResultRow } from '../../benchmarks/harness/results.js';
import { LlamaModel } from '../../lib/llm/index.js';

const ceilings: Ceilings = {
  readGBps: 30,
  readLargeGBps: 40,
  copyGBps: 38,
  streamCopyGBps: 44,
  fmaGflops: { avx512: 250, avx2: 126, scalar: 5 },
};

describe('the claims about language models', () => {
  it('are all listed, once each, and not measured where the run was stopped before', async () => {
    const lines: string[] = [];
    const { claims, failures } = await measureLlmClaims((line) => lines.push(line), AbortSignal.abort());
    expect(failures).toEqual([]);
    expect(new Set(claims.map(({ text }) => text)).size).toBe(claims.length);
    const groups = [
      /^weights/,
      /^onnxruntime/,
      /^f32 \/ bf16/,
      /choice/,
      /buffering/,
      /^attention/,
      /^online/,
    ];
    for (const group of [...groups, /^decode step/, /^tokens per second/, /fall back$/]) {
      expect(claims.some(({ text }) => group.test(text))).toBe(true);
    }
    for (const claim of claims) {
      expect(claim.atLeast ?? claim.atMost).toBeDefined();
      expect(claim.measured).toBeUndefined();
      expect(['not measured', 'not expected here']).toContain(verdictOf(claim));
    }
    expect(lines.some((line) => line.startsWith('ceilings of one core'))).toBe(true);
  });
});

/** A row of attention; its reading alone takes `readMs` at the ceiling of large pages. */
const attentionRow = (
  contender: string,
  length: number,
  group: number,
  ms: number,
  readMs: number,
): ResultRow => ({
  question: 'attention',
  contender,
  case: { length, group, kvHeads: 8, headDim: 128, dtype: 'f32', isa: 'avx512', threads: 1 },
  medianNs: ms * 1e6,
  spread: 0,
  samples: 15,
  GBps: (readMs * ceilings.readLargeGBps) / ms,
  Gflops: (group * 2 ** 27) / (ms * 1e6),
  ofCeiling: readMs / ms,
});

describe('readClaims', () => {
  const find = (rows: ResultRow[], group: number) =>
    readClaims(rows, ceilings, 'avx512').find(({ text }) => text.includes(`group ${group}, 32 Ki`))!;

  it('take the best layout: a share for one head, a multiple of the reading for groups', () => {
    const rows = [
      attentionRow('online', 32768, 1, 8, 6.8),
      attentionRow('paged', 32768, 1, 7.9, 6.8),
      attentionRow('pair', 32768, 1, 6.9, 6.8),
      attentionRow('online', 32768, 8, 10.3, 6.8),
    ];
    expect(find(rows, 1).measured).toBeCloseTo((100 * 6.8) / 7.9, 9);
    expect(verdictOf(find(rows, 1))).toBe('pass');
    expect(find(rows, 8).measured).toBeCloseTo(10.3 / 6.8, 9);
    expect(verdictOf(find(rows, 8))).toBe('miss');
    expect(verdictOf(find(rows, 4))).toBe('not measured');
  });

  it('expect nothing where arithmetic alone takes longer than reading', () => {
    const slow = { ...attentionRow('online', 32768, 8, 12, 6.8), Gflops: 200 };
    expect(find([slow], 8).notExpected).toBe('arithmetic alone takes 1.41 of the time of reading');
  });
});

describe('the forms of a split softmax', () => {
  const rows = (unified: number, pair: number) =>
    [2 ** 10, 2 ** 13, 2 ** 15].flatMap((length) =>
      [1, 4, 8].flatMap((group) => [
        attentionRow('online', length, group, 10, 8),
        attentionRow('unified', length, group, length === 2 ** 10 && group === 8 ? unified : 10, 8),
        attentionRow('pair', length, group, pair, 8),
      ]),
    );

  it('are compared by their largest gain and by their mean', () => {
    const [paper, unified, pair] = formClaims(rows(8, 11));
    expect(paper.measured).toBeCloseTo(1.25, 9);
    expect(verdictOf(paper)).toBe('not expected here');
    expect(paper.notExpected).toContain('here reading takes 80.0 % of the online');
    expect(unified.measured).toBeCloseTo(1.25 ** (1 / 9), 9);
    expect(pair.measured).toBeCloseTo(10 / 11, 9);
    expect([unified, pair].map(verdictOf)).toEqual(['pass', 'pass']);
    expect(verdictOf(formClaims(rows(10, 9))[2])).toBe('miss');
  });

  it('end in a verdict that follows from the figures', () => {
    const [table, none] = verdictLines(rows(9.9, 11));
    expect(table.split('\n')).toHaveLength(2 + 9);
    expect(none).toBe(
      'verdict: the unified maximum gains nothing here (online / unified 1.00 to 1.01 x); pairs, which need neither ' +
        'maximum nor fallback, take 0.909 x the other way (online / pair, mean)',
    );
    expect(verdictLines(rows(8, 11))[1]).toContain('gains in some cases (online / unified 1.00 to 1.25 x)');
    expect(verdictLines([])).toEqual([]);
  });
});

describe('stepClaims', () => {
  const row = (model: string, batch: number, tokensPerSecond: number, ofCeiling: number): ResultRow => ({
    question: 'decode',
    contender: 'engine',
    case: { model, batch, tokens: 8, dtype: 'bf16', cache: 'bf16', isa: 'avx512', threads: 1 },
    medianNs: (8 * batch * 1e9) / tokensPerSecond,
    spread: 0,
    samples: 15,
    tokensPerSecond,
    ofCeiling,
  });

  it('hold a step against the ceiling, and four texts against one', () => {
    const rows = [
      row('llama-3.2-1b', 1, 12, 0.81),
      row('llama-3.2-1b', 4, 30, 0.6),
      row('smollm2-135m', 1, 100, 0.8),
      row('smollm2-135m', 4, 200, 0.8),
    ];
    const [share, small, large] = stepClaims(rows);
    expect(share.measured).toBeCloseTo(81, 9);
    expect(verdictOf(share)).toBe('pass');
    expect(large.measured).toBeCloseTo(2.5, 9);
    expect(verdictOf(large)).toBe('miss');
    // Its ceilings allow 125 and 250 tokens a second.
    expect(small.notExpected).toBe('the ceilings of this machine allow 2.00 x');
    expect(rateLines(rows)).toEqual([
      'tokens per second, smollm2-135m (135 M parameters), bf16, one thread: batch 1 100 (ceiling 125), batch 4 200 (ceiling 250)',
      'tokens per second, llama-3.2-1b (1236 M parameters), bf16, one thread: batch 1 12.0 (ceiling 14.8), batch 4 30.0 (ceiling 50.0)',
    ]);
    expect(rateLines([])).toEqual([]);
  });
});

describe('fallbackClaims', () => {
  it('are measured on two models, and hold', async () => {
    const lines: string[] = [];
    const claims = await fallbackClaims((line) => lines.push(line), new AbortController().signal);
    expect(claims.map(({ text, measured }) => [text.split(',')[0], measured])).toEqual([
      ['tiny-llama', 0],
      ['llama-kjv', 0],
    ]);
    expect(claims.map(verdictOf)).toEqual(['pass', 'pass']);
    expect(lines).toEqual([
      expect.stringMatching(/^tiny-llama: 0 of \d+ rows of attention /),
      expect.stringMatching(/^llama-kjv: 0 of \d+ rows of attention /),
    ]);
  });
});

describe('fallbackRate', () => {
  it('counts every row of attention of a text, of which none falls back after calibration', async () => {
    const model = await LlamaModel.embedded();
    const { fallback, rows } = await fallbackRate(model);
    const { layers, queryHeads } = model.shape;
    // The sentence and 32 tokens, of which the last is never read.
    expect(rows).toBe((54 + 31) * layers * queryHeads);
    expect(fallback).toBe(0);
    model.dispose();
  });
});
