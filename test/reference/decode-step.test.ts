import { expectClose, expectNear } from '../helpers/compare.js';
import {
  flashFixture,
  type RopeCase,
  type RopeScalingFixture,
  type SamplingCase,
} from '../helpers/flash-fixtures.js';
import { inverseFrequencies, rope } from './rope.js';
import { draw, sampleProbabilities } from './sampling.js';
import { layerNorm, rmsNorm, swiglu } from './transformer.js';

describe('rope', () => {
  // Angles of 131071 radians round by 1.5e-11.
  const near = (): number => 1e-10;

  it.each(flashFixture<RopeCase[]>('rope'))('position $position, theta $theta', (c) => {
    expectClose(rope(c.x, c.position, inverseFrequencies(c.headDim, c.theta)), c.out, near);
  });

  const scaling = flashFixture<RopeScalingFixture>('rope-scaling');
  const frequencies = {
    none: inverseFrequencies(scaling.headDim, scaling.theta),
    llama3: inverseFrequencies(scaling.headDim, scaling.theta, scaling.ropeScaling),
  };

  it('frequencies with and without llama3 scaling', () => {
    expectClose(frequencies.none, scaling.inverseFrequencies, (_, f) => 1e-15 * f);
    expectClose(frequencies.llama3, scaling.scaledInverseFrequencies, (_, f) => 1e-14 * f);
    const linear = inverseFrequencies(16, 500000, { rope_type: 'linear', factor: 4 });
    expectClose(
      linear,
      scaling.inverseFrequencies.map((f) => f / 4),
      (_, f) => 1e-15 * f,
    );
  });

  it.each(scaling.cases)('position $position, scaling $scaling, both styles', (c) => {
    expectClose(rope(scaling.x, c.position, frequencies[c.scaling]), c.half, near, 'half');
    const turned = rope(scaling.x, c.position, frequencies[c.scaling], 'interleaved');
    expectClose(turned, c.interleaved, near, 'interleaved');
  });
});

describe('sampling', () => {
  const cases = [
    ...flashFixture<SamplingCase[]>('sampling'),
    ...flashFixture<SamplingCase[]>('sampling-ties'),
  ];

  it.each(cases)('temperature $temperature, topK $topK, topP $topP, minP $minP', (c) => {
    const p = sampleProbabilities(c.logits, c);
    expectClose(p, c.probabilities, () => 1e-13);
    expect(c.uniforms.map((u) => draw(p, u))).toEqual(c.draws);
  });
});

describe('norms', () => {
  it('by hand', () => {
    expectClose(
      rmsNorm([3, 4], [1, 2], 0),
      [3, 8].map((x) => x / Math.sqrt(12.5)),
      () => 1e-15,
    );
    // Rows 1, 3 and 5, 9 are -1, 1 in units of their deviation.
    expectClose(layerNorm([1, 3, 5, 9], [1, 2], [0, 10], 0), [-1, 12, -1, 12], () => 1e-14);
  });

  it('eps keeps rows of zeros at zero', () => {
    expect([...rmsNorm([0, 0], [1, 2], 1e-5)]).toEqual([0, 0]);
    expect([...layerNorm([7, 7], [1, 2], [3, 4], 1e-5)]).toEqual([3, 4]);
  });

  it('swiglu', () => {
    expectNear(swiglu([1], [2])[0], 2 * 0.7310585786300049, 1e-15);
  });
});
