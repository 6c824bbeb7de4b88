/** softlane's contenders: the three forms of a split softmax, and the layouts of a cache. */
import {
  decodeAttention,
  pagedDecodeAttention,
  setIsa,
  type AttentionResult,
  type Isa,
} from '../../lib/index.js';
import { native } from '../../lib/native.js';
import type { CaseContender, Check, Work } from '../harness/question.js';
import type { CaseParameters } from '../harness/results.js';
import { formatCount } from '../harness/sizes.js';
import type { CaseSpec } from './cases.js';
import { ALLOWANCE, checkAttention, referencesOf } from './check.js';
import {
  cacheBytes,
  PAGE_TOKENS,
  queryOf,
  readsFor,
  type Cache,
  type CacheSet,
  type Layout,
} from './inputs.js';

/** A way to call the package. */
interface Form {
  name: string;
  softmax: 'online' | 'unified' | 'pair';
  layout: Layout | 'pages' | 'tiles';
}

/** The forms in the layout that is read in one stream for each head, and the default form in the other layouts. */
const FORMS: readonly Form[] = [
  { name: 'online', softmax: 'online', layout: 'HND' },
  { name: 'unified', softmax: 'unified', layout: 'HND' },
  { name: 'pair', softmax: 'pair', layout: 'HND' },
  { name: 'tiled', softmax: 'online', layout: 'tiles' },
  { name: 'tokens-by-heads', softmax: 'online', layout: 'NHD' },
  { name: 'paged', softmax: 'online', layout: 'pages' },
];

/** What a memory-bound call cannot beat. */
const FLOOR = 'streaming-read';
/** Beside other instruction sets the plain loops are run on at most this many multiply-adds. */
const SCALAR_LARGEST = 2 ** 26;

/** What the contenders of an open case share. */
export interface Bench {
  spec: CaseSpec;
  caches: CacheSet;
  q: Float32Array;
  out: Float32Array;
  isas: readonly Isa[];
  /** Compares `out` with float64 arithmetic; only the first `heads` query heads if given. */
  check: (allowance: number, heads?: number) => Check;
}

/** Arrays of a case; references are computed when first needed. */
export function benchOf(spec: CaseSpec, caches: CacheSet, isas: readonly Isa[]): Bench {
  const q = queryOf(spec);
  const out = new Float32Array(q.length);
  let references: ReturnType<typeof referencesOf> | undefined;
  const check: Bench['check'] = (allowance, heads) => {
    references ??= referencesOf(spec, q, caches.of('HND')[0]);
    return checkAttention(out, references, allowance, heads);
  };
  return { spec, caches, q, out, isas, check };
}

/** The case as result rows name it. */
export function parametersOf(spec: CaseSpec, isa: Isa): CaseParameters {
  const { length, group, kvHeads, headDim, dtype, threads } = spec;
  return { length, group, kvHeads, headDim, dtype, isa, threads };
}

/**
 * Keys and values cross memory once; two products, of which a multiply-add is two operations. Exponentials are left out.
 *
 * @param layout decides which of them lie on large pages; default heads by tokens
 */
export function workOf(spec: CaseSpec, layout: Form['layout'] = 'HND'): Work {
  const { length, group, kvHeads, headDim } = spec;
  const bytes = cacheBytes(spec);
  const rows = kvHeads * group;
  return {
    elements: length * rows,
    unit: 'product',
    bytes,
    flops: 4 * length * rows * headDim,
    memory: readsFor(spec, layout),
  };
}

/** Forms that take part in a case on an instruction set. */
function formsFor({ length, group, kvHeads, headDim }: CaseSpec, isa: Isa, isas: readonly Isa[]) {
  const hopeless = isa === 'scalar' && isas.length > 1 && length * group * kvHeads * headDim > SCALAR_LARGEST;
  return hopeless ? [] : FORMS;
}

/** Every name that a contender of the case may have, before anything is allocated. */
export function namesFor(spec: CaseSpec, isa: Isa, isas: readonly Isa[]): string[] {
  return [...formsFor(spec, isa, isas).map(({ name }) => name), FLOOR];
}

/**
 * The contenders on every instruction set.
 *
 * @param wanted tells from its name and instruction set whether a contender is asked for: caches of the others are not made
 */
