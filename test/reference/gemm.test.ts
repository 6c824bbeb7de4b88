import { expectClose, expectNear } from '../helpers/compare.js';
import { flashFixture, type GemmCase } from '../helpers/flash-fixtures.js';
import { erfc, gelu, geluTanh, silu } from './activations.js';
import { ACTIVATIONS, gemm, widenWeights } from './gemm.js';

it.each(flashFixture<GemmCase[]>('flat-gemm'))(
  'm $m, n $n, k $k, $weightType: the sums of the fixtures',
  (c) => {
    const w = widenWeights((c.w ?? c.wBits)?.data ?? [], c.k, c.weightType);
    const { y, absSum } = gemm(c.a.data, w, c);
    expectClose(y, c.c.data, (i) => 1e-13 * c.absSum.data[i], 'c');
    // The fixtures give these to six decimals.
    expectClose(absSum, c.absSum.data, () => 6e-7, 'absSum');
  },
);

it('int8 weights are worth their row scale', () => {
  expect([...widenWeights([1, -127, 3, 4], 2, 'int8', [0.5, 0.25])]).toEqual([0.5, -63.5, 0.75, 1]);
});

it('bias comes before the activation, the residual after it', () => {
  const o = { m: 1, n: 2, k: 1, bias: [1, -3], residual: [10, 20], activation: 'relu' } as const;
  expect([...gemm([2], [1, 1], o).y]).toEqual([13, 20]);
});

it('erfc has the values of the tables', () => {
  // Abramowitz and Stegun, table 7.1 and 7.2, and mpmath at 30 digits.
  const known: [number, number][] = [
    [0, 1],
    [0.5, 0.4795001221869535],
    [1, 0.15729920705028513],
    [2, 0.004677734981047266],
    [3, 2.209049699858544e-5],
    [5, 1.5374597944280349e-12],
    [-1, 1.8427007929497148],
    [-4, 1.9999999845827421],
  ];
  for (const [x, value] of known) expectNear(erfc(x), value, 4e-16 + 1e-14 * value, `erfc(${x})`);
});

it('activations at 0, far below and far above', () => {
  for (const f of [silu, gelu, geluTanh, ACTIVATIONS.relu]) {
    expect(f(0)).toBe(0);
    expectNear(f(40), 40, 1e-12);
    expectNear(f(-40), 0, 1e-12);
  }
  expectNear(silu(1), 0.7310585786300049, 1e-15);
  expectNear(gelu(1), 0.8413447460685429, 1e-15);
  expectNear(geluTanh(1), 0.8411919906082768, 1e-15);
});
