import fc from 'fast-check';

import {
  attentionSplits,
  attentionWorkspaceBytes,
  decodeAttention,
  mergeAttention,
  mergeAttentionAsync,
} from '../../lib/index.js';
import { problemOf } from '../helpers/attention.js';
import { expectClose, expectSameBits } from '../helpers/compare.js';
import { onEveryIsa } from '../helpers/isa.js';
import { normalRow } from '../helpers/rows.js';
import * as reference from '../reference/attention.js';

const SOFTMAXES = ['online', 'unified', 'pair'] as const;

/** A partial result of one row. */
interface Part {
  out: Float32Array;
  logSumExp: number;
}

/** Rows of one length and log-sum-exps from -Infinity to far apart. */
const parts = fc
  .tuple(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 2, max: 9 }))
  .chain(([headDim, count]) =>
    fc.array(
      fc.record({
        out: fc
          .array(fc.float({ min: -10, max: 10, noNaN: true }), { minLength: headDim, maxLength: headDim })
          .map((values) => Float32Array.from(values)),
        logSumExp: fc.oneof(
          { weight: 8, arbitrary: fc.float({ min: -30, max: 30, noNaN: true }) },
          { weight: 1, arbitrary: fc.constant(-Infinity) },
          { weight: 1, arbitrary: fc.float({ min: -3000, max: 3000, noNaN: true }) },
        ),
      }),
      { minLength: count, maxLength: count },
    ),
  );

/** Merges the partial results of one row. */
function mergeParts(each: readonly Part[]): Part {
  const headDim = each[0].out.length;
  const outs = Float32Array.from(each.flatMap(({ out }) => [...out]));
  const lses = Float32Array.from(each, ({ logSumExp }) => logSumExp);
  const { out, logSumExp } = mergeAttention(outs, lses, { count: each.length, rows: 1, headDim });
  return { out, logSumExp: logSumExp[0] };
}

/** Outputs to 1e-5 of the largest, log-sum-exps to float32. */
function expectSamePart(actual: Part, expected: Part, label: string): void {
  expectClose(actual.out, expected.out, () => 3e-5, label);
  const lse = (): number => 1e-5 + 1e-6 * Math.abs(expected.logSumExp);
  expectClose([actual.logSumExp], [expected.logSumExp], lse, `lse, ${label}`);
}

