/**
 * A line search for the strong Wolfe conditions: the algorithm of Moré and Thuente, "Line search algorithms with
 * guaranteed sufficient decrease" (ACM TOMS 20, 1994), the one that L-BFGS-B uses.
 *
 * On phi(t) = f(x + t d) with phi'(0) < 0 it looks for a step t with
 *
 *   sufficient decrease   phi(t) <= phi(0) + c1 t phi'(0)
 *   curvature             |phi'(t)| <= c2 |phi'(0)|
 *
 * It is a generator: it yields the step to try and is sent what was found there, so that one text serves objectives
 * that answer at once and objectives that answer with a promise.
 */
import * as check from '../check.js';

/** phi and its derivative at a step. */
export interface Probe {
  /** phi(t). */
  value: number;
  /** phi'(t), the gradient along the direction. */
  slope: number;
}

/** Options of a line search. */
export interface LineSearchOptions {
  /** Sufficient decrease, in (0, c2). Default 1e-3. */
  c1?: number;
  /** Curvature, in (c1, 1). Default 0.9. */
  c2?: number;
  /** The search ends where the bracket is shorter than this share of its upper end, in (0, 1). Default 0.1. */
  intervalTolerance?: number;
  /** Largest step, finite, > 0. Default 1e10. */
  maxStep?: number;
  /** Largest number of evaluations, at least 1. Default 20. */
  maxEvaluations?: number;
}

/** How a line search ended. */
export interface LineSearchResult extends Probe {
  /** The step, 0 where no better one was found. `value` and `slope` are those of this step. */
  step: number;
  /** Evaluations made. */
  evaluations: number;
  /**
   * 'wolfe': both conditions hold. 'interval': the bracket or the digits ran out. 'maxStep': the longest step decreases
   * enough and still points downhill. 'maxEvaluations': none left. In all but the first, `step` is the best one seen.
   */
  reason: 'wolfe' | 'interval' | 'maxStep' | 'maxEvaluations';
}

/** Checks the options and fills in the defaults. */
export function lineSearchOptions(given?: LineSearchOptions): Required<LineSearchOptions> {
  const o = check.options(given);
  const c1 = o.c1 === undefined ? 1e-3 : check.positiveNumber('c1', o.c1);
  const c2 = o.c2 === undefined ? 0.9 : check.positiveNumber('c2', o.c2);
  if (c2 >= 1) throw check.rangeError('c2', 'in (0, 1)', c2);
  if (c1 >= c2) throw check.rangeError('c1', `in (0, c2 = ${c2})`, c1);
  const intervalTolerance =
    o.intervalTolerance === undefined ? 0.1 : check.positiveNumber('intervalTolerance', o.intervalTolerance);
  if (intervalTolerance >= 1) throw check.rangeError('intervalTolerance', 'in (0, 1)', intervalTolerance);
  const maxStep = o.maxStep === undefined ? 1e10 : check.positiveNumber('maxStep', o.maxStep);
  const maxEvaluations =
    o.maxEvaluations === undefined ? 20 : check.positiveInteger('maxEvaluations', o.maxEvaluations);
  return { c1, c2, intervalTolerance, maxStep, maxEvaluations };
}

/** A step with what was found there. */
interface Point extends Probe {
  step: number;
}

/** Two points that hold a minimiser between them once `isBracket`; until then `best` alone means something. */
interface Interval {
  best: Point;
  other: Point;
  isBracket: boolean;
}

/** Before a minimiser is bracketed, the next step lies between these multiples of the last stride. */
const LEAST_GROWTH = 1.1;
const MOST_GROWTH = 4;
/** A bracket that shrinks less than this in two steps is halved. */
const LEAST_SHRINKAGE = 0.66;

/**
 * The search as a generator: yields steps, is sent probes, returns the result. A probe that is not finite counts as
 * beyond the domain of phi: the search goes back towards the best point and does not pass that step again.
 *
 * @param start phi(0) and phi'(0) < 0, finite
 * @param firstStep the first step to try, > 0
 */
