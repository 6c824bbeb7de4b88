import {
  availableIsas,
  isa,
  type Isa,
  logSumExp,
  setIsa,
  softmax,
  type SoftmaxAlgorithm,
} from '../../lib/index.js';
import { ALGORITHMS } from '../helpers/algorithms.js';
import { expectNear, expectSameBits } from '../helpers/compare.js';
import { onEveryIsa, usable } from '../helpers/isa.js';
import { Philox } from '../../lib/random.js';
import { report } from '../helpers/report.js';

// A sum kept in float32 lanes over the whole row errs by 1e-3 to 7e-2 at these lengths.
const LONG = 2 ** 24;
const LONGEST = 2 ** 26;
const CONSTANTS = [0.3, -0.1, 0.05];

// One pair of arrays serves every test: they are a quarter of a gigabyte each.
const input = new Float32Array(LONGEST);
const output = new Float32Array(LONGEST);

/** ln sum exp in float64, in blocks so that the rounding of the running sum stays far below 1e-9. */
function logSumExp64(x: Float32Array): number {
  let total = 0;
  for (let start = 0; start < x.length; start += 4096) {
    const end = Math.min(start + 4096, x.length);
    let block = 0;
    for (let i = start; i < end; i += 1) block += Math.exp(x[i]);
    total += block;
  }
  return Math.log(total);
}

/** Sum in float64, in blocks. */
function sum64(x: Float32Array): number {
  let total = 0;
  for (let start = 0; start < x.length; start += 4096) {
    const end = Math.min(start + 4096, x.length);
    let block = 0;
    for (let i = start; i < end; i += 1) block += x[i];
    total += block;
  }
  return total;
}

/** Checks the sum of exponentials and the sum of the probabilities of one row. */
function checkSums(x: Float32Array, expected: number, algorithm: SoftmaxAlgorithm, threads = 1): void {
  const sumError = Math.expm1(logSumExp(x, { algorithm, threads })[0] - expected);
  const p = output.subarray(0, x.length);
  softmax(x, { algorithm, threads, out: p });
  const total = sum64(p);
  expectNear(sumError, 0, 1e-6, `${algorithm}: relative error of the sum of ${x.length}`);
  expectNear(total, 1, 2e-6, `${algorithm}: sum of ${x.length} probabilities`);
}

describe('rows of 16 Mi', () => {
  const x = input.subarray(0, LONG);

  describe('uniform(-10, 10)', () => {
    let expected: number;
    beforeAll(() => {
      new Philox(1, 0).uniform(x, -10, 10);
      expected = logSumExp64(x);
    });
    onEveryIsa(() => {
      it.each(ALGORITHMS)('%s', (algorithm) => checkSums(x, expected, algorithm));

      it('the bits do not depend on the number of threads', () => {
        const p = output.subarray(0, LONG);
        const q = output.subarray(LONG, 2 * LONG);
        for (const algorithm of ['two-pass', 'blocked'] as const) {
          softmax(x, { algorithm, out: p });
          softmax(x, { algorithm, out: q, threads: 3 });
          expectSameBits(q, p, algorithm);
        }
      });
    });
  });

  // Equal terms are the hardest: every addition of a run rounds the same way.
  describe.each(CONSTANTS)('all equal to %p', (constant) => {
    beforeAll(() => x.fill(constant));
    onEveryIsa(() => {
      it.each(ALGORITHMS)('%s', (algorithm) => {
        checkSums(x, Math.fround(constant) + Math.log(LONG), algorithm);
      });
    });
  });

  describe.each([
    ['a maximum that none of the equal others is', 0.35],
    ['a mask', -Infinity],
    ['a value far below', -200],
    ['a value far above those before it', 90],
  ])('all equal to 0.3, and in every block %s', (_name, exception) => {
    // Every block is alike, so that a shorter row shows as much.
    const few = input.subarray(0, LONG / 8);
    const STEP = 4096;
    const share = 1 / STEP;
    const expected =
      Math.log(few.length) +
      Math.log((1 - share) * Math.exp(Math.fround(0.3)) + share * Math.exp(Math.fround(exception)));
    beforeAll(() => {
      few.fill(0.3);
      // Not at the head of its block, where it would be met first.
      for (let i = 3000; i < few.length; i += STEP) few[i] = exception;
    });
    onEveryIsa(() => {
      it.each(ALGORITHMS)('%s', (algorithm) => checkSums(few, expected, algorithm));
    });
  });
});

describe('rows of 64 Mi on the best instruction set', () => {
  const algorithms = ['two-pass', 'blocked', 'online'] as const;
  let before: Isa;
  beforeAll(() => {
    before = isa();
    setIsa(availableIsas().find(usable) ?? before);
  });
  afterAll(() => setIsa(before));

  it('uniform(-10, 10)', () => {
    new Philox(1, 1).uniform(input, -10, 10);
    const expected = logSumExp64(input);
    for (const algorithm of algorithms) {
      checkSums(input, expected, algorithm);
      const error = Math.expm1(logSumExp(input, { algorithm })[0] - expected);
      report(`sum of 64 Mi exponentials, ${algorithm}: relative error ${error.toExponential(1)}`);
    }
  });

  it.each(CONSTANTS)('all equal to %p', (constant) => {
    input.fill(constant);
    for (const algorithm of algorithms)
      checkSums(input, Math.fround(constant) + Math.log(LONGEST), algorithm);
  });
});
