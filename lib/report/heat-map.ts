/** A matrix as a picture: PNG in a data URL, which an image mark of vega-lite takes. */
import { crc32, deflateSync } from 'node:zlib';

/** The colours of viridis (Smith and van der Walt 2015) at equal steps: from dark to light also without colour. */
const VIRIDIS = [
  '#440154',
  '#472d7b',
  '#3b528b',
  '#2c728e',
  '#21918c',
  '#28ae80',
  '#5ec962',
  '#addc30',
  '#fde725',
] as const;
const STOPS = VIRIDIS.map((hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16)));
/** Cells that have no value. */
const NOTHING = [0xdd, 0xdd, 0xdd];
/** Most pixels of a side; of larger matrices some cells are shown and some are not. */
const MOST_PIXELS = 512;

/** A matrix to be drawn. */
export interface Heat {
  /** rows x cols, row-major; values >= 0, Infinity for cells without one. */
  data: Float64Array;
  rows: number;
  cols: number;
}

/** The largest finite value of a matrix, at least the smallest positive number. */
export function heatMaximum({ data }: Heat): number {
  let max = Number.MIN_VALUE;
  for (const value of data) if (value > max && value < Infinity) max = value;
  return max;
}

/**
 * The colour scale that the picture is made by, for its legend: the square root of the value from 0 to the maximum, as small
 * values are what one looks for in a matrix of costs.
 */
export function heatScale(max: number): { type: 'sqrt'; domain: number[]; range: string[] } {
  const last = VIRIDIS.length - 1;
  return { type: 'sqrt', domain: VIRIDIS.map((_, k) => max * (k / last) ** 2), range: [...VIRIDIS] };
}

/** The matrix as a data URL of a PNG picture, row 0 at the bottom, at most 512 pixels a side. */
export function heatMap(heat: Heat, max: number): string {
  const { data, rows, cols } = heat;
  const [width, height] = [Math.min(cols, MOST_PIXELS), Math.min(rows, MOST_PIXELS)];
  // Each line of pixels is preceded by its filter: none.
  const pixels = Buffer.alloc(height * (1 + 3 * width));
  for (let y = 0; y < height; y++) {
    const row = Math.floor(((height - 1 - y + 0.5) * rows) / height);
    for (let x = 0; x < width; x++) {
      const value = data[row * cols + Math.floor(((x + 0.5) * cols) / width)];
      pixels.set(colourOf(value, max), y * (1 + 3 * width) + 1 + 3 * x);
    }
  }
  return `data:image/png;base64,${encodePng(width, height, pixels).toString('base64')}`;
}

function colourOf(value: number, max: number): number[] {
  if (value === Infinity) return NOTHING;
  const at = Math.sqrt(Math.min(Math.max(value / max, 0), 1)) * (STOPS.length - 1);
  const low = Math.min(Math.floor(at), STOPS.length - 2);
  return STOPS[low].map((from, c) => Math.round(from + (STOPS[low + 1][c] - from) * (at - low)));
}

/** A PNG file of 8-bit RGB pixels (ISO/IEC 15948). */
function encodePng(width: number, height: number, pixels: Buffer): Buffer {
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([8, 2], 8); // bits of a sample; RGB
  const signature = Buffer.from('89504e470d0a1a0a', 'hex');
  return Buffer.concat([
    signature,
    chunk('IHDR', header),
    chunk('IDAT', deflateSync(pixels)),
    chunk('IEND', Buffer.alloc(0)),
  ]);
}

function chunk(type: string, data: Buffer): Buffer {
  const out = Buffer.alloc(12 + data.length);
  out.writeUInt32BE(data.length, 0);
  out.write(type, 4, 'latin1');
  out.set(data, 8);
  out.writeUInt32BE(crc32(out.subarray(4, 8 + data.length)), 8 + data.length);
  return out;
}
