/** A queue of tokens between an engine, which writes, and a consumer, who reads at his own pace. */
import type { GeneratedToken } from './generate.js';

/** What a stream tells its writer. */
export interface StreamEvents {
  /** The first token is asked for. */
  start: () => void;
  /** There is room in the queue again. */
  room: () => void;
  /** The consumer wants no more; resolves when everything of the text has been given back. */
  cancel: () => Promise<void>;
}

interface Waiting {
  resolve: (result: IteratorResult<GeneratedToken, undefined>) => void;
  reject: (error: unknown) => void;
}

/** The consumer's side: an iterator for one `for await` loop. */
export class TokenStream implements AsyncIterableIterator<GeneratedToken, undefined> {
  readonly #events: StreamEvents;
  readonly #bound: number;
  readonly #queue: GeneratedToken[] = [];
  readonly #waiting: Waiting[] = [];
  #started = false;
  #ended = false;
  #failure: { error: unknown } | undefined;

  /** @internal */
  constructor(events: StreamEvents, bound: number) {
    this.#events = events;
    this.#bound = bound;
  }

  /** Whether tokens are to wait until some were read. @internal */
  get full(): boolean {
    return this.#queue.length >= this.#bound;
  }

  /** @internal */
  push(token: GeneratedToken): void {
    if (this.#ended) return;
    const first = this.#waiting.shift();
    if (first) first.resolve({ done: false, value: token });
    else this.#queue.push(token);
  }

  /** No more tokens; those in the queue are still delivered, then `failure` is, once. @internal */
  end(failure?: { error: unknown }): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#failure = failure;
    for (const each of this.#waiting.splice(0)) {
      const failed = this.#takeFailure();
      if (failed) each.reject(failed.error);
      else each.resolve({ done: true, value: undefined });
    }
  }

  /** Forgets the tokens that were not read. @internal */
  drop(): void {
    this.#queue.length = 0;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** The next token. */
  async next(): Promise<IteratorResult<GeneratedToken, undefined>> {
    if (!this.#started && !this.#ended) {
      this.#started = true;
      this.#events.start();
    }
    const value = this.#queue.shift();
    if (value) {
      if (this.#queue.length === this.#bound - 1) this.#events.room();
      return { done: false, value };
    }
    if (!this.#ended) return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }));
    const failed = this.#takeFailure();
    if (failed) throw failed.error;
    return { done: true, value: undefined };
  }

  /** Ends the work on this text; resolves when its pages are free again. What a `break` out of a loop calls. */
  async return(): Promise<IteratorResult<GeneratedToken, undefined>> {
    this.drop();
    this.end();
    this.#failure = undefined;
    await this.#events.cancel();
    return { done: true, value: undefined };
  }

  /** Ends the work like return, and rejects with the error. */
  async throw(error: unknown): Promise<IteratorResult<GeneratedToken, undefined>> {
    await this.return();
    throw error;
  }

  #takeFailure(): { error: unknown } | undefined {
    const failure = this.#failure;
    this.#failure = undefined;
    return failure;
  }
}
