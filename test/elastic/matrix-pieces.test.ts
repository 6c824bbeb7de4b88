/** The machinery of matrices in files, with a distance that any reader can compute in the head. */
import { mkdir, mkdtemp, open, readdir, readFile, rm, statfs, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import fc from 'fast-check';
import {
  matrixKind,
  matrixToFile,
  planMatrix,
  type DistanceOptions,
  type MatrixDistance,
  type MatrixFileOptions,
} from '../../lib/elastic/matrix-pieces.js';
import { checkTiles, defaultTile, requireRoom, sizeOf, tilesOf } from '../../lib/elastic/matrix-tiles.js';
import { SeriesSet } from '../../lib/elastic/series.js';
import { encodeNpy, readNpy, writeNpy } from '../../lib/io/index.js';
import {
  gather,
  readPlan,
  registerKind,
  runPieces,
  selectPieces,
  type Plan,
} from '../../lib/pieces/index.js';

/** What the distance was asked for: rows and columns. */
const asked: { rows: [number, number]; cols: [number, number]; options: DistanceOptions }[] = [];
let failAt = Infinity;

/** Difference of the first values; with `skew`, not symmetric. */
function expected(X: SeriesSet, Y: SeriesSet, i: number, j: number, skew = 0): number {
  const [a, b] = [X.series(i)[0], Y.series(j)[0]];
  return Math.abs(a - b) + (a < b ? skew : 0) + 0.1;
}

const distance: MatrixDistance = {
  name: 'test-matrix',
  compute: async (X, Y, { rows, cols, threads, signal, onProgress, ...options }) => {
    signal?.throwIfAborted();
    if (asked.length >= failAt) throw new Error('power cut');
    asked.push({ rows, cols, options: { ...options, threads } });
    const out = new Float64Array((rows[1] - rows[0]) * (cols[1] - cols[0]));
    let k = 0;
    for (let i = rows[0]; i < rows[1]; i++)
      for (let j = cols[0]; j < cols[1]; j++) out[k++] = expected(X, Y ?? X, i, j, options.skew as number);
    onProgress?.(0.5);
    return out;
  },
  check: (X, Y, { bad }) => {
    if (bad) throw new RangeError('"bad" must be false');
    if (Y && Y.channels !== X.channels) throw new TypeError('channels differ');
  },
  isSymmetric: ({ skew }, isRagged) => !skew && !isRagged,
  cells: (n, m) => n * m,
};
registerKind(matrixKind(distance));

type Options = MatrixFileOptions & DistanceOptions;
const toFile = (X: SeriesSet | string, Y: SeriesSet | string | null, options: Options) =>
  matrixToFile(distance, X, Y, options);

let root: string;
let out: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'softlane-matrix-'));
  out = join(root, 'D.npy');
  asked.length = 0;
  failAt = Infinity;
});
afterEach(() => rm(root, { recursive: true, force: true }));

/** Series of two values of which the first decides. */
function setOf(count: number, seed = 1): SeriesSet {
  const data = Float64Array.from({ length: 2 * count }, (_, i) => Math.sin(seed * (i + 1)));
  return new SeriesSet(data, { lengths: 2 });
}

function whole(X: SeriesSet, Y: SeriesSet, skew = 0): Float64Array {
  return Float64Array.from({ length: X.count * Y.count }, (_, k) =>
    expected(X, Y, Math.floor(k / Y.count), k % Y.count, skew),
  );
}

describe('tiles', () => {
  it('cover every element once, or with its mirror', () => {
    const sizes = fc.integer({ min: 1, max: 40 });
    fc.assert(
      fc.property(sizes, sizes, sizes, fc.boolean(), (rows, width, tile, symmetric) => {
        const cols = symmetric ? rows : width;
        const tiles = tilesOf({ rows, cols, tile, symmetric });
        const seen = new Uint8Array(rows * cols);
        let elements = 0;
        for (const {
          rows: [a, b],
          cols: [c, d],
        } of tiles) {
          expect(Math.max(b - a, d - c)).toBeLessThanOrEqual(tile);
          elements += (b - a) * (d - c);
          for (let i = a; i < b; i++)
            for (let j = c; j < d; j++) {
              seen[i * cols + j]++;
              if (symmetric && a !== c) seen[j * cols + i]++;
            }
        }
        expect(seen.every((times) => times === 1)).toBe(true);
        expect(sizeOf({ rows, cols, tile, symmetric })).toEqual({ tiles: tiles.length, elements });
      }),
    );
  });

  it('are of some seconds, in bounds', () => {
    expect([1, 128 ** 2, 512 ** 2, 2048 ** 2, 1e8, 1e12].map(defaultTile)).toEqual([
      1024, 1024, 272, 64, 32, 32,
    ]);
  });

  it('are not more than a folder holds', () => {
    const cut = { rows: 1e6, cols: 1e6, tile: 1000, symmetric: false };
    expect(() => checkTiles(cut)).not.toThrow();
    expect(() => checkTiles({ ...cut, tile: 500 })).toThrow(
      /"tile" must be such that .*\(about 1000\), received 500/,
    );
  });
});

