import { embed, gemm, packWeights, PackedWeights, packWeightRows, quantizeWeights } from '../../lib/index.js';
import { badCalls, type GoodCall, refuses, wrong } from '../helpers/bad-calls.js';
import { detach, resizable } from '../helpers/errors.js';
import { expectThrown } from '../helpers/refused.js';

const [M, N, K] = [3, 5, 4];
// What a refused call must not have written to.
const out = new Float32Array(M * N);
const buffer = new Float32Array(64);

const stored: GoodCall = {
  name: 'gemm',
  arrays: () => ({ a: new Float32Array(M * K), w: new Float32Array(N * K) }),
  options: () => ({ m: M, n: N, k: K, out }),
};
const packed: GoodCall = {
  name: 'gemm',
  arrays: () => ({ a: new Float32Array(M * K), w: packWeights(new Float32Array(N * K), { n: N, k: K }) }),
  options: () => ({ m: M, out }),
};

const sizes = [0, -1, 1.5, NaN, Infinity, 2 ** 53];

describe('gemm', () => {
  refuses(
    [
      ...badCalls(stored, [
        ...wrong('a', 'type', [undefined, null, [1, 2], new Float64Array(12), new Int8Array(12), 5]),
        ...wrong('a', 'range', [new Float32Array(11)], ['a', 'm', 'k']),
        {
          what: 'a is detached',
          kind: 'range',
          blames: ['a', 'm'],
          change: { a: () => detach(new Float32Array(12)) },
        },
        { what: 'a is resizable', kind: 'range', change: { a: () => new Float32Array(resizable(48)) } },
        ...wrong('w', 'type', [undefined, null, [1, 2], new Float64Array(20), new Int32Array(20), {}]),
        ...wrong('w', 'range', [new Float32Array(19)], ['w', 'n', 'k']),
        ...wrong('w', 'type', [new Uint16Array(20)], ['w', 'type']),
        ...wrong('m', 'range', sizes, ['m', 'a']),
        ...wrong('n', 'range', sizes, ['n', 'w']),
        ...wrong('k', 'range', sizes, ['k', 'w', 'a']),
        ...['m', 'n', 'k'].map((name) => ({
          what: `${name} of 2^40 without out`,
          kind: 'range' as const,
          blames: ['a', 'w'],
          change: { [name]: 2 ** 40, out: undefined },
        })),
        {
          what: 'scales of float32 weights',
          kind: 'type',
          blames: 'scales',
          change: { scales: new Float32Array(N) },
        },
        ...wrong('m', 'type', ['3', null, {}]),
        ...wrong('type', 'range', ['f64', 'f8', '', 'constructor']),
        ...wrong('kernel', 'range', ['fast', '', 'gemm', 'toString']),
        ...wrong('activation', 'range', ['swish', '', 'GELU']),
        ...wrong('prefetch', 'type', ['yes', 1]),
        ...wrong('threads', 'range', [0, -1, 1.5, NaN]),
        ...wrong('threads', 'type', ['2']),
        ...wrong('bias', 'type', [[1, 2, 3, 4, 5], new Float64Array(5)]),
        ...wrong('bias', 'range', [new Float32Array(4)]),
        ...wrong('residual', 'type', [[1], new Float64Array(15)]),
        ...wrong('residual', 'range', [new Float32Array(14)]),
        ...wrong('out', 'type', [[], new Float64Array(15), null]),
        ...wrong('out', 'range', [out.subarray(1)]),
        {
          what: 'int8 weights without scales',
          kind: 'type',
          blames: 'scales',
          change: { w: new Int8Array(20), type: 'int8' },
        },
        {
          what: 'too few scales',
          kind: 'range',
          blames: 'scales',
          change: { w: new Int8Array(20), type: 'int8', scales: new Float32Array(4) },
        },
        {
          what: 'out overlaps a',
          kind: 'range',
          blames: 'out',
          change: { a: () => buffer.subarray(0, 12), out: () => buffer.subarray(4, 19) },
        },
        {
          what: 'out overlaps w',
          kind: 'range',
          blames: 'out',
          change: { w: () => buffer.subarray(0, 20), out: () => buffer.subarray(19, 34) },
        },
        {
          what: 'out overlaps bias',
          kind: 'range',
          blames: 'out',
          change: { bias: () => buffer.subarray(3, 8), out: () => buffer.subarray(0, 15) },
        },
        {
          what: 'out is not quite residual',
          kind: 'range',
          blames: ['out', 'residual'],
          change: { residual: () => buffer.subarray(1, 16), out: () => buffer.subarray(0, 15) },
        },
      ]),
      ...badCalls(packed, [
        ...wrong('n', 'range', [4, 6]),
        ...wrong('k', 'range', [3, 5]),
        ...wrong('type', 'range', ['bf16']),
        ...wrong('scales', 'type', [new Float32Array(N)]),
        {
          what: 'scales beside packed int8 weights, which have their own',
          kind: 'type',
          blames: 'scales',
          change: {
            w: () => packWeights(new Float32Array(N * K), { n: N, k: K, to: 'int8' }),
            scales: new Float32Array(N),
          },
        },
        {
          what: 'm of 2^40 without out',
          kind: 'range',
          blames: 'a',
          change: { m: 2 ** 40, out: undefined },
        },
        ...wrong('m', 'range', [2, 4], ['m', 'a', 'out']),
        ...wrong('a', 'range', [new Float32Array(11)], ['a', 'm']),
      ]),
    ],
    [out, buffer],
  );

  it('a number of rows that the array does not hold is named with what it holds', () => {
    expect(() =>
      gemm(new Float32Array(8), packWeights(new Float32Array(4), { n: 1, k: 4 }), { m: 3 }),
    ).toThrow(/3 rows of 4/);
  });
});

