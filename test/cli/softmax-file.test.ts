import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { CliError } from '../../lib/cli/errors.js';
import { softmaxFile, type RowFunction, type SoftmaxFileOptions } from '../../lib/cli/softmax-file.js';
import { NpyWriter, openNpy, readNpy, writeNpy, type NpyDtype } from '../../lib/io/npy.js';
import { softmax } from '../reference/softmax.js';

/** The rows in plain float64, so that these tests are about files alone. */
const plain: RowFunction = async (data, rows) => {
  const cols = data.length / rows;
  for (let r = 0; r < rows; r++) data.set(softmax(data.subarray(r * cols, (r + 1) * cols)), r * cols);
};

const product = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);

/** Softmax along any axis of a C-order array, one line at a time. */
function along(data: Float64Array, shape: readonly number[], axis: number): Float64Array {
  const inner = product(shape.slice(axis + 1));
  const length = shape[axis];
  const out = new Float64Array(data.length);
  for (let line = 0; line < data.length / Math.max(1, length); line++) {
    const start = Math.floor(line / inner) * length * inner + (line % inner);
    const row = Float64Array.from({ length }, (_, k) => data[start + k * inner]);
    softmax(row).forEach((p, k) => (out[start + k * inner] = p));
  }
  return out;
}

/** The same array with its axes reversed: C order of one is Fortran order of the other. */
function reversed(data: Float64Array, shape: readonly number[]): Float64Array {
  const out = new Float64Array(data.length);
  const index = shape.map(() => 0);
  for (let linear = 0; linear < data.length; linear++) {
    out[index.reduceRight((at, i, axis) => at * shape[axis] + i, 0)] = data[linear];
    for (let axis = shape.length - 1; axis >= 0 && ++index[axis] === shape[axis]; axis--) index[axis] = 0;
  }
  return out;
}

let folder: string;
let options: SoftmaxFileOptions;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'softlane-softmax-file-'));
  options = {
    input: join(folder, 'in.npy'),
    output: join(folder, 'out.npy'),
    axis: -1,
    signal: new AbortController().signal,
    apply: plain,
    onProgress: () => {},
  };
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const ramp = (length: number): Float64Array => Float64Array.from({ length }, (_, i) => Math.sin(i * 1.7) * 5);

