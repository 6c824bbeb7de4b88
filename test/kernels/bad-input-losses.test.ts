import * as softlane from '../../lib/index.js';
import { type BadCall, detach, expectArgumentError, expectRefused, resizable } from '../helpers/errors.js';
import { POISON } from '../helpers/rows.js';

// Outputs that a refused call must not have written to. They are filled anew before each test.
const gradient = new Float32Array(12);
const buffer = new Float32Array(40);

const x = (): Float32Array => Float32Array.from({ length: 12 }, (_, i) => i);
const targets = (...values: number[]): Int32Array => Int32Array.from(values);

/** A wrong call of crossEntropy on three rows of four. */
function loss(
  what: string,
  kind: BadCall['kind'],
  blames: BadCall['blames'],
  change: Record<string, unknown>,
  ids: () => unknown = () => targets(0, 1, 2),
): BadCall {
  return {
    what,
    name: 'crossEntropy',
    kind,
    blames,
    args: () => [x(), ids(), { rows: 3, gradient, ...change }],
  };
}

const losses: BadCall[] = [
  loss('targets are plain numbers', 'type', 'targets', {}, () => [0, 1, 2]),
  loss('targets are unsigned', 'type', 'targets', {}, () => new Uint32Array(3)),
  loss('targets are floats', 'type', 'targets', {}, () => new Float32Array(3)),
  loss('no targets', 'type', 'targets', {}, () => undefined),
  loss('too few targets', 'range', 'targets', {}, () => targets(0, 1)),
  loss('too many targets', 'range', 'targets', {}, () => targets(0, 1, 2, 3)),
  loss('targets are detached', 'range', 'targets', {}, () => detach(targets(0, 1, 2))),
  loss('targets are resizable', 'range', 'targets', {}, () => new Int32Array(resizable(12))),
  loss('a target beyond the classes', 'range', 'targets', {}, () => targets(0, 4, 2)),
  loss('a target below 0', 'range', 'targets', {}, () => targets(0, 1, -1)),
  loss('-100 when another index is ignored', 'range', 'targets', { ignoreIndex: 3 }, () =>
    targets(0, -100, 2),
  ),
  ...[-0.1, 1, 1.5, NaN, Infinity].map((value) =>
    loss(`labelSmoothing: ${value}`, 'range', 'labelSmoothing', { labelSmoothing: value }),
  ),
  loss("labelSmoothing: '0.1'", 'type', 'labelSmoothing', { labelSmoothing: '0.1' }),
  ...[0.5, NaN, Infinity, 2 ** 31].map((value) =>
    loss(`ignoreIndex: ${value}`, 'range', 'ignoreIndex', { ignoreIndex: value }),
  ),
  loss("ignoreIndex: '0'", 'type', 'ignoreIndex', { ignoreIndex: '0' }),
  loss('an unknown reduction', 'range', 'reduction', { reduction: 'average' }),
  loss('gradient is float64', 'type', 'gradient', { gradient: new Float64Array(12) }),
  loss('gradient is a plain array', 'type', 'gradient', { gradient: [] }),
  loss('gradient is too short', 'range', 'gradient', { gradient: new Float32Array(11) }),
  loss('gradient is resizable', 'range', 'gradient', { gradient: new Float32Array(resizable(48)) }),
  loss('rowScale is float64', 'type', 'rowScale', { rowScale: new Float64Array(3) }),
  loss('rowScale is too short', 'range', 'rowScale', { rowScale: new Float32Array(2) }),
  loss('temperature: 0', 'range', 'temperature', { temperature: 0 }),
  loss('threads: 0', 'range', 'threads', { threads: 0 }),
  loss('rows that do not divide', 'range', 'rows', { rows: 5 }),
  {
    what: 'gradient overlaps x',
    name: 'crossEntropy',
    kind: 'range',
    blames: 'gradient',
    args: () => [buffer.subarray(0, 12), targets(0, 1, 2), { rows: 3, gradient: buffer.subarray(4, 16) }],
  },
  {
    what: 'gradient is x, whose rows lie further apart',
    name: 'crossEntropy',
    kind: 'range',
    blames: 'gradient',
    args: () => [buffer, targets(0, 1, 2), { rows: 3, cols: 4, rowStride: 6, gradient: buffer }],
  },
  {
    what: 'gradient begins where rowScale does',
    name: 'crossEntropy',
    kind: 'range',
    blames: 'gradient',
    args: () => [
      x(),
      targets(0, 1, 2),
      { rows: 3, gradient: buffer.subarray(0, 12), rowScale: buffer.subarray(0, 3) },
    ],
  },
  {
    what: 'gradient lies on the targets',
    name: 'crossEntropy',
    kind: 'range',
    blames: 'gradient',
    args: () => [
      x(),
      new Int32Array(buffer.buffer, 0, 3).fill(-100),
      { rows: 3, gradient: buffer.subarray(0, 12), ignoreIndex: -100 },
    ],
  },
];

