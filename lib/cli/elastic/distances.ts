/** What `softlane distances` and `softlane gather` do: a matrix of distances in a file, whole or in shares. */
import { readdir, stat } from 'node:fs/promises';
import { basename, resolve } from 'node:path';
import type { MatrixFile, MatrixFileOptions } from '../../elastic/matrix-pieces.js';
import type { SeriesSet } from '../../elastic/series.js';
import type { SoftLoss } from '../../elastic/soft.js';
import { realTarget } from '../../io/atomic.js';
import { readSeries } from '../../io/series-file.js';
import { gather } from '../../pieces/gather.js';
import { readPlan, selectPieces, type Plan } from '../../pieces/plan.js';
import { runPieces } from '../../pieces/run.js';
import { CliError } from '../errors.js';
import { packageVersion } from '../version.js';
import { watched, type Watch } from '../watched.js';
import { readOptionsOf } from './data.js';
import { contentsToFile, planContents, type MatrixContents } from './matrix-kind.js';
import { defined, inWords, metricOf, softOf, type InputFlags, type SoftFlags } from './options.js';
import { counted, formatJson, print } from './output.js';

/** Rows or columns of a matrix, the end open where it is undefined. */
export interface AskedRange {
  begin: number;
  end: number | undefined;
}

/** The flags of `softlane distances`. */
export interface DistancesFlags extends InputFlags, SoftFlags {
  output: string;
  soft?: SoftLoss;
  dtype: 'f32' | 'f64';
  tile?: number;
  rows?: AskedRange;
  cols?: AskedRange;
  piece?: string;
  gather?: boolean;
  keep?: boolean;
  restart?: boolean;
  threads: number;
  json?: boolean;
}

/** What is computed, for the line that is printed and for JSON. */
interface Asked {
  train: string;
  test: string | null;
  contents: MatrixContents;
  file: MatrixFileOptions;
}

/** Runs the command. @throws CliError, and what the library throws */
export async function distances(
  train: string,
  test: string | undefined,
  flags: DistancesFlags,
): Promise<void> {
  const distance = flags.soft === undefined ? metricOf(flags) : softOf(flags, flags.soft);
  const contents: MatrixContents = { ...distance, ...(flags.znorm && { zNormalize: true }) };
  const { output: out, dtype, tile, threads, keep, restart } = flags;
  const file: MatrixFileOptions = {
    out,
    dtype,
    threads,
    read: readOptionsOf(flags),
    ...defined({ tile, keep, restart }),
  };
  const asked: Asked = { train, test: test ?? null, contents, file };
  const started = performance.now();
  const result = await watched('distances', (watch) => work(asked, flags, watch)).catch(continued);
  const seconds = (performance.now() - started) / 1000;
  if (flags.json) {
    const options = { ...contents, dtype, tile, threads };
    print(formatJson({ version: packageVersion(), train, test, options, ...result.facts, seconds }));
  } else {
    print(
      `${result.line}, ${inWords(distance)}${flags.znorm ? ', z-normalised' : ''}, ${seconds.toFixed(2)} s`,
    );
    if (result.hint !== undefined) print(result.hint);
  }
}

/** What came out: for JSON, and in words. */
interface Outcome {
  facts: object;
  line: string;
  hint?: string;
}

async function work(asked: Asked, flags: DistancesFlags, watch: Watch): Promise<Outcome> {
  const { train, test, contents, file } = asked;
  if (flags.gather || flags.piece !== undefined) {
    const plan = await planContents(train, test, contents, { ...file, ...watch });
    if (flags.gather) return gathered(plan, flags.keep, watch);
    return runShare(plan, flags.piece as string, { ...asked, file: { ...file, ...watch } });
  }
  const whole = flags.rows === undefined && flags.cols === undefined;
  const [X, Y] = whole ? [train, test] : await blockOf(asked, flags, watch.signal);
  const made = await contentsToFile(X, Y, contents, { ...file, ...watch });
  const { path, rows, cols, dtype, tiles, skipped } = made;
  const resumed = skipped > 0 ? ` (${skipped} of them there already)` : '';
  return { facts: made, line: `${path}: ${dtype} [${rows}, ${cols}] in ${counted(tiles, 'tile')}${resumed}` };
}

