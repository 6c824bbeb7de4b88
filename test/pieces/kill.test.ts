/** kill -9 at any moment: the next run goes on from what is finished, and the result has the same bytes. */
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expectCleanEnding, runCode } from '../helpers/child.js';

const COUNT = 30;
const SIZE = 200_000;

/**
 * A process that runs all pieces of a plan, each SIZE bytes of its own in ten writes, merged into one file in order; it
 * kills itself at the n-th of the moments that it passes: before and after each write and each step of the merging.
 */
const script = (folder: string, killAt: number): string => `
  const { plan, registerKind, runAll } = require('./dist/cjs/lib/pieces/index.js');
  const fs = require('node:fs');
  let moments = 0;
  const moment = () => { if (++moments === ${killAt}) process.kill(process.pid, 'SIGKILL'); };
  let ran = 0;
  registerKind({
    name: 'bytes',
    split: ({ count }) => Array.from({ length: count }, (_, index) => ({ index })),
    run: async ({ part }, { write }) => {
      ran++;
      for (let i = 0; i < 10; i++) {
        moment();
        await write(Buffer.alloc(${SIZE / 10}, part.index * 10 + i));
        moment();
      }
    },
    gather: async (pieces, { read }) => {
      const { out } = pieces[0].inputs;
      const handle = fs.openSync(out + '.new', 'w');
      for (const piece of pieces) { moment(); fs.writeSync(handle, await read(piece)); moment(); }
      fs.closeSync(handle);
      fs.renameSync(out + '.new', out);
      moment();
    },
  });
  const out = ${JSON.stringify(join(folder, 'out'))};
  plan('bytes', { job: { count: ${COUNT} }, inputs: { out }, folder: out + '.pieces' })
    .then((p) => runAll(p))
    .then(({ skipped }) => console.log(JSON.stringify({ ran, skipped, moments })));
`;

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'softlane-kill-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

it('goes on after kill -9, with the same bytes, and leaves nothing behind', async () => {
  const whole = await runCode(script(folder, 0), { load: false });
  expectCleanEnding(whole);
  const { moments, ran } = JSON.parse(whole.stdout) as { moments: number; ran: number };
  expect(ran).toBe(COUNT);
  expect(moments).toBe(COUNT * 22 + 1);
  const expected = await readFile(join(folder, 'out'));
  expect(expected.length).toBe(COUNT * SIZE);
  await rm(join(folder, 'out'));

  // Before the first write, after the last of the first piece, between pieces, and within later ones.
  for (const killAt of [1, 20, 21, 201, 185, 61]) {
    const { signal } = await runCode(script(folder, killAt), { load: false });
    expect(signal).toBe('SIGKILL');
  }
  const pieces = (await readdir(join(folder, 'out.pieces'))).filter((name) => name.endsWith('.piece'));
  expect(pieces.length).toBeGreaterThan(10);
  const last = await runCode(script(folder, 0), { load: false });
  expectCleanEnding(last);
  expect(JSON.parse(last.stdout)).toMatchObject({ ran: COUNT - pieces.length, skipped: pieces.length });
  expect((await readFile(join(folder, 'out'))).equals(expected)).toBe(true);
  expect(await readdir(folder)).toEqual(['out']);

  // While merging, and after the result has its name, but before the pieces are gone.
  for (const fromEnd of [10, 0]) {
    const { signal } = await runCode(script(folder, moments - fromEnd), { load: false });
    expect(signal).toBe('SIGKILL');
    const again = await runCode(script(folder, 0), { load: false });
    expectCleanEnding(again);
    expect(JSON.parse(again.stdout)).toMatchObject({ ran: 0, skipped: COUNT });
    expect((await readFile(join(folder, 'out'))).equals(expected)).toBe(true);
    await rm(join(folder, 'out'));
    await rm(join(folder, 'out.new'), { force: true });
  }
});