describe('a matrix in a file', () => {
  it.each([
    [1, 5],
    [7, 3],
    [10, 1],
    [10, 10],
    [33, 8],
  ])(
    'of %i series with itself in tiles of %i: those below the diagonal are mirrored',
    async (count, tile) => {
      const X = setOf(count);
      const file = await toFile(X, null, { out, tile });
      const tiles = tilesOf({
        rows: count,
        cols: count,
        tile: Math.min(tile, count),
        symmetric: true,
      }).length;
      expect(file).toEqual({ path: out, rows: count, cols: count, dtype: 'f64', tiles, skipped: 0 });
      expect(asked).toHaveLength(tiles);
      expect(await readNpy(out)).toEqual({
        data: whole(X, X),
        shape: [count, count],
        dtype: 'f64',
        fortranOrder: false,
      });
      expect(await readdir(root)).toEqual(['D.npy']);
    },
  );

  it('of two sets, of a distance that is not symmetric, of unequal lengths: every tile is computed', async () => {
    const [X, Y] = [setOf(7), setOf(11, 3)];
    await toFile(X, Y, { out, tile: 4 });
    expect((await readNpy(out)).data).toEqual(whole(X, Y));
    expect(asked).toHaveLength(6);

    await toFile(X, null, { out, tile: 4, skew: 2 });
    expect((await readNpy(out)).data).toEqual(whole(X, X, 2));
    expect(asked).toHaveLength(6 + 4);

    const ragged = new SeriesSet(Float64Array.of(1, 2, 3, 5, 6), { lengths: [2, 1, 2] });
    await toFile(ragged, null, { out, tile: 2 });
    expect((await readNpy(out)).data).toEqual(whole(ragged, ragged));
    expect(asked).toHaveLength(6 + 4 + 4);
  });

  it('as float32, rounded once', async () => {
    const X = setOf(9);
    const { dtype } = await toFile(X, null, { out, tile: 4, dtype: 'f32' });
    const { data } = await readNpy(out);
    expect(dtype).toBe('f32');
    expect(data).toEqual(Float32Array.from(whole(X, X)));
  });

  it('has the same bytes for any tile', async () => {
    const X = setOf(13);
    const files = [];
    for (const tile of [1, 4, 6, 13, undefined]) {
      await toFile(X, null, { out, tile });
      files.push(await readFile(out));
    }
    for (const bytes of files) expect(bytes.equals(files[0])).toBe(true);
    expect(files[0].equals(encodeNpy({ data: whole(X, X), shape: [13, 13] }))).toBe(true);
  });

  it('takes arrays of series, and files', async () => {
    const X = setOf(6);
    const [x, y] = [join(root, 'x.npy'), join(root, 'y.csv')];
    await writeNpy(x, { data: X.data, shape: [6, 2] });
    await writeFile(y, 'a,b\n0.5,1\n-0.25,3\n');
    const Y = new SeriesSet(Float64Array.of(0.5, 1, -0.25, 3), { lengths: 2 });
    await toFile(x, y, { out, read: { header: true } });
    expect((await readNpy(out)).data).toEqual(whole(X, Y));
    await matrixToFile(distance, [X.series(0), X.series(1)], Y, { out });
    expect((await readNpy(out)).data).toEqual(whole(X.subset([0, 1]), Y));
    const two = join(root, 'two.csv');
    await writeFile(two, '1,2,3,4\n');
    await toFile(two, null, { out, channels: 2 });
    expect(asked[asked.length - 1].options).not.toHaveProperty('channels');
  });

  it('follows a symbolic link, and replaces a file', async () => {
    await mkdir(join(root, 'other'));
    const target = join(root, 'other', 'target.npy');
    await writeFile(target, 'old');
    await symlink(target, out);
    const X = setOf(3);
    await toFile(X, null, { out });
    expect((await readNpy(target)).data).toEqual(whole(X, X));
    expect(await readdir(join(root, 'other'))).toEqual(['target.npy']);
    expect((await readdir(root)).sort()).toEqual(['D.npy', 'other']);
  });

  it('passes options on, typed arrays included, and threads, which do not decide the bytes', async () => {
    const g = Float64Array.of(1, 2);
    await toFile(setOf(2), null, { out, g, window: 0.1, metric: 'x', threads: 2, nothing: undefined });
    expect(asked[0].options).toEqual({ g, window: 0.1, metric: 'x', threads: 2 });
  });

  it('reports progress to 1, without going back', async () => {
    const seen: number[] = [];
    await toFile(setOf(9), null, { out, tile: 3, onProgress: (done) => seen.push(done) });
    expect(seen).toEqual([...seen].sort((a, b) => a - b));
    expect(seen.length).toBeGreaterThan(6);
    expect(seen[seen.length - 1]).toBe(1);
  });
});

