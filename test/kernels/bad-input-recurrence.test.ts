import { badCalls, refuses, wrong, type Change, type GoodCall } from '../helpers/bad-calls.js';
import { detach, expectRefused, resizable } from '../helpers/errors.js';

// What a refused call must not have written to.
const out = new Float32Array(24);

const f32 = (length: number): Float32Array => new Float32Array(length).fill(0.5);
const sizes = (name: string, least: 0 | 1): Change[] => [
  ...wrong(name, 'type', ['4', undefined]),
  ...wrong(name, 'range', [-1, 1.5, NaN, ...(least ? [0] : [])]),
];
/** Wrong values of an array of `length` elements. */
const array = (name: string, length: number): Change[] => [
  ...wrong(name, 'type', [new Float64Array(length), Array.from({ length }, () => 0), new Int32Array(length)]),
  ...wrong(name, 'range', [f32(length + 1), f32(length - 1)]),
  { what: `${name} is detached`, kind: 'range', blames: name, change: { [name]: () => detach(f32(length)) } },
  {
    what: `${name} is resizable`,
    kind: 'range',
    blames: name,
    change: { [name]: () => new Float32Array(resizable(4 * length)) },
  },
];
const common: Change[] = [
  ...wrong('threads', 'range', [0, -1, 1.5]),
  ...wrong('threads', 'type', ['2']),
  ...array('out', 24),
];
const later = (changes: Change[], ...names: string[]): Change[] =>
  changes.filter(({ change }) => !names.some((name) => name in change));

describe('linearRecurrence', () => {
  const good: GoodCall = {
    name: 'linearRecurrence',
    arrays: () => ({ a: f32(24), b: f32(24) }),
    options: () => ({ batch: 2, length: 3, width: 4, initial: f32(8), out }),
  };
  const overlap = f32(48);
  refuses(
    badCalls(good, [
      ...common,
      ...sizes('length', 0),
      ...sizes('width', 0),
      ...wrong('batch', 'range', [-1, 0.5]),
      ...wrong('form', 'range', ['dense', 1]),
      ...wrong('reverse', 'type', [1, 'yes']),
      // Of the first array the type decides what the others must be.
      ...later(array('a', 24), 'a').concat(wrong('a', 'range', [f32(23), f32(25)])),
      ...wrong('a', 'type', [[1, 2], new Int32Array(24), undefined]),
      ...array('b', 24),
      ...array('initial', 8),
      { what: 'scalar decays for every element', kind: 'range', blames: 'a', change: { form: 'scalar' } },
      {
        what: 'out overlaps a',
        kind: 'range',
        blames: 'out',
        change: { a: overlap.subarray(0, 24), out: overlap.subarray(20, 44) },
      },
    ]),
    [out],
  );
});

/** A wrong call of a function whose arrays are properties of its first argument. */
function ofInput(
  name: string,
  before: () => unknown[],
  input: () => Record<string, unknown>,
  after: () => unknown[],
  options: () => Record<string, unknown>,
  changes: readonly Change[],
): void {
  it.each(changes.map((change) => [change.what, change] as const))(`${name}: %s`, async (_, each) => {
    out.fill(7);
    const arrays = input();
    const o = options();
    const first = before();
    for (const [key, value] of Object.entries(each.change)) {
      const made: unknown = typeof value === 'function' ? (value as () => unknown)() : value;
      if (key === 'state' && first.length > 0 && typeof made === 'object') first[0] = made;
      else if (key in arrays) arrays[key] = made;
      else o[key] = made;
    }
    await expectRefused({
      what: each.what,
      name,
      kind: each.kind,
      blames: each.blames ?? Object.keys(each.change),
      args: () => [...first, arrays, ...after(), o],
    });
    expect(out.every((value) => value === 7)).toBe(true);
  });
}

describe('deltaRuleRecurrence', () => {
  ofInput(
    'deltaRuleRecurrence',
    () => [],
    () => ({ q: f32(12), k: f32(12), v: f32(24), beta: f32(6), alpha: f32(6), initialState: f32(16) }),
    () => [],
    () => ({ batch: 1, length: 3, heads: 2, keyDim: 2, valueDim: 4, out }),
    [
      ...common,
      ...sizes('length', 0),
      ...sizes('keyDim', 1),
      ...sizes('valueDim', 1),
      ...wrong('heads', 'range', [0, -2]),
      ...wrong('q', 'type', [[1], undefined]),
      ...wrong('q', 'range', [f32(11)]),
      ...array('k', 12),
      ...array('v', 24),
      ...array('beta', 6),
      ...array('alpha', 6),
      ...array('initialState', 16),
      ...wrong('returnLastState', 'type', [1]),
    ],
  );
});

