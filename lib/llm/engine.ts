/**
 * Continuous batching: any number of texts, one forward pass a step for all of them. Each step takes one row of every
 * text that is being written and a part of the prompts of those that wait to be; texts join and leave between steps.
 * What a text becomes depends on neither: its rows, its random numbers and its draws are its own.
 */
import { freemem } from 'node:os';
import * as check from '../check.js';
import type { KvSequence } from './cache.js';
import { CacheFullError, KvCache } from './cache.js';
import type { Decoder, DecodeOptions, DecoderModel } from './decoder.js';
import { chunkOf, decoderOf, forwardBatch, pagesOf } from './decoder.js';
import type { GeneratedToken, GenerateOptions } from './generate.js';
import { drawTokens, Generation, requireTokens } from './generate.js';
import { DisposedError } from './state-error.js';
import { TokenQueue, TokenStream } from './token-stream.js';

/** Options of an engine. */
export interface EngineOptions extends DecodeOptions {
  /** Most texts in a forward pass; more wait for their turn. Default 64. */
  maxSequences?: number;
  /**
   * Most bytes of the KV cache, which grows on demand. Default: what maxSequences full contexts take, but no more than half
   * of the memory that is free when the engine is made, and no less than one full context.
   */
  maxCacheBytes?: number;
  /** Tokens that wait for a slow consumer before the work on his text pauses. Default 64. */
  queue?: number;
}

/** What an engine has done so far. */
export interface EngineStats {
  /** Forward passes. */
  passes: number;
  /** Rows that went through them: tokens of prompts and of texts. */
  rows: number;
  /** Tokens generated. */
  generated: number;
  /** Rows of attention that the unified maximum could not serve; see decodeAttention. */
  fallbackRows: number;
  /** Texts in the cache, and texts that wait to be. */
  active: number;
  waiting: number;
  /** Bytes of the cache in use. */
  cacheBytes: number;
  /** Bytes that the cache has taken from the system. An engine that falls idle keeps them for the next texts. */
  cacheBytesAllocated: number;
}

/** A text in the engine. */
interface Lane {
  text: Generation;
  queue: TokenQueue;
  /** Tokens that have not gone through the model yet: first the prompt, then the last token drawn. */
  todo: number[];
  /** Pages that it may come to need, set aside when it joins. */
  pages: number;
  sequence?: KvSequence;
  ended: boolean;
  /** Called when everything of it has been given back. */
  left: (() => void)[];
  gone: boolean;
  unlisten: () => void;
}

/** The part of a lane in a step. */
interface Share {
  lane: Lane;
  sequence: KvSequence;
  tokens: number[];
  /** Whether it ends with the row whose logits decide the next token. */
  draws: boolean;
}

/**
 * Texts written together.
 *
 * @example
 * const engine = model.createEngine();
 * await Promise.all(prompts.map(async (prompt) => {
 *   for await (const { token } of engine.generate(prompt, { maxTokens: 64, seed: 1 })) send(token);
 * }));
 */
export class Engine {
  readonly #decoder: Decoder;
  readonly #chunk: number;
  readonly #maxSequences: number;
  readonly #bound: number;
  readonly #cache: KvCache;
  #active: Lane[] = [];
  #waiting: Lane[] = [];
  /** Pages set aside for the active lanes. */
  #reserved = 0;
  #running = false;
  /** The step under way: who takes part, and how to stop it when nobody wants it any more. */
  #step: { lanes: Lane[]; controller: AbortController } | undefined;
  #disposed = false;
  /** Ends texts whose stream nobody holds any more: they would wait for their consumer for ever. */
  readonly #forgotten = new FinalizationRegistry<Lane>((lane) => void this.#leave(lane));
  #stats = { passes: 0, rows: 0, generated: 0, fallbackRows: 0 };

