import { PassThrough, Writable } from 'node:stream';
import { statLines } from '../../lib/cli/llm/stats.js';
import { loadTextModel, readFacts } from '../../lib/cli/llm/text-model.js';
import { embeddedModelPath } from '../../lib/llm/index.js';
import { logprobLine, OrderedWriter, timingOf } from '../../lib/cli/llm/output.js';

/** A writer and what has been written. */
function recorded(headings: string[], live = true): { writer: OrderedWriter; text: () => string } {
  const parts: string[] = [];
  const sink = new Writable({
    write: (part: Buffer, _encoding, done) => {
      parts.push(part.toString());
      done();
    },
  });
  return { writer: new OrderedWriter(sink, headings, live), text: () => parts.join('') };
}

describe('texts that grow side by side', () => {
  it('the first is written as it comes, the others when it is their turn', async () => {
    const { writer, text } = recorded(['', '', '']);
    await writer.write(1, 'b');
    expect(text()).toBe('');
    await writer.write(0, 'a');
    expect(text()).toBe('a');
    await writer.end(2);
    await writer.end(0);
    expect(text()).toBe('a\nb');
    await writer.write(1, 'b\n');
    await writer.end(1);
    expect(text()).toBe('a\nbb\n');
  });

  it('whole texts alone, where they are not to be shown as they grow', async () => {
    const { writer, text } = recorded(['<1>', '<2>'], false);
    await writer.write(0, 'a');
    await writer.end(1);
    expect(text()).toBe('');
    await writer.end(0);
    expect(text()).toBe('<1>a\n<2>\n');
  });

  it('a line that was cut short is closed, once', async () => {
    const { writer, text } = recorded(['']);
    writer.closeLine();
    await writer.write(0, 'a');
    writer.closeLine();
    writer.closeLine();
    expect(text()).toBe('a\n');
  });

  it('waits for a reader, and no longer than its signal', async () => {
    const sink = new PassThrough({ highWaterMark: 4 });
    const writer = new OrderedWriter(sink, ['', ''], true);
    const controller = new AbortController();
    let written = 0;
    const both = [writer.write(0, 'abcdef'), writer.write(1, 'x')].map((each) => each.then(() => written++));
    await new Promise(setImmediate);
    expect(written).toBe(0);
    expect(String(sink.read())).toBe('abcdef');
    await Promise.all(both);
    expect(written).toBe(2);
    const stuck = writer.write(0, 'ghijkl', controller.signal);
    controller.abort();
    await stuck;
    await writer.end(0, controller.signal, 'm'); // from then on nothing waits
    expect(String(sink.read())).toBe('ghijklm');
  });
});

it('rates count from the first token, which belongs to the prompt', () => {
  const sample = { index: 0, text: '', logprobs: [], firstTokenMs: 10, lastTokenMs: 110 };
  expect(timingOf({ ...sample, tokens: [1, 2, 3] })).toEqual({
    firstTokenMs: 10,
    totalMs: 110,
    tokensPerSecond: 20,
  });
  expect(timingOf({ ...sample, tokens: [1] })).toEqual({ firstTokenMs: 10, totalMs: 110 });
  expect(timingOf({ ...sample, tokens: [], firstTokenMs: 0, lastTokenMs: 0 })).toEqual({});
});

it('a line of log-probabilities shows line breaks as they are written in JSON', () => {
  const top = [{ token: 10, text: '\n', logprob: -0.5 }];
  expect(logprobLine({ token: 10, text: '\n', logprob: -0.5, top })).toBe(
    '  -0.5000  "\\n"          "\\n" -0.5000',
  );
  expect(logprobLine({ token: 10, text: 'a', logprob: -12.25 })).toBe(' -12.2500  "a"');
});

it('statistics of texts that were interrupted leave out those without a token', async () => {
  const path = embeddedModelPath();
  const own = await readFacts(path);
  const model = await loadTextModel(path, own, { cache: 'f32', threads: 1, sequences: 1 });
  const facts = { model, maxLength: own.maxLength, prompt: 3, seed: 1, loadMs: 10 };
  const none = { index: 1, text: '', tokens: [], logprobs: [], firstTokenMs: 0, lastTokenMs: 0 };
  const some = { ...none, index: 0, text: 'ab', tokens: [97, 98], firstTokenMs: 10, lastTokenMs: 20 };
  const cut = { finishReason: 'interrupted' as const };
  expect(statLines({ ...facts, samples: [{ ...none, ...cut }] })).toEqual([
    'loading  10.0 ms',
    'prompt   3 tokens',
    'ended    before the first token',
  ]);
  const lines = statLines({ ...facts, samples: [some, none].map((each) => ({ ...each, ...cut })) });
  expect(lines[1]).toBe('prompt   3 tokens, 10.0 ms to the first token, 33 %');
  expect(lines[2]).toBe('text     2 tokens, 10.0 ms, 33 %, 100.0 tokens per second');
  expect(lines[4]).toBe('ended    interrupted');
  await model.dispose();
});
