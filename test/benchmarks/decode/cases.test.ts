import { BATCHES, labelOf, listCases } from '../../../benchmarks/decode/cases.js';
import { configOf, MODEL_NAMES, nearestModel, sizeOf } from '../../../benchmarks/decode/models.js';

describe('the cases of decoding', () => {
  it('are batches of 1 to 8 of a model of about a billion parameters in bf16', () => {
    const cases = listCases({});
    expect(cases.map(({ batch }) => batch)).toEqual([1, 2, 4, 8]);
    for (const { model, dtype, threads } of cases) {
      expect({ model, dtype, threads }).toEqual({ model: 'llama-3.2-1b', dtype: 'bf16', threads: 1 });
    }
  });

  it('are of the models nearest to the sizes that are asked for, each once', () => {
    const cases = listCases({ sizes: [1e9, 2e9, 100e6], threads: [1, 2] });
    expect([...new Set(cases.map(({ model }) => model))]).toEqual(['llama-3.2-1b', 'smollm2-135m']);
    expect(cases).toHaveLength(2 * 2 * BATCHES.length);
    expect(new Set(cases.map(labelOf)).size).toBe(cases.length);
  });

  it('are every model and type where a filter is given, and one small model for a quick run', () => {
    const cases = listCases({ filter: /./ });
    expect(cases).toHaveLength(MODEL_NAMES.length * 4 * BATCHES.length);
    expect(new Set(cases.map(labelOf)).size).toBe(cases.length);
    expect(new Set(listCases({ quick: true }).map(({ model }) => model))).toEqual(new Set(['smollm2-135m']));
  });
});

describe('the models', () => {
  it('have the sizes of those that they are named after', () => {
    // As published: 1.23 B, 362 M, 135 M, 15.2 M, 0.26 M.
    expect(MODEL_NAMES.map((name) => Math.round(sizeOf(name) / 1e4) / 100)).toEqual([
      1235.81, 361.82, 134.52, 15.19, 0.26,
    ]);
    for (const name of MODEL_NAMES) {
      const { hiddenSize, numAttentionHeads, headDim, tieWordEmbeddings } = configOf(name);
      expect(numAttentionHeads * headDim).toBe(hiddenSize);
      expect(tieWordEmbeddings).toBe(true);
    }
  });

  it('are found by the ratio of sizes', () => {
    expect([1, 1e6, 2e6, 30e6, 220e6, 230e6, 4e9].map(nearestModel)).toEqual([
      'stories260k',
      'stories260k',
      'stories15m',
      'stories15m',
      'smollm2-135m',
      'smollm2-360m',
      'llama-3.2-1b',
    ]);
  });
});

describe('labelOf', () => {
  it('names every parameter', () => {
    const spec = { model: 'stories15m', batch: 4, tokens: 8, dtype: 'int8', threads: 2 } as const;
    expect(labelOf(spec)).toBe('decode stories15m, batch 4, 8 tokens each, int8, 2 threads');
  });
});
