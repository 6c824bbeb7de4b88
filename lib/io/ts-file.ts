/**
 * The `.ts` text format of the UCR/UEA time series archive (timeseriesclassification.com): `#` comments, `@` header
 * lines, `@data`, then one case a line: channels separated by `:`, values by `,`, the class label last.
 */
import * as check from '../check.js';
import { SeriesSet, type Series } from '../elastic/series.js';
import { replaceFile } from './atomic.js';
import { linesOf } from './lines.js';
import { quoted, SeriesFileError, type SeriesFileErrorCode } from './series-error.js';
import {
  classesOf,
  isMissing,
  parseNumber,
  readOptions,
  requireFile,
  seriesOf,
  type SeriesDtype,
  type SeriesReadOptions,
} from './series-text.js';

/** What a `.ts` file holds. */
export interface TsFile {
  /** `@problemName`, '' where there is none. */
  name: string;
  /** Channels of every series. */
  channels: number;
  /** Whether all series are of one length, as they are, whatever `@equalLength` says. */
  equalLength: boolean;
  /** Label of each series, the value of the target where the file has one of these; empty where it has neither. */
  labels: string[];
  /** Names of the classes in the order of `@classLabel`; empty where the file has none. */
  classes: string[];
  /** The series. */
  set: SeriesSet;
}

/** What is written to a `.ts` file. */
export interface TsInput {
  /** The series. */
  set: SeriesSet;
  /** Label of each series, without white space, `:` and `,`. Default: none. */
  labels?: readonly string[];
  /** Names of the classes in the order of the header. Default: those of `labels`, sorted. */
  classes?: readonly string[];
  /** `@problemName`, one line. Default 'series'. */
  name?: string;
  /** Text of the comment at the top. Default: none. */
  comment?: string;
}

/** Settings that are true or false, in lower case. */
const SWITCHES = ['timestamps', 'missing', 'univariate', 'equallength'] as const;
type Switch = (typeof SWITCHES)[number];

/** Takes a file line by line. */
class TsParser {
  readonly #source: string;
  readonly #dtype: SeriesDtype;
  readonly #switches = new Map<Switch, boolean>();
  readonly #series: Series[] = [];
  readonly #labels: string[] = [];
  #line = 0;
  #name = '';
  #channels: number | undefined;
  #length: number | undefined;
  #classes: string[] | undefined;
  #hasTarget = false;
  #inData = false;

  constructor(source: string, dtype: SeriesDtype) {
    this.#source = source;
    this.#dtype = dtype;
  }

  /** The next line. */
  push(line: string): void {
    this.#line++;
    const text = line.trim();
    if (text === '' || text.startsWith('#')) return;
    if (this.#inData) this.#case(text);
    else if (text.startsWith('@')) this.#header(text);
    else throw this.#error(`expected a header line that starts with "@" or "#", received ${quoted(text)}`);
  }

  /** After the last line. */
  finish(): TsFile {
    const end = (what: string): SeriesFileError =>
      new SeriesFileError('ERR_SERIES_FORMAT', this.#source, undefined, what);
    if (!this.#inData) throw end('expected a line "@data", received the end of the file');
    if (this.#series.length === 0)
      throw end('expected at least one series after "@data", received the end of the file');
    const channels = this.#channels ?? 1;
    const set = SeriesSet.from(this.#series, { channels });
    return {
      name: this.#name,
      channels,
      equalLength: set.length !== null,
      labels: this.#labels,
      classes: this.#classes ?? [],
      set,
    };
  }

  #error(problem: string, code: SeriesFileErrorCode = 'ERR_SERIES_FORMAT'): SeriesFileError {
    return new SeriesFileError(code, this.#source, this.#line, problem);
  }

  /** Keys in any case; unknown ones are passed over, since the archive adds some from time to time. */
  #header(text: string): void {
    const [key, ...words] = text.slice(1).split(/\s+/);
    const name = key.toLowerCase();
    if ((SWITCHES as readonly string[]).includes(name)) this.#switch(name as Switch, key, words);
    else if (name === 'problemname') this.#name = words.join(' ');
    else if (name === 'dimensions' || name === 'dimension') this.#channels = this.#count(key, words);
    else if (name === 'serieslength') this.#length = this.#count(key, words);
    else if (name === 'classlabel') this.#classLabel(key, words);
    else if (name === 'targetlabel') this.#hasTarget = this.#boolean(key, words);
    else if (name === 'data') this.#begin();
    else if (name === 'relation' || name === 'attribute')
      throw this.#error(
        `expected a .ts header, received "@${key}" of an ARFF file`,
        'ERR_SERIES_UNSUPPORTED',
      );
  }

  #switch(name: Switch, key: string, words: readonly string[]): void {
    const value = this.#boolean(key, words);
    if (name === 'timestamps' && value)
      throw this.#error(
        'expected "@timeStamps false", received true: series of (time, value) pairs are not read; ' +
          'write their values alone, at equal steps of time',
        'ERR_SERIES_UNSUPPORTED',
      );
    this.#switches.set(name, value);
  }

  #boolean(key: string, words: readonly string[]): boolean {
    const word = words[0]?.toLowerCase();
    if (word !== 'true' && word !== 'false')
      throw this.#error(`expected "@${key} true" or "@${key} false", received ${quoted(words.join(' '))}`);
    return word === 'true';
  }

