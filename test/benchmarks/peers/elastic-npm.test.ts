import { NPM_PACKAGES } from '../../../benchmarks/peers/elastic-npm.js';
import { runModule } from '../run-module.js';

describe('dynamic time warping from npm', () => {
  it('is the same distance as that of plain JavaScript', async () => {
    const { code, stdout, stderr } = await runModule(`
      import { loadNpmDtw } from './dist/cjs/benchmarks/peers/elastic-npm.js';
      import { dtw } from './dist/cjs/benchmarks/peers/elastic-javascript.js';
      const x = Array.from({ length: 30 }, (_, i) => Math.sin(i) * 3);
      const y = Array.from({ length: 24 }, (_, i) => Math.cos(i * 1.1) * 2);
      const expected = dtw(Float64Array.from(x), Float64Array.from(y), new Float64Array(25));
      const remarks = [];
      const found = await loadNpmDtw(remarks);
      const ratios = found.map(({ name, distance }) => [name, distance(x, y) / expected]);
      process.stdout.write(JSON.stringify({ ratios, remarks }));
    `);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    const { ratios, remarks } = JSON.parse(stdout) as { ratios: [string, number][]; remarks: string[] };
    expect(remarks).toEqual([]);
    expect(ratios.map(([name]) => name)).toEqual(NPM_PACKAGES);
    for (const [, ratio] of ratios) expect(ratio).toBeCloseTo(1, 12);
  });

  it('is left out with a line that says so where it is not installed', async () => {
    const { code, stdout } = await runModule(`
      import { register } from 'node:module';
      register('data:text/javascript,' + encodeURIComponent(\`
        export function resolve(name, context, next) {
          if (name === 'dtw') throw new Error("Cannot find package 'dtw'");
          return next(name, context);
        }
      \`));
      const { loadNpmDtw } = await import('./dist/cjs/benchmarks/peers/elastic-npm.js');
      const remarks = [];
      const found = await loadNpmDtw(remarks);
      process.stdout.write(JSON.stringify([found.map(({ name }) => name), remarks]));
    `);
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toEqual([
      ['dynamic-time-warping'],
      ["dtw is left out, it cannot be loaded: Cannot find package 'dtw'"],
    ]);
  });
});
