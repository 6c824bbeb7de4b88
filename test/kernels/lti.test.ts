import {
  discretize,
  ltiKernel,
  ltiScan,
  ltiScanAsync,
  ltiScanBackward,
  s4dInit,
  type LtiInput,
  type LtiOptions,
} from '../../lib/index.js';
import { expectSameBits } from '../helpers/compare.js';
import { onEveryIsa } from '../helpers/isa.js';
import {
  converted,
  dot,
  expectGradient,
  expectScaled,
  numbers,
  REALS,
  scanFixture,
  type Stored,
} from '../helpers/recurrences.js';

type Name = 'u' | 'dt' | 'A' | 'B' | 'C' | 'D';
interface GradientFixture {
  rule: 'zoh' | 'bilinear' | 'euler';
  complex: boolean;
  inputs: Record<Name, Stored>;
  upstream: { out: Stored };
  kernel: Stored;
  out: Stored;
  lastState: Stored;
  gradients: Record<Name, Stored>;
}
type PlainFixture = Record<
  'A' | 'B' | 'C' | 'dt' | 'D' | 'u' | 'Abar' | 'Bbar' | 'kernel' | 'out' | 'lastState',
  Stored
> & {
  method: 'zoh' | 'bilinear';
};

const METHODS = ['recurrence', 'convolution'] as const;

/** S4D parameters, an input and what comes of the recurrence written out. */
function system(kind: 'real' | 'lin' | 'inv', batch: number, dim: number, length: number, state: number) {
  const { A, B, C, delta, complex } = s4dInit(kind, dim, state, { seed: 3 });
  const next = numbers(17);
  const u = next(batch * dim * length);
  const D = next(dim);
  return { input: { u, delta, A, B, C, D }, options: { batch, dim, length, state, complex } };
}

