/**
 * When a text ends, and how much of it may be shown: stop tokens, stop sequences of ids, stop strings, and the text of
 * tokens that are no whole characters yet.
 */

import * as check from '../check.js';

/** Turns token ids into text, as a tokenizer's `decode` does. */
export type Detokenize = (tokens: number[]) => string;

/** What ends a text. */
export interface StopOptions {
  /** Ids that end the text. */
  stopTokens: readonly number[];
  /** Runs of ids that end the text. */
  stopSequences: readonly (readonly number[])[];
  /** Strings that end the text; they need `detokenize`. */
  stop: readonly string[];
  /** Gives the tokens their text. */
  detokenize?: Detokenize;
}

/** What a token brings. */
export interface StopVerdict {
  /** Whether it ends the text. */
  stopped: boolean;
  /** How many of the last tokens are the stop token or stop sequence, no part of the answer. */
  stopLength?: number;
  /** Text that is now certain to belong to the answer; absent without `detokenize`. */
  text?: string;
}

/** What decoders put in place of bytes that are no character. */
const REPLACEMENT = '\ufffd';
/** A character has four bytes at most: so many replacements at the end may still become one. */
const LONGEST_INCOMPLETE = 3;
/** Tokens without one clean end after which the rest is taken as it is: garbage, which no further byte will mend. */
const LONGEST_WINDOW = 16;

/**
 * The text of a growing list of tokens. Tokens are decoded in a window that begins with tokens already shown: decoders
 * treat the beginning of a text differently (they drop a leading space), so a token must not be decoded alone. What ends
 * in a replacement character is held back, since the next token may complete it.
 */
export class TextOfTokens {
  readonly #detokenize: Detokenize;
  #window: number[] = [];
  /** Tokens at the head of the window that are there for their neighbours only. */
  #context = 0;
  /** Characters of the window's text that have been given out. */
  #given = 0;

  constructor(detokenize: Detokenize) {
    this.#detokenize = detokenize;
  }

  /** The characters that the token settles. @throws TypeError where detokenize returns no string; what it throws */
  push(token: number): string {
    this.#window.push(token);
    const text = this.#decode();
    let end = text.length;
    while (end > 0 && text.length - end < LONGEST_INCOMPLETE && text[end - 1] === REPLACEMENT) end--;
    const forced = this.#window.length - this.#context > LONGEST_WINDOW;
    if (forced) end = text.length;
    const settled = text.slice(this.#given, end);
    this.#given = Math.max(this.#given, end);
    if (end === text.length) {
      this.#window = this.#window.slice(this.#context);
      this.#context = this.#window.length;
      this.#given = this.#decode().length;
    }
    return settled;
  }

  /** What was held back. */
  flush(): string {
    const rest = this.#decode().slice(this.#given);
    this.#given += rest.length;
    return rest;
  }

  #decode(): string {
    if (this.#window.length === 0) return '';
    const text: unknown = this.#detokenize([...this.#window]);
    if (typeof text === 'string') return text;
    if (text instanceof Promise) text.catch(() => undefined); // what comes of it concerns nobody
    throw check.typeError('detokenize', 'a synchronous function that returns a string', text);
  }
}

/** The longest end of `text` that a pattern begins with and is longer than. */
function partialLength(text: string, patterns: readonly string[]): number {
  let longest = 0;
  for (const pattern of patterns) {
    for (let n = Math.min(pattern.length - 1, text.length); n > longest; n--)
      if (text.endsWith(pattern.slice(0, n))) longest = n;
  }
  return longest;
}

function endsWith(list: readonly number[], tail: readonly number[], length = tail.length): boolean {
  const start = list.length - length;
  if (start < 0) return false;
  for (let i = 0; i < length; i++) if (list[start + i] !== tail[i]) return false;
  return true;
}

/** Watches the tokens of one text. */
export class StopWatch {
  readonly #tokens: ReadonlySet<number>;
  readonly #sequences: readonly (readonly number[])[];
  readonly #strings: readonly string[];
  readonly #text: TextOfTokens | undefined;
  /** Tokens that may be the beginning of a stop sequence, and so have no text yet. */
  #pending: number[] = [];
  /** Text that may be the beginning of a stop string. */
  #held = '';

  constructor({ stopTokens, stopSequences, stop, detokenize }: StopOptions) {
    this.#tokens = new Set(stopTokens);
    this.#sequences = stopSequences;
    this.#strings = stop;
    this.#text = detokenize && new TextOfTokens(detokenize);
  }

  /**
   * Takes the next token.
   * @param token its id
   * @param last whether no more will come: what is held back is then let go
   */
  push(token: number, last: boolean): StopVerdict {
    if (this.#tokens.has(token)) {
      // The tokens before it were not the stop sequence they might have been.
      return this.#stopBefore(1, this.#pending);
    }
    this.#pending.push(token);
    const matched = this.#sequences.filter((each) => endsWith(this.#pending, each));
    if (matched.length > 0) {
      const length = Math.max(...matched.map((each) => each.length));
      return this.#stopBefore(length, this.#pending.slice(0, -length));
    }
    const kept = last ? 0 : this.#partialSequence();
    const settled = this.#pending.splice(0, this.#pending.length - kept);
    return this.#verdict(settled, last);
  }

  #stopBefore(stopLength: number, answer: readonly number[]): StopVerdict {
    const verdict = this.#verdict(answer, true);
    return verdict.stopped ? verdict : { ...verdict, stopped: true, stopLength };
  }

  /** The longest end of the pending tokens that a sequence begins with. */
  #partialSequence(): number {
    let longest = 0;
    for (const sequence of this.#sequences) {
      for (let n = Math.min(sequence.length - 1, this.#pending.length); n > longest; n--)
        if (endsWith(this.#pending, sequence, n)) longest = n;
    }
    return longest;
  }

  /** The text of tokens that are no part of a stop sequence, looked through for stop strings. */
  #verdict(tokens: readonly number[], last: boolean): StopVerdict {
    if (!this.#text) return { stopped: false };
    for (const token of tokens) this.#held += this.#text.push(token);
    if (last) this.#held += this.#text.flush();
    const found = this.#strings.map((each) => this.#held.indexOf(each)).filter((at) => at >= 0);
    if (found.length > 0) {
      const text = this.#held.slice(0, Math.min(...found));
      this.#held = '';
      return { stopped: true, text };
    }
    const kept = last ? 0 : partialLength(this.#held, this.#strings);
    const text = this.#held.slice(0, this.#held.length - kept);
    this.#held = this.#held.slice(text.length);
    return { stopped: false, text };
  }
}
