import { softmaxModel, varint } from '../../../benchmarks/peers/onnx-model.js';
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

// A native addon cannot be loaded into the sandbox of the tests, hence the child process.
describe('onnxruntime-node', () => {
  const compute = (type: string) => `
    import { loadOnnxRuntime, onnxSoftmax } from './dist/esm/benchmarks/peers/onnxruntime.js';
    import { softmaxJavaScript } from './dist/esm/benchmarks/peers/javascript.js';
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

  it('is left out with a line that says so where it is not installed', async () => {
    const { code, stdout } = await runModule(`
      import { register } from 'node:module';
      register('data:text/javascript,' + encodeURIComponent(\`
        export function resolve(name, context, next) {
          if (name === 'onnxruntime-node') throw new Error("Cannot find package 'onnxruntime-node'");
          return next(name, context);
        }
      \`));
      const { loadOnnxRuntime } = await import('./dist/esm/benchmarks/peers/onnxruntime.js');
      process.stdout.write(String(await loadOnnxRuntime()));
    `);
    expect(code).toBe(0);
    expect(stdout).toBe(
      "onnxruntime-node is left out, it cannot be loaded: Cannot find package 'onnxruntime-node'",
    );
  });
});
