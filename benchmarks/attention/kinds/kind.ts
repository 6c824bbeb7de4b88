/** What a kind of attention other than softmax's brings to the question: a list of cases, and contenders of each. */
import { info, setIsa, type Isa } from '../../../lib/index.js';
import { isWanted, type Case, type CaseContender, type QuestionOptions } from '../../harness/question.js';
import { formatCount } from '../../harness/sizes.js';

/** One case before anything is allocated for it: one sequence, one head. */
export interface KindSpec {
  kind: string;
  /** Tokens, all of them queries. */
  length: number;
  threads: number;
}

/** A kind, by its name for `--kind`. */
export interface AttentionKind {
  name: string;
  /** Every name that a contender of the case may have, before anything is allocated. */
  names: (spec: KindSpec) => readonly string[];
  /** The contenders that are wanted, with their arrays. */
  contenders: (
    spec: KindSpec,
    isas: readonly Isa[],
    wanted: (name: string, isa: Isa) => boolean,
  ) => CaseContender[];
}

/** Lengths by default: to where softmax attention is still measured, and on alone. */
const LENGTHS: readonly number[] = [2 ** 10, 2 ** 12, 2 ** 14, 2 ** 16, 2 ** 18];
const QUICK_LENGTHS: readonly number[] = [2 ** 10, 2 ** 14];

/** The heading of a case: `linear attention, 16 Ki tokens, 1 thread`. */
export const kindLabel = ({ kind, length, threads }: KindSpec): string =>
  `${kind} attention, ${formatCount(length)} tokens, ${threads} ${threads === 1 ? 'thread' : 'threads'}`;

/** The cases of some kinds that the options ask for. */
export function kindCases(kinds: readonly AttentionKind[], options: QuestionOptions): Case[] {
  const { isas, filter, threads = [1], sizes, quick } = options;
  const lengths = sizes ?? (quick ? QUICK_LENGTHS : LENGTHS);
  const specs = kinds.flatMap((kind) =>
    threads.flatMap((count) =>
      lengths.map((length) => ({ kind, spec: { kind: kind.name, length, threads: count } })),
    ),
  );
  return specs.flatMap(({ kind, spec }) => {
    const label = kindLabel(spec);
    const wanted = (name: string, isa: Isa): boolean => isWanted(filter, name, label, isa);
    if (!isas.some((isa) => kind.names(spec).some((name) => wanted(name, isa)))) return [];
    return [
      {
        label,
        open: () => {
          const chosen = info().isa;
          const contenders = kind.contenders(spec, isas, wanted);
          return Promise.resolve({ contenders, close: () => void setIsa(chosen) });
        },
      },
    ];
  });
}
