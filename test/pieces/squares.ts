import { writeFile } from 'node:fs/promises';
import { registerKind, type PieceKind, type PieceWork } from '../../lib/pieces/index.js';

/** Squares of the numbers below `count`, three to a piece. */
export type SquaresJob = { readonly count: number; readonly salt?: string };
type Part = { readonly from: number; readonly to: number };
type Inputs = { readonly out: string };

/** What happened, in order; tests may put a hook in. */
export const log: string[] = [];
export const hooks: { run?: (index: number, work: PieceWork) => Promise<void> | void } = {};

export const squares: PieceKind<SquaresJob, Part, Inputs, { total: number }> = {
  name: 'squares',
  split: ({ count }) =>
    Array.from({ length: Math.ceil(count / 3) }, (_, i) => ({ from: 3 * i, to: Math.min(3 * i + 3, count) })),
  run: async ({ index, part }, work) => {
    log.push(`run ${index}`);
    await hooks.run?.(index, work);
    for (let i = part.from; i < part.to; i++) {
      await work.write(Buffer.from(`${i * i}\n`));
      work.progress((i + 1 - part.from) / (part.to - part.from));
    }
  },
  gather: async (pieces, { read, progress }) => {
    let text = '';
    for (const [i, piece] of pieces.entries()) {
      text += Buffer.from(await read(piece)).toString();
      progress((i + 1) / pieces.length);
    }
    await writeFile(pieces[0].inputs.out, text);
    return { total: text.trim().split('\n').length };
  },
};

registerKind(squares);
