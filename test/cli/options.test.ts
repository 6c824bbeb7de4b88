import { InvalidArgumentError } from 'commander';
import { integer, positiveInteger, positiveNumber } from '../../lib/cli/options.js';

describe('option values', () => {
  it.each([
    [positiveNumber, '0.5', 0.5],
    [positiveNumber, '1e-3', 0.001],
    [positiveInteger, '1', 1],
    [positiveInteger, '64', 64],
    [integer, '-1', -1],
    [integer, '+2', 2],
    [integer, '0', 0],
  ])('%p takes %j', (parse, text, value) => {
    expect(parse(text)).toBe(value);
  });

  it.each([
    ...['', ' ', '0', '-1', 'Infinity', 'x', '1e400'].map((text) => [positiveNumber, text] as const),
    ...['', '0', '-1', '1.5', '1e3', '99999999999999999999'].map((text) => [positiveInteger, text] as const),
    ...['', '1.5', '--1', 'x', '99999999999999999999'].map((text) => [integer, text] as const),
  ])('%p refuses %j', (parse, text) => {
    expect(() => parse(text)).toThrow(InvalidArgumentError);
  });
});
