import { selectiveScan } from '../../lib/index.js';
import { badCalls, type GoodCall, refuses, wrong } from '../helpers/bad-calls.js';
import { detach, resizable } from '../helpers/errors.js';
import { expectThrown } from '../helpers/refused.js';

const [BATCH, DIM, LENGTH, STATE, GROUPS] = [2, 4, 3, 5, 2];
const VALUES = BATCH * DIM * LENGTH;
const WEIGHTS = DIM * STATE;
const VARYING = BATCH * GROUPS * STATE * LENGTH;
const out = new Float32Array(VALUES);

const zeros = (count: number): Float32Array => new Float32Array(count);
const arrays = (): Record<string, unknown> => ({
  u: zeros(VALUES),
  delta: zeros(VALUES),
  A: zeros(WEIGHTS),
  B: zeros(VARYING),
  C: zeros(VARYING),
  D: zeros(DIM),
  z: zeros(VALUES),
  deltaBias: zeros(DIM),
  initialState: zeros(BATCH * WEIGHTS),
  segmentIds: new Int32Array(BATCH * LENGTH),
});
const shape = { batch: BATCH, dim: DIM, length: LENGTH, state: STATE, groups: GROUPS };

type Change = Parameters<typeof badCalls>[1][number];
/** Changes of arrays within the input: the call is built from them. */
const inInput = (changes: Change[]): Change[] =>
  changes.map((change) => ({
    ...change,
    blames: change.blames ?? Object.keys(change.change),
    change: {
      input: () => {
        const made = Object.entries(change.change).map(([name, value]): [string, unknown] => [
          name,
          typeof value === 'function' ? (value as () => unknown)() : value,
        ]);
        return { ...arrays(), ...Object.fromEntries(made) };
      },
    },
  }));

const SIZES: Record<string, number> = {
  u: VALUES,
  delta: VALUES,
  A: WEIGHTS,
  B: VARYING,
  C: VARYING,
  D: DIM,
  z: VALUES,
  deltaBias: DIM,
  initialState: BATCH * WEIGHTS,
};
const OPTIONAL = ['D', 'z', 'deltaBias', 'initialState'];

const both: Change[] = [
  ...wrong('input', 'type', [undefined, null, 5, new Float32Array(3)]),
  ...inInput([
    ...Object.entries(SIZES).flatMap(([name, size]): Change[] => [
      ...wrong(name, 'type', [
        null,
        5,
        Array<number>(size).fill(0),
        new Int32Array(size),
        ...(OPTIONAL.includes(name) ? [] : [undefined]),
        ...(name === 'u' ? [new Uint16Array(size)] : [new Float64Array(size), new Uint16Array(size)]),
      ]),
      ...wrong(name, 'range', [zeros(size - 1), zeros(size + 1), zeros(2 * size), zeros(0)]),
      { what: `${name} is detached`, kind: 'range', change: { [name]: () => detach(zeros(size)) } },
      {
        what: `${name} is resizable`,
        kind: 'range',
        change: { [name]: () => new Float32Array(resizable(4 * size)) },
      },
    ]),
    // The type of a call is that of u.
    ...wrong('u', 'type', [new Float64Array(VALUES)], 'delta'),
    ...wrong('segmentIds', 'type', [null, zeros(6), [0, 0, 0, 0, 0, 0], new Uint32Array(6)]),
    ...wrong('segmentIds', 'range', [
      new Int32Array(5),
      Int32Array.of(0, 1, 0, 0, 0, 0),
      Int32Array.of(0, 0, 0, 3, 2, 2),
    ]),
  ]),
  ...['batch', 'dim', 'state'].flatMap((name) => [
    ...wrong(name, 'range', [0, -1, 1.5, NaN, Infinity, 2 ** 53], [name, 'u', 'groups']),
    ...wrong(name, 'type', [undefined, '3', null]),
  ]),
  ...wrong('batch', 'range', [1, 3, 2 ** 50], 'u'),
  ...wrong('length', 'range', [-1, 0.5, NaN, Infinity]),
  ...wrong('length', 'range', [0, 2, 4, 2 ** 52], 'u'),
  ...wrong('length', 'type', [undefined, '3', null]),
  ...wrong('state', 'range', [4, 6], 'A'),
  ...wrong('groups', 'range', [0, 3, 8, 1.5, -2]),
  ...wrong('groups', 'range', [1, 4], 'B'),
  ...wrong('groups', 'type', ['2', null]),
  ...wrong('layout', 'range', ['rows', '', 'time', 5]),
  ...wrong('discretization', 'range', ['none', 'tustin', 1]),
  ...wrong('powers', 'range', ['always', true]),
  ...['variableB', 'variableC', 'complex', 'deltaSoftplus'].flatMap((name) =>
    wrong(name, 'type', [0, 1, 'yes']),
  ),
  ...wrong('variableB', 'range', [false], 'B'),
  ...wrong('variableC', 'range', [false], 'C'),
  // Real numbers where complex ones are announced: half as many as needed.
  ...wrong('complex', 'type', [true], 'A'),
  ...wrong('dtype', 'range', ['bf16', 'f64', 'i8']),
  ...wrong('threads', 'range', [0, -1, 1.5, NaN]),
];

