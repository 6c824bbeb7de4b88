/**
 * Attention of one query token: softlane's figures against the read ceiling, and the three forms of a split softmax side by
 * side. "FlashDecoding++" (Hong et al., MLSys 2024) finds that the synchronised form loses 18.8 % of attention to waiting
 * and rescaling, and gains up to 2.02 x by a unified maximum, on an A100. Here threads do not wait for each other within a
 * cache, and the rescaling is skipped unless the maximum grows: no gain is claimed.
 */
import { availableIsas } from '../../lib/index.js';
import type { CaseSpec } from '../attention/cases.js';
import { planOf } from '../attention.js';
import type { Ceilings, ResultRow } from '../harness/results.js';
import { runCases } from '../harness/run.js';
import { formatCount, formatDigits } from '../harness/sizes.js';
import { renderMatrix } from '../harness/table.js';
import type { Claim } from './claim.js';

type Show = (line: string) => void;

const GROUPS = [1, 4, 8] as const;
const LENGTHS = [2 ** 10, 2 ** 13, 2 ** 15, 2 ** 17] as const;
/** Contexts of the comparison of forms. */
const COMPARED = LENGTHS.slice(0, 3);
/** Contexts of which a cache of 8 heads of 128 float32 numbers is larger than any last-level cache in use here. */
const PAST_CACHE = LENGTHS.slice(2);
const FORMS = ['online', 'unified', 'pair'] as const;
/** The default form in every layout; a decoder is free to use the best. */
const LAYOUTS = ['online', 'tiled', 'tokens-by-heads', 'paged'] as const;

const FILTER = /^(online|unified|pair|tiled|tokens-by-heads|paged) /;

/**
 * Measures all of it, about a minute.
 *
 * @param show receives the comparison of forms
 * @param signal ends the measuring; what is missing then counts as not measured
 * @throws Error where an answer is wrong
 */
export async function attentionClaims(show: Show, signal: AbortSignal, ceilings: Ceilings): Promise<Claim[]> {
  const [isa] = availableIsas();
  const shared = { kvHeads: 8, headDim: 128, dtype: 'f32', threads: 1 } as const;
  const specs = LENGTHS.flatMap((length) => GROUPS.map((group): CaseSpec => ({ ...shared, length, group })));
  const { cases, remarks } = await planOf(specs, { isas: [isa], filter: FILTER });
  for (const remark of remarks.filter((each) => !each.startsWith('onnxruntime'))) show(remark);
  const { cases: done } = await runCases(cases, {
    question: 'attention',
    ceilings,
    signal,
    filter: FILTER,
    onCase: ({ label }) => show(`measured ${label}`),
  });
  const failures = done.flatMap((one) => one.failures.map((failure) => `${one.label}: ${failure}`));
  if (failures.length > 0) throw new Error(failures.join('; '));
  const rows = done.flatMap((one) => one.rows.map(({ result }) => result));
  for (const line of verdictLines(rows)) show(line);
  return [...readClaims(rows, ceilings, isa), ...formClaims(rows)];
}

/** The row of a contender; undefined where it was not measured. */
function rowOf(
  rows: readonly ResultRow[],
  contender: string,
  length: number,
  group: number,
): ResultRow | undefined {
  return rows.find(
    (row) => row.contender === contender && row.case.length === length && row.case.group === group,
  );
}

const timeOf = (rows: readonly ResultRow[], contender: string, length: number, group: number): number =>
  rowOf(rows, contender, length, group)?.medianNs ?? NaN;

const measuredOr = (value: number): number | undefined => (Number.isFinite(value) ? value : undefined);

/** Arithmetic may take this share of the time of reading before it counts as what binds. */
const ARITHMETIC = 1.2;

