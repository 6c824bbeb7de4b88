import { boundingMatrix } from '../../lib/elastic/index.js';
import { distanceFixtures } from '../helpers/elastic-fixtures.js';
import { expectThrown } from '../helpers/refused.js';
import { maskFor } from '../reference/elastic/bands.js';

it('parallelograms are those of the fixtures', () => {
  for (const { n, m, slope, mask } of distanceFixtures().itakura_masks) {
    expect(Array.from(boundingMatrix(n, m, { itakuraMaxSlope: slope }))).toEqual(mask.flat());
  }
});

it('bands of every kind are those of the reference, for all short lengths', () => {
  const lengths = [1, 2, 3, 4, 5, 6, 7, 9, 12, 17, 30, 41];
  for (const n of lengths) {
    for (const m of lengths) {
      const bands = [
        {},
        ...[0, 1 / 3, 0.1, 0.29, 0.5, 0.7, 0.999, 1].map((window) => ({ window })),
        ...[0, 1, 2, 5, n, m, 1000].map((windowAbs) => ({ windowAbs })),
        ...[0.1, 0.25, 0.34, 0.5, 0.77, 1].map((itakuraMaxSlope) => ({ itakuraMaxSlope })),
        { window: 0.1, itakuraMaxSlope: 0.9 },
      ];
      for (const band of bands) {
        const slope = 'itakuraMaxSlope' in band ? band.itakuraMaxSlope : undefined;
        const isSteep = slope !== undefined && Math.floor(slope * (Math.min(n, m) / 100) * 100) > 0;
        const label = `${JSON.stringify(band)} ${n} x ${m}`;
        // Of few points there is no parallelogram, whichever side is short.
        if (slope !== undefined && !(Math.min(n, m) >= 3 && isSteep)) {
          expectThrown(() => boundingMatrix(n, m, band), 'range', 'itakuraMaxSlope');
          continue;
        }
        const actual = Array.from(boundingMatrix(n, m, band)).join('');
        const expected = maskFor(n, m, band).flat().map(Number).join('');
        expect([label, actual]).toEqual([label, expected]);
      }
    }
  }
});

it('refuses what is no size', () => {
  expectThrown(() => boundingMatrix(0, 3), 'range', 'n');
  expectThrown(() => boundingMatrix(3, 1.5), 'range', 'm');
  expectThrown(() => boundingMatrix('3' as unknown as number, 3), 'type', 'n');
  expectThrown(() => boundingMatrix(2 ** 20, 2 ** 20), 'range', 'n');
});
