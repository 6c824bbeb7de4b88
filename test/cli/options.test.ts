import { InvalidArgumentError } from 'commander';
import {
  indexRange,
  integer,
  nonNegativeInteger,
  nonNegativeNumber,
  npyName,
  numbers,
  pieceShare,
  positiveInteger,
  positiveNumber,
  positiveShare,
  samplingTemperature,
  share,
  svgName,
} from '../../lib/cli/options.js';

describe('option values', () => {
  it.each([
    [positiveNumber, '0.5', 0.5],
    [positiveNumber, '1e-3', 0.001],
    [positiveInteger, '1', 1],
    [positiveInteger, '64', 64],
    [integer, '-1', -1],
    [integer, '+2', 2],
    [integer, '0', 0],
    [nonNegativeInteger, '0', 0],
    [nonNegativeNumber, '0', 0],
    [nonNegativeNumber, '2.5', 2.5],
    [share, '1', 1],
    [positiveShare, '1', 1],
    [positiveShare, '1e-9', 1e-9],
    [samplingTemperature, '0', 0],
    [samplingTemperature, '1e-30', 1e-30],
    [samplingTemperature, '1e30', 1e30],
    [numbers, '1,-2.5', [1, -2.5]],
    [npyName, 'a/b.npy', 'a/b.npy'],
    [svgName, 'a.SVG', 'a.SVG'],
    [pieceShare, '3/3', '3/3'],
    [indexRange, '2:5', { begin: 2, end: 5 }],
    [indexRange, ':5', { begin: 0, end: 5 }],
    [indexRange, '2:', { begin: 2, end: undefined }],
  ])('%p takes %j', (parse: (text: string) => unknown, text, value) => {
    expect(parse(text)).toEqual(value);
  });

  it.each([
    ...['', ' ', '0', '-1', 'Infinity', 'x', '1e400'].map((text) => [positiveNumber, text] as const),
    ...['', '0', '-1', '1.5', '1e3', '99999999999999999999'].map((text) => [positiveInteger, text] as const),
    ...['', '1.5', '--1', 'x', '99999999999999999999'].map((text) => [integer, text] as const),
    ...['', '-1', '1.5', '1e3'].map((text) => [nonNegativeInteger, text] as const),
    ...['', ' ', '-1', 'NaN', 'Infinity'].map((text) => [nonNegativeNumber, text] as const),
    ...['', '-0.1', '1.1', 'NaN'].map((text) => [share, text] as const),
    ...['', ' ', '0', '-0.1', '1.1', 'NaN'].map((text) => [positiveShare, text] as const),
    ...['', '-1', '1e-31', '1e-40', '1.1e30', 'x'].map((text) => [samplingTemperature, text] as const),
    ...['', '1,', '1,x', 'Infinity'].map((text) => [numbers, text] as const),
    ...['', 'npy', 'a.npy.gz'].map((text) => [npyName, text] as const),
    ...['a.png', 'svg'].map((text) => [svgName, text] as const),
    ...['', '0/2', '3/2', '1', '1/2/3', '-1/2', '1.5/2'].map((text) => [pieceShare, text] as const),
    ...['', '3', '3:3', '5:3', '-1:3', 'a:b', '1:2:3'].map((text) => [indexRange, text] as const),
  ])('%p refuses %j', (parse, text) => {
    expect(() => parse(text)).toThrow(InvalidArgumentError);
  });
});
