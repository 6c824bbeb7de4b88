/** softlane's contenders: packed weights in four types, each kernel by itself, without prefetch, rows as stored. */
import { explain, gemm, setIsa, type Isa } from '../../lib/index.js';
import type { GemmKernel } from '../../lib/kernels/dataflow.js';
import { native } from '../../lib/native.js';
import type { CaseContender, Check, Work } from '../harness/question.js';
import { readsOf } from '../harness/pages.js';
import type { CaseParameters } from '../harness/results.js';
import { formatCount } from '../harness/sizes.js';
import type { CaseSpec } from './cases.js';
import { ALLOWANCE, checkedColumns, checkProduct, referencesOf } from './check.js';
import { BYTES, bytesOf, TYPES, type WeightSet, type WeightType } from './weights.js';

/** A way to call the package. */
interface Form {
  /** First word of the contender's name; the type of the weights follows. */
  name: string;
  types: readonly WeightType[];
  packed: boolean;
  options: { kernel?: GemmKernel; prefetch?: boolean };
  /** Not measured beyond this many rows of activations: the form is meant for few. */
  mostRows?: number;
}

/** Beyond this many rows a matrix-vector product repeated is known to lose. */
const GEMV_ROWS = 8;

const FORMS: readonly Form[] = [
  { name: 'packed', types: TYPES, packed: true, options: {} },
  { name: 'gemv', types: ['f32'], packed: true, options: { kernel: 'gemv' }, mostRows: GEMV_ROWS },
  { name: 'flat', types: ['f32'], packed: true, options: { kernel: 'flat' } },
  { name: 'blocked', types: ['f32'], packed: true, options: { kernel: 'blocked' } },
  { name: 'no-prefetch', types: ['f32', 'bf16'], packed: true, options: { prefetch: false } },
  { name: 'unpacked', types: ['f32', 'bf16'], packed: false, options: {} },
];

/** What a memory-bound call cannot beat: a streaming read of the packed float32 weights. */
const FLOOR = 'streaming-read';
/** Beside other instruction sets the plain loops are run on at most this many multiply-adds. */
const SCALAR_LARGEST = 2 ** 25;

/** What the contenders of an open case share. */
export interface Bench {
  spec: CaseSpec;
  weights: WeightSet;
  /** [m, k] */
  a: Float32Array;
  /** [m, n] */
  out: Float32Array;
  isas: readonly Isa[];
  /** Compares `out` with float64 arithmetic on weights of that type; only the first `columns` columns if given. */
  check: (type: WeightType, allowance: number, columns?: number) => Check;
}

/** Shares references between the contenders of a case: those of a type are computed when first needed. */
export function checker(
  spec: CaseSpec,
  a: Float32Array,
  weights: WeightSet,
  out: Float32Array,
): Bench['check'] {
  const known = new Map<string, ReturnType<typeof referencesOf>>();
  return (type, allowance, columns = spec.n) => {
    const key = `${type} ${columns}`;
    const references = known.get(key) ?? referencesOf(spec, a, weights, type, checkedColumns(columns));
    known.set(key, references);
    return checkProduct(out, references, allowance);
  };
}

/** The case as result rows name it. */
export function parametersOf({ m, n, k, threads }: CaseSpec, dtype: WeightType, isa: Isa): CaseParameters {
  return { m, n, k, dtype, isa, threads };
}

/**
 * Weights cross memory once; a multiply-add is two operations.
 *
 * @param pages where the weights lie: default large pages from 4 MiB on, as all copies of softlane's contenders do
 */
export function workOf(spec: CaseSpec, type: WeightType, pages: 'large' | 'ordinary' = 'large'): Work {
  const { m, n, k } = spec;
  const bytes = bytesOf(spec, type);
  const elements = n * k * BYTES[type];
  return {
    elements: m * n,
    unit: 'product',
    bytes,
    flops: 2 * m * n * k,
    memory: pages === 'large' ? readsOf([elements, bytes - elements]) : { readBytes: bytes, copyBytes: 0 },
  };
}

/** Forms that take part in a case on an instruction set. */
function formsFor({ m, n, k }: CaseSpec, isa: Isa, isas: readonly Isa[]): readonly Form[] {
  if (isa === 'scalar' && isas.length > 1 && m * n * k > SCALAR_LARGEST) return [];
  return FORMS.filter(({ mostRows = Infinity }) => m <= mostRows);
}

const nameOf = ({ name }: Form, type: WeightType): string => `${name} ${type}`;

/** Every name that a contender of the case may have, before anything is allocated. */
export function namesFor(spec: CaseSpec, isa: Isa, isas: readonly Isa[]): string[] {
  return [
    ...formsFor(spec, isa, isas).flatMap((form) => form.types.map((type) => nameOf(form, type))),
    FLOOR,
  ];
}

/**
 * The contenders on every instruction set.
 *
 * @param wanted tells from its name and instruction set whether a contender is asked for: weights of the others are not made
 */
export function ownContenders(bench: Bench, wanted: (name: string, isa: Isa) => boolean): CaseContender[] {
  const own = bench.isas.flatMap((isa) =>
    formsFor(bench.spec, isa, bench.isas).flatMap((form) =>
      form.types
        .filter((type) => wanted(nameOf(form, type), isa))
        .map((type) => contender(bench, form, type, isa)),
    ),
  );
  return wanted(FLOOR, bench.isas[0]) ? [...own, floor(bench)] : own;
}

function contender(bench: Bench, form: Form, type: WeightType, isa: Isa): CaseContender {
  const { spec, weights, a, out } = bench;
  const { m, n, k, threads } = spec;
  const { packed } = form;
  const shared = { m, n, k, threads, out, ...form.options };
  // Options are made beforehand, so that the loop times the call alone.
  const calls = packed
    ? weights.packed(type).map((w) => () => gemm(a, w, shared))
    : weights.copies(type).map(({ w, scales }) => {
        const options = { ...shared, type, scales };
        return () => gemm(a, w, options);
      });
  let turn = 0;
  const run = () => calls[(turn = (turn + 1) % calls.length)]();
  const { kernel } = explain('gemm', { m, n, k, type, packed, isa, threads });
  return {
    name: nameOf(form, type),
    parameters: parametersOf(spec, type, isa),
    work: workOf(spec, type),
    note: form.options.kernel === undefined && form.options.prefetch !== false ? kernel : undefined,
    before: () => setIsa(isa),
    run,
    check: () => {
      out.fill(NaN);
      run();
      return bench.check(type, ALLOWANCE.own);
    },
  };
}

/** What memory alone takes for the float32 weights, sampled in the same rounds. */
function floor({ spec, weights, isas }: Bench): CaseContender {
  const copies = weights.packed('f32').map(({ data }) => data);
  let turn = 0;
  const work: Work = { ...workOf(spec, 'f32'), flops: 0 };
  return {
    name: FLOOR,
    peer: true,
    parameters: parametersOf(spec, 'f32', isas[0]),
    work,
    note: `${formatCount(copies.length)} copies in turn`,
    run: () => native('measureRead')(copies[(turn = (turn + 1) % copies.length)]),
    check: () => ({ worst: 0, detail: 'reads only' }),
  };
}
