/** The plot of an alignment: two series with lines between matched points, and the path over the matrix of costs. */
import type { TopLevelSpec } from 'vega-lite';
import { heatMap, heatMaximum, heatScale, type Heat } from './heat-map.js';
import { COLOURS, LOOK } from './look.js';
import { pointsOf, spread } from './series-plots.js';
import { SCHEMA } from './vega.js';

/** What is drawn. */
export interface AlignmentPlot {
  title: string;
  /** What the two series are called; not the same. */
  names: readonly [string, string];
  /** The first series, a line a channel. */
  x: readonly ArrayLike<number>[];
  /** The second series, a line a channel. */
  y: readonly ArrayLike<number>[];
  /** Pairs of time points i0, j0, i1, j1, ..., of the first and the second series. */
  path: ArrayLike<number>;
  /** Costs of pairs of time points, the first of them `begin`, `begin`. */
  costs: Heat & { begin: number; title: string };
}

/** A part of a specification; vega-lite exports the type of the whole alone. */
type Part = object;

/** Lines between matched points that can be told apart. */
const MOST_MATCHES = 120;
const WIDTH = 640;
const MATRIX_SIDE = 360;

/** The alignment as a drawing: a panel of the series for each channel, the matrix below them. */
export function alignmentSpec(plot: AlignmentPlot): TopLevelSpec {
  const steps = Array.from({ length: plot.path.length / 2 }, (_, s): [number, number] => [
    plot.path[2 * s],
    plot.path[2 * s + 1],
  ]);
  const channels = plot.x.map((_, c) => seriesPanel(plot, c, spread(steps, MOST_MATCHES)));
  return {
    $schema: SCHEMA,
    title: plot.title,
    background: 'white',
    config: LOOK,
    vconcat: [...channels, matrixPanel(plot, steps)],
    resolve: { scale: { color: 'independent' } },
  } as TopLevelSpec;
}

/** One channel of both series, the first above the second. */
function seriesPanel(
  { x, y, names }: AlignmentPlot,
  channel: number,
  matches: readonly [number, number][],
): Part {
  const [a, b] = [x[channel], y[channel]];
  const [lowA, highA, lowB, highB] = [...rangeOf(a), ...rangeOf(b)];
  // A gap of a quarter of the taller series lies between the two.
  const shift = highB - lowA + 0.25 * Math.max(highA - lowA, highB - lowB);
  const lines = [
    ...pointsOf(a).map(({ time, value }) => ({ time, value: value + shift, series: names[0] })),
    ...pointsOf(b).map((point) => ({ ...point, series: names[1] })),
  ];
  const between = matches.map(([i, j]) => ({ i, j, from: a[i] + shift, to: b[j] }));
  const of = x.length > 1 ? `, channel ${channel}` : '';
  const time = { type: 'quantitative', title: 'time point', scale: { nice: false } } as const;
  const value = {
    type: 'quantitative',
    title: [`value${of}`, `(${names[0]}: + ${Number(shift.toPrecision(3))})`],
    scale: { zero: false },
  } as const;
  return {
    width: WIDTH,
    height: x.length > 1 ? 180 : 260,
    layer: [
      {
        data: { values: between },
        mark: { type: 'rule', color: COLOURS.grey, strokeWidth: 0.8, opacity: 0.7 },
        encoding: {
          x: { ...time, field: 'i' },
          x2: { field: 'j' },
          y: { ...value, field: 'from' },
          y2: { field: 'to' },
        },
      },
      {
        data: { values: lines },
        mark: { type: 'line', strokeWidth: 2.5 },
        encoding: {
          x: { ...time, field: 'time' },
          y: { ...value, field: 'value' },
          color: {
            field: 'series',
            type: 'nominal',
            title: null,
            // One legend is enough for all channels.
            ...(channel > 0 && { legend: null }),
            scale: { domain: [...names], range: [COLOURS.blue, COLOURS.vermilion] },
          },
        },
      },
    ],
  };
}

/** The matrix as a picture, the path on it; the first series goes up, the second to the right. */
function matrixPanel({ costs, names }: AlignmentPlot, steps: readonly [number, number][]): Part {
  const { rows, cols, begin, title } = costs;
  const scale = MATRIX_SIDE / Math.max(rows, cols);
  const [width, height] = [Math.max(60, cols * scale), Math.max(60, rows * scale)];
  const max = heatMaximum(costs);
  const domain = (n: number): [number, number] => [begin - 0.5, begin + n - 0.5];
  const axes = {
    x: {
      field: 'j',
      type: 'quantitative',
      title: `time point of ${names[1]}`,
      scale: { domain: domain(cols), nice: false, zero: false },
    },
    y: {
      field: 'i',
      type: 'quantitative',
      title: `time point of ${names[0]}`,
      scale: { domain: domain(rows), nice: false, zero: false },
    },
  } as const;
  const path = (strokeWidth: number, color: string): Part => ({
    data: { values: steps.map(([i, j], step) => ({ i, j, step })) },
    mark: { type: 'line', strokeWidth, color, strokeJoin: 'round' },
    encoding: { ...axes, order: { field: 'step', type: 'quantitative' } },
  });
  return {
    width,
    height,
    layer: [
      {
        data: { values: [{ url: heatMap(costs, max) }] },
        mark: {
          type: 'image',
          aria: false,
          aspect: false,
          smooth: false,
          align: 'left',
          baseline: 'top',
          width,
          height,
        },
        encoding: { x: { value: 0 }, y: { value: 0 }, url: { field: 'url', type: 'nominal' } },
      },
      path(5, 'white'),
      path(2.5, COLOURS.vermilion),
      {
        // Nothing to be seen but the legend of the picture's colours.
        data: { values: [{ cost: 0 }] },
        mark: { type: 'point', size: 0, strokeWidth: 0 },
        encoding: {
          color: { field: 'cost', type: 'quantitative', title, scale: heatScale(max) },
        },
      },
    ],
  };
}

function rangeOf(values: ArrayLike<number>): [low: number, high: number] {
  let [low, high] = [Infinity, -Infinity];
  for (let t = 0; t < values.length; t++) {
    low = Math.min(low, values[t]);
    high = Math.max(high, values[t]);
  }
  return [low, high];
}