/** Past the caches, against reading keys and values once. */
export function readClaims(rows: readonly ResultRow[], ceilings: Ceilings, isa: string): Claim[] {
  return GROUPS.flatMap((group) =>
    PAST_CACHE.map((length): Claim => {
      const found = LAYOUTS.flatMap((name) => rowOf(rows, name, length, group) ?? []);
      const best = found.reduce<ResultRow | undefined>(
        (least, row) => (least && least.medianNs <= row.medianNs ? least : row),
        undefined,
      );
      const { GBps = NaN, Gflops = NaN, medianNs = NaN } = best ?? {};
      // Past the caches every layout is long enough to lie on large pages.
      const read = (GBps * medianNs) / ceilings.readLargeGBps;
      const arithmetic = (Gflops * medianNs) / ceilings.fmaGflops[isa];
      const text = `attention, group ${group}, ${formatCount(length)} tokens, f32, best layout`;
      const notExpected =
        arithmetic > ARITHMETIC * read
          ? `arithmetic alone takes ${formatDigits(arithmetic / read)} of the time of reading`
          : undefined;
      if (group === 1) {
        return {
          source: 'softlane',
          text: `${text}: share of the read ceiling`,
          stated: '>= 85 %',
          measured: measuredOr((100 * read) / medianNs),
          unit: '%',
          atLeast: 85,
          notExpected,
        };
      }
      return {
        source: 'softlane',
        text: `${text}: time / reading alone`,
        stated: '<= 1.5 x',
        measured: measuredOr(medianNs / read),
        unit: 'x',
        atMost: 1.5,
        notExpected,
      };
    }),
  );
}

/** Geometric mean, over contexts and groups, of the time of one form over that of another. */
function meanRatio(rows: readonly ResultRow[], over: string, under: string): number {
  const logs = COMPARED.flatMap((length) =>
    GROUPS.map((group) => Math.log(timeOf(rows, over, length, group) / timeOf(rows, under, length, group))),
  );
  return Math.exp(logs.reduce((sum, log) => sum + log, 0) / logs.length);
}

/** Largest gain of the unified maximum over the online form, and the smallest. */
function gains(rows: readonly ResultRow[]): number[] {
  return COMPARED.flatMap((length) =>
    GROUPS.map((group) => timeOf(rows, 'online', length, group) / timeOf(rows, 'unified', length, group)),
  );
}

/** The forms against each other. */
export function formClaims(rows: readonly ResultRow[]): Claim[] {
  const largest = Math.max(...gains(rows));
  const share = timeOf(rows, 'online', COMPARED[2], 1);
  const reading = (rowOf(rows, 'online', COMPARED[2], 1)?.ofCeiling ?? NaN) * share;
  return [
    {
      source: 'paper',
      text: 'online / unified maximum, 1 Ki to 32 Ki tokens, groups of 1 to 8, largest',
      stated: 'up to 2.02 x (A100)',
      measured: measuredOr(largest),
      unit: 'x',
      atLeast: 1.1,
      notExpected: `a figure of GPUs; here reading takes ${formatDigits((100 * reading) / share)} % of the online form's time (group 1, 32 Ki)`,
    },
    ...(['unified', 'pair'] as const).map((form): Claim => {
      return {
        source: 'softlane',
        text: `online / ${form}, 1 Ki to 32 Ki tokens, groups of 1 to 8, mean: the default loses nothing`,
        stated: '<= 1.05 x',
        measured: measuredOr(meanRatio(rows, 'online', form)),
        unit: 'x',
        atMost: 1.05,
      };
    }),
  ];
}

/** Within this, either sign, two forms are the same. */
const SAME = 0.05;

/** The table of the forms, and in words what it says about the unified maximum. */
export function verdictLines(rows: readonly ResultRow[]): string[] {
  const cells = GROUPS.flatMap((group) =>
    COMPARED.flatMap((length) =>
      FORMS.map((column) => {
        const line = `group ${group}, ${formatCount(length)}`;
        return { line, column, value: timeOf(rows, column, length, group) / 1e6 };
      }),
    ),
  ).filter(({ value }) => Number.isFinite(value));
  if (cells.length === 0) return [];
  const found = gains(rows).filter(Number.isFinite);
  const table = renderMatrix('milliseconds, heads by tokens, f32, one thread', cells);
  if (found.length === 0) return [table];
  const [least, most] = [Math.min(...found), Math.max(...found)];
  const range = `${formatDigits(least)} to ${formatDigits(most)} x`;
  const pair = formatDigits(meanRatio(rows, 'online', 'pair'));
  const unified =
    most <= 1 + SAME
      ? `the unified maximum gains nothing here (online / unified ${range})`
      : `the unified maximum gains in some cases (online / unified ${range})`;
  return [
    table,
    `verdict: ${unified}; pairs, which need neither maximum nor fallback, take ${pair} x the other way (online / pair, mean)`,
  ];
}
