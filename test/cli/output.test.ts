import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { confusionOf, orderedClasses, renderConfusion } from '../../lib/cli/elastic/confusion.js';
import { formatJson, writeCsv } from '../../lib/cli/elastic/output.js';
import { vote } from '../../lib/cli/elastic/vote.js';

describe('formatJson', () => {
  it('puts lists on one line, and reads back as it was', () => {
    const value = {
      a: [1, 'x [ ] {}', null],
      b: {
        c: [
          [1, 2],
          [3, 4],
        ],
        d: {},
        e: [],
      },
      f: true,
    };
    const text = formatJson({ ...value, absent: undefined });
    expect(JSON.parse(text)).toEqual(value);
    expect(text).toContain('"a": [1, "x [ ] {}", null],\n');
    expect(text).toContain('    "c": [\n      [1, 2],\n      [3, 4]\n    ]');
  });

  it('takes typed arrays as lists, and what JSON has no number for as null', () => {
    expect(formatJson(Float64Array.of(1, NaN, Infinity))).toBe('[1, null, null]');
  });
});

describe('writeCsv', () => {
  it('puts in quotes what needs them', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'softlane-csv-'));
    const path = join(folder, 'a.csv');
    await writeCsv(
      path,
      ['a', 'b'],
      [
        ['x,y', 1],
        ['say "no"', 2],
        ['two\nlines', 3],
      ],
    );
    expect(await readFile(path, 'utf8')).toBe('a,b\n"x,y",1\n"say ""no""",2\n"two\nlines",3\n');
    await rm(folder, { recursive: true });
  });
});

describe('confusion', () => {
  it('counts classes that only one side has', () => {
    const confusion = confusionOf(['10', '9', '9', '9'], ['9', '9', '8', '9']);
    expect(confusion).toEqual({
      classes: ['8', '9', '10'],
      counts: [
        [0, 0, 0],
        [1, 2, 0],
        [0, 1, 0],
      ],
    });
    expect(renderConfusion(confusion).split('\n')).toEqual([
      'true \\ predicted  8  9  10  found',
      '8                 0  0   0      -',
      '9                 1  2   0  66.7%',
      '10                0  1   0   0.0%',
    ]);
  });

  it('has names in their own order where they are no numbers', () => {
    expect(orderedClasses(['b', '10', '9', 'b'])).toEqual(['10', '9', 'b']);
  });
});

describe('vote', () => {
  it('goes to the class of the nearest among those with the most votes', () => {
    const labels = ['a', 'b', 'b', 'c', 'c'];
    expect(vote(Uint32Array.of(0, 3, 1, 4, 2), 5, labels)).toEqual(['c']);
    expect(vote(Uint32Array.of(0, 3, 1, 2), 2, labels)).toEqual(['a', 'b']);
  });
});
