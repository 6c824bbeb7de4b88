// An OpenAI-compatible server over a softlane engine. One process, one model; requests that are there at the same time
// share forward passes (continuous batching), and each gets the text that it would get alone.
//
//   node examples/openai-server/server.mjs [MODEL_DIR] [--port 8080] [--host 127.0.0.1] [--threads N] [--max-sequences 64]
//     [--max-cache-bytes N]
import { randomInt, randomUUID } from 'node:crypto';
import { once, setMaxListeners } from 'node:events';
import { createServer } from 'node:http';
import { inTermsOfRequest, parseRequest, RequestError } from './request.mjs';
import { end, listenProblem, loadModel, makeEngine, readOptions } from './start.mjs';

const options = readOptions(process.argv.slice(2));
const MOST_BODY_BYTES = 2 ** 20;
const { name, model, tokenizer } = await loadModel(options);
const engine = makeEngine(model, options);
// As far as the model has them: a tokenizer may know more.
const stopTokens = [...new Set([...model.config.eosTokenIds, ...tokenizer.endTokens])].filter(
  (id) => id < model.config.vocabSize,
);
const created = Math.floor(Date.now() / 1000);

async function readBody(request) {
  const parts = [];
  let size = 0;
  // Not destroyed when it is left: the client is to see why.
  for await (const part of request.iterator({ destroyOnReturn: false })) {
    size += part.length;
    if (size > MOST_BODY_BYTES)
      throw new RequestError(`the body is larger than ${MOST_BODY_BYTES} bytes`, null, 413);
    parts.push(part);
  }
  try {
    return JSON.parse(Buffer.concat(parts).toString('utf8'));
  } catch {
    throw new RequestError('the body is not JSON');
  }
}

/** A token and its text alone, as both APIs report it; half a character has bytes that are no text. */
const named = ({ token, logProbability }) => ({ token: tokenizer.decode([token]), logprob: logProbability });

function logprobsOf(asked, tokens) {
  if (asked.topLogProbs === undefined) return null;
  if (asked.chat) {
    const bytes = (each) => ({ ...each, bytes: [...Buffer.from(each.token)] });
    return {
      content: tokens.map((token) => ({
        ...bytes(named(token)),
        top_logprobs: (token.topLogProbs ?? []).map((each) => bytes(named(each))),
      })),
    };
  }
  return {
    tokens: tokens.map((token) => named(token).token),
    token_logprobs: tokens.map((token) => token.logProbability),
    top_logprobs: tokens.map(({ topLogProbs = [] }) =>
      Object.fromEntries(topLogProbs.map(named).map((each) => [each.token, each.logprob])),
    ),
  };
}

/** One choice in the shape of the API: whole, or as the part that a stream sends. */
function choiceOf(asked, index, text, tokens, first) {
  const shared = {
    index,
    logprobs: logprobsOf(asked, tokens),
    finish_reason: tokens.at(-1)?.finishReason ?? null,
  };
  if (!asked.chat) return { ...shared, text };
  if (!asked.stream) return { ...shared, message: { role: 'assistant', content: text } };
  return { ...shared, delta: first ? { role: 'assistant', content: text } : { content: text } };
}

function envelope(asked, id) {
  const object = asked.chat ? `chat.completion${asked.stream ? '.chunk' : ''}` : 'text_completion';
  return { id, object, created: Math.floor(Date.now() / 1000), model: name };
}

/** All choices of a request at once; `emit` sees each token of each as it comes. */
async function writeChoices(asked, signal, emit) {
  const seed = asked.seed ?? randomInt(2 ** 47);
  const detokenize = (tokens) => tokenizer.decode(tokens);
  const streams = asked.prompts.flatMap((prompt, p) =>
    Array.from({ length: asked.n }, (_, i) => ({
      index: p * asked.n + i,
      // Every text has a stream of its own: the i-th of a prompt is the same whatever stands beside it.
      stream: engine.generate(prompt, { ...asked.options, stopTokens, detokenize, seed, stream: i, signal }),
    })),
  );
  return Promise.all(
    streams.map(async ({ index, stream }) => {
      const choice = { index, text: '', tokens: [] };
      for await (const token of stream) {
        const first = choice.tokens.length === 0;
        choice.text += token.text;
        choice.tokens.push(token);
        await emit?.(index, token, first);
      }
      return choice;
    }),
  );
}

function usageOf(asked, choices) {
  const prompt_tokens = asked.prompts.reduce((sum, prompt) => sum + prompt.length, 0);
  const completion_tokens = choices.reduce((sum, { tokens }) => sum + tokens.length, 0);
  return { prompt_tokens, completion_tokens, total_tokens: prompt_tokens + completion_tokens };
}

