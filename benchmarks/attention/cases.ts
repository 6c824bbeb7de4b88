/** The list of cases: a query token against a cache of some length, for the group sizes and cache types of language models. */
import { formatCount } from '../harness/sizes.js';

/** Storage of keys and values, in the order of tables. */
export const CACHE_TYPES = ['f32', 'bf16', 'f16', 'int8'] as const;
export type CacheType = (typeof CACHE_TYPES)[number];

/** One case before anything is allocated for it: one sequence, one query token. */
export interface CaseSpec {
  /** Tokens in the cache. */
  length: number;
  /** Query heads that share a head of keys and values. */
  group: number;
  kvHeads: number;
  headDim: number;
  dtype: CacheType;
  threads: number;
}

const LENGTHS: readonly number[] = [2 ** 10, 2 ** 13, 2 ** 15, 2 ** 17];
const ALL_LENGTHS: readonly number[] = Array.from({ length: 8 }, (_, i) => 2 ** (10 + i));
const QUICK_LENGTHS: readonly number[] = [2 ** 10, 2 ** 13, 2 ** 15];
/** Multi-head attention, and groups as Llama 3 and Qwen 2 have them. */
const GROUPS: readonly number[] = [1, 4, 8];
const KV_HEADS = 8;
const HEAD_DIM = 128;

/** What decides the list. */
export interface CaseChoice {
  /** Default one thread. */
  threads?: readonly number[];
  /** Lengths of the cache. */
  sizes?: readonly number[];
  /** With a filter the list is of every length and cache type: the filter says which. */
  filter?: RegExp;
  quick?: boolean;
}

/** The cases in the order in which they run: by type, then length, then group, so that groups share a cache. */
export function listCases({ threads = [1], sizes, filter, quick }: CaseChoice): CaseSpec[] {
  const lengths = sizes ?? (filter ? ALL_LENGTHS : quick ? QUICK_LENGTHS : LENGTHS);
  const types = filter ? CACHE_TYPES : quick ? (['f32'] as const) : (['f32', 'bf16'] as const);
  return threads.flatMap((count) =>
    types.flatMap((dtype) =>
      lengths.flatMap((length) =>
        GROUPS.map((group) => {
          return { length, group, kvHeads: KV_HEADS, headDim: HEAD_DIM, dtype, threads: count };
        }),
      ),
    ),
  );
}

/** The heading of a case: `attention group 4, 32 Ki tokens, 8 x 128, bf16, 1 thread`. */
export function labelOf({ length, group, kvHeads, headDim, dtype, threads }: CaseSpec): string {
  const count = `${threads} ${threads === 1 ? 'thread' : 'threads'}`;
  return `attention group ${group}, ${formatCount(length)} tokens, ${kvHeads} x ${headDim}, ${dtype}, ${count}`;
}
