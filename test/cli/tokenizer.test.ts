/**
 * Tokenizers as models bring them: in the manner of Llama 2 and Mistral (sentencepiece pieces, bytes as a fallback), of
 * Llama 3 and Qwen2 (byte-level, split by a pattern), and the one of the embedded model. Their vocabularies are made up.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadTokenizer, type TextCodec } from '../../lib/cli/llm/tokenizer.js';
import { embeddedModelPath, TextOfTokens } from '../../lib/llm/index.js';

let root: string;
let count = 0;
beforeAll(async () => (root = await mkdtemp(join(tmpdir(), 'softlane-tokenizer-'))));
afterAll(() => rm(root, { recursive: true, force: true }));

/** A folder with these files; what is no text is written as JSON. */
async function folderOf(files: Record<string, unknown>): Promise<string> {
  const folder = await mkdtemp(join(root, `${count++}-`));
  for (const [name, value] of Object.entries(files))
    await writeFile(join(folder, name), typeof value === 'string' ? value : JSON.stringify(value));
  return folder;
}
const load = async (files: Record<string, unknown>): Promise<TextCodec> =>
  loadTokenizer(await folderOf(files));

const special = (id: number, content: string): object => ({
  ...{ id, content, special: true, normalized: false },
  ...{ single_word: false, lstrip: false, rstrip: false },
});
const numbered = (tokens: readonly string[]): Record<string, number> =>
  Object.fromEntries(tokens.map((token, id) => [token, id]));
/** Merges that build every token of several characters from the left. */
const merges = (tokens: readonly string[]): string[] =>
  tokens.flatMap((token) => {
    const letters = [...token];
    return letters.slice(1).map((letter, i) => `${letters.slice(0, i + 1).join('')} ${letter}`);
  });

/** <unk> <s> </s>, 256 bytes, letters, words: as in Llama 2. */
const bytes = Array.from({ length: 256 }, (_, i) => `<0x${i.toString(16).toUpperCase().padStart(2, '0')}>`);
const words = ['▁God', '▁said', '▁a', '▁l'];
const pieces = [...new Set([...'▁GodsaidLleth,', ...words.flatMap((word) => prefixes(word))])];
const llama2Vocab = ['<unk>', '<s>', '</s>', ...bytes, ...pieces];
function prefixes(word: string): string[] {
  const letters = [...word];
  return letters.slice(1).map((_, i) => letters.slice(0, i + 2).join(''));
}
const llama2 = {
  version: '1.0',
  added_tokens: [special(0, '<unk>'), special(1, '<s>'), special(2, '</s>')],
  normalizer: {
    type: 'Sequence',
    normalizers: [
      { type: 'Prepend', prepend: '▁' },
      { type: 'Replace', pattern: { String: ' ' }, content: '▁' },
    ],
  },
  pre_tokenizer: null,
  post_processor: {
    type: 'TemplateProcessing',
    single: [{ SpecialToken: { id: '<s>', type_id: 0 } }, { Sequence: { id: 'A', type_id: 0 } }],
    pair: [],
    special_tokens: { '<s>': { id: '<s>', ids: [1], tokens: ['<s>'] } },
  },
  decoder: {
    type: 'Sequence',
    decoders: [
      { type: 'Replace', pattern: { String: '▁' }, content: ' ' },
      { type: 'ByteFallback' },
      { type: 'Fuse' },
      { type: 'Strip', content: ' ', start: 1, stop: 0 },
    ],
  },
  model: {
    type: 'BPE',
    unk_token: '<unk>',
    fuse_unk: true,
    byte_fallback: true,
    vocab: numbered(llama2Vocab),
    merges: [...new Set(merges(words))],
  },
};

/** Bytes as byte-level tokenizers write them: those that print stand for themselves. */
const byteLetters = Array.from({ length: 256 }, (_, i) => i);
const printing = (i: number): boolean => (i > 32 && i < 127) || (i > 160 && i < 256 && i !== 173);
const shifted = byteLetters.filter((i) => !printing(i));
const letterOf = (i: number): string => String.fromCodePoint(printing(i) ? i : 256 + shifted.indexOf(i));
const byteWords = ['ĠGod', 'Ġsaid', '12'];
const byteVocab = [
  ...new Set([...byteLetters.map(letterOf), ...byteWords.flatMap((word) => prefixes(word))]),
];
const qwen = {
  version: '1.0',
  added_tokens: [special(900, '<|im_start|>'), special(901, '<|im_end|>')],
  normalizer: { type: 'NFC' },
  pre_tokenizer: {
    type: 'Sequence',
    pretokenizers: [
      {
        type: 'Split',
        pattern: {
          Regex:
            "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
        },
        behavior: 'Isolated',
        invert: false,
      },
      { type: 'ByteLevel', add_prefix_space: false, trim_offsets: false, use_regex: false },
    ],
  },
  post_processor: { type: 'ByteLevel', add_prefix_space: false, trim_offsets: false, use_regex: false },
  decoder: { type: 'ByteLevel', add_prefix_space: false, trim_offsets: false, use_regex: false },
  model: {
    type: 'BPE',
    unk_token: null,
    vocab: numbered(byteVocab),
    merges: [...new Set(merges(byteWords))],
  },
};
const chatml =
  "{%- for m in messages %}{{ '<|im_start|>' + m['role'] + '\\n' + m['content'] + '<|im_end|>' + '\\n' }}{%- endfor %}" +
  "{%- if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{%- endif %}";

