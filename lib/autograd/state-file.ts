/** Parameters and the state of optimizers in safetensors files. */
import * as check from '../check.js';
import { CheckpointError } from '../io/checkpoint-error.js';
import { openSafetensors, type SafetensorsFile } from '../io/safetensors.js';
import type { SafetensorsDtype } from '../io/safetensors-dtype.js';
import { writeSafetensors, type TensorInput } from '../io/safetensors-writer.js';
import type { Reals } from '../kernels/arguments.js';
import { bf16ToF32, f16ToF32 } from '../kernels/convert.js';
import type { Optimizer, OptimizerState } from './optim.js';
import { entriesOf, type Parameters } from './parameters.js';
import type { Real } from './pool.js';
import { tensor } from './tensor.js';

/** Options of saveParameters and saveOptimizer. */
export interface SaveOptions {
  /** Strings for the header's `__metadata__`. Default: none. */
  metadata?: Readonly<Record<string, string>>;
}

/** Options of loadParameters. */
export interface LoadOptions {
  /** Whether the tensors require gradients; default true. */
  requiresGrad?: boolean;
  /** Type of the tensors; default that of the file, float32 for F16 and BF16. */
  dtype?: Real;
}

const isDouble = (data: Reals): data is Float64Array => check.isA(data, Float64Array);

function inputOf(data: Reals, shape: readonly number[]): TensorInput {
  const dtype: SafetensorsDtype = isDouble(data) ? 'F64' : 'F32';
  return { dtype, shape, data };
}

/**
 * Writes parameters to a safetensors file, which appears when it is complete; an existing one is replaced. The parameters
 * must not change until the promise settles.
 *
 * @param file path, by custom of a name ending in .safetensors
 * @param params parameters by name; float32 as F32, float64 as F64
 * @throws TypeError (ERR_INVALID_ARG_TYPE), RangeError (ERR_OUT_OF_RANGE), or the system's error
 */
export async function saveParameters(
  file: string,
  params: Readonly<Parameters>,
  options?: SaveOptions,
): Promise<void> {
  const { metadata } = check.options(options);
  const inputs = new Map(
    entriesOf('params', params).map(([name, { data, shape }]) => [name, inputOf(data, shape)]),
  );
  await writeSafetensors(file, inputs, { metadata });
}

async function readAll(file: SafetensorsFile, names: readonly string[]): Promise<Map<string, Reals>> {
  const arrays = new Map<string, Reals>();
  for (const name of names) {
    const data = await file.read(name);
    const { dtype } = file.tensors[name];
    if (dtype === 'F16') arrays.set(name, f16ToF32(data as Uint16Array));
    else if (dtype === 'BF16') arrays.set(name, bf16ToF32(data as Uint16Array));
    else arrays.set(name, data as Reals);
  }
  return arrays;
}

/**
 * Reads all tensors of a safetensors checkpoint, one file or several with an index; the names are the file's.
 *
 * @param file path of a .safetensors file, of an index, or of a folder that holds either
 * @returns the parameters, in the order of the file; F16 and BF16 become float32
 * @throws CheckpointError for what is not a checkpoint, or holds a tensor of integers; TypeError (ERR_INVALID_ARG_TYPE),
 *   RangeError (ERR_OUT_OF_RANGE), or the system's error
 */
export async function loadParameters(file: string, options?: LoadOptions): Promise<Parameters> {
  const { requiresGrad = true, dtype } = check.options(options);
  check.boolean('requiresGrad', requiresGrad);
  if (dtype !== undefined) check.oneOf('dtype', dtype, ['f32', 'f64']);
  const opened = await openSafetensors(file);
  try {
    const arrays = await readAll(opened, Object.keys(opened.tensors));
    return Object.fromEntries(
      [...arrays].map(([name, data]) => {
        const { shape } = opened.tensors[name];
        return [name, tensor(converted(data, dtype), { shape, requiresGrad })];
      }),
    );
  } finally {
    await opened.close();
  }
}

function converted(data: Reals, dtype: Real | undefined): Reals {
  if (dtype === 'f64') return isDouble(data) ? data : Float64Array.from(data);
  if (dtype === 'f32') return isDouble(data) ? Float32Array.from(data) : data;
  return data;
}

/** Key of the header under which an optimizer's scalars stand, as JSON. */
const STATE_KEY = 'softlane.optimizer';

/**
 * Writes the state of an optimizer to a safetensors file: its moments as tensors, the rest in the header.
 *
 * @param file path; an existing file is replaced when the new one is complete
 * @throws TypeError (ERR_INVALID_ARG_TYPE), RangeError (ERR_OUT_OF_RANGE), or the system's error
 */
export async function saveOptimizer(
  file: string,
  optimizer: Optimizer,
  options?: SaveOptions,
): Promise<void> {
  const { metadata } = check.options(options);
  const { kind, learningRate, steps, arrays } = optimizer.state();
  const inputs = new Map(Object.entries(arrays).map(([name, data]) => [name, inputOf(data, [data.length])]));
  await writeSafetensors(file, inputs, {
    metadata: { ...metadata, [STATE_KEY]: JSON.stringify({ kind, learningRate, steps }) },
  });
}

/**
 * Gives an optimizer the state that `saveOptimizer` wrote; the optimizer is one over the same parameters.
 *
 * @throws CheckpointError for a file that holds no such state; TypeError (ERR_INVALID_ARG_TYPE), RangeError
 *   (ERR_OUT_OF_RANGE) for that of another optimizer, before anything is changed; or the system's error
 */
export async function loadOptimizer(file: string, optimizer: Optimizer): Promise<void> {
  const opened = await openSafetensors(file);
  try {
    const text = opened.metadata[STATE_KEY];
    const scalars = text === undefined ? undefined : parsed(text);
    if (scalars === undefined)
      throw new CheckpointError(file, {
        expected: `the state of an optimizer under '${STATE_KEY}' of the header`,
        found: text === undefined ? 'none' : 'what is not one',
      });
    const arrays = await readAll(opened, Object.keys(opened.tensors));
    optimizer.load({ ...scalars, arrays: Object.fromEntries(arrays) });
  } finally {
    await opened.close();
  }
}

function parsed(text: string): Omit<OptimizerState, 'arrays'> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null
      ? (value as Omit<OptimizerState, 'arrays'>)
      : undefined;
  } catch {
    return undefined;
  }
}
