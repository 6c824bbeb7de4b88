/**
 * The KV cache: a pool of pages, each of 16 tokens of all layers, and sequences that own or share them.
 *
 * Pages lie in slabs, arrays of equal length that are allocated as they are needed. A page has a reference count; a fork
 * shares all pages of its parent, and whoever next writes to a page that is shared gets a copy of it first. Only the
 * last, partly filled page of a sequence is ever written to: full pages stay shared for as long as both live.
 */
import { positiveInteger, rangeError } from '../check.js';
import { largeArray } from '../large-array.js';
import { PAGE_TOKENS } from './forward.js';

export { PAGE_TOKENS };

/** The error of a cache whose limit does not hold what was asked for. Nothing has been changed. */
export class CacheFullError extends Error {
  readonly code = 'ERR_CACHE_FULL';
  override readonly name = 'CacheFullError';
  /** Pages that were needed beside those in use. */
  readonly needed: number;
  /** Pages that could still be had. */
  readonly available: number;

  constructor(needed: number, available: number) {
    super(
      `the KV cache would need ${needed} more pages of ${PAGE_TOKENS} tokens, ${available} are left of its limit`,
    );
    this.needed = needed;
    this.available = available;
  }
}

/** Sizes of a cache. */
export interface KvCacheOptions {
  /** Bytes of a page: what 16 tokens take in all layers. */
  pageBytes: number;
  /** Pages in a slab, the unit of growth. Default: as many as 32 MiB hold, at least 1, at most maxPages. */
  pagesPerSlab?: number;
  /** Most pages in use at a time. Default: no limit but memory. */
  maxPages?: number;
}

/** What a sequence holds: apart from the handle, so that the registry can give pages back when the handle is gone. */
interface Holding {
  pages: number[];
  length: number;
  released: boolean;
}

/** Memory that is not yet written to costs nothing, and every slab is an argument of every forward pass. */
const SLAB_BYTES = 32 * 2 ** 20;

/** A pool of pages. */
export class KvCache {
  /** Bytes of a page. */
  readonly pageBytes: number;
  /** Pages in a slab. */
  readonly pagesPerSlab: number;
  /** Most pages in use at a time. */
  readonly maxPages: number;
  readonly #slabs: Uint8Array[] = [];
  /** Reference counts by page. */
  readonly #counts: number[] = [];
  readonly #free: number[] = [];
  readonly #sequences = new WeakSet<KvSequence>();
  /** Gives back the pages of sequences that were forgotten instead of released. */
  readonly #forgotten = new FinalizationRegistry<Holding>((holding) => this.#giveBack(holding));

  /** @throws TypeError ERR_INVALID_ARG_TYPE, RangeError ERR_OUT_OF_RANGE */
  constructor({ pageBytes, pagesPerSlab, maxPages }: KvCacheOptions) {
    this.pageBytes = positiveInteger('pageBytes', pageBytes);
    this.maxPages =
      maxPages === undefined || maxPages === Infinity ? Infinity : positiveInteger('maxPages', maxPages);
    const fitting = Math.max(1, Math.floor(SLAB_BYTES / pageBytes));
    this.pagesPerSlab = positiveInteger('pagesPerSlab', pagesPerSlab ?? Math.min(fitting, this.maxPages));
  }

  /** The slabs so far: page p begins at byte (p mod pagesPerSlab) pageBytes of slabs[floor(p / pagesPerSlab)]. */
  get slabs(): readonly Uint8Array[] {
    return this.#slabs;
  }

  /** Pages that some sequence holds. */
  get pagesInUse(): number {
    return this.#counts.length - this.#free.length;
  }

  /** Bytes of the pages that some sequence holds. */
  get bytesInUse(): number {
    return this.pagesInUse * this.pageBytes;
  }

  /** Bytes of all slabs: what the cache has taken from the system. */
  get bytesAllocated(): number {
    return this.#slabs.length * this.pagesPerSlab * this.pageBytes;
  }

  /** Pages that may still be taken. */
  get pagesLeft(): number {
    return this.maxPages - this.pagesInUse;
  }

  /** An empty sequence. */
  sequence(): KvSequence {
    return this.#handle({ pages: [], length: 0, released: false });
  }

  /** Whether a sequence is one of this cache's. */
  owns(sequence: KvSequence): boolean {
    return this.#sequences.has(sequence);
  }

  /** Whether several sequences hold a page: then it is not to be written to. */
  isShared(page: number): boolean {
    return this.#counts[page] > 1;
  }

  /** The bytes of a page, for reading. */
  page(page: number): Uint8Array {
    const slab = this.#slabs[Math.floor(page / this.pagesPerSlab)];
    const start = (page % this.pagesPerSlab) * this.pageBytes;
    return slab.subarray(start, start + this.pageBytes);
  }

  /**
   * Gives all slabs back to the system where no sequence holds a page; else nothing is changed. The next append allocates
   * anew.
   * @returns whether they were given back
   */
  trim(): boolean {
    if (this.pagesInUse > 0) return false;
    this.#slabs.length = 0;
    this.#counts.length = 0;
    this.#free.length = 0;
    return true;
  }

