/** One context that grows: prefill, step, generate, fork, rewind. */
import * as check from '../check.js';
import { requireAsync } from '../native.js';
import { KvCache } from './cache.js';
import type { KvSequence } from './cache.js';
import type { Decoder, DecodeOptions, DecoderModel } from './decoder.js';
import { chunkOf, decoderOf, forwardBatch, pagesOf } from './decoder.js';
import type { GeneratedToken, GenerateOptions } from './generate.js';
import { drawTokens, Generation, requireTokens } from './generate.js';
import { DisposedError, SessionBusyError } from './state-error.js';

/** Options of a session. */
export type SessionOptions = DecodeOptions;

/** Options of prefill. */
export interface PrefillOptions {
  /** Whose logits to return. Default 'last'. */
  logits?: 'last' | 'all';
  /** Stops the work; what chunks are done stay in the context (see `length`). */
  signal?: AbortSignal;
}

/** What a session has done so far, its forks not counted. */
export interface SessionStats {
  /** Forward passes. */
  passes: number;
  /** Tokens that went through them. */
  rows: number;
  /** Rows of attention (row x layer x query head) that the unified maximum could not serve; see decodeAttention. */
  fallbackRows: number;
  /** Tokens whose keys and values are in the cache; the last token generated may not be yet. */
  cachedTokens: number;
  /** Bytes of the cache in use by this session and all of its forks together. */
  cacheBytes: number;
  /** Bytes that this cache has taken from the system: they are kept until all of these sessions are disposed of. */
  cacheBytesAllocated: number;
}

/**
 * A context and its KV cache. One call at a time: a second one in flight is refused with ERR_SESSION_BUSY. Whatever
 * stops a call, the session stays at its last complete token and can be used on.
 *
 * @example
 * const session = model.createSession();
 * for await (const { token } of session.generate(prompt, { maxTokens: 100, seed: 1 })) write(token);
 */
export class Session {
  readonly #decoder: Decoder;
  readonly #chunk: number;
  readonly #cache: KvCache;
  readonly #sequence: KvSequence;
  /** The context. Its end may have no place in the cache yet: what generate drew last. */
  #tokens: number[] = [];
  #busy = false;
  #passing = false;
  #disposed = false;
  #stats = { passes: 0, rows: 0, fallbackRows: 0 };

  /**
   * @param model a LlamaModel, or any Decoder
   * @throws TypeError ERR_INVALID_ARG_TYPE, RangeError ERR_OUT_OF_RANGE; Error ERR_DISPOSED for a model that is
   */
  constructor(model: DecoderModel | Decoder, options?: SessionOptions);
  /** @internal A fork. */
  constructor(
    model: Decoder,
    options: SessionOptions,
    parent: { cache: KvCache; sequence: KvSequence; tokens: number[] },
  );
  constructor(
    model: DecoderModel | Decoder,
    options?: SessionOptions,
    parent?: { cache: KvCache; sequence: KvSequence; tokens: number[] },
  ) {
    const o = check.options(options);
    this.#decoder = decoderOf(model, o);
    this.#chunk = chunkOf(o);
    const { pageBytes, maxLength } = this.#decoder;
    this.#cache = parent?.cache ?? new KvCache({ pageBytes, pagesPerSlab: slabPages(pageBytes, maxLength) });
    this.#sequence = parent?.sequence ?? this.#cache.sequence();
    this.#tokens = parent?.tokens ?? [];
  }

  /** Tokens in the context. */
  get length(): number {
    return this.#tokens.length;
  }

  /** Tokens that the context can hold. */
  get maxLength(): number {
    return this.#decoder.maxLength;
  }

