import { mkdtemp, open, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { NpyWriter, readNpy, writeNpy } from '../../lib/io/npy.js';
import { formatHeader } from '../../lib/io/npy-header.js';
import { narrow, widen } from '../reference/convert.js';
import { logSoftmax, softmax } from '../reference/softmax.js';
import { expectOneLine, softlane, type Ending } from './run.js';

const logits = join(__dirname, '../../examples/kjv-logits.npy');
const fixtures = join(__dirname, '../fixtures/npy');

let folder: string;
let input: string;
let output: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'softlane-softmax-'));
  input = join(folder, 'in.npy');
  output = join(folder, 'out.npy');
});
afterEach(() => rm(folder, { recursive: true, force: true }));

/** Runs the command and fails unless it ended well. */
async function run(file: string, ...flags: string[]): Promise<Ending> {
  const ending = await softlane(['softmax', file, '-o', output, ...flags]);
  expect(ending.stderr).toBe('');
  expect(ending.code).toBe(0);
  return ending;
}

/** Largest |got - expected| / (allowed), where `allowed` is a function of the expected value. */
function worst(got: ArrayLike<number>, expected: Float64Array, allowed: (value: number) => number): number {
  expect(got.length).toBe(expected.length);
  // Names of globals are slow to look up in jest, a million times over.
  const { abs, max } = Math;
  let largest = 0;
  for (let i = 0; i < expected.length; i++) {
    if (got[i] === expected[i]) continue;
    const ratio = abs(got[i] - expected[i]) / allowed(expected[i]);
    largest = ratio === ratio ? max(largest, ratio) : 1e300;
  }
  return largest;
}

/** A function of one row applied to every row. */
function eachRow(x: Float64Array, cols: number, f: (row: Float64Array) => Float64Array): Float64Array {
  const out = new Float64Array(x.length);
  for (let at = 0; at < x.length; at += cols) out.set(f(x.subarray(at, at + cols)), at);
  return out;
}

/** The transpose of a row-major matrix. */
function turned(x: Float64Array, rows: number, cols: number): Float64Array {
  const out = new Float64Array(x.length);
  for (let r = 0; r < rows; r++) for (let c = 0; c < cols; c++) out[c * rows + r] = x[r * cols + c];
  return out;
}

// Logits of the example lie within 60 of their row's maximum: 1.5e-6 + 2.4e-7 * 60 relative.
const probability = (p: number): number => 1.6e-5 * p + 1.2e-38;
const logProbability = (value: number): number => 2e-6 + 2.4e-7 * 2 * Math.abs(value);

