/** The trained model that comes with the package, against its float64 reference. */
import { LlamaModel } from '../../lib/llm/model.js';
import { crossEntropy } from '../../lib/index.js';
import { expectClose, expectNear, expectSameBits } from '../helpers/compare.js';
import { bytesOf, kjvReference, shareOf } from '../helpers/tiny-models.js';

const { cases, window, heldOutText, heldOutNatsPerByte } = kjvReference();

let model: LlamaModel;
beforeAll(async () => {
  model = await LlamaModel.embedded();
});

it('is what its description says', () => {
  const { config, bytes, warnings } = model;
  expect([config.numHiddenLayers, config.hiddenSize, config.vocabSize]).toEqual([5, 128, 256]);
  expect(config.maxPositionEmbeddings).toBe(window);
  expect(warnings).toEqual([]);
  // 955,776 parameters in bf16; the few norms may be kept wider.
  expect(bytes.weights).toBeGreaterThanOrEqual(2 * 955_776);
  expect(bytes.weights).toBeLessThan(2.01 * 955_776);
});

it.each(cases)('$prompt: the logits of the reference', async ({ prompt, lastLogits }) => {
  const tokens = bytesOf(prompt);
  const logits = await model.createSession().prefill(tokens);
  expectClose(logits, lastLogits, shareOf(1e-5, lastLogits));
  const session = model.createSession({ threads: 2, chunk: 5 });
  expectSameBits(await session.prefill(tokens), logits, 'in chunks on two threads');
});

it.each(cases)('$prompt: the text of the reference, alone', async ({ prompt, greedy }) => {
  const length = bytesOf(greedy).length - bytesOf(prompt).length;
  expect(length).toBe(96);
  const written = [...bytesOf(prompt)];
  const options = { temperature: 0, maxTokens: length };
  for await (const { token } of model.createSession().generate(bytesOf(prompt), options)) written.push(token);
  expect(Buffer.from(written).toString()).toBe(greedy);
});

it('the texts of the reference, all at once', async () => {
  const engine = model.createEngine();
  const texts = await Promise.all(
    cases.map(async ({ prompt }) => {
      const written = [...bytesOf(prompt)];
      const options = { temperature: 0, maxTokens: 96 };
      for await (const { token } of engine.generate(bytesOf(prompt), options)) written.push(token);
      return Buffer.from(written).toString();
    }),
  );
  expect(texts).toEqual(cases.map(({ greedy }) => greedy));
});

it('the cross-entropy on a text that it has not seen', async () => {
  const bytes = bytesOf(heldOutText);
  const windows = (bytes.length - 1) / window;
  expect(windows).toBe(8);
  const losses = new Map([
    ['f32', 0],
    ['bf16', 0],
  ]);
  for (const cache of ['f32', 'bf16'] as const) {
    for (let w = 0; w < windows; w += 1) {
      const start = w * window;
      const session = model.createSession({ cache, threads: 2 });
      const logits = await session.prefill(bytes.slice(start, start + window), { logits: 'all' });
      const targets = Int32Array.from(bytes.slice(start + 1, start + window + 1));
      const [loss] = crossEntropy(logits, targets, { rows: window, reduction: 'mean' });
      losses.set(cache, (losses.get(cache) ?? NaN) + loss / windows);
      session.dispose();
    }
  }
  expectNear(losses.get('f32') ?? NaN, heldOutNatsPerByte, 1e-5, 'float32 cache');
  expectNear(losses.get('bf16') ?? NaN, heldOutNatsPerByte, 2e-3, 'bf16 cache');
});

it('the probabilities that generation reports are those of the logits', async () => {
  const [{ prompt }] = cases;
  const session = model.createSession();
  const check = model.createSession();
  let logits = await check.prefill(bytesOf(prompt));
  const options = { seed: 3, temperature: 0.8, topK: 40, maxTokens: 20, topLogProbs: 3 };
  for await (const { token, logProbability, topLogProbs } of session.generate(bytesOf(prompt), options)) {
    const [loss] = crossEntropy(logits, Int32Array.of(token), { rows: 1 });
    expectNear(logProbability, -loss, 2e-5, 'log-probability');
    const order = Array.from(logits, (_, i) => i).sort((a, b) => logits[b] - logits[a] || a - b);
    expect(topLogProbs?.map((each) => each.token)).toEqual(order.slice(0, 3));
    logits = await check.step(token);
  }
});
