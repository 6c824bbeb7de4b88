/** Plots of groups of series: the members thin, what stands for them thick. */
import type { TopLevelSpec } from 'vega-lite';
import { COLOURS, LOOK } from './look.js';
import { SCHEMA } from './vega.js';

/** One panel: some series of one channel, and the series that stands for them. */
export interface Panel {
  /** Above the panel; no two panels have the same. */
  heading: string;
  members: readonly ArrayLike<number>[];
  center: ArrayLike<number>;
}

/** A point of a line. */
interface Point {
  time: number;
  value: number;
}

/** Lines that a panel can show: of more members some are drawn and some are not. */
export const MOST_MEMBERS = 100;
/** Points of a line that can be told apart. */
const MOST_POINTS = 600;

/** A line of at most 600 points: a longer one keeps the lowest and the highest of each of 300 stretches. */
export function pointsOf(values: ArrayLike<number>): Point[] {
  const n = values.length;
  if (n <= MOST_POINTS) return Array.from(values, (value, time) => ({ time, value }));
  const stretches = MOST_POINTS / 2;
  const points: Point[] = [];
  for (let s = 0; s < stretches; s++) {
    const begin = Math.floor((s * n) / stretches);
    const end = Math.floor(((s + 1) * n) / stretches);
    let [low, high] = [begin, begin];
    for (let t = begin; t < end; t++) {
      if (values[t] < values[low]) low = t;
      if (values[t] > values[high]) high = t;
    }
    for (const time of [Math.min(low, high), Math.max(low, high)]) points.push({ time, value: values[time] });
  }
  return points;
}

/** At most `most` of a list, evenly spread. */
export function spread<T>(list: readonly T[], most: number): T[] {
  if (list.length <= most) return [...list];
  return Array.from({ length: most }, (_, i) => list[Math.floor(((i + 0.5) * list.length) / most)]);
}

/** Panels side by side: those of one group in a row where they fit, else 3, but 4 panels two by two. */
function columnsFor(panels: number, channels: number): number {
  if (channels > 1 && channels <= 4) return channels;
  return panels === 4 ? 2 : 3;
}

/**
 * Panels of series.
 *
 * @param names what a member and a centre are called in the legend
 * @param channels of the series: panels follow one another channel by channel, each with a scale of its own where there
 *   are several
 */
export function panelsSpec(
  title: string,
  panels: readonly Panel[],
  names: readonly [member: string, center: string],
  channels: number,
): TopLevelSpec {
  const [member, center] = names;
  const values = panels.flatMap(({ heading: panel, members, center: middle }) => {
    // Of many lines the many show, of a few each one.
    const opacity = Math.min(0.7, Math.max(0.25, 12 / members.length));
    return [
      ...spread(members, MOST_MEMBERS).flatMap((each, line) =>
        pointsOf(each).map((point) => ({ ...point, panel, line, role: member, opacity })),
      ),
      ...pointsOf(middle).map((point) => ({ ...point, panel, line: -1, role: center })),
    ];
  });
  const most = Math.max(...panels.map(({ members }) => members.length));
  const left = most > MOST_MEMBERS ? [`of each group of more, ${MOST_MEMBERS} series are drawn`] : undefined;
  return {
    $schema: SCHEMA,
    title: { text: title, ...(left && { subtitle: left }) },
    background: 'white',
    config: LOOK,
    data: { values },
    facet: { field: 'panel', type: 'nominal', title: null, sort: panels.map(({ heading }) => heading) },
    columns: columnsFor(panels.length, channels),
    ...(channels > 1 && { resolve: { scale: { y: 'independent' } } }),
    spec: {
      width: panels.length === 1 ? 520 : 300,
      height: panels.length === 1 ? 320 : 200,
      encoding: {
        x: { field: 'time', type: 'quantitative', title: 'time point', scale: { nice: false } },
        y: { field: 'value', type: 'quantitative', title: 'value', scale: { zero: false } },
        color: {
          field: 'role',
          type: 'nominal',
          title: null,
          scale: { domain: [...names], range: [COLOURS.sky, COLOURS.vermilion] },
        },
      },
      layer: [
        {
          transform: [{ filter: { field: 'line', gte: 0 } }],
          mark: { type: 'line', strokeWidth: 1 },
          encoding: {
            detail: { field: 'line', type: 'nominal' },
            opacity: { field: 'opacity', type: 'quantitative', scale: null },
          },
        },
        {
          transform: [{ filter: { field: 'line', lt: 0 } }],
          mark: { type: 'line', strokeWidth: 3.5, opacity: 1 },
        },
      ],
    },
  };
}
