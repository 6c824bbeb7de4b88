/** Runs of one plan that overlap: whoever finishes first clears the folder away. */
import { rmSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gather, plan, runAll, runPieces, type PieceError, type Plan } from '../../lib/pieces/index.js';
import { hooks } from './squares.js';

let root: string;
let folder: string;
let out: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'softlane-overlap-'));
  folder = join(root, 'out.pieces');
  out = join(root, 'out.txt');
  delete hooks.run;
});
afterEach(() => rm(root, { recursive: true, force: true }));

const planned = (): Promise<Plan> => plan('squares', { job: { count: 10 }, inputs: { out }, folder });

describe('a run', () => {
  it('comes to its end where another run has cleared the folder away first', async () => {
    const p = await planned();
    await runPieces(p.pieces);
    let isRemoved = false;
    const onProgress = (done: number): void => {
      // All pieces are read by then.
      if (done === 1 && !isRemoved) rmSync(folder, { recursive: true });
      isRemoved ||= done === 1;
    };
    expect(await gather(p.pieces, { onProgress })).toEqual({ total: 10 });
    expect(await readFile(out, 'utf8')).toBe('0\n1\n4\n9\n16\n25\n36\n49\n64\n81\n');
  });

  it('says so where another run clears the folder away under its hands', async () => {
    hooks.run = (index) => {
      if (index === 2) rmSync(folder, { recursive: true });
    };
    const error = (await runAll(await planned()).catch((e: unknown) => e)) as PieceError;
    expect(error).toMatchObject({ name: 'PieceError', code: 'ERR_PIECE_MISSING' });
    expect(error.message).toContain(`${folder}: expected the files of this run`);
    hooks.run = () => {
      rmSync(folder, { recursive: true });
      throw new Error('power cut');
    };
    await expect(runAll(await planned())).rejects.toThrow('power cut');
    // A file that is missed elsewhere is another matter.
    hooks.run = async () => {
      await readFile(join(root, 'none'));
    };
    await expect(runAll(await planned())).rejects.toThrow(/ENOENT.*none/);
  });
});
