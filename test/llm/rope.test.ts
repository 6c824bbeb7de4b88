import { applyRope } from '../../lib/kernels/transformer.js';
import { inverseFrequencies } from '../../lib/kernels/rope.js';
import { flashFixture, type RopeScalingFixture } from '../helpers/flash-fixtures.js';
import { expectThrown } from '../helpers/refused.js';

describe('inverseFrequencies', () => {
  const { headDim, theta, ropeScaling, ...expected } = flashFixture<RopeScalingFixture>('rope-scaling');
  const llama3 = {
    type: 'llama3',
    factor: ropeScaling.factor,
    lowFreqFactor: ropeScaling.low_freq_factor,
    highFreqFactor: ropeScaling.high_freq_factor,
    originalMaxPositionEmbeddings: ropeScaling.original_max_position_embeddings,
  } as const;

  const expectClose = (found: Float64Array, wanted: readonly number[]): void => {
    expect(found).toHaveLength(wanted.length);
    found.forEach((each, i) => expect(Math.abs(each - wanted[i])).toBeLessThanOrEqual(1e-14 * wanted[i]));
  };

  it('are those of the fixture, plain and scaled', () => {
    expectClose(inverseFrequencies(headDim, theta), expected.inverseFrequencies);
    expectClose(inverseFrequencies(headDim, theta, llama3), expected.scaledInverseFrequencies);
  });

  it('are divided by the factor in linear scaling', () => {
    expect(Array.from(inverseFrequencies(4, 100))).toEqual([1, 0.1]);
    expect(Array.from(inverseFrequencies(4, 100, { type: 'linear', factor: 4 }))).toEqual([0.25, 0.025]);
  });

  it('are blended between the two wavelengths only, and never leave the two ends', () => {
    const plain = inverseFrequencies(128, 5e5);
    const scaled = inverseFrequencies(128, 5e5, llama3);
    const ratios = Array.from(plain, (each, i) => scaled[i] / each);
    expect(ratios[0]).toBe(1);
    expect(ratios[63]).toBeCloseTo(1 / llama3.factor, 12);
    ratios.forEach((each, i) => expect(each).toBeLessThanOrEqual(i > 0 ? ratios[i - 1] : 1));
  });

  it('refuses odd heads and bad constants', () => {
    expectThrown(() => inverseFrequencies(5), 'range', 'headDim');
    expectThrown(() => inverseFrequencies(0), 'range', 'headDim');
    expectThrown(() => inverseFrequencies(2 ** 50), 'range', 'headDim');
    expectThrown(
      () => applyRope(new Float32Array(0), new Int32Array(0), { heads: 1, headDim: 2 ** 50 }),
      'range',
      'headDim',
    );
    expectThrown(() => inverseFrequencies(4, 0), 'range', 'theta');
    expectThrown(() => inverseFrequencies(4, 10, { type: 'yarn' } as never), 'range', 'scaling.type');
    expectThrown(() => inverseFrequencies(4, 10, { type: 'linear', factor: NaN }), 'range', 'scaling.factor');
    const swapped = { ...llama3, lowFreqFactor: 4, highFreqFactor: 1 };
    expectThrown(() => inverseFrequencies(4, 10, swapped), 'range', 'scaling.highFreqFactor');
  });
});