/** The series of a block of the matrix. */
async function blockOf(
  { train, test, file }: Asked,
  { rows, cols }: DistancesFlags,
  signal: AbortSignal,
): Promise<[SeriesSet, SeriesSet | null]> {
  const read = { ...file.read, signal };
  const X = (await readSeries(train, read)).set;
  const Y = test === null ? X : (await readSeries(test, read)).set;
  const [a, b] = boundsOf('--rows', rows, X.count);
  const [c, d] = boundsOf('--cols', cols, Y.count);
  const some = (set: SeriesSet, begin: number, end: number): SeriesSet =>
    set.subset(Array.from({ length: end - begin }, (_, i) => begin + i));
  // A block on the diagonal is symmetric where the matrix is.
  return [some(X, a, b), Y === X && a === c && b === d ? null : some(Y, c, d)];
}

function boundsOf(name: string, asked: AskedRange | undefined, count: number): [number, number] {
  const { begin, end = count } = asked ?? { begin: 0, end: count };
  if (begin >= end || end > count)
    throw new CliError(`${name} must be within 0:${count}, received ${begin}:${end}`, 2);
  return [begin, end];
}

/** Runs one share of the tiles; any process may gather them once all are there. */
async function runShare(plan: Plan, share: string, { file }: Asked): Promise<Outcome> {
  const pieces = selectPieces(plan.pieces, share);
  const { signal, onProgress, threads } = file;
  const done = await runPieces(pieces, { signal, onProgress, threads });
  const there = new Set(await readdir(plan.folder));
  const left = plan.pieces.filter(({ path }) => !there.has(basename(path))).length;
  const facts = {
    path: file.out,
    folder: plan.folder,
    piece: share,
    ...done,
    tiles: plan.pieces.length,
    left,
  };
  const before = done.skipped > 0 ? ` (${done.skipped} of them there already)` : '';
  const line = `${plan.folder}: ${counted(pieces.length, 'tile')}${before} of ${plan.pieces.length}, share ${share}`;
  const hint =
    left === 0 ? `all tiles are there: softlane gather ${file.out}` : `${counted(left, 'tile')} left`;
  return { facts, line, hint };
}

async function gathered(plan: Plan, keep: boolean | undefined, watch: Watch): Promise<Outcome> {
  const made = await gather<MatrixFile>(plan.pieces, { ...watch, ...defined({ keep }) });
  const { path, rows, cols, dtype } = made;
  const tiles = plan.pieces.length;
  return {
    facts: { ...made, tiles },
    line: `${path}: ${dtype} [${rows}, ${cols}] from ${counted(tiles, 'tile')}`,
  };
}

/** Says after an interruption how to go on. */
function continued(error: unknown): never {
  if (error instanceof CliError && error.exitCode > 128)
    throw new CliError(`${error.message}; the same command goes on from the finished tiles`, error.exitCode);
  throw error;
}

/** The flags of `softlane gather`. */
export interface GatherFlags {
  keep?: boolean;
  json?: boolean;
}

/** Merges the tiles beside a file into it. @throws CliError where there are none, and what the library throws */
export async function gatherFile(out: string, flags: GatherFlags): Promise<void> {
  const folder = `${await realTarget(resolve(out))}.pieces`;
  const isThere = await stat(folder).catch(() => undefined);
  if (isThere === undefined)
    throw new CliError(`${folder}: expected the tiles of ${out} there, received no such folder`);
  const started = performance.now();
  const { facts, line } = await watched('gathering', async (watch) =>
    gathered(await readPlan(folder), flags.keep, watch),
  );
  const seconds = (performance.now() - started) / 1000;
  if (flags.json) print(formatJson({ version: packageVersion(), ...facts, seconds }));
  else print(`${line}, ${seconds.toFixed(2)} s`);
}