async function complete(request, response, chat) {
  const body = await readBody(request);
  const asked = parseRequest(body, { chat, name, tokenizer, config: model.config });
  const gone = new AbortController();
  setMaxListeners(0, gone.signal); // one a text
  response.on('close', () => gone.abort()); // once the answer is complete there is nothing left to stop
  const id = `${chat ? 'chatcmpl' : 'cmpl'}-${randomUUID()}`;
  if (!asked.stream) {
    const choices = await writeChoices(asked, gone.signal);
    send(response, 200, {
      ...envelope(asked, id),
      choices: choices.map(({ index, text, tokens }) => choiceOf(asked, index, text, tokens)),
      usage: usageOf(asked, choices),
    });
    return;
  }
  let drained;
  const event = async (data) => {
    if (!response.headersSent)
      response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-cache' });
    if (response.write(`data: ${typeof data === 'string' ? data : JSON.stringify(data)}\n\n`)) return;
    drained ??= once(response, 'drain', { signal: gone.signal }).finally(() => (drained = undefined));
    await drained; // the engine waits for slow readers
  };
  const choices = await writeChoices(asked, gone.signal, async (index, token, first) => {
    const quiet = token.text === '' && !first && !token.finishReason && asked.topLogProbs === undefined;
    if (!quiet)
      await event({ ...envelope(asked, id), choices: [choiceOf(asked, index, token.text, [token], first)] });
  });
  if (asked.includeUsage)
    await event({ ...envelope(asked, id), choices: [], usage: usageOf(asked, choices) });
  await event('[DONE]');
  response.end();
}

function send(response, status, value) {
  const text = JSON.stringify(value);
  response.writeHead(status, {
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(text),
  });
  response.end(text);
}

/** An error in OpenAI's shape; in a stream that has begun, as its last event. */
function fail(response, error) {
  if (response.destroyed) return; // the client has gone: nobody to tell
  const status = error.status ?? 500;
  const type = status >= 500 ? 'server_error' : 'invalid_request_error';
  const body = {
    error: { message: error.message, type, param: error.param ?? null, code: error.code ?? null },
  };
  if (response.headersSent) return void response.end(`data: ${JSON.stringify(body)}\n\n`);
  if (status === 413) response.setHeader('connection', 'close');
  send(response, status, body);
}

/** A route of completions. */
const completions = (chat) => async (request, response) => {
  try {
    await complete(request, response, chat);
  } catch (error) {
    throw inTermsOfRequest(error, chat);
  }
};

const card = { id: name, object: 'model', created, owned_by: 'softlane' };
const MODELS = '/v1/models';

const routes = {
  'POST /v1/completions': completions(false),
  'POST /v1/chat/completions': completions(true),
  [`GET ${MODELS}`]: (_, response) => send(response, 200, { object: 'list', data: [card] }),
  'GET /health': (_, response) => send(response, 200, { status: 'ok', ...engine.stats }),
};

const server = createServer((request, response) => {
  const path = request.url.split('?')[0];
  // Of an answer to HEAD node sends the head alone.
  const method = request.method === 'HEAD' ? 'GET' : request.method;
  const route = routes[`${method} ${path}`];
  Promise.resolve()
    .then(() => {
      if (route) return route(request, response);
      if (method === 'GET' && path.startsWith(`${MODELS}/`)) {
        const id = path.slice(MODELS.length + 1);
        if (id === name || id === encodeURIComponent(name)) return send(response, 200, card);
        throw new RequestError(`there is no model ${id}, but ${name}`, 'model', 404, 'model_not_found');
      }
      const other = Object.keys(routes).some((each) => each.endsWith(` ${path}`));
      throw new RequestError(`there is no ${request.method} ${path}`, null, other ? 405 : 404);
    })
    .catch((error) => fail(response, error));
});
server.once('error', (error) => end(listenProblem(error, options)));
server.listen(options.port, options.host, () => {
  const template = tokenizer.templateSource;
  const threads = `${options.threads} thread${options.threads === 1 ? '' : 's'}`;
  process.stdout.write(
    `${name} at http://${options.host}:${server.address().port}/v1, ${threads}\n` +
      `chat: ${template ? `the template of ${template}` : 'no template, messages are joined by line breaks'}\n`,
  );
});

for (const name of ['SIGINT', 'SIGTERM']) {
  process.once(name, async () => {
    server.close();
    await engine.dispose(); // ends what is being written with an error that the clients see
    server.closeAllConnections();
  });
}
