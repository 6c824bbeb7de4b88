/** The list of cases: selective scans of several shapes, decode steps, and the scan of Mamba-2. */
import { formatCount } from '../harness/sizes.js';

/** One case before anything is allocated for it. */
export interface CaseSpec {
  task: 'scan' | 'step' | 'ssd';
  batch: number;
  /** Channels; of the scan of Mamba-2 in heads of HEAD_DIM. */
  dim: number;
  state: number;
  /** Steps; 1 for a decode step. */
  length: number;
  threads: number;
}

/** Channels of a head of Mamba-2, and its states. */
export const HEAD_DIM = 64;
const SSD_STATE = 128;
/** States of Mamba, and the channels of its models of 370 million parameters. */
const STATE = 16;
const DIM = 2048;
const LENGTH = 4096;

/** What decides the list. */
export interface CaseChoice {
  /** Default: one, and two where time or channels are split. */
  threads?: readonly number[];
  /** Lengths of scans of 2048 channels. */
  sizes?: readonly number[];
  /** Scans of `rows` channels and `cols` steps. */
  shapes?: readonly { rows: number; cols: number }[];
  quick?: boolean;
}

/** The cases in the order in which they run. */
export function listCases({ threads, sizes, shapes, quick }: CaseChoice): CaseSpec[] {
  const scan = (dim: number, length: number, counts: readonly number[]): CaseSpec[] =>
    counts.map((count) => ({ task: 'scan', batch: 1, dim, state: STATE, length, threads: count }));
  if (sizes ?? shapes) {
    return [
      ...(sizes ?? []).flatMap((length) => scan(DIM, length, threads ?? [1])),
      ...(shapes ?? []).flatMap(({ rows, cols }) => scan(rows, cols, threads ?? [1])),
    ];
  }
  const counts = threads ?? (quick ? [1] : [1, 2]);
  const single = threads ?? [1];
  const rest = { dim: DIM, state: STATE, length: 1 };
  return [
    ...scan(DIM, quick ? 512 : LENGTH, counts),
    // Few channels: time is split.
    ...scan(64, quick ? 4096 : 65_536, counts),
    ...single.flatMap((count) =>
      (quick ? [1] : [1, 64]).map((batch): CaseSpec => ({ task: 'step', batch, ...rest, threads: count })),
    ),
    ...single.map((count): CaseSpec => ({
      task: 'ssd',
      batch: 1,
      dim: DIM,
      state: SSD_STATE,
      length: quick ? 512 : 2048,
      threads: count,
    })),
  ];
}

/** The heading of a case: `scan 2 Ki channels x 16, 4 Ki steps, 2 threads`. */
export function labelOf({ task, batch, dim, state, length, threads }: CaseSpec): string {
  const count = `${threads} ${threads === 1 ? 'thread' : 'threads'}`;
  const rows = batch === 1 ? '' : `${batch} rows of `;
  const steps = task === 'step' ? '' : `${formatCount(length)} steps, `;
  return `${task} ${rows}${formatCount(dim)} channels x ${state}, ${steps}${count}`;
}

/** State updates of a call. */
export const updatesOf = ({ batch, dim, state, length }: CaseSpec): number => batch * dim * state * length;
