/** What `--json` writes and `--against` reads. The names are a public format: other programs read these files. */
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { BenchError, messageOf } from './errors.js';

/** The machine of a run. Two runs are comparable if `fingerprint` gives the same for both. */
export interface Machine {
  /** The processor's own name of its model. */
  cpu: string;
  /** The best instruction set that softlane runs on it. */
  isa: string;
  /** Cores that this process may use. */
  threads: number;
  /** Version of Node, such as `v20.19.0`. */
  node: string;
  /** Sizes in bytes; 0 where the operating system does not tell. */
  caches: { l1d: number; l2: number; l3: number };
}

/** What the machine can do on one core, measured in the same run. GBps is 1e9 bytes per second. */
export interface Ceilings {
  /** Bytes read per second over memory far larger than the caches. */
  readGBps: number;
  /** The same where that memory lies on large pages (largeArray). */
  readLargeGBps: number;
  /** Bytes read plus bytes written per second by a copy with ordinary stores. */
  copyGBps: number;
  /** Bytes read plus bytes written per second by a copy with non-temporal stores. */
  streamCopyGBps: number;
  /** 1e9 floating-point operations per second in fused multiply-adds (two each), for every available instruction set. */
  fmaGflops: Record<string, number>;
}

/** The parameters of a case by name, for softmax `rows, cols, dtype, isa, threads` and more. */
export type CaseParameters = Record<string, string | number>;

/** One contender in one case. */
export interface ResultRow {
  question: string;
  contender: string;
  case: CaseParameters;
  /** Median time of one call. */
  medianNs: number;
  /** Interquartile range divided by the median. */
  spread: number;
  /** How many samples the median is of. */
  samples: number;
  GBps?: number;
  Gflops?: number;
  /** Million cells of dynamic programming per second. */
  Mcells?: number;
  /** Tokens generated per second, those of all sequences of a batch together. */
  tokensPerSecond?: number;
  /** Time that the binding ceiling allows divided by the measured median: 1 is as fast as the machine can. */
  ofCeiling?: number;
  /** Why the row should not be trusted at face value; absent where nothing is wrong. */
  flags?: string[];
}

export interface Results {
  machine: Machine;
  ceilings: Ceilings;
  rows: ResultRow[];
}

/** Results as a file holds them: those written before large pages were measured lack their rate. */
export interface StoredResults extends Omit<Results, 'ceilings'> {
  ceilings: Omit<Ceilings, 'readLargeGBps'> & Partial<Pick<Ceilings, 'readLargeGBps'>>;
}

/** Writes `results` to `path`, making its folder; the file appears whole or not at all. */
export function writeResults(path: string, results: StoredResults): void {
  writeWhole(path, `${JSON.stringify(results, null, 1)}\n`);
}

/**
 * Writes a text file by way of a temporary name beside it, making its folder.
 *
 * @throws BenchError naming the file if it cannot be written
 */
export function writeWhole(path: string, text: string): void {
  try {
    mkdirSync(dirname(path), { recursive: true });
    const temporary = `${path}.${process.pid}.tmp`;
    writeFileSync(temporary, text);
    renameSync(temporary, path);
  } catch (error) {
    throw new BenchError(`cannot write ${path}: ${messageOf(error)}`);
  }
}

/**
 * Reads a file that `writeResults` wrote. Unknown names in it are kept; missing or wrong ones are refused.
 *
 * @throws BenchError naming the file, the field, what was expected and what came
 */
export function readResults(path: string): StoredResults {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw new BenchError(`cannot read ${path}: ${messageOf(error)}`);
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new BenchError(`${path} is not JSON: ${messageOf(error)}`);
  }
  return parseResults(value, path);
}

/**
 * Checks that `value` has the shape of `StoredResults`.
 *
 * @param source how to name its origin in errors
 * @throws BenchError naming the field, what was expected and what came
 */
export function parseResults(value: unknown, source: string): StoredResults {
  const top = new Field(value, '', source).object();
  const machine = top.get('machine').object();
  machine.get('cpu').string();
  machine.get('isa').string();
  machine.get('threads').number();
  machine.get('node').string();
  const caches = machine.get('caches').object();
  for (const level of ['l1d', 'l2', 'l3']) caches.get(level).number();

  const ceilings = top.get('ceilings').object();
  for (const name of ['readGBps', 'copyGBps', 'streamCopyGBps']) ceilings.get(name).number();
  if (ceilings.has('readLargeGBps')) ceilings.get('readLargeGBps').number();
  const fma = ceilings.get('fmaGflops').object();
  for (const isa of fma.names()) fma.get(isa).number();

  for (const row of top.get('rows').array()) {
    const fields = row.object();
    fields.get('question').string();
    fields.get('contender').string();
    const parameters = fields.get('case').object();
    for (const name of parameters.names()) parameters.get(name).scalar();
    for (const name of ['medianNs', 'spread', 'samples']) fields.get(name).number();
    for (const name of ['GBps', 'Gflops', 'Mcells', 'tokensPerSecond', 'ofCeiling'])
      if (fields.has(name)) fields.get(name).number();
    if (fields.has('flags')) for (const flag of fields.get('flags').array()) flag.string();
  }
  return value as StoredResults;
}

/** A value with its place in the document, so that every complaint can say where. */
class Field {
  constructor(
    private readonly value: unknown,
    private readonly path: string,
    private readonly source: string,
  ) {}

  object(): ObjectField {
    if (typeof this.value !== 'object' || this.value === null || Array.isArray(this.value))
      this.fail('an object');
    return new ObjectField(this.value as Record<string, unknown>, this.path, this.source);
  }

  array(): Field[] {
    if (!Array.isArray(this.value)) this.fail('an array');
    return (this.value as unknown[]).map((item, i) => new Field(item, `${this.path}[${i}]`, this.source));
  }

  string(): void {
    if (typeof this.value !== 'string') this.fail('a string');
  }

  number(): void {
    if (typeof this.value !== 'number' || !Number.isFinite(this.value) || this.value < 0) {
      this.fail('a finite number >= 0');
    }
  }

  scalar(): void {
    if (typeof this.value !== 'string' && typeof this.value !== 'number') this.fail('a string or a number');
  }

  private fail(expected: string): never {
    const received = this.value === undefined ? 'nothing' : JSON.stringify(this.value).slice(0, 60);
    const name = this.path === '' ? 'the document' : `"${this.path}"`;
    throw new BenchError(
      `${this.source} is not a result of softlane bench: ${name} must be ${expected}, received ${received}`,
    );
  }
}

class ObjectField {
  constructor(
    private readonly value: Record<string, unknown>,
    private readonly path: string,
    private readonly source: string,
  ) {}

  names(): string[] {
    return Object.keys(this.value);
  }

  has(name: string): boolean {
    return this.value[name] !== undefined;
  }

  get(name: string): Field {
    return new Field(this.value[name], this.path === '' ? name : `${this.path}.${name}`, this.source);
  }
}
