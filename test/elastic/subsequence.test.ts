import fc from 'fast-check';

import {
  SubsequenceSearcher,
  type SubsequenceMatches,
  subsequenceSearch,
  subsequenceSearchAsync,
} from '../../lib/elastic/index.js';
import { expectClose, expectNear, expectSameBits } from '../helpers/compare.js';
import { DTYPES, gridSeries, labelOf, normalSeries, typed } from '../helpers/elastic.js';
import { onEveryIsa } from '../helpers/isa.js';
import { memo } from '../helpers/memo.js';
import * as reference from '../reference/elastic/subsequence.js';

/** Bands of a search. */
const BANDS = [{}, { window: 0 }, { window: 0.1 }, { window: 0.3 }, { windowAbs: 1 }, { windowAbs: 100 }];

/** A walk with noise: neighbouring windows are alike, as in real streams. */
const walk = memo((length: number, stream: number) => {
  let at = 0;
  return normalSeries(length, stream).map((step) => Math.fround((at += step / 4)));
});

/** Profiles cost the reference most: one for each query, stream and band, whatever is asked of it. */
const profileOf = memo(
  (kind: 'grid' | 'walk', m: number, length: number, band: number, zNormalize: string) => {
    const make = kind === 'grid' ? gridSeries : walk;
    const [query, stream] = [make(m, 1000 + m), make(length, 2000 + length)];
    const profile = reference.distanceProfile(query, stream, {
      ...BANDS[band],
      zNormalize: zNormalize === 'yes',
    });
    return { query, stream, profile };
  },
);

const SCALED = { k: 4, window: 0.1 };

/** A search among values of another size. */
const scaledMatches = memo((scale: number, zNormalize: string) => {
  const [query, stream] = [walk(24, 20), walk(600, 21)].map((series) => series.map((value) => value * scale));
  const options = { ...SCALED, zNormalize: zNormalize === 'yes' };
  return { query, stream, expected: reference.subsequenceSearch(query, stream, options) };
});

/** Fails unless the matches are these, to the bit or within a tolerance. */
function expectMatches(
  actual: SubsequenceMatches,
  expected: reference.Match[],
  tolerance: number,
  label: string,
): void {
  const positions = expected.map(({ position }) => position);
  expect([label, Array.from(actual.position)]).toEqual([label, positions]);
  const distances = expected.map(({ distance }) => distance);
  expectClose(actual.distance, distances, (_, v) => tolerance * (1 + Math.abs(v)), label);
}

