/**
 * A plot of time per element or of bandwidth against size, drawn by vega-lite. Both of its packages are optional and
 * ESM-only, hence the dynamic imports.
 */
import type { TopLevelSpec } from 'vega-lite';
import { BenchError, messageOf } from './errors.js';
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
    $schema: 'https://vega.github.io/schema/vega-lite/v6.json',
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

/**
 * Loads the two packages, so that a missing one is known before a long run and not after it.
 *
 * @throws BenchError that tells what to install
 */
export async function loadVega(): Promise<{
  vega: typeof import('vega');
  vegaLite: typeof import('vega-lite');
}> {
  try {
    const [vega, vegaLite] = await Promise.all([import('vega'), import('vega-lite')]);
    return { vega, vegaLite };
  } catch (error) {
    throw new BenchError(
      `plots need two optional packages: npm install vega vega-lite@6.3 (${messageOf(error)})`,
    );
  }
}

/**
 * Draws a specification without a browser.
 *
 * @returns an SVG document
 * @throws BenchError if vega or vega-lite is not installed
 */
export async function drawSvg(spec: TopLevelSpec): Promise<string> {
  const { vega, vegaLite } = await loadVega();
  const view = new vega.View(vega.parse(vegaLite.compile(spec).spec), { renderer: 'none' });
  try {
    return await view.toSVG();
  } finally {
    view.finalize();
  }
}
