import {
  addExtended,
  extendedExp,
  isa as isaInUse,
  type Isa,
  logSumExp,
  mergeLogSumExp,
  setIsa,
  softmax,
} from '../../lib/index.js';
import { LENGTHS } from '../helpers/algorithms.js';
import { expectClose, expectNear, expectSameBits } from '../helpers/compare.js';
import { type ExtendedCase, fixture } from '../helpers/fixtures.js';
import { ISAS, onEveryIsa, usable } from '../helpers/isa.js';
import { memo } from '../helpers/memo.js';
import { report } from '../helpers/report.js';
import { normalRow, shifted } from '../helpers/rows.js';
import { float32Range, ulpGauge } from '../helpers/ulp.js';
import * as reference from '../reference/extended.js';

const { ext, add } = fixture<ExtendedCase>('extended');

/** Fails unless mantissa * 2^exponent is the expected value; the exponent may be one apart, the mantissa then double or half. */
function expectPair(
  actual: { mantissa: Float32Array; exponent: Float32Array },
  index: number,
  expected: reference.Pair,
  relative: number,
): void {
  const difference = actual.exponent[index] - expected.exponent;
  expect([-1, 0, 1]).toContain(difference);
  const mantissa = actual.mantissa[index] * 2 ** difference;
  expectNear(mantissa, expected.mantissa, relative * expected.mantissa, 'mantissa');
}

/**
 * The worst error of extendedExp on every usable instruction set, in units of the last place: every 17th float32
 * in [-87.3, 88.7] from 2^-10 on, where the polynomial works; below, exp(x) is 1 + x, and every 4099th will do.
 */
const worstErrors = memo((): Partial<Record<Isa, { error: number; at: number }>> => {
  const before = isaInUse();
  const worst: Partial<Record<Isa, { error: number; at: number }>> = {};
  const tested = ISAS.filter(usable);
  for (const name of tested) worst[name] = { error: 0, at: 0 };
  const measure = (low: number, high: number, step: number, from: number): void => {
    for (const all of float32Range(low, high, step, 2 ** 16)) {
      const x = all.filter((value) => Math.abs(value) >= from);
      const expected = Float64Array.from(x).map(Math.exp);
      for (const name of tested) {
        setIsa(name);
        const { mantissa, exponent } = extendedExp(x);
        const gauge = ulpGauge();
        const found = worst[name] ?? { error: 0, at: 0 };
        for (let i = 0; i < x.length; i += 1) {
          const error = gauge(mantissa[i] * 2 ** exponent[i], expected[i]);
          if (!(error <= found.error)) [found.error, found.at] = [error, x[i]];
        }
      }
    }
  };
  measure(-(2 ** -10), 2 ** -10, 4099, 0);
  measure(-87.3, 88.7, 17, 2 ** -10);
  setIsa(before);
  return worst;
});

