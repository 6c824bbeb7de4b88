import { classes, streamWith, walks } from '../../../benchmarks/elastic/inputs.js';
import { nearest, type SeriesSet } from '../../../lib/elastic/index.js';
import { deviation, mean } from '../../reference/elastic/points.js';

function expectNormalised(set: SeriesSet): void {
  for (let k = 0; k < set.count; k++) {
    const values = Array.from(set.series(k));
    expect(mean(values)).toBeCloseTo(0, 5);
    expect(deviation(values)).toBeCloseTo(1, 5);
  }
}

describe('walks', () => {
  it('are normalised, of the class asked for, and the same every time', () => {
    const set = walks('f32', 5, 40);
    expectNormalised(set);
    expect(set.data).toBeInstanceOf(Float32Array);
    expect([set.count, set.length]).toEqual([5, 40]);
    expect([...walks('f32', 5, 40).data]).toEqual([...set.data]);
    expect(walks('f64', 5, 40).data).toBeInstanceOf(Float64Array);
  });

  it('wander: neighbouring points are close', () => {
    const values = Array.from(walks('f64', 1, 1000).series(0));
    const steps = values.slice(1).map((value, i) => value - values[i]);
    expect(deviation(steps)).toBeLessThan(0.3);
  });
});

describe('classes', () => {
  it('are such that the nearest of a query is of its class', () => {
    const [candidates, queries] = [classes('f64', 40, 96, 0), classes('f64', 16, 96, 1)];
    expectNormalised(candidates);
    const { index } = nearest(candidates, queries, { window: 0.1 });
    index.forEach((found, k) => expect(found % 8).toBe(k % 8));
    expect([...queries.series(0)]).not.toEqual([...candidates.series(0)]);
  });
});

describe('streamWith', () => {
  it('hides a copy of the query', () => {
    const { query, stream, position } = streamWith(50, 2000);
    expect([query.length, stream.length]).toEqual([50, 2000]);
    const copy = Array.from(stream.subarray(position, position + 50));
    const [centre, spread] = [mean(copy), deviation(copy)];
    const correlation = mean(copy.map((value, i) => ((value - centre) / spread) * query[i]));
    expect(correlation).toBeGreaterThan(0.9);
  });
});
