/** The list of benchmark questions. A new question is a file beside this one and a line below. */
import { BenchError } from './harness/errors.js';
import type { Question } from './harness/question.js';
import { question as attention } from './attention.js';
import { question as decode } from './decode.js';
import { question as elastic } from './elastic.js';
import { question as gemm } from './gemm.js';
import { question as scan } from './scan.js';
import { question as softmax } from './softmax.js';
import { question as train } from './train.js';

export const QUESTIONS: readonly Question[] = [softmax, elastic, gemm, attention, decode, scan, train];

/** The list for people: a line per question. */
export function questionLines(): string[] {
  const width = Math.max(...QUESTIONS.map(({ name }) => name.length));
  return QUESTIONS.map(({ name, summary }) => `  ${name.padEnd(width)}  ${summary}`);
}

/**
 * The question of that name.
 *
 * @throws BenchError that lists the questions
 */
export function findQuestion(name: string): Question {
  const found = QUESTIONS.find((question) => question.name === name);
  if (!found) {
    throw new BenchError(
      `unknown question "${name}"; there are: ${QUESTIONS.map((one) => one.name).join(', ')}`,
    );
  }
  return found;
}