export function* searchSteps(
  start: Probe,
  firstStep: number,
  o: Required<LineSearchOptions>,
): Generator<number, LineSearchResult, Probe> {
  const leastSlope = o.c1 * start.slope;
  const origin: Point = { step: 0, ...start };
  let interval: Interval = { best: origin, other: origin, isBracket: false };
  // What has been seen with the lowest value, whatever the conditions say of it.
  let lowest: Point = origin;
  let step = Math.min(firstStep, o.maxStep);
  let largest = o.maxStep;
  let lower = 0;
  let upper = step + MOST_GROWTH * step;
  let width = largest;
  let widthBefore = 2 * width;
  // In stage 1 the steps minimise phi(t) - phi(0) - c1 t phi'(0), until a step has sufficient decrease and slope >= 0.
  let isFirstStage = true;

  for (let evaluations = 1; ; evaluations++) {
    const probe = yield step;
    const end = (point: Point, reason: LineSearchResult['reason']): LineSearchResult => ({
      ...point,
      evaluations,
      reason,
    });
    if (!Number.isFinite(probe.value) || !Number.isFinite(probe.slope)) {
      if (evaluations >= o.maxEvaluations) return end(lowest, 'maxEvaluations');
      const from = interval.best.step;
      if (step > from) largest = upper = step;
      const retreat = from + (step - from) / 2;
      if (retreat === step || retreat === from) return end(lowest, 'interval');
      step = retreat;
      continue;
    }

    const point: Point = { step, value: probe.value, slope: probe.slope };
    if (point.value < lowest.value) lowest = point;
    const enough = start.value + step * leastSlope;
    const isEnough = point.value <= enough;
    if (isEnough && Math.abs(point.slope) <= -o.c2 * start.slope) return end(point, 'wolfe');
    if (step === o.maxStep && isEnough && point.slope <= leastSlope) return end(point, 'maxStep');
    if (evaluations >= o.maxEvaluations) return end(lowest, 'maxEvaluations');

    if (isFirstStage && isEnough && point.slope >= 0) isFirstStage = false;
    if (isFirstStage && point.value <= interval.best.value && !isEnough) {
      const flat = narrow(tilted(interval, leastSlope), tiltedPoint(point, leastSlope), lower, upper);
      step = flat.step;
      interval = tilted(flat.interval, -leastSlope);
    } else {
      ({ step, interval } = narrow(interval, point, lower, upper));
    }

    const { best, other, isBracket } = interval;
    if (isBracket) {
      const now = Math.abs(other.step - best.step);
      if (now >= LEAST_SHRINKAGE * widthBefore) step = best.step + (other.step - best.step) / 2;
      widthBefore = width;
      width = now;
      lower = Math.min(best.step, other.step);
      upper = Math.max(best.step, other.step);
    } else {
      lower = step + LEAST_GROWTH * (step - best.step);
      upper = step + MOST_GROWTH * (step - best.step);
    }
    step = Math.min(Math.max(step, 0), largest);
    if (step === largest && largest < o.maxStep) {
      // That step is outside the domain: half of what is left below it.
      step = best.step + (largest - best.step) / 2;
      if (step === best.step || step === largest) return end(lowest, 'interval');
    }
    // No digits are left inside the bracket, or it is as short as it has to be.
    const isSpent = step <= lower || step >= upper || upper - lower <= o.intervalTolerance * upper;
    if (isBracket && isSpent) return end(lowest, 'interval');
  }
}

/** A point as seen on phi(t) - slope t. */
function tiltedPoint({ step, value, slope }: Point, by: number): Point {
  return { step, value: value - step * by, slope: slope - by };
}

function tilted({ best, other, isBracket }: Interval, by: number): Interval {
  return { best: tiltedPoint(best, by), other: tiltedPoint(other, by), isBracket };
}

/**
 * One safeguarded step: from the interval and a new point, the next point to try and the new interval (section 4 of the
 * paper, cases 1 to 4). Cubics through values and slopes, quadratics through slopes (secants), whichever is safer.
 */
