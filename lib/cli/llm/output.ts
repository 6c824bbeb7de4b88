/** What `softlane generate` writes: texts as they grow, in order, or a JSON object a line. */
import { once } from 'node:events';
import type { Writable } from 'node:stream';
import type { FinishReason, GeneratedToken } from '../../llm/index.js';

/** A text as far as it is written. */
export interface Sample {
  /** Which of several, from 0: also its stream of the seed. */
  index: number;
  tokens: number[];
  text: string;
  logprobs: TokenReport[];
  /** Why it ended; 'interrupted' by a signal such as Ctrl-C. Absent: it has not. */
  finishReason?: FinishReason | 'interrupted';
  /** Milliseconds from the beginning of all texts to the first token of this one, and to its last. */
  firstTokenMs: number;
  lastTokenMs: number;
}

/** A token and how probable it was. */
export interface TokenReport {
  token: number;
  text: string;
  logprob: number;
  /** The most probable tokens in its place. */
  top?: { token: number; text: string; logprob: number }[];
}

/** How probable a token was, with the text of each id by itself. */
export function tokenReport(
  { token, logProbability, topLogProbs }: GeneratedToken,
  decode: (tokens: readonly number[]) => string,
): TokenReport {
  const top = topLogProbs?.map((each) => ({
    token: each.token,
    text: decode([each.token]),
    logprob: each.logProbability,
  }));
  return { token, text: decode([token]), logprob: logProbability, ...(top && { top }) };
}

/** A line of `--logprobs`: log-probability and text of the token, then those of the most probable ones. */
export function logprobLine({ text, logprob, top = [] }: TokenReport): string {
  const alternatives = top.map((each) => `${JSON.stringify(each.text)} ${each.logprob.toFixed(4)}`);
  return `${logprob.toFixed(4).padStart(9)}  ${JSON.stringify(text).padEnd(12)}  ${alternatives.join('  ')}`.trimEnd();
}

/** Rates of a sample, as `--json` prints them; none of one without a token. */
export function timingOf({ tokens, firstTokenMs, lastTokenMs }: Sample): Record<string, number> {
  if (tokens.length === 0) return {};
  const round = (value: number): number => Number(value.toFixed(3));
  const timing = { firstTokenMs: round(firstTokenMs), totalMs: round(lastTokenMs) };
  if (tokens.length < 2) return timing;
  return { ...timing, tokensPerSecond: round((tokens.length - 1) / ((lastTokenMs - firstTokenMs) / 1000)) };
}

/**
 * Writes several growing texts one after the other: the first that has not ended as it comes, those behind it when it is
 * their turn. A text ends with a line break.
 */
export class OrderedWriter {
  readonly #sink: Writable;
  readonly #live: boolean;
  readonly #pending: string[];
  readonly #ended: boolean[];
  #current = 0;
  #midLine = false;
  /** What all texts wait for while the sink is full. */
  #drain: Promise<unknown> | undefined;

  /**
   * @param sink where to write
   * @param headings one a text, written before it; '' for none
   * @param live false: a text is written when it is complete
   */
  constructor(sink: Writable, headings: readonly string[], live: boolean) {
    this.#sink = sink;
    this.#live = live;
    this.#pending = [...headings];
    this.#ended = headings.map(() => false);
  }

  /** Adds to a text. Resolves when the sink wants more, or the signal aborts. */
  async write(index: number, text: string, signal?: AbortSignal): Promise<void> {
    this.#pending[index] += text;
    if (this.#live && index === this.#current) this.#flush();
    await this.#drained(signal);
  }

  /** Ends a text, perhaps with a last part; what waited behind it is written. Resolves as `write` does. */
  async end(index: number, signal?: AbortSignal, rest = ''): Promise<void> {
    this.#pending[index] += rest;
    this.#ended[index] = true;
    while (this.#ended[this.#current]) {
      this.#flush();
      this.closeLine();
      this.#current++;
    }
    if (this.#live && this.#current < this.#pending.length) this.#flush();
    await this.#drained(signal);
  }

  /** A line break where a line has been begun. */
  closeLine(): void {
    if (this.#midLine) this.#sink.write('\n');
    this.#midLine = false;
  }

  // In one go: several texts are written at once, and none may come between.
  #flush(): void {
    const text = this.#pending[this.#current];
    if (text === '') return;
    this.#pending[this.#current] = '';
    this.#midLine = !text.endsWith('\n');
    this.#sink.write(text);
  }

  async #drained(signal: AbortSignal | undefined): Promise<void> {
    if (!this.#sink.writableNeedDrain || signal?.aborted) return;
    this.#drain ??= once(this.#sink, 'drain', { signal }).finally(() => (this.#drain = undefined));
    try {
      await this.#drain;
    } catch (error) {
      if (!signal?.aborted) throw error; // what is still written afterwards does not wait for the reader
    }
  }
}
