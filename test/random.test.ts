import fc from 'fast-check';
import { Philox, philox4x32 } from '../lib/random.js';

/** philox4x32-10 as its definition reads, in big integers. */
function referenceBlock(counter: bigint[], key: bigint[]): bigint[] {
  const mask = 0xffffffffn;
  let [c0, c1, c2, c3] = counter;
  let [k0, k1] = key;
  for (let round = 0; round < 10; round++) {
    const p0 = 0xd2511f53n * c0;
    const p1 = 0xcd9e8d57n * c2;
    [c0, c1, c2, c3] = [(p1 >> 32n) ^ c1 ^ k0, p1 & mask, (p0 >> 32n) ^ c3 ^ k1, p0 & mask];
    k0 = (k0 + 0x9e3779b9n) & mask;
    k1 = (k1 + 0xbb67ae85n) & mask;
  }
  return [c0, c1, c2, c3];
}

/** Word at `position` of (seed, stream), from the documented mapping. */
function referenceWord(seed: number, stream: number, position: number): number {
  const halves = (value: number): bigint[] => [BigInt(value) & 0xffffffffn, BigInt(value) >> 32n];
  const block = halves(Math.floor(position / 4));
  return Number(referenceBlock([...block, ...halves(stream)], halves(seed))[position % 4]);
}

const hex = (words: Uint32Array): string =>
  Array.from(words, (w) => w.toString(16).padStart(8, '0')).join(' ');
const safe = fc.oneof(fc.maxSafeNat(), fc.nat(3), fc.constantFrom(2 ** 32 - 1, 2 ** 32, 2 ** 53 - 1));

describe('philox4x32', () => {
  it.each([
    [[0, 0, 0, 0], [0, 0], '6627e8d5 e169c58d bc57ac4c 9b00dbd8'],
    [
      [0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff],
      [0xffffffff, 0xffffffff],
      '408f276d 41c83b0e a20bc7c6 6d5451fd',
    ],
    [
      [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344],
      [0xa4093822, 0x299f31d0],
      'd16cfe09 94fdcceb 5001e420 24126ea1',
    ],
  ])('gives the known answer of Random123 for counter %j', (c, k, expected) => {
    const out = new Uint32Array(4);
    philox4x32(c[0], c[1], c[2], c[3], k[0], k[1], out);
    expect(hex(out)).toBe(expected);
  });

  it('equals the definition in big integers, and writes only four words from the offset', () => {
    const word = fc.integer({ min: 0, max: 0xffffffff });
    fc.assert(
      fc.property(fc.array(word, { minLength: 6, maxLength: 6 }), fc.nat(4), (w, offset) => {
        const out = new Uint32Array(8).fill(7);
        philox4x32(w[0], w[1], w[2], w[3], w[4], w[5], out, offset);
        const big = w.map(BigInt);
        const expected = new Uint32Array(8).fill(7);
        expected.set(referenceBlock(big.slice(0, 4), big.slice(4)).map(Number), offset);
        expect(out).toEqual(expected);
      }),
      { numRuns: 300 },
    );
  });
});

describe('Philox words', () => {
  it('follow the documented mapping for any seed, stream and position', () => {
    fc.assert(
      fc.property(safe, safe, fc.maxSafeNat(), (seed, stream, position) => {
        fc.pre(position < Number.MAX_SAFE_INTEGER);
        const got = new Philox(seed, stream).seek(position).uint32();
        expect(got).toBe(referenceWord(seed, stream, position));
      }),
    );
  });

  it('are the same however they are drawn', () => {
    const whole = new Philox(5, 9).words(new Uint32Array(3000));
    fc.assert(
      fc.property(fc.nat(2000), fc.array(fc.nat(1100), { maxLength: 5 }), (start, pieces) => {
        const generator = new Philox(5, 9).seek(start);
        let at = start;
        for (const length of pieces) {
          if (at + length + 1 > whole.length) break;
          expect(generator.words(new Uint32Array(length))).toEqual(whole.subarray(at, at + length));
          at += length;
          expect(generator.uint32()).toBe(whole[at++]);
          expect(generator.position).toBe(at);
        }
      }),
    );
  });

  it('go backwards and forwards', () => {
    const generator = new Philox(1);
    const first = [generator.uint32(), generator.uint32()];
    generator.seek(2 ** 40).uint32();
    expect([generator.seek(0).uint32(), generator.uint32()]).toEqual(first);
  });

  it('differ between seeds and between streams', () => {
    const words = (seed: number, stream: number): string =>
      hex(new Philox(seed, stream).words(new Uint32Array(4)));
    const all = [words(0, 0), words(1, 0), words(0, 1), words(2 ** 32, 0), words(0, 2 ** 32)];
    expect(new Set(all).size).toBe(all.length);
  });
});

