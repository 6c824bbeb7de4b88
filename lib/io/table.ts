/**
 * Tables of series, one series a row, in `.csv` and `.tsv`: with or without a column of labels, a header line, and
 * NaN or empty cells at the end of the rows of shorter series, as the `.tsv` files of the UCR archive of 2018 have them.
 * Quoting and delimiters are csv-parse's.
 */
import { createReadStream } from 'node:fs';
import { addAbortSignal } from 'node:stream';
import { parse as parseStream, type CsvError, type Info, type Options } from 'csv-parse';
import { parse as parseSync } from 'csv-parse/sync';
import * as check from '../check.js';
import { SeriesSet, type Series } from '../elastic/series.js';
import { quoted, SeriesFileError, type SeriesFileErrorCode } from './series-error.js';
import {
  classesOf,
  isMissing,
  parseNumber,
  readOptions,
  requireFile,
  seriesOf,
  withoutPadding,
  type SeriesReadOptions,
} from './series-text.js';

/** Where the label of a row stands. */
export type LabelColumn = 'first' | 'last' | 'none';

/** How a table is read. */
export interface TableOptions extends SeriesReadOptions {
  /** Between cells, one character. Default: tab for a path that ends in `.tsv`, else `,`. */
  delimiter?: string;
  /** Column of the labels. Default 'first' where the delimiter is a tab, as the UCR archive has it, else 'none'. */
  label?: LabelColumn;
  /** Whether the first row is a header; 'auto': it is where one of its values is no number. Default false. */
  header?: boolean | 'auto';
  /** Channels of every series; a row holds them one after the other, all of one length. Default 1. */
  channels?: number;
}

/** What a table holds. */
export interface TableFile {
  /** Label of each series; undefined without a column of labels. */
  labels?: string[];
  /** The distinct labels: numbers in numeric order, other names sorted. */
  classes?: string[];
  /** The series. */
  set: SeriesSet;
}

type Settings = Required<Omit<TableOptions, 'signal'>> & { source: string };

/** A row as csv-parse gives it with `info`. */
interface Row {
  record: string[];
  info: Info;
}

/** Bytes read at a time. */
const READ_BYTES = 1 << 18;

const CSV_OPTIONS: Options = {
  bom: true,
  info: true,
  relax_column_count: true,
  skip_empty_lines: true,
};

