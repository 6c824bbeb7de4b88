/** What a benchmark question is: a list of cases, each with contenders that are checked before they are timed. */
import type { Isa } from '../../lib/index.js';
import type { Contender, Measurement } from './measure.js';
import type { PlotDesign } from './plot.js';
import type { CaseParameters, Ceilings, ResultRow } from './results.js';

/** What the user asked for, as the command line hands it to a question. */
export interface QuestionOptions {
  /** Instruction sets, best first; not empty, all of them available. */
  isas: readonly Isa[];
  /** Thread counts, not empty; undefined asks for the question's own choice. */
  threads?: readonly number[];
  /** Sizes of the sweep: elements, or the length of series; undefined asks for the question's own list. */
  sizes?: readonly number[];
  /**
   * Matrices beside the sweep: `rows` rows of `cols` elements, or `rows` series of length `cols`; undefined asks for the
   * question's own list, or none where `sizes` is given.
   */
  shapes?: readonly { rows: number; cols: number }[];
  /** Name of the distribution of the inputs; undefined asks for the question's own choice. */
  distribution?: string;
  /** Kinds of attention to measure in place of softmax attention; only the question attention has any. */
  kinds?: readonly string[];
  /** Keeps the contenders for which it matches `contender case-label isa`. */
  filter?: RegExp;
  /** A short run: fewer sizes, the costly cases left out. */
  quick?: boolean;
}

/** The work of one call, counted by a model, not measured. */
export interface Work {
  /** Elements of input, cells of the tables of a dynamic programme, or tokens: what times and rates are told in. */
  elements: number;
  /** What `elements` counts; default `element`. `product`: outputs of a product, of which no rate is told. */
  unit?: 'element' | 'cell' | 'token' | 'product';
  /** Bytes read plus bytes written by the algorithm; 0 where they are not counted. */
  bytes: number;
  /** Floating-point operations, a fused multiply-add counting as two; 0 where they are not counted. */
  flops: number;
  /**
   * Where the arrays do not fit in the caches: bytes that have to be read from memory without being written in the same
   * pass, those of ordinary arrays (`readBytes`) and those on large pages (`largeBytes`, default 0) apart, and bytes that
   * are read and written (both counted) in one pass. Undefined in cache.
   */
  memory?: { readBytes: number; largeBytes?: number; copyBytes: number };
}

/** How well an answer agrees with the reference. */
export interface Check {
  /** Largest error found, in units of what the contender is allowed: more than 1 is wrong. */
  worst: number;
  /** The finding in words, for example `relative error 3.1e-7`. */
  detail: string;
}

export interface CaseContender extends Contender {
  parameters: CaseParameters;
  work: Work;
  /** A remark for the table, for example what `auto` chose. */
  note?: string;
  /** Another package, or plain JavaScript, which chooses its instructions itself. */
  peer?: boolean;
  /** Computes the answer once and compares it with the reference. */
  check: () => Promise<Check> | Check;
}

/** A case with its arrays allocated and its contenders ready. */
export interface OpenCase {
  contenders: CaseContender[];
  /** Releases what the garbage collector would not. */
  close?: () => Promise<void> | void;
}

export interface Case {
  /** Shown as the heading, for example `softmax [1, 64 Ki] f32 uniform-10, 1 thread`. */
  label: string;
  open: () => Promise<OpenCase>;
}

export interface Plan {
  cases: Case[];
  /** What is left out and why, one line each: a peer that is not installed, a size that memory does not hold. */
  remarks: string[];
}

export interface Question {
  name: string;
  /** One line for the list of questions. */
  summary: string;
  plan: (options: QuestionOptions) => Promise<Plan>;
  /** Tables over all rows of a run, shown at its end. */
  summarise: (rows: readonly ResultRow[]) => string[];
  /** What `--plot` draws. */
  plot: PlotDesign;
}

/** Whether the user's filter keeps a contender; it sees `contender case-label isa`. */
export function isWanted(filter: RegExp | undefined, contender: string, label: string, isa: string): boolean {
  return filter === undefined || filter.test(`${contender} ${label} ${isa}`);
}

/** A ceiling: memory in ordinary pages, memory in large ones, or the rate of fused multiply-adds. */
export type Binding = 'memory' | 'large pages' | 'fma';

/** A row of results with what the table shows beside it. */
export interface TimedRow {
  result: ResultRow;
  measurement: Measurement;
  work: Work;
  /** Which ceiling bound `ofCeiling`. */
  binding: Binding;
  note?: string;
  peer?: boolean;
}

/**
 * The time that the ceilings allow for `work`, and which of them it is that binds. Memory allows the bytes that are only
 * read at the rate of a streaming read of their kind of pages plus those of read-and-write passes at the rate of an
 * ordinary copy; arithmetic allows the operations at the fused multiply-add rate. The two overlap, so the longer one is the
 * floor; of memory that kind is named which takes longer. With several threads each is divided by their number, although
 * cores share the memory: the share is then a cautious one.
 */
export function floorOf(
  work: Work,
  ceilings: Ceilings,
  isa: string,
  threads: number,
): { ns: number; binding: Binding } {
  const rate = ceilings.fmaGflops[isa] ?? Math.max(...Object.values(ceilings.fmaGflops));
  const fma = work.flops / rate / threads;
  if (!work.memory) return { ns: fma, binding: 'fma' };
  const { readBytes, largeBytes = 0, copyBytes } = work.memory;
  const ordinary = (readBytes / ceilings.readGBps + copyBytes / ceilings.copyGBps) / threads;
  const large = largeBytes / ceilings.readLargeGBps / threads;
  if (ordinary + large < fma) return { ns: fma, binding: 'fma' };
  return { ns: ordinary + large, binding: large > ordinary ? 'large pages' : 'memory' };
}