onEveryIsa((isa) => {
  it('gives the pairs of the worked example', () => {
    const pairs = extendedExp(Float32Array.of(1, 2, 3, 4));
    expect(Array.from(pairs.exponent)).toEqual([1, 3, 4, 6]);
    expectClose(pairs.mantissa, [1.359141, 0.923632, 1.2553461, 0.8530961], () => 3e-7);
  });

  it('gives the pairs of the fixtures', () => {
    const pairs = extendedExp(Float32Array.from(ext, ({ x }) => x));
    ext.forEach((expected, i) => expectPair(pairs, i, expected, 2.5e-7));
  });

  it('adds the pairs of the fixtures', () => {
    const pairs = (side: 'a' | 'b'): { mantissa: Float32Array; exponent: Float32Array } => ({
      mantissa: Float32Array.from(add, (c) => c[side].mantissa),
      exponent: Float32Array.from(add, (c) => c[side].exponent),
    });
    const sum = addExtended(pairs('a'), pairs('b'));
    add.forEach((expected, i) => {
      const log = reference.logOfPair({ mantissa: sum.mantissa[i], exponent: sum.exponent[i] });
      expectNear(log, expected.log, 1e-6, `sum ${i}`);
    });
  });

  it('zero is (0, -Infinity), and adding it changes nothing', () => {
    const zero = { mantissa: Float32Array.of(0), exponent: Float32Array.of(-Infinity) };
    expect(addExtended(zero, zero)).toEqual(zero);
    const pair = extendedExp(Float32Array.of(-1234));
    expect(addExtended(pair, zero)).toEqual(pair);
    expect(addExtended(zero, pair)).toEqual(pair);
  });

  it.each(LENGTHS)('has the same bits wherever the array starts, at length %i', (length) => {
    const x = normalRow(length, 40, length);
    const expected = extendedExp(x);
    expect([expected.mantissa.length, expected.exponent.length]).toEqual([length, length]);
    for (const offset of [1, 3, 7]) {
      const actual = extendedExp(shifted(x, offset).view);
      expectSameBits(actual.mantissa, expected.mantissa, `offset ${offset}`);
      expectSameBits(actual.exponent, expected.exponent, `offset ${offset}`);
    }
  });

  it('keeps its relative accuracy as far as pairs reach', () => {
    const x = Float32Array.from({ length: 100_000 }, (_, i) => (i - 50_000) * 2.6);
    const pairs = extendedExp(x);
    for (let i = 0; i < x.length; i += 1) {
      const expected = reference.extendedExp(x[i]);
      const actual = pairs.mantissa[i] * 2 ** (pairs.exponent[i] - expected.exponent);
      if (Math.abs(actual / expected.mantissa - 1) > 2.5e-7)
        throw new Error(`exp(${x[i]}) is off: ${actual}`);
    }
  });

  it('is within 2 units of the last place wherever float32 holds the value', () => {
    const { error, at } = worstErrors()[isa] ?? { error: NaN, at: NaN };
    report(`exp on ${isa}: worst error ${error.toFixed(3)} units of the last place, at ${at}`);
    expect(error).toBeLessThan(2);
  });

  it('is what softmax makes of pairs of logits', () => {
    // p of [x, 0] is 1 / (1 + exp(-x)); both algorithms' exponentials show in it.
    const step = 1e-3;
    const count = 87_000;
    const pairs = Float32Array.from({ length: 2 * count }, (_, i) => (i % 2 === 0 ? -step * (i >> 1) : 0));
    for (const algorithm of [
      'two-pass',
      'blocked',
      'online',
      'three-pass-recompute',
      'three-pass-reload',
    ] as const) {
      const p = softmax(pairs, { rows: count, algorithm });
      let worst = 0;
      for (let i = 0; i < 2 * count; i += 2) {
        const expected = Math.exp(pairs[i]) / (1 + Math.exp(pairs[i]));
        worst = Math.max(worst, Math.abs(p[i] / expected - 1));
      }
      report(`softmax of [x, 0] on ${isa}, ${algorithm}: worst relative error ${worst.toExponential(1)}`);
      expect(worst).toBeLessThan(1.5e-6);
    }
  });

  it('merges log-sum-exps elementwise', () => {
    const a = Float64Array.of(0, 1000, -Infinity, -Infinity, Infinity, NaN, 1e300, -5);
    const b = Float64Array.of(0, 0, 3, -Infinity, 1, 1, 1e300, Infinity);
    const merged = mergeLogSumExp(a, b);
    const expected = [Math.LN2, 1000, 3, -Infinity, Infinity, NaN, 1e300, Infinity];
    expectClose(merged, expected, (_, value) => 1e-15 * Math.abs(value));
    expectSameBits(mergeLogSumExp(b, a), merged);
  });

  it('merged shards are the whole row', () => {
    const x = normalRow(10_007, 5, 1);
    const shards = [0, 1, 4097, 9000, 10_007];
    const parts = shards.slice(1).map((end, k) => logSumExp(x.subarray(shards[k], end)));
    const merged = parts.reduce((a, b) => mergeLogSumExp(a, b));
    expectClose(merged, logSumExp(x), () => 2e-6);
  });
});