function settingsOf(given: TableOptions | undefined, source: string, path: string): Settings {
  const o = readOptions(given);
  const delimiter = o.delimiter ?? (/\.tsv$/i.test(path) ? '\t' : ',');
  if (typeof delimiter !== 'string') throw check.typeError('delimiter', 'a string', delimiter);
  if (delimiter.length !== 1 || /["\r\n]/.test(delimiter))
    throw check.rangeError('delimiter', 'one character other than a quote or line break', delimiter);
  const header = o.header ?? false;
  if (header !== 'auto') check.boolean('header', header);
  const channels = o.channels === undefined ? 1 : check.positiveInteger('channels', o.channels);
  const label = o.label ?? (delimiter === '\t' ? 'first' : 'none');
  check.oneOf('label', label, ['first', 'last', 'none']);
  return { dtype: o.dtype ?? 'f64', delimiter, header, label, channels, source };
}

/** Takes a table row by row. */
class TableParser {
  readonly #settings: Settings;
  readonly #series: Series[] = [];
  readonly #labels: string[] = [];
  #rows = 0;

  constructor(settings: Settings) {
    this.#settings = settings;
  }

  /** The next row; `line` is where it ends. */
  push({ record, info: { lines: line } }: Row): void {
    const { label, header } = this.#settings;
    const cells = record.slice(label === 'first' ? 1 : 0, label === 'last' ? -1 : undefined);
    const isFirst = this.#rows++ === 0;
    if (isFirst && (header === true || (header === 'auto' && cells.some(isName)))) return;
    if (isFirst && header === false && cells.length > 0 && cells.every(isName))
      throw this.#error(line, `expected numbers, received ${quoted(cells[0])} (a header? pass header: true)`);
    if (label !== 'none')
      this.#labels.push((label === 'first' ? record[0] : record[record.length - 1]).trim());
    this.#series.push(this.#values(cells, line));
  }

  /** After the last row. */
  finish(): TableFile {
    const { channels, source, label } = this.#settings;
    if (this.#series.length === 0) {
      const received = this.#rows > 0 ? 'a header alone' : 'an empty file';
      throw new SeriesFileError(
        'ERR_SERIES_FORMAT',
        source,
        undefined,
        `expected at least one row of values, received ${received}`,
      );
    }
    const set = SeriesSet.from(this.#series, { channels });
    return label === 'none' ? { set } : { labels: this.#labels, classes: classesOf(this.#labels), set };
  }

  #error(line: number, problem: string, code: SeriesFileErrorCode = 'ERR_SERIES_FORMAT'): SeriesFileError {
    return new SeriesFileError(code, this.#settings.source, line, problem);
  }

  #values(cells: readonly string[], line: number): Series {
    const { channels, dtype, label } = this.#settings;
    if (cells.length === 0 || cells.length % channels !== 0)
      throw this.#error(
        line,
        `expected ${channels === 1 ? 'values' : `values of ${channels} channels, all of one length`}` +
          `${label === 'none' ? '' : ' beside the label'}, received ${cells.length} cells`,
      );
    const row = seriesOf(dtype, cells.length);
    cells.forEach((text, i) => {
      row[i] = parseNumber(text);
      if (!Number.isFinite(row[i]) && !isMissing(text))
        throw this.#error(line, `expected a finite number as value ${i + 1}, received ${quoted(text)}`);
    });
    const series = withoutPadding(row, channels);
    if (series.length === 0)
      throw this.#error(line, 'expected at least one value, received none', 'ERR_SERIES_MISSING');
    if (series.some(Number.isNaN)) {
      const length = series.length / channels;
      const at = series.findIndex(Number.isNaN);
      throw this.#error(
        line,
        `expected a number as value ${(at % length) + 1} of channel ${Math.floor(at / length) + 1}, ` +
          'received a missing value with others after it: distances between series need every value, ' +
          'so fill in or cut what is missing first',
        'ERR_SERIES_MISSING',
      );
    }
    return series;
  }
}

/** A cell that is neither a number nor a missing value. */
function isName(text: string): boolean {
  return Number.isNaN(parseNumber(text)) && !isMissing(text);
}

/** csv-parse's errors in the words of this package; others as they are. */
function explained(error: unknown, source: string): unknown {
  // By the code: csv-parse and csv-parse/sync each have a class of their own.
  const { code, lines, message } = error as CsvError;
  if (typeof code !== 'string' || !code.startsWith('CSV_')) return error;
  const line = typeof lines === 'number' ? lines : undefined;
  return new SeriesFileError(
    'ERR_SERIES_FORMAT',
    source,
    line,
    `expected cells between delimiters, quoted as in RFC 4180; csv-parse says: ${message}`,
  );
}

/**
 * Reads the text of a table.
 *
 * @param text the whole file
 * @param options `source` names the text in messages, default 'table'
 * @throws SeriesFileError with the line for text that is not a table of numbers and missing values between others;
 *   TypeError ERR_INVALID_ARG_TYPE; RangeError ERR_OUT_OF_RANGE
 */
export function parseTable(text: string, options?: TableOptions & { source?: string }): TableFile {
  if (typeof text !== 'string') throw check.typeError('text', 'a string', text);
  const source = options?.source ?? 'table';
  const settings = settingsOf(options, source, source);
  const parser = new TableParser(settings);
  try {
    const rows = parseSync(text, { ...CSV_OPTIONS, delimiter: settings.delimiter });
    for (const row of rows as unknown as Row[]) parser.push(row);
  } catch (error) {
    throw explained(error, source);
  }
  return parser.finish();
}

/**
 * Reads a table row by row: no more than the series themselves is held.
 *
 * @throws SeriesFileError with the line for a file that is not a table of numbers and missing values between others;
 *   TypeError ERR_INVALID_ARG_TYPE; RangeError ERR_OUT_OF_RANGE; the system's error (ENOENT, ...); the abort reason
 */
export async function readTable(path: string, options?: TableOptions): Promise<TableFile> {
  const settings = settingsOf(options, path, path);
  await requireFile(path);
  const parser = new TableParser(settings);
  const signal = options?.signal;
  signal?.throwIfAborted();
  const input = createReadStream(path, { highWaterMark: READ_BYTES });
  const rows = parseStream({ ...CSV_OPTIONS, delimiter: settings.delimiter });
  // Not `pipeline`: where the consumer throws, that may reject with an AbortError of its own instead.
  input.on('error', (error) => rows.destroy(error)).pipe(rows);
  if (signal) addAbortSignal(signal, rows);
  try {
    for await (const row of rows as AsyncIterable<Row>) parser.push(row);
  } catch (error) {
    throw signal?.aborted ? signal.reason : explained(error, path);
  } finally {
    input.destroy();
  }
  return parser.finish();
}
