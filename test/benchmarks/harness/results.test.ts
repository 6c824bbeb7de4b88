import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  parseResults,
  readResults,
  writeResults,
  type Results,
} from '../../../benchmarks/harness/results.js';
import { sampleResults } from './sample.js';

describe('result files', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'softlane-results-'));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  it('come back as they were written, in a folder made for them', () => {
    const path = join(folder, 'new', 'results.json');
    writeResults(path, sampleResults());
    expect(readResults(path)).toEqual(sampleResults());
    expect(readdirSync(join(folder, 'new'))).toEqual(['results.json']);
  });

  it('have the names of the format and no others', () => {
    const { machine, ceilings, rows } = sampleResults();
    expect(Object.keys(machine)).toEqual(['cpu', 'isa', 'threads', 'node', 'caches']);
    expect(Object.keys(ceilings)).toEqual([
      'readGBps',
      'readLargeGBps',
      'copyGBps',
      'streamCopyGBps',
      'fmaGflops',
    ]);
    expect(Object.keys(rows[0])).toEqual([
      'question',
      'contender',
      'case',
      'medianNs',
      'spread',
      'samples',
      'GBps',
      'Gflops',
      'ofCeiling',
    ]);
  });

  it('are refused where they cannot be written', () => {
    writeFileSync(join(folder, 'file'), '');
    expect(() => writeResults(join(folder, 'file', 'x.json'), sampleResults())).toThrow(
      /^cannot write .*x\.json: /,
    );
  });

  it('are refused when missing or not JSON, by name', () => {
    expect(() => readResults(join(folder, 'none.json'))).toThrow(/^cannot read .*none\.json: ENOENT/);
    writeFileSync(join(folder, 'half.json'), '{"machine": {');
    expect(() => readResults(join(folder, 'half.json'))).toThrow(/half\.json is not JSON: /);
  });
});

describe('parseResults', () => {
  /** The sample with one field replaced, addressed by its path. */
  function broken(path: (string | number)[], value: unknown): unknown {
    const copy = JSON.parse(JSON.stringify(sampleResults())) as Results;
    let at = copy as unknown as Record<string | number, unknown>;
    for (const key of path.slice(0, -1)) at = at[key] as Record<string | number, unknown>;
    at[path[path.length - 1]] = value;
    return copy;
  }

  it.each([
    [['machine'], undefined, '"machine" must be an object, received nothing'],
    [['machine', 'cpu'], 5, '"machine.cpu" must be a string, received 5'],
    [['machine', 'caches', 'l2'], '1M', '"machine.caches.l2" must be a finite number >= 0, received "1M"'],
    [
      ['ceilings', 'readLargeGBps'],
      'fast',
      '"ceilings.readLargeGBps" must be a finite number >= 0, received "fast"',
    ],
    [['ceilings', 'readGBps'], null, '"ceilings.readGBps" must be a finite number >= 0, received null'],
    [
      ['ceilings', 'fmaGflops', 'avx2'],
      -1,
      '"ceilings.fmaGflops.avx2" must be a finite number >= 0, received -1',
    ],
    [['rows'], {}, '"rows" must be an array, received {}'],
    [['rows', 1, 'medianNs'], 'fast', '"rows[1].medianNs" must be a finite number >= 0, received "fast"'],
    [['rows', 0, 'case', 'cols'], [1], '"rows[0].case.cols" must be a string or a number, received [1]'],
    [['rows', 0, 'ofCeiling'], 'all', '"rows[0].ofCeiling" must be a finite number >= 0, received "all"'],
    [['rows', 0, 'flags'], 'noisy', '"rows[0].flags" must be an array, received "noisy"'],
  ])('names the field %j', (path, value, message) => {
    expect(() => parseResults(broken(path, value), 'old.json')).toThrow(
      `old.json is not a result of softlane bench: ${message}`,
    );
  });

  it('refuses documents that are something else', () => {
    expect(() => parseResults([1, 2], 'a.json')).toThrow('the document must be an object, received [1,2]');
  });

  it('accepts files of before large pages were measured', () => {
    const value = broken(['ceilings', 'readLargeGBps'], undefined);
    expect(JSON.stringify(value)).not.toContain('readLarge');
    expect(parseResults(value, 'old.json').ceilings).toMatchObject({ readGBps: 30, copyGBps: 28 });
  });

  it('keeps names that it does not know', () => {
    const value = { ...sampleResults(), later: 1 };
    expect(parseResults(value, 'a.json')).toBe(value);
  });
});
