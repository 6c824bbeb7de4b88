import { expectClose, expectNear } from '../helpers/compare.js';
import {
  argmax,
  bytesOf,
  configOf,
  expectedOf,
  KJV_FOLDER,
  kjvReference,
  scoreRanges,
  TINY_MODELS,
} from '../helpers/tiny-models.js';
import { ReferenceLlama } from './llama.js';
import { readCheckpoint } from './safetensors.js';

describe.each(TINY_MODELS)('$name, $weightsFile', (model) => {
  const { tokens, greedy, logits } = expectedOf(model);
  const config = configOf(model.folder);
  const tensors = readCheckpoint(model.folder, model.weightsFile);

  it('gives the logits step by step and goes on as expected', () => {
    const llama = new ReferenceLlama(config, tensors);
    let last: Float64Array = new Float64Array();
    tokens.forEach((token, t) => {
      last = llama.step(token);
      expectClose(last, logits[t], () => 1e-12, `token ${t}`);
    });
    const went: number[] = [];
    for (let i = 0; i < greedy.length; i += 1) {
      went.push(argmax(last));
      last = llama.step(went[i]);
    }
    expect(went).toEqual(greedy);
  });
});

it('sees the scores of the fixtures', () => {
  const [model] = TINY_MODELS;
  const llama = new ReferenceLlama(configOf(model.folder), readCheckpoint(model.folder, model.weightsFile));
  for (const token of expectedOf(model).tokens) llama.step(token);
  for (const { layer, meanRowMax, maxScore, minScore } of scoreRanges()) {
    const { sumOfMaxima, rows, largest, smallest } = llama.scores[layer];
    expectNear(sumOfMaxima / rows, meanRowMax, 1e-12, `mean of the row maxima of layer ${layer}`);
    expectNear(largest, maxScore, 1e-12);
    expectNear(smallest, minScore, 1e-12);
  }
});

it('the trained model gives the logits of its reference and writes its text', () => {
  const { cases } = kjvReference();
  const tensors = readCheckpoint(KJV_FOLDER);
  const config = configOf(KJV_FOLDER);
  for (const { prompt, lastLogits, greedy } of cases.slice(0, 2)) {
    const llama = new ReferenceLlama(config, tensors);
    let last: Float64Array = new Float64Array();
    for (const token of bytesOf(prompt)) last = llama.step(token);
    expectClose(last, lastLogits, () => 1e-10, prompt);
    const written = [...bytesOf(prompt)];
    while (written.length < bytesOf(greedy).length) {
      written.push(argmax(last));
      last = llama.step(written[written.length - 1]);
    }
    expect(Buffer.from(written).toString()).toBe(greedy);
  }
});
