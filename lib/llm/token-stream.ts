/** A queue of tokens between an engine, which writes, and a consumer, who reads at his own pace. */
import type { GeneratedToken } from './generate.js';

/** What a queue tells its writer. */
export interface QueueEvents {
  /** The first token is asked for. */
  start: () => void;
  /** There is room in the queue again. */
  room: () => void;
  /** The consumer wants no more; resolves when everything of the text has been given back. */
  cancel: () => Promise<void>;
}

type Result = IteratorResult<GeneratedToken, undefined>;

interface Waiting {
  resolve: (result: Result) => void;
  reject: (error: unknown) => void;
  /** Kept from being collected while its answer is awaited. */
  stream: TokenStream;
}

/** The writer's side. It does not know its TokenStream, so that one which is forgotten can be told from one in use. */
export class TokenQueue {
  readonly #events: QueueEvents;
  readonly #bound: number;
  readonly #tokens: GeneratedToken[] = [];
  readonly #waiting: Waiting[] = [];
  #started = false;
  #ended = false;
  #failure: { error: unknown } | undefined;

  /**
   * @param events see QueueEvents
   * @param bound tokens from which on the queue is full
   */
  constructor(events: QueueEvents, bound: number) {
    this.#events = events;
    this.#bound = bound;
  }

  /** Whether tokens are to wait until some were read. */
  get full(): boolean {
    return this.#tokens.length >= this.#bound;
  }

  /** A token for the consumer. */
  push(token: GeneratedToken): void {
    if (this.#ended) return;
    const first = this.#waiting.shift();
    if (first) first.resolve({ done: false, value: token });
    else this.#tokens.push(token);
  }

  /** No more tokens; those in the queue are still delivered, then `failure` is, once. */
  end(failure?: { error: unknown }): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#failure = failure;
    for (const { resolve, reject } of this.#waiting.splice(0)) {
      const failed = this.#takeFailure();
      if (failed) reject(failed.error);
      else resolve({ done: true, value: undefined });
    }
  }

  /** Forgets the tokens that were not read. */
  drop(): void {
    this.#tokens.length = 0;
  }

  /** The next token, for the stream. */
  async next(stream: TokenStream): Promise<Result> {
    if (!this.#started && !this.#ended) {
      this.#started = true;
      this.#events.start();
    }
    const value = this.#tokens.shift();
    if (value) {
      if (this.#tokens.length === this.#bound - 1) this.#events.room();
      return { done: false, value };
    }
    if (!this.#ended)
      return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject, stream }));
    const failed = this.#takeFailure();
    if (failed) throw failed.error;
    return { done: true, value: undefined };
  }

  /** The consumer wants no more. */
  async cancel(): Promise<void> {
    this.drop();
    this.end();
    this.#failure = undefined;
    await this.#events.cancel();
  }

  #takeFailure(): { error: unknown } | undefined {
    const failure = this.#failure;
    this.#failure = undefined;
    return failure;
  }
}

/** The consumer's side: an iterator for one `for await` loop. */
export class TokenStream implements AsyncIterableIterator<GeneratedToken, undefined> {
  readonly #queue: TokenQueue;

  /** @internal */
  constructor(queue: TokenQueue) {
    this.#queue = queue;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** The next token. */
  async next(): Promise<Result> {
    return this.#queue.next(this);
  }

  /** Ends the work on this text; resolves when its pages are free again. What a `break` out of a loop calls. */
  async return(): Promise<Result> {
    await this.#queue.cancel();
    return { done: true, value: undefined };
  }

  /** Ends the work like return, and rejects with the error. */
  async throw(error: unknown): Promise<Result> {
    await this.#queue.cancel();
    throw error;
  }
}
