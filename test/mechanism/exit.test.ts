import { expectCleanEnding, runCode } from '../helpers/child.js';

/** Work of many milliseconds on several pool threads. */
const pendingWork = `
  softlane.setIsa('scalar');
  const x = new Float32Array(1 << 24);
  const out = new Float32Array(1 << 24);
  const start = () => [
    softlane.softmaxAsync(x, { out, threads: 2 }),
    softlane.softmaxAsync(x),
    softlane.logSumExpAsync(x, { onProgress() {}, signal: new AbortController().signal }),
  ];
`;

it('process.exit with work pending ends with its code', async () => {
  expectCleanEnding(await runCode(`${pendingWork} start(); process.exit(7);`), 7);
});

it('process.exit a moment later does, too', async () => {
  for (const delay of [0, 3, 12]) {
    expectCleanEnding(
      await runCode(`${pendingWork} start(); setTimeout(() => process.exit(3), ${delay});`),
      3,
    );
  }
});

it('process.exit from onProgress does, too', async () => {
  const code = `${pendingWork} softlane.softmaxAsync(x, { rows: 256, out, onProgress: () => process.exit(5) });`;
  expectCleanEnding(await runCode(code), 5);
});

it('an uncaught exception with work pending is reported and nothing else happens', async () => {
  const { code, signal, stderr } = await runCode(`${pendingWork} start(); throw new Error('boom');`);
  expect([code, signal]).toEqual([1, null]);
  expect(stderr).toContain('Error: boom');
  expect(stderr).not.toMatch(/native|fatal|abort|core|assert/i);
});

it('an unhandled rejection ends the process as any other does', async () => {
  const { code, signal, stderr } = await runCode(
    `${pendingWork} start(); softlane.softmaxAsync(x, { rows: 7 });`,
  );
  expect([code, signal]).toEqual([1, null]);
  expect(stderr).toContain('ERR_OUT_OF_RANGE');
});

it('a pending promise keeps the process alive until it is settled', async () => {
  const ending = await runCode(
    `${pendingWork} start().forEach((p, i) => p.then(() => console.log('settled', i)));`,
  );
  expectCleanEnding(ending);
  expect(ending.stdout.trim().split('\n').sort()).toEqual(['settled 0', 'settled 1', 'settled 2']);
});

it('the pool does not keep the process alive once the work is done', async () => {
  const ending = await runCode(
    `softlane.softmax(new Float32Array(1 << 22), { threads: 4 }); console.log('done');`,
  );
  expectCleanEnding(ending);
  expect(ending.stdout).toBe('done\n');
});

it('a worker may exit with work pending', async () => {
  const ending = await runCode(`
    const { Worker } = require('node:worker_threads');
    const code = ${JSON.stringify(`const softlane = require('./dist/cjs/lib/index.js'); ${pendingWork} start(); process.exit(9);`)};
    new Worker(code, { eval: true }).on('exit', (exit) => {
      softlane.softmaxAsync(Float32Array.of(0, 0)).then((p) => console.log(exit, p.join()));
    });
  `);
  expectCleanEnding(ending);
  expect(ending.stdout.trim()).toBe('9 0.5,0.5');
});