describe('softmaxFile', () => {
  it('is right along any axis of any shape in both orders, however small its pieces', async () => {
    const shapes = fc.array(fc.integer({ min: 0, max: 6 }), { minLength: 1, maxLength: 4 });
    const pieces = fc.constantFrom(1, 40, 100, 1000, 1e6);
    await fc.assert(
      fc.asyncProperty(
        shapes,
        fc.nat(3),
        pieces,
        pieces,
        fc.boolean(),
        async (shape, k, blockBytes, stripBytes, f) => {
          const axis = k % shape.length;
          const data = ramp(product(shape));
          const writer = await NpyWriter.create(options.input, shape, 'f64', { fortranOrder: f });
          await writer.writeElements(0, f ? reversed(data, shape) : data);
          await writer.finish();
          let last = 0;
          const result = await softmaxFile({
            ...options,
            axis: k % 2 === 0 ? axis : axis - shape.length,
            blockBytes,
            stripBytes,
            onProgress: (done, total) => {
              expect(total).toBe(data.length);
              expect(done).toBeGreaterThan(last);
              last = done;
            },
          });
          expect(last).toBe(data.length);
          expect(result).toEqual({ shape, dtype: 'float64', axis });
          const out = await readNpy(options.output);
          expect(out.shape).toEqual(shape);
          expect(out.data).toEqual(along(data, shape, axis));
          const file = await openNpy(options.output);
          expect(file.fortranOrder).toBe(f);
          await file.close();
        },
      ),
      { numRuns: 150 },
    );
  });

  it('gathers strips of columns where a slab is too large, in many runs', async () => {
    const shape = [50, 37];
    const data = ramp(product(shape));
    await writeNpy(options.input, { data, shape });
    const rowsSeen: number[] = [];
    const apply: RowFunction = (part, rows, dtype) => {
      rowsSeen.push(rows);
      return plain(part, rows, dtype);
    };
    await softmaxFile({ ...options, axis: 0, stripBytes: 10 * 50 * 8, apply });
    expect(rowsSeen).toEqual([10, 10, 10, 7]);
    expect((await readNpy(options.output)).data).toEqual(along(data, shape, 0));
  });

  it('reads rows in blocks of the size asked for, and a longer row whole', async () => {
    await writeNpy(options.input, { data: new Float32Array(1000), shape: [100, 10] });
    const rowsSeen: number[] = [];
    const apply: RowFunction = async (_, rows) => rowsSeen.push(rows);
    await softmaxFile({ ...options, blockBytes: 40 * 33 + 5, apply });
    expect(rowsSeen).toEqual([33, 33, 33, 1]);
    rowsSeen.length = 0;
    await softmaxFile({ ...options, blockBytes: 1, apply });
    expect(rowsSeen).toEqual(new Array(100).fill(1));
  });

  it('may write over its input', async () => {
    await writeNpy(options.input, { data: ramp(12), shape: [3, 4] });
    await softmaxFile({ ...options, output: options.input });
    expect((await readNpy(options.input)).data).toEqual(along(ramp(12), [3, 4], 1));
    expect(await readdir(folder)).toEqual(['in.npy']);
  });

  it.each([
    ['f16', undefined, 'f16', 'float16'],
    ['bf16', 'bf16', 'bf16', 'bfloat16'],
    ['bf16', 'f16', 'f16', 'float16'],
    ['u16', 'bf16', 'bf16', 'bfloat16'],
    ['u16', 'f16', 'f16', 'float16'],
  ] as const)('reads %s with --dtype %s as %s', async (stored, dtype, computed, name) => {
    await writeNpy(options.input, { data: new Uint16Array(6), shape: [2, 3], dtype: stored });
    const seen: NpyDtype[] = [];
    const apply: RowFunction = async (_, __, type) => seen.push(type);
    expect(await softmaxFile({ ...options, dtype, apply })).toMatchObject({ dtype: name });
    expect(seen).toEqual([computed]);
    const out = await openNpy(options.output, computed === 'bf16' ? { dtype: 'bf16' } : {});
    expect(out.dtype).toBe(computed);
    await out.close();
  });

  it.each([
    [{ data: new Int32Array(4) }, /in\.npy: softmax needs float16, .* elements, received int32$/],
    [{ data: new BigInt64Array(4) }, /received int64$/],
    [{ data: new Uint8Array(4), dtype: 'bool' as const }, /received bool$/],
    [
      { data: new Uint16Array(4), dtype: 'u16' as const },
      /received uint16 \(pass --dtype bf16 or --dtype f16/,
    ],
    [{ data: new Uint16Array(4), dtype: 'bf16' as const }, /--dtype on the command line/],
    [{ data: new Float64Array(1), shape: [] }, /needs an array with an axis, received a single number/],
  ])('refuses what has no softmax: %#', async (array, message) => {
    await writeNpy(options.input, array);
    await expect(softmaxFile(options)).rejects.toThrow(message);
    expect(await readdir(folder)).toEqual(['in.npy']);
  });

  it.each([2, -3, 1000])('refuses axis %s of a matrix', async (axis) => {
    await writeNpy(options.input, { data: ramp(4), shape: [2, 2] });
    await expect(softmaxFile({ ...options, axis })).rejects.toThrow(
      `--axis must be from -2 to 1 for the shape (2, 2) of ${options.input}, received ${axis}`,
    );
  });

  it('leaves nothing behind when the work fails or is aborted', async () => {
    await writeNpy(options.input, { data: ramp(100), shape: [10, 10] });
    const failing: RowFunction = () => Promise.reject(new RangeError('refused'));
    await expect(softmaxFile({ ...options, apply: failing })).rejects.toThrow('refused');
    expect(await readdir(folder)).toEqual(['in.npy']);

    for (const axis of [0, 1]) {
      const controller = new AbortController();
      let calls = 0;
      const aborting: RowFunction = async () => {
        if (++calls === 3) controller.abort(new CliError('stopped', 130));
      };
      const work = softmaxFile({
        ...options,
        axis,
        blockBytes: 80,
        stripBytes: 80,
        signal: controller.signal,
        apply: aborting,
      });
      await expect(work).rejects.toMatchObject({ message: 'stopped', exitCode: 130 });
      expect(calls).toBe(3);
      expect(await readdir(folder)).toEqual(['in.npy']);
    }
  });
});
