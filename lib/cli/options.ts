/** Parsers of option values, shared by the commands. Each throws commander's InvalidArgumentError. */
import { InvalidArgumentError } from 'commander';

/** A finite number > 0. */
export function positiveNumber(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !Number.isFinite(value) || value <= 0) {
    throw new InvalidArgumentError('It must be a finite number > 0.');
  }
  return value;
}

/** An integer >= 1 that a float64 holds exactly. */
export function positiveInteger(text: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(value) || value < 1) {
    throw new InvalidArgumentError('It must be an integer >= 1.');
  }
  return value;
}

/** An integer of either sign. */
export function integer(text: string): number {
  const value = Number(text);
  if (!/^[+-]?\d+$/.test(text) || !Number.isSafeInteger(value)) {
    throw new InvalidArgumentError('It must be an integer.');
  }
  return value;
}
