import { mkdtemp, open, readdir, readFile, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import {
  encodeNpy,
  NpyWriter,
  openNpy,
  readNpy,
  transpose,
  writeNpy,
  type NpyData,
} from '../../lib/io/npy.js';

const fixtures = join(__dirname, '../fixtures/npy');
let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'softlane-npy-stream-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

/** Elements of a C-order array in Fortran order, one index at a time. */
function toFortran(data: Float64Array, shape: number[]): Float64Array {
  const out = new Float64Array(data.length);
  for (let linear = 0; linear < data.length; linear++) {
    let rest = linear;
    let at = 0;
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      const index = rest % shape[axis];
      rest = Math.floor(rest / shape[axis]);
      at += index * shape.slice(0, axis).reduce((a, b) => a * b, 1);
    }
    out[at] = data[linear];
  }
  return out;
}

const ramp = (length: number): Float64Array => Float64Array.from({ length }, (_, i) => i + 0.5);
const product = (shape: number[]): number => shape.reduce((a, b) => a * b, 1);

describe('openNpy', () => {
  it('tells shape, type, order and byte order', async () => {
    const file = await openNpy(join(fixtures, 'fortran-4d-big.npy'));
    expect(file).toMatchObject({
      shape: [2, 3, 1, 4],
      dtype: 'f16',
      fortranOrder: true,
      byteOrder: 'big',
      length: 24,
      rows: 2,
      rowLength: 12,
    });
    await file.close();
    const little = await openNpy(join(fixtures, 'f4.npy'));
    expect(little.byteOrder).toBe('little');
    await little.close();
  });

  it.each([
    'f4.npy',
    'f4-big.npy',
    'f2-big.npy',
    'fortran-2d.npy',
    'fortran-3d.npy',
    'fortran-4d-big.npy',
    'i8-big.npy',
  ])('reads any block of rows of %s as readNpy does', async (name) => {
    const whole = await readNpy(join(fixtures, name));
    const file = await openNpy(join(fixtures, name));
    for (let start = 0; start <= file.rows; start++) {
      for (let count = 0; count <= file.rows - start; count++) {
        const expected = whole.data.slice(start * file.rowLength, (start + count) * file.rowLength);
        expect(await file.readRows(start, count)).toEqual(expected);
      }
    }
    await file.close();
  });

  it('reads blocks of rows of any shape in C and in Fortran order', async () => {
    const shapes = fc.array(fc.integer({ min: 0, max: 7 }), { minLength: 1, maxLength: 4 });
    await fc.assert(
      fc.asyncProperty(shapes, fc.nat(), fc.nat(), async (shape, a, b) => {
        const data = ramp(product(shape));
        const start = a % (shape[0] + 1);
        const count = b % (shape[0] - start + 1);
        const rowLength = product(shape.slice(1));
        const path = join(folder, 'any.npy');
        for (const fortranOrder of [false, true]) {
          const writer = await NpyWriter.create(path, shape, 'f64', { fortranOrder });
          await writer.writeElements(0, fortranOrder ? toFortran(data, shape) : data);
          await writer.finish();
          expect((await readNpy(path)).data).toEqual(data);
          const file = await openNpy(path);
          expect(file.fortranOrder).toBe(fortranOrder);
          const rows = await file.readRows(start, count);
          expect(rows).toEqual(data.slice(start * rowLength, (start + count) * rowLength));
          await file.close();
        }
      }),
      { numRuns: 60 },
    );
  });

  it('rearranges Fortran order past the size of its tiles', async () => {
    const shape = [70, 3, 65];
    const data = ramp(product(shape));
    const path = join(folder, 'tiles.npy');
    for (const narrow of [false, true]) {
      const stored = toFortran(data, shape);
      const writer = await NpyWriter.create(path, shape, narrow ? 'f32' : 'f64', { fortranOrder: true });
      await writer.writeElements(0, narrow ? Float32Array.from(stored) : stored);
      await writer.finish();
      expect((await readNpy(path)).data).toEqual(narrow ? Float32Array.from(data) : data);
    }
  });

  it('fills an array of the caller and returns the part that was filled', async () => {
    const file = await openNpy(join(fixtures, 'f4.npy'));
    const into = new Float32Array(12).fill(-1);
    const got = await file.readRows(1, 2, into);
    expect(got.buffer).toBe(into.buffer);
    expect(got).toEqual(Float32Array.from({ length: 10 }, (_, i) => (i + 5) * 0.75 - 4));
    expect(Array.from(into.subarray(10))).toEqual([-1, -1]);
    await file.close();
  });

  it('reads elements and runs in the order of the file', async () => {
    const path = join(folder, 'runs.npy');
    await writeNpy(path, { data: ramp(100), shape: [10, 10] });
    const file = await openNpy(path);
    expect(await file.readElements(95, 5)).toEqual(ramp(100).slice(95));
    const runs = (await file.readRuns(3, 2, 10, 10)) as Float64Array;
    expect(Array.from(runs)).toEqual(
      Array.from({ length: 20 }, (_, i) => Math.floor(i / 2) * 10 + 3.5 + (i % 2)),
    );
    await file.close();
  });

  it.each([
    ['start', 4, 0, undefined, 'ERR_OUT_OF_RANGE'],
    ['start', -1, 1, undefined, 'ERR_OUT_OF_RANGE'],
    ['start', 0.5, 1, undefined, 'ERR_OUT_OF_RANGE'],
    ['count', 1, 3, undefined, 'ERR_OUT_OF_RANGE'],
    ['count', 0, -1, undefined, 'ERR_OUT_OF_RANGE'],
    ['into', 0, 3, new Float32Array(14), 'ERR_OUT_OF_RANGE'],
    ['into', 0, 3, new Float64Array(15), 'ERR_INVALID_ARG_TYPE'],
  ])('refuses a bad %s (%s, %s)', async (name, start, count, into, code) => {
    const file = await openNpy(join(fixtures, 'f4.npy'));
    const failure = { code, message: expect.stringContaining(`"${name}"`) };
    await expect(file.readRows(start, count, into)).rejects.toMatchObject(failure);
    await file.close();
  });

  it('fails after close, and when the file is cut off behind its back', async () => {
    const path = join(folder, 'shrinks.npy');
    await writeNpy(path, { data: ramp(100) });
    const file = await openNpy(path);
    await truncate(path, 500);
    expect(await file.readRows(0, 1)).toEqual(ramp(1));
    await expect(file.readRows(0, 100)).rejects.toMatchObject({ code: 'ERR_NPY_TRUNCATED' });
    await file.close();
    await expect(file.readRows(0, 1)).rejects.toMatchObject({ code: 'EBADF' });
  });

  it('refuses a huge claim without allocating for it', async () => {
    const path = join(folder, 'sparse.npy');
    const header = Buffer.from(encodeNpy({ data: new Float64Array(0), shape: [0] }));
    const text = header.toString('latin1').replace('(0,), }' + ' '.repeat(13), '(1099511627776,), }');
    await writeFile(path, text.padEnd(127, ' ').slice(0, 127) + '\n', 'latin1');
    await expect(openNpy(path)).rejects.toMatchObject({ code: 'ERR_NPY_TRUNCATED' });
    // A sparse file really has that size: it opens, and reading all of it at once is refused by name.
    const handle = await open(path, 'r+');
    const size = 128 + 8 * 1099511627776;
    const sparse = await handle.truncate(size).then(
      () => true,
      () => false, // Some file systems have no files of 8 TiB.
    );
    await handle.close();
    if (sparse) {
      await expect(readNpy(path)).rejects.toMatchObject({ code: 'ERR_NPY_TOO_LARGE' });
      const file = await openNpy(path);
      expect(await file.readRows(1099511627775, 1)).toEqual(new Float64Array(1));
      await file.close();
    }
    await truncate(path, 0);
  });
});