  #count(key: string, words: readonly string[]): number {
    const value = words.length === 1 ? parseNumber(words[0]) : NaN;
    if (!Number.isSafeInteger(value) || value < 1)
      throw this.#error(`expected a positive integer after "@${key}", received ${quoted(words.join(' '))}`);
    return value;
  }

  #classLabel(key: string, words: readonly string[]): void {
    const names = words.slice(1);
    if (!this.#boolean(key, words)) return;
    if (names.length === 0)
      throw this.#error(`expected the names of the classes after "@${key} true", received none`);
    this.#classes = names;
  }

  #begin(): void {
    this.#inData = true;
    const isUnivariate = this.#switches.get('univariate');
    if (isUnivariate === true && this.#channels !== undefined && this.#channels !== 1)
      throw this.#error(`expected one dimension for "@univariate true", received ${this.#channels}`);
    if (isUnivariate === true) this.#channels = 1;
    if (this.#classes !== undefined && this.#hasTarget)
      throw this.#error('expected either "@classLabel true" or "@targetLabel true", received both');
  }

  #case(text: string): void {
    if (text.startsWith('('))
      throw this.#error(
        'expected values, received (time, value) pairs, which are not read',
        'ERR_SERIES_UNSUPPORTED',
      );
    const parts = text.split(':');
    if (this.#classes !== undefined || this.#hasTarget) this.#label(parts);
    this.#channels ??= parts.length;
    if (parts.length !== this.#channels)
      throw this.#error(
        `expected ${this.#channels} channels separated by ":"${this.#labels.length > 0 ? ' before the label' : ''}, received ${parts.length}`,
      );
    this.#series.push(this.#values(parts));
  }

  /** Takes the label off the end. */
  #label(parts: string[]): void {
    if (parts.length < 2)
      throw this.#error(
        `expected a label after the last ":", received a line without ":", ${quoted(parts[0])}`,
      );
    const label = (parts.pop() as string).trim();
    if (this.#classes !== undefined && !this.#classes.includes(label))
      throw this.#error(
        `expected one of the classes ${this.#classes.map(quoted).join(', ')}, received ${quoted(label)}`,
      );
    this.#labels.push(label);
  }

  #values(parts: readonly string[]): Series {
    const rows = parts.map((part) => part.split(','));
    const { length } = rows[0];
    this.#checkLength(length);
    const series = seriesOf(this.#dtype, length * rows.length);
    rows.forEach((cells, channel) => {
      if (cells.length !== length)
        throw this.#error(
          `expected ${length} values in channel ${channel + 1} as in channel 1, received ${cells.length}`,
        );
      for (let t = 0; t < length; t++) {
        const at = channel * length + t;
        series[at] = parseNumber(cells[t]);
        // Also what is finite in text and not in float32.
        if (!Number.isFinite(series[at])) throw this.#badValue(cells[t], channel, t);
      }
    });
    return series;
  }

  #checkLength(length: number): void {
    const isEqual = this.#switches.get('equallength') === true;
    if (isEqual) this.#length ??= length;
    if (isEqual && length !== this.#length)
      throw this.#error(`expected ${this.#length} values for "@equalLength true", received ${length}`);
  }

  #badValue(text: string, channel: number, t: number): SeriesFileError {
    const where = `as value ${t + 1} of channel ${channel + 1}`;
    if (text.trim() !== '' && isMissing(text))
      return this.#error(
        `expected a number ${where}, received the missing value ${quoted(text.trim())}: ` +
          'distances between series need every value, so fill in or cut what is missing first',
        'ERR_SERIES_MISSING',
      );
    return this.#error(`expected a finite number ${where}, received ${quoted(text)}`);
  }
}