describe('after an interruption', () => {
  it('finished tiles are kept, and the rest is computed', async () => {
    const X = setOf(12);
    failAt = 5;
    await expect(toFile(X, null, { out, tile: 3 })).rejects.toThrow('power cut');
    expect((await readdir(root)).sort()).toEqual(['D.npy.pieces']);
    failAt = Infinity;
    asked.length = 0;
    expect(await toFile(setOf(12), null, { out, tile: 3, threads: 2 })).toMatchObject({
      tiles: 10,
      skipped: 5,
    });
    expect(asked).toHaveLength(5);
    expect((await readNpy(out)).data).toEqual(whole(X, X));
    expect(await readdir(root)).toEqual(['D.npy']);
  });

  it('stops within a tile on a signal; the next call goes on', async () => {
    const X = setOf(12);
    const controller = new AbortController();
    const reason = new Error('enough');
    const onProgress = (done: number): void => {
      if (done > 0.3) controller.abort(reason);
    };
    await expect(toFile(X, null, { out, tile: 3, signal: controller.signal, onProgress })).rejects.toBe(
      reason,
    );
    const { skipped } = await toFile(X, null, { out, tile: 3 });
    expect(skipped).toBeGreaterThan(0);
    expect((await readNpy(out)).data).toEqual(whole(X, X));
  });

  it('other data, options, types or tiles are refused by name, or started afresh', async () => {
    failAt = 2;
    await expect(toFile(setOf(12), null, { out, tile: 3, window: 0.1 })).rejects.toThrow('power cut');
    failAt = Infinity;
    const others: [SeriesSet, Options, RegExp][] = [
      [setOf(12, 2), { out, tile: 3, window: 0.1 }, /\(x: .* there, .* here\)/],
      [
        setOf(12),
        { out, tile: 3, window: 0.2 },
        /\(options: \{"window":0\.1\} there, \{"window":0\.2\} here\)/,
      ],
      [setOf(12), { out, tile: 4, window: 0.1 }, /\(tile: 3 there, 4 here\)/],
      [setOf(12), { out, tile: 3, window: 0.1, dtype: 'f32' }, /\(dtype: "f64" there, "f32" here\)/],
    ];
    for (const [X, options, message] of others) {
      const error: unknown = await toFile(X, null, options).catch((e: unknown) => e);
      expect(error).toMatchObject({ code: 'ERR_PIECE_OTHER_PLAN' });
      expect((error as Error).message).toMatch(message);
    }
    expect(await toFile(setOf(12), null, { out, tile: 3, window: 0.2, restart: true })).toMatchObject({
      skipped: 0,
    });
    expect((await readNpy(out)).data).toEqual(whole(setOf(12), setOf(12)));
  });
});

describe('in several processes', () => {
  async function files(seed: number): Promise<{ X: SeriesSet; Y: SeriesSet; plan: Plan }> {
    const [X, Y] = [setOf(7, seed), setOf(5, 3)];
    const [x, y] = [join(root, 'x.npy'), join(root, 'y.npy')];
    await writeNpy(x, { data: X.data, shape: [7, 2] });
    await writeNpy(y, { data: Y.data, shape: [5, 2] });
    return { X, Y, plan: await planMatrix(distance, x, y, { out, tile: 3 }) };
  }

  it('pieces go through JSON and are gathered from anywhere', async () => {
    const { X, Y, plan } = await files(5);
    expect(JSON.stringify(plan.pieces[0]).length).toBeLessThan(2000);
    const { pieces } = JSON.parse(JSON.stringify(plan)) as Plan;
    for (const share of ['2/3', '1/3', '3/3']) await runPieces(selectPieces(pieces, share));
    expect(await gather(pieces)).toEqual({ path: out, rows: 7, cols: 5, dtype: 'f64' });
    expect((await readNpy(out)).data).toEqual(whole(X, Y));
  });

  it('a file that has changed since is refused', async () => {
    const { plan } = await files(6); // not read by this process before
    await writeNpy(join(root, 'x.npy'), { data: setOf(7, 9).data, shape: [7, 2] });
    const error: unknown = await runPieces(plan.pieces).catch((e: unknown) => e);
    expect(error).toMatchObject({ code: 'ERR_PIECE_INPUT' });
    expect((error as Error).message).toContain(join(root, 'x.npy'));
  });

  it('series in memory cannot be planned for others', async () => {
    await expect(planMatrix(distance, setOf(3) as never, null, { out })).rejects.toThrow(
      /"X" must be a path/,
    );
    await expect(planMatrix(distance, 'x.npy', setOf(3) as never, { out })).rejects.toThrow(
      /"Y" must be a path or null/,
    );
    failAt = 1;
    await expect(toFile(setOf(4, 77), null, { out, tile: 2 })).rejects.toThrow('power cut');
    failAt = Infinity;
    const { pieces } = await readPlan(`${out}.pieces`);
    await expect(runPieces(pieces)).rejects.toMatchObject({ code: 'ERR_PIECE_INPUT' });
  });
});

