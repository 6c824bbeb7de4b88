/** `npm run claims -- FAMILY [--quick]`: prints each claim of the family beside what this machine gives. */
import { messageOf } from '../harness/errors.js';
import { renderClaims, verdictOf, type Claim } from './claim.js';
import { measureElasticClaims } from './elastic.js';
import { measureLlmClaims } from './llm.js';
import { measureScanClaims } from './scan.js';
import { measureSequenceClaims } from './sequence.js';
import { measureSoftmaxClaims } from './softmax.js';
import { measureTrainClaims } from './train.js';

/** Measures the claims of a family; `show` receives lines for the reader while it goes on. */
type Family = (
  show: (line: string) => void,
  signal: AbortSignal,
  options: { quick: boolean },
) => Promise<{ claims: Claim[]; failures: string[] }>;

const FAMILIES: Record<string, Family> = {
  softmax: measureSoftmaxClaims,
  elastic: measureElasticClaims,
  llm: measureLlmClaims,
  scan: measureScanClaims,
  sequence: measureSequenceClaims,
  train: measureTrainClaims,
};

/** Families with a shorter form of their runs. */
const QUICK: readonly string[] = ['sequence'];

/** Runs the command and gives its exit code: 0 where all that is meant to hold does, 1 where not, 2 for a wrong name. */
export async function main(args: readonly string[]): Promise<number> {
  const show = (line: string): void => void process.stdout.write(`${line}\n`);
  const quick = args.includes('--quick');
  const [name, ...rest] = args.filter((each) => each !== '--quick');
  const known = name !== undefined && rest.length === 0 && Object.hasOwn(FAMILIES, name);
  if (!known || (quick && !QUICK.includes(name))) {
    const received = args.length === 0 ? 'nothing' : `"${args.join(' ')}"`;
    process.stderr.write(
      `claims: expected one of ${Object.keys(FAMILIES).join(', ')} (--quick with ${QUICK.join(', ')}), received ${received}\n`,
    );
    return 2;
  }
  const controller = new AbortController();
  process.once('SIGINT', () => controller.abort());
  try {
    const { claims, failures } = await FAMILIES[name](show, controller.signal, { quick });
    show(`\n${renderClaims(claims)}`);
    const missed = claims.filter((claim) => verdictOf(claim) === 'miss').length;
    const held = claims.filter((claim) => verdictOf(claim) === 'pass').length;
    show(
      `\n${held} hold, ${missed} meant to hold do not, ${claims.length - held - missed} not expected or not measured`,
    );
    for (const failure of failures) show(`FAILED ${failure}`);
    if (controller.signal.aborted) return 130;
    return missed + failures.length > 0 ? 1 : 0;
  } catch (error) {
    process.stderr.write(`claims: ${messageOf(error)}\n`);
    return 1;
  }
}

void main(process.argv.slice(2)).then((code) => {
  process.exitCode = code;
});
