/**
 * Subsequence search: where in a long stream a query occurs, under banded dynamic time warping.
 */
import * as check from '../check.js';
import { threadsOf } from '../kernels/arguments.js';
import { blocking, promised, requireAsync } from '../native.js';
import type { AsyncOptions, Prepared } from '../native.js';
import { bandOf } from './metrics.js';
import { requireFinite, seriesArray } from './series.js';
import type { Series } from './series.js';

/** Options of subsequence search. */
export interface SubsequenceOptions {
  /** Matches wanted. Default 1. */
  k?: number;
  /** Sakoe-Chiba radius as a share of the query's length, in [0, 1]. Default: no band. */
  window?: number;
  /** Sakoe-Chiba radius in time points. Default: no band. */
  windowAbs?: number;
  /** Compare the query and every window with mean 0 and population deviation 1. Default false: as they are. */
  zNormalize?: boolean;
  /** Least distance of the starts of two matches, at least 1. Default: the query's length, so that they do not overlap. */
  exclusion?: number;
  /** The square root of the distances. Default false. */
  root?: boolean;
  /** Most threads; results do not depend on them. Default 1. */
  threads?: number;
}

/** Where the query occurs: the best match first, then the best that keeps its distance from it, and so on. */
export interface SubsequenceMatches {
  /** Index in the stream of the first point of each match. */
  position: Float64Array;
  /** DTW of the query and the window there. */
  distance: Float64Array;
}

interface Match {
  position: number;
  distance: number;
}

/** Windows looked at in one native call: the bound on what its result may need. */
const PIECE = 2 ** 20;

const byDistance = (a: Match, b: Match) => a.distance - b.distance || a.position - b.position;

/** The first `count` matches, best first, that keep `exclusion` apart. */
function select(sorted: readonly Match[], count: number, exclusion: number): Match[] {
  const chosen: Match[] = [];
  // Stretches as long as the exclusion hold at most one chosen match each: only three can be too near.
  const stretches = new Map<number, number>();
  for (const match of sorted) {
    if (chosen.length === count) break;
    const stretch = Math.floor(match.position / exclusion);
    const isFree = [stretch - 1, stretch, stretch + 1].every((each) => {
      const other = stretches.get(each);
      return other === undefined || Math.abs(other - match.position) >= exclusion;
    });
    if (!isFree) continue;
    stretches.set(stretch, match.position);
    chosen.push(match);
  }
  return chosen;
}

/**
 * A search over a stream that arrives in pieces: `push` what came, ask for `matches` at any time. Holds the last points
 * of the stream, one fewer than the query has, and the windows that may still be among the matches.
 *
 * The cascade of the UCR suite (Rakthanmanon et al. 2012): lower bounds of all windows side by side in vector lanes, DTW
 * with early abandoning for the few that are left. The answer is that of comparing every window.
 *
 * @throws TypeError, RangeError as `distance` for the query and options
 */
export class SubsequenceSearcher {
  /** Points of the stream seen so far. */
  length = 0;
  private readonly query: Float64Array;
  private readonly k: number;
  private readonly exclusion: number;
  private readonly normalize: boolean;
  private readonly root: boolean;
  private readonly threads: number;
  private readonly band: { band: string; value: number };
  private tail = new Float64Array(0);
  private candidates: Match[] = [];
  private limit: Match = { distance: Infinity, position: Infinity };
  private busy = false;

  constructor(query: Series, given?: SubsequenceOptions) {
    const o = check.options(given);
    seriesArray('query', query);
    if (query.length === 0) throw check.rangeError('query', 'of at least one time point', query);
    requireFinite('query', query);
    this.query = Float64Array.from(query);
    this.k = o.k === undefined ? 1 : check.positiveInteger('k', o.k);
    this.exclusion =
      o.exclusion === undefined ? query.length : check.positiveInteger('exclusion', o.exclusion);
    this.normalize = o.zNormalize === undefined ? false : check.boolean('zNormalize', o.zNormalize);
    this.root = o.root === undefined ? false : check.boolean('root', o.root);
    this.threads = threadsOf(o.threads);
    this.band = bandOf({ window: o.window, windowAbs: o.windowAbs });
  }

  /**
   * Takes the next points of the stream.
   * @throws TypeError for another class of array; RangeError for NaN or infinite values: then nothing is taken
   */
  push(points: Series): void {
    this.requirePoints(points);
    for (const step of this.steps(points)) step.take(blocking(step.prepared));
  }