export function ownContenders(bench: Bench, wanted: (name: string, isa: Isa) => boolean): CaseContender[] {
  const own = bench.isas.flatMap((isa) =>
    formsFor(bench.spec, isa, bench.isas)
      .filter(({ name }) => wanted(name, isa))
      .map((form) => contender(bench, form, isa)),
  );
  return wanted(FLOOR, bench.isas[0]) ? [...own, floor(bench)] : own;
}

function contender(bench: Bench, { name, softmax, layout }: Form, isa: Isa): CaseContender {
  const { spec, out } = bench;
  const calls = callsOf(bench, softmax, layout);
  let turn = 0;
  const run = (): AttentionResult => calls[(turn = (turn + 1) % calls.length)]();
  return {
    name,
    parameters: parametersOf(spec, isa),
    work: workOf(spec, layout),
    before: () => setIsa(isa),
    run,
    check: () => {
      out.fill(NaN);
      const { out: answer, fallbackRows } = run();
      if (answer !== out) out.set(answer);
      const check = bench.check(ALLOWANCE.own);
      return fallbackRows === 0
        ? check
        : { ...check, detail: `${check.detail}, ${fallbackRows} rows redone` };
    },
  };
}

/** Calls of the copies, with their options made beforehand, so that the loop times the call alone. */
type Calls = (() => AttentionResult)[];

function sharedOptions({ spec, out }: Bench, softmax: Form['softmax']) {
  const { length, group, kvHeads, headDim, dtype, threads } = spec;
  return {
    ...{ batch: 1, queryHeads: kvHeads * group, kvHeads, headDim, lengths: Int32Array.of(length) },
    ...{ kvType: dtype, softmax, threads, out },
  };
}

function callsOf(bench: Bench, softmax: Form['softmax'], layout: Form['layout']): Calls {
  if (layout === 'pages') return pagedCalls(bench, softmax);
  return layout === 'tiles' ? tiledCalls(bench, softmax) : plainCalls(bench, softmax, layout);
}

function plainCalls(bench: Bench, softmax: Form['softmax'], layout: Layout): Calls {
  const { q, caches, spec } = bench;
  return caches.of(layout).map(({ keys, values }) => {
    const options = {
      ...sharedOptions(bench, softmax),
      maxLength: spec.length,
      layout,
      keyScales: keys.scales,
      valueScales: values.scales,
    };
    return () => decodeAttention(q, keys.data, values.data, options);
  });
}

function tiledCalls({ q, caches, spec }: Bench, softmax: Form['softmax']): Calls {
  const options = { queryHeads: spec.kvHeads * spec.group, softmax, threads: spec.threads };
  return caches.tiled().map(
    ({ cache, rows }) =>
      () =>
        cache.attend(0, rows, q, options),
  );
}

function pagedCalls(bench: Bench, softmax: Form['softmax']): Calls {
  return bench.caches.paged().map(({ pages, pageTable }) => {
    const options = {
      ...sharedOptions(bench, softmax),
      pageSize: PAGE_TOKENS,
      pageTable,
      scales: pages.scales,
    };
    return () => pagedDecodeAttention(bench.q, pages.data, options);
  });
}

/** What memory alone takes for the cache, sampled in the same rounds. */
function floor({ spec, caches, isas }: Bench): CaseContender {
  const copies = caches.of('HND');
  const views = copies.map(({ keys, values }) => [keys.data, values.data].map(asFloats));
  let turn = 0;
  const work: Work = { ...workOf(spec), flops: 0 };
  return {
    name: FLOOR,
    peer: true,
    parameters: parametersOf(spec, isas[0]),
    work,
    note: `${formatCount(copies.length)} copies in turn`,
    run: () => views[(turn = (turn + 1) % views.length)].map((view) => native('measureRead')(view)),
    check: () => ({ worst: 0, detail: 'reads only' }),
  };
}

/** The bytes of an array as the float32 array that the loop takes. */
function asFloats({ buffer, byteOffset, byteLength }: Cache['keys']['data']): Float32Array {
  return new Float32Array(buffer, byteOffset, Math.floor(byteLength / 4));
}
