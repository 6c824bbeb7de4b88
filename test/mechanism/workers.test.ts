import { expectCleanEnding, runCode, runFixture } from '../helpers/child.js';

// Peers crash with several workers: handles in globals, modules that register once per process.

it('64 workers start, compute and are terminated in the middle of a call', async () => {
  const ending = await runFixture('workers');
  expectCleanEnding(ending);
  expect(JSON.parse(ending.stdout)).toEqual({ finished: 64, ok: true, pending: 0 });
}, 120_000);

it('a worker can load the package after the one before it has ended, and while the main thread has not', async () => {
  const ending = await runCode(`
    const { Worker } = require('node:worker_threads');
    const code = "const s = require('./dist/cjs/lib/index.js'); require('worker_threads').parentPort.postMessage(s.softmax(Float32Array.of(0, 0))[0])";
    const one = () => new Promise((resolve, reject) => {
      const worker = new Worker(code, { eval: true });
      let answer;
      worker.on('message', (value) => { answer = value; });
      worker.on('error', reject);
      worker.on('exit', () => resolve(answer));
    });
    (async () => {
      const answers = [];
      for (let i = 0; i < 5; i += 1) answers.push(await one());
      console.log(answers.join());
    })();
  `);
  expectCleanEnding(ending);
  expect(ending.stdout.trim()).toBe('0.5,0.5,0.5,0.5,0.5');
});

it('the package loads first in a worker, then here', async () => {
  const ending = await runCode(`
    const { Worker } = require('node:worker_threads');
    const code = "const s = require('./dist/cjs/lib/index.js'); s.softmaxAsync(new Float32Array(1 << 20)).then(() => process.exit(0))";
    new Worker(code, { eval: true }).on('exit', (exit) => {
      softlane.softmaxAsync(new Float32Array(1 << 20)).then((p) => console.log(exit, p[0] * (1 << 20)));
    });
  `);
  expectCleanEnding(ending);
  expect(ending.stdout.trim()).toBe('0 1');
});

it('the instruction set is that of the process: a worker sees what the main thread has set, and the other way round', async () => {
  const ending = await runCode(`
    const { Worker } = require('node:worker_threads');
    softlane.setIsa('scalar');
    const code = "const s = require('./dist/cjs/lib/index.js'); const seen = s.isa(); s.setIsa(s.availableIsas()[0]); require('worker_threads').parentPort.postMessage(seen)";
    new Worker(code, { eval: true }).on('message', (seen) => {
      console.log(seen, softlane.isa() === softlane.availableIsas()[0]);
    });
  `);
  expectCleanEnding(ending);
  expect(ending.stdout.trim()).toBe('scalar true');
});

it('workers that end with a product on packed weights, or a forward pass, under way', async () => {
  const ending = await runCode(`
    const { Worker } = require('node:worker_threads');
    const product = "const s = require('./dist/cjs/lib/index.js'); const p = s.packWeights(new Float32Array(2048 * 2048), { n: 2048, k: 2048 });" +
      "s.gemmAsync(new Float32Array(256 * 2048), p); require('worker_threads').parentPort.postMessage(1); setTimeout(() => {}, 1e4);";
    const engine = "const { LlamaModel } = require('./dist/cjs/lib/llm/index.js'); LlamaModel.embedded().then(async (model) => {" +
      "const engine = model.createEngine(); require('worker_threads').parentPort.postMessage(1);" +
      "for await (const token of engine.generate([65, 66], { maxTokens: 200 })) void token; });";
    let ended = 0;
    const run = (code) => new Promise((resolve) => {
      const worker = new Worker(code, { eval: true });
      worker.on('message', () => setTimeout(() => worker.terminate(), 3));
      worker.on('exit', () => { ended += 1; resolve(); });
    });
    (async () => {
      for (let i = 0; i < 4; i += 1) { await run(product); await run(engine); }
      console.log(ended);
    })();
  `);
  expectCleanEnding(ending);
  expect(ending.stdout.trim()).toBe('8');
}, 60_000);
