import { softAttention, softAttentionBackward, softAttentionBackwardAsync } from '../../lib/index.js';
import { badCalls, type GoodCall, refuses, wrong } from '../helpers/bad-calls.js';
import { expectRefused } from '../helpers/errors.js';
import { expectRejected, expectThrown } from '../helpers/refused.js';

const out = new Float32Array(12);

/** A right call of softAttention, 4 tokens of width 3, 2 landmarks, by its parts. */
const parts = () => ({
  q: new Float32Array(12).fill(0.5),
  landmarks: new Float32Array(6).fill(0.25),
  v: new Float32Array(12).fill(1),
});
const attention: GoodCall = {
  name: 'softAttention',
  arrays: () => ({ input: parts() }),
  options: () => ({ n: 4, m: 2, d: 3, out }),
};
const withPart = (change: Record<string, unknown>) => ({ input: { ...parts(), ...change } });

const newtonWrong = [
  ...wrong('m', 'range', [0, -1, 1.5, NaN]),
  ...wrong('m', 'type', ['2', undefined]),
  ...wrong('batch', 'range', [-1, 0.5]),
  ...wrong('iterations', 'range', [-1, 2.5, 10_001]),
  ...wrong('iterations', 'type', ['20']),
  ...wrong('ridge', 'range', [-0.01, NaN, Infinity]),
  ...wrong('ridge', 'type', ['0.1']),
  ...wrong('alpha', 'range', [0, -1, Infinity]),
  ...wrong('tolerance', 'range', [0, -1, NaN]),
  ...wrong('init', 'range', ['other', 7]),
  ...wrong('checkFinite', 'type', ['yes', 1]),
  ...wrong('threads', 'range', [0, -1]),
];

refuses(
  [
    ...badCalls(
      {
        name: 'newtonPseudoInverse',
        arrays: () => ({ A: new Float32Array([1, 0, 0, 1]) }),
        options: () => ({ m: 2, out: out.subarray(0, 4) }),
      },
      [
        ...newtonWrong,
        ...wrong('A', 'type', [[1, 0, 0, 1], new Int32Array(4), undefined]),
        ...wrong('A', 'range', [new Float32Array(3), new Float32Array(5)]),
        ...wrong('A', 'range', [new Float32Array([1, NaN, 0, 1]), new Float32Array([1, 0, -Infinity, 1])]),
        ...wrong('out', 'type', [new Float64Array(4)]),
        ...wrong('out', 'range', [new Float32Array(5)]),
      ],
    ),
    ...badCalls(
      {
        name: 'gaussianKernel',
        arrays: () => ({ a: new Float32Array(12), b: new Float32Array(6) }),
        options: () => ({ n: 4, m: 2, d: 3, out: out.subarray(0, 8) }),
      },
      [
        ...wrong('n', 'range', [0, -4]),
        ...wrong('m', 'range', [0, 2.5]),
        ...wrong('d', 'range', [0, -3]),
        ...wrong('scale', 'range', [0, -1, NaN]),
        ...wrong('a', 'type', [[1], new Uint16Array(12)]),
        ...wrong('a', 'range', [new Float32Array(11), new Float32Array(12).fill(NaN)]),
        ...wrong('b', 'type', [new Float64Array(6), null]),
        ...wrong('b', 'range', [new Float32Array(7), new Float32Array(6).fill(Infinity)]),
      ],
    ),
    ...badCalls(
      {
        name: 'gaussianAttention',
        arrays: () => ({ input: { q: new Float32Array(12), v: new Float32Array(12) } }),
        options: () => ({ n: 4, d: 3, out }),
      },
      [
        ...wrong('input', 'type', [undefined, null, 3]),
        ...wrong('n', 'range', [0]),
        ...wrong('dv', 'range', [-1]),
        ...wrong('heads', 'range', [0]),
        {
          what: 'short v',
          kind: 'range',
          blames: 'v',
          change: { input: { q: new Float32Array(12), v: out.slice(1) } },
        },
      ],
    ),
    ...badCalls(attention, [
      ...wrong('n', 'range', [0, -4, 1.5]),
      ...wrong('m', 'range', [0, 5]),
      ...wrong('d', 'range', [0]),
      ...wrong('dv', 'range', [0]),
      ...wrong('heads', 'range', [0, -1]),
      ...wrong('batch', 'range', [-1]),
      ...wrong('iterations', 'range', [-1]),
      ...wrong('ridge', 'range', [-1]),
      ...wrong('normalize', 'type', [1, 'yes']),
      ...wrong('allowMoreLandmarks', 'type', [1]),
      ...wrong('input', 'type', [undefined, null, 'q']),
      ...wrong('out', 'range', [new Float32Array(3)]),
      { what: 'mixed types', kind: 'type', blames: 'v', change: withPart({ v: new Float64Array(12) }) },
      { what: 'a list', kind: 'type', blames: 'q', change: withPart({ q: [1, 2, 3] }) },
      {
        what: 'landmarks short',
        kind: 'range',
        blames: 'landmarks',
        change: withPart({ landmarks: new Float32Array(5) }),
      },
      {
        what: 'NaN in v',
        kind: 'range',
        blames: 'v',
        change: withPart({ v: new Float32Array(12).fill(NaN) }),
      },
      {
        what: 'Infinity in q',
        kind: 'range',
        blames: 'q',
        change: withPart({ q: new Float32Array(12).fill(Infinity) }),
      },
    ]),
  ],
  [out],
);

