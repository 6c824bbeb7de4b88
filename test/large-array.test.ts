import { largeArray, packWeights, embedAsync, decodeAttentionAsync } from '../lib/index.js';
import { expectThrown } from './helpers/refused.js';
import { runCode, expectCleanEnding } from './helpers/child.js';

describe('largeArray', () => {
  it.each([Float32Array, Float64Array, Uint16Array, Int8Array, Uint8Array] as const)(
    'gives zeros of the length wanted: %p',
    (kind) => {
      for (const length of [0, 1, 1000, 4 * 2 ** 20 + 3]) {
        const array = largeArray(kind, length);
        expect(array).toBeInstanceOf(kind);
        expect(array.length).toBe(length);
        expect(array.every((x) => x === 0)).toBe(true);
      }
    },
  );

  it('starts at a cache line from 4 MiB on, and can be written to its end', () => {
    const array = largeArray(Uint8Array, 5 * 2 ** 20);
    expect(array.byteOffset).toBeLessThan(2 * 2 ** 20);
    array.fill(7);
    expect(array.at(-1)).toBe(7);
    expect(array.byteOffset + array.length).toBeLessThanOrEqual(array.buffer.byteLength);
  });

  it('refuses what JavaScript or the machine has no array for', () => {
    expectThrown(() => largeArray(Float32Array, 2 ** 50), 'range', 'length');
    expectThrown(() => largeArray(Uint8Array, 2 ** 40), 'range', 'length');
    expectThrown(() => largeArray(Float32Array, 1.5), 'range', 'length');
  });

  it('memory comes back while a loop goes on without a turn of the event loop', async () => {
    const ending = await runCode(`
      for (let i = 0; i < 60; i += 1) softlane.largeArray(Float32Array, 2 ** 23).fill(1);
      console.log(Math.round(process.resourceUsage().maxRSS / 1024));
    `);
    expectCleanEnding(ending);
    expect(Number(ending.stdout)).toBeLessThan(1200);
  });
});

describe('index arrays that change while a promise is pending', () => {
  it('are read once', async () => {
    const w = packWeights(new Float32Array(64 * 64).fill(1), { n: 64, k: 64 });
    const tokens = new Int32Array(200_000);
    const embedded = embedAsync(w, tokens);
    tokens.fill(2 ** 30);
    const kept = await embedded.catch((error: unknown) => error as Error);
    const isRefusal = (value: object): value is Error => 'message' in value;
    // The copy is made when the call starts to run: before the change or after it, and then it is refused.
    if (isRefusal(kept)) expect(kept.message).toMatch(/tokens|indices/);
    else expect(kept.every((x) => x === 1)).toBe(true);

    const lengths = Int32Array.of(2000, 2000);
    const options = { batch: 2, queryHeads: 1, kvHeads: 1, headDim: 64, maxLength: 2000, lengths, splits: 2 };
    const cache = new Float32Array(2 * 2000 * 64).fill(1);
    const attended = decodeAttentionAsync(new Float32Array(128), cache, cache, options);
    lengths[1] = 2 ** 30;
    const result = await attended.catch((error: unknown) => error as Error);
    if (isRefusal(result)) expect(result.message).toContain('lengths');
    else expect(result.out.every((x) => Math.abs(x - 1) < 1e-6)).toBe(true);
  });
});
