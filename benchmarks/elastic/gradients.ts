/** Contenders for values of soft losses with and without gradients, in batches as training has them. */
import { softLossBatch, type SeriesSet, type SoftBatch } from '../../lib/elastic/index.js';
import { setIsa, type Isa } from '../../lib/index.js';
import type { CaseContender, Check } from '../harness/question.js';
import { checkValues, parametersOf, referencesOf, workOf, type Reference } from './bench.js';
import type { CaseSpec } from './cases.js';
import { walks } from './inputs.js';
import { methodOf, type CaseDtype } from './methods.js';

/** Largest error of a slope, relative to the largest slope: a quotient of differences in float64 has no more digits. */
const SLOPE_ALLOWANCE: Record<CaseDtype, number> = { f32: 1e-3, f64: 1e-5 };
const STEP = 1e-5;

/** `value` and `gradient` on every instruction set. */
export function gradientContenders(spec: CaseSpec, isas: readonly Isa[]): CaseContender[] {
  const { count, length, dtype, threads } = spec;
  const both = walks(dtype, 2 * count, length);
  const half = (from: number): SeriesSet =>
    both.subset(Uint32Array.from({ length: count }, (_, k) => from + k));
  const [x, y] = [half(0), half(count)];
  const pairs = [0, count - 1].map((k): [number, number] => [k, count + k]);
  let known: Reference[] | undefined;
  const references = (): Reference[] => (known ??= referencesOf(spec, both, pairs));
  return isas.flatMap((isa) =>
    [false, true].map((grad): CaseContender => {
      const options = { ...methodOf(spec.metric).options, grad, threads };
      const run = (): SoftBatch => softLossBatch(x, y, options);
      return {
        name: grad ? 'gradient' : 'value',
        parameters: parametersOf(spec, isa),
        work: workOf(spec, { gradient: grad }),
        before: () => setIsa(isa),
        run,
        check: () => {
          const batch = run();
          const check = checkValues(references(), ({ i }) => batch.values[i], spec);
          return batch.dX ? worse(check, slopeCheck(spec, x, y, batch.dX)) : check;
        },
      };
    }),
  );
}

/** Compares a few slopes of the first pair with quotients of differences of plain JavaScript. */
function slopeCheck(
  { metric, length, dtype }: CaseSpec,
  x: SeriesSet,
  y: SeriesSet,
  dX: Float64Array,
): Check {
  const { javascript } = methodOf(metric);
  const [a, b] = [x.series(0), y.series(0)].map((series) => Float64Array.from(series));
  const row = new Float64Array(length + 1);
  const largest = dX.subarray(0, length).reduce((most, slope) => Math.max(most, Math.abs(slope)), 0);
  let worst = 0;
  for (const at of [0, Math.floor(length / 3), length - 1]) {
    const moved = (by: number): number => javascript(a.with(at, a[at] + by), b, row);
    const slope = (moved(STEP) - moved(-STEP)) / (2 * STEP);
    worst = Math.max(worst, Math.abs(dX[at] - slope) / largest);
  }
  return { worst: worst / SLOPE_ALLOWANCE[dtype], detail: `slopes off by ${worst.toExponential(1)}` };
}

function worse(a: Check, b: Check): Check {
  return { worst: Math.max(a.worst, b.worst), detail: `${a.detail}, ${b.detail}` };
}
