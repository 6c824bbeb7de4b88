import { attentionJavaScript, gemmJavaScript } from '../../../benchmarks/peers/llm-javascript.js';
import { attention } from '../../reference/attention.js';
import { gemm } from '../../reference/gemm.js';

const numbers = (length: number, seed: number) =>
  Float32Array.from({ length }, (_, i) => Math.sin(i * i + seed));
const largestDifference = (a: ArrayLike<number>, b: ArrayLike<number>) =>
  Array.from(a).reduce((most, value, i) => Math.max(most, Math.abs(value - b[i])), 0);

describe('plain JavaScript product', () => {
  it.each([1, 3, 4, 19])('is that of the textbook for k = %d', (k) => {
    const [m, n] = [3, 5];
    const [a, w] = [numbers(m * k, 1), numbers(n * k, 2)];
    const y = new Float32Array(m * n).fill(NaN);
    gemmJavaScript(a, w, { m, n, k }, y);
    expect(largestDifference(y, gemm(a, w, { m, n, k }).y)).toBeLessThan(1e-6);
  });

  it('writes the columns of the rows that it is given', () => {
    const y = new Float32Array(2 * 5).fill(7);
    gemmJavaScript(numbers(2 * 4, 1), numbers(5 * 4, 2), { m: 2, n: 5, k: 4, rows: 2 }, y);
    expect([...y].map((value) => value === 7)).toEqual([0, 0, 1, 1, 1, 0, 0, 1, 1, 1].map(Boolean));
  });
});

describe('plain JavaScript attention', () => {
  const sizes = { kvHeads: 3, group: 2, headDim: 6, length: 11 };
  const { kvHeads, group, headDim, length } = sizes;
  const q = numbers(kvHeads * group * headDim, 3);
  const [keys, values] = [4, 5].map((seed) => numbers(kvHeads * length * headDim, seed));

  it('is that of the textbook', () => {
    const out = new Float32Array(q.length).fill(NaN);
    attentionJavaScript(q, keys, values, sizes, out, new Float64Array(length));
    const expected = attention(q, keys, values, {
      ...{ batch: 1, queryHeads: kvHeads * group, kvHeads, headDim, maxLength: length, lengths: [length] },
      layout: 'HND',
    });
    expect(largestDifference(out, expected.out)).toBeLessThan(1e-6);
  });

  it('stops after the heads that it is given', () => {
    const out = new Float32Array(q.length).fill(7);
    attentionJavaScript(q, keys, values, { ...sizes, heads: 1 }, out, new Float64Array(length));
    expect(out.subarray(0, group * headDim)).not.toContain(7);
    expect(out.subarray(group * headDim).every((value) => value === 7)).toBe(true);
  });
});
