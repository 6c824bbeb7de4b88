/** `softlane bench` as users run it: the built command in a child process. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readResults, writeResults } from '../../benchmarks/harness/results.js';
import { expectOneLine, softlane } from '../cli/run.js';
import { runNode } from './run-module.js';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'softlane-bench-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

describe('softlane bench', () => {
  it('lists the questions when none is named', async () => {
    const { code, stdout } = await softlane(['bench']);
    expect(code).toBe(0);
    expect(stdout).toMatch(
      /^questions:\n( {2}(softmax|elastic|gemm|attention|decode|scan|train) +\S.*\n){7}$/,
    );
  });

  it.each([
    [['nope'], 'unknown question "nope"; there are: softmax, elastic, gemm, attention, decode, scan, train'],
    [['softmax', '--sizes', 'many'], 'size "many" must be a whole number'],
    [['softmax', '--shapes', '3'], 'shape "3" must have the form ROWSxCOLS'],
    [['softmax', '--isa', 'avx9'], 'instruction set "avx9" is unknown or not available here; there are: '],
    [['softmax', '--threads', '0'], '--threads must be whole numbers from 1 to 1024, received "0"'],
    [['softmax', '--filter', '('], '--filter is not a regular expression: '],
    [['softmax', '--distribution', 'flat'], 'unknown distribution "flat"; there are: uniform-10, '],
    [
      ['softmax', '--plot-value', 'Mcells'],
      '--plot-value "Mcells" is none of softmax\'s; there are: ns, GBps',
    ],
    [['elastic', '--distribution', 'uniform-10'], 'the question elastic has no --distribution'],
    [['gemm', '--distribution', 'uniform-10'], 'the question gemm has no --distribution'],
    [['attention', '--shapes', '3x4'], 'the question attention has no --shapes'],
    [['decode', '--shapes', '3x4'], 'the question decode has no --shapes'],
    [['train', '--sizes', '1Ki'], 'the question train has no --sizes'],
    [['scan', '--distribution', 'flat'], 'the question scan has no --distribution'],
    [['softmax', '--against', '/no/such.json'], 'cannot read /no/such.json: ENOENT'],
  ])('answers %j with one line', async (args, message) => {
    const line = expectOneLine(await softlane(['bench', ...args]), 1);
    expect(line).toContain(message);
  });
});

describe('softlane bench softmax', () => {
  const small = ['bench', 'softmax', '--isa', 'all', '--sizes', '1Ki,4Ki', '--budget', '60'];

  it('prints ceilings first, then a table per size, and writes JSON and SVG', async () => {
    const json = join(folder, 'out', 'softmax.json');
    const svg = join(folder, 'out', 'softmax.svg');
    const { code, stdout, stderr } = await softlane([...small, '--json', json, '--plot', svg]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    const ceilings = stdout.indexOf('ceilings of one core: read ');
    expect(ceilings).toBeGreaterThan(0);
    expect(stdout.indexOf('softmax [1, 1 Ki] f32 uniform-10, 1 thread')).toBeGreaterThan(ceilings);

    const { machine, ceilings: measured, rows } = readResults(json);
    expect(machine.node).toBe(process.version);
    expect(measured.readGBps).toBeGreaterThan(0);
    expect(stdout).toMatch(/^ceilings of one core: read [\d.]+ GB\/s \(large pages [\d.]+ GB\/s\), copy /m);
    const contenders = new Set(rows.map((row) => row.contender));
    for (const name of [
      'two-pass',
      'three-pass-recompute',
      'three-pass-reload',
      'online',
      'blocked',
      'auto',
      'javascript',
    ]) {
      expect(contenders).toContain(name);
      expect(stdout).toMatch(new RegExp(`^${name} .* \\d+( |$)`, 'm'));
    }
    const isas = Object.keys(measured.fmaGflops);
    expect(new Set(rows.map((row) => row.case.isa))).toEqual(new Set(isas));
    for (const row of rows) {
      expect(row.samples).toBeGreaterThanOrEqual(15);
      expect(row.medianNs).toBeGreaterThan(0);
      expect(Object.keys(row.case).slice(0, 5)).toEqual(['rows', 'cols', 'dtype', 'isa', 'threads']);
    }
    expect(readFileSync(svg, 'utf8')).toMatch(/^<svg /);
  });

  it('compares with a saved run, and refuses one of another machine before measuring', async () => {
    const json = join(folder, 'first.json');
    const args = [...small, '--filter', '^(two-pass|auto) ', '--budget', '20'];
    expect((await softlane([...args, '--json', json])).code).toBe(0);
    // As files were before large pages were measured.
    const saved = readResults(json);
    expect(saved.ceilings.readLargeGBps).toBeGreaterThan(0);
    delete saved.ceilings.readLargeGBps;
    writeResults(json, saved);
    const again = await softlane([...args, '--against', json]);
    expect({ code: again.code, stderr: again.stderr }).toEqual({ code: 0, stderr: '' });
    expect(again.stdout).toMatch(/\d+ faster, \d+ slower, \d+ within the spread\n$/);

    const other = join(folder, 'other.json');
    const results = readResults(json);
    writeResults(other, { ...results, machine: { ...results.machine, cpu: 'Another CPU' } });
    const line = expectOneLine(await softlane([...args, '--against', other]), 1);
    expect(line).toContain(
      'was measured on another machine, times cannot be compared: cpu was "Another CPU"',
    );
    writeFileSync(other, '{}');
    expect(expectOneLine(await softlane([...args, '--against', other]), 1)).toContain(
      'is not a result of softlane bench: "machine" must be an object, received nothing',
    );
  });

  it('prints and writes what is done when it is interrupted, and exits with 130', async () => {
    const json = join(folder, 'partial.json');
    const args = [
      'bench',
      'softmax',
      '--sizes',
      '1Ki..1Mi',
      '--filter',
      'two-pass|javascript',
      '--json',
      json,
    ];
    const { code, stdout, stderr } = await softlane(args, {
      onStart: (child) => {
        let seen = '';
        const watch = (text: string): void => {
          seen += text;
          if (!/\[1, 2 Ki\]/.test(seen)) return;
          // The second table has been printed: somebody presses Ctrl-C.
          child.stdout!.off('data', watch);
          child.kill('SIGINT');
        };
        child.stdout!.on('data', watch);
      },
    });
    expect(code).toBe(130);
    expect(stderr).toBe('softlane: interrupted; what was done by then is above\n');
    expect(stdout).toMatch(/^softmax \[1, 1 Ki\]/m);
    expect(stdout).toMatch(/^not done: softmax \[1, 1 Mi\]/m);
    const sizes = new Set(readResults(json).rows.map((row) => row.case.cols));
    expect(sizes.has(1024)).toBe(true);
    expect(sizes.has(2 ** 20)).toBe(false);
  });

  it('says so when nothing is measured', async () => {
    const { code, stderr } = await softlane([...small, '--filter', 'no such contender']);
    expect(code).toBe(1);
    expect(stderr).toBe('softlane: nothing was measured: no contender matches, or the budget is too small\n');
  });
});

describe('softlane bench elastic', () => {
  it('prints a table per matrix with cells per second, and writes JSON and SVG', async () => {
    const json = join(folder, 'elastic.json');
    const svg = join(folder, 'elastic.svg');
    const { code, stdout, stderr } = await softlane([
      'bench',
      'elastic',
      ...['--shapes', '5x30', '--isa', 'all', '--filter', 'pairwise dtw', '--json', json, '--plot', svg],
    ]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toMatch(/^pairwise dtw, 5 series of 30, f32, 1 thread\ncontender .* Mcells\/s /m);
    expect(stdout).toMatch(/^million cells per second, pairwise, /m);
    const { rows, ceilings } = readResults(json);
    const contenders = new Set(rows.map((row) => row.contender));
    expect(contenders).toEqual(new Set(['softlane', 'javascript', 'dynamic-time-warping', 'dtw']));
    expect(new Set(rows.map((row) => row.case.isa))).toEqual(new Set(Object.keys(ceilings.fmaGflops)));
    for (const row of rows) {
      expect(row.question).toBe('elastic');
      expect(row.samples).toBeGreaterThanOrEqual(15);
      expect(row.Mcells).toBeCloseTo((10 * 900 * 1e3) / row.medianNs, 6);
      expect(Object.keys(row.case)).toEqual(['metric', 'length', 'count', 'dtype', 'isa', 'threads', 'task']);
    }
    const drawing = readFileSync(svg, 'utf8');
    expect(drawing).toMatch(/^<svg /);
    for (const text of ['DTW', 'length of series', 'million cells per second'])
      expect(drawing).toContain(text);
  });
});

describe('softlane bench gemm', () => {
  it('prints a table per number of rows with shares of the ceiling, and writes JSON and SVG', async () => {
    const json = join(folder, 'gemm.json');
    const svg = join(folder, 'gemm.svg');
    const { code, stdout, stderr } = await softlane([
      ...['bench', 'gemm', '--shapes', '96x64', '--sizes', '1,5', '--isa', 'all'],
      ...['--filter', '^(packed|unpacked|onnx|javascript)', '--json', json, '--plot', svg],
    ]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toMatch(/^gemm m=5, weights \[96, 64\], 1 thread\ncontender .* Gflop\/s +of ceiling /m);
    expect(stdout).toMatch(/^milliseconds, weights \[96, 64\], \w+, 1 thread$/m);
    const { rows, ceilings } = readResults(json);
    const own = ['f32', 'bf16', 'f16', 'int8'].map((type) => `packed ${type}`);
    expect(new Set(rows.map((row) => row.contender))).toEqual(
      new Set([...own, 'unpacked f32', 'unpacked bf16', 'onnxruntime-node', 'javascript']),
    );
    for (const row of rows) {
      const { m, n, k, isa, threads } = row.case;
      expect(Object.keys(row.case)).toEqual(['m', 'n', 'k', 'dtype', 'isa', 'threads']);
      const flops = 2 * Number(m) * Number(n) * Number(k);
      expect(row.Gflops).toBeCloseTo(flops / row.medianNs, 6);
      const floor = Math.max((row.GBps! * row.medianNs) / ceilings.readGBps, flops / ceilings.fmaGflops[isa]);
      expect(row.ofCeiling).toBeCloseTo(floor / Number(threads) / row.medianNs, 6);
    }
    expect(readFileSync(svg, 'utf8')).toContain('rows of activations (m)');
  });
});

describe('softlane bench attention', () => {
  it('prints a table per group size, and writes JSON and SVG', async () => {
    const json = join(folder, 'attention.json');
    const svg = join(folder, 'attention.svg');
    const { code, stdout, stderr } = await softlane([
      ...['bench', 'attention', '--sizes', '200', '--filter', '(online|onnx|paged).* group [14],.* f32'],
      ...['--json', json, '--plot', svg],
    ]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toMatch(/^attention group 4, 200 tokens, 8 x 128, f32, 1 thread\ncontender /m);
    expect(stdout).toMatch(/^milliseconds by context, group 1, f32, \w+, 1 thread$/m);
    const { rows } = readResults(json);
    expect(new Set(rows.map((row) => row.contender))).toEqual(
      new Set(['online', 'paged', 'onnxruntime-node']),
    );
    expect(new Set(rows.map((row) => row.case.group))).toEqual(new Set([1, 4]));
    for (const row of rows) {
      expect(Object.keys(row.case)).toEqual([
        ...['length', 'group', 'kvHeads', 'headDim', 'dtype', 'isa', 'threads'],
      ]);
      expect(row.GBps).toBeCloseTo((2 * 200 * 8 * 128 * 4) / row.medianNs, 6);
    }
    expect(readFileSync(svg, 'utf8')).toContain('>tokens<');
  });
});

describe('softlane bench decode', () => {
  it('prints tokens per second by batch, and writes JSON and SVG', async () => {
    const json = join(folder, 'decode.json');
    const svg = join(folder, 'decode.svg');
    const { code, stdout, stderr } = await softlane([
      ...[
        'bench',
        'decode',
        '--sizes',
        '250k',
        '--filter',
        'batch [14], .* bf16',
        '--json',
        json,
        '--plot',
        svg,
      ],
    ]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toMatch(
      /^decode stories260k, batch 4, 8 tokens each, bf16, 1 thread\ncontender .* tokens\/s /m,
    );
    expect(stdout).toMatch(/^decode, stories260k, bf16, \w+, 1 thread\n +tokens\/s +x batch 1 /m);
    const { rows } = readResults(json);
    expect(rows.map(({ contender, case: { batch } }) => `${contender} ${batch}`)).toEqual([
      ...['engine 1', 'session 1', 'streaming-read 1', 'engine 4', 'streaming-read 4'],
    ]);
    for (const { contender, case: c, tokensPerSecond, medianNs } of rows) {
      if (contender === 'streaming-read') expect(tokensPerSecond).toBeUndefined();
      else expect(tokensPerSecond).toBeCloseTo((8e9 * Number(c.batch)) / medianNs, 3);
    }
    expect(readFileSync(svg, 'utf8')).toContain('sequences in a batch');
  });
});

describe('claims', () => {
  it.each([[[]], [['nothing']], [['softmax', 'more']], [['llm', '--quick']]])('refuses %j', async (args) => {
    const { code, stdout, stderr } = await runNode(['dist/cjs/benchmarks/claims/main.js', ...args]);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toMatch(
      /^claims: expected one of softmax, elastic, llm, scan, sequence, train \(--quick with sequence\), received [^\n]+\n$/,
    );
  });
});