  #handle(holding: Holding): KvSequence {
    const sequence = new KvSequence(holding, {
      append: (count) => this.#append(holding, count),
      truncate: (length) => this.#truncate(holding, length),
      fork: () => {
        for (const page of holding.pages) this.#counts[page]++;
        return this.#handle({ pages: [...holding.pages], length: holding.length, released: false });
      },
      release: () => {
        this.#forgotten.unregister(sequence);
        this.#giveBack(holding);
      },
    });
    this.#forgotten.register(sequence, holding, sequence);
    this.#sequences.add(sequence);
    return sequence;
  }

  #append(holding: Holding, count: number): void {
    const length = holding.length + count;
    const last = holding.pages.at(-1);
    const copies = count > 0 && holding.length % PAGE_TOKENS !== 0 && this.#counts[last!] > 1;
    const fresh = Math.ceil(length / PAGE_TOKENS) - holding.pages.length;
    const needed = fresh + (copies ? 1 : 0);
    if (needed > this.pagesLeft) throw new CacheFullError(needed, this.pagesLeft);
    this.#grow(needed);
    if (copies) {
      const copy = this.#take();
      this.page(copy).set(this.page(last!));
      this.#drop(last!);
      holding.pages[holding.pages.length - 1] = copy;
    }
    for (let i = 0; i < fresh; i++) holding.pages.push(this.#take());
    holding.length = length;
  }

  #truncate(holding: Holding, length: number): void {
    holding.length = length;
    for (const page of holding.pages.splice(Math.ceil(length / PAGE_TOKENS))) this.#drop(page);
  }

  #giveBack(holding: Holding): void {
    if (holding.released) return;
    holding.released = true;
    this.#truncate(holding, 0);
  }

  /** Allocates slabs until `count` pages are free; all of them or, where memory ends, none. */
  #grow(count: number): void {
    const slabs: Uint8Array[] = [];
    while (this.#free.length + slabs.length * this.pagesPerSlab < count)
      slabs.push(largeArray(Uint8Array, this.pagesPerSlab * this.pageBytes));
    for (const slab of slabs) {
      const first = this.#counts.length;
      this.#slabs.push(slab);
      // Taken from the end: lower pages first.
      for (let i = this.pagesPerSlab - 1; i >= 0; i--) {
        this.#counts[first + i] = 0;
        this.#free.push(first + i);
      }
    }
  }

  #take(): number {
    const page = this.#free.pop()!;
    this.#counts[page] = 1;
    return page;
  }

  #drop(page: number): void {
    if (--this.#counts[page] === 0) this.#free.push(page);
  }
}

interface SequenceActions {
  append: (count: number) => void;
  truncate: (length: number) => void;
  fork: () => KvSequence;
  release: () => void;
}

/** The tokens of one text in a KvCache. Made by KvCache.sequence and by fork. */
export class KvSequence {
  readonly #holding: Holding;
  readonly #actions: SequenceActions;

  /** @internal */
  constructor(holding: Holding, actions: SequenceActions) {
    this.#holding = holding;
    this.#actions = actions;
  }

  /** Tokens that have a place in the cache. */
  get length(): number {
    return this.#holding.length;
  }

  /** The pages, in order of the text; position t lies in pages[floor(t / 16)]. */
  get pages(): readonly number[] {
    return this.#holding.pages;
  }

  /** Whether release was called. */
  get released(): boolean {
    return this.#holding.released;
  }

  /**
   * Makes room for the next `count` tokens, whose keys and values the forward pass then writes. A shared last page is
   * copied first.
   * @param count integer >= 0
   * @returns the position of the first of them
   * @throws CacheFullError ERR_CACHE_FULL, RangeError; nothing has been changed then
   */
  append(count: number): number {
    this.#requireHeld();
    natural('count', count);
    const first = this.length;
    this.#actions.append(count);
    return first;
  }

  /**
   * A second sequence with the same contents. It takes no page until one of the two is appended to.
   * @throws RangeError after release
   */
  fork(): KvSequence {
    this.#requireHeld();
    return this.#actions.fork();
  }

  /**
   * Forgets all tokens from position `length` on.
   * @param length integer from 0 to the present length
   * @throws RangeError
   */
  truncate(length: number): void {
    this.#requireHeld();
    natural('length', length);
    if (length > this.length)
      throw rangeError('length', `at most the ${this.length} tokens there are`, length);
    this.#actions.truncate(length);
  }

  /** Gives all pages back. The sequence is empty from then on and takes no more tokens; a second call does nothing. */
  release(): void {
    this.#actions.release();
  }

  #requireHeld(): void {
    if (this.released) throw rangeError('sequence', 'one that has not been released', 'a released one');
  }
}

function natural(name: string, value: number): void {
  if (!Number.isSafeInteger(value) || value < 0) throw rangeError(name, 'an integer >= 0', value);
}
