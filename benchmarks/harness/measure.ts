/**
 * Interleaved sampling.
 *
 * All contenders of a case are sampled in rounds, one sample of each per round, so that a change of clock frequency or
 * a busy neighbour hits all of them alike. The order is rotated from round to round, and reversed every other cycle,
 * so that nobody always runs after the same predecessor. A sample is a batch of calls, long enough that the timer's
 * resolution does not matter. The estimator is the median over samples; the spread stands beside it.
 */
import { summarise } from './stats.js';

/** One thing to be timed. */
export interface Contender {
  name: string;
  /** Runs before each sample and is not timed, for example to choose the instruction set. */
  before?: () => void;
  /** One call. If the first call returns a promise, every call is awaited and the waiting is part of the time. */
  run: () => unknown;
  /** Factor on the measured time, where `run` does a stated part of the work (default 1). */
  scale?: number;
}

/** Why a row should not be trusted at face value. */
export type Flag =
  /** The sample, all calls of its batch together, was shorter than 100 times the resolution of the timer. */
  | 'below timer resolution'
  /** Fewer samples than asked for: the budget ended, or the run was interrupted. */
  | 'few samples'
  /** The middle half of the samples spreads over more than a quarter of the median. */
  | 'noisy'
  /** A part of the work was timed and scaled up. */
  | 'scaled';

/** The samples of one contender, in nanoseconds per call. */
export interface Measurement {
  name: string;
  samplesNs: number[];
  medianNs: number;
  minNs: number;
  /** Interquartile range divided by the median. */
  spread: number;
  /** Calls per sample. */
  batch: number;
  flags: Flag[];
}

export interface MeasureOptions {
  /** Samples that each contender gets, however long it takes (default 15). */
  minSamples?: number;
  /** No more samples than this, even if time is left (default 61). */
  maxSamples?: number;
  /** Sampling goes on beyond `minSamples` while this many milliseconds have not passed (default 500). */
  budgetMs?: number;
  /** Hard end on the clock of `now`, in nanoseconds: no round is begun after it. Default none. */
  deadlineNs?: number;
  /** Shortest wanted sample in nanoseconds (default 1e6, raised where the timer is coarse). */
  sampleNs?: number;
  /** Ends the sampling after the current sample; what was measured so far is returned. */
  signal?: AbortSignal;
  /** Called after each sample with the finished share of the minimum, 0 to 1. */
  onProgress?: (done: number) => void;
  /** The clock, in nanoseconds. Default `performance.now`, which has sub-microsecond resolution in Node. */
  now?: () => number;
}

const MAX_BATCH = 1_000_000;
const WARM_UP_NS = 1e7;
/** A call shorter than this is repeated once, untimed, before each sample: its predecessor has emptied the caches. */
const REHEAT_NS = 1e6;
const NOISY_SPREAD = 0.25;
const RESOLUTIONS_PER_SAMPLE = 100;

/** Nanoseconds on Node's monotonic clock. */
export function clockNs(): number {
  return performance.now() * 1e6;
}

/**
 * The smallest step between two readings of `now`, in nanoseconds; the cost of reading is included. 0 for a clock that
 * stands still.
 */
export function timerResolutionNs(now: () => number = clockNs): number {
  let smallest = Infinity;
  const begin = now();
  // A coarse timer needs no 200 trials: its step is the same each time.
  for (let trial = 0; trial < 200 && (trial < 5 || now() - begin < 1e6); trial++) {
    const start = now();
    let end = now();
    for (let spin = 0; end === start && spin < 1e5; spin++) end = now();
    if (end === start) return 0;
    smallest = Math.min(smallest, end - start);
  }
  return smallest;
}

/**
 * The order in which `count` contenders are sampled in round `round`: rotated by one each round, and walked backwards
 * in every other cycle of `count` rounds.
 */
export function roundOrder(count: number, round: number): number[] {
  const order = Array.from({ length: count }, (_, i) => (i + round) % count);
  return Math.floor(round / count) % 2 === 1 ? order.reverse() : order;
}

interface Runner {
  contender: Contender;
  isAsync: boolean;
  batch: number;
  reheat: boolean;
  samplesNs: number[];
}

/**
 * Samples all contenders in interleaved rounds. Contenders that never got a sample (the signal fired, or the deadline
 * passed before the first round ended) are left out of the answer.
 *
 * @throws whatever a contender throws
 */