onEveryIsa(() => {
  it.each(DTYPES)('finds what comparing every window shows, %s', (dtype) => {
    for (const kind of ['grid', 'walk'] as const) {
      for (const [m, length] of [
        [1, 1],
        [1, 40],
        [2, 2],
        [3, 30],
        [8, 100],
        [9, 131],
        [16, 16],
        [17, 300],
        [33, 260],
      ]) {
        for (const zNormalize of [false, true]) {
          BANDS.forEach((band, b) => {
            const { query, stream, profile } = profileOf(kind, m, length, b, zNormalize ? 'yes' : 'no');
            const [q, s] = [typed(query, dtype), typed(stream, dtype)];
            for (const k of [1, 2, 5, 1000]) {
              for (const exclusion of [1, Math.ceil(m / 2), m, 2 * m]) {
                // Scaled windows of the grid may be equally far but for rounding, and then either may be first.
                if (zNormalize && (kind === 'grid' || m <= 2) && k > 1) continue;
                const options = { ...band, k, exclusion, zNormalize };
                const expected = reference.nearestWindows(profile, k, exclusion);
                const actual = subsequenceSearch(q, s, options);
                const label = `${labelOf(options)} ${kind} ${m} in ${length}`;
                if (zNormalize && (kind === 'grid' || m <= 2)) {
                  expectNear(actual.distance[0], expected[0].distance, 1e-9, label);
                  expectNear(profile[actual.position[0]], expected[0].distance, 1e-9, label);
                } else {
                  expectMatches(actual, expected, kind === 'grid' ? 0 : 1e-9, label);
                }
              }
            }
          });
        }
      }
    }
  });

  it('of equally good windows takes the earlier, and no two closer than the exclusion', () => {
    const stream = Float64Array.of(5, 0, 0, 0, 5, 0, 0, 0, 0, 5);
    const { position, distance } = subsequenceSearch(Float64Array.of(0, 0), stream, { k: 9 });
    expect([Array.from(position), Array.from(distance)]).toEqual([
      [1, 5, 7, 3],
      [0, 0, 0, 25],
    ]);
    const close = subsequenceSearch(Float64Array.of(0, 0), stream, { k: 5, exclusion: 1 });
    expect(Array.from(close.position)).toEqual([1, 2, 5, 6, 7]);
  });

  it('finds a planted pattern, scaled and shifted and warped', () => {
    const pattern = Float64Array.from({ length: 60 }, (_, i) => Math.sin(i / 6) * Math.exp(-i / 40));
    const stream = walk(5000, 1).slice();
    const warped = (i: number): number => pattern[Math.min(59, Math.round(i + 2 * Math.sin(i / 10)))];
    for (let i = 0; i < 60; i += 1) {
      stream[1234 + i] = 7 + 3 * warped(i);
      stream[4000 + i] = -40 + 0.5 * pattern[i];
    }
    const scaled = subsequenceSearch(pattern, stream, { k: 2, window: 0.1, zNormalize: true });
    expect(Array.from(scaled.position)).toEqual([4000, 1234]);
    expectNear(scaled.distance[0], 0, 1e-6);
    // As they are, neither is near.
    const plain = subsequenceSearch(pattern, stream, { window: 0.1 });
    expect([1234, 4000].some((at) => Math.abs(plain.position[0] - at) < 5)).toBe(false);
  });

  it('windows without variation are scaled to zeros, also beside large values', () => {
    const query = Float64Array.of(1, 2, 4, 2, 1);
    const level = (value: number, count: number): number[] => new Array<number>(count).fill(value);
    for (const value of [0, 0.1, 1e6, -1e-3, 1 / 3]) {
      const stream = Float64Array.from([...level(value, 12), value + 1, value + 5, ...level(value, 12)]);
      for (const k of [1, 3]) {
        const options = { zNormalize: true, k, exclusion: 5 };
        const actual = subsequenceSearch(query, stream, options);
        const profile = reference.distanceProfile(query, stream, options);
        const expected = reference.nearestWindows(profile, k, 5);
        const tolerance = 1e-6;
        expectClose(
          actual.distance,
          expected.map(({ distance }) => distance),
          () => tolerance,
          `level ${value}`,
        );
        actual.position.forEach((at, i) =>
          expectNear(profile[at], actual.distance[i], tolerance, `level ${value}`),
        );
      }
    }
  });

  it('keeps its digits far from 0', () => {
    const [query, wave] = [walk(20, 5), walk(400, 6)];
    for (const offset of [1e3, 1e6, 1e8]) {
      const stream = wave.map((value) => value + offset);
      const options = { zNormalize: true, window: 0.2, k: 3 };
      const expected = reference.subsequenceSearch(query, stream, options);
      const actual = subsequenceSearch(query, stream, options);
      expectMatches(actual, expected, 1e-14 * offset + 1e-10, `offset ${offset}`);
    }
  });

  it('skips nothing that is near at any scale of the values', () => {
    for (const scale of [1e-140, 1e-40, 1e-25, 1e-3, 1e3, 1e18, 1e25, 1e40, 1e140]) {
      for (const zNormalize of [false, true]) {
        const { query, stream, expected } = scaledMatches(scale, zNormalize ? 'yes' : 'no');
        const options = { ...SCALED, zNormalize };
        const actual = subsequenceSearch(query, stream, options);
        const label = `${labelOf(options)} scale ${scale}`;
        expect([label, Array.from(actual.position)]).toEqual([
          label,
          expected.map(({ position }) => position),
        ]);
        actual.distance.forEach((d, i) => expectNear(d / expected[i].distance, 1, 1e-9, label));
      }
    }
  });

  it('gives the root where it is asked to, and the same bits on 1 and 2 threads', () => {
    const [query, stream] = [walk(64, 3), walk(20_000, 4)];
    for (const zNormalize of [false, true]) {
      const options = { k: 7, window: 0.1, zNormalize };
      const one = subsequenceSearch(query, stream, options);
      const two = subsequenceSearch(query, stream, { ...options, threads: 2 });
      expectSameBits(two.position, one.position, 'positions');
      expectSameBits(two.distance, one.distance, 'distances');
      const rooted = subsequenceSearch(query, stream, { ...options, root: true });
      expectSameBits(rooted.distance, one.distance.map(Math.sqrt), 'roots');
      expect(one.position).toHaveLength(7);
    }
  });

  it('a stream in pieces gives the same bits at every moment as the whole so far', () => {
    const stream = walk(700, 8);
    for (const m of [1, 5, 32]) {
      const query = walk(m, 9);
      for (const zNormalize of [false, true]) {
        for (const k of [1, 3]) {
          const options = { k, window: 0.2, zNormalize };
          const searcher = new SubsequenceSearcher(query, options);
          let at = 0;
          let size = 1;
          while (at < stream.length) {
            const piece = stream.subarray(at, at + size);
            searcher.push(size % 2 === 0 ? Float32Array.from(piece) : piece);
            at += piece.length;
            size = (size * 5 + 1) % 97;
            expect(searcher.length).toBe(at);
            const label = `${labelOf(options)} ${m} of ${at}`;
            if (at < m) {
              expect(searcher.matches().position).toHaveLength(0);
              continue;
            }
            const whole = subsequenceSearch(query, stream.subarray(0, at), options);
            const sofar = searcher.matches();
            expect([label, Array.from(sofar.position)]).toEqual([label, Array.from(whole.position)]);
            // Running sums of a scaled window may begin elsewhere.
            expectClose(sofar.distance, whole.distance, (_, v) => (zNormalize ? 1e-10 * (1 + v) : 0), label);
          }
          searcher.push(new Float64Array(0));
          expect(searcher.length).toBe(stream.length);
        }
      }
    }
  });

  it('finds what the reference finds, for any short stream', () => {
    const values = (min: number, max: number): fc.Arbitrary<Float64Array> =>
      fc
        .array(fc.integer({ min: -16, max: 16 }), { minLength: min, maxLength: max })
        .map((list) => Float64Array.from(list, (value) => value / 8));
    fc.assert(
      fc.property(
        values(1, 8),
        values(8, 60),
        fc.record({
          k: fc.integer({ min: 1, max: 6 }),
          exclusion: fc.integer({ min: 1, max: 12 }),
          windowAbs: fc.nat(8),
        }),
        fc.integer({ min: 1, max: 30 }),
        (query, stream, options, cut) => {
          const expected = reference.subsequenceSearch(query, stream, options);
          expectMatches(subsequenceSearch(query, stream, options), expected, 0, 'whole');
          const searcher = new SubsequenceSearcher(query, options);
          for (let at = 0; at < stream.length; at += cut) searcher.push(stream.subarray(at, at + cut));
          expectMatches(searcher.matches(), expected, 0, 'in pieces');
        },
      ),
      { numRuns: 400 },
    );
  });

  it('its promise form gives the same and tells how far it is', async () => {
    const [query, stream] = [walk(50, 10), walk(30_000, 11)];
    const options = { k: 4, window: 0.1, zNormalize: true };
    const seen: number[] = [];
    const expected = subsequenceSearch(query, stream, options);
    const actual = await subsequenceSearchAsync(query, stream, {
      ...options,
      threads: 2,
      onProgress: (done) => seen.push(done),
    });
    expect(actual).toEqual(expected);
    expect(seen.every((done, i) => done >= 0 && done <= 1 && (i === 0 || done >= seen[i - 1]))).toBe(true);
    expect(seen.at(-1)).toBe(1);
  });
});