/**
 * Reads the text of a `.ts` file.
 *
 * @param text the whole file
 * @param options `source` names the text in messages, default 'ts data'
 * @throws SeriesFileError with the line for text that does not follow the format, missing values and time stamps;
 *   TypeError ERR_INVALID_ARG_TYPE
 */
export function parseTs(text: string, options?: { source?: string; dtype?: SeriesDtype }): TsFile {
  if (typeof text !== 'string') throw check.typeError('text', 'a string', text);
  const o = readOptions(options);
  const parser = new TsParser(o.source ?? 'ts data', o.dtype ?? 'f64');
  for (const line of text.replace(/^\ufeff/, '').split('\n')) parser.push(line);
  return parser.finish();
}

/**
 * Reads a `.ts` file, line by line: no more than the series themselves is held.
 *
 * @throws SeriesFileError with the line for a file that does not follow the format, missing values and time stamps;
 *   TypeError ERR_INVALID_ARG_TYPE; the system's error (ENOENT, ...); the abort reason
 */
export async function readTs(path: string, options?: SeriesReadOptions): Promise<TsFile> {
  const o = readOptions(options);
  await requireFile(path);
  const parser = new TsParser(path, o.dtype ?? 'f64');
  for await (const line of linesOf(path, o.signal)) parser.push(line);
  return parser.finish();
}

/** Characters of values gathered for one write. */
const WRITE_CHARACTERS = 1 << 18;

/**
 * Writes a `.ts` file, complete or not at all. Values are written with as many digits as bring them back exactly.
 *
 * @throws TypeError ERR_INVALID_ARG_TYPE, RangeError ERR_OUT_OF_RANGE (labels of another number than series, or that
 *   the format cannot hold), or the system's error
 */
export async function writeTs(path: string, input: TsInput): Promise<void> {
  if (typeof path !== 'string') throw check.typeError('path', 'a string', path);
  const head = headerOf(input);
  const { set, labels } = input;
  await replaceFile(path, async (handle) => {
    let text = head;
    for (let i = 0; i < set.count; i++) {
      const values = set.series(i);
      const n = set.lengths[i];
      for (let c = 0; c < set.channels; c++)
        text += `${c > 0 ? ':' : ''}${Array.from(values.subarray(c * n, (c + 1) * n), decimal).join(',')}`;
      text += labels === undefined ? '\n' : `:${labels[i]}\n`;
      if (text.length < WRITE_CHARACTERS && i < set.count - 1) continue;
      await handle.writeFile(text);
      text = '';
    }
  });
}

/** The shortest digits that bring a number back; String() drops the sign of zero. */
function decimal(value: number): string {
  return Object.is(value, -0) ? '-0' : String(value);
}

function headerOf(input: TsInput): string {
  const { set, labels, name = 'series', comment } = check.options(input);
  if (!(set instanceof SeriesSet)) throw check.typeError('set', 'a SeriesSet', set);
  if (typeof name !== 'string') throw check.typeError('name', 'a string', name);
  if (/[\r\n]/.test(name) || name.trim() === '')
    throw check.rangeError('name', 'one line that is not empty', name);
  if (comment !== undefined && typeof comment !== 'string')
    throw check.typeError('comment', 'a string', comment);
  const lines = comment === undefined ? [] : comment.split(/\r?\n/).map((line) => `# ${line}`);
  lines.push(`@problemName ${name}`, '@timeStamps false', '@missing false');
  lines.push(`@univariate ${set.channels === 1}`);
  if (set.channels > 1) lines.push(`@dimensions ${set.channels}`);
  lines.push(`@equalLength ${set.length !== null}`);
  if (set.length !== null) lines.push(`@seriesLength ${set.length}`);
  lines.push(labels === undefined ? '@classLabel false' : `@classLabel true ${classNames(input).join(' ')}`);
  return `${lines.join('\n')}\n@data\n`;
}

/** The names of the classes of labels that the format can hold. */
function classNames({ set, labels = [], classes = classesOf(labels) }: TsInput): readonly string[] {
  if (labels.length !== set.count)
    throw check.rangeError('labels', `one for each of the ${set.count} series`, labels.length);
  [...labels, ...classes].forEach((label) => {
    if (typeof label !== 'string') throw check.typeError('labels', 'strings', label);
    if (!/^[^\s:,]+$/.test(label))
      throw check.rangeError('labels', 'names without white space, ":" and ","', label);
  });
  const missing = labels.find((label) => !classes.includes(label));
  if (missing !== undefined) throw check.rangeError('classes', 'all labels', `none named ${quoted(missing)}`);
  return classes;
}