describe('what is refused before anything is written', () => {
  it('wrong arguments', async () => {
    const X = setOf(3);
    const refused: [unknown, unknown, unknown, RegExp][] = [
      [X, null, { out: 3 }, /"out" must be a path/],
      [X, null, { out: join(root, 'D.csv') }, /"out" must be a path that ends in \.npy/],
      [X, null, { out, dtype: 'f16' }, /"dtype" must be one of 'f64', 'f32'/],
      [X, null, { out, tile: 0 }, /"tile" must be a positive integer/],
      [X, null, { out, threads: 1.5 }, /"threads"/],
      [X, null, { out, signal: 1 }, /"signal"/],
      [X, null, { out, onProgress: 1 }, /"onProgress"/],
      [X, null, { out, restart: 1 }, /"restart"/],
      [X, null, { out, keep: 1 }, /"keep"/],
      [X, null, { out, read: 1 }, /"options"/],
      [X, null, { out, bad: true }, /"bad" must be false/],
      [X, null, { out, c: NaN }, /"job\.options\.c" must be finite/],
      [X, null, { out, c: () => 1 }, /"job\.options\.c" must be a value that JSON can hold/],
      [X, new SeriesSet(new Float64Array(4), { channels: 2, lengths: 2 }), { out }, /channels differ/],
      [3, null, { out }, /"X" must be a SeriesSet or an array of series/],
      [X, undefined, { out }, /"Y" must be a SeriesSet or an array of series/],
      [X, null, undefined, /"out"/],
      [join(root, 'none.ts'), null, { out }, /ENOENT/],
      [X, null, { out: join(root, 'none', 'D.npy') }, /ENOENT/],
    ];
    for (const [x, y, options, message] of refused) {
      const error: unknown = await toFile(x as never, y as never, options as never).catch((e: unknown) => e);
      expect(String((error as Error).message)).toMatch(message);
    }
    await mkdir(out);
    await expect(toFile(X, null, { out })).rejects.toThrow(
      /"out" must be a file name to write to, received 'a folder'/,
    );
    expect(await readdir(root)).toEqual(['D.npy']);
    expect(asked).toEqual([]);
  });

  it('a matrix that the disk has no room for, with the numbers', async () => {
    const { bavail, bsize } = await statfs(root);
    const rows = Math.ceil(Math.sqrt((bavail * bsize) / 8));
    const cut = { rows, cols: rows, tile: 1024, symmetric: true };
    const error: unknown = await requireRoom(out, `${out}.pieces`, cut, 'f64').catch((e: unknown) => e);
    expect(error).toMatchObject({ name: 'PieceError', code: 'ERR_PIECE_NO_SPACE' });
    const { message } = error as Error;
    expect(message).toContain(`${rows} x ${rows} distances of f64`);
    expect(message).toMatch(/ [\d.]+ [GTP]B in all; received [\d.]+ [MGTP]B free in /);
    expect(message).toContain(dirname(out));
    expect(message).toContain("dtype: 'f32' takes half");
    await expect(requireRoom(out, '', { ...cut, rows: 10, cols: 10 }, 'f64')).resolves.toBeUndefined();
    // From the front door: two million series of one value are small, their distances are not.
    const many = new SeriesSet(new Float32Array(2e6), { lengths: 1 });
    await expect(toFile(many, null, { out, tile: 4096 })).rejects.toMatchObject({
      code: 'ERR_PIECE_NO_SPACE',
    });
    expect(await readdir(root)).toEqual([]);
  });

  it('counts the tiles that are there already', async () => {
    const { bavail, bsize } = await statfs(root);
    const folder = `${out}.pieces`;
    // Result and tiles need one and a half of what is free, the result alone three quarters.
    const cols = Math.floor((1.5 * bavail * bsize) / 16);
    const cut = { rows: 1, cols, tile: cols, symmetric: false };
    await expect(requireRoom(out, folder, cut, 'f64')).rejects.toMatchObject({ code: 'ERR_PIECE_NO_SPACE' });
    await mkdir(folder);
    const handle = await open(join(folder, '0000-a.piece'), 'w');
    await handle.truncate(cut.cols * 8); // sparse: takes no room itself
    await handle.close();
    await expect(requireRoom(out, folder, cut, 'f64')).resolves.toBeUndefined();
  });
});