onEveryIsa(() => {
  it('merging is what it is defined as', () => {
    fc.assert(
      fc.property(parts, (each) => {
        const headDim = each[0].out.length;
        const expected = reference.merge(
          each.flatMap(({ out }) => [...out]),
          each.map(({ logSumExp }) => logSumExp),
          { count: each.length, rows: 1, headDim },
        );
        const merged = mergeParts(each);
        expectClose(merged.out, expected.out, () => 2e-5);
        expectClose([merged.logSumExp], expected.logSumExp, (_, lse) => 2e-6 + 2e-7 * Math.abs(lse));
      }),
    );
  });

  it('merging is associative and commutative', () => {
    fc.assert(
      fc.property(parts, fc.nat(), (each, cut) => {
        const at = 1 + (cut % (each.length - 1));
        const whole = mergeParts(each);
        const halves = [mergeParts(each.slice(0, at)), mergeParts(each.slice(at))];
        expectSamePart(mergeParts(halves), whole, `cut at ${at}`);
        expectSamePart(mergeParts(halves.reverse()), whole, 'halves exchanged');
        expectSamePart(mergeParts([...each].reverse()), whole, 'reversed');
        const folded = each.reduce((a: Part | undefined, b) => (a ? mergeParts([a, b]) : b), undefined);
        if (folded) expectSamePart(folded, whole, 'one by one');
      }),
    );
  });

  it('an empty part changes nothing, and nothing but empty parts is empty', () => {
    const part = { out: normalRow(7, 1, 1), logSumExp: 1.5 };
    const empty = { out: new Float32Array(7), logSumExp: -Infinity };
    for (const each of [
      [part, empty],
      [empty, part],
      [empty, part, empty],
    ]) {
      expectSameBits(mergeParts(each).out, part.out);
      expect(mergeParts(each).logSumExp).toBe(1.5);
    }
    const none = mergeParts([empty, empty, empty]);
    expect(none.out.every((x) => Object.is(x, 0))).toBe(true);
    expect(none.logSumExp).toBe(-Infinity);
    // What an empty part holds is not looked at.
    const spoilt = { out: new Float32Array(7).fill(NaN), logSumExp: -Infinity };
    expectSameBits(mergeParts([part, spoilt]).out, part.out);
  });

  it('NaN stays in its row', () => {
    const outs = normalRow(2 * 3 * 5, 1, 2);
    const lses = normalRow(2 * 3, 1, 3);
    const options = { count: 2, rows: 3, headDim: 5 };
    const clean = mergeAttention(outs, lses, options);
    lses[1] = NaN;
    const spoilt = mergeAttention(outs, lses, options);
    expect(spoilt.out.subarray(5, 10).every(Number.isNaN)).toBe(true);
    expectSameBits(spoilt.out.subarray(0, 5), clean.out.subarray(0, 5));
    expectSameBits(spoilt.out.subarray(10), clean.out.subarray(10));
  });

  it('many rows, and the promise form', async () => {
    for (const [count, rows, headDim] of [
      [1, 5, 3],
      [2, 64, 128],
      [9, 33, 17],
      [40, 2, 257],
    ]) {
      const outs = normalRow(count * rows * headDim, 1, 4);
      const lses = normalRow(count * rows, 3, 5);
      const options = { count, rows, headDim };
      const merged = mergeAttention(outs, lses, options);
      const expected = reference.merge(outs, lses, options);
      expectClose(merged.out, expected.out, () => 4e-6);
      expectClose(merged.logSumExp, expected.logSumExp, () => 2e-6);
      expectSameBits((await mergeAttentionAsync(outs, lses, options)).out, merged.out, 'promise');
    }
  });

  it('partial results of any count are those of the reference, and merge to the whole', () => {
    for (const queryHeads of [2, 6, 8]) {
      const o = { queryHeads, kvHeads: 2, headDim: 24, lengths: [41, 3, 17] };
      const { q, keys, values, wideKeys, wideValues, shape, options } = problemOf(o);
      const rows = 3 * queryHeads;
      for (const count of [1, 2, 3, 7, 41, 50]) {
        const expected = reference.partials(q, wideKeys, wideValues, shape, count);
        for (const softmax of SOFTMAXES) {
          const call = { ...options, softmax, splits: count };
          const { out, logSumExp } = decodeAttention(q, keys, values, { ...call, partials: true });
          expectClose(
            out,
            expected.flatMap((each) => [...each.out]),
            () => 2e-6,
            `${softmax}, ${count} parts`,
          );
          const lses = expected.flatMap((each) => [...each.logSumExp]);
          expectClose(logSumExp, lses, () => 2e-6, `${softmax}, ${count} parts`);
          const merged = mergeAttention(out, logSumExp, { count, rows, headDim: 24 });
          const whole = decodeAttention(q, keys, values, call);
          expectClose(merged.out, whole.out, () => 2e-6);
          expectClose(merged.logSumExp, whole.logSumExp, () => 2e-6);
        }
      }
    }
  });

  it('a shared beginning and an own end merge to the sequence', () => {
    const o = { queryHeads: 4, kvHeads: 2, headDim: 16, lengths: [30] };
    const { q, keys, values, options } = problemOf(o);
    const whole = decodeAttention(q, keys, values, options);
    const size = 2 * 16;
    const halves = [
      [0, 19],
      [19, 30],
    ].map(([from, to]) =>
      decodeAttention(q, keys.subarray(from * size, to * size), values.subarray(from * size, to * size), {
        ...options,
        maxLength: to - from,
        lengths: Int32Array.of(to - from),
      }),
    );
    const outs = Float32Array.from(halves.flatMap(({ out }) => [...out]));
    const lses = Float32Array.from(halves.flatMap(({ logSumExp }) => [...logSumExp]));
    const merged = mergeAttention(outs, lses, { count: 2, rows: 4, headDim: 16 });
    expectClose(merged.out, whole.out, () => 2e-6);
    expectClose(merged.logSumExp, whole.logSumExp, () => 2e-6);
  });
});

describe('attentionSplits', () => {
  it.each([
    // 132 multiprocessors with two blocks each, chunks of 256: the examples of the specification.
    [{ batch: 1, kvHeads: 8, length: 8192, workers: 264, minChunk: 256 }, 32],
    [{ batch: 64, kvHeads: 8, length: 8192, workers: 264, minChunk: 256 }, 1],
    [{ batch: 1, kvHeads: 8, length: 0, workers: 264, minChunk: 256 }, 1],
    // A CPU: as many workers as threads, chunks of 512.
    [{ batch: 1, kvHeads: 1, length: 100_000, workers: 8, minChunk: 512 }, 8],
    [{ batch: 1, kvHeads: 1, length: 1025, workers: 8, minChunk: 512 }, 3],
    [{ batch: 1, kvHeads: 3, length: 100_000, workers: 8, minChunk: 512 }, 3],
    [{ batch: 4, kvHeads: 2, length: 100_000, workers: 8, minChunk: 512 }, 1],
    [{ batch: 1, kvHeads: 1, length: 1, workers: 8, minChunk: 512 }, 1],
  ])('%j: %i', (o, expected) => {
    expect(attentionSplits(o)).toBe(expected);
  });
});

it('attentionWorkspaceBytes: a part of each chunk for each sequence and head, where threads share chunks', () => {
  const o = { batch: 1, queryHeads: 8, kvHeads: 2, headDim: 64, length: 2049, threads: 4 };
  // Five chunks of 512; a row has 64 values, a sum and the logarithm of its scale.
  expect(attentionWorkspaceBytes(o)).toBe(5 * 8 * (64 + 2) * 4);
  expect(attentionWorkspaceBytes({ ...o, chunk: 1024 })).toBe(3 * 8 * (64 + 2) * 4);
  expect(attentionWorkspaceBytes({ ...o, headDim: 65 })).toBe(5 * 8 * (80 + 2) * 4);
  expect(attentionWorkspaceBytes({ ...o, threads: 1 })).toBe(0);
  expect(attentionWorkspaceBytes({ ...o, length: 512 })).toBe(0);
  expect(attentionWorkspaceBytes({ ...o, batch: 8 })).toBe(0);
});
