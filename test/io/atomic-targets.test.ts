/** What may not be replaced, and what is kept of what is. */
import { execFileSync } from 'node:child_process';
import { chmod, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { writeNpy, writeTs } from '../../lib/io/index.js';
import { SeriesSet } from '../../lib/elastic/index.js';

let folder = '';
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'softlane-targets-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const set = new SeriesSet(Float64Array.of(1, 2, 3, 4), { lengths: 2 });

test('a pipe is refused and stays a pipe', async () => {
  const path = join(folder, 'pipe');
  execFileSync('mkfifo', [path]);
  await expect(writeNpy(path, { data: Float64Array.of(1), shape: [1] })).rejects.toMatchObject({
    code: 'EINVAL',
  });
  await expect(writeTs(path, { set })).rejects.toThrow(/cannot be replaced/);
  expect((await stat(path)).isFIFO()).toBe(true);
});

test('permissions of a file that is replaced are kept', async () => {
  const path = join(folder, 'kept.ts');
  await writeFile(path, 'before');
  await chmod(path, 0o600);
  await writeTs(path, { set });
  expect((await stat(path)).mode & 0o777).toBe(0o600);
  expect(await readFile(path, 'utf8')).toMatch(/@data/);
});