describe('Philox.uniform', () => {
  it('takes 24 bits of one word for float32 and 53 bits of two for float64', () => {
    const w = new Philox(3, 1).words(new Uint32Array(2000));
    const single = new Philox(3, 1).uniform(new Float32Array(2000));
    const double = new Philox(3, 1).uniform(new Float64Array(1000));
    expect(Array.from(single)).toEqual(Array.from(w, (word) => Math.floor(word / 256) / 2 ** 24));
    for (let i = 0; i < 1000; i++) {
      const wide = (BigInt(w[2 * i] >>> 5) << 26n) | BigInt(w[2 * i + 1] >>> 6);
      expect(double[i]).toBe(Number(wide) / 2 ** 53);
    }
  });

  it('scales to [low, high) and moves the position by the words it took', () => {
    const generator = new Philox(8);
    const values = generator.uniform(new Float64Array(777), -10, 10);
    expect(generator.position).toBe(1554);
    const plain = new Philox(8).uniform(new Float64Array(777));
    expect(values).toEqual(plain.map((u) => -10 + 20 * u));
    expect(Math.min(...values)).toBeGreaterThanOrEqual(-10);
    expect(Math.max(...values)).toBeLessThan(10);
  });

  it('has the mean, variance and cell counts of the uniform distribution', () => {
    const n = 200_000;
    const cells = new Float64Array(64);
    const values = new Philox(2026).uniform(new Float32Array(n));
    let sum = 0;
    for (let i = 0; i < n; i++) {
      sum += values[i];
      cells[(values[i] * 64) | 0]++;
    }
    // Mean within five standard errors; chi-square of 63 degrees of freedom within about six deviations.
    expect(Math.abs(sum / n - 0.5)).toBeLessThan(5 / Math.sqrt(12 * n));
    const chiSquare = cells.reduce((total, c) => total + (c - n / 64) ** 2 / (n / 64), 0);
    expect(chiSquare).toBeGreaterThan(10);
    expect(chiSquare).toBeLessThan(130);
  });
});

