// Text to token ids and back: softlane takes ids alone.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Template } from '@huggingface/jinja';
import { Tokenizer } from '@huggingface/tokenizers';

function json(path) {
  if (!existsSync(path)) return {};
  try {
    return JSON.parse(readFileSync(path, 'utf8'));
  } catch (error) {
    throw new Error(`${path}: expected JSON: ${error.message}`);
  }
}
const textOf = (token) => (typeof token === 'string' ? token : token?.content);

/** The chat template and where it stands: a file of its own, or in the configuration, alone or the default of several. */
function chatTemplate(folder, { chat_template: given }) {
  const file = 'chat_template.jinja';
  if (existsSync(join(folder, file))) return { text: readFileSync(join(folder, file), 'utf8'), source: file };
  const source = 'tokenizer_config.json';
  if (typeof given === 'string') return { text: given, source };
  const text = Array.isArray(given) ? given.find((each) => each?.name === 'default')?.template : undefined;
  return typeof text === 'string' ? { text, source: `${source}, the default of ${given.length}` } : undefined;
}

function compiled(folder, found) {
  try {
    return found && new Template(found.text);
  } catch (error) {
    throw new Error(`${folder}: the chat template of ${found.source}: ${error.message}`);
  }
}

/** Reads tokenizer.json, and the chat template where there is one. */
export function loadTokenizer(folder) {
  const config = json(join(folder, 'tokenizer_config.json'));
  const tokenizer = new Tokenizer({ added_tokens: [], ...json(join(folder, 'tokenizer.json')) }, config);
  const found = chatTemplate(folder, config);
  const template = compiled(folder, found);
  const special = new Set(
    [...tokenizer.get_added_tokens_decoder().values()].filter((t) => t.special).map((t) => t.id),
  );
  const decodeAll = (ids) =>
    ids.length ? tokenizer.decode(ids, { clean_up_tokenization_spaces: false }) : '';
  // Decoders drop a blank at the beginning of a text. A token before it keeps it.
  const anchor = tokenizer.encode('a', { add_special_tokens: false }).ids.slice(-1);
  const head = decodeAll(anchor).length;
  const eos = config.eos_token && tokenizer.token_to_id(textOf(config.eos_token));
  return {
    /** Where the chat template stands; undefined where the model has none. */
    templateSource: found?.source,
    encode: (text) => tokenizer.encode(text).ids,
    encodeChat(messages) {
      // A model without a template was not trained to chat: it goes on from what was said.
      if (!template) return tokenizer.encode(messages.map(({ content }) => content).join('\n')).ids;
      const [bos_token = '', eos_token = ''] = [textOf(config.bos_token), textOf(config.eos_token)];
      const text = template.render({ messages, add_generation_prompt: true, bos_token, eos_token });
      return tokenizer.encode(text, { add_special_tokens: false }).ids;
    },
    decode(tokens) {
      const known = tokens.filter((id) => !special.has(id) && tokenizer.id_to_token(id) !== undefined);
      return decodeAll([...anchor, ...known]).slice(head);
    },
    endTokens: [eos, json(join(folder, 'generation_config.json')).eos_token_id]
      .flat()
      .filter(Number.isInteger),
  };
}