describe('selectiveStateUpdate', () => {
  const twice = wrong('stateIndices', 'range', [
    Int32Array.of(0, 0),
    Int32Array.of(0, 2),
    Int32Array.of(0),
    Int32Array.of(0, 1, -1),
  ]);
  ofInput(
    'selectiveStateUpdate',
    () => [f32(48)],
    () => ({
      ...{ x: f32(24), dt: f32(8), A: f32(4), B: f32(8), C: f32(8), D: f32(4), z: f32(24) },
      ...{ dtBias: f32(12), stateIndices: undefined },
    }),
    () => [],
    () => ({ batch: 2, dim: 12, state: 2, heads: 4, groups: 2, out }),
    [
      ...common,
      ...sizes('batch', 0),
      ...sizes('dim', 1),
      ...wrong('state', 'range', [0, -1, f32(47), f32(49)]),
      ...wrong('state', 'type', ['2', new Int32Array(48), [1]]),
      ...wrong('heads', 'range', [0, 5]),
      ...wrong('groups', 'range', [0, 3]),
      ...array('x', 24),
      ...array('B', 8),
      ...array('C', 8),
      ...array('z', 24),
      ...['dt', 'A', 'D', 'dtBias'].flatMap((name) => [
        ...wrong(name, 'range', [f32(5)]),
        ...wrong(name, 'type', [new Float64Array(12)]),
      ]),
      ...twice,
      ...wrong('stateIndices', 'type', [[0, 1], new Float32Array(2)]),
      ...wrong('dtSoftplus', 'type', [1]),
    ],
  );
});

describe('causalConv1d', () => {
  const input = () => ({ x: f32(24), weight: f32(16), bias: f32(4), initialState: f32(12) });
  const changes = [
    ...common,
    ...sizes('dim', 1),
    ...sizes('width', 1),
    ...wrong('width', 'range', [1, 9]),
    ...wrong('activation', 'range', ['relu']),
    ...wrong('x', 'type', [[1], undefined]),
    ...wrong('x', 'range', [f32(23)]),
    ...array('weight', 16),
    ...array('bias', 4),
  ];
  ofInput(
    'causalConv1d',
    () => [],
    input,
    () => [],
    () => ({ batch: 1, dim: 4, length: 6, width: 4, out }),
    [
      ...changes,
      ...sizes('length', 0),
      ...array('initialState', 12),
      ...wrong('layout', 'range', ['rows']),
      ...wrong('returnFinalState', 'type', ['yes']),
    ],
  );
  ofInput(
    'causalConv1dUpdate',
    () => [f32(6 * 12)],
    input,
    () => [],
    () => ({ batch: 6, dim: 4, width: 4, out }),
    [...changes, ...wrong('state', 'range', [f32(71)]), ...wrong('state', 'type', [new Float64Array(72)])],
  );
  ofInput(
    'causalConv1dBackward',
    () => [],
    input,
    () => [f32(23)],
    () => ({ batch: 1, dim: 4, length: 6, width: 4 }),
    [{ what: 'a gradient that is too short', kind: 'range', blames: 'gout', change: {} }],
  );
});

describe('ssdScan', () => {
  ofInput(
    'ssdScan',
    () => [],
    () => ({
      ...{ x: f32(24), dt: f32(12), A: f32(4), B: f32(12), C: f32(12), D: f32(4), z: f32(24) },
      ...{ dtBias: f32(4), initialState: f32(16), segmentIds: undefined },
    }),
    () => [],
    () => ({ batch: 1, length: 3, heads: 4, headDim: 2, state: 2, groups: 2, out }),
    [
      ...common,
      ...sizes('batch', 1),
      ...sizes('length', 0),
      ...sizes('heads', 1),
      ...sizes('headDim', 1),
      ...sizes('state', 1),
      ...wrong('groups', 'range', [0, 3]),
      ...wrong('chunk', 'range', [0, -1, 1.5, 257]),
      ...wrong('dtLimit', 'range', [
        [1, 0],
        [NaN, 1],
      ]),
      ...wrong('dtLimit', 'type', [1, [0], ['0', 1]]),
      ...wrong('dtSoftplus', 'type', [0]),
      ...wrong('method', 'range', ['fast']),
      ...wrong('x', 'type', [[1], undefined]),
      ...wrong('x', 'range', [f32(23)]),
      ...array('dt', 12),
      ...array('A', 4),
      ...array('B', 12),
      ...array('C', 12),
      ...wrong('D', 'range', [f32(5)]),
      ...array('z', 24),
      ...array('dtBias', 4),
      ...array('initialState', 16),
      ...wrong('segmentIds', 'type', [[0, 0, 1], new Float32Array(3)]),
      ...wrong('segmentIds', 'range', [Int32Array.of(0, 1), Int32Array.of(1, 0, 1)]),
    ],
  );
});

describe('ltiScan', () => {
  ofInput(
    'ltiScan',
    () => [],
    () => ({
      u: f32(24),
      delta: f32(4),
      A: f32(16),
      B: f32(16),
      C: f32(16),
      D: f32(4),
      initialState: undefined,
    }),
    () => [],
    () => ({ batch: 2, dim: 4, length: 3, state: 2, complex: true, out }),
    [
      ...common,
      ...sizes('dim', 1),
      ...sizes('length', 0),
      ...sizes('state', 1),
      ...wrong('batch', 'range', [-1]),
      ...wrong('discretization', 'range', ['forward']),
      ...wrong('complex', 'type', [1]),
      ...wrong('u', 'type', [[1], undefined]),
      ...wrong('u', 'range', [f32(23)]),
      ...array('delta', 4),
      ...array('A', 16),
      ...array('B', 16),
      ...array('C', 16),
      ...array('D', 4),
      ...array('initialState', 32),
      // Real numbers where complex ones are due.
      ...wrong('A', 'type', [f32(8)]),
      {
        what: 'steps of a discrete system',
        kind: 'type',
        blames: 'delta',
        change: { discretization: 'none' },
      },
      {
        what: 'a convolution that is to return a state',
        kind: 'range',
        blames: 'method',
        change: { method: 'convolution', returnLastState: true },
      },
      ...wrong('method', 'range', ['fft']),
    ],
  );
});