  /** Promise form of push; one at a time. After an abort the searcher cannot go on. */
  async pushAsync(points: Series, options?: AsyncOptions): Promise<void> {
    const o = check.options(options);
    this.requirePoints(points);
    requireAsync(o);
    o.signal?.throwIfAborted();
    const { signal, onProgress } = o;
    const total = Math.max(1, Math.ceil(points.length / PIECE));
    let done = 0;
    this.busy = true;
    for (const step of this.steps(points)) {
      const report = onProgress && ((share: number) => onProgress(Math.min(1, (done + share) / total)));
      step.take(await promised(step.prepared, { signal, onProgress: report }));
      done++;
    }
    this.busy = false;
  }

  /** The best matches so far: at most k. */
  matches(): SubsequenceMatches {
    const chosen = select(this.candidates, this.k, this.exclusion);
    return {
      position: Float64Array.from(chosen, (match) => match.position),
      distance: Float64Array.from(chosen, (match) =>
        this.root ? Math.sqrt(match.distance) : match.distance,
      ),
    };
  }

  private requirePoints(points: Series): void {
    if (this.busy) throw new Error('softlane: a push is pending, or was stopped half-way');
    seriesArray('points', points);
    requireFinite('points', points);
  }

  private *steps(points: Series): Generator<{ prepared: Prepared<Match[]>; take: (found: Match[]) => void }> {
    const m = this.query.length;
    const { length } = points;
    for (let begin = 0; begin < length; begin += PIECE) {
      if (points.length !== length)
        throw check.rangeError(
          'points',
          'left alone until the promise settles',
          'an array whose memory is gone',
        );
      const fresh = points.subarray(begin, begin + PIECE);
      const stream = new Float64Array(this.tail.length + fresh.length);
      stream.set(this.tail);
      stream.set(fresh, this.tail.length);
      const first = this.length - this.tail.length;
      this.length += fresh.length;
      this.tail = stream.slice(Math.max(0, stream.length - (m - 1)));
      if (stream.length < m) continue;
      const windows = stream.length - m + 1;
      const positions = new Float64Array(windows);
      const distances = new Float64Array(windows);
      const args = [
        this.query,
        stream,
        positions,
        distances,
        this.k,
        this.exclusion,
        this.normalize,
        this.limit.distance,
        this.limit.position,
        first,
        this.band.band,
        this.band.value,
        this.threads,
      ];
      const result = (count: unknown): Match[] =>
        Array.from({ length: count as number }, (_, i) => ({
          position: positions[i],
          distance: distances[i],
        }));
      yield {
        prepared: { operation: 'elasticSubsequence', args, result },
        take: (found) => this.take(found),
      };
    }
  }

  /**
   * Keeps what may still count. Of 2 k - 1 windows that keep their distance, each of the k - 1 matches before the last
   * rules out at most two: the k-th match of the whole stream is no worse than the last of them.
   */
  private take(found: Match[]): void {
    this.candidates = this.candidates.concat(found).sort(byDistance);
    const apart = select(this.candidates, 2 * this.k - 1, this.exclusion);
    if (apart.length === 2 * this.k - 1) {
      const last = apart[apart.length - 1];
      if (byDistance(last, this.limit) < 0) this.limit = last;
    }
    this.candidates = this.candidates.filter((match) => byDistance(match, this.limit) <= 0);
  }
}

function requireStream(query: Series, stream: Series): void {
  if (stream.length < query.length)
    throw check.rangeError('stream', `at least as long as the query, ${query.length} points`, stream);
}

/**
 * Finds the k best matches of a query in a stream that is at hand as a whole.
 * @param query m values
 * @param stream at least m values
 * @returns at most k matches; fewer where no more windows keep their distance
 * @throws as SubsequenceSearcher; RangeError for a stream shorter than the query
 */
export function subsequenceSearch(
  query: Series,
  stream: Series,
  options?: SubsequenceOptions,
): SubsequenceMatches {
  const searcher = new SubsequenceSearcher(query, options);
  seriesArray('stream', stream);
  requireStream(query, stream);
  searcher.push(stream);
  return searcher.matches();
}

/** Promise form of subsequenceSearch. */
export async function subsequenceSearchAsync(
  query: Series,
  stream: Series,
  options?: SubsequenceOptions & AsyncOptions,
): Promise<SubsequenceMatches> {
  const searcher = new SubsequenceSearcher(query, options);
  seriesArray('stream', stream);
  requireStream(query, stream);
  await searcher.pushAsync(stream, options);
  return searcher.matches();
}