  /**
   * @param model a LlamaModel, or any Decoder
   * @throws TypeError ERR_INVALID_ARG_TYPE, RangeError ERR_OUT_OF_RANGE; Error ERR_DISPOSED for a model that is
   */
  constructor(model: DecoderModel | Decoder, options?: EngineOptions) {
    const o = check.options(options);
    this.#decoder = decoderOf(model, o);
    this.#chunk = chunkOf(o);
    this.#maxSequences = check.positiveInteger('maxSequences', o.maxSequences ?? 64);
    this.#bound = check.positiveInteger('queue', o.queue ?? 64);
    const { pageBytes, maxLength } = this.#decoder;
    const bytes = o.maxCacheBytes ?? defaultCacheBytes(this.#maxSequences, pagesOf(maxLength) * pageBytes);
    const maxPages = Math.floor(check.positiveNumber('maxCacheBytes', bytes) / pageBytes);
    if (maxPages < 1) throw check.rangeError('maxCacheBytes', `at least the ${pageBytes} of one page`, bytes);
    this.#cache = new KvCache({ pageBytes, maxPages });
  }

  /** Counters, and what is going on. */
  get stats(): EngineStats {
    return {
      ...this.#stats,
      active: this.#active.length,
      waiting: this.#waiting.length,
      cacheBytes: this.#cache.bytesInUse,
      cacheBytesAllocated: this.#cache.bytesAllocated,
    };
  }

  /**
   * Writes a text after a prompt. It joins when its first token is asked for, runs ahead of its consumer by `queue`
   * tokens, and leaves at its end, when its signal aborts, when the loop over it is left, or when its stream is forgotten.
   * @param tokens the prompt, at least one id
   * @throws at once: TypeError, RangeError for tokens and options, CacheFullError ERR_CACHE_FULL for a text that the whole
   * cache could not hold, DisposedError. The iterator rejects with the abort reason, NotFiniteError ERR_NOT_FINITE, or
   * what mask or detokenize throw: other texts are not concerned. What the forward pass itself throws ends all texts of
   * that step, each with the same error; texts that had no part in it, and later ones, go on
   */
  generate(tokens: ArrayLike<number>, options?: GenerateOptions): TokenStream {
    if (this.#disposed) throw new DisposedError('engine');
    const prompt = requireTokens(tokens, this.#decoder);
    const text = new Generation(prompt, check.options(options), this.#decoder, this.#decoder.maxLength);
    const pages = pagesOf(prompt.length + text.maxTokens);
    if (pages > this.#cache.maxPages) throw new CacheFullError(pages, this.#cache.maxPages);
    const queue = new TokenQueue(
      {
        start: () => this.#join(lane),
        room: () => this.#wake(),
        cancel: async () => this.#leave(lane),
      },
      this.#bound,
    );
    const lane: Lane = {
      text,
      queue,
      todo: prompt,
      pages,
      ended: false,
      left: [],
      gone: true, // nothing to give back before it joins
      unlisten: () => undefined,
    };
    const stream = new TokenStream(queue);
    this.#forgotten.register(stream, lane);
    return stream;
  }

  /**
   * Ends all texts with ERR_DISPOSED and gives the cache's memory back; resolves when the step under way has ended. (An
   * engine that is merely idle keeps the memory for its next texts.)
   */
  async dispose(): Promise<void> {
    this.#disposed = true;
    const lanes = [...this.#active, ...this.#waiting];
    for (const lane of lanes) this.#end(lane, { error: new DisposedError('engine') });
    await Promise.all(lanes.map(async (lane) => this.#leave(lane)));
    this.#cache.trim();
  }

  #join(lane: Lane): void {
    const { signal } = lane.text;
    if (this.#disposed) return lane.queue.end({ error: new DisposedError('engine') });
    if (signal?.aborted) return lane.queue.end({ error: signal.reason });
    const abort = (): void => {
      lane.queue.drop();
      this.#end(lane, { error: signal?.reason });
    };
    signal?.addEventListener('abort', abort, { once: true });
    lane.unlisten = () => signal?.removeEventListener('abort', abort);
    lane.gone = false;
    this.#waiting.push(lane);
    this.#wake();
  }

  /** Ends a text for its consumer at once; what it holds is given back between steps. */
  #end(lane: Lane, failure?: { error: unknown }): void {
    lane.ended = true;
    lane.queue.end(failure);
    if (this.#step?.lanes.every(({ ended }) => ended)) this.#step.controller.abort();
    this.#wake();
  }

  async #leave(lane: Lane): Promise<void> {
    if (!lane.ended) this.#end(lane);
    if (!lane.gone) await new Promise<void>((resolve) => lane.left.push(resolve));
  }

  #wake(): void {
    if (this.#running) return;
    this.#running = true;
    void this.#run();
  }

  async #run(): Promise<void> {
    // Texts that are started in the same turn of the event loop begin together.
    await new Promise(setImmediate);
    for (;;) {
      this.#retire();
      this.#admit();
      const shares = this.#plan();
      if (shares.length > 0) await this.#forward(shares);
      else if (!this.#active.some(({ ended }) => ended)) break;
    }
    this.#running = false;
  }

  #retire(): void {
    for (const lane of [...this.#active, ...this.#waiting].filter(({ ended }) => ended)) {
      if (lane.sequence) {
        lane.sequence.release();
        this.#reserved -= lane.pages;
      }
      lane.unlisten();
      lane.gone = true;
      for (const resolve of lane.left) resolve();
    }
    this.#active = this.#active.filter(({ ended }) => !ended);
    this.#waiting = this.#waiting.filter(({ ended }) => !ended);
  }

  /** First come, first served. A text joins when the cache can hold it to its end: none ever has to be thrown out. */
  #admit(): void {
    while (this.#waiting.length > 0 && this.#active.length < this.#maxSequences) {
      const [lane] = this.#waiting;
      if (this.#reserved + lane.pages > this.#cache.maxPages) break;
      this.#waiting.shift();
      this.#reserved += lane.pages;
      lane.sequence = this.#cache.sequence();
      this.#active.push(lane);
    }
  }

  /** Who takes part in the next step: every text that is being written, with one row, and parts of prompts. */
  #plan(): Share[] {
    const ready = this.#active.filter(({ queue }) => !queue.full);
    const prompts = this.#divide(ready.filter(({ text }) => text.generated === 0));
    const shares: Share[] = [];
    for (const lane of ready) {
      const count = prompts.get(lane) ?? lane.todo.length;
      if (count === 0) continue;
      const sequence = lane.sequence!;
      try {
        sequence.append(count);
      } catch (error) {
        this.#end(lane, { error });
        continue;
      }
      shares.push({
        lane,
        sequence,
        tokens: lane.todo.slice(0, count),
        draws: count === lane.todo.length,
      });
    }
    return shares;
  }

  /**
   * Divides the rows of a step evenly among the prompts, so that none waits for a long one; what short ones leave goes to
   * the others.
   */
  #divide(lanes: readonly Lane[]): Map<Lane, number> {
    // Where there are more prompts than rows, the oldest come first: every one has its turn.
    const counts = new Map(lanes.map((lane) => [lane, 0]));
    const rising = lanes.slice(0, this.#chunk).sort((a, b) => a.todo.length - b.todo.length);
    let rows = this.#chunk;
    rising.forEach((lane, i) => {
      const count = Math.min(lane.todo.length, Math.ceil(rows / (rising.length - i)));
      counts.set(lane, count);
      rows -= count;
    });
    return counts;
  }

  async #forward(shares: readonly Share[]): Promise<void> {
    const controller = new AbortController();
    this.#step = { lanes: shares.map(({ lane }) => lane), controller };
    try {
      const parts = shares.map(({ sequence, tokens, draws }) => ({
        sequence,
        tokens,
        logits: draws ? ('last' as const) : ('none' as const),
      }));
      const batch = forwardBatch(parts);
      const { logits, fallbackRows } = await this.#decoder.forward(
        batch,
        [...this.#cache.slabs],
        controller.signal,
      );
      this.#stats.passes++;
      this.#stats.rows += batch.tokens.length;
      this.#stats.fallbackRows += fallbackRows;
      for (const { lane, tokens } of shares) lane.todo = lane.todo.slice(tokens.length);
      const drawing = shares.filter(({ draws }) => draws).map(({ lane }) => lane);
      if (drawing.length > 0) await this.#draw(drawing, logits);
    } catch (error) {
      // Of the pass as a whole; a stopped one has ended its texts already.
      for (const { lane } of shares) if (!lane.ended) this.#end(lane, { error });
    } finally {
      this.#step = undefined;
    }
  }

  async #draw(lanes: readonly Lane[], logits: Float32Array): Promise<void> {
    const texts = lanes.map(({ text, ended }) => (ended ? undefined : text));
    const drawn = await drawTokens(texts, logits, this.#decoder.threads);
    lanes.forEach((lane, i) => {
      if (lane.ended) return;
      const one = drawn[i];
      if ('error' in one) return this.#end(lane, one);
      this.#deliver(lane, one.token);
    });
  }

  #deliver(lane: Lane, token: GeneratedToken): void {
    this.#stats.generated++;
    lane.todo = [token.token];
    lane.queue.push(token);
    if (lane.text.finished) this.#end(lane);
  }
}

/** The limit of a cache where none is given: memory that is not there is not to be promised. */
function defaultCacheBytes(sequences: number, contextBytes: number): number {
  // Of the machine, and of the container where there is one.
  const free = Math.min(freemem(), process.availableMemory());
  return Math.max(contextBytes, Math.min(sequences * contextBytes, free / 2));
}
