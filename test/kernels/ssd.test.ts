import { ssdScan, ssdScanAsync, ssdScanBackward, type SsdInput, type SsdOptions } from '../../lib/index.js';
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
import * as reference from '../reference/ssd.js';

type Name = 'x' | 'dt' | 'A' | 'B' | 'C' | 'D' | 'z' | 'dtBias' | 'initialState';
const GRADIENTS = {
  x: 'dx',
  dt: 'ddt',
  A: 'dA',
  B: 'dB',
  C: 'dC',
  D: 'dD',
  z: 'dz',
  dtBias: 'ddtBias',
  initialState: 'dInitialState',
} as const;

interface Fixture {
  dtSoftplus?: boolean;
  dtLimit?: [number, number];
  inputs: Record<Name, Stored>;
  out: Stored;
  finalState: Stored;
  upstream: Stored | { out: Stored; finalState: Stored };
  gradients: Record<Name, Stored>;
}

const FIXTURES = ['ssd', 'ssd-gated'].flatMap((file) =>
  scanFixture<Fixture[]>(file).map((fixture, i) => ({ name: `${file}.json, case ${i}`, fixture })),
);

function shapeOf({ inputs, dtSoftplus, dtLimit }: Fixture): SsdOptions {
  const [batch, length, heads, headDim] = inputs.x.shape;
  const [, , groups, state] = inputs.B.shape;
  return {
    ...{ batch, length, heads, headDim, groups, state },
    ...(dtSoftplus && { dtSoftplus }),
    ...(dtLimit && { dtLimit }),
  };
}

const CHUNKS = [1, 3, 7, 16, 17, 64, 256];

/** Arrays with every option on. */
function arrays(s: reference.SsdForm, eachSkip = true) {
  const next = numbers(11);
  const steps = s.batch * s.length;
  return {
    x: next(steps * s.heads * s.headDim),
    dt: next(steps * s.heads, 0.8, -1),
    A: next(s.heads, 0.3, -1),
    B: next(steps * s.groups * s.state, 0.5),
    C: next(steps * s.groups * s.state, 0.5),
    D: next(s.heads * (eachSkip ? s.headDim : 1)),
    z: next(steps * s.heads * s.headDim),
    dtBias: next(s.heads, 0.1),
    initialState: next(s.batch * s.heads * s.headDim * s.state),
  };
}

const BASE = { groups: 1, dtSoftplus: true, dtLimit: [0, Infinity] as const };
const SHAPES: reference.SsdForm[] = [
  { ...BASE, batch: 1, length: 1, heads: 1, headDim: 1, state: 1 },
  { ...BASE, batch: 2, length: 37, heads: 2, headDim: 5, state: 3, groups: 2 },
  { ...BASE, batch: 1, length: 131, heads: 3, headDim: 17, state: 20 },
];

