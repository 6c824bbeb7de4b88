import {
  checkRowValues,
  checkSoftmax,
  OWN_ALLOWANCE,
  PEER_ALLOWANCE,
  referenceRows,
} from '../../../benchmarks/softmax/check.js';
import {
  crossEntropyJavaScript,
  logSumExpJavaScript,
  softmaxJavaScript,
} from '../../../benchmarks/peers/javascript.js';
import { Philox } from '../../../lib/random.js';

function logits(count: number): Float32Array {
  return new Philox(1, 1).uniform(new Float32Array(count), -10, 10);
}

describe.each([
  [1, 7],
  [5, 40],
  [3, 5000],
  [1, 100_000],
])('check of [%d, %d]', (rows, cols) => {
  const x = logits(rows * cols);
  const references = referenceRows(x, rows, cols);
  const answer = () => {
    const out = new Float32Array(x.length);
    softmaxJavaScript(x, rows, cols, out);
    return out;
  };

  it('accepts plain JavaScript', () => {
    expect(checkSoftmax(x, answer(), cols, references, OWN_ALLOWANCE.f32).worst).toBeLessThan(1);
  });

  it.each(['first', 'last'])('sees one wrong element at the %s place', (place) => {
    const out = answer();
    const i = place === 'first' ? 0 : out.length - 1;
    out[i] *= 1.001;
    expect(checkSoftmax(x, out, cols, references, OWN_ALLOWANCE.f32).worst).toBeGreaterThan(1);
  });

  it('sees an output that was not written', () => {
    const out = answer();
    out[out.length - 1] = NaN;
    // NaN is not <= 1 either.
    expect(checkSoftmax(x, out, cols, references, PEER_ALLOWANCE).worst <= 1).toBe(false);
  });

  it('sees a missing stretch anywhere by the total', () => {
    const out = answer();
    const largest = out.indexOf(Math.max(...out.subarray(0, cols)));
    out[largest] = 0;
    expect(checkSoftmax(x, out, cols, references, OWN_ALLOWANCE.f32).worst).toBeGreaterThan(1);
  });

  it('checks sums and losses', () => {
    const values = new Float64Array(rows);
    logSumExpJavaScript(x, rows, cols, values);
    expect(checkRowValues(x, values, cols, references, 2e-6).worst).toBeLessThan(1);
    values[rows - 1] += 1e-4;
    expect(checkRowValues(x, values, cols, references, 2e-6).worst).toBeGreaterThan(1);
    const targets = Int32Array.from({ length: rows }, (_, row) => (row * 31) % cols);
    crossEntropyJavaScript(x, rows, cols, targets, values);
    expect(checkRowValues(x, values, cols, references, 2e-6, targets).worst).toBeLessThan(1);
    expect(checkRowValues(x, values, cols, references, 2e-6).worst).toBeGreaterThan(1);
  });
});

describe('other types', () => {
  it('reads bf16 from Uint16 elements', () => {
    // 1 and 2 in bf16; softmax 0.26894, 0.73106 rounded to bf16.
    const x = Uint16Array.of(0x3f80, 0x4000);
    const references = referenceRows(x, 1, 2);
    expect(references[0]).toMatchObject({ max: 2, sum: 1 + Math.exp(-1) });
    const p = Uint16Array.of(0x3e8a, 0x3f3b);
    expect(checkSoftmax(x, p, 2, references, OWN_ALLOWANCE.bf16).worst).toBeLessThan(1);
    expect(checkSoftmax(x, p.slice().reverse(), 2, references, OWN_ALLOWANCE.bf16).worst).toBeGreaterThan(1);
  });

  it('holds float64 to its own accuracy', () => {
    const x = Float64Array.from(logits(1000));
    const out = new Float64Array(1000);
    softmaxJavaScript(x, 1, 1000, out);
    const references = referenceRows(x, 1, 1000);
    expect(checkSoftmax(x, out, 1000, references, OWN_ALLOWANCE.f64).worst).toBeLessThan(1);
    expect(
      checkSoftmax(x, Float64Array.from(Float32Array.from(out)), 1000, references, OWN_ALLOWANCE.f64).worst,
    ).toBeGreaterThan(1);
  });
});
