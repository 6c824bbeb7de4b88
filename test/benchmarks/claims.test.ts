import { renderClaims, verdictOf, type Claim } from '../../benchmarks/claims/claim.js';
import { lookupIn, softmaxClaims } from '../../benchmarks/claims/softmax.js';
import type { Ceilings, ResultRow } from '../../benchmarks/harness/results.js';
import { sampleRow } from './harness/sample.js';

const wide: Ceilings = {
  readGBps: 39,
  readLargeGBps: 46,
  copyGBps: 38,
  streamCopyGBps: 44,
  fmaGflops: { avx512: 280, avx2: 140, scalar: 9 },
};
const narrow: Ceilings = { ...wide, fmaGflops: { avx512: 118, avx2: 116, scalar: 7 } };
const LARGE = 2 ** 26;

const claim: Claim = {
  source: 'softlane',
  text: 'a / b',
  stated: '>= 2 x',
  measured: 2.5,
  unit: 'x',
  atLeast: 2,
};

describe('verdictOf', () => {
  it.each([
    [{}, 'pass'],
    [{ measured: 2 }, 'pass'],
    [{ measured: 1.99 }, 'miss'],
    [{ atLeast: undefined, atMost: 2 }, 'miss'],
    [{ measured: undefined }, 'not measured'],
    [{ measured: 1, notExpected: 'no such unit' }, 'not expected here'],
  ])('of %j is %s', (change, verdict) => {
    expect(verdictOf({ ...claim, ...change })).toBe(verdict);
  });
});

describe('renderClaims', () => {
  it('has a line per claim with what is stated and what was measured, and why none is expected', () => {
    const text = renderClaims([claim, { ...claim, measured: 1, notExpected: 'narrow units' }]);
    const lines = text.split('\n');
    expect(lines[1]).toMatch(/^pass +softlane +a \/ b +>= 2 x +2\.50 x$/);
    expect(lines[2]).toMatch(/^not expected here .* 1\.00 x +narrow units$/);
  });
});

describe('softmaxClaims', () => {
  /** Rows of a machine on which the claims about 64 Mi elements hold, in milliseconds. */
  const rows: ResultRow[] = [
    ...(['avx512', 'avx2'] as const).flatMap((isa) => {
      const times = isa === 'avx512' ? [22, 29, 31, 22] : [34, 40, 31, 28];
      return ['two-pass', 'three-pass-recompute', 'three-pass-reload', 'auto'].map((name, i) =>
        sampleRow(name, times[i] * 1e6, { isa, cols: LARGE }),
      );
    }),
    sampleRow('streaming-read', 7e6, { isa: 'avx512', cols: LARGE }),
    sampleRow('copy', 14e6, { isa: 'avx512', cols: LARGE }),
    sampleRow('onnxruntime-node', 220e6, { isa: 'avx512', cols: LARGE }),
    sampleRow('auto', 12e6, { isa: 'avx512', cols: LARGE, dtype: 'bf16' }),
  ];
  const find = (ceilings: Ceilings, text: RegExp): Claim => {
    const found = softmaxClaims(ceilings, 'avx512', lookupIn(rows)).filter((one) => text.test(one.text));
    expect(found).toHaveLength(1);
    return found[0];
  };

  it('takes each ratio from the rows it names', () => {
    expect(find(wide, /^two-pass \/ \(streaming read \+ copy\)/).measured).toBeCloseTo(22 / 21, 12);
    expect(find(wide, /^better three-pass form \/ two-pass, 64 Mi, avx512/).measured).toBeCloseTo(
      29 / 22,
      12,
    );
    expect(find(wide, /^better three-pass form \/ auto, 64 Mi, avx2/).measured).toBeCloseTo(31 / 28, 12);
    expect(find(wide, /^three-pass-recompute \/ two-pass, 64 Mi, avx2/).measured).toBeCloseTo(40 / 34, 12);
    expect(find(wide, /^onnxruntime-node \/ auto, \[1, 64 Mi\]/).measured).toBeCloseTo(10, 12);
    expect(find(wide, /^float32 \/ bf16/).measured).toBeCloseTo(22 / 12, 12);
  });

  it('does not measure what is not there, and does not fail on it', () => {
    const missing = find(wide, /^onnxruntime-node \/ auto, \[4 Ki, 4 Ki\]/);
    expect(missing.measured).toBeUndefined();
    expect(verdictOf(missing)).toBe('not measured');
  });

  it('expects the AVX-512 figures only where 512-bit arithmetic is measured to be full width', () => {
    const text = /^two-pass \/ \(streaming read \+ copy\)/;
    expect(verdictOf(find(wide, text))).toBe('pass');
    expect(find(narrow, text).notExpected).toBe(
      'needs full-width 512-bit arithmetic: fma avx512 / avx2 is 1.02, must exceed 1.5',
    );
    expect(find({ ...wide, fmaGflops: { avx2: 140 } }, text).notExpected).toBe('no AVX-512 on this machine');
  });

  it('expects a ratio on AVX2 only where the roofline allows it', () => {
    const text = /^three-pass-recompute \/ two-pass, 64 Mi, avx2/;
    // Arithmetic of 0.2 ns an element in cache is hidden: the roofline is 2 reads + 1 copy against 1 + 1, 28 / 21.
    const inCache = (nsPerElement: number) =>
      ['two-pass', 'three-pass-recompute', 'three-pass-reload', 'blocked'].map((name) =>
        sampleRow(name, nsPerElement * 2 ** 14, { isa: 'avx2', cols: 2 ** 14 }),
      );
    const claimAt = (nsPerElement: number) =>
      softmaxClaims(wide, 'avx512', lookupIn([...rows, ...inCache(nsPerElement)])).filter((one) =>
        text.test(one.text),
      );
    expect(claimAt(0.2).map(verdictOf)).toEqual(['pass']);
    // At 1 ns the exponentials bind both.
    expect(claimAt(1)[0].notExpected).toBe(
      'the roofline allows 1.00 x: two-pass 1.00, blocked 1.00, three-pass-recompute 1.00, three-pass-reload 1.00 ns/element',
    );
  });
});
