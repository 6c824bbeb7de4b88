import { availableIsas, isa } from '../../../lib/index.js';
import { decodeLimits, LlamaModel, type Engine } from '../../../lib/llm/index.js';
import type { CaseSpec } from '../../../benchmarks/decode/cases.js';
import { sameTexts, workOf } from '../../../benchmarks/decode/contenders.js';
import { configOf, sizeOf } from '../../../benchmarks/decode/models.js';
import { planOf, question } from '../../../benchmarks/decode.js';
import type { CaseContender } from '../../../benchmarks/harness/question.js';

const isas = availableIsas();
const small: CaseSpec = { model: 'stories260k', batch: 1, tokens: 4, dtype: 'bf16', threads: 1 };

/** Opens a case and hands over its contenders; the instruction set of the tests comes back. */
async function opened(
  spec: CaseSpec,
  use: (contenders: CaseContender[]) => void | Promise<void>,
  filter?: RegExp,
): Promise<void> {
  const before = isa();
  const { cases } = await planOf([spec], { isas, filter });
  const open = await cases[0].open();
  await use(open.contenders);
  await open.close?.();
  expect(isa()).toBe(before);
}

const namesOf = (contenders: readonly CaseContender[]) => [...new Set(contenders.map(({ name }) => name))];

describe('contenders of decoding', () => {
  it.each([
    [1, 'bf16', 1],
    [3, 'bf16', 1],
    [3, 'int8', 2],
  ] as const)('write right texts: batch %d, %s, %d threads', async (batch, dtype, threads) => {
    await opened({ ...small, batch, dtype, threads }, async (contenders) => {
      const own = batch === 1 ? ['engine', 'session'] : ['engine'];
      expect(namesOf(contenders)).toEqual([...own, 'streaming-read']);
      expect(contenders).toHaveLength(own.length * isas.length + 1);
      for (const contender of contenders) {
        contender.before?.();
        const { worst, detail } = await contender.check();
        expect({ name: contender.name, detail, right: worst <= 1 }).toMatchObject({ right: true });
      }
      const engine = contenders[0];
      const texts = (await engine.run()) as number[][];
      expect(texts.map(({ length }) => length)).toEqual(new Array(batch).fill(4));
      expect(engine.parameters).toEqual({
        ...{ model: 'stories260k', batch, tokens: 4, dtype, cache: 'bf16', isa: isas[0], threads },
      });
    });
  });

  it('are only those that the filter keeps', async () => {
    await opened(small, (all) => expect(namesOf(all)).toEqual(['session']), /^session/);
    expect((await planOf([small], { isas, filter: /^nobody/ })).cases).toEqual([]);
  });

  it('take one forward pass for a token of every text', async () => {
    const made = jest.spyOn(LlamaModel.prototype, 'createEngine');
    try {
      await opened(
        { ...small, batch: 3, tokens: 5 },
        async ([first]) => {
          const engine = made.mock.results[0].value as Engine;
          await first.run();
          expect(engine.stats).toMatchObject({ passes: 5, rows: 15, generated: 15 });
        },
        /^engine/,
      );
    } finally {
      made.mockRestore();
    }
  });

  it('of one model share its weights', async () => {
    const specs = [small, { ...small, batch: 2 }];
    const { cases } = await planOf(specs, { isas: [isas[0]], filter: /^engine/ });
    const made = jest.spyOn(LlamaModel, 'random');
    try {
      for (const one of cases) await (await one.open()).close?.();
      expect(made).toHaveBeenCalledTimes(1);
    } finally {
      made.mockRestore();
    }
  });
});

describe('workOf', () => {
  it('counts the weights once a step and the cache as it grows', () => {
    const spec: CaseSpec = { ...small, batch: 3 };
    const config = configOf('stories260k');
    const of = (lengths: number[]) =>
      decodeLimits({ config, lengths, bandwidthGBps: 1, weights: 'bf16', cache: 'bf16' }).bytes;
    const { bytes, elements, flops, unit, memory } = workOf(spec);
    expect(bytes).toBe(of([1, 1, 1]) + of([2, 2, 2]) + of([3, 3, 3]) + of([4, 4, 4]));
    // No matrix of so small a model is large; the caches are cut from slabs that are.
    const weights = 4 * of([]);
    expect(memory).toEqual({ readBytes: weights, largeBytes: bytes - weights, copyBytes: 0 });
    expect({ elements, unit }).toEqual({ elements: 12, unit: 'token' });
    expect(flops).toBe(2 * 12 * sizeOf('stories260k'));
    // Two bytes a parameter; norms are float32.
    expect(of([])).toBeGreaterThan(2 * sizeOf('stories260k'));
    expect(of([])).toBeLessThan(2.02 * sizeOf('stories260k'));
  });
});

describe('the memory of a step', () => {
  it('is that of each matrix: from 4 MiB on large pages', () => {
    const of = (model: CaseSpec['model'], dtype: CaseSpec['dtype']) => {
      const { readBytes, largeBytes = 0, copyBytes } = workOf({ ...small, model, dtype, tokens: 1 }).memory!;
      expect(copyBytes).toBe(0);
      const config = configOf(model);
      const cached = 2 * 2 * config.numHiddenLayers * config.numKeyValueHeads * config.headDim;
      return { readBytes, matrices: largeBytes - cached };
    };
    // All matrices of the larger model, none but the vocabulary of the smaller one; norms are float32 in ordinary memory.
    const norms = 4 * 2048 * (2 * 16 + 1);
    expect(of('llama-3.2-1b', 'bf16')).toEqual({
      readBytes: norms,
      matrices: 2 * (sizeOf('llama-3.2-1b') - norms / 4),
    });
    expect(of('smollm2-135m', 'bf16').matrices).toBe(2 * 49152 * 576);
    // In float32 the stacked halves of the gate are 6.75 MiB, the way back 3.4.
    expect(of('smollm2-135m', 'f32').matrices).toBe(4 * 576 * (49152 + 30 * 2 * 1536));
    // The scales of int8 are arrays of their own.
    const rows = 16 * ((32 + 2 * 8) * 64 + 2048 + 2 * 8192 + 2048) + 128256;
    const { readBytes, matrices } = of('llama-3.2-1b', 'int8');
    expect(readBytes).toBe(norms + 4 * rows);
    expect(matrices).toBe(sizeOf('llama-3.2-1b') - norms / 4);
  });
});

describe('sameTexts', () => {
  it('sees a token that differs, a text that is cut short and one too long', () => {
    const expected = [
      [1, 2],
      [3, 4],
    ];
    expect(sameTexts(expected, expected).worst).toBe(0);
    for (const second of [[3, 5], [3], [3, 4, 5], []]) {
      expect(sameTexts([expected[0], second], expected).worst).toBe(Infinity);
    }
    expect(sameTexts([expected[0]], expected).worst).toBe(Infinity);
  });
});

describe('the question', () => {
  it('plans what the filter keeps, and refuses what it has not', async () => {
    const { cases } = await question.plan({ isas, filter: /^engine decode smollm2-135m, batch 2, .* int8/ });
    expect(cases.map(({ label }) => label)).toEqual([
      'decode smollm2-135m, batch 2, 8 tokens each, int8, 1 thread',
    ]);
    await expect(question.plan({ isas, distribution: 'flat' })).rejects.toThrow(
      'the question decode has no --distribution',
    );
    await expect(question.plan({ isas, shapes: [{ rows: 1, cols: 1 }] })).rejects.toThrow(
      'the question decode has no --shapes',
    );
  });
});
