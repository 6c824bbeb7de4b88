import { assertSameMachine, compareRows, renderComparison } from '../../../benchmarks/harness/compare.js';
import { sampleResults, sampleRow } from './sample.js';

describe('assertSameMachine', () => {
  it('accepts the same machine, another patch of Node included', () => {
    const before = sampleResults();
    before.machine.node = 'v20.20.2';
    before.ceilings.readGBps = 5;
    expect(() => assertSameMachine(before, sampleResults(), 'old.json')).not.toThrow();
  });

  it.each([
    ['cpu', { cpu: 'Example CPU 2' }, 'cpu was "Example CPU 2" and is "Example CPU 1"'],
    ['cores', { threads: 8 }, 'cores was "8" and is "2"'],
    ['Node major', { node: 'v22.12.0' }, 'Node major version was "22" and is "20"'],
  ])('refuses another %s', (_, change, message) => {
    const before = sampleResults();
    Object.assign(before.machine, change);
    expect(() => assertSameMachine(before, sampleResults(), 'old.json')).toThrow(
      `old.json was measured on another machine, times cannot be compared: ${message}`,
    );
  });

  it('refuses another list of instruction sets, and names every difference', () => {
    const before = sampleResults();
    before.ceilings.fmaGflops = { avx512: 200, avx2: 100, scalar: 7 };
    before.machine.threads = 1;
    expect(() => assertSameMachine(before, sampleResults(), 'old.json')).toThrow(
      /cores was "1" and is "2"; instruction sets was "avx2, avx512, scalar" and is "avx2, scalar"/,
    );
  });
});

describe('compareRows', () => {
  it('pairs the same case whatever the order of its parameters, and nothing else', () => {
    const old = sampleRow('two-pass', 1000);
    old.case = Object.fromEntries(Object.entries(old.case).reverse());
    const rows = [
      sampleRow('two-pass', 500),
      sampleRow('two-pass', 700, { isa: 'avx512' }),
      sampleRow('online', 9),
    ];
    const pairs = compareRows([old], rows);
    expect(pairs).toHaveLength(1);
    expect(pairs[0]).toMatchObject({ ratio: 0.5, exceedsSpread: true });
  });

  it('calls a change noise while it is within the wider spread', () => {
    const [within] = compareRows(
      [sampleRow('auto', 1000, {}, { spread: 0.1 })],
      [sampleRow('auto', 1090, {}, { spread: 0.01 })],
    );
    expect(within.exceedsSpread).toBe(false);
    const [beyond] = compareRows(
      [sampleRow('auto', 1000, {}, { spread: 0.05 })],
      [sampleRow('auto', 1090, {}, { spread: 0.01 })],
    );
    expect(beyond.exceedsSpread).toBe(true);
  });
});

describe('renderComparison', () => {
  it('shows ratio and verdict of each row and counts them', () => {
    const before = [sampleRow('auto', 1000), sampleRow('online', 1000), sampleRow('blocked', 1000)];
    const after = [sampleRow('auto', 800), sampleRow('online', 1300), sampleRow('blocked', 1005)];
    const text = renderComparison('old.json', compareRows(before, after));
    expect(text).toMatch(/^auto .* 1\.00 us +800 ns +0\.800 +faster$/m);
    expect(text).toMatch(/^online .* 1\.300 +slower$/m);
    expect(text).toMatch(/^blocked .* 1\.005 +within the spread$/m);
    expect(text).toMatch(/1 faster, 1 slower, 1 within the spread$/);
  });

  it('says when nothing is in common', () => {
    expect(renderComparison('old.json', [])).toBe('against old.json: no case in common');
  });
});
