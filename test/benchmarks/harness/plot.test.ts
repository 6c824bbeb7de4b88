import { plotPoints, plotSpec, type PlotDesign } from '../../../benchmarks/harness/plot.js';
import { plot as softmax } from '../../../benchmarks/softmax/summary.js';
import { openElements } from '../../helpers/svg.js';
import { runModule } from '../run-module.js';
import { sampleRow } from './sample.js';

const rows = [
  sampleRow('two-pass', 400, { isa: 'avx2', cols: 1024 }),
  sampleRow('two-pass', 800, { isa: 'avx2', cols: 2048 }),
  sampleRow('two-pass', 4000, { isa: 'scalar', cols: 1024 }, { GBps: undefined }),
  sampleRow('javascript', 10240, { isa: 'avx2', cols: 1024 }),
];

describe('plotPoints', () => {
  it('has a panel per instruction set and thread count, and draws peers into each', () => {
    const points = plotPoints(rows, softmax, 'ns');
    expect(new Set(points.map((point) => point.panel))).toEqual(
      new Set(['avx2, 1 thread', 'scalar, 1 thread']),
    );
    expect(points.filter((point) => point.contender === 'javascript')).toEqual([
      { size: 1024, value: 10, contender: 'javascript', panel: 'avx2, 1 thread' },
      { size: 1024, value: 10, contender: 'javascript', panel: 'scalar, 1 thread' },
    ]);
  });

  it('shows rates where it is asked to, and leaves out rows that have none', () => {
    const points = plotPoints(rows, softmax, 'GBps');
    expect(points.some((point) => point.panel === 'scalar, 1 thread' && point.contender === 'two-pass')).toBe(
      false,
    );
    expect(points[0]).toMatchObject({ size: 1024, value: 20.5 });
  });

  it('draws what a question says: rows, lines, panels, and what is above 0 of both axes', () => {
    const design: PlotDesign = {
      rows: (all) => all.slice(1),
      size: { title: 'length', of: ({ case: { cols } }) => Number(cols) - 1024 },
      values: { rate: { title: 'per second', of: ({ Mcells }) => Mcells } },
      line: ({ case: { isa } }) => `on ${isa}`,
      panels: () => ['first', 'second'],
    };
    const cells = [
      sampleRow('a', 1, { cols: 2048 }, { Mcells: 5 }),
      sampleRow('a', 1, { cols: 2048 }, { Mcells: 6 }),
      sampleRow('a', 1, { cols: 1024 }, { Mcells: 7 }),
      sampleRow('a', 1, { cols: 2048 }),
      sampleRow('a', 1, { cols: 2048 }, { Mcells: 0 }),
    ];
    const point = { size: 1024, value: 6, contender: 'on avx2' };
    const points = plotPoints(cells, design, 'rate');
    expect(points).toEqual([
      { ...point, panel: 'first' },
      { ...point, panel: 'second' },
    ]);
    const text = JSON.stringify(plotSpec('a title', points, design, 'rate'));
    expect(text).toContain('"title":"length"');
    expect(text).toContain('"title":"per second"');
  });
});

describe('plotSpec', () => {
  it('has a logarithmic size axis and names the value', () => {
    const text = JSON.stringify(plotSpec('a title', plotPoints(rows, softmax, 'ns'), softmax, 'ns'));
    expect(text).toContain('"x":{"field":"size","type":"quantitative","scale":{"type":"log","base":2}');
    expect(text).toContain('"ns per element"');
  });
});

// vega and vega-lite are ESM-only, hence the child process.
describe('drawSvg', () => {
  const spec = JSON.stringify(plotSpec('a <title> & more', plotPoints(rows, softmax, 'ns'), softmax, 'ns'));

  it('draws a well-formed document with a line per contender and panel', async () => {
    const { code, stdout, stderr } = await runModule(`
      import { drawSvg } from './dist/cjs/lib/report/vega.js';
      process.stdout.write(await drawSvg(${spec}));
    `);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toMatch(/^<svg xmlns="http:\/\/www\.w3\.org\/2000\/svg"/);
    expect(openElements(stdout)).toEqual([]);
    expect(stdout).toContain('a &lt;title&gt; &amp; more');
    for (const text of ['two-pass', 'javascript', 'avx2, 1 thread', 'scalar, 1 thread', 'ns per element']) {
      expect(stdout).toContain(text);
    }
    expect(stdout.match(/aria-roledescription="line mark"/g)).toHaveLength(4);
    expect(stdout).not.toContain('NaN');
  });

  it('tells what to install where vega-lite is missing', async () => {
    const { code, stderr } = await runModule(`
      import { register } from 'node:module';
      register('data:text/javascript,' + encodeURIComponent(\`
        export function resolve(name, context, next) {
          if (name === 'vega-lite') throw new Error("Cannot find package 'vega-lite'");
          return next(name, context);
        }
      \`));
      const { drawSvg } = await import('./dist/cjs/lib/report/vega.js');
      await drawSvg(${spec}).catch((error) => {
        process.stderr.write(error.message);
        process.exitCode = 7;
      });
    `);
    expect(code).toBe(7);
    expect(stderr).toBe(
      "plots need two optional packages: npm install vega vega-lite@6.3 (Cannot find package 'vega-lite')",
    );
  });
});
