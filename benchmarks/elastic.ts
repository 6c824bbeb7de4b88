/**
 * The question: how many cells of dynamic programming a second, for which elastic distance, at which length of series,
 * on which instruction set; what gradients cost, and what pruning saves.
 *
 * Contenders are softlane, plain JavaScript, and the packages that npm has for dynamic time warping.
 */
import { info, setIsa, type Isa } from '../lib/index.js';
import { BenchError } from './harness/errors.js';
import {
  isWanted,
  type Case,
  type CaseContender,
  type Plan,
  type Question,
  type QuestionOptions,
} from './harness/question.js';
import { labelOf, listCases, type CaseSpec } from './elastic/cases.js';
import { gradientContenders } from './elastic/gradients.js';
import { matrixContenders } from './elastic/matrices.js';
import { nearestContenders, subsequenceContenders } from './elastic/searches.js';
import { PEERS, plot, summarise } from './elastic/summary.js';
import { loadNpmDtw, type NpmDtw } from './peers/elastic-npm.js';

export const question: Question = {
  name: 'elastic',
  summary:
    'DTW, MSM, TWE, soft-DTW and Soft-MSM: matrices, gradients and search, against plain JavaScript and packages from npm',
  plan,
  summarise,
  plot,
};

/** Names that a contender of a task may have, before anything is allocated. */
const NAMES: Record<CaseSpec['task'], readonly string[]> = {
  pairwise: ['softlane', ...PEERS],
  distance: ['softlane', ...PEERS],
  gradient: ['value', 'gradient'],
  nearest: ['nearest', 'nearest-unpruned', 'pairwise', 'javascript'],
  subsequence: ['softlane', 'javascript'],
};

/**
 * Lists the cases that the options ask for.
 *
 * @throws BenchError for a distribution: series are random walks
 */
async function plan(options: QuestionOptions): Promise<Plan> {
  const { distribution, isas, filter } = options;
  if (distribution !== undefined) throw new BenchError('the question elastic has no --distribution');
  const remarks: string[] = [];
  const npm = await loadNpmDtw(remarks);
  const wanted = listCases(options, info().usableCores).filter((spec) =>
    isas.some((isa) => NAMES[spec.task].some((name) => isWanted(filter, name, labelOf(spec), isa))),
  );
  return { cases: planOf(wanted, isas, npm), remarks };
}

/** The cases of any list; without packages from npm unless they are given. */
export function planOf(
  specs: readonly CaseSpec[],
  isas: readonly Isa[],
  npm: readonly NpmDtw[] = [],
): Case[] {
  return specs.map((spec) => ({ label: labelOf(spec), open: async () => open(spec, isas, npm) }));
}

async function open(spec: CaseSpec, isas: readonly Isa[], npm: readonly NpmDtw[]) {
  const chosen = info().isa;
  return { contenders: contendersOf(spec, isas, npm), close: () => void setIsa(chosen) };
}

function contendersOf(spec: CaseSpec, isas: readonly Isa[], npm: readonly NpmDtw[]): CaseContender[] {
  switch (spec.task) {
    case 'pairwise':
    case 'distance':
      return matrixContenders(spec, isas, npm);
    case 'gradient':
      return gradientContenders(spec, isas);
    case 'nearest':
      return nearestContenders(spec, isas);
    case 'subsequence':
      return subsequenceContenders(spec, isas);
  }
}