describe('Philox.normal', () => {
  it('equals Box-Muller with the engine own functions to a few units of the last place', () => {
    const n = 20_000;
    const u = new Philox(11, 4).uniform(new Float64Array(2 * n));
    const values = new Philox(11, 4).normal(new Float64Array(2 * n));
    const { abs, cos, log, max, PI, sin, sqrt } = Math;
    let worst = 0;
    for (let i = 0; i < n; i++) {
      const radius = sqrt(-2 * log(u[2 * i] + 2 ** -53));
      const angle = 2 * PI * u[2 * i + 1];
      worst = max(
        worst,
        abs(values[2 * i] - radius * cos(angle)),
        abs(values[2 * i + 1] - radius * sin(angle)),
      );
    }
    // 2 pi b is rounded before the cosine here, hence an absolute error of about an angle's last place.
    expect(worst).toBeLessThan(1e-14);
  });

  it('makes float32 pairs of two words each', () => {
    const w = new Philox(12).words(new Uint32Array(600));
    const values = new Philox(12).normal(new Float32Array(600));
    for (let i = 0; i < 300; i++) {
      const radius = Math.sqrt(-2 * Math.log((w[2 * i] + 1) / 2 ** 32));
      const angle = (2 * Math.PI * w[2 * i + 1]) / 2 ** 32;
      expect(Math.abs(values[2 * i] - radius * Math.cos(angle))).toBeLessThan(1e-6);
      expect(Math.abs(values[2 * i + 1] - radius * Math.sin(angle))).toBeLessThan(1e-6);
    }
  });

  it('is the same in pieces of even length, and an odd length drops the second of its last pair', () => {
    const whole = new Philox(4).normal(new Float64Array(2000));
    const generator = new Philox(4);
    const pieces = [6, 700, 0, 1000, 193].map((n) => generator.normal(new Float64Array(n)));
    expect(pieces.flatMap((p) => Array.from(p))).toEqual(Array.from(whole.subarray(0, 1899)));
    expect(generator.position).toBe(1900 * 2);
  });

  it('has the moments of the normal distribution and no correlation inside a pair', () => {
    const n = 200_000;
    const values = new Philox(77).normal(new Float32Array(n));
    const sums = [0, 0, 0, 0, 0];
    let cross = 0;
    for (let i = 0; i < n; i++) {
      for (let k = 1, power = values[i]; k <= 4; k++, power *= values[i]) sums[k] += power;
      if (i % 2 === 1) cross += values[i - 1] * values[i];
    }
    const moment = (k: number): number => sums[k] / n;
    // Five standard errors each: var of z, z^2, z^3, z^4 is 1, 2, 15, 96.
    expect(Math.abs(moment(1))).toBeLessThan(5 * Math.sqrt(1 / n));
    expect(Math.abs(moment(2) - 1)).toBeLessThan(5 * Math.sqrt(2 / n));
    expect(Math.abs(moment(3))).toBeLessThan(5 * Math.sqrt(15 / n));
    expect(Math.abs(moment(4) - 3)).toBeLessThan(5 * Math.sqrt(96 / n));
    expect(Math.abs(cross / (n / 2))).toBeLessThan(5 * Math.sqrt(2 / n));
  });

  it('keeps its bits from release to release', () => {
    const values = new Philox(42, 7).normal(new Float64Array(4));
    const words = new Uint32Array(values.buffer);
    expect(hex(words)).toBe(GOLDEN);
  });
});

describe('Philox refuses', () => {
  it.each([
    ['seed', () => new Philox(-1), 'ERR_OUT_OF_RANGE'],
    ['seed', () => new Philox(1.5), 'ERR_OUT_OF_RANGE'],
    ['seed', () => new Philox(2 ** 53), 'ERR_OUT_OF_RANGE'],
    ['seed', () => new Philox('1' as unknown as number), 'ERR_INVALID_ARG_TYPE'],
    ['stream', () => new Philox(0, NaN), 'ERR_OUT_OF_RANGE'],
    ['position', () => new Philox(0).seek(-1), 'ERR_OUT_OF_RANGE'],
    ['position', () => new Philox(0).seek(2 ** 53 - 1).uint32(), 'ERR_OUT_OF_RANGE'],
    ['out', () => new Philox(0).uniform([] as unknown as Float32Array), 'ERR_INVALID_ARG_TYPE'],
    ['out', () => new Philox(0).normal(new Int32Array(2) as unknown as Float32Array), 'ERR_INVALID_ARG_TYPE'],
    ['out', () => new Philox(0).words(new Float64Array(2) as unknown as Uint32Array), 'ERR_INVALID_ARG_TYPE'],
    ['low', () => new Philox(0).uniform(new Float32Array(1), NaN), 'ERR_OUT_OF_RANGE'],
    ['high', () => new Philox(0).uniform(new Float32Array(1), 1, 0), 'ERR_OUT_OF_RANGE'],
    ['high', () => new Philox(0).uniform(new Float64Array(1), -1.7e308, 1.7e308), 'ERR_OUT_OF_RANGE'],
  ])('a bad %s', (name, action, code) => {
    expect(action).toThrow(expect.objectContaining({ code, message: expect.stringContaining(`"${name}"`) }));
  });
});

/** float64 bits (low word first) of the first four normal numbers of seed 42, stream 7. */
const GOLDEN = '3b7ead21 bff31186 ff5ce268 3fe3cad9 e69ed066 bfdb7e52 484fb45f bfc677cb';