describe('softlane softmax on the example logits', () => {
  let x: Float64Array;
  let p: Float64Array;
  beforeAll(async () => {
    x = Float64Array.from((await readNpy(logits)).data as Float32Array);
    p = eachRow(x, 256, softmax);
  });

  it('gives the probabilities of a plain float64 softmax', async () => {
    const { stdout } = await run(logits);
    expect(stdout).toMatch(/out\.npy: softmax of float32 \[2048, 256\] along axis 1, \d+\.\d\d s\n$/);
    const out = await readNpy(output);
    expect(out).toMatchObject({ shape: [2048, 256], dtype: 'f32' });
    expect(worst(out.data as Float32Array, p, probability)).toBeLessThan(1);
    expect(await readdir(folder)).toEqual(['out.npy']);
  });

  it('--log --temperature gives log-probabilities at that temperature', async () => {
    await run(logits, '--log', '--temperature', '0.7');
    const expected = eachRow(x, 256, (row) => logSoftmax(row, { temperature: 0.7 }));
    const out = (await readNpy(output)).data as Float32Array;
    expect(worst(out, expected, logProbability)).toBeLessThan(1);
  });

  it.each(['two-pass', 'online', 'blocked', 'three-pass-recompute', 'three-pass-reload'])(
    '--algorithm %s agrees',
    async (algorithm) => {
      await run(logits, '--algorithm', algorithm, '--threads', '2');
      const out = (await readNpy(output)).data as Float32Array;
      expect(worst(out, p, probability)).toBeLessThan(1);
    },
  );

  it('writes the same bytes for any number of threads', async () => {
    await run(logits, '--threads', '1');
    const one = await readFile(output);
    await run(logits, '--threads', '3');
    expect((await readFile(output)).equals(one)).toBe(true);
  });

  it('--axis 0 normalises columns, in C and in Fortran order', async () => {
    const columns = turned(x, 2048, 256);
    const expected = turned(eachRow(columns, 2048, softmax), 256, 2048);
    await run(logits, '--axis', '0');
    const fromC = await readNpy(output);
    expect(worst(fromC.data as Float32Array, expected, probability)).toBeLessThan(1);

    const writer = await NpyWriter.create(input, [2048, 256], 'f32', { fortranOrder: true });
    await writer.writeElements(0, Float32Array.from(columns));
    await writer.finish();
    await run(input, '--axis', '0');
    expect((await readNpy(output)).data).toEqual(fromC.data);
    await run(input, '--axis', '1');
    const lastAxis = (await readNpy(output)).data as Float32Array;
    expect(worst(lastAxis, p, probability)).toBeLessThan(1);
  });

  it('float64 stays float64, with float64 accuracy', async () => {
    await writeNpy(input, { data: x, shape: [2048, 256] });
    await run(input);
    const out = await readNpy(output);
    expect(out.dtype).toBe('f64');
    expect(worst(out.data as Float64Array, p, (value) => 1e-12 * value)).toBeLessThan(1);
  });

  it.each([
    ['f16', 'f16', undefined],
    ['bf16', 'bf16', 'bf16'],
    ['u16', 'bf16', 'bf16'],
    ['u16', 'f16', 'f16'],
  ] as const)('%s input holding %s is computed and written as such', async (stored, type, flag) => {
    const data = narrow(x.subarray(0, 100 * 256), type);
    await writeNpy(input, { data, shape: [100, 256], dtype: stored });
    await run(input, ...(flag ? ['--dtype', flag] : []));
    const out = await readNpy(output, type === 'bf16' ? { dtype: 'bf16' } : {});
    expect(out).toMatchObject({ dtype: type, shape: [100, 256] });
    const exact = eachRow(widen(data, type), 256, softmax);
    // One unit of the last place: 2^-7 and 2^-10 of the value, or the smallest subnormal.
    const unit = (value: number): number =>
      type === 'bf16' ? value * 2 ** -7 + 1.2e-38 : value * 2 ** -10 + 2 ** -24;
    expect(worst(widen(out.data as Uint16Array, type), exact, unit)).toBeLessThanOrEqual(1);
  });
});

