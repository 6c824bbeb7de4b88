/** What commands print and write: JSON that people can read, tables for spreadsheets, drawings. */
import type { TopLevelSpec } from 'vega-lite';
import { access, constants } from 'node:fs/promises';
import { dirname } from 'node:path';
import { replaceFile } from '../../io/atomic.js';
import { drawSvg, loadVega } from '../../report/vega.js';

/** A value as JSON: objects indented, lists of numbers and strings on one line, typed arrays as lists, NaN as null. */
export function formatJson(value: unknown, indent = ''): string {
  if (ArrayBuffer.isView(value)) return formatJson(Array.from(value as Float64Array), indent);
  if (typeof value !== 'object' || value === null) return JSON.stringify(value) ?? 'null';
  const inner = `${indent}  `;
  if (Array.isArray(value)) {
    const items = value.map((each: unknown) => formatJson(each, inner));
    const isFlat = value.every((each) => typeof each !== 'object' || each === null);
    return isFlat
      ? `[${items.join(', ')}]`
      : `[\n${items.map((each) => inner + each).join(',\n')}\n${indent}]`;
  }
  const entries = Object.entries(value).filter(([, each]) => each !== undefined);
  if (entries.length === 0) return '{}';
  const lines = entries.map(([name, each]) => `${inner}${JSON.stringify(name)}: ${formatJson(each, inner)}`);
  return `{\n${lines.join(',\n')}\n${indent}}`;
}

/** Writes text to stdout, with a line break after it. */
export function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

/**
 * Makes sure before the work, and not after it, that its files can be written and its drawing drawn.
 *
 * @throws the system's error where a folder is not there or may not be written to; PlotError
 */
export async function prepareOutputs({ output, plot }: { output?: string; plot?: string }): Promise<void> {
  for (const path of [output, plot]) if (path !== undefined) await access(dirname(path), constants.W_OK);
  if (plot !== undefined) await loadVega();
}

/** Writes a table with commas between cells; a cell that needs it is put in quotes (RFC 4180). */
export async function writeCsv(
  path: string,
  head: readonly string[],
  rows: readonly (readonly (string | number)[])[],
): Promise<void> {
  const cell = (value: string | number): string => {
    const text = String(value);
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  const lines = [head, ...rows].map((row) => row.map(cell).join(','));
  await replaceFile(path, (handle) => handle.writeFile(`${lines.join('\n')}\n`));
}

/** Draws a specification into a file. @throws PlotError where vega or vega-lite is not installed; the system's error */
export async function writePlot(path: string, spec: TopLevelSpec): Promise<void> {
  const svg = await drawSvg(spec);
  await replaceFile(path, (handle) => handle.writeFile(svg));
}

/** A number to six significant digits. */
export function digits(value: number): string {
  return String(Number(value.toPrecision(6)));
}

/** 1 series, 2 series; 1 error, 2 errors. */
export function counted(count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`;
}