describe('in the manner of Llama 2', () => {
  it('a text has the token of its beginning, words their blank, and unknown characters their bytes', async () => {
    const codec = await load({ 'tokenizer.json': llama2 });
    const id = numbered(llama2Vocab);
    const ids = codec.encode('God said é');
    expect(ids).toEqual([1, id['▁God'], id['▁said'], id['▁'], id['<0xC3>'], id['<0xA9>']]);
    expect(codec.decode(ids.slice(2))).toBe(' said é'); // the blank at the beginning stays
    expect(codec.decode(ids)).toBe(' God said é');
    expect(codec.decode([])).toBe('');
  });

  it('special tokens, and ids that pad the vocabulary, have no text', async () => {
    const codec = await load({ 'tokenizer.json': llama2 });
    const id = numbered(llama2Vocab);
    expect(codec.decode([1, id['▁God'], 2, 9999, id['▁said']])).toBe(' God said');
    expect(codec.decode([2])).toBe('');
  });

  it('blanks before commas are not tidied away', async () => {
    const config = { clean_up_tokenization_spaces: true };
    const codec = await load({ 'tokenizer.json': llama2, 'tokenizer_config.json': config });
    expect(codec.decode(codec.encode('God , said'))).toBe(' God , said');
  });
});

describe('in the manner of Llama 3 and Qwen2', () => {
  it('words are split by the pattern and merged; digits stay apart', async () => {
    const codec = await load({ 'tokenizer.json': qwen });
    const id = numbered(byteVocab);
    const ids = codec.encode(' God said12');
    expect(ids).toEqual([id['ĠGod'], id['Ġsaid'], id['1'], id['2']]);
    expect(codec.decode(ids)).toBe(' God said12');
    const text = "It's 漢字, 🦜\n\n  and e\u0301…";
    expect(codec.decode(codec.encode(text))).toBe(text.normalize('NFC'));
  });

  it.each([
    ['in the configuration', { 'tokenizer_config.json': { chat_template: chatml } }],
    [
      'the default of several',
      {
        'tokenizer_config.json': {
          chat_template: [
            { name: 'tools', template: 'no' },
            { name: 'default', template: chatml },
          ],
        },
      },
    ],
    [
      'a file of its own',
      { 'chat_template.jinja': chatml, 'tokenizer_config.json': { chat_template: 'no' } },
    ],
  ])('the chat template: %s', async (_where, files) => {
    const codec = await load({ 'tokenizer.json': qwen, ...files });
    const ids = codec.encodeChat([{ role: 'user', content: ' God' }]);
    expect([ids[0], ids.indexOf(901)]).toEqual([900, ids.lastIndexOf(901)]);
    expect(ids.filter((id) => id === 900)).toHaveLength(2);
    expect(codec.decode(ids)).toBe('user\n God\nassistant\n');
  });

  it('the template has the special tokens of the configuration, and may refuse', async () => {
    const template =
      "{{ bos_token }}{% if messages[0].content == '' %}{{ raise_exception('say something') }}{% endif %}";
    const config = {
      chat_template: template,
      bos_token: { content: '<|im_start|>' },
      eos_token: '<|im_end|>',
    };
    const codec = await load({ 'tokenizer.json': qwen, 'tokenizer_config.json': config });
    expect(codec.encodeChat([{ role: 'user', content: 'a' }])).toEqual([900]);
    expect(() => codec.encodeChat([{ role: 'user', content: '' }])).toThrow(
      'the chat template failed: say something',
    );
  });

  it('ids that end an answer come from both files', async () => {
    const codec = await load({
      'tokenizer.json': qwen,
      'tokenizer_config.json': { eos_token: '<|im_end|>' },
      'generation_config.json': { eos_token_id: [901, 902] },
    });
    expect(codec.endTokens).toEqual([901, 902]);
    expect((await load({ 'tokenizer.json': qwen })).endTokens).toEqual([]);
  });
});

it('the embedded model: a token is a byte, and a stream never shows half a character', async () => {
  const codec = await loadTokenizer(embeddedModelPath());
  const text = 'In the é 漢字 🦜 beginning\n  God';
  const ids = codec.encode(text);
  expect(ids).toEqual([...Buffer.from(text)]);
  const stream = new TextOfTokens((tokens) => codec.decode(tokens));
  const shown = ids.map((id) => stream.push(id));
  expect(shown.join('') + stream.flush()).toBe(text);
  expect(shown.join('')).not.toContain('\ufffd');
});

it.each([
  ['no tokenizer', {}, 'expected the tokenizer of the model, received no such file'],
  ['no JSON', { 'tokenizer.json': '{' }, 'expected JSON'],
  ['no object', { 'tokenizer.json': [] }, 'expected a JSON object, received an array'],
  ['no model', { 'tokenizer.json': {} }, 'expected a tokenizer that @huggingface/tokenizers reads'],
  ['a configuration that is none', { 'tokenizer.json': qwen, 'tokenizer_config.json': 'x' }, 'expected JSON'],
])('%s is one clear error', async (_what, files, problem) => {
  await expect(load(files)).rejects.toThrow(problem);
});