it('a long search stops when its signal is aborted', async () => {
  const [query, stream] = [walk(400, 12), walk(400_000, 13)];
  const controller = new AbortController();
  const reason = new Error('enough');
  const promise = subsequenceSearchAsync(query, stream, {
    k: 50,
    zNormalize: true,
    signal: controller.signal,
    onProgress: () => controller.abort(reason),
  });
  await expect(promise).rejects.toBe(reason);
  await expect(subsequenceSearchAsync(query, stream, { signal: AbortSignal.abort(reason) })).rejects.toBe(
    reason,
  );
});

it('a push that is refused takes nothing, and the next one goes on', async () => {
  const [query, stream] = [walk(20, 14), walk(500, 15)];
  const searcher = new SubsequenceSearcher(query);
  await expect(searcher.pushAsync(Float64Array.of(1, NaN))).rejects.toMatchObject({
    code: 'ERR_OUT_OF_RANGE',
  });
  await expect(searcher.pushAsync(stream, { signal: 1 as unknown as AbortSignal })).rejects.toThrow(
    '"signal"',
  );
  await expect(searcher.pushAsync(stream, { signal: AbortSignal.abort() })).rejects.toMatchObject({
    name: 'AbortError',
  });
  await searcher.pushAsync(stream);
  expect(searcher.length).toBe(500);
  expect(searcher.matches()).toEqual(subsequenceSearch(query, stream));
});