export async function measure(
  contenders: readonly Contender[],
  options: MeasureOptions = {},
): Promise<Measurement[]> {
  const {
    minSamples = 15,
    maxSamples = 61,
    budgetMs = 500,
    deadlineNs = Infinity,
    signal,
    onProgress,
  } = options;
  const now = options.now ?? clockNs;
  const resolution = timerResolutionNs(now);
  // A coarse timer asks for long samples, but not for samples of more than 50 ms: beyond that the row is flagged.
  const wanted = Math.max(options.sampleNs ?? 1e6, Math.min(5e7, 10 * RESOLUTIONS_PER_SAMPLE * resolution));

  const runners: Runner[] = [];
  for (const contender of contenders) {
    if (signal?.aborted || now() >= deadlineNs) break;
    runners.push(await warmUp(contender, wanted, now));
    await breathe();
  }

  const start = now();
  for (let round = 0; round < maxSamples; round++) {
    if (round >= minSamples && now() - start >= budgetMs * 1e6) break;
    if (signal?.aborted || now() >= deadlineNs) break;
    const order = roundOrder(runners.length, round);
    for (let turn = 0; turn < order.length && !signal?.aborted; turn++) {
      const runner = runners[order[turn]];
      runner.samplesNs.push(await sample(runner, now));
      onProgress?.(Math.min(1, (round + (turn + 1) / order.length) / minSamples));
      await breathe();
    }
  }
  return runners
    .filter((runner) => runner.samplesNs.length > 0)
    .map((runner) => finish(runner, minSamples, resolution));
}

/** Lets signal handlers and timers run: the blocking forms would otherwise hold the event loop to the end. */
function breathe(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** Runs the contender until its speed is settled, and finds the number of calls that fills a sample. */
async function warmUp(contender: Contender, wantedNs: number, now: () => number): Promise<Runner> {
  contender.before?.();
  const start = now();
  const first = contender.run();
  await first;
  const runner: Runner = {
    contender,
    isAsync: first instanceof Promise,
    batch: 1,
    reheat: false,
    samplesNs: [],
  };
  let elapsed = now() - start;
  let perCall = elapsed;
  // The optimising compiler needs a few milliseconds of a JavaScript contender before its speed is final.
  for (let spent = elapsed; spent < WARM_UP_NS || elapsed < wantedNs; spent += elapsed) {
    if (elapsed < wantedNs) {
      // A clock that stands still must not keep us here.
      if (runner.batch >= MAX_BATCH) break;
      runner.batch = Math.min(MAX_BATCH, runner.batch * 2);
    }
    elapsed = await batch(runner, now);
    // The least of them: one interrupted batch would make all samples too short.
    perCall = Math.min(perCall, elapsed / runner.batch);
  }
  runner.reheat = perCall < REHEAT_NS;
  if (perCall > 0) runner.batch = Math.min(MAX_BATCH, Math.ceil(wantedNs / perCall));
  return runner;
}

async function sample(runner: Runner, now: () => number): Promise<number> {
  runner.contender.before?.();
  if (runner.reheat) await runner.contender.run();
  const elapsed = await batch(runner, now);
  return (elapsed / runner.batch) * (runner.contender.scale ?? 1);
}

async function batch(runner: Runner, now: () => number): Promise<number> {
  const { run } = runner.contender;
  const calls = runner.batch;
  if (runner.isAsync) {
    const start = now();
    for (let i = 0; i < calls; i++) await run();
    return now() - start;
  }
  const start = now();
  for (let i = 0; i < calls; i++) run();
  return now() - start;
}

function finish(runner: Runner, minSamples: number, resolution: number): Measurement {
  const { contender, samplesNs, batch: calls } = runner;
  const { median, min, spread } = summarise(samplesNs);
  const flags: Flag[] = [];
  const sampleNs = (median / (contender.scale ?? 1)) * calls;
  if (sampleNs < RESOLUTIONS_PER_SAMPLE * resolution) flags.push('below timer resolution');
  if (samplesNs.length < minSamples) flags.push('few samples');
  if (spread > NOISY_SPREAD) flags.push('noisy');
  if (contender.scale !== undefined && contender.scale !== 1) flags.push('scaled');
  return { name: contender.name, samplesNs, medianNs: median, minNs: min, spread, batch: calls, flags };
}
