import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  discard,
  gather,
  PieceError,
  pieceState,
  plan,
  readPlan,
  registerKind,
  runAll,
  runPiece,
  runPieces,
  selectPieces,
  type Piece,
  type Plan,
} from '../../lib/pieces/index.js';
import { packageVersion } from '../../lib/native.js';
import { hooks, log, squares } from './squares.js';

let root: string;
let folder: string;
let out: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'softlane-pieces-'));
  folder = join(root, 'out.pieces');
  out = join(root, 'out.txt');
  log.length = 0;
  delete hooks.run;
});
afterEach(() => rm(root, { recursive: true, force: true }));

const planned = (count = 10, salt?: string): Promise<Plan> =>
  plan('squares', { job: { count, salt }, inputs: { out }, folder });
const SQUARES = '0\n1\n4\n9\n16\n25\n36\n49\n64\n81\n';
const copy = <T>(value: T): T => JSON.parse(JSON.stringify(value)) as T;

describe('plan', () => {
  it('is plain JSON of paths and ranges, and writes nothing', async () => {
    const p = await planned();
    expect(copy(p)).toEqual(p);
    expect(p).toMatchObject({
      kind: 'squares',
      version: packageVersion,
      job: { count: 10 },
      inputs: { out },
      folder,
    });
    expect(p.pieces.map((piece) => piece.part)).toEqual([
      { from: 0, to: 3 },
      { from: 3, to: 6 },
      { from: 6, to: 9 },
      { from: 9, to: 10 },
    ]);
    p.pieces.forEach((piece, index) => {
      expect(piece).toMatchObject({
        plan: p.plan,
        index,
        count: 4,
        kind: 'squares',
        version: packageVersion,
      });
      expect(piece.path.startsWith(join(folder, `000${index}-`))).toBe(true);
    });
    expect(await readdir(root)).toEqual([]);
  });

  it('has keys of the content: the same for the same job wherever it is, others for another', async () => {
    const [a, b] = [await planned(), await planned()];
    expect(b).toEqual(a);
    const elsewhere = await plan('squares', {
      job: { salt: undefined, count: 10 },
      inputs: { out: 'elsewhere' },
      folder: join(root, 'other'),
    });
    expect(elsewhere.pieces.map((piece) => piece.key)).toEqual(a.pieces.map((piece) => piece.key));
    const keys = [a, await planned(11), await planned(10, 'x')].flatMap((p) => [
      p.plan,
      ...p.pieces.map((q) => q.key),
    ]);
    expect(new Set(keys).size).toBe(keys.length);
  });

  it('refuses unknown kinds and jobs that JSON cannot hold', async () => {
    await expect(plan('cubes', { job: {}, inputs: {}, folder })).rejects.toMatchObject({
      code: 'ERR_PIECE_KIND',
    });
    const job = (value: unknown): Promise<unknown> =>
      plan('squares', { job: { value } as never, inputs: {}, folder });
    await expect(job(NaN)).rejects.toThrow(/"job\.value" must be finite, received NaN/);
    await expect(job(new Float64Array(2))).rejects.toThrow(/"job\.value" must be a value that JSON can hold/);
    await expect(job([() => 1])).rejects.toThrow(/"job\.value\[0\]"/);
    await expect(plan('squares', { job: { count: 1 }, inputs: {}, folder: 3 as never })).rejects.toThrow(
      /"folder"/,
    );
    const duplicate = { ...squares };
    expect(() => registerKind(duplicate)).toThrow(/"kind\.name" must be a name that no other kind has/);
    expect(() => registerKind({ ...squares, name: 'a', run: undefined as never })).toThrow(/"kind\.run"/);
  });
});