/** Wrong calls of one backward form whose arguments are two arrays of one type and length. */
function backward(name: string, [first, second]: readonly [string, string]): BadCall[] {
  const call = (
    what: string,
    kind: BadCall['kind'],
    blames: BadCall['blames'],
    ...args: unknown[]
  ): BadCall => ({
    what,
    name,
    kind,
    blames,
    args: () => args,
  });
  const out = gradient;
  return [
    call(`${first} is a plain array`, 'type', first, [1], x(), { out }),
    call(`${second} is a plain array`, 'type', second, x(), [1], { out }),
    call(`${second} is of another type`, 'type', second, x(), new Int32Array(12), { out }),
    call(`${second} is too short`, 'range', second, x(), new Float32Array(11), { out }),
    call('rows that do not divide', 'range', 'rows', x(), x(), { rows: 5, out }),
    call('temperature: -1', 'range', 'temperature', x(), x(), { temperature: -1, out }),
    call('out is float64', 'type', 'out', x(), x(), { out: new Float64Array(12) }),
    call('out is too short', 'range', 'out', x(), x(), { out: new Float32Array(11) }),
    call(`out overlaps ${first}`, 'range', 'out', buffer.subarray(0, 12), x(), {
      out: buffer.subarray(2, 14),
    }),
    call(`out overlaps ${second}`, 'range', 'out', x(), buffer.subarray(0, 12), {
      out: buffer.subarray(2, 14),
    }),
    call(`${first} is resizable`, 'range', first, new Float32Array(resizable(48)), x(), { out }),
    call(`${second} is detached`, 'range', second, x(), detach(new Float32Array(12)), { out }),
  ];
}

const pair = (mantissas: number, exponents = mantissas): Record<string, Float32Array> => ({
  mantissa: new Float32Array(mantissas),
  exponent: new Float32Array(exponents),
});

const others: BadCall[] = [
  ...backward('softmaxBackward', ['p', 'dp']),
  ...backward('logSoftmaxBackward', ['logp', 'dl']),
  {
    what: 'd is a plain array',
    name: 'logSumExpBackward',
    kind: 'type',
    blames: 'd',
    args: () => [x(), [1]],
  },
  {
    what: 'd is not one per row',
    name: 'logSumExpBackward',
    kind: 'range',
    blames: 'd',
    args: () => [x(), new Float64Array(2), { rows: 3, out: gradient }],
  },
  {
    what: 'out begins where d does',
    name: 'logSumExpBackward',
    kind: 'range',
    blames: 'out',
    args: () => {
      const both = new Float64Array(12);
      return [new Float64Array(12), both.subarray(0, 3), { rows: 3, out: both }];
    },
  },
  {
    what: 'out is x, whose rows lie further apart',
    name: 'logSumExpBackward',
    kind: 'range',
    blames: 'out',
    args: () => [buffer, new Float64Array(3), { rows: 3, cols: 4, rowStride: 6, out: buffer }],
  },
  { what: 'x is float64', name: 'extendedExp', kind: 'type', blames: 'x', args: () => [new Float64Array(3)] },
  { what: 'x is detached', name: 'extendedExp', kind: 'range', blames: 'x', args: () => [detach(x())] },
  {
    what: 'a is no pair',
    name: 'addExtended',
    kind: 'type',
    blames: ['a', 'a.mantissa'],
    args: () => [{}, pair(3)],
  },
  {
    what: 'lengths differ',
    name: 'addExtended',
    kind: 'range',
    blames: ['b', 'b.mantissa'],
    args: () => [pair(3), pair(4)],
  },
  {
    what: 'the parts of a pair differ in length',
    name: 'addExtended',
    kind: 'range',
    blames: ['a', 'a.mantissa', 'a.exponent'],
    args: () => [pair(3, 4), pair(3)],
  },
  {
    what: 'a is float32',
    name: 'mergeLogSumExp',
    kind: 'type',
    blames: 'a',
    args: () => [new Float32Array(3), new Float64Array(3)],
  },
  {
    what: 'lengths differ',
    name: 'mergeLogSumExp',
    kind: 'range',
    blames: 'b',
    args: () => [new Float64Array(3), new Float64Array(2)],
  },
];

describe.each([
  ['losses', losses],
  ['other calls', others],
])('wrong %s', (_topic, list) => {
  beforeEach(() => {
    gradient.fill(POISON);
    buffer.fill(POISON);
  });

  it.each(list)('$name: $what', async (call) => {
    await expectRefused(call);
    const poison = Math.fround(POISON);
    expect(gradient.every((value) => value === poison)).toBe(true);
    // The targets of one call lie in the first words of the buffer.
    expect(buffer.subarray(3).every((value) => value === poison)).toBe(true);
  });
});

it('a wrong target is named with its row and value', () => {
  const ids = targets(0, 1, 77);
  expect(() => softlane.crossEntropy(x(), ids, { rows: 3 })).toThrow(/77/);
  expect(() => softlane.crossEntropy(x(), ids, { rows: 3 })).toThrow(/row 2|\[2\]/);
});

it.each([
  ['setIsa', 'avx9', 'range'],
  ['setIsa', '', 'range'],
  ['setThreads', 0, 'range'],
  ['setThreads', 1.5, 'range'],
  ['setThreads', '2', 'type'],
] as const)('%s(%p) is refused', (name, value, kind) => {
  const before = [softlane.isa(), softlane.threads()];
  const call = softlane[name] as (argument: unknown) => void;
  let error: unknown;
  try {
    call(value);
  } catch (thrown) {
    error = thrown;
  }
  expectArgumentError(error, kind, name === 'setIsa' ? ['name', 'isa'] : ['n', 'threads', 'count']);
  expect([softlane.isa(), softlane.threads()]).toEqual(before);
});
