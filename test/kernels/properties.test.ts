import fc from 'fast-check';

import {
  addExtended,
  crossEntropy,
  extendedExp,
  logSoftmax,
  logSumExp,
  mergeLogSumExp,
  softmax,
  softmaxBackward,
} from '../../lib/index.js';
import { onEveryAlgorithm } from '../helpers/algorithms.js';
import { expectClose, expectNear } from '../helpers/compare.js';
import { onEveryIsa } from '../helpers/isa.js';
import { normalRow } from '../helpers/rows.js';
import { softmaxTolerance } from '../helpers/tolerances.js';
import { addPairs, logOfPair } from '../reference/extended.js';
import { sumOver } from '../reference/sums.js';

/** Rows of logits on a grid of 1/64, so that adding a whole number up to 2^16 is exact in float32. */
const gridRow = fc
  .array(fc.integer({ min: -64 * 40, max: 64 * 40 }), { minLength: 1, maxLength: 200 })
  .map((steps) => Float32Array.from(steps, (step) => step / 64));

/** Any finite float32 and -Infinity, the mask. */
const anyRow = fc
  .array(
    fc.oneof(
      { weight: 8, arbitrary: fc.float({ min: -50, max: 50, noNaN: true }) },
      { weight: 2, arbitrary: fc.float({ noNaN: true, noDefaultInfinity: true }) },
      { weight: 1, arbitrary: fc.constant(-Infinity) },
    ),
    { minLength: 1, maxLength: 300 },
  )
  .map((values) => Float32Array.from(values));

onEveryIsa(() => {
  onEveryAlgorithm((algorithm) => {
    it('adding a constant to every logit changes no probability', () => {
      fc.assert(
        fc.property(gridRow, fc.integer({ min: -65536, max: 65536 }), (x, shift) => {
          const moved = x.map((value) => value + shift);
          const tolerance = softmaxTolerance(x, 1, algorithm);
          expectClose(
            softmax(moved, { algorithm }),
            softmax(x, { algorithm }),
            (i, p) => 2 * tolerance(i, p),
          );
          const [a, b] = [logSumExp(x, { algorithm })[0], logSumExp(moved, { algorithm })[0]];
          expectNear(b - shift, a, 4e-6 + 1e-9 * Math.abs(shift));
        }),
      );
    });

    it('a permutation of the logits permutes the probabilities', () => {
      fc.assert(
        fc.property(anyRow, fc.integer({ min: 1, max: 1000 }), (x, seed) => {
          const order = Array.from(x, (_, i) => i).sort((a, b) => ((a * seed) % 997) - ((b * seed) % 997));
          const mixed = Float32Array.from(order, (i) => x[i]);
          const p = softmax(x, { algorithm });
          const expected = Float32Array.from(order, (i) => p[i]);
          const tolerance = softmaxTolerance(mixed, 1, algorithm);
          expectClose(softmax(mixed, { algorithm }), expected, (i, value) => 2 * tolerance(i, value));
        }),
      );
    });

    it('probabilities lie in [0, 1], sum to 1, keep the order, and are exp of the log-probabilities', () => {
      fc.assert(
        fc.property(anyRow, (x) => {
          const p = softmax(x, { algorithm });
          const logp = logSoftmax(x, { algorithm });
          const total = sumOver(p.length, (i) => p[i]);
          const empty = x.every((value) => value === -Infinity);
          expectNear(total, empty ? 0 : 1, 2e-6, 'sum');
          expect(p.every((value) => value >= 0 && value <= 1 + 1e-6)).toBe(true);
          const byLogit = Array.from(x, (_, i) => i).sort((a, b) => x[a] - x[b]);
          expect(byLogit.every((i, k) => k === 0 || p[i] >= p[byLogit[k - 1]] * (1 - 1e-5))).toBe(true);
          expectClose(logp.map(Math.exp), p, (i, value) => 1e-5 * (1 + Math.abs(x[i])) * value + 1e-7);
        }),
      );
    });

    it('a row split anywhere and merged has the same log-sum-exp', () => {
      fc.assert(
        fc.property(anyRow, fc.nat(), (x, cut) => {
          const at = cut % (x.length + 1);
          const parts = [x.subarray(0, at), x.subarray(at)].map((part) => logSumExp(part, { algorithm }));
          const whole = logSumExp(x, { algorithm })[0];
          expectNear(mergeLogSumExp(parts[0], parts[1])[0], whole, 2e-6 + 2e-9 * Math.abs(whole));
        }),
      );
    });

    it('dividing by the temperature is what temperature means', () => {
      fc.assert(
        fc.property(gridRow, fc.constantFrom(0.25, 0.5, 2, 8), (x, temperature) => {
          // Powers of two: the division itself is exact.
          const divided = x.map((value) => value / temperature);
          const tolerance = softmaxTolerance(x, temperature, algorithm);
          const p = softmax(divided, { algorithm });
          expectClose(softmax(x, { algorithm, temperature }), p, (i, value) => 2 * tolerance(i, value));
        }),
      );
    });
  });

  it('pairs merge in any grouping', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: -100_000, max: 100_000 }), { minLength: 3, maxLength: 3 }),
        (x) => {
          const [a, b, c] = x.map((value) => extendedExp(Float32Array.of(value / 8)));
          const left = addExtended(addExtended(a, b), c);
          const right = addExtended(a, addExtended(b, c));
          const pair = (e: typeof a): { mantissa: number; exponent: number } => ({
            mantissa: e.mantissa[0],
            // The exponent of a value near 1 may be -0.
            exponent: e.exponent[0] + 0,
          });
          expectNear(logOfPair(pair(left)), logOfPair(pair(right)), 1e-6);
          expectNear(logOfPair(pair(left)), logOfPair([a, b, c].map(pair).reduce(addPairs)), 1e-6);
          expect(pair(addExtended(a, b))).toEqual(pair(addExtended(b, a)));
        },
      ),
    );
  });

  it('gradient rows of the cross-entropy sum to 0', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 300 }),
        fc.nat(),
        fc.constantFrom(0, 0.1, 0.9),
        (cols, t, labelSmoothing) => {
          const x = normalRow(cols, 5, cols);
          const gradient = new Float32Array(cols);
          crossEntropy(x, Int32Array.of(t % cols), { labelSmoothing, gradient });
          expectNear(
            sumOver(cols, (i) => gradient[i]),
            0,
            1e-6 * cols,
          );
        },
      ),
    );
  });

  it('a constant upstream gradient gives no gradient', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 300 }),
        fc.float({ min: -10, max: 10, noNaN: true }),
        (cols, constant) => {
          const p = softmax(normalRow(cols, 3, cols));
          const dx = softmaxBackward(p, new Float32Array(cols).fill(constant));
          expectClose(dx, new Float64Array(cols), (i) => 4e-6 * Math.abs(constant) * p[i] + 1e-12);
        },
      ),
    );
  });
});