describe('packWeights', () => {
  const pack: GoodCall = {
    name: 'packWeights',
    arrays: () => ({ w: new Float32Array(N * K) }),
    options: () => ({ n: N, k: K }),
  };
  refuses(
    [
      ...badCalls(pack, [
        ...wrong('w', 'type', [undefined, null, [1], new Float64Array(20), new Uint8Array(20)]),
        ...wrong('w', 'range', [new Float32Array(19), new Float32Array(21)], ['w', 'n', 'k']),
        ...wrong('w', 'type', [new Uint16Array(20)], ['w', 'type']),
        ...wrong('n', 'range', sizes, ['n', 'w']),
        ...wrong('k', 'range', sizes, ['k', 'w']),
        ...wrong('n', 'type', ['5', null, undefined]),
        ...wrong('type', 'range', ['f64', '']),
        ...wrong('threads', 'range', [0, 2.5]),
        {
          what: 'int8 without scales',
          kind: 'type',
          blames: 'scales',
          change: { w: new Int8Array(20), type: 'int8' },
        },
        {
          what: 'too few scales',
          kind: 'range',
          blames: 'scales',
          change: { w: new Int8Array(20), type: 'int8', scales: new Float32Array(4) },
        },
      ]),
    ],
    [],
  );

  it('scales of weights that have none are refused, not passed over', () => {
    const scales = new Float32Array(N);
    const w = new Float32Array(N * K);
    const shape = { n: N, k: K, scales };
    expectThrown(() => packWeights(w, shape), 'type', 'scales');
    expectThrown(() => packWeights(w, { ...shape, to: 'int8' }), 'type', 'scales');
    expectThrown(() => packWeights(new Uint16Array(N * K), { ...shape, type: 'bf16' }), 'type', 'scales');
    expectThrown(() => quantizeWeights(w, shape), 'type', 'scales');
    for (const type of ['f32', 'int8'] as const) {
      const target = PackedWeights.allocate({ n: N, k: K, type });
      expectThrown(() => packWeightRows(target, w, { scales }), 'type', 'scales');
      expectThrown(() => embed(target, Int32Array.of(0), shape), 'type', 'scales');
    }
    expectThrown(() => embed(w, Int32Array.of(0), shape), 'type', 'scales');
  });

  it('quantizeWeights checks what it is given', () => {
    const quantize = (w: unknown, change: object = {}): (() => unknown) => {
      return () => quantizeWeights(w as Float32Array, { n: N, k: K, ...change });
    };
    for (const w of [undefined, [1], new Float64Array(20)]) expectThrown(quantize(w), 'type', 'w');
    expectThrown(quantize(new Float32Array(19)), 'range', 'w');
    for (const n of [0, 1.5, NaN]) expectThrown(quantize(new Float32Array(20), { n }), 'range', 'n');
    for (const bad of [NaN, Infinity]) {
      const w = new Float32Array(20);
      w[13] = bad;
      expectThrown(quantize(w), 'range', 'w');
    }
  });

  it('packWeightRows keeps to its matrix', () => {
    const target = PackedWeights.allocate({ n: 5, k: 4, type: 'f32' });
    const w = new Float32Array(8).fill(7);
    const rows = (change: object): (() => unknown) => {
      return () => packWeightRows(target, w, { row: 0, rows: 2, ...change });
    };
    for (const row of [-1, 0.5, NaN]) expectThrown(rows({ row }), 'range', 'row');
    for (const row of [4, 5, 2 ** 32]) {
      expect(rows({ row })).toThrow(expect.objectContaining({ code: 'ERR_OUT_OF_RANGE' }) as Error);
    }
    for (const count of [-1, 3, 1, 0.5, NaN]) {
      expect(rows({ rows: count })).toThrow(expect.objectContaining({ code: 'ERR_OUT_OF_RANGE' }) as Error);
    }
    expectThrown(rows({ row: '0' }), 'type', 'row');
    expectThrown(() => packWeightRows({} as PackedWeights, w, { row: 0, rows: 2 }), 'type', 'target');
    expect(target.data.every((value) => value === 0)).toBe(true);
  });

  it('PackedWeights.row keeps to its matrix', () => {
    const weights = packWeights(new Float32Array(20), { n: 5, k: 4 });
    for (const row of [-1, 5, 31, 0.5, NaN]) {
      expect(() => weights.row(row)).toThrow(expect.objectContaining({ code: 'ERR_OUT_OF_RANGE' }) as Error);
    }
  });
});

describe('embed', () => {
  const gather: GoodCall = {
    name: 'embed',
    arrays: () => ({ table: new Float32Array(20), tokens: Int32Array.of(0, 4, 2) }),
    options: () => ({ n: 5, k: 4 }),
  };
  refuses(
    [
      ...badCalls(gather, [
        ...wrong('tokens', 'type', [undefined, [0, 1, 2], new Float32Array(3)]),
        ...wrong('tokens', 'range', [Int32Array.of(0, 5, 2), Int32Array.of(0, -1, 2)]),
        ...wrong('table', 'type', [undefined, [1], new Float64Array(20)]),
        ...wrong('table', 'range', [new Float32Array(19)], ['table', 'n', 'k']),
      ]),
    ],
    [],
  );
});
