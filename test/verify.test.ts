import { createHash } from 'node:crypto';
import golden from './golden.json';
import { availableIsas } from '../lib/index.js';
import { verify } from '../lib/verify.js';

/**
 * The hashes of test/golden.json are the bits that this version promises. A change here is a change of results: rewrite
 * the file with `node tools/golden.cjs`, and say in CHANGELOG.md which results changed and why.
 */
describe('verify', () => {
  const hashes = golden as Record<string, Record<string, string>>;

  test.each(availableIsas())('every kernel gives the recorded bits on %s', (isa) => {
    const found = Object.fromEntries(verify({ isas: [isa] }).map((line) => [line.kernel, line.hash]));
    expect(found).toEqual(hashes[isa]);
  });

  test('any number of threads gives the same hashes', () => {
    const [best] = availableIsas();
    const one = verify({ isas: [best], threads: 1 });
    for (const threads of [2, 3, 8]) expect(verify({ isas: [best], threads })).toEqual(one);
  });

  test('the hashes tell kernels apart', () => {
    const lines = verify({ isas: [availableIsas()[0]] });
    expect(new Set(lines.map((line) => line.kernel)).size).toBe(lines.length);
    expect(lines.every((line) => line.hash !== createHash('sha256').digest('hex').slice(0, 16))).toBe(true);
  });
});
