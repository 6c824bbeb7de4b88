/** Rearranging elements in memory: Fortran order to C order, and plain transposition. */
import type { NpyData } from './npy-dtype.js';

type Words = Uint8Array | Uint16Array | Uint32Array;

/**
 * Elements as unsigned words. Copying floats through JavaScript numbers may quieten signalling NaNs, words keep every
 * bit; an element of eight bytes is two words of four.
 */
function words(data: NpyData): { words: Words; perElement: number } {
  const { buffer, byteOffset, byteLength, BYTES_PER_ELEMENT: size } = data;
  if (size === 1) return { words: new Uint8Array(buffer, byteOffset, byteLength), perElement: 1 };
  if (size === 2) return { words: new Uint16Array(buffer, byteOffset, byteLength / 2), perElement: 1 };
  return { words: new Uint32Array(buffer, byteOffset, byteLength / 4), perElement: size / 4 };
}

/** Side of the square tiles, in elements: two tiles of eight-byte elements take 32 KiB. */
const TILE = 32;

/** target[t + a * tStep + b] = source[s + a + b * sStep] for 0 <= a < rows, 0 <= b < cols, in tiles. */
function transposeWords(
  source: Words,
  target: Words,
  width: number,
  rows: number,
  cols: number,
  s: number,
  sStep: number,
  t: number,
  tStep: number,
): void {
  for (let a0 = 0; a0 < rows; a0 += TILE) {
    const a1 = Math.min(a0 + TILE, rows);
    for (let b0 = 0; b0 < cols; b0 += TILE) {
      const b1 = Math.min(b0 + TILE, cols);
      for (let a = a0; a < a1; a++) {
        if (width === 1) {
          for (let b = b0; b < b1; b++) target[t + a * tStep + b] = source[s + a + b * sStep];
        } else {
          for (let b = b0; b < b1; b++) {
            const to = 2 * (t + a * tStep + b);
            const from = 2 * (s + a + b * sStep);
            target[to] = source[from];
            target[to + 1] = source[from + 1];
          }
        }
      }
    }
  }
}

/**
 * Transposes a matrix: target[j * rows + i] = source[i * cols + j], both row-major and of one array class.
 *
 * @param source at least rows * cols elements
 * @param target at least rows * cols elements, not overlapping `source`
 */
export function transpose<T extends NpyData>(source: T, target: T, rows: number, cols: number): void {
  const from = words(source);
  const to = words(target);
  transposeWords(from.words, to.words, from.perElement, cols, rows, 0, cols, 0, rows);
}

/**
 * Copies an array stored in Fortran order (first index fastest) into C order (last index fastest).
 *
 * @param source elements in Fortran order
 * @param target receives them in C order; same class and length, not overlapping
 * @param shape lengths of the axes, any number of them
 */
export function fortranToC<T extends NpyData>(source: T, target: T, shape: readonly number[]): void {
  if (source.length === 0) return;
  const axes = shape.filter((n) => n !== 1);
  const from = words(source);
  const to = words(target);
  if (axes.length < 2) {
    to.words.set(from.words);
    return;
  }
  // First and last axis are transposed in tiles; an odometer runs over the axes between them.
  const first = axes[0];
  const last = axes[axes.length - 1];
  const middle = axes.slice(1, -1);
  const sourceSteps = middle.map((_, k) => axes.slice(0, k + 1).reduce((a, b) => a * b, 1));
  const targetSteps = middle.map((_, k) => axes.slice(k + 2).reduce((a, b) => a * b, 1));
  const sourceLastStep = source.length / last;
  const targetFirstStep = source.length / first;
  const at = middle.map(() => 0);
  for (;;) {
    const s = at.reduce((sum, i, k) => sum + i * sourceSteps[k], 0);
    const t = at.reduce((sum, i, k) => sum + i * targetSteps[k], 0);
    transposeWords(from.words, to.words, from.perElement, first, last, s, sourceLastStep, t, targetFirstStep);
    let k = middle.length - 1;
    while (k >= 0 && ++at[k] === middle[k]) at[k--] = 0;
    if (k < 0) return;
  }
}
