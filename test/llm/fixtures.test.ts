import type { CacheType } from '../../lib/llm/forward.js';
import type { GenerateOptions } from '../../lib/llm/generate.js';
import { LlamaModel } from '../../lib/llm/model.js';
import type { Session } from '../../lib/llm/session.js';
import { expectClose, expectNear, expectSameBits } from '../helpers/compare.js';
import { memo } from '../helpers/memo.js';
import { argmax, expectedOf, scaleOf, scoreRanges, shareOf, TINY_MODELS } from '../helpers/tiny-models.js';

const tiny = memo((index: number, weights: 'as-stored' | 'f32' | 'bf16' | 'f16' | 'int8') => {
  const { folder, weightsFile } = TINY_MODELS[index];
  const file = weightsFile === 'model.safetensors' ? undefined : weightsFile;
  return LlamaModel.load(folder, { file, weights });
});
const expected = memo((index: number) => expectedOf(TINY_MODELS[index]));

/** Greedy, without any token that ends it. */
const GREEDY: GenerateOptions = { temperature: 0, stopTokens: [] };

async function tokensOf(texts: AsyncIterable<{ token: number }>): Promise<number[]> {
  const tokens: number[] = [];
  for await (const { token } of texts) tokens.push(token);
  return tokens;
}

/** Logits of each token, one step a token. */
async function steps(session: Session, tokens: readonly number[]): Promise<Float32Array[]> {
  const rows: Float32Array[] = [];
  for (const token of tokens) rows.push(await session.step(token));
  return rows;
}

describe.each(TINY_MODELS.map(({ name, weightsFile }, i) => [name, weightsFile, i] as const))(
  '%s, %s',
  (_name, _file, index) => {
    it('the configuration and its sizes', async () => {
      const model = await tiny(index, 'as-stored');
      const { config, shape } = model;
      expect([shape.hidden, shape.queryHeads, shape.kvHeads, shape.headDim]).toEqual(
        [
          [64, 4, 2, 16],
          [64, 4, 2, 16],
          [40, 6, 2, 12],
          [32, 7, 1, 8],
        ][index],
      );
      expect(config.eosTokenIds).toEqual([[2], [2], [2, 3], [2]][index]);
      expect(model.bytes.cachePerToken).toBe(shape.layers * 2 * shape.kvHeads * shape.headDim * 4);
      expect(model.warnings).toEqual([]);
    });

    it('step by step, every logit of the fixture', async () => {
      const { tokens, logits } = expected(index);
      for (const weights of ['as-stored', 'f32'] as const) {
        const session = (await tiny(index, weights)).createSession();
        const rows = await steps(session, tokens);
        rows.forEach((row, t) => {
          expectClose(row, logits[t], shareOf(1e-5, logits[t]), `${weights}, token ${t}`);
        });
        session.dispose();
      }
    });

    it('a prompt at once and in chunks has the bits of its steps', async () => {
      const model = await tiny(index, 'as-stored');
      const { tokens } = expected(index);
      const rows = await steps(model.createSession(), tokens);
      const together = Float32Array.from(rows.flatMap((row) => [...row]));
      for (const chunk of [1, 3, 7, 16, 256]) {
        for (const threads of [1, 2]) {
          const all = await model.createSession({ chunk, threads }).prefill(tokens, { logits: 'all' });
          expectSameBits(all, together, `chunks of ${chunk}, ${threads} threads`);
        }
        const last = await model.createSession({ chunk }).prefill(tokens);
        expectSameBits(last, rows[rows.length - 1], `the last of chunks of ${chunk}`);
      }
      const session = model.createSession();
      await session.prefill(tokens.slice(0, 10));
      expectSameBits(await session.prefill(tokens.slice(10)), rows[rows.length - 1], 'in two calls');
    });

    it('goes on as expected, from the prompt and step by step', async () => {
      const model = await tiny(index, 'as-stored');
      const { tokens, greedy } = expected(index);
      for (const softmax of ['online', 'unified', 'pair'] as const) {
        const session = model.createSession({ softmax });
        const went = await tokensOf(session.generate(tokens, { ...GREEDY, maxTokens: greedy.length }));
        expect(went).toEqual(greedy);
        expect(session.length).toBe(tokens.length + greedy.length);
        if (softmax === 'unified') expect(session.stats.fallbackRows).toBe(0);
      }
      const session = model.createSession();
      let logits = await session.prefill(tokens);
      for (const token of greedy) {
        expect(argmax(logits)).toBe(token);
        logits = await session.step(token);
      }
    });

    it('texts of different lengths together are the texts alone, whatever their number', async () => {
      const model = await tiny(index, 'as-stored');
      const { tokens, greedy } = expected(index);
      const prompts = [tokens, tokens.slice(0, 3), tokens.slice(0, 1), tokens.slice(0, 17), tokens.slice(5)];
      const sampled: GenerateOptions = {
        seed: 7,
        temperature: 0.9,
        topP: 0.95,
        stopTokens: [],
        maxTokens: 12,
      };
      const alone: number[][] = [];
      for (const [i, prompt] of prompts.entries()) {
        const options = i === 0 ? { ...GREEDY, maxTokens: greedy.length } : { ...sampled, stream: i };
        alone.push(await tokensOf(model.createSession().generate(prompt, options)));
      }
      expect(alone[0]).toEqual(greedy);
      for (const threads of [1, 2]) {
        const engine = model.createEngine({ threads });
        const together = await Promise.all(
          prompts.map((prompt, i) => {
            const options = i === 0 ? { ...GREEDY, maxTokens: greedy.length } : { ...sampled, stream: i };
            return tokensOf(engine.generate(prompt, options));
          }),
        );
        expect(together).toEqual(alone);
      }
    });

    it('rewound and forked sessions give the same bits again', async () => {
      const model = await tiny(index, 'as-stored');
      const { tokens } = expected(index);
      const session = model.createSession();
      const rows = await steps(session, tokens);
      for (const length of [tokens.length - 1, 17, 16, 15, 1, 0]) {
        session.rewind(length);
        expect(session.length).toBe(length);
        const again = await session.prefill(tokens.slice(length), { logits: 'all' });
        const expectedRows = rows.slice(length).flatMap((row) => [...row]);
        expectSameBits(again, Float32Array.from(expectedRows), `from ${length}`);
      }
      // A fork goes its own way; neither sees what the other writes.
      session.rewind(10);
      const fork = session.fork();
      const other = tokens.map((token) => (token + 1) % 90);
      await fork.prefill(other.slice(10));
      expectSameBits(await session.prefill(tokens.slice(10)), rows[rows.length - 1], 'the session');
      const fresh = await model.createSession().prefill([...tokens.slice(0, 10), ...other.slice(10)]);
      fork.rewind(tokens.length - 1);
      expectSameBits(await fork.step(other[tokens.length - 1]), fresh, 'the fork');
    });

    it('caches of fewer bits stay as near as they promise', async () => {
      const model = await tiny(index, 'as-stored');
      const { tokens, logits } = expected(index);
      const scale = Math.max(...logits.map(scaleOf));
      const worst = async (cache: CacheType): Promise<number> => {
        const all = await model.createSession({ cache }).prefill(tokens, { logits: 'all' });
        const wanted = logits.flatMap((row) => [...row]);
        return wanted.reduce((most, value, i) => Math.max(most, Math.abs(value - all[i])), 0) / scale;
      };
      const [f32, f16, bf16] = [await worst('f32'), await worst('f16'), await worst('bf16')];
      expect(f32).toBeLessThan(1e-5);
      expect(f16).toBeLessThan(0.005);
      expect(bf16).toBeLessThan(0.02);
      // They do have fewer bits.
      expect(f16).toBeGreaterThan(10 * f32);
      expect(bf16).toBeGreaterThan(f16);
    });
  },
);

