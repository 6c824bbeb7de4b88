/**
 * Softmax of an .npy file along any axis, in pieces, so that neither the input nor the output has to fit in memory.
 *
 * Whatever the axis and the order in the file, the elements as stored form a box [outer, length, inner] with the
 * softmax along the middle. inner = 1 (last axis in C order, first axis in Fortran order) is a sequence of rows and
 * streams straight through. Otherwise slabs [length, inner], or strips of them, are transposed into rows and back.
 * The output has the order of the input.
 */
import { elementCount } from '../io/npy-header.js';
import { itemSize, numpyName } from '../io/npy-dtype.js';
import { NpyWriter, openNpy, transpose, type NpyDtype, type NpyFile, type TwoByteFloat } from '../io/npy.js';
import { CliError } from './errors.js';
import { removeOnExit } from './interrupt.js';

type Floats = Float32Array | Float64Array | Uint16Array;
type FloatDtype = 'f32' | 'f64' | 'bf16' | 'f16';

/** Softmax of `rows` rows of `rows.length / count` elements in place. */
export type RowFunction = (data: Floats, rows: number, dtype: FloatDtype) => Promise<unknown>;

/** What to do with which file. */
export interface SoftmaxFileOptions {
  /** File to read. */
  input: string;
  /** File to write; may be `input`. */
  output: string;
  /** Axis, from -dimensions to dimensions - 1. */
  axis: number;
  /** How two-byte void and uint16 elements are read. */
  dtype?: TwoByteFloat;
  /** Bytes of input read at a time when rows stream through; default 4 MiB. */
  blockBytes?: number;
  /** Bytes of input held at a time when blocks must be transposed; default 64 MiB. */
  stripBytes?: number;
  /** Aborts the work; nothing is written then. */
  signal: AbortSignal;
  /** Computes the rows. */
  apply: RowFunction;
  /** Called with the number of elements done and their total. */
  onProgress: (done: number, total: number) => void;
}

/** What was done. */
export interface SoftmaxFileResult {
  /** Shape of both arrays. */
  shape: readonly number[];
  /** Element type of both arrays, in numpy's words. */
  dtype: string;
  /** The axis, counted from 0. */
  axis: number;
}

/** The stored elements as [outer, length, inner], softmax along `length`. */
interface Box {
  outer: number;
  length: number;
  inner: number;
}

/** A copy of one piece of the work, and where its progress goes. */
interface Job {
  file: NpyFile;
  writer: NpyWriter;
  dtype: FloatDtype;
  box: Box;
  options: SoftmaxFileOptions;
}

/** The floating-point type of the file, or an error that says why it has none. */
function floatDtype(dtype: NpyDtype, path: string): FloatDtype {
  if (dtype === 'f32' || dtype === 'f64' || dtype === 'f16' || dtype === 'bf16') return dtype;
  const hint = dtype === 'u16' ? ' (pass --dtype bf16 or --dtype f16 if these are bit patterns)' : '';
  throw new CliError(
    `${path}: softmax needs float16, float32, float64 or bfloat16 elements, received ${numpyName(dtype)}${hint}`,
  );
}

/** The axis counted from 0, or an error that names the range. */
function resolveAxis(axis: number, shape: readonly number[], path: string): number {
  const dimensions = shape.length;
  if (dimensions === 0) {
    throw new CliError(`${path}: softmax needs an array with an axis, received a single number of shape ()`);
  }
  if (axis < -dimensions || axis >= dimensions) {
    throw new CliError(
      `--axis must be from ${-dimensions} to ${dimensions - 1} for the shape (${shape.join(', ')}) of ${path}, received ${axis}`,
    );
  }
  return axis < 0 ? axis + dimensions : axis;
}

function boxOf(file: NpyFile, axis: number): Box {
  const stored = file.fortranOrder ? [...file.shape].reverse() : file.shape;
  const at = file.fortranOrder ? stored.length - 1 - axis : axis;
  return {
    outer: elementCount(stored.slice(0, at)),
    length: stored[at],
    inner: elementCount(stored.slice(at + 1)),
  };
}

