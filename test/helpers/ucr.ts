import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** The data sets of test/fixtures/ucr. */
export const DATA_SETS = [
  'ItalyPowerDemand',
  'GunPoint',
  'BasicMotions',
  'ArrowHead',
  'PickupGestureWiimoteZ',
] as const;

/** Series and labels of one half of a data set. */
export interface Labelled {
  channels: number;
  series: Float64Array[];
  labels: string[];
}

/** Reads test/fixtures/ucr/<name>_<half>.ts, a line by itself after `@data`. */
export function ucr(name: string, half: 'TRAIN' | 'TEST'): Labelled {
  const text = readFileSync(join(__dirname, '..', 'fixtures', 'ucr', `${name}_${half}.ts`), 'utf8');
  const lines = text.split('\n').filter((line) => line.trim() !== '' && !line.startsWith('#'));
  const start = lines.findIndex((line) => line.trim().toLowerCase() === '@data');
  const cases = lines.slice(start + 1).map((line) => line.trim().split(':'));
  return {
    channels: cases[0].length - 1,
    series: cases.map((parts) => Float64Array.from(parts.slice(0, -1).join(',').split(','), Number)),
    labels: cases.map((parts) => parts[parts.length - 1]),
  };
}