describe('ssdScan', () => {
  onEveryIsa(() => {
    describe.each(REALS)('in $type', ({ type, Kind }) => {
      describe.each(FIXTURES)('$name', ({ fixture }) => {
        const input = Object.fromEntries(
          Object.entries(fixture.inputs).map(([name, { data }]) => [name, Kind.from(data)]),
        ) as unknown as SsdInput;
        const shape = shapeOf(fixture);

        it.each(CHUNKS)('agrees by chunks of %i, and step by step', (chunk) => {
          for (const method of ['chunked', 'recurrent'] as const) {
            const { out, finalState } = ssdScan(input, { ...shape, chunk, method, returnFinalState: true });
            expectScaled(out, fixture.out.data, type, 'values', 'out');
            expectScaled(finalState, fixture.finalState.data, type, 'values', 'finalState');
          }
        });

        it.each(CHUNKS)('has its gradients by chunks of %i', (chunk) => {
          const { upstream } = fixture;
          const [g, gfinal] = 'data' in upstream ? [upstream] : [upstream.out, upstream.finalState];
          const gradients = ssdScanBackward(input, Kind.from(g.data) as Float32Array, {
            ...shape,
            chunk,
            ...(gfinal && { gfinal: Kind.from(gfinal.data) }),
          });
          for (const [name, { data }] of Object.entries(fixture.gradients))
            expectScaled(gradients[GRADIENTS[name as Name]], data, type, 'gradients', `d${name}`);
        });
      });

      it.each(SHAPES)('agrees with the definition: %o', (shape) => {
        const full = arrays(shape);
        const bare = { ...full, D: undefined, z: undefined, dtBias: undefined, initialState: undefined };
        for (const input of [full, bare]) {
          const expected = reference.ssdScan(input, shape);
          const actual = ssdScan(converted(input, Kind) as unknown as SsdInput, {
            ...shape,
            returnFinalState: true,
          });
          expectScaled(actual.out, expected.out, type, 'values', 'out');
          expectScaled(actual.finalState, expected.finalState, type, 'values', 'finalState');
        }
      });
    });

    it('starts packed sequences anew, wherever they begin in a chunk, with their gradients', () => {
      const shape = { ...SHAPES[1], batch: 1, length: 24, groups: 1 };
      const input = arrays(shape, false);
      const next = numbers(12);
      const g = next(input.x.length);
      const gfinal = next(input.initialState.length);
      for (const starts of [[8], [5, 6, 17], [16, 23]]) {
        const segmentIds = Int32Array.from({ length: 24 }, (_, t) => starts.filter((s) => s <= t).length);
        const expected = reference.ssdScan({ ...input, segmentIds }, shape);
        for (const method of ['chunked', 'recurrent'] as const) {
          const options = { ...shape, chunk: 8, method, returnFinalState: true };
          const { out, finalState } = ssdScan({ ...input, segmentIds }, options);
          expectScaled(out, expected.out, 'f64', 'values', 'out');
          expectScaled(finalState, expected.finalState, 'f64', 'values', 'finalState');
        }
        const back = ssdScanBackward({ ...input, segmentIds }, g, { ...shape, chunk: 8, gfinal });
        for (const name of Object.keys(GRADIENTS) as Name[])
          expectGradient(
            back[GRADIENTS[name]],
            input[name],
            (value) => {
              const { out, finalState } = reference.ssdScan({ ...input, [name]: value, segmentIds }, shape);
              return dot(out, g) + dot(finalState, gfinal);
            },
            `d${name}, segments at ${starts.join()}`,
          );
      }
    });

    it('gives the same bits for any number of threads', async () => {
      const shape = { ...BASE, batch: 2, length: 150, heads: 12, headDim: 16, state: 32, groups: 2 };
      const input = arrays(shape);
      const g = numbers(13)(input.x.length);
      const one = ssdScan(input, { ...shape, returnFinalState: true });
      const back = ssdScanBackward(input, g, shape);
      for (const threads of [2, 8]) {
        const again = await ssdScanAsync(input, { ...shape, threads, returnFinalState: true });
        expectSameBits(again.out, one.out);
        expectSameBits(again.finalState as Float64Array, one.finalState as Float64Array);
        const gradients = ssdScanBackward(input, g, { ...shape, threads });
        for (const name of Object.keys(back) as (keyof typeof back)[])
          expectSameBits(gradients[name] as Float64Array, back[name] as Float64Array, name);
      }
    });

    it('keeps what is not finite where it is: no earlier step, no other channel', () => {
      const shape = { ...BASE, batch: 1, length: 90, heads: 2, headDim: 4, state: 3 };
      const input = { ...arrays(shape), z: undefined };
      const x = Float32Array.from(input.x);
      x[(40 * 2 + 1) * 4 + 2] = NaN;
      const { out } = ssdScan({ ...(converted(input, Float32Array) as unknown as SsdInput), x }, shape);
      out.forEach((value, i) => {
        const [t, head, channel] = [Math.floor(i / 8), Math.floor(i / 4) % 2, i % 4];
        expect(Number.isNaN(value)).toBe(t >= 40 && head === 1 && channel === 2);
      });
      const dt = Float32Array.from(input.dt);
      dt[70 * 2] = NaN;
      const other = ssdScan({ ...(converted(input, Float32Array) as unknown as SsdInput), dt }, shape).out;
      other.forEach((value, i) =>
        expect(Number.isNaN(value)).toBe(Math.floor(i / 8) >= 70 && Math.floor(i / 4) % 2 === 0),
      );
    });

    it('decays by any amount without a NaN', () => {
      const shape = { ...BASE, batch: 1, length: 130, heads: 1, headDim: 3, state: 2, dtSoftplus: false };
      const input = arrays(shape);
      const dt = new Float64Array(130).fill(50);
      const A = Float64Array.of(-20);
      const expected = reference.ssdScan({ ...input, dt, A }, shape).out;
      expectScaled(ssdScan({ ...input, dt, A }, shape).out, expected, 'f64', 'values', 'out');
    });
  });

  it('takes no steps: the state stays', () => {
    const shape = { ...BASE, batch: 1, length: 0, heads: 1, headDim: 2, state: 2 };
    const input = arrays(shape);
    for (const method of ['chunked', 'recurrent'] as const) {
      const { out, finalState } = ssdScan(input, { ...shape, method, returnFinalState: true });
      expect(out).toHaveLength(0);
      expectSameBits(finalState as Float64Array, input.initialState);
    }
    const gfinal = Float64Array.of(1, 2, 3, 4);
    const { dInitialState } = ssdScanBackward(input, new Float64Array(0), { ...shape, gfinal });
    expectSameBits(dInitialState as Float64Array, gfinal);
  });
});
