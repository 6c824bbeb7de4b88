/** Tables over a whole run of the softmax question, and the rows that its plot shows. */
import type { PlotDesign } from '../harness/plot.js';
import type { ResultRow } from '../harness/results.js';
import { formatCount } from '../harness/sizes.js';
import { renderMatrix } from '../harness/table.js';
import { TFJS } from '../peers/tfjs.js';

/** Contenders that choose their instructions themselves. */
export const PEERS: readonly string[] = ['javascript', 'onnxruntime-node', TFJS];

/** What memory alone would take, beside the contenders where it binds. */
export const FLOORS: readonly string[] = ['streaming-read', 'copy', 'streaming-copy'];

/** The rows of the sweep over sizes: float32 softmax of one row, all of one distribution, ascending in size. */
export function sweepRows(rows: readonly ResultRow[]): ResultRow[] {
  const single = rows.filter(
    ({ contender, case: c }) =>
      c.operation === 'softmax' && c.rows === 1 && c.dtype === 'f32' && !FLOORS.includes(contender),
  );
  return single
    .filter((row) => row.case.distribution === single[0].case.distribution)
    .sort((a, b) => Number(a.case.cols) - Number(b.case.cols));
}

/** True for contenders that choose their instructions themselves. */
export function isPeer(row: ResultRow): boolean {
  return PEERS.includes(row.contender);
}

/** One panel per instruction set and thread count, a line per contender; peers are drawn into every panel. */
export const plot: PlotDesign = {
  rows: sweepRows,
  size: { title: 'elements', of: elementsOf },
  values: {
    ns: { title: 'ns per element', of: (row) => row.medianNs / elementsOf(row) },
    GBps: { title: 'GB/s', of: (row) => row.GBps },
  },
  line: ({ contender }) => contender,
  panels: (row, rows) => {
    const own = rows.filter((other) => !isPeer(other)).map((other) => other.case.isa);
    const isas = isPeer(row) && own.length > 0 ? [...new Set(own)] : [row.case.isa];
    const { threads } = row.case;
    return isas.map((isa) => `${isa}, ${threads} ${threads === 1 ? 'thread' : 'threads'}`);
  },
};

function elementsOf({ case: { rows, cols } }: ResultRow): number {
  return Number(rows) * Number(cols);
}

/** Tables over the sweep: time per element by size, and what two-pass gains over the better three-pass form. */
export function summarise(rows: readonly ResultRow[]): string[] {
  const sweep = sweepRows(rows);
  const groups = new Map<string, ResultRow[]>();
  for (const row of sweep) {
    const { threads, distribution } = row.case;
    const key = `${distribution}, ${threads} ${threads === 1 ? 'thread' : 'threads'}`;
    groups.set(key, [...(groups.get(key) ?? []), row]);
  }
  return [...groups].flatMap(([name, group]) => {
    if (new Set(group.map((row) => row.case.cols)).size < 2) return [];
    const isas = [...new Set(group.map((row) => row.case.isa))];
    const tables = isas.map((isa) =>
      renderMatrix(
        `ns per element, ${isa}, ${name}`,
        group
          .filter((row) => isPeer(row) || row.case.isa === isa)
          .map((row) => ({
            line: formatCount(Number(row.case.cols)),
            column: row.contender,
            value: row.medianNs / Number(row.case.cols),
          })),
      ),
    );
    const gains = gainCells(group, isas);
    return gains.length > 0
      ? [
          ...tables,
          renderMatrix(
            `better three-pass form / two-pass, and best single form / auto, ${name}`,
            gains,
            false,
          ),
        ]
      : tables;
  });
}

function gainCells(group: readonly ResultRow[], isas: readonly (string | number)[]) {
  const sizes = [...new Set(group.map((row) => Number(row.case.cols)))];
  return sizes.flatMap((cols) =>
    isas.flatMap((isa) => {
      const here = group.filter((row) => row.case.cols === cols && row.case.isa === isa && !isPeer(row));
      const best = (matches: (name: string) => boolean) =>
        Math.min(...here.filter((row) => matches(row.contender)).map((row) => row.medianNs));
      const line = formatCount(cols);
      const three = best((name) => name.startsWith('three-pass')) / best((name) => name === 'two-pass');
      const single = best((name) => name !== 'auto') / best((name) => name === 'auto');
      return [
        { line, column: `${isa}: three/two`, value: three },
        { line, column: `${isa}: best/auto`, value: single },
      ].filter((cell) => Number.isFinite(cell.value) && cell.value > 0);
    }),
  );
}
