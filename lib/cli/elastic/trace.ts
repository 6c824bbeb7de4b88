/**
 * The objective of an average after each of its iterations. The averages of the library are tasks: what their native
 * calls answer can be seen on the way.
 */
import { weightedSum } from '../../elastic/averaging.js';
import type { AlignmentSums } from '../../elastic/align.js';
import type { SoftBatch } from '../../elastic/soft.js';
import type { Task } from '../../elastic/task.js';

/** A task, and what its calls answer and its reports of progress say. */
function* observed<R>(
  task: Task<R>,
  see: { answer: (answer: unknown) => void; progress: (done: number) => void },
): Task<R> {
  let next = task.next();
  while (next.done !== true) {
    const step = next.value;
    const answer: unknown = yield step;
    if (step.kind === 'call') see.answer(answer);
    else if (step.kind === 'progress') see.progress(step.done);
    next = task.next(answer);
  }
  return next.value;
}

/**
 * An average under a metric: every alignment of the centre with all members is an iteration, the first that of the start.
 *
 * @param count members, more than one, each of weight 1
 * @param objectives takes the sum of the distances to the start, then to the centre after each iteration
 */
export function tracedBarycenter<R>(task: Task<R>, count: number, objectives: number[]): Task<R> {
  const ones = new Float64Array(count).fill(1);
  return observed(task, {
    answer: (answer) => {
      // Other calls are the matrix for the medoid, and alignments with one member.
      const { distances } = answer as Partial<AlignmentSums>;
      if (distances?.length === count) objectives.push(weightedSum(distances, ones));
    },
    progress: () => {},
  });
}

/**
 * An average under a soft loss: L-BFGS may try several points for an iteration, of which none is kept that is worse.
 *
 * @param count members, more than one, each of weight 1
 * @param maxIter iterations that the task is given, of which its progress is a share
 * @param objectives takes the loss of the start, then the least loss found by the end of each iteration
 */
export function tracedSoftBarycenter<R>(
  task: Task<R>,
  count: number,
  maxIter: number,
  objectives: number[],
): Task<R> {
  const ones = new Float64Array(count).fill(1);
  let members = 0;
  let self = 0;
  let constant = 0;
  let least = Infinity;
  return observed(task, {
    answer: (answer) => {
      // Of a divergence: the self terms of the members once, then for each point the losses and its own self term.
      const { values, dX } = answer as Partial<SoftBatch>;
      if (values === undefined) return;
      if (dX === undefined) constant = weightedSum(values, ones) / 2;
      else if (values.length === 1) self = values[0];
      else members = weightedSum(values, ones);
    },
    progress: (done) => {
      least = Math.min(least, members - (count * self) / 2 - constant);
      const iterations = Math.round(done * maxIter);
      if (objectives.length <= iterations) objectives[iterations] = least;
    },
  });
}
