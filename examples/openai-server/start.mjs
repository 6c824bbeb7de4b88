// What stands before the first request: the command line, and the model with its tokenizer. Whatever is wrong here ends
// the process with one line: exit code 2 for the command line, 1 for the rest.
import { statSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { threads } from 'softlane';
import { embeddedModelPath, LlamaModel } from 'softlane/llm';
import { loadTokenizer } from './tokenizer.mjs';

const HELP = `Usage: node server.mjs [MODEL_DIR] [options]

An OpenAI-compatible server. MODEL_DIR holds config.json, tokenizer.json and safetensors; without it the model that comes
with softlane answers.

  --port <n>           port, 0 for a free one (default: 8080)
  --host <name>        address to listen at (default: 127.0.0.1)
  --threads <n>        threads to compute with (default: ${threads()}, the size of softlane's pool); texts do not depend on it
  --max-sequences <n>  most texts written at once, others wait (default: 64)
  --max-cache-bytes <n>
                       most bytes of the KV cache, others wait (default: what that many texts of full length take, but no
                       more than half of the free memory)
  --help               this text
`;

/** Ends the process: what is wrong, on one line. */
export function end(error, exitCode = 1) {
  const message = String(error?.message ?? error).replace(/[\p{Cc}\u2028\u2029]+/gu, ' ');
  process.stderr.write(`openai-server: ${message}\n`);
  process.exit(exitCode);
}

const integer = (flags, name, low, high, fallback) => {
  const text = flags[name] ?? String(fallback);
  const value = Number(text);
  if (!/^\d+$/.test(text) || value < low || value > high)
    throw new Error(`--${name} must be an integer from ${low} to ${high}, received ${JSON.stringify(text)}`);
  return value;
};

function parse(args) {
  const text = { type: 'string' };
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      port: text,
      host: text,
      threads: text,
      'max-sequences': text,
      'max-cache-bytes': text,
      help: { type: 'boolean', short: 'h' },
    },
  });
  if (positionals.length > 1) throw new Error(`expected one MODEL_DIR, received ${positionals.join(', ')}`);
  return {
    help: values.help,
    folder: positionals[0] ?? embeddedModelPath(),
    port: integer(values, 'port', 0, 65535, 8080),
    host: values.host ?? '127.0.0.1',
    threads: integer(values, 'threads', 1, 1024, threads()),
    maxSequences: integer(values, 'max-sequences', 1, 65536, 64),
    maxCacheBytes:
      values['max-cache-bytes'] === undefined
        ? undefined
        : integer(values, 'max-cache-bytes', 1, Number.MAX_SAFE_INTEGER),
  };
}

/** The options of the command line; `--help` and mistakes end the process. */
export function readOptions(args) {
  try {
    const options = parse(args);
    if (!options.help) return options;
  } catch (error) {
    // Node's own go on about arguments that begin with a dash.
    const message = error.code?.startsWith('ERR_PARSE_ARGS') ? error.message.split('. ')[0] : error.message;
    end(`${message} (--help lists the options)`, 2);
  }
  process.stdout.write(HELP);
  return process.exit(0);
}

/** The model of a folder, its name and its tokenizer. */
export async function loadModel({ folder, threads }) {
  const found = statSync(folder, { throwIfNoEntry: false });
  if (!found) end(`${folder}: no such folder; softlane does not download models`);
  if (!found.isDirectory()) end(`${folder}: expected the folder of a model, received a file`);
  for (const file of ['config.json', 'tokenizer.json'])
    if (!statSync(join(folder, file), { throwIfNoEntry: false }))
      end(`${join(folder, file)}: no such file; a model has one`);
  try {
    const tokenizer = loadTokenizer(folder);
    return { tokenizer, name: basename(resolve(folder)), model: await LlamaModel.load(folder, { threads }) };
  } catch (error) {
    return end(error);
  }
}

/** The engine that serves all requests. */
export function makeEngine(model, { maxSequences, maxCacheBytes }) {
  try {
    return model.createEngine({ maxSequences, maxCacheBytes });
  } catch (error) {
    return end(error, 2);
  }
}

/** Why a server could not listen. */
export function listenProblem({ code, message }, { host, port }) {
  if (code === 'EADDRINUSE') return `port ${port} of ${host} is in use: choose another with --port`;
  if (code === 'EACCES') return `port ${port} of ${host} is not for this user: choose another with --port`;
  return `cannot listen at ${host}, port ${port}: ${message}`;
}
