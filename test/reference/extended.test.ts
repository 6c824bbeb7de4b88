import { expectNear } from '../helpers/compare.js';
import { type ExtendedCase, fixture } from '../helpers/fixtures.js';
import { addPairs, extendedExp, logOfPair, roundToEven, sumOfExp } from './extended.js';

const { ext, add } = fixture<ExtendedCase>('extended');

describe('pairs of the fixtures', () => {
  it.each(ext)('exp($x)', ({ x, mantissa, exponent }) => {
    const pair = extendedExp(x);
    // Halfway between two integers the fixture may have rounded x / ln 2 to the other one.
    expect(Math.abs(pair.exponent - exponent)).toBeLessThanOrEqual(1);
    expectNear(pair.mantissa * 2 ** (pair.exponent - exponent), mantissa, 1e-15);
  });

  it.each(add)('sum near exp($log)', ({ a, b, mantissa, exponent, log }) => {
    const pair = addPairs(a, b);
    expect(pair.exponent).toBe(exponent);
    expectNear(pair.mantissa, mantissa, 1e-15 * mantissa);
    expectNear(logOfPair(pair), log, 1e-12);
  });
});

it('sums exponentials that a double cannot hold', () => {
  expectNear(logOfPair(sumOfExp([5000, 5000 + Math.log(3)])), 5000 + Math.log(4), 1e-12);
  expect(sumOfExp([])).toEqual({ mantissa: 0, exponent: -Infinity });
});

it('rounds ties to even', () => {
  expect([0.5, 1.5, 2.5, -0.5, -1.5, 2.4, -2.6].map(roundToEven)).toEqual([0, 2, 2, 0, -2, 2, -3]);
});
