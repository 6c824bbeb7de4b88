import { lineSearch, type Probe } from '../../lib/optimize/index.js';
import { expectThrown } from '../helpers/refused.js';

/** The six functions of section 5 of Moré and Thuente, 1994. */
const yanai = (b1: number, b2: number) => {
  const gamma = (b: number): number => Math.sqrt(1 + b * b) - b;
  return (t: number): Probe => {
    const left = Math.sqrt((1 - t) ** 2 + b2 * b2);
    const right = Math.sqrt(t * t + b1 * b1);
    return {
      value: gamma(b1) * left + gamma(b2) * right,
      slope: (-gamma(b1) * (1 - t)) / left + (gamma(b2) * t) / right,
    };
  };
};
const FUNCTIONS: Record<string, (t: number) => Probe> = {
  '-t / (t^2 + 2)': (t) => ({ value: -t / (t * t + 2), slope: (t * t - 2) / (t * t + 2) ** 2 }),
  '(t + 0.004)^5 - 2 (t + 0.004)^4': (t) => {
    const u = t + 0.004;
    return { value: u ** 5 - 2 * u ** 4, slope: 5 * u ** 4 - 8 * u ** 3 };
  },
  'rippled absolute value': (t) => {
    const beta = 0.01;
    const wave = (2 * (1 - beta)) / (39 * Math.PI);
    const inner =
      t <= 1 - beta
        ? { value: 1 - t, slope: -1 }
        : t >= 1 + beta
          ? { value: t - 1, slope: 1 }
          : { value: (t - 1) ** 2 / (2 * beta) + beta / 2, slope: (t - 1) / beta };
    return {
      value: inner.value + wave * Math.sin(19.5 * Math.PI * t),
      slope: inner.slope + (1 - beta) * Math.cos(19.5 * Math.PI * t),
    };
  },
  'Yanai 0.001, 0.001': yanai(0.001, 0.001),
  'Yanai 0.01, 0.001': yanai(0.01, 0.001),
  'Yanai 0.001, 0.01': yanai(0.001, 0.01),
};

/** c1, c2 of the paper's tables, per function. */
const CONSTANTS: Record<string, [number, number]> = {
  '-t / (t^2 + 2)': [0.001, 0.1],
  '(t + 0.004)^5 - 2 (t + 0.004)^4': [0.1, 0.11],
  'rippled absolute value': [0.1, 0.11],
};

describe('lineSearch', () => {
  describe.each(Object.keys(FUNCTIONS))('on %s', (name) => {
    const phi = FUNCTIONS[name];
    const [c1, c2] = CONSTANTS[name] ?? [0.001, 0.0011];
    it.each([1e-3, 1e-1, 1e1, 1e3])('from a first step of %d meets both conditions', (first) => {
      const start = phi(0);
      const found = lineSearch(phi, start, first, { c1, c2, intervalTolerance: 1e-9 });
      expect(found.reason).toBe('wolfe');
      expect(found.value).toBeLessThanOrEqual(start.value + c1 * found.step * start.slope);
      expect(Math.abs(found.slope)).toBeLessThanOrEqual(c2 * Math.abs(start.slope));
      expect(phi(found.step)).toEqual({ value: found.value, slope: found.slope });
      // The paper needs at most 19 evaluations.
      expect(found.evaluations).toBeLessThanOrEqual(20);
    });
  });

  it('stops at the largest step where the function falls for ever', () => {
    const found = lineSearch((t) => ({ value: -t, slope: -1 }), { value: 0, slope: -1 }, 1, { maxStep: 100 });
    expect(found).toMatchObject({ step: 100, value: -100, reason: 'maxStep' });
  });

  it('comes back from outside the domain', () => {
    // -log(1 - t) - 3 t, infinite from 1 on; its minimum is at t = 2/3.
    const phi = (t: number): Probe =>
      t < 1 ? { value: -Math.log(1 - t) - 3 * t, slope: 1 / (1 - t) - 3 } : { value: NaN, slope: NaN };
    const found = lineSearch(phi, phi(0), 64, { c2: 0.1 });
    expect(found.reason).toBe('wolfe');
    expect(found.step).toBeCloseTo(2 / 3, 1);
  });

  it('gives step 0 where nothing is lower', () => {
    // The slope promises a descent that does not exist.
    const found = lineSearch((t) => ({ value: t, slope: 1 }), { value: 0, slope: -1 });
    expect(found).toMatchObject({ step: 0, value: 0 });
    expect(found.reason).not.toBe('wolfe');
  });

  it('gives the lowest point when its evaluations are spent', () => {
    const phi = (t: number): Probe => ({ value: (t - 1000) ** 2, slope: 2 * (t - 1000) });
    const found = lineSearch(phi, phi(0), 1, { c2: 0.01, maxEvaluations: 2 });
    expect(found).toMatchObject({ evaluations: 2, reason: 'maxEvaluations' });
    expect(found.value).toBeLessThan(phi(1).value);
  });

  it.each([
    ['phi', 'type', () => lineSearch(1 as never, { value: 0, slope: -1 })],
    ['start.value', 'range', () => lineSearch(FUNCTIONS['-t / (t^2 + 2)'], { value: NaN, slope: -1 })],
    ['start.slope', 'range', () => lineSearch(FUNCTIONS['-t / (t^2 + 2)'], { value: 0, slope: 0 })],
    ['firstStep', 'range', () => lineSearch(FUNCTIONS['-t / (t^2 + 2)'], { value: 0, slope: -1 }, -1)],
    ['c1', 'range', () => lineSearch(FUNCTIONS['-t / (t^2 + 2)'], { value: 0, slope: -1 }, 1, { c1: 0.95 })],
    ['c2', 'range', () => lineSearch(FUNCTIONS['-t / (t^2 + 2)'], { value: 0, slope: -1 }, 1, { c2: 1 })],
    [
      'maxEvaluations',
      'range',
      () => lineSearch(FUNCTIONS['-t / (t^2 + 2)'], { value: 0, slope: -1 }, 1, { maxEvaluations: 0 }),
    ],
  ] as const)('refuses a bad "%s" by name', (name, kind, call) => {
    expectThrown(call, kind, name);
  });
});