  /** The context, a copy. */
  get tokens(): number[] {
    return [...this.#tokens];
  }

  /** Counters. */
  get stats(): SessionStats {
    return {
      ...this.#stats,
      cachedTokens: this.#sequence.length,
      cacheBytes: this.#cache.bytesInUse,
      cacheBytesAllocated: this.#cache.bytesAllocated,
    };
  }

  /**
   * Appends tokens to the context.
   * @param tokens ids; none asks for the logits after the last token that is there
   * @returns [vocabulary] logits after the last token, or [tokens, vocabulary] after each
   * @throws RangeError for ids outside the vocabulary or more than the context holds, TypeError, both before anything is
   * done; the abort reason; SessionBusyError ERR_SESSION_BUSY, DisposedError ERR_DISPOSED
   */
  async prefill(tokens: ArrayLike<number>, options?: PrefillOptions): Promise<Float32Array> {
    const o = check.options(options);
    requireAsync({ signal: o.signal });
    const wanted = check.oneOf('logits', o.logits ?? 'last', ['last', 'all']);
    const ids = this.#admit(tokens);
    return this.#alone('prefill', async () => this.#feed(ids, wanted, o.signal));
  }

  /**
   * Appends one token, or several, and gives the logits after the last: a step of decoding by hand.
   * @param token an id or ids
   * @returns [vocabulary]
   * @throws as prefill
   */
  async step(token: number | ArrayLike<number>, options?: { signal?: AbortSignal }): Promise<Float32Array> {
    const o = check.options(options);
    requireAsync({ signal: o.signal });
    const ids = this.#admit(typeof token === 'number' ? [token] : token);
    return this.#alone('step', async () => this.#feed(ids, 'last', o.signal));
  }

  /**
   * Appends tokens and goes on from them. The work is done as tokens are asked for; leaving the loop ends it, and the
   * session then is at the last token that was delivered. Its call is in flight from the first token asked for to the
   * end: whoever takes tokens by `next()` and stops early has to call `return()`, as a loop that is left does. An iterator
   * that is merely dropped keeps the session busy for good; `dispose` still gives its memory back.
   * @param tokens ids; may be empty where the session has a context
   * @throws TypeError, RangeError at once, for options and tokens; the iterator rejects with the abort reason,
   * NotFiniteError ERR_NOT_FINITE, what mask and detokenize throw, SessionBusyError, DisposedError
   */
  generate(
    tokens: ArrayLike<number>,
    options?: GenerateOptions,
  ): AsyncGenerator<GeneratedToken, void, undefined> {
    const ids = this.#admit(tokens);
    const o = check.options(options);
    new Generation([...this.#tokens, ...ids], o, this.#decoder, this.maxLength); // its checks
    return this.#generate(ids, o);
  }

  async *#generate(ids: number[], o: GenerateOptions): AsyncGenerator<GeneratedToken, void, undefined> {
    this.#enter('generate');
    try {
      // The session may have moved on since generate was called.
      const text = new Generation([...this.#tokens, ...this.#admit(ids)], o, this.#decoder, this.maxLength);
      let next = ids;
      while (!text.finished) {
        const logits = await this.#feed(next, 'last', o.signal);
        const [drawn] = await drawTokens([text], logits, this.#decoder.threads);
        o.signal?.throwIfAborted();
        if ('error' in drawn) throw drawn.error;
        this.#tokens.push(drawn.token.token);
        yield drawn.token;
        next = [];
        if (this.#disposed) throw new DisposedError('session');
      }
    } finally {
      this.#busy = false;
    }
  }

  /**
   * A second session with the same context. It shares the cache's pages until one of the two writes to them.
   * @throws SessionBusyError, DisposedError
   */
  fork(): Session {
    this.#require('fork');
    const parent = { cache: this.#cache, sequence: this.#sequence.fork(), tokens: [...this.#tokens] };
    return new Session(this.#decoder, { chunk: this.#chunk }, parent);
  }

  /**
   * Forgets what comes after the first `length` tokens.
   * @param length integer from 0 to the present length
   * @throws RangeError; SessionBusyError, DisposedError
   */
  rewind(length: number): void {
    this.#require('rewind');
    if (typeof length !== 'number') throw check.typeError('length', 'an integer', length);
    if (!Number.isInteger(length) || length < 0 || length > this.length)
      throw check.rangeError('length', `an integer from 0 to ${this.length}`, length);
    this.#tokens.length = length;
    this.#sequence.truncate(Math.min(length, this.#sequence.length));
  }

  /**
   * Gives the cache's pages back, and its memory where no fork uses it; a forward pass in flight ends first. A session
   * that is forgotten does so by itself.
   */
  dispose(): void {
    this.#disposed = true;
    if (!this.#passing) this.#release();
  }

  #release(): void {
    this.#sequence.release();
    this.#cache.trim();
  }

  /** Checks tokens that are to be appended. */
  #admit(tokens: unknown): number[] {
    const ids = requireTokens(tokens, this.#decoder);
    const length = this.length + ids.length;
    if (length > this.maxLength)
      throw check.rangeError(
        'tokens',
        `at most ${this.maxLength - this.length} more in a context of ${this.maxLength}`,
        `${ids.length} tokens`,
      );
    if (length === 0) throw check.rangeError('tokens', 'at least one in an empty session', tokens);
    return ids;
  }

  #require(call: string): void {
    if (this.#disposed) throw new DisposedError('session');
    if (this.#busy) throw new SessionBusyError(call);
  }

  #enter(call: string): void {
    this.#require(call);
    this.#busy = true;
  }

  async #alone<R>(call: string, body: () => Promise<R>): Promise<R> {
    this.#enter(call);
    try {
      return await body();
    } finally {
      this.#busy = false;
    }
  }

  /** Passes what has no place in the cache yet, and `ids`, through the model in chunks. */
  async #feed(ids: readonly number[], wanted: 'last' | 'all', signal?: AbortSignal): Promise<Float32Array> {
    // The logits after a token that is cached are not kept: it goes through once more, to the same bits.
    if (ids.length === 0 && this.#sequence.length === this.length) this.#sequence.truncate(this.length - 1);
    const base = this.#sequence.length;
    const all = [...this.#tokens.slice(base), ...ids]; // from position `base` on
    const firstWanted = wanted === 'all' && ids.length > 0 ? all.length - ids.length : all.length - 1;
    const vocab = this.#decoder.vocabSize;
    const result = new Float32Array((all.length - firstWanted) * vocab);
    let start = 0;
    while (start < all.length) {
      signal?.throwIfAborted();
      const end = Math.min(start + this.#chunk, all.length);
      // Chunks end where the wanted logits begin, so that a pass wants all of its logits, its last or none.
      const stop = wanted === 'all' && start < firstWanted ? Math.min(end, firstWanted) : end;
      const logits = start >= firstWanted ? 'all' : stop === all.length ? 'last' : 'none';
      const given = await this.#pass(all.slice(start, stop), logits, signal);
      result.set(given, logits === 'all' ? (start - firstWanted) * vocab : 0);
      for (let i = this.length - base; i < stop; i++) this.#tokens.push(all[i]);
      start = stop;
    }
    return result;
  }

  async #pass(
    tokens: readonly number[],
    logits: 'none' | 'last' | 'all',
    signal?: AbortSignal,
  ): Promise<Float32Array> {
    if (this.#disposed) throw new DisposedError('session');
    const before = this.#sequence.append(tokens.length);
    this.#passing = true;
    let done = false;
    try {
      const batch = forwardBatch([{ sequence: this.#sequence, tokens, logits }]);
      const result = await this.#decoder.forward(batch, [...this.#cache.slabs], signal);
      done = true;
      this.#stats.passes++;
      this.#stats.rows += tokens.length;
      this.#stats.fallbackRows += result.fallbackRows;
      return result.logits;
    } finally {
      this.#passing = false;
      if (!done) this.#sequence.truncate(before);
      if (this.#disposed) this.#release();
    }
  }
}

/** Pages of a slab: no more than a context takes, and no more than 32 MiB. */
function slabPages(pageBytes: number, maxLength: number): number {
  return Math.max(1, Math.min(pagesOf(maxLength), Math.floor((32 * 2 ** 20) / pageBytes)));
}