describe('tiny-llama', () => {
  it('float32 weights rounded to bf16 on loading are the bf16 checkpoint', async () => {
    const { tokens, logits, greedy } = expected(1);
    const model = await tiny(0, 'bf16');
    const all = await model.createSession().prefill(tokens, { logits: 'all' });
    logits.forEach((row, t) => {
      // Norms stay in float32 here and are rounded in the checkpoint: 2^-9 of each.
      const part = all.subarray(t * row.length, (t + 1) * row.length);
      expectClose(part, row, shareOf(0.02, row), `token ${t}`);
    });
    expect(greedy).toHaveLength(16);
  });

  it('other types of weights stay near', async () => {
    const { tokens, logits } = expected(0);
    const rows: [Parameters<typeof tiny>[1], number][] = [
      ['f16', 0.005],
      ['bf16', 0.03],
      ['int8', 0.05],
    ];
    for (const [weights, share] of rows) {
      const all = await (await tiny(0, weights)).createSession().prefill(tokens, { logits: 'all' });
      logits.forEach((row, t) => {
        const part = all.subarray(t * row.length, (t + 1) * row.length);
        expectClose(part, row, shareOf(share, row), `${weights}, token ${t}`);
      });
    }
  });

  it('calibratePhi finds the mean of the row maxima, and with it nothing falls back', async () => {
    const model = await tiny(0, 'f32');
    const { tokens } = expected(0);
    const phi = await model.calibratePhi([tokens]);
    const ranges = scoreRanges();
    expect(phi).toHaveLength(ranges.length);
    ranges.forEach(({ layer, meanRowMax }) => expectNear(phi[layer], meanRowMax, 1e-4, `layer ${layer}`));
    const session = model.createSession({ softmax: 'unified', phi });
    await session.prefill(tokens);
    await tokensOf(session.generate([], { ...GREEDY, maxTokens: 100 }));
    expect(session.stats.fallbackRows).toBe(0);
  });

  it('a wrong unified maximum is counted and changes no token', async () => {
    const model = await tiny(0, 'f32');
    const { tokens, greedy } = expected(0);
    const session = model.createSession({ softmax: 'unified', phi: -400 });
    const went = await tokensOf(session.generate(tokens, { ...GREEDY, maxTokens: greedy.length }));
    expect(went).toEqual(greedy);
    // Every token but the last goes through 2 layers of 4 heads.
    expect(session.stats.fallbackRows).toBe((tokens.length + greedy.length - 1) * 8);
  });
});
