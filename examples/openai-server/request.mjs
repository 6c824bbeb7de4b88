// What a request asks for, checked: OpenAI's names to softlane's.

/** A mistake of the caller. */
export class RequestError extends Error {
  constructor(message, param = null, status = 400, code = null) {
    super(message);
    Object.assign(this, { param, status, code });
  }
}

/** Options that softlane names otherwise than the interface. */
const NAMES = {
  maxTokens: 'max_tokens',
  topP: 'top_p',
  topK: 'top_k',
  minP: 'min_p',
  repetitionPenalty: 'repetition_penalty',
  logitBias: 'logit_bias',
};

/** What softlane's own checks refuse is a mistake of the caller as well: said with the names that the caller knows. */
export function inTermsOfRequest(error, chat) {
  if (error?.code === 'ERR_CACHE_FULL') return new RequestError(error.message, 'max_tokens', 400, error.code);
  const [, option] = /^"(\w+)/.exec(error?.message) ?? [];
  if (!option || !/^ERR_(OUT_OF_RANGE|INVALID_ARG)/.test(error.code)) return error;
  const own = chat
    ? { tokens: 'messages', topLogProbs: 'top_logprobs' }
    : { tokens: 'prompt', topLogProbs: 'logprobs' };
  const param = { ...NAMES, ...own }[option] ?? option;
  return new RequestError(`"${param}${error.message.slice(option.length + 1)}`, param);
}

const refuse = (param, expected, value) => {
  throw new RequestError(
    `"${param}" must be ${expected}, received ${JSON.stringify(value)?.slice(0, 80)}`,
    param,
  );
};
/** The value of a parameter, or its default where it is absent or null. */
const read = (body, param, fallback, expected, good) => {
  const value = body[param] ?? fallback;
  if (value !== undefined && !good(value)) refuse(param, expected, value);
  return value;
};
const number = (body, param, low, high, fallback) =>
  read(
    body,
    param,
    fallback,
    low === high ? `${low}: this server offers no other value` : `a number from ${low} to ${high}`,
    (v) => typeof v === 'number' && v >= low && v <= high,
  );
const integer = (body, param, low, high, fallback) =>
  read(
    body,
    param,
    fallback,
    `an integer from ${low} to ${high}`,
    (v) => Number.isSafeInteger(v) && v >= low && v <= high,
  );
const boolean = (body, param) => read(body, param, false, 'true or false', (v) => typeof v === 'boolean');
const isText = (value) => typeof value === 'string';
const isIds = (value) => Array.isArray(value) && value.length > 0 && value.every(Number.isInteger);

function promptsOf({ prompt }, { encode }) {
  const list = isText(prompt) || isIds(prompt) ? [prompt] : prompt;
  if (!Array.isArray(list) || list.length === 0 || list.length > 64)
    refuse('prompt', 'text, token ids, or up to 64 of them', prompt);
  return list.map((each) =>
    isText(each) ? encode(each) : isIds(each) ? each : refuse('prompt', 'text or token ids', each),
  );
}

/** Content may come in parts; those of text are joined. */
function messageOf({ role, content } = {}) {
  const parts = Array.isArray(content) ? content : [{ type: 'text', text: content }];
  if (!isText(role) || !parts.every((part) => part?.type === 'text' && isText(part.text)))
    refuse('messages', 'a list of messages with role and text', { role, content });
  return { role, content: parts.map(({ text }) => text).join('') };
}

function chatPrompt({ messages }, { encodeChat }) {
  if (!Array.isArray(messages) || messages.length === 0) refuse('messages', 'a list of messages', messages);
  try {
    return [encodeChat(messages.map((each) => messageOf(each ?? undefined)))];
  } catch (error) {
    throw error instanceof RequestError
      ? error
      : new RequestError(`the chat template: ${error.message}`, 'messages');
  }
}

/** The request as the server carries it out. @throws RequestError */
export function parseRequest(body, { chat, name, tokenizer, config }) {
  if (typeof body !== 'object' || body === null || Array.isArray(body))
    throw new RequestError('the body must be an object');
  if ((body.model ?? name) !== name)
    throw new RequestError(
      `there is no model ${JSON.stringify(body.model)}, but ${name}`,
      'model',
      404,
      'model_not_found',
    );
  for (const param of ['presence_penalty', 'frequency_penalty']) number(body, param, 0, 0); // not offered
  const isNothing = (value) => !value || value === 1 || (Array.isArray(value) && value.length === 0);
  for (const param of ['tools', 'suffix', 'echo', 'best_of'])
    if (!isNothing(body[param])) refuse(param, 'absent: this server does not offer it', body[param]);
  if ((body.response_format ?? undefined) !== undefined && body.response_format.type !== 'text')
    refuse(
      'response_format',
      'absent or {"type":"text"}: this server does not offer others',
      body.response_format,
    );
  const prompts = chat ? chatPrompt(body, tokenizer) : promptsOf(body, tokenizer);
  const context = config.maxPositionEmbeddings;
  for (const { length } of prompts)
    if (length < 1 || length >= context)
      throw new RequestError(
        `a prompt must have 1 to ${context - 1} tokens, received ${length}`,
        chat ? 'messages' : 'prompt',
        400,
        length < 1 ? null : 'context_length_exceeded',
      );
  const stop = isText(body.stop) ? [body.stop] : (body.stop ?? []);
  if (!Array.isArray(stop) || stop.length > 4 || !stop.every((each) => isText(each) && each))
    refuse('stop', 'up to 4 strings', stop);
  const logitBias = read(
    body,
    'logit_bias',
    undefined,
    'an object of ids and numbers',
    (v) => typeof v === 'object' && !Array.isArray(v),
  );
  const maxTokens = integer(
    body,
    chat && body.max_completion_tokens ? 'max_completion_tokens' : 'max_tokens',
    1,
    2 ** 31,
    chat ? undefined : 16,
  );
  const topLogProbs = chat
    ? boolean(body, 'logprobs')
      ? integer(body, 'top_logprobs', 0, 20, 0)
      : undefined
    : integer(body, 'logprobs', 0, 5);
  return {
    chat,
    prompts,
    n: integer(body, 'n', 1, 64, 1),
    seed: integer(body, 'seed', 0, Number.MAX_SAFE_INTEGER),
    stream: boolean(body, 'stream'),
    includeUsage: body.stream_options?.include_usage === true,
    topLogProbs,
    options: {
      maxTokens,
      temperature: number(body, 'temperature', 0, 2, 1),
      topP: number(body, 'top_p', 0, 1, 1),
      topK: integer(body, 'top_k', 0, 2 ** 31, 0), // top_k, min_p and repetition_penalty: as vLLM calls them
      minP: number(body, 'min_p', 0, 1, 0),
      repetitionPenalty: number(body, 'repetition_penalty', 0.01, 100, 1),
      logitBias,
      stop,
      topLogProbs,
    },
  };
}