/** inner = 1: blocks of whole rows, computed in place. */
async function streamRows(job: Job): Promise<void> {
  const { file, writer, box, options } = job;
  const rowBytes = box.length * itemSize(job.dtype);
  const rowsPerBlock = Math.max(1, Math.floor((options.blockBytes ?? 4 << 20) / rowBytes));
  let buffer: Floats | undefined;
  for (let row = 0; row < box.outer; row += rowsPerBlock) {
    options.signal.throwIfAborted();
    const rows = Math.min(rowsPerBlock, box.outer - row);
    const block = (await file.readElements(row * box.length, rows * box.length, buffer)) as Floats;
    buffer ??= block;
    await options.apply(block, rows, job.dtype);
    await writer.writeElements(row * box.length, block);
    options.onProgress((row + rows) * box.length, file.length);
  }
}

/** Slabs [length, inner] small enough to hold several: transposed one by one, computed together. */
async function streamSlabs(job: Job, slabsPerBlock: number): Promise<void> {
  const { file, writer, box, options } = job;
  const slab = box.length * box.inner;
  let buffer: Floats | undefined;
  let turned: Floats | undefined;
  for (let first = 0; first < box.outer; first += slabsPerBlock) {
    options.signal.throwIfAborted();
    const slabs = Math.min(slabsPerBlock, box.outer - first);
    const block = (await file.readElements(first * slab, slabs * slab, buffer)) as Floats;
    buffer ??= block;
    turned ??= block.slice();
    const rows = turned.subarray(0, block.length);
    for (let k = 0; k < block.length; k += slab) {
      transpose(block.subarray(k, k + slab), rows.subarray(k, k + slab), box.length, box.inner);
    }
    await options.apply(rows, slabs * box.inner, job.dtype);
    for (let k = 0; k < block.length; k += slab) {
      transpose(rows.subarray(k, k + slab), block.subarray(k, k + slab), box.inner, box.length);
    }
    await writer.writeElements(first * slab, block);
    options.onProgress((first + slabs) * slab, file.length);
  }
}

/** Slabs too large to hold: strips of `width` columns, each gathered from `length` short runs. */
async function streamStrips(job: Job, width: number): Promise<void> {
  const { file, writer, box, options } = job;
  let buffer: Floats | undefined;
  let turned: Floats | undefined;
  let done = 0;
  for (let base = 0; base < file.length; base += box.length * box.inner) {
    for (let column = 0; column < box.inner; column += width) {
      options.signal.throwIfAborted();
      const columns = Math.min(width, box.inner - column);
      const start = base + column;
      const strip = (await file.readRuns(start, columns, box.inner, box.length, buffer)) as Floats;
      buffer ??= strip;
      turned ??= strip.slice();
      const rows = turned.subarray(0, strip.length);
      transpose(strip, rows, box.length, columns);
      await options.apply(rows, columns, job.dtype);
      transpose(rows, strip, columns, box.length);
      await writer.writeRuns(start, columns, box.inner, box.length, strip);
      done += strip.length;
      options.onProgress(done, file.length);
    }
  }
}

async function stream(job: Job): Promise<void> {
  const { box, options } = job;
  if (job.file.length === 0) return;
  if (box.inner === 1) return streamRows(job);
  const lineBytes = box.length * itemSize(job.dtype);
  const stripBytes = options.stripBytes ?? 64 << 20;
  const slabs = Math.floor((options.blockBytes ?? 4 << 20) / (lineBytes * box.inner));
  if (lineBytes * box.inner <= stripBytes) return streamSlabs(job, Math.max(1, slabs));
  return streamStrips(job, Math.max(1, Math.floor(stripBytes / lineBytes)));
}

/**
 * Reads, computes and writes. The output appears under its name only when it is complete; after a failure or an abort
 * nothing is left behind.
 *
 * @throws CliError, NpyError, the system's error, the abort reason, or what `apply` throws
 */
export async function softmaxFile(options: SoftmaxFileOptions): Promise<SoftmaxFileResult> {
  const file = await openNpy(options.input, { dtype: options.dtype });
  try {
    const axis = resolveAxis(options.axis, file.shape, options.input);
    const dtype = floatDtype(file.dtype, options.input);
    const { shape, fortranOrder } = file;
    const writer = await NpyWriter.create(options.output, shape, dtype, { fortranOrder });
    const keep = removeOnExit(writer.temporaryPath);
    try {
      await stream({ file, writer, dtype, box: boxOf(file, axis), options });
      options.signal.throwIfAborted();
      await writer.finish();
    } catch (error) {
      await writer.abort();
      throw error;
    } finally {
      keep();
    }
    return { shape, dtype: numpyName(dtype), axis };
  } finally {
    await file.close();
  }
}