function narrow(
  { best, other, isBracket }: Interval,
  at: Point,
  lower: number,
  upper: number,
): { step: number; interval: Interval } {
  const stride = at.step - best.step;
  const isTurned = at.slope * Math.sign(best.slope) < 0;
  let step: number;
  let bracket = isBracket;

  if (at.value > best.value) {
    // Case 1: higher. A minimiser lies between; the cubic where it is nearer to the best point, else halfway.
    const cubic = cubicMinimiser(best, at);
    const quadratic = best.step + (best.slope / ((best.value - at.value) / stride + best.slope) / 2) * stride;
    const isNearer = Math.abs(cubic - best.step) < Math.abs(quadratic - best.step);
    step = isNearer ? cubic : cubic + (quadratic - cubic) / 2;
    bracket = true;
  } else if (isTurned) {
    // Case 2: lower, slope of the other sign. The one farther from the new point.
    const cubic = cubicMinimiser(at, best);
    const secant = at.step + (at.slope / (at.slope - best.slope)) * (best.step - at.step);
    step = Math.abs(cubic - at.step) > Math.abs(secant - at.step) ? cubic : secant;
    bracket = true;
  } else if (Math.abs(at.slope) < Math.abs(best.slope)) {
    // Case 3: lower, flatter. The cubic may have no minimiser beyond the new point: then as far as allowed.
    const cubic = cubicBeyond(best, at, lower, upper);
    const secant = at.step + (at.slope / (at.slope - best.slope)) * (best.step - at.step);
    const isCubicNearer = Math.abs(cubic - at.step) < Math.abs(secant - at.step);
    if (isBracket) {
      step = isCubicNearer ? cubic : secant;
      const limit = at.step + LEAST_SHRINKAGE * (other.step - at.step);
      step = stride > 0 ? Math.min(limit, step) : Math.max(limit, step);
    } else {
      step = Math.min(Math.max(isCubicNearer ? secant : cubic, lower), upper);
    }
  } else if (isBracket) {
    // Case 4: lower, no flatter. The minimiser of the cubic through the new point and the far end.
    step = cubicMinimiser(at, other);
  } else {
    step = stride > 0 ? upper : lower;
  }

  const interval: Interval =
    at.value > best.value
      ? { best, other: at, isBracket: bracket }
      : { best: at, other: isTurned ? best : other, isBracket: bracket };
  // Degenerate interpolation (equal steps, overflow): the middle is always safe.
  if (!Number.isFinite(step)) step = (interval.best.step + interval.other.step) / 2;
  return { step, interval };
}

/** theta and gamma of the cubic with the values and slopes of two points; gamma is NaN where it has no minimiser. */
function cubicTerms(p: Point, q: Point): { theta: number; gamma: number } {
  const theta = (3 * (p.value - q.value)) / (q.step - p.step) + p.slope + q.slope;
  const scale = Math.max(Math.abs(theta), Math.abs(p.slope), Math.abs(q.slope));
  const square = (theta / scale) ** 2 - (p.slope / scale) * (q.slope / scale);
  return { theta, gamma: scale * Math.sqrt(square) };
}

/** The minimiser of the cubic through p and q, measured from p. */
function cubicMinimiser(p: Point, q: Point): number {
  const { theta, gamma: root } = cubicTerms(p, q);
  const gamma = q.step < p.step ? -root : root;
  const ratio = (gamma - p.slope + theta) / (gamma - p.slope + gamma + q.slope);
  return p.step + ratio * (q.step - p.step);
}

/** The minimiser of the cubic beyond `at`, the bound where there is none. */
function cubicBeyond(best: Point, at: Point, lower: number, upper: number): number {
  const { theta, gamma: root } = cubicTerms(best, at);
  // A negative radicand means that the cubic falls for ever.
  let gamma = Number.isNaN(root) ? 0 : root;
  if (at.step > best.step) gamma = -gamma;
  const ratio = (gamma - at.slope + theta) / (gamma + (best.slope - at.slope) + gamma);
  if (ratio < 0 && gamma !== 0) return at.step + ratio * (best.step - at.step);
  return at.step > best.step ? upper : lower;
}

/**
 * The line search on a function that answers at once.
 *
 * @param phi value and slope at a step > 0
 * @param start phi(0) and phi'(0), the latter < 0
 * @param firstStep the first step to try, > 0. Default 1
 * @throws RangeError where the slope at 0 is not negative or a number is not finite; what phi throws
 */
export function lineSearch(
  phi: (step: number) => Probe,
  start: Probe,
  firstStep = 1,
  options?: LineSearchOptions,
): LineSearchResult {
  if (typeof phi !== 'function') throw check.typeError('phi', 'a function', phi);
  if (!Number.isFinite(start.value)) throw check.rangeError('start.value', 'finite', start.value);
  if (!(start.slope < 0) || start.slope === -Infinity)
    throw check.rangeError('start.slope', 'a finite number < 0', start.slope);
  check.positiveNumber('firstStep', firstStep);
  const search = searchSteps(start, firstStep, lineSearchOptions(options));
  let next = search.next();
  while (next.done !== true) next = search.next(phi(next.value));
  return next.value;
}