describe('runPiece', () => {
  it('writes one file, and again only where that is not sound', async () => {
    const { pieces } = await planned();
    const piece = copy(pieces[1]); // as from a queue
    expect(await pieceState(piece)).toBe('missing');
    expect(await runPiece(piece)).toEqual({ path: piece.path, skipped: false });
    expect(await pieceState(piece)).toBe('finished');
    expect((await readdir(folder)).sort()).toEqual([piece.path.slice(folder.length + 1), 'plan.json']);
    const bytes = await readFile(piece.path);
    expect(bytes.toString('latin1').startsWith('9\n16\n25\n{')).toBe(true);
    expect(await runPiece(piece)).toEqual({ path: piece.path, skipped: true });
    expect(log).toEqual(['run 1']);

    // Any byte that changes, and any that is cut off, is noticed and repaired.
    for (const at of [0, 7, 12, bytes.length - 10, bytes.length - 1]) {
      const broken = Buffer.from(bytes);
      broken[at] ^= 1;
      await writeFile(piece.path, broken);
      expect(await pieceState(piece)).toBe('corrupt');
    }
    for (const length of [0, 5, 40, bytes.length - 1]) {
      await writeFile(piece.path, bytes.subarray(0, length));
      expect(await pieceState(piece)).toBe('corrupt');
    }
    expect((await runPiece(piece)).skipped).toBe(false);
    expect(await readFile(piece.path)).toEqual(bytes);
  });

  it('leaves nothing half done: after a failure, an abort, a throwing listener', async () => {
    const { pieces } = await planned();
    const failure = new Error('broken');
    hooks.run = async (_, { write }) => {
      await write(Buffer.from('half'));
      throw failure;
    };
    await expect(runPiece(pieces[0])).rejects.toBe(failure);
    const controller = new AbortController();
    hooks.run = () => controller.abort(failure);
    await expect(runPiece(pieces[0], { signal: controller.signal })).rejects.toBe(failure);
    delete hooks.run;
    const onProgress = (): void => {
      throw failure;
    };
    await expect(runPiece(pieces[0], { onProgress })).rejects.toBe(failure);
    expect(await readdir(folder)).toEqual(['plan.json']);
    await expect(runPiece(pieces[0], { signal: AbortSignal.abort(failure) })).rejects.toBe(failure);
  });

  it('passes threads and progress on', async () => {
    const { pieces } = await planned();
    let threads: number | undefined;
    hooks.run = (_, work) => {
      threads = work.threads;
    };
    const seen: number[] = [];
    await runPiece(pieces[0], { threads: 3, onProgress: (done) => seen.push(done) });
    expect(threads).toBe(3);
    await runPiece(pieces[1]);
    expect(threads).toBe(1);
    expect(seen).toEqual([1 / 3, 2 / 3, 1, 1]);
  });

  it('may be run by several at once', async () => {
    const { pieces } = await planned();
    await Promise.all(pieces.flatMap((piece) => [runPiece(piece), runPiece(piece), runPiece(piece)]));
    expect(await gather<{ total: number }>(pieces)).toEqual({ total: 10 });
    expect(await readFile(out, 'utf8')).toBe(SQUARES);
  });

  it('refuses pieces of another version, altered pieces, and what is no piece', async () => {
    const [piece] = (await planned()).pieces;
    const refused: [Piece, string][] = [
      [{ ...piece, version: '0.0.1' }, 'ERR_PIECE_VERSION'],
      [{ ...piece, part: { from: 0, to: 4 } }, 'ERR_PIECE_KEY'],
      [{ ...piece, job: { count: 11 } }, 'ERR_PIECE_KEY'],
      [{ ...piece, key: piece.plan }, 'ERR_PIECE_KEY'],
      [{ ...piece, path: 1 as never }, 'ERR_INVALID_ARG_TYPE'],
      [{ ...piece, index: 'x' as never }, 'ERR_INVALID_ARG_TYPE'],
      [3 as never, 'ERR_INVALID_ARG_TYPE'],
    ];
    for (const [bad, code] of refused) await expect(runPiece(bad)).rejects.toMatchObject({ code });
    for (const options of [{ threads: 0 }, { signal: 1 as never }, { onProgress: 1 as never }])
      await expect(runPiece(piece, options)).rejects.toThrow(/"(threads|signal|onProgress)"/);
    expect(await readdir(root)).toEqual([]);
    expect(log).toEqual([]);
  });
});

