/**
 * Schedules of the learning rate: pure functions from the number of a step to a factor, so that a run that is resumed
 * at step 1000 has the same factors as one that was never interrupted.
 *
 *   optimizer.learningRate = 3e-3 * schedule(step)
 */
import * as check from '../check.js';

/** The factor of step 0, 1, 2, ...; at least 0 for the schedules of this file. */
export type Schedule = (step: number) => number;

function factor(name: string, value: unknown): number {
  const found = check.finiteNumber(name, value);
  if (found < 0) throw check.rangeError(name, 'a finite number >= 0', value);
  return found;
}

/** Share of a phase that is over at a step, in [0, 1]. */
function progress(step: number, steps: number): number {
  return Math.min(check.nonNegativeInteger('step', step) / steps, 1);
}

/**
 * The same factor at every step.
 *
 * @param value at least 0; default 1
 * @throws TypeError (ERR_INVALID_ARG_TYPE), RangeError (ERR_OUT_OF_RANGE)
 */
export function constantSchedule(value = 1): Schedule {
  const kept = factor('value', value);
  return (step) => {
    check.nonNegativeInteger('step', step);
    return kept;
  };
}

/**
 * A straight line from `from` at step 0 to `to` at step `steps`, and `to` from there on.
 *
 * @param steps at least 1
 * @param options `from`, default 1, and `to`, default 0; both at least 0
 * @throws TypeError (ERR_INVALID_ARG_TYPE), RangeError (ERR_OUT_OF_RANGE)
 */
export function linearSchedule(steps: number, options?: { from?: number; to?: number }): Schedule {
  check.positiveInteger('steps', steps);
  const { from = 1, to = 0 } = check.options(options);
  factor('from', from);
  factor('to', to);
  return (step) => {
    const done = progress(step, steps);
    return done === 1 ? to : from + (to - from) * done;
  };
}

/**
 * Half a period of a cosine from `from` at step 0 to `to` at step `steps`, and `to` from there on (Loshchilov and
 * Hutter, "SGDR: stochastic gradient descent with warm restarts", ICLR 2017, equation 5, without a restart).
 *
 * @param steps at least 1
 * @param options `from`, default 1, and `to`, default 0; both at least 0
 * @throws TypeError (ERR_INVALID_ARG_TYPE), RangeError (ERR_OUT_OF_RANGE)
 */
export function cosineSchedule(steps: number, options?: { from?: number; to?: number }): Schedule {
  check.positiveInteger('steps', steps);
  const { from = 1, to = 0 } = check.options(options);
  factor('from', from);
  factor('to', to);
  return (step) => {
    const done = progress(step, steps);
    return done === 1 ? to : to + ((from - to) * (1 + Math.cos(Math.PI * done))) / 2;
  };
}

/**
 * A linear rise over the first steps, to `then`, which starts counting at 0 when the rise is over: the factors are
 * then(0) (1 / steps), then(0) (2 / steps), ..., then(0), then(0), then(1), ...; the first step is not lost to a factor
 * of 0.
 *
 * @param steps number of steps of the rise, at least 0
 * @param then what follows; default a constant 1
 * @throws TypeError (ERR_INVALID_ARG_TYPE), RangeError (ERR_OUT_OF_RANGE)
 */
export function warmUp(steps: number, then: Schedule = constantSchedule()): Schedule {
  check.nonNegativeInteger('steps', steps);
  schedule('then', then);
  return (step) => {
    check.nonNegativeInteger('step', step);
    return step < steps ? (then(0) * (step + 1)) / steps : then(step - steps);
  };
}

/**
 * One schedule after the other, each counting from 0; the last one has no end.
 *
 * @param phases each schedule with its number of steps; the number of the last one may be absent
 * @throws TypeError (ERR_INVALID_ARG_TYPE), RangeError (ERR_OUT_OF_RANGE)
 */
export function inSequence(phases: readonly (readonly [schedule: Schedule, steps?: number])[]): Schedule {
  const given: unknown = phases;
  if (!Array.isArray(given)) throw check.typeError('phases', 'an array of [schedule, steps]', given);
  if (phases.length === 0) throw check.rangeError('phases', 'at least one phase', phases);
  const last = phases.length - 1;
  const list = phases.map(([each, steps], i) => {
    schedule(`phases[${i}][0]`, each);
    return { each, steps: i === last ? Infinity : check.nonNegativeInteger(`phases[${i}][1]`, steps) };
  });
  return (step) => {
    let at = check.nonNegativeInteger('step', step);
    let i = 0;
    while (at >= list[i].steps) at -= list[i++].steps;
    return list[i].each(at);
  };
}

/**
 * The product of schedules at the same step.
 *
 * @throws TypeError (ERR_INVALID_ARG_TYPE)
 */
export function productOf(...schedules: readonly Schedule[]): Schedule {
  schedules.forEach((each, i) => schedule(`schedules[${i}]`, each));
  return (step) => schedules.reduce((value, each) => value * each(step), 1);
}

function schedule(name: string, value: unknown): void {
  if (typeof value !== 'function') throw check.typeError(name, 'a function from a step to a factor', value);
}
