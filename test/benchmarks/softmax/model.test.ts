import { workOf, type Form, type WorkCase } from '../../../benchmarks/softmax/model.js';

const MIB = 2 ** 20;
const large: WorkCase = {
  operation: 'softmax',
  form: 'two-pass',
  rows: 1,
  cols: 2 ** 26,
  inBytes: 4,
  outBytes: 4,
  buffers: 2,
  caches: { l2: MIB, l3: 32 * MIB },
};
const perElement = (change: Partial<WorkCase>) => {
  const { bytes, memory, elements } = workOf({ ...large, ...change });
  return {
    words: bytes / elements / 4,
    read: memory && memory.readBytes / elements / 4,
    copied: memory && memory.copyBytes / elements / 4,
  };
};

describe('workOf', () => {
  it.each<[Form, number, number, number]>([
    ['two-pass', 3, 1, 2],
    ['online', 3, 1, 2],
    ['three-pass-recompute', 4, 2, 2],
    ['three-pass-reload', 5, 1, 4],
    ['blocked', 4, 0, 4],
  ])('counts the words of %s: %d', (form, words, read, copied) => {
    expect(perElement({ form })).toEqual({ words, read, copied });
    expect(perElement({ form, cols: 4096 })).toEqual({ words, read: undefined, copied: undefined });
  });

  it('lets rows that fit in cache cross memory once each way, whatever the form', () => {
    for (const form of ['two-pass', 'three-pass-reload', 'blocked'] as const) {
      expect(perElement({ form, rows: 16384, cols: 4096 })).toEqual({ words: 2, read: 0, copied: 2 });
    }
  });

  it('counts one read for sums, two where the maximum comes first', () => {
    for (const operation of ['logSumExp', 'crossEntropy'] as const) {
      expect(perElement({ operation })).toEqual({ words: 1, read: 1, copied: 0 });
      expect(perElement({ operation, form: 'three-pass-recompute' })).toEqual({
        words: 2,
        read: 2,
        copied: 0,
      });
    }
  });

  it('halves with the width of the elements', () => {
    expect(perElement({ inBytes: 2, outBytes: 2 })).toEqual({ words: 1.5, read: 0.5, copied: 1 });
  });

  it('counts two exponentials for the forms that recompute', () => {
    const flops = (form: Form) => workOf({ ...large, form }).flops / 2 ** 26;
    expect(flops('two-pass') / flops('blocked')).toBeGreaterThan(1.8);
    expect(flops('three-pass-recompute') / flops('three-pass-reload')).toBeGreaterThan(1.8);
  });

  it('calls it memory only beyond twice the last-level cache, outputs counted', () => {
    // One input and two outputs of 4 bytes: 12 bytes an element.
    const limit = Math.floor((64 * MIB) / 12);
    expect(workOf({ ...large, cols: limit }).memory).toBeUndefined();
    expect(workOf({ ...large, cols: limit + 1 }).memory).toBeDefined();
    expect(workOf({ ...large, caches: { l2: 0, l3: 0 } }).memory).toBeDefined();
  });
});