describe('a folder of another plan', () => {
  it('is refused in words that say what differs', async () => {
    await runPieces((await planned(10, 'a')).pieces.slice(0, 1));
    const other = await planned(10, 'b');
    for (const attempt of [runPiece(other.pieces[0]), runPieces(other.pieces), runAll(other)]) {
      const error = (await attempt.catch((e: unknown) => e)) as PieceError;
      expect(error).toBeInstanceOf(PieceError);
      expect(error.code).toBe('ERR_PIECE_OTHER_PLAN');
      expect(error.message).toContain(`${folder}: `);
      expect(error.message).toContain('salt: "a" there, "b" here');
      expect(error.message).not.toContain('count');
      expect(error.message).toContain('restart: true');
    }
    expect((await planned(10, 'a')).pieces[0].path).toBe(join(folder, (await readdir(folder)).sort()[0]));
  });

  it('is emptied of pieces and of nothing else with restart', async () => {
    await runPieces((await planned(10, 'a')).pieces.slice(0, 2));
    await writeFile(join(folder, 'mine.txt'), '');
    expect(await runAll(await planned(10, 'b'), { restart: true })).toEqual({
      ran: 4,
      skipped: 0,
      result: { total: 10 },
    });
    expect(await readdir(folder)).toEqual(['mine.txt']);
  });

  it('that has no pieces yet is taken over', async () => {
    hooks.run = () => {
      throw new Error('at once');
    };
    await expect(runPiece((await planned(10, 'a')).pieces[0])).rejects.toThrow('at once');
    delete hooks.run;
    expect((await runAll(await planned(10, 'b'))).ran).toBe(4);
  });

  it('with a note that is none is not touched', async () => {
    await mkdir(folder);
    await writeFile(join(folder, 'plan.json'), 'not a plan');
    await expect(runAll(await planned())).rejects.toMatchObject({ code: 'ERR_PIECE_OTHER_PLAN' });
    expect(await readFile(join(folder, 'plan.json'), 'utf8')).toBe('not a plan');
  });
});

describe('runAll', () => {
  it('runs, gathers, and clears up', async () => {
    const seen: number[] = [];
    const done = await runAll(await planned(), { onProgress: (share) => seen.push(share) });
    expect(done).toEqual({ ran: 4, skipped: 0, result: { total: 10 } });
    expect(await readFile(out, 'utf8')).toBe(SQUARES);
    expect(await readdir(root)).toEqual(['out.txt']);
    expect(seen).toEqual([...seen].sort((a, b) => a - b));
    expect(seen[seen.length - 1]).toBe(1);
  });

  it('goes on from the pieces that are finished', async () => {
    const p = await planned();
    hooks.run = (index) => {
      if (index === 2) throw new Error('power cut');
    };
    await expect(runAll(p)).rejects.toThrow('power cut');
    expect(await readdir(root)).toEqual(['out.pieces']);
    delete hooks.run;
    log.length = 0;
    expect(await runAll(await planned(), { keep: true })).toEqual({
      ran: 2,
      skipped: 2,
      result: { total: 10 },
    });
    expect(log).toEqual(['run 2', 'run 3']);
    expect(await readFile(out, 'utf8')).toBe(SQUARES);
    // Kept: everything is there for another gathering.
    expect((await runAll(p)).skipped).toBe(4);
    expect(await readdir(root)).toEqual(['out.txt']);
  });

  it('leaves nothing behind where it fails before the first piece', async () => {
    hooks.run = () => {
      throw new Error('at once');
    };
    await expect(runAll(await planned())).rejects.toThrow('at once');
    expect(await readdir(root)).toEqual([]);
  });

  it('stops between pieces on a signal, and keeps them', async () => {
    const controller = new AbortController();
    const reason = new Error('enough');
    const onProgress = (done: number): void => {
      if (done > 0.5) controller.abort(reason);
    };
    await expect(runAll(await planned(), { signal: controller.signal, onProgress })).rejects.toBe(reason);
    expect(log.length).toBeLessThan(4);
    expect((await readdir(folder)).filter((name) => name.endsWith('.piece')).length).toBeGreaterThan(0);
    expect(await readdir(folder)).not.toContainEqual(expect.stringMatching(/\.tmp$/));
  });

  it('refuses wrong arguments before it writes', async () => {
    const p = await planned();
    await expect(runAll(p, { restart: 1 as never })).rejects.toThrow(/"restart"/);
    await expect(runAll(p, { keep: 1 as never })).rejects.toThrow(/"keep"/);
    await expect(runAll({ ...p, folder: 1 as never })).rejects.toThrow(/"plan.folder"/);
    await expect(runAll({ ...p, pieces: 1 as never })).rejects.toThrow(/"pieces"/);
    expect(await readdir(root)).toEqual([]);
  });
});

