/** A plot of a figure against size, as a specification that lib/report draws. What is drawn is the question's to say. */
import type { TopLevelSpec } from 'vega-lite';
import { SCHEMA } from '../../lib/report/vega.js';
import type { ResultRow } from './results.js';

/** What an axis shows of a row; a row without it is left out. */
export interface Axis {
  title: string;
  of: (row: ResultRow) => number | undefined;
}

/** How a question is drawn: a line for each name that `line` gives, in panels that share their axes. */
export interface PlotDesign {
  /** The rows that are drawn, in the order of the lines. */
  rows: (rows: readonly ResultRow[]) => ResultRow[];
  /** The horizontal axis, in powers of two. */
  size: Axis;
  /** What the vertical axis can show, by the name that `--plot-value` takes; the first is the default. */
  values: Record<string, Axis>;
  /** The line that a row is a point of. */
  line: (row: ResultRow) => string;
  /** Headings of the panels that a row is drawn into; `rows` is all that is drawn. */
  panels: (row: ResultRow, rows: readonly ResultRow[]) => string[];
}

/** One point of a line. */
export interface PlotPoint {
  size: number;
  value: number;
  contender: string;
  /** Heading of the panel that the point belongs to. */
  panel: string;
}

/** The points of `rows` in the order of the lines. Rows without a size or a value above 0 are left out. */
export function plotPoints(rows: readonly ResultRow[], design: PlotDesign, value: string): PlotPoint[] {
  const drawn = design.rows(rows);
  return drawn.flatMap((row) => {
    const size = design.size.of(row);
    const height = design.values[value].of(row);
    if (size === undefined || height === undefined || !(size > 0) || !(height > 0)) return [];
    return design
      .panels(row, drawn)
      .map((panel) => ({ size, value: height, contender: design.line(row), panel }));
  });
}

/** The drawing as a vega-lite specification: a line per contender, a panel per `panel`, both axes logarithmic. */
export function plotSpec(
  title: string,
  points: readonly PlotPoint[],
  design: PlotDesign,
  value: string,
): TopLevelSpec {
  // Given in full, colours and shapes share one legend, and panels keep the order of the table.
  const contenders = [...new Set(points.map((point) => point.contender))];
  const panels = [...new Set(points.map((point) => point.panel))];
  const contender = {
    field: 'contender',
    type: 'nominal',
    scale: { domain: contenders },
    title: 'contender',
  } as const;
  return {
    $schema: SCHEMA,
    title,
    background: 'white',
    config: { legend: { labelLimit: 240 } },
    data: { values: [...points] },
    facet: { field: 'panel', type: 'nominal', title: null, sort: panels },
    columns: 3,
    spec: {
      width: 400,
      height: 320,
      mark: { type: 'line', point: true },
      encoding: {
        x: {
          field: 'size',
          type: 'quantitative',
          scale: { type: 'log', base: 2 },
          title: design.size.title,
        },
        y: {
          field: 'value',
          type: 'quantitative',
          scale: { type: 'log' },
          title: design.values[value].title,
        },
        color: contender,
        shape: contender,
      },
    },
  };
}
