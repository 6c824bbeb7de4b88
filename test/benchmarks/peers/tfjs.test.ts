import { runModule } from '../run-module.js';

// Its WebAssembly and its globals stay out of the tests' own process.
describe('@tensorflow/tfjs-backend-wasm', () => {
  it('computes softmax of each row and gives back its memory', async () => {
    const { code, stdout, stderr } = await runModule(`
      import { loadTfjs, tfjsSoftmax } from './dist/cjs/benchmarks/peers/tfjs.js';
      import { softmaxJavaScript } from './dist/cjs/benchmarks/peers/javascript.js';
      const tf = await loadTfjs();
      if (typeof tf === 'string') throw new Error(tf);
      const x = Float32Array.from({ length: 150 }, (_, i) => Math.sin(i) * 5);
      const expected = new Float32Array(150);
      softmaxJavaScript(x, 3, 50, expected);
      const before = tf.memory().numTensors;
      const matrix = tfjsSoftmax(tf, x, 3, 50);
      const worst = Math.max(...Array.from(matrix.run(), (p, i) => Math.abs(p / expected[i] - 1)));
      matrix.run();
      matrix.release();
      process.stdout.write(JSON.stringify({ worst, left: tf.memory().numTensors - before }));
    `);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    const { worst, left } = JSON.parse(stdout) as { worst: number; left: number };
    expect(worst).toBeLessThan(1e-5);
    expect(left).toBe(0);
  });

  it('is left out with a line that says so where it is not installed', async () => {
    const { code, stdout } = await runModule(`
      import { register } from 'node:module';
      register('data:text/javascript,' + encodeURIComponent(\`
        export function resolve(name, context, next) {
          if (name.startsWith('@tensorflow/')) throw new Error("Cannot find package '" + name + "'");
          return next(name, context);
        }
      \`));
      const { loadTfjs } = await import('./dist/cjs/benchmarks/peers/tfjs.js');
      process.stdout.write(String(await loadTfjs()));
    `);
    expect(code).toBe(0);
    expect(stdout).toBe(
      '@tensorflow/tfjs-backend-wasm is left out, it cannot be loaded: ' +
        "Cannot find package '@tensorflow/tfjs-core'",
    );
  });
});
