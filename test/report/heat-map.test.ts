import { inflateSync } from 'node:zlib';
import { heatMap, heatMaximum, heatScale } from '../../lib/report/heat-map.js';

/** The pixels of a picture, from the top, as [r, g, b]. */
function pixelsOf(url: string): number[][][] {
  const png = Buffer.from(url.replace('data:image/png;base64,', ''), 'base64');
  const [width, height] = [png.readUInt32BE(16), png.readUInt32BE(20)];
  const begin = png.indexOf('IDAT') + 4;
  const raw = inflateSync(png.subarray(begin, begin + png.readUInt32BE(begin - 8)));
  return Array.from({ length: height }, (_row, y) =>
    Array.from({ length: width }, (_pixel, x) => {
      const at = y * (1 + 3 * width) + 1 + 3 * x;
      return [...raw.subarray(at, at + 3)];
    }),
  );
}

const rgb = (hex: string): number[] => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));

describe('heatMap', () => {
  it('has row 0 at the bottom, the colours of its scale, and grey for Infinity', () => {
    const heat = { data: Float64Array.of(0, 16, Infinity, 4, 9, 1), rows: 2, cols: 3 };
    const max = heatMaximum(heat);
    expect(max).toBe(16);
    const { domain, range } = heatScale(max);
    const colour = (value: number): number[] => rgb(range[domain.indexOf(value)]);
    expect(pixelsOf(heatMap(heat, max))).toEqual([
      [colour(4), colour(9), colour(1)],
      [colour(0), colour(16), [0xdd, 0xdd, 0xdd]],
    ]);
  });

  it('shows large matrices in 512 pixels a side', () => {
    const [rows, cols] = [3, 5120];
    const data = Float64Array.from({ length: rows * cols }, (_, at) => Math.floor((at % cols) / 10));
    const pixels = pixelsOf(heatMap({ data, rows, cols }, 511));
    expect(pixels).toHaveLength(3);
    expect(pixels[0]).toHaveLength(512);
    expect(pixels[2][0]).toEqual(rgb(heatScale(1).range[0]));
    expect(pixels[2][511]).toEqual(rgb(heatScale(1).range[8]));
  });

  it('is drawn also where nothing has a cost', () => {
    const heat = { data: new Float64Array(4), rows: 2, cols: 2 };
    expect(pixelsOf(heatMap(heat, heatMaximum(heat)))[0][0]).toEqual(rgb(heatScale(1).range[0]));
  });
});