const forward: GoodCall = {
  name: 'selectiveScan',
  arrays: () => ({ input: arrays() }),
  options: () => ({ ...shape, out }),
};
const backward: GoodCall = {
  name: 'selectiveScanBackward',
  arrays: () => ({ input: arrays(), gout: zeros(VALUES) }),
  options: () => ({ ...shape, glast: zeros(BATCH * WEIGHTS), checkpoints: zeros(BATCH * WEIGHTS) }),
};

describe('selectiveScan', () => {
  refuses(
    [
      ...badCalls(forward, both),
      ...badCalls(forward, [
        ...wrong('out', 'type', [null, [], new Float64Array(VALUES), new Uint16Array(VALUES)]),
        ...wrong('out', 'range', [zeros(VALUES - 1), zeros(VALUES + 1)]),
        ...['returnLastState', 'segmentStates', 'saveCheckpoints'].flatMap((name) =>
          wrong(name, 'type', [1, 'yes']),
        ),
      ]),
      ...['u', 'delta', 'B', 'C', 'z'].map((name) => {
        const memory = zeros(200);
        return {
          what: `out overlaps ${name}`,
          name: 'selectiveScan',
          kind: 'range' as const,
          blames: 'out',
          args: () => [
            { ...arrays(), [name]: memory.subarray(0, SIZES[name]) },
            { ...shape, out: memory.subarray(SIZES[name] - 1, SIZES[name] - 1 + VALUES) },
          ],
        };
      }),
    ],
    [out],
  );

  it('wants segmentIds for segmentStates', () => {
    const input = { ...arrays(), segmentIds: undefined } as unknown as Parameters<typeof selectiveScan>[0];
    expectThrown(() => selectiveScan(input, { ...shape, segmentStates: true }), 'type', 'segmentIds');
  });

  it('has no shared powers in float64', () => {
    const one = (): Float64Array => new Float64Array(1);
    const input = { u: one(), delta: one(), A: one(), B: one(), C: one() };
    const o = { batch: 1, dim: 1, length: 1, state: 1 };
    expectThrown(() => selectiveScan(input, { ...o, powers: 'auto' }), 'range', 'powers');
    expect(selectiveScan(input, { ...o, powers: 'never' }).out).toEqual(one());
  });

  it('takes complex numbers in pairs, and states in float32 next to 16-bit values', () => {
    const o = { batch: 1, dim: 1, length: 3, state: 1, complex: true };
    const input = { u: zeros(3), delta: zeros(3), A: zeros(2), B: zeros(6), C: zeros(6) };
    expectThrown(() => selectiveScan({ ...input, B: zeros(3) }, o), 'type', 'B');
    expectThrown(() => selectiveScan({ ...input, C: zeros(5) }, o), 'range', 'C');
    expectThrown(() => selectiveScan({ ...input, initialState: zeros(1) }, o), 'type', 'initialState');
    const half = (count: number): Uint16Array => new Uint16Array(count);
    const short = { u: half(3), delta: half(3), A: zeros(1), B: half(3), C: half(3) };
    const real = { ...o, complex: false, dtype: 'bf16' as const };
    const state = { ...short, initialState: half(1) as unknown as Float32Array };
    expectThrown(() => selectiveScan<Uint16Array>(state, real), 'type', 'initialState');
    expectThrown(() => selectiveScan<Uint16Array>(short, { ...real, dtype: undefined }), 'type', 'u');
    expect(selectiveScan<Uint16Array>(short, real).out).toEqual(half(3));
  });
});

describe('selectiveScanBackward', () => {
  refuses(
    [
      ...badCalls(backward, both),
      ...badCalls(backward, [
        ...wrong('gout', 'type', [undefined, null, [], new Float64Array(VALUES)]),
        ...wrong('gout', 'range', [zeros(VALUES - 1), zeros(VALUES + 1)]),
        ...wrong('glast', 'type', [null, [], new Float64Array(BATCH * WEIGHTS)]),
        ...wrong('glast', 'range', [zeros(WEIGHTS), zeros(0)]),
        ...wrong('out', 'type', [5, zeros(3)], 'options'),
        ...wrong('out', 'type', [{ du: new Float64Array(VALUES) }, { du: [] }], 'du'),
        ...wrong('out', 'range', [{ dA: zeros(WEIGHTS + 1) }, { dA: zeros(0) }], 'dA'),
        ...wrong('out', 'range', [{ dInitialState: zeros(WEIGHTS) }], 'dInitialState'),
        ...wrong('checkpoints', 'type', [null, [], new Float64Array(BATCH * WEIGHTS)]),
        ...wrong('checkpoints', 'range', [zeros(WEIGHTS), zeros(2 * BATCH * WEIGHTS), zeros(0)]),
      ]),
    ],
    [],
  );
});