describe('ltiScan', () => {
  onEveryIsa(() => {
    describe.each(REALS)('in $type', ({ type, Kind }) => {
      it.each(scanFixture<GradientFixture[]>('lti-gradients'))(
        'agrees with lti-gradients.json: $rule, complex $complex',
        (fixture) => {
          const { dt, ...rest } = fixture.inputs;
          const input = Object.fromEntries(
            Object.entries({ ...rest, delta: dt }).map(([name, { data }]) => [name, Kind.from(data)]),
          ) as unknown as LtiInput;
          const [batch, dim, length] = fixture.inputs.u.shape;
          const options: LtiOptions = {
            ...{ batch, dim, length, state: fixture.inputs.A.shape[1] },
            discretization: fixture.rule,
            complex: fixture.complex,
          };
          for (const method of METHODS) {
            const { out } = ltiScan(input, { ...options, method });
            expectScaled(out, fixture.out.data, type, 'values', method);
          }
          const { lastState } = ltiScan(input, { ...options, returnLastState: true });
          expectScaled(lastState, fixture.lastState.data, type, 'values', 'lastState');
          expectScaled(ltiKernel(input, options), fixture.kernel.data, type, 'values', 'kernel');
          const gout = Kind.from(fixture.upstream.out.data) as Float32Array | Float64Array;
          const back = ltiScanBackward(input, gout, options);
          const names = { u: 'du', dt: 'ddelta', A: 'dA', B: 'dB', C: 'dC', D: 'dD' } as const;
          for (const name of Object.keys(names) as Name[])
            expectScaled(back[names[name]], fixture.gradients[name].data, type, 'gradients', name);
        },
      );

      it.each(scanFixture<PlainFixture[]>('lti'))('agrees with lti.json: $method', (fixture) => {
        const [A, B, C, delta, D, u] = (['A', 'B', 'C', 'dt', 'D', 'u'] as const).map(
          (name) => Kind.from(fixture[name].data) as Float32Array | Float64Array,
        );
        const [dim, length] = fixture.u.shape;
        const options = { dim, length, state: 4, complex: true, discretization: fixture.method };
        const { Abar, Bbar } = discretize(A, B, delta, fixture.method, { complex: true });
        expectScaled(Abar, fixture.Abar.data, type, 'values', 'Abar');
        expectScaled(Bbar, fixture.Bbar.data, type, 'values', 'Bbar');
        expectScaled(ltiKernel({ A, B, C, delta }, options), fixture.kernel.data, type, 'values', 'kernel');
        const { out, lastState } = ltiScan({ u, A, B, C, D, delta }, { ...options, returnLastState: true });
        expectScaled(out, fixture.out.data, type, 'values', 'out');
        expectScaled(lastState, fixture.lastState.data, type, 'values', 'lastState');
      });

      it.each([1, 2, 63, 65, 512, 513, 700, 1500])('convolves as it recurs: %i steps', (length) => {
        for (const kind of ['real', 'lin', 'inv'] as const) {
          const { input, options } = system(kind, 2, 19, length, 5);
          const expected = ltiScan(input, { ...options, method: 'recurrence' }).out;
          for (const method of METHODS) {
            const { out } = ltiScan(converted(input, Kind) as unknown as LtiInput, { ...options, method });
            expectScaled(out, expected, type, 'gradients', `${kind}, ${method}`);
          }
        }
      });
    });

    it('has the gradients of central differences, states included, over several blocks', () => {
      for (const kind of ['real', 'lin'] as const) {
        const { input: plain, options } = system(kind, 2, 2, 70, 2);
        const next = numbers(19);
        const states = 2 * plain.A.length;
        // Steps that are large beside those of the differences.
        const input = { ...plain, delta: Float64Array.of(0.3, 0.2), initialState: next(states) };
        const [gout, glast] = [next(plain.u.length), next(states)];
        const back = ltiScanBackward(input, gout, { ...options, glast });
        const names = {
          delta: 'ddelta',
          A: 'dA',
          B: 'dB',
          C: 'dC',
          D: 'dD',
          initialState: 'dInitialState',
        } as const;
        for (const name of Object.keys(names) as (keyof typeof names)[])
          expectGradient(
            back[names[name]],
            input[name],
            (value) => {
              const shape = { ...options, returnLastState: true };
              const { out, lastState } = ltiScan({ ...input, [name]: value }, shape);
              return dot(out, gout) + dot(lastState ?? [], glast);
            },
            `${name}, ${kind}`,
          );
      }
    });

    it('gives the same bits for any number of threads', async () => {
      const { input, options } = system('lin', 3, 40, 600, 8);
      for (const method of METHODS) {
        const one = ltiScan(input, { ...options, method }).out;
        for (const threads of [2, 8])
          expectSameBits((await ltiScanAsync(input, { ...options, method, threads })).out, one, method);
      }
      const back = ltiScanBackward(input, input.u, options);
      for (const threads of [2, 8]) {
        const again = ltiScanBackward(input, input.u, { ...options, threads });
        for (const name of Object.keys(back) as (keyof typeof back)[])
          expectSameBits(again[name] as Float64Array, back[name] as Float64Array, name);
      }
    });
  });

  it('can be cut anywhere', () => {
    const { input, options } = system('inv', 1, 3, 100, 4);
    const whole = ltiScan(input, { ...options, returnLastState: true });
    const part = (from: number, to: number): Float64Array =>
      Float64Array.from([0, 1, 2].flatMap((d) => [...input.u.subarray(d * 100 + from, d * 100 + to)]));
    const first = ltiScan({ ...input, u: part(0, 41) }, { ...options, length: 41, returnLastState: true });
    const rest = ltiScan(
      { ...input, u: part(41, 100), initialState: first.lastState },
      { ...options, length: 59, returnLastState: true },
    );
    for (let d = 0; d < 3; d += 1)
      expectScaled(
        rest.out.subarray(d * 59, d * 59 + 59),
        whole.out.subarray(d * 100 + 41, d * 100 + 100),
        'f64',
        'values',
        'out',
      );
    expectScaled(rest.lastState, whole.lastState ?? [], 'f64', 'values', 'lastState');
  });

  it('settles at -B u / A under a constant input with zero-order hold', () => {
    const u = new Float64Array(4000).fill(3);
    const one = Float64Array.of(1);
    const { out } = ltiScan(
      { u, delta: Float64Array.of(0.1), A: Float64Array.of(-2), B: Float64Array.of(5), C: one },
      { dim: 1, length: 4000, state: 1 },
    );
    expect(out[3999]).toBeCloseTo(7.5, 12);
  });

  it('takes a system that is discrete already, and one that does not fade', () => {
    const input = {
      u: Float64Array.of(1, 2, 3),
      A: Float64Array.of(1),
      B: Float64Array.of(1),
      C: Float64Array.of(1),
    };
    const options = { dim: 1, length: 3, state: 1 };
    expect([...ltiScan(input, { ...options, discretization: 'none' }).out]).toEqual([1, 3, 6]);
    const still = { ...input, A: Float64Array.of(0), delta: Float64Array.of(0.5) };
    for (const discretization of ['zoh', 'bilinear', 'euler'] as const)
      expect([...ltiScan(still, { ...options, discretization }).out]).toEqual([0.5, 1.5, 3]);
  });
});

describe('s4dInit', () => {
  it('gives the decays of the paper', () => {
    expect([...s4dInit('real', 1, 3).A]).toEqual([-1, -2, -3]);
    expect([...s4dInit('lin', 1, 2).A]).toEqual([-0.5, 0, -0.5, Math.PI]);
    const M = 4 / Math.PI;
    expect([...s4dInit('inv', 1, 2).A]).toEqual([-0.5, M * 3, -0.5, M * (4 / 3 - 1)]);
  });

  it('draws C of unit variance and steps within their limits, the same for the same seed', () => {
    const { C, delta } = s4dInit('lin', 200, 50, { seed: 5 });
    expect(dot(C, C) / 10000).toBeCloseTo(1, 1);
    expect(delta.every((step) => step >= 0.001 && step < 0.1)).toBe(true);
    expectSameBits(s4dInit('lin', 200, 50, { seed: 5 }).C, C);
    expect(s4dInit('lin', 200, 50, { seed: 6 }).C[0]).not.toBe(C[0]);
  });
});
