import { lbfgs, lbfgsAsync, type Evaluation, type Iteration } from '../../lib/optimize/index.js';
import { Philox } from '../../lib/random.js';
import { expectThrown } from '../helpers/refused.js';
import { HIMMELBLAU_MINIMA, himmelblau, quadratic, rosenbrock } from './objectives.js';

const exact = { gradientTolerance: 1e-9, objectiveTolerance: 0, maxIter: 500 };

describe('lbfgs', () => {
  it.each([2, 6, 50])("finds the end of Rosenbrock's valley in %d variables", (n) => {
    const start = Float64Array.from({ length: n }, (_, i) => (i % 2 ? 1 : -1.2));
    const { x, value, converged, reason } = lbfgs(rosenbrock, start, exact);
    expect({ converged, reason }).toEqual({ converged: true, reason: 'gradient' });
    expect(value).toBeLessThan(1e-15);
    for (const each of x) expect(each).toBeCloseTo(1, 7);
  });

  // Values of SciPy 1.17's L-BFGS-B (memory 10) after so many iterations: without bounds the two are one algorithm.
  it.each([
    [[-1.2, 1], 1, 3, 4.225209187581896],
    [[-1.2, 1], 5, 7, 4.087545016268825],
    [[-1.2, 1], 20, 25, 0.3989229609812695],
    [[-1.2, 1, -1.2, 1, 0.5, 2], 10, 12, 15.925806368657668],
    [[-1.2, 1, -1.2, 1, 0.5, 2], 20, 23, 2.5988160648765355],
  ])('from %j goes the way of L-BFGS-B for %d iterations', (start, maxIter, evaluations, value) => {
    const found = lbfgs(rosenbrock, start, { ...exact, maxIter });
    expect(found).toMatchObject({ iterations: maxIter, evaluations, reason: 'maxIter', converged: false });
    expect(Math.abs(found.value / value - 1)).toBeLessThan(1e-10);
  });

  it('solves quadratics to their exact solution, within as many iterations as they have eigenvalues', () => {
    const at = [3, -1, 0.5, 8];
    const found = lbfgs(quadratic([1, 1, 4, 4], at), [0, 0, 0, 0], { ...exact, c2: 0.01 });
    expect(found.converged).toBe(true);
    expect(found.iterations).toBeLessThanOrEqual(8);
    found.x.forEach((each, i) => expect(each).toBeCloseTo(at[i], 9));
  });

  it('solves dense quadratics: the solution of the linear equations', () => {
    const n = 12;
    const entries = new Philox(5).normal(new Float64Array(n * n));
    const solution = new Philox(6).normal(new Float64Array(n));
    // A = B B' + I, b = A solution.
    const matrix = Array.from({ length: n }, (_, i) =>
      Float64Array.from({ length: n }, (_, j) => {
        let sum = i === j ? 1 : 0;
        for (let k = 0; k < n; k++) sum += entries[i * n + k] * entries[j * n + k];
        return sum;
      }),
    );
    const times = (v: Float64Array) =>
      Float64Array.from(matrix, (row) => row.reduce((s, a, j) => s + a * v[j], 0));
    const objective = (x: Float64Array): Evaluation => {
      const gradient = times(x.map((each, i) => each - solution[i]));
      return { value: gradient.reduce((s, g, i) => s + (g * (x[i] - solution[i])) / 2, 0), gradient };
    };
    const { x, converged } = lbfgs(objective, new Float64Array(n), exact);
    expect(converged).toBe(true);
    x.forEach((each, i) => expect(each).toBeCloseTo(solution[i], 7));
  });

  it('comes to the end of a quadratic of condition 1e8', () => {
    const scales = Array.from({ length: 9 }, (_, i) => 10 ** (i - 4));
    const at = scales.map((_, i) => i - 4);
    const { x, converged } = lbfgs(quadratic(scales, at), new Float64Array(9), {
      ...exact,
      gradientTolerance: 1e-10,
    });
    expect(converged).toBe(true);
    x.forEach((each, i) => expect(each).toBeCloseTo(at[i], 5));
  });

  it('ends at a minimum of a function with four of them, from anywhere', () => {
    const starts = new Philox(1).uniform(new Float64Array(60), -6, 6);
    for (let s = 0; s < starts.length; s += 2) {
      const { x, value, converged } = lbfgs(himmelblau, starts.subarray(s, s + 2), exact);
      expect(converged).toBe(true);
      expect(value).toBeLessThan(1e-15);
      const gaps = HIMMELBLAU_MINIMA.map((m) => Math.hypot(x[0] - m[0], x[1] - m[1]));
      expect(Math.min(...gaps)).toBeLessThan(1e-6);
    }
  });

  it('works with a memory of one step', () => {
    expect(lbfgs(rosenbrock, [-1.2, 1, 3], { ...exact, memory: 1 }).converged).toBe(true);
  });

  it('is finished at once where the gradient is zero', () => {
    const found = lbfgs(rosenbrock, [1, 1, 1]);
    expect(found).toMatchObject({
      iterations: 0,
      evaluations: 1,
      value: 0,
      reason: 'gradient',
      converged: true,
    });
  });

  it('stops by the change of the objective', () => {
    const found = lbfgs(rosenbrock, [-1.2, 1], { gradientTolerance: 0, objectiveTolerance: 1e-3 });
    expect(found).toMatchObject({ reason: 'objective', converged: true });
    expect(found.gradientNorm).toBeGreaterThan(0);
  });

  it.each([1, 2, 3, 7, 20])(
    'never asks more than %d times, and returns the best point seen',
    (maxEvaluations) => {
      const seen: number[] = [];
      const objective = (x: Float64Array): Evaluation => {
        const found = rosenbrock(x);
        seen.push(found.value);
        return found;
      };
      const found = lbfgs(objective, [-1.2, 1], { ...exact, maxEvaluations });
      expect(found).toMatchObject({
        reason: 'maxEvaluations',
        converged: false,
        evaluations: maxEvaluations,
      });
      expect(seen).toHaveLength(maxEvaluations);
      expect(found.value).toBe(Math.min(...seen));
      expect(rosenbrock(found.x).value).toBe(found.value);
    },
  );

  it('stays inside the domain of the objective', () => {
    // sum x - 2 log x: minimum at 2, NaN for negative x, +Infinity at 0.
    const objective = (x: Float64Array): Evaluation => ({
      value: x.reduce((s, each) => s + each - 2 * Math.log(each), 0),
      gradient: x.map((each) => 1 - 2 / each),
    });
    const { x, converged } = lbfgs(objective, [1e-3, 50, 1], exact);
    expect(converged).toBe(true);
    for (const each of x) expect(each).toBeCloseTo(2, 8);
  });

  it('says that the objective is not finite at the start', () => {
    const nan = lbfgs(() => ({ value: NaN, gradient: [0] }), [1]);
    expect(nan).toMatchObject({ reason: 'notFinite', converged: false, evaluations: 1, iterations: 0 });
    const gradient = lbfgs(() => ({ value: 0, gradient: [Infinity] }), [1]);
    expect(gradient.reason).toBe('notFinite');
  });

  it('keeps the start where everything around it is NaN', () => {
    const objective = (x: Float64Array): Evaluation =>
      x[0] === 1 ? { value: 4, gradient: [2] } : { value: NaN, gradient: [NaN] };
    const found = lbfgs(objective, [1]);
    expect(found).toMatchObject({ reason: 'lineSearch', converged: false, value: 4 });
    expect([...found.x]).toEqual([1]);
  });

  it('gives up where the gradient points the wrong way', () => {
    const wrong = (x: Float64Array): Evaluation => ({ value: x[0] ** 2, gradient: [-2 * x[0]] });
    const found = lbfgs(wrong, [3]);
    expect(found).toMatchObject({ reason: 'lineSearch', converged: false, value: 9 });
  });

  it('reports each iteration', () => {
    const seen: Iteration[] = [];
    const found = lbfgs(rosenbrock, [-1.2, 1], { ...exact, onIteration: (each) => seen.push(each) });
    expect(seen.map(({ iteration }) => iteration)).toEqual(seen.map((_, i) => i + 1));
    expect(seen).toHaveLength(found.iterations);
    for (let i = 1; i < seen.length; i++) expect(seen[i].value).toBeLessThanOrEqual(seen[i - 1].value);
    expect(seen.at(-1)).toMatchObject({ value: found.value, evaluations: found.evaluations });
    expect([...(seen.at(-1)?.x ?? [])]).toEqual([...found.x]);
  });

  it('copies the start and the gradient', () => {
    const start = Float64Array.of(-1.2, 1);
    const shared = new Float64Array(2);
    const found = lbfgs(
      (x) => {
        const { value, gradient } = rosenbrock(x);
        shared.set(gradient);
        return { value, gradient: shared };
      },
      start,
      exact,
    );
    expect([...start]).toEqual([-1.2, 1]);
    expect(found.value).toBe(lbfgs(rosenbrock, start, exact).value);
  });

  it('throws the reason of an aborted signal between evaluations', () => {
    const controller = new AbortController();
    const stop = new Error('enough');
    const onIteration = ({ iteration }: Iteration): void => {
      if (iteration === 3) controller.abort(stop);
    };
    expect(() => lbfgs(rosenbrock, [-1.2, 1], { signal: controller.signal, onIteration })).toThrow(stop);
  });

  it.each([
    ['objective', 'type', () => lbfgs(1 as never, [1])],
    ['x0', 'type', () => lbfgs(rosenbrock, 'ab' as never)],
    ['x0', 'range', () => lbfgs(rosenbrock, [])],
    ['x0', 'range', () => lbfgs(rosenbrock, [1, NaN])],
    ['gradient of the objective', 'range', () => lbfgs(() => ({ value: 1, gradient: [1] }), [1, 2])],
    ['gradient of the objective', 'type', () => lbfgs(() => ({ value: 1, gradient: 3 as never }), [1, 2])],
    ['value of the objective', 'type', () => lbfgs(() => ({ value: '1' as never, gradient: [1] }), [1])],
    ['memory', 'range', () => lbfgs(rosenbrock, [1], { memory: 0 })],
    ['maxIter', 'range', () => lbfgs(rosenbrock, [1], { maxIter: 1.5 })],
    ['maxEvaluations', 'range', () => lbfgs(rosenbrock, [1], { maxEvaluations: -1 })],
    ['gradientTolerance', 'range', () => lbfgs(rosenbrock, [1], { gradientTolerance: -1 })],
    ['objectiveTolerance', 'range', () => lbfgs(rosenbrock, [1], { objectiveTolerance: NaN })],
    ['c1', 'range', () => lbfgs(rosenbrock, [1], { c1: 1 })],
    ['signal', 'type', () => lbfgs(rosenbrock, [1], { signal: {} as never })],
    ['onIteration', 'type', () => lbfgs(rosenbrock, [1], { onIteration: 1 as never })],
    ['options', 'type', () => lbfgs(rosenbrock, [1], 3 as never)],
  ] as const)('refuses a bad %s by name', (name, kind, call) => {
    expectThrown(call, kind, name);
  });
});

describe('lbfgsAsync', () => {
  const later = async (x: Float64Array): Promise<Evaluation> => {
    await new Promise(setImmediate);
    return rosenbrock(x);
  };

  it('gives the same bits as the blocking form', async () => {
    expect(await lbfgsAsync(later, [-1.2, 1, 2], exact)).toEqual(lbfgs(rosenbrock, [-1.2, 1, 2], exact));
  });

  it('rejects with the reason of an aborted signal', async () => {
    const stop = new Error('enough');
    await expect(lbfgsAsync(later, [1, 2], { signal: AbortSignal.abort(stop) })).rejects.toBe(stop);
  });

  it('rejects with what the objective rejects with, and with bad arguments', async () => {
    const failure = new Error('no answer');
    await expect(lbfgsAsync(async () => Promise.reject(failure), [1])).rejects.toBe(failure);
    await expect(lbfgsAsync(later, [])).rejects.toThrow('"x0"');
    await expect(lbfgsAsync(null as never, [1])).rejects.toThrow('"objective"');
  });
});