describe('NpyWriter', () => {
  it('streams rows to a file that appears on finish, with the bytes of encodeNpy', async () => {
    const path = join(folder, 'out.npy');
    const writer = await NpyWriter.create(path, [10, 3], 'f64');
    const data = ramp(30);
    for (const [from, to] of [
      [0, 4],
      [4, 4],
      [4, 9],
      [9, 10],
    ]) {
      await writer.writeRows(data.subarray(3 * from, 3 * to));
      expect(await readdir(folder)).toEqual([expect.stringMatching(/^\.out\.npy\.[0-9a-f]{12}\.tmp$/)]);
    }
    await writer.finish();
    expect(await readdir(folder)).toEqual(['out.npy']);
    expect(await readFile(path)).toEqual(Buffer.from(encodeNpy({ data, shape: [10, 3] })));
  });

  it('writes pieces and runs in any order', async () => {
    const path = join(folder, 'pieces.npy');
    const writer = await NpyWriter.create(path, [4, 5], 'f64');
    const data = ramp(20);
    const column = (at: number, width: number): NpyData =>
      Float64Array.from({ length: 4 * width }, (_, i) => data[Math.floor(i / width) * 5 + at + (i % width)]);
    await writer.writeRuns(3, 2, 5, 4, column(3, 2));
    await writer.writeRuns(0, 3, 5, 4, column(0, 3));
    await writer.finish();
    expect((await readNpy(path)).data).toEqual(data);
  });

  it('keeps the old file until finish, and on abort', async () => {
    const path = join(folder, 'kept.npy');
    await writeNpy(path, { data: ramp(3) });
    const writer = await NpyWriter.create(path, [5], 'f32');
    await writer.writeRows(new Float32Array(2));
    expect((await readNpy(path)).data).toEqual(ramp(3));
    await writer.abort();
    await writer.abort();
    expect((await readNpy(path)).data).toEqual(ramp(3));
    expect(await readdir(folder)).toEqual(['kept.npy']);
    await expect(writer.writeRows(new Float32Array(1))).rejects.toMatchObject({ code: 'EBADF' });
  });

  it('refuses to finish an array that is not complete, and removes the temporary file', async () => {
    const writer = await NpyWriter.create(join(folder, 'short.npy'), [5, 2], 'f32');
    await writer.writeRows(new Float32Array(8));
    await expect(writer.finish()).rejects.toMatchObject({ code: 'ERR_OUT_OF_RANGE' });
    expect(await readdir(folder)).toEqual([]);
  });

  it('follows a symbolic link instead of replacing it', async () => {
    const path = join(folder, 'real.npy');
    await writeNpy(path, { data: ramp(1) });
    await symlink(path, join(folder, 'link.npy'));
    await writeNpy(join(folder, 'link.npy'), { data: ramp(2) });
    expect((await readNpy(path)).data).toEqual(ramp(2));
    expect((await readdir(folder)).sort()).toEqual(['link.npy', 'real.npy']);
  });

  it.each([
    ['data', new Float64Array(2), 'ERR_INVALID_ARG_TYPE'],
    ['data', new Float32Array(3), 'ERR_OUT_OF_RANGE'],
    ['data', new Float32Array(12), 'ERR_OUT_OF_RANGE'],
  ])('refuses bad %s (%p)', async (name, data, code) => {
    const writer = await NpyWriter.create(join(folder, 'bad.npy'), [5, 2], 'f32');
    const failure = { code, message: expect.stringContaining(`"${name}"`) };
    await expect(writer.writeRows(data)).rejects.toMatchObject(failure);
    await writer.abort();
  });

  it('takes rows of a Fortran-ordered array as slices along its last axis', async () => {
    const path = join(folder, 'fortran.npy');
    const shape = [2, 3];
    const writer = await NpyWriter.create(path, shape, 'f64', { fortranOrder: true });
    const stored = toFortran(ramp(6), shape);
    for (let column = 0; column < 3; column++)
      await writer.writeRows(stored.subarray(2 * column, 2 * column + 2));
    await writer.finish();
    expect((await readNpy(path)).data).toEqual(ramp(6));
  });
});

describe('transpose', () => {
  it('swaps rows and columns and keeps every bit', () => {
    fc.assert(
      fc.property(fc.nat(70), fc.nat(70), fc.constantFrom(1, 2, 4, 8), (rows, cols, size) => {
        const make = (): NpyData =>
          ({
            1: new Uint8Array(rows * cols),
            2: new Uint16Array(rows * cols),
            4: new Float32Array(rows * cols),
            8: new Float64Array(rows * cols),
          })[size];
        const source = make();
        const bytes = new Uint8Array(source.buffer);
        for (let i = 0; i < bytes.length; i++) bytes[i] = (i * 151 + 13) >> 2;
        const target = make();
        transpose(source, target, rows, cols);
        const turned = new Uint8Array(target.buffer);
        for (let i = 0; i < rows; i += 7) {
          for (let j = 0; j < cols; j++) {
            for (let b = 0; b < size; b++) {
              if (turned[(j * rows + i) * size + b] !== bytes[(i * cols + j) * size + b]) {
                throw new Error(`element ${i}, ${j} differs`);
              }
            }
          }
        }
      }),
      { numRuns: 40 },
    );
  });
});
