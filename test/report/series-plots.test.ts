import { MOST_MEMBERS, panelsSpec, pointsOf, spread } from '../../lib/report/series-plots.js';

describe('pointsOf', () => {
  it('keeps all points of a short line', () => {
    expect(pointsOf([3, 1, 2])).toEqual([
      { time: 0, value: 3 },
      { time: 1, value: 1 },
      { time: 2, value: 2 },
    ]);
  });

  it('keeps every peak of a long one, in order', () => {
    const values = Float64Array.from({ length: 10_007 }, (_, t) => Math.sin(t / 50));
    const peaks = [0, 17, 5000, 5003, 10_006];
    peaks.forEach((t, i) => (values[t] = i % 2 === 0 ? 9 : -9));
    const points = pointsOf(values);
    expect(points.length).toBeLessThanOrEqual(600);
    const times = points.map(({ time }) => time);
    expect(times).toEqual([...times].sort((a, b) => a - b));
    for (const t of peaks) expect(times).toContain(t);
    for (const { time, value } of points) expect(value).toBe(values[time]);
  });
});

describe('spread', () => {
  it('takes some of a list, evenly, and all of a short one', () => {
    const list = Array.from({ length: 10 }, (_, i) => i);
    expect(spread(list, 5)).toEqual([1, 3, 5, 7, 9]);
    expect(spread(list, 20)).toEqual(list);
  });
});

describe('panelsSpec', () => {
  const line = [1, 2];
  const linesOf = (count: number): unknown[] => {
    const panel = { heading: 'a', members: Array.from({ length: count }, () => line), center: line };
    const { data } = panelsSpec('title', [panel], ['member', 'centre'], 1) as {
      data: { values: { line: number }[] };
    };
    return [...new Set(data.values.map((point) => point.line))];
  };

  it('draws some of very many members, and says so', () => {
    expect(linesOf(MOST_MEMBERS)).toHaveLength(MOST_MEMBERS + 1);
    expect(linesOf(1000)).toHaveLength(MOST_MEMBERS + 1);
    const panel = { heading: 'a', members: Array.from({ length: 1000 }, () => line), center: line };
    expect(JSON.stringify(panelsSpec('title', [panel], ['member', 'centre'], 1).title)).toContain(
      `${MOST_MEMBERS} series are drawn`,
    );
  });
});