describe('softlane softmax', () => {
  it('--empty-row decides what a row of -Infinity gives, and leaves other rows alone', async () => {
    const data = Float32Array.of(-Infinity, -Infinity, 0, 0, NaN, 1);
    await writeNpy(input, { data, shape: [3, 2] });
    await run(input);
    expect((await readNpy(output)).data).toEqual(Float32Array.of(0, 0, 0.5, 0.5, NaN, NaN));
    await run(input, '--empty-row', 'nan');
    expect((await readNpy(output)).data).toEqual(Float32Array.of(NaN, NaN, 0.5, 0.5, NaN, NaN));
  });

  it.each([
    [[0, 4], -1],
    [[4, 0], -1],
    [[4, 0], 0],
    [[2, 0, 3], 1],
  ])('of nothing (%j along %s) is nothing', async (shape, axis) => {
    await writeNpy(input, { data: new Float32Array(0), shape });
    await run(input, '--axis', String(axis));
    expect(await readNpy(output)).toMatchObject({ shape, data: new Float32Array(0) });
  });

  it.each([
    ['i4.npy', 'softmax needs float16, float32, float64 or bfloat16 elements, received int32'],
    ['bool.npy', 'received bool'],
    ['u2.npy', 'received uint16 (pass --dtype bf16 or --dtype f16 if these are bit patterns)'],
    ['void2.npy', "expected dtype 'bf16' or 'f16' to be asked for (--dtype on the command line)"],
    ['structured.npy', 'a structured type'],
    ['object.npy', 'Python objects'],
    ['make.py', 'expected an .npy file'],
    ['zero-dim.npy', 'received a single number of shape ()'],
    ['none.npy', 'ENOENT'],
  ])('%s is refused with one line that names it', async (name, problem) => {
    const line = expectOneLine(await softlane(['softmax', join(fixtures, name), '-o', output]), 1);
    expect(line).toContain(problem);
    expect(line).toContain(name);
    expect(await readdir(folder)).toEqual([]);
  });

  it.each([
    [['--axis', '2'], '--axis must be from -2 to 1 for the shape (2048, 256)'],
    [
      ['--dtype', 'bf16'],
      "expected two-byte void ('|V2') or uint16 elements to be read as bf16, received '<f4'",
    ],
    [['--temperature', '1e-31'], 'temperature'],
  ])('%j is refused with one line, and leaves nothing behind', async (flags, problem) => {
    const line = expectOneLine(await softlane(['softmax', logits, '-o', output, ...flags]), 1);
    expect(line).toContain(problem);
    expect(await readdir(folder)).toEqual([]);
  });

  it('a truncated file and an output that cannot be written are refused', async () => {
    const bytes = await readFile(logits);
    const cut = await open(input, 'w');
    await cut.write(bytes, 0, 5000);
    await cut.close();
    expect(expectOneLine(await softlane(['softmax', input, '-o', output]), 1)).toMatch(
      /in\.npy: expected 2097152 bytes of data for float32 of shape \(2048, 256\), received 4872 \(the file is cut off\)$/,
    );
    const nowhere = join(folder, 'missing', 'out.npy');
    expect(expectOneLine(await softlane(['softmax', logits, '-o', nowhere]), 1)).toContain('ENOENT');
    expect(expectOneLine(await softlane(['softmax', logits, '-o', folder]), 1)).toContain(
      'received a folder',
    );
  });
});

/** A sparse file of zeros: large to read, nothing to store. */
async function sparse(path: string, shape: number[]): Promise<void> {
  const file = await open(path, 'w');
  const header = formatHeader('f32', shape, false);
  await file.write(header);
  await file.truncate(header.length + 4 * shape.reduce((a, b) => a * b, 1));
  await file.close();
}

/** Fails unless a float32 file holds `length` times the same value; compares bytes, which is quick. */
async function expectAll(path: string, value: number, length: number): Promise<void> {
  const got = (await readFile(path)).subarray(128);
  const expected = new Float32Array(length).fill(value);
  expect(got.equals(Buffer.from(expected.buffer))).toBe(true);
}

describe('softlane softmax on large files', () => {
  it.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const)('%s ends it soon and removes the temporary file', async (signal, code) => {
    await sparse(input, [1 << 19, 1024]); // 2 GiB
    const ending = await softlane(['softmax', input, '-o', output], {
      onStart: (child) => {
        const poll = setInterval(() => {
          void readdir(folder).then((names) => {
            if (!names.some((name) => name.endsWith('.tmp'))) return;
            clearInterval(poll);
            child.kill(signal);
          });
        }, 5);
        child.once('exit', () => clearInterval(poll));
      },
    });
    expect(expectOneLine(ending, code)).toBe(`softlane: stopped by ${signal} before the end`);
    expect(await readdir(folder)).toEqual(['in.npy']);
  });

  it('memory stays far below the size of the file, along both axes', async () => {
    await sparse(input, [16384, 4096]); // 256 MiB
    const peak = async (args: string[]): Promise<number> => {
      const file = join(folder, 'peak');
      const { code } = await softlane(args, {
        nodeArgs: ['--require', join(__dirname, 'fixtures/peak-memory.cjs')],
        env: { PEAK_MEMORY_FILE: file },
      });
      expect(code).toBe(0);
      return Number(await readFile(file, 'utf8'));
    };
    const base = await peak(['info']);
    const last = await peak(['softmax', input, '-o', output]);
    expect(last - base).toBeLessThan(64);
    await expectAll(output, 1 / 4096, 16384 * 4096);
    const first = await peak(['softmax', input, '-o', output, '--axis', '0']);
    expect(first - base).toBeLessThan(192);
    await expectAll(output, 1 / 16384, 16384 * 4096);
  });
});
