import { DISTRIBUTIONS, Pool } from '../../../benchmarks/softmax/inputs.js';

describe('Pool', () => {
  it('hands out the beginning of one draw, without copies', () => {
    const pool = new Pool();
    const small = pool.input('f32', 100, 'uniform-10', 1000);
    const large = pool.input('f32', 1000, 'uniform-10');
    expect(small.buffer).toBe(large.buffer);
    expect([...small]).toEqual([...large.subarray(0, 100)]);
    expect(Math.min(...large)).toBeGreaterThanOrEqual(-10);
    expect(Math.max(...large)).toBeLessThan(10);
    expect(Math.max(...large) - Math.min(...large)).toBeGreaterThan(19);
  });

  it('draws again when the distribution changes or a larger case comes', () => {
    const pool = new Pool();
    const first = [...pool.input('f32', 100, 'uniform-10')];
    expect(Math.max(...pool.input('f32', 100, 'uniform-1000'))).toBeGreaterThan(500);
    expect([...pool.input('f32', 100, 'uniform-10')]).toEqual(first);
    expect([...pool.input('f32', 200, 'uniform-10').subarray(0, 100)]).toEqual(first);
  });

  it('widens and rounds the same logits', () => {
    const pool = new Pool();
    const logits = [...pool.input('f32', 50, 'normal-4')];
    expect([...pool.input('f64', 50, 'normal-4')]).toEqual(logits);
    const bf16 = pool.input('bf16', 50, 'normal-4');
    const widened = new Float32Array(Uint32Array.from(bf16, (bits) => bits << 16).buffer);
    logits.forEach((value, i) =>
      expect(Math.abs(widened[i] - value)).toBeLessThanOrEqual(Math.abs(value) * 2 ** -8),
    );
  });

  it('gives as many outputs as asked, none sharing memory', () => {
    const [first, second] = new Pool().outputs('f32', 10, 2);
    first.fill(1);
    second.fill(2);
    expect([...first]).toEqual(new Array<number>(10).fill(1));
  });
});

describe('DISTRIBUTIONS', () => {
  it('has a standard deviation of 4 for normal-4', () => {
    const values = DISTRIBUTIONS['normal-4'](new Float32Array(100_000));
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
    const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length;
    expect(Math.abs(mean)).toBeLessThan(0.1);
    expect(Math.sqrt(variance)).toBeCloseTo(4, 1);
  });
});