it('more landmarks than tokens where they are allowed', () => {
  const input = {
    q: new Float64Array(3).fill(1),
    landmarks: new Float64Array(6).fill(1),
    v: new Float64Array(3).fill(1),
  };
  const result = softAttention(input, { n: 1, m: 2, d: 3, allowMoreLandmarks: true });
  expect(result.out.every(Number.isFinite)).toBe(true);
});

it('NaN passes through where it is not looked for, and sums too large are not taken for it', () => {
  const loose = { n: 4, m: 2, d: 3, checkFinite: false };
  const broken = { ...parts(), v: new Float32Array(12).fill(NaN) };
  expect(softAttention(broken, loose).out.every(Number.isNaN)).toBe(true);
  const huge = { ...parts(), v: new Float32Array(12).fill(3e38) };
  expect(() => softAttention(huge, { n: 4, m: 2, d: 3 })).not.toThrow();
});

describe('softAttentionBackward', () => {
  const { saved } = softAttention(parts(), { n: 4, m: 2, d: 3 });
  const good = new Float32Array(12);
  it.each([
    ['gradOut short', 'range', 'gradOut', [saved, new Float32Array(11)]],
    ['gradOut of another type', 'type', 'gradOut', [saved, new Float64Array(12)]],
    ['NaN in gradOut', 'range', 'gradOut', [saved, new Float32Array(12).fill(NaN)]],
    ['nothing saved', 'type', 'saved', [undefined, good]],
    ['an unknown gradient', 'range', 'gradient', [saved, good, { gradient: 'other' }]],
    ['no threads', 'range', 'threads', [saved, good, { threads: 0 }]],
    [
      'a short result',
      'range',
      'dq',
      [saved, good, { out: { dq: out.subarray(1), dLandmarks: out.subarray(0, 6), dv: out } }],
    ],
    ['a changed inverse', 'range', 'inverse', [{ ...saved, inverse: new Float64Array(3) }, good]],
  ] as const)('%s', async (what, kind, blames, args) => {
    expect(what).toBeTruthy();
    await expectRefused({ what, name: 'softAttentionBackward', kind, blames, args: () => args });
    const call = args as unknown as Parameters<typeof softAttentionBackward>;
    expectThrown(() => softAttentionBackward(...call), kind, blames);
    await expectRejected(async () => softAttentionBackwardAsync(...call), kind, blames);
  });
});
