/**
 * Text to token ids and back, by the files that lie beside a model's weights. The library itself knows ids alone; the
 * command line reads `tokenizer.json` with @huggingface/tokenizers and chat templates with @huggingface/jinja.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Template } from '@huggingface/jinja';
import { Tokenizer } from '@huggingface/tokenizers';
import { CliError, oneLine } from '../errors.js';

/** A turn of a conversation. */
export interface Message {
  role: 'system' | 'user' | 'assistant';
  content: string;
}

/** What is asked of a tokenizer. */
export interface TextCodec {
  /** Ids of a text that is to be continued, with what the model expects at a beginning (often a token of its own). */
  encode(text: string): number[];
  /**
   * Ids of a conversation in the model's chat template, up to where the answer begins.
   * @throws CliError where the model has no template, or where the template refuses the messages
   */
  encodeChat(messages: readonly Message[]): number[];
  /** Text of ids that go on from a text: a blank at their beginning stays. Special tokens have no text. */
  decode(tokens: readonly number[]): string;
  /** Ids that end an answer according to `generation_config.json` and `tokenizer_config.json`; config.json may have more. */
  readonly endTokens: readonly number[];
}

/** A JSON object of a model's folder; undefined where there is no such file. */
async function readObject(path: string): Promise<Record<string, unknown> | undefined> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new CliError(`${path}: expected JSON: ${oneLine(error)}`);
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new CliError(
      `${path}: expected a JSON object, received ${Array.isArray(value) ? 'an array' : typeof value}`,
    );
  return value as Record<string, unknown>;
}

/** The text of a token in `tokenizer_config.json`, which stands there bare or with how it is split. */
function tokenText(entry: unknown): string | undefined {
  if (typeof entry === 'string') return entry;
  const content = (entry as { content?: unknown } | null | undefined)?.content;
  return typeof content === 'string' ? content : undefined;
}

/** The chat template: a file of its own, or in the configuration, alone or as the default among several. */
async function chatTemplate(folder: string, config: Record<string, unknown>): Promise<string | undefined> {
  try {
    return await readFile(join(folder, 'chat_template.jinja'), 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
  const given: unknown = config.chat_template;
  if (typeof given === 'string') return given;
  if (!Array.isArray(given)) return undefined;
  const named = given as { name?: unknown; template?: unknown }[];
  const template = named.find(({ name }) => name === 'default')?.template;
  return typeof template === 'string' ? template : undefined;
}

function build(path: string, json: Record<string, unknown>, config: Record<string, unknown>): Tokenizer {
  try {
    const tokenizer = new Tokenizer({ added_tokens: [], ...json }, config);
    tokenizer.encode('a');
    return tokenizer;
  } catch (error) {
    throw new CliError(`${path}: expected a tokenizer that @huggingface/tokenizers reads: ${oneLine(error)}`);
  }
}

const idsOf = (value: unknown): number[] =>
  (Array.isArray(value) ? value : [value]).filter((id): id is number => typeof id === 'number');

/**
 * Reads the tokenizer of a model.
 *
 * @param folder with `tokenizer.json`, and perhaps `tokenizer_config.json`, `chat_template.jinja` and
 *   `generation_config.json`
 * @throws CliError for files that are missing or wrong; the system's error
 */
export async function loadTokenizer(folder: string): Promise<TextCodec> {
  const path = join(folder, 'tokenizer.json');
  const json = await readObject(path);
  if (!json) throw new CliError(`${path}: expected the tokenizer of the model, received no such file`);
  const config = (await readObject(join(folder, 'tokenizer_config.json'))) ?? {};
  const generation = (await readObject(join(folder, 'generation_config.json'))) ?? {};
  const template = await chatTemplate(folder, config);
  const tokenizer = build(path, json, config);

  const special = new Set(
    [...tokenizer.get_added_tokens_decoder()].filter(([, token]) => token.special).map(([id]) => id),
  );
  // No tidying of blanks before punctuation: the text is that of the tokens.
  const decodeAll = (ids: number[]): string =>
    ids.length === 0 ? '' : tokenizer.decode(ids, { clean_up_tokenization_spaces: false });
  // Decoders drop a blank at the beginning of a text. A token before it keeps it.
  const anchor = tokenizer.encode('a', { add_special_tokens: false }).ids.slice(-1);
  const before = decodeAll(anchor).length;
  const ending = tokenText(config.eos_token);
  const endOfText = ending === undefined ? undefined : tokenizer.token_to_id(ending);

  return {
    encode: (text) => tokenizer.encode(text).ids,
    encodeChat: (messages) => {
      if (template === undefined)
        throw new CliError(
          `${folder}: the model has no chat template; give a prompt to be continued instead`,
        );
      let text: string;
      try {
        text = new Template(template).render({
          messages,
          add_generation_prompt: true,
          bos_token: tokenText(config.bos_token) ?? '',
          eos_token: ending ?? '',
        });
      } catch (error) {
        throw new CliError(`${folder}: the chat template failed: ${oneLine(error)}`);
      }
      // Special tokens stand in the template.
      return tokenizer.encode(text, { add_special_tokens: false }).ids;
    },
    decode: (tokens) => {
      // Rows of the output matrix that pad it have no token.
      const known = tokens.filter((id) => !special.has(id) && tokenizer.id_to_token(id) !== undefined);
      return decodeAll([...anchor, ...known]).slice(before);
    },
    endTokens: [...new Set([...idsOf(generation.eos_token_id), ...idsOf(endOfText)])],
  };
}
