/**
 * The question: how fast is a selective scan, forward, backward and one step at a time; what do its exponentials cost, how
 * near is it to the same loop without any, and what do products of matrices gain for Mamba-2?
 *
 * Contenders are softlane's forms, a native loop without exponentials, and plain JavaScript.
 */
import { info, setIsa, type Isa } from '../lib/index.js';
import { BenchError } from './harness/errors.js';
import {
  isWanted,
  type CaseContender,
  type OpenCase,
  type Plan,
  type Question,
  type QuestionOptions,
} from './harness/question.js';
import { labelOf, listCases, type CaseSpec } from './scan/cases.js';
import { scanContenders, scanNames } from './scan/scans.js';
import { ssdContenders, ssdNames } from './scan/ssd.js';
import { stepContenders, stepNames } from './scan/steps.js';
import { plot, summarise } from './scan/summary.js';

export const question: Question = {
  name: 'scan',
  summary:
    'selective scans (Mamba), gradients, decode steps and Mamba-2, against the loop without exponentials',
  plan,
  summarise,
  plot,
};

/** How each task makes its contenders, and their names. */
const TASKS: Record<
  CaseSpec['task'],
  {
    names: (spec: CaseSpec) => string[];
    make: (
      spec: CaseSpec,
      isas: readonly Isa[],
      wanted: (name: string, isa: Isa) => boolean,
    ) => CaseContender[];
  }
> = {
  scan: { names: scanNames, make: scanContenders },
  step: { names: stepNames, make: stepContenders },
  ssd: { names: ssdNames, make: ssdContenders },
};

/**
 * Lists the cases that the options ask for.
 *
 * @throws BenchError for a distribution: inputs are as Mamba begins
 */
async function plan(options: QuestionOptions): Promise<Plan> {
  if (options.distribution !== undefined) throw new BenchError('the question scan has no --distribution');
  return planOf(listCases(options), options);
}

/** The plan of any list of cases; those that the filter empties are left out. */
export async function planOf(specs: readonly CaseSpec[], { isas, filter }: QuestionOptions): Promise<Plan> {
  const kept = specs.filter((spec) =>
    isas.some((isa) =>
      TASKS[spec.task].names(spec).some((name) => isWanted(filter, name, labelOf(spec), isa)),
    ),
  );
  const open = (spec: CaseSpec): OpenCase => {
    const chosen = info().isa;
    const wanted = (name: string, isa: Isa): boolean => isWanted(filter, name, labelOf(spec), isa);
    const contenders = TASKS[spec.task].make(spec, isas, wanted);
    return { contenders, close: () => void setIsa(chosen) };
  };
  return { cases: kept.map((spec) => ({ label: labelOf(spec), open: async () => open(spec) })), remarks: [] };
}
