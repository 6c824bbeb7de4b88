import {
  crossEntropyJavaScript,
  logSumExpJavaScript,
  softmaxJavaScript,
} from '../../../benchmarks/peers/javascript.js';

describe('plain JavaScript softmax', () => {
  it('gives the textbook answer for each row', () => {
    const out = new Float64Array(6);
    softmaxJavaScript(Float64Array.of(0, Math.log(3), 5, 5, 1e300, -1e300), 3, 2, out);
    [0.25, 0.75, 0.5, 0.5, 1, 0].forEach((p, i) => expect(out[i]).toBeCloseTo(p, 14));
  });

  it('does not overflow for large logits', () => {
    const out = new Float32Array(2);
    softmaxJavaScript(Float32Array.of(1e30, 1e30), 1, 2, out);
    expect([...out]).toEqual([0.5, 0.5]);
  });

  it('sums and takes the loss in nats', () => {
    const x = Float32Array.of(1, 2, 3, 4, 7, 7, 7, 7);
    const values = new Float64Array(2);
    logSumExpJavaScript(x, 2, 4, values);
    expect(values[0]).toBeCloseTo(4.440189698561196, 12);
    expect(values[1]).toBeCloseTo(7 + Math.log(4), 12);
    crossEntropyJavaScript(x, 2, 4, Int32Array.of(3, 0), values);
    expect(values[0]).toBeCloseTo(0.440189698561196, 12);
    expect(values[1]).toBeCloseTo(Math.log(4), 12);
  });
});
