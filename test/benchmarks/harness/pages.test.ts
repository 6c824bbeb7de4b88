import { largeCopy, largeLike, readsOf } from '../../../benchmarks/harness/pages.js';

describe('largeCopy', () => {
  it.each([
    ['Float32Array', Float32Array],
    ['Uint16Array', Uint16Array],
    ['Int8Array', Int8Array],
  ])('is equal and of its own memory, small or large: %s', (_, kind) => {
    for (const length of [7, 2 ** 22 + 1]) {
      const x = new kind(length);
      for (let i = 0; i < length; i++) x[i] = i % 100;
      const copy = largeCopy(x);
      expect(copy).toBeInstanceOf(kind);
      expect(Buffer.from(copy.buffer, copy.byteOffset, copy.byteLength).equals(Buffer.from(x.buffer))).toBe(
        true,
      );
      x.fill(1);
      expect(copy[6]).toBe(6);
      const zeros = largeLike(x, 5);
      expect(zeros).toBeInstanceOf(kind);
      expect([...zeros]).toEqual([0, 0, 0, 0, 0]);
    }
  });
});

describe('readsOf', () => {
  it('tells arrays of 4 MiB and more from smaller ones, for every time that they are read', () => {
    expect(readsOf([2 ** 22, 2 ** 22 - 1, 100])).toEqual({
      readBytes: 2 ** 22 + 99,
      largeBytes: 2 ** 22,
      copyBytes: 0,
    });
    expect(readsOf([2 ** 23, 5], 3)).toEqual({ readBytes: 15, largeBytes: 3 * 2 ** 23, copyBytes: 0 });
    expect(readsOf([])).toEqual({ readBytes: 0, largeBytes: 0, copyBytes: 0 });
  });
});
