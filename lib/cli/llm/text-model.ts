/** The model of `softlane generate`, whichever family it is of: a Llama-family decoder or a Mamba. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { WeightType } from '../../kernels/weights.js';
import {
  LlamaModel,
  parseConfig,
  type CacheType,
  type GeneratedToken,
  type GenerateOptions,
} from '../../llm/index.js';
import type { AsyncOptions } from '../../native.js';
import { isMambaConfig, MambaModel, parseMambaConfig } from '../../sequence/index.js';

/** What `config.json` says that matters before anything is loaded. */
export interface ModelFacts {
  family: 'llama' | 'mamba';
  /** Token ids are 0 to vocabSize - 1. */
  vocabSize: number;
  /** Longest context in tokens; Infinity for a model whose state does not grow. */
  maxLength: number;
}

/** How the model is held in memory and run. */
export interface TextModelOptions extends AsyncOptions {
  weights?: WeightType;
  /** What keys and values are cached as, in families that have some. */
  cache: CacheType;
  threads: number;
  /** Texts at the same time. */
  sequences: number;
}

/** A model that writes texts. */
export interface TextModel {
  readonly warnings: readonly string[];
  /** Tokens that end a text. */
  readonly eosTokenIds: readonly number[];
  readonly weightBytes: number;
  readonly threads: number;
  /** Forward passes so far. */
  readonly passes: number;
  generate(prompt: readonly number[], options: GenerateOptions): AsyncIterable<GeneratedToken>;
  dispose(): Promise<void>;
}

/** Reads the configuration alone. @throws CheckpointError, the system's error */
export async function readFacts(folder: string): Promise<ModelFacts> {
  const path = join(folder, 'config.json');
  const text = await readFile(path, 'utf8');
  if (isMamba(text)) {
    return { family: 'mamba', vocabSize: parseMambaConfig(text, path).vocabSize, maxLength: Infinity };
  }
  const { vocabSize, maxPositionEmbeddings } = parseConfig(text, path);
  return { family: 'llama', vocabSize, maxLength: maxPositionEmbeddings };
}

/** What is not JSON is for the parser of a family to refuse. */
function isMamba(text: string): boolean {
  try {
    return isMambaConfig(JSON.parse(text));
  } catch {
    return false;
  }
}

/** Loads the model of a folder. @throws what `load` of its family throws */
export async function loadTextModel(
  folder: string,
  { family }: ModelFacts,
  options: TextModelOptions,
): Promise<TextModel> {
  return family === 'mamba' ? loadMamba(folder, options) : loadLlama(folder, options);
}

async function loadLlama(folder: string, { sequences, ...options }: TextModelOptions): Promise<TextModel> {
  const model = await LlamaModel.load(folder, options);
  const engine = model.createEngine({ maxSequences: Math.min(sequences, 64) });
  return {
    warnings: model.warnings,
    eosTokenIds: model.config.eosTokenIds,
    weightBytes: model.bytes.weights,
    threads: model.threads,
    get passes() {
      return engine.stats.passes;
    },
    generate: (prompt, given) => engine.generate(prompt, given),
    dispose: async () => {
      await engine.dispose();
      model.dispose();
    },
  };
}

/** Tokens of a prompt that a pass takes. */
const CHUNK = 256;

async function loadMamba(
  folder: string,
  { weights, threads, signal, onProgress }: TextModelOptions,
): Promise<TextModel> {
  const model = await MambaModel.load(folder, { weights, threads, signal, onProgress });
  let passes = 0;
  return {
    warnings: model.warnings,
    eosTokenIds: model.config.eosTokenIds,
    weightBytes: model.bytes.weights,
    threads: model.threads,
    get passes() {
      return passes;
    },
    async *generate(prompt, given) {
      passes += Math.ceil(prompt.length / CHUNK) - 1;
      for await (const token of model.generate(prompt, given)) {
        passes += 1;
        yield token;
      }
    },
    dispose: async () => {
      model.dispose();
      return Promise.resolve();
    },
  };
}
