import { matMulModel, softmaxModel, varint } from '../../../benchmarks/peers/onnx-model.js';
import { runModule } from '../run-module.js';

describe('varint', () => {
  it.each([
    [0, [0]],
    [1, [1]],
    [127, [0x7f]],
    [128, [0x80, 1]],
    [300, [0xac, 2]],
    [-1, [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]],
  ])('of %d', (value, bytes) => {
    expect(varint(value)).toEqual(bytes);
  });
});

describe('softmaxModel', () => {
  it('names its node, input and output', () => {
    const text = Buffer.from(softmaxModel([64, 1000])).toString('latin1');
    for (const name of ['Softmax', 'axis', 'x', 'y']) expect(text).toContain(name);
  });
});

describe('matMulModel', () => {
  it('holds the weights as a constant, as they are in memory', () => {
    const w = Float32Array.from({ length: 3000 }, (_, i) => i);
    const bytes = Buffer.from(matMulModel(w.subarray(1000), { m: 2, n: 40, k: 50 }));
    for (const name of ['MatMul', 'x', 'w', 'y']) expect(bytes.toString('latin1')).toContain(name);
    expect(bytes.includes(Buffer.from(w.buffer, 4000))).toBe(true);
    expect(bytes.includes(Buffer.from(w.buffer))).toBe(false);
  });
});

// A native addon cannot be loaded into the sandbox of the tests, hence the child process.
describe('onnxruntime-node', () => {
  const compute = (type: string) => `
    import { loadOnnxRuntime, onnxSoftmax } from './dist/cjs/benchmarks/peers/onnxruntime.js';
    import { softmaxJavaScript } from './dist/cjs/benchmarks/peers/javascript.js';
    const runtime = await loadOnnxRuntime();
    if (typeof runtime === 'string') throw new Error(runtime);
    const [rows, cols] = [3, 50];
    const x = ${type}.from({ length: rows * cols }, (_, i) => Math.sin(i) * 5);
    const outs = [new ${type}(x.length), new ${type}(x.length)];
    const session = await onnxSoftmax(runtime, x, rows, cols, outs, 1);
    await session.run(0);
    await session.run(1);
    const expected = new ${type}(x.length);
    softmaxJavaScript(x, rows, cols, expected);
    const worst = Math.max(...outs.flatMap((out) => [...out].map((p, i) => Math.abs(p / expected[i] - 1))));
    await session.release();
    process.stdout.write(String(worst));
  `;

  it.each([
    ['Float32Array', 1e-5],
    ['Float64Array', 1e-12],
  ])('runs the model on %s, into the given outputs', async (type, tolerance) => {
    const { code, stdout, stderr } = await runModule(compute(type));
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(Number(stdout)).toBeLessThan(tolerance);
  });

  it('multiplies by constant weights of each session', async () => {
    const { code, stdout, stderr } = await runModule(`
      import { loadOnnxRuntime, onnxMatMul } from './dist/cjs/benchmarks/peers/onnxruntime.js';
      import { gemmJavaScript } from './dist/cjs/benchmarks/peers/llm-javascript.js';
      const runtime = await loadOnnxRuntime();
      const shape = { m: 3, n: 10, k: 70 };
      const { m, n, k } = shape;
      const numbers = (length) => Float32Array.from({ length }, (_, i) => Math.sin(i * i));
      const [a, w] = [numbers(m * k), numbers(n * k)];
      const transposed = w.map((_, i) => w[(i % n) * k + Math.floor(i / n)]);
      const expected = new Float32Array(m * n);
      gemmJavaScript(a, w, shape, expected);
      const out = new Float32Array(m * n);
      const sessions = await onnxMatMul(runtime, a, transposed, shape, out, { threads: 1, copies: 2 });
      let worst = 0;
      for (const i of [0, 1]) {
        out.fill(NaN);
        await sessions.run(i);
        out.forEach((y, j) => (worst = Math.max(worst, Math.abs(y - expected[j]))));
      }
      await sessions.release();
      process.stdout.write(String(worst));
    `);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(Number(stdout)).toBeLessThan(1e-5);
  });

  it('attends to each of several caches', async () => {
    const { code, stdout, stderr } = await runModule(`
      import { loadOnnxRuntime, onnxAttention } from './dist/cjs/benchmarks/peers/onnxruntime.js';
      import { attentionJavaScript } from './dist/cjs/benchmarks/peers/llm-javascript.js';
      const runtime = await loadOnnxRuntime();
      const sizes = { kvHeads: 2, group: 3, headDim: 16, length: 37 };
      const numbers = (length, seed) => Float32Array.from({ length }, (_, i) => Math.sin(i * i + seed));
      const q = numbers(2 * 3 * 16, 1);
      const caches = [2, 3].map((seed) => {
        return { keys: numbers(2 * 37 * 16, seed), values: numbers(2 * 37 * 16, seed + 10) };
      });
      const [out, expected] = [new Float32Array(q.length), new Float32Array(q.length)];
      const session = await onnxAttention(runtime, { q, caches, out, ...sizes, threads: 1 });
      let worst = 0;
      for (const [i, { keys, values }] of caches.entries()) {
        out.fill(NaN);
        await session.run(i);
        attentionJavaScript(q, keys, values, sizes, expected, new Float64Array(37));
        out.forEach((y, j) => (worst = Math.max(worst, Math.abs(y - expected[j]))));
      }
      await session.release();
      process.stdout.write(String(worst));
    `);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(Number(stdout)).toBeLessThan(1e-5);
  });

  it('is left out with a line that says so where it is not installed', async () => {
    const { code, stdout } = await runModule(`
      import { register } from 'node:module';
      register('data:text/javascript,' + encodeURIComponent(\`
        export function resolve(name, context, next) {
          if (name === 'onnxruntime-node') throw new Error("Cannot find package 'onnxruntime-node'");
          return next(name, context);
        }
      \`));
      const { loadOnnxRuntime } = await import('./dist/cjs/benchmarks/peers/onnxruntime.js');
      process.stdout.write(String(await loadOnnxRuntime()));
    `);
    expect(code).toBe(0);
    expect(stdout).toBe(
      "onnxruntime-node is left out, it cannot be loaded: Cannot find package 'onnxruntime-node'",
    );
  });
});
