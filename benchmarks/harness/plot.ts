/** A plot of time per element or of bandwidth against size, as a specification that lib/report draws. */
import type { TopLevelSpec } from 'vega-lite';
import { SCHEMA } from '../../lib/report/vega.js';
import type { ResultRow } from './results.js';

/** What the vertical axis shows. */
export type PlotValue = 'ns' | 'GBps';

/** One point of a line. */
export interface PlotPoint {
  size: number;
  value: number;
  contender: string;
  /** Heading of the panel that the point belongs to. */
  panel: string;
}

/** A contender that has no instruction set of its own choosing: it is drawn into every panel of its thread count. */
export type IsPeer = (row: ResultRow) => boolean;

/**
 * Points of a sweep: one panel per instruction set and thread count, size = `case.rows * case.cols`.
 * Rows without `cols` or (for 'GBps') without a rate are left out.
 */
export function plotPoints(rows: readonly ResultRow[], value: PlotValue, isPeer: IsPeer): PlotPoint[] {
  const panelOf = (isa: string | number, threads: string | number) =>
    `${isa}, ${threads} ${Number(threads) === 1 ? 'thread' : 'threads'}`;
  const isas = new Set(rows.filter((row) => !isPeer(row)).map((row) => row.case.isa));
  return rows.flatMap((row) => {
    const size = Number(row.case.rows ?? 1) * Number(row.case.cols);
    const height = value === 'ns' ? row.medianNs / size : row.GBps;
    if (!(size > 0) || height === undefined) return [];
    const shownIn = isPeer(row) && isas.size > 0 ? [...isas] : [row.case.isa];
    return shownIn.map((isa) => ({
      size,
      value: height,
      contender: row.contender,
      panel: panelOf(isa, row.case.threads),
    }));
  });
}

/** The drawing as a vega-lite specification: a line per contender, a panel per `panel`, both axes logarithmic. */
export function plotSpec(title: string, points: readonly PlotPoint[], value: PlotValue): TopLevelSpec {
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
        x: { field: 'size', type: 'quantitative', scale: { type: 'log', base: 2 }, title: 'elements' },
        y: {
          field: 'value',
          type: 'quantitative',
          scale: { type: 'log' },
          title: value === 'ns' ? 'ns per element' : 'GB/s',
        },
        color: contender,
        shape: contender,
      },
    },
  };
}
