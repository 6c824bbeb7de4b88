import { logSumExp, logSumExpAsync, memory, softmax, softmaxAsync } from '../../lib/index.js';

import { expectSameBits } from '../helpers/compare.js';
import { detach, resizable } from '../helpers/errors.js';
import { normalRow, POISON } from '../helpers/rows.js';

const outOfRange = expect.objectContaining({ name: 'RangeError', code: 'ERR_OUT_OF_RANGE' }) as Error;
const wrongType = expect.objectContaining({ name: 'TypeError', code: 'ERR_INVALID_ARG_TYPE' }) as Error;

/** The result of a call that may be refused, and then with the error of a wrong length. */
function resultOrRefusal(call: () => ArrayLike<number>): number[] | 'refused' {
  let result: ArrayLike<number>;
  try {
    result = call();
  } catch (error) {
    expect(error).toEqual(outOfRange);
    return 'refused';
  }
  return Array.from(result);
}

describe('detached arrays', () => {
  it('are refused, also where an empty array would be taken', async () => {
    const gone = detach(new Float32Array(8));
    expect(gone).toHaveLength(0);
    expect(() => softmax(gone)).toThrow(outOfRange);
    expect(() => logSumExp(gone)).toThrow(outOfRange);
    await expect(softmaxAsync(gone)).rejects.toEqual(outOfRange);
    expect(() => softmax(new Float32Array(0))).not.toThrow();
  });

  it('as outputs are refused', async () => {
    const out = detach(new Float32Array(8));
    expect(() => softmax(new Float32Array(8), { out })).toThrow(outOfRange);
    await expect(softmaxAsync(new Float32Array(8), { out })).rejects.toEqual(outOfRange);
  });

  it('do not harm a call that has ended', async () => {
    const x = normalRow(1000, 3, 1);
    const p = await softmaxAsync(x);
    const expected = p.slice();
    detach(x);
    expectSameBits(p, expected);
  });
});

describe('resizable buffers', () => {
  it('are refused in both forms', async () => {
    const x = new Float32Array(resizable(64));
    expect(() => softmax(x)).toThrow(outOfRange);
    await expect(softmaxAsync(x)).rejects.toEqual(outOfRange);
    const out = new Float32Array(resizable(64), 0, 16);
    await expect(softmaxAsync(new Float32Array(16), { out })).rejects.toEqual(outOfRange);
  });

  it('that have shrunk below a view are refused', () => {
    const buffer = resizable(64);
    const view = new Float32Array(buffer, 32, 8);
    buffer.resize(16);
    expect(() => softmax(view)).toThrow(outOfRange);
  });
});

describe('shared memory', () => {
  it('serves as input and output of both forms', async () => {
    const x = new Float32Array(new SharedArrayBuffer(4 * 5003), 0, 5003);
    x.set(normalRow(5003, 3, 1));
    const out = new Float32Array(new SharedArrayBuffer(4 * 5007), 16, 5003);
    const expected = softmax(x.slice());
    softmax(x, { out });
    expectSameBits(out, expected, 'blocking');
    out.fill(POISON);
    await softmaxAsync(x, { out, threads: 2 });
    expectSameBits(out, expected, 'promise');
  });

  it('overlap is found across views of one shared buffer', () => {
    const shared = new SharedArrayBuffer(400);
    const x = new Float32Array(shared, 0, 50);
    expect(() => softmax(x, { out: new Float32Array(shared, 40, 50) })).toThrow(outOfRange);
    expect(() => softmax(x, { out: new Float32Array(shared, 200, 50) })).not.toThrow();
  });

  it('that can grow is refused or read at its length', () => {
    const Growable = SharedArrayBuffer as unknown as new (
      n: number,
      o: { maxByteLength: number },
    ) => SharedArrayBuffer;
    const x = new Float32Array(new Growable(64, { maxByteLength: 128 }));
    expect(['refused', Array(16).fill(1 / 16)]).toContainEqual(resultOrRefusal(() => softmax(x)));
  });
});

describe('views', () => {
  it('at either end of a buffer and next to each other are fine', async () => {
    const buffer = new Float32Array(3000);
    const x = buffer.subarray(1000, 2000);
    x.set(normalRow(1000, 3, 1));
    const expected = softmax(x.slice());
    expectSameBits(softmax(x, { out: buffer.subarray(0, 1000) }), expected, 'before');
    expectSameBits(await softmaxAsync(x, { out: buffer.subarray(2000) }), expected, 'behind');
  });

  it('that share part of their memory are refused before anything is written', async () => {
    const buffer = new Float32Array(100).fill(POISON);
    const poisoned = buffer.slice();
    const x = buffer.subarray(10, 60);
    for (const start of [0, 9, 11, 30, 50]) {
      const out = buffer.subarray(start, start + 50);
      expect(() => softmax(x, { out })).toThrow(outOfRange);
      await expect(softmaxAsync(x, { out })).rejects.toEqual(outOfRange);
    }
    expectSameBits(buffer, poisoned);
  });

  it('subclasses of typed arrays are what they extend', () => {
    class Logits extends Float32Array {}
    const x = new Logits(normalRow(100, 3, 1));
    expectSameBits(softmax(x), softmax(Float32Array.from(x)));
  });

  it('a Buffer of Node, which shares its memory with others, works through a view', () => {
    const pooled = Buffer.allocUnsafe(64);
    const offset = (8 - (pooled.byteOffset % 8)) % 8;
    const x = new Float32Array(pooled.buffer, pooled.byteOffset + offset, 8).fill(1);
    expect(Array.from(softmax(x))).toEqual(Array(8).fill(0.125));
  });

  it('other things with numbers in them are refused', async () => {
    for (const value of [
      [1, 2],
      new DataView(new ArrayBuffer(8)),
      new ArrayBuffer(8),
      Buffer.alloc(8),
      'ab',
      new Set([1]),
    ]) {
      const x = value as unknown as Float32Array;
      expect(() => softmax(x)).toThrow(wrongType);
      await expect(softmaxAsync(x)).rejects.toEqual(wrongType);
    }
  });

  it('getters that lie about an array do not mislead the native part', () => {
    const x = new Float32Array(4);
    Object.defineProperty(x, 'length', { value: 1_000_000 });
    expect(['refused', Array(4).fill(0.25)]).toContainEqual(resultOrRefusal(() => softmax(x)));
  });
});

it('inputs of a pending promise may be read meanwhile', async () => {
  const x = normalRow(2 ** 20, 3, 1);
  const copy = x.slice();
  const pending = [softmaxAsync(x), logSumExpAsync(x)] as const;
  expectSameBits(x, copy);
  const [p, lse] = await Promise.all(pending);
  expectSameBits(p, softmax(x));
  expectSameBits(lse, logSumExp(x));
  expect(memory().pendingCalls).toBe(0);
});