describe('workers', () => {
  it('take shares that cover everything once', async () => {
    const { pieces } = await planned(20);
    for (const n of [1, 2, 3, 7, 9]) {
      const shares = Array.from({ length: n }, (_, i) => selectPieces(pieces, `${i + 1}/${n}`));
      expect(shares.flat().sort((a, b) => a.index - b.index)).toEqual(pieces);
      expect(
        Math.max(...shares.map((s) => s.length)) - Math.min(...shares.map((s) => s.length)),
      ).toBeLessThanOrEqual(1);
    }
    for (const bad of ['0/2', '3/2', '1', '1/0', 'a/b', '1/2/3', '-1/2', ''])
      expect(() => selectPieces(pieces, bad)).toThrow(/"share" must be 'i\/n'/);
  });

  it('run their shares in any order; whoever comes last gathers from the folder alone', async () => {
    const { pieces } = await planned(20);
    await runPieces(selectPieces(copy(pieces), '3/3'));
    await runPieces(selectPieces(copy(pieces), '1/3'));
    const incomplete = (await readPlan(folder)).pieces;
    await expect(gather(incomplete)).rejects.toMatchObject({
      code: 'ERR_PIECE_MISSING',
      message: expect.stringMatching(/expected 7 finished pieces, received none for 2 of them \(2, 5\)/),
    });
    await runPieces(selectPieces(copy(pieces), '2/3'));
    expect(await gather((await readPlan(folder)).pieces)).toEqual({ total: 20 });
    expect(await readdir(root)).toEqual(['out.txt']);
  });
});

describe('gather', () => {
  it('takes pieces in any order and twice', async () => {
    const { pieces } = await planned();
    await runPieces(pieces);
    await gather([...pieces].reverse().concat(pieces[0]), { keep: true });
    expect(await readFile(out, 'utf8')).toBe(SQUARES);
    await discard(pieces);
    expect(await readdir(root)).toEqual(['out.txt']);
  });

  it('refuses incomplete and mixed sets, and corrupt pieces', async () => {
    const { pieces } = await planned();
    await runPieces(pieces);
    await expect(gather(pieces.slice(1))).rejects.toMatchObject({
      code: 'ERR_PIECE_SET',
      message: expect.stringContaining('(1)'),
    });
    const other = await planned(10, 'x');
    await expect(gather([...pieces.slice(1), other.pieces[0]])).rejects.toMatchObject({
      code: 'ERR_PIECE_SET',
    });
    await expect(gather([])).rejects.toMatchObject({ code: 'ERR_OUT_OF_RANGE' });
    await expect(gather('x' as never)).rejects.toMatchObject({ code: 'ERR_INVALID_ARG_TYPE' });
    await expect(gather(pieces, { keep: 1 as never })).rejects.toThrow(/"keep"/);

    const bytes = await readFile(pieces[2].path);
    bytes[0] ^= 1;
    await writeFile(pieces[2].path, bytes);
    const error = (await gather(pieces).catch((e: unknown) => e)) as PieceError;
    expect(error.code).toBe('ERR_PIECE_CORRUPT');
    expect(error.message).toContain(pieces[2].path);
    expect(await readdir(root)).toEqual(['out.pieces']);
  });

  it('does not take the piece of another plan for its own', async () => {
    const [a, b] = [await planned(), await planned(10, 'b')];
    await runPieces(a.pieces);
    await writeFile(b.pieces[0].path, await readFile(a.pieces[0].path));
    expect(await pieceState(b.pieces[0])).toBe('corrupt');
  });
});

describe('readPlan', () => {
  it('refuses a folder without a plan and one of another version', async () => {
    await expect(readPlan(root)).rejects.toMatchObject({ code: 'ERR_PIECE_MISSING' });
    await expect(readPlan(1 as never)).rejects.toMatchObject({ code: 'ERR_INVALID_ARG_TYPE' });
    await runPieces((await planned()).pieces.slice(0, 1));
    const note = join(folder, 'plan.json');
    await writeFile(
      note,
      (await readFile(note, 'utf8')).replace(`"version": "${packageVersion}"`, '"version": "0.0.1"'),
    );
    await expect(readPlan(folder)).rejects.toMatchObject({ code: 'ERR_PIECE_VERSION' });
  });
});
