/**
 * A whole decoder: steps of random models against the read ceiling and against their own batch of one, and how often the
 * unified maximum of "FlashDecoding++" (Hong et al., MLSys 2024) has to fall back once it has been calibrated.
 */
import { join } from 'node:path';
import { availableIsas } from '../../lib/index.js';
import { LlamaModel } from '../../lib/llm/index.js';
import { BATCHES, type CaseSpec } from '../decode/cases.js';
import { sizeOf, type ModelName } from '../decode/models.js';
import { planOf } from '../decode.js';
import type { Ceilings, ResultRow } from '../harness/results.js';
import { runCases } from '../harness/run.js';
import { formatDigits } from '../harness/sizes.js';
import type { Claim } from './claim.js';

type Show = (line: string) => void;

/** One of 100 to 300 million parameters, and the one whose share of the ceiling is stated. */
const MODELS: readonly ModelName[] = ['smollm2-135m', 'llama-3.2-1b'];
const LARGE: ModelName = 'llama-3.2-1b';

/**
 * Measures all of it, about two minutes and four gigabytes.
 *
 * @param show receives tokens per second and what the ceilings would allow
 * @param signal ends the measuring; what is missing then counts as not measured
 * @throws Error where an answer is wrong
 */
export async function decodeClaims(show: Show, signal: AbortSignal, ceilings: Ceilings): Promise<Claim[]> {
  const [isa] = availableIsas();
  const specs = MODELS.flatMap((model) =>
    BATCHES.map((batch): CaseSpec => ({ model, batch, tokens: 8, dtype: 'bf16', threads: 1 })),
  );
  const { cases, remarks } = await planOf(specs, { isas: [isa], filter: /^engine / });
  for (const remark of remarks) show(remark);
  const { cases: done } = await runCases(cases, {
    question: 'decode',
    ceilings,
    signal,
    filter: /^engine /,
    onCase: ({ label }) => show(`measured ${label}`),
  });
  const failures = done.flatMap((one) => one.failures.map((failure) => `${one.label}: ${failure}`));
  if (failures.length > 0) throw new Error(failures.join('; '));
  const rows = done.flatMap((one) => one.rows.map(({ result }) => result));
  for (const line of rateLines(rows)) show(line);
  return stepClaims(rows);
}

/** The engine's row of a batch; undefined where it was not measured. */
function rowOf(rows: readonly ResultRow[], model: ModelName, batch: number): ResultRow | undefined {
  return rows.find(
    (row) => row.contender === 'engine' && row.case.model === model && row.case.batch === batch,
  );
}

const measuredOr = (value: number): number | undefined => (Number.isFinite(value) ? value : undefined);
const millions = (model: ModelName): string => `${Math.round(sizeOf(model) / 1e6)} M parameters`;

/** Tokens per second beside what the ceilings allow. */
export function rateLines(rows: readonly ResultRow[]): string[] {
  return MODELS.flatMap((model) => {
    const parts = BATCHES.flatMap((batch) => {
      const { tokensPerSecond, ofCeiling } = rowOf(rows, model, batch) ?? {};
      if (tokensPerSecond === undefined || ofCeiling === undefined) return [];
      const limit = formatDigits(tokensPerSecond / ofCeiling);
      return [`batch ${batch} ${formatDigits(tokensPerSecond)} (ceiling ${limit})`];
    });
    return parts.length > 0
      ? [`tokens per second, ${model} (${millions(model)}), bf16, one thread: ${parts.join(', ')}`]
      : [];
  });
}

/** Steps against the ceiling, and four texts against one. */
export function stepClaims(rows: readonly ResultRow[]): Claim[] {
  const single = rowOf(rows, LARGE, 1);
  return [
    {
      source: 'softlane',
      text: `decode step of ${LARGE} (${millions(LARGE)}), bf16, batch 1: share of the read ceiling`,
      stated: '>= 80 %',
      measured: measuredOr(100 * (single?.ofCeiling ?? NaN)),
      unit: '%',
      atLeast: 80,
    },
    ...MODELS.map((model): Claim => {
      const [one, four] = [1, 4].map((batch) => rowOf(rows, model, batch));
      const rate = (row: ResultRow | undefined): number => row?.tokensPerSecond ?? NaN;
      const limit = (row: ResultRow | undefined): number => rate(row) / (row?.ofCeiling ?? NaN);
      const allowed = limit(four) / limit(one);
      return {
        source: 'softlane',
        text: `tokens per second of ${model} (${millions(model)}), bf16: batch 4 / batch 1`,
        stated: '>= 3 x',
        measured: measuredOr(rate(four) / rate(one)),
        unit: 'x',
        atLeast: 3,
        notExpected:
          allowed < 3 ? `the ceilings of this machine allow ${formatDigits(allowed)} x` : undefined,
      };
    }),
  ];
}

/** What phi is calibrated on, and what is then read: token ids below 256 in both models. */
const CALIBRATED = 'In the beginning God created the heaven and the earth.';
const READ = 'And God said, Let there be light: and there was light.';
const WRITTEN = 32;

/** A checkpoint of the repository; `npm run` starts in its folder. */
const TINY = join('test', 'fixtures', 'flash-decoding-plus-plus', 'tiny-llama');

/**
 * How often the unified maximum falls back after calibration, in two trained or made-up models.
 *
 * @param show receives the counts
 * @param signal ends the measuring; what is missing then counts as not measured
 */
export async function fallbackClaims(show: Show, signal: AbortSignal): Promise<Claim[]> {
  const models: [string, () => Promise<LlamaModel>][] = [
    ['tiny-llama', () => LlamaModel.load(TINY, { file: 'model-f32.safetensors' })],
    ['llama-kjv', () => LlamaModel.embedded()],
  ];
  const claims: Claim[] = [];
  for (const [name, load] of models) {
    let measured: number | undefined;
    if (!signal.aborted) {
      const model = await load();
      const { fallback, rows } = await fallbackRate(model);
      measured = (100 * fallback) / rows;
      show(`${name}: ${fallback} of ${rows} rows of attention left the range of the calibrated maximum`);
      model.dispose();
    }
    claims.push({
      source: 'softlane',
      text: `${name}, unified maximum calibrated by one sentence: rows of attention that fall back`,
      stated: '0 % (paper: 0.45 %)',
      measured,
      unit: '%',
      atMost: 0,
    });
  }
  return claims;
}

/** Rows of attention of a text that a session reads and goes on with, and how many of them fell back. */
export async function fallbackRate(model: LlamaModel): Promise<{ fallback: number; rows: number }> {
  const { vocab, layers, queryHeads } = model.shape;
  const tokens = (text: string): number[] => [...Buffer.from(text)].map((byte) => byte % vocab);
  const phi = await model.calibratePhi([tokens(CALIBRATED)]);
  const session = model.createSession({ softmax: 'unified', phi });
  const text = session.generate(tokens(READ), { maxTokens: WRITTEN, temperature: 0, stopTokens: [] });
  while (!(await text.next()).done);
  const { rows, fallbackRows } = session.stats;
  session.dispose();
  return { fallback: fallbackRows, rows: rows * layers * queryHeads };
}
