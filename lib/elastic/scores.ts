/** How well predictions agree with the truth: accuracy of classes, adjusted Rand index of clusterings. */
import * as check from '../check.js';

/** A class of a series, or the number of its cluster. */
export type Label = string | number;

/** Labels as a list, checked: an array of strings and numbers, or a typed array of numbers. */
export function labelsOf(name: string, labels: unknown): ArrayLike<Label> {
  const isList = Array.isArray(labels) || (ArrayBuffer.isView(labels) && !(labels instanceof DataView));
  if (!isList) throw check.typeError(name, 'an array of strings or numbers', labels);
  const list = labels as unknown as ArrayLike<Label>;
  for (let i = 0; i < list.length; i++) {
    const each: unknown = list[i];
    if (typeof each !== 'string' && typeof each !== 'number')
      throw check.typeError(`${name}[${i}]`, 'a string or a number', each);
    if (Number.isNaN(each)) throw check.rangeError(`${name}[${i}]`, 'a label', each);
  }
  return list;
}

function pairOf(truth: unknown, predicted: unknown): [ArrayLike<Label>, ArrayLike<Label>] {
  const a = labelsOf('truth', truth);
  const b = labelsOf('predicted', predicted);
  if (a.length === 0) throw check.rangeError('truth', 'of at least one label', 'none');
  if (b.length !== a.length) throw check.rangeError('predicted', `${a.length} labels long`, b.length);
  return [a, b];
}

/**
 * The share of predictions that are right, in [0, 1]. '1' and 1 are different labels.
 * @throws TypeError for what is no list of labels; RangeError for none, or for lists of different lengths
 */
export function accuracy(truth: ArrayLike<Label>, predicted: ArrayLike<Label>): number {
  const [a, b] = pairOf(truth, predicted);
  let right = 0;
  for (let i = 0; i < a.length; i++) if (a[i] === b[i]) right++;
  return right / a.length;
}

/**
 * The Rand index of two clusterings, corrected for chance: 1 where they are the same up to names, about 0 for random ones,
 * negative where they agree less than chance would. Two clusterings of one cluster each, or of clusters of one
 * series each, are the same: 1.
 * @throws as accuracy
 * @see Hubert and Arabie, "Comparing partitions" (Journal of Classification 2, 1985)
 */
export function adjustedRandIndex(truth: ArrayLike<Label>, predicted: ArrayLike<Label>): number {
  const [a, b] = pairOf(truth, predicted);
  const n = a.length;
  const rows = new Map<Label, { size: number; cells: Map<Label, number> }>();
  const columns = new Map<Label, number>();
  for (let i = 0; i < n; i++) {
    const row = rows.get(a[i]) ?? { size: 0, cells: new Map<Label, number>() };
    row.size++;
    row.cells.set(b[i], (row.cells.get(b[i]) ?? 0) + 1);
    rows.set(a[i], row);
    columns.set(b[i], (columns.get(b[i]) ?? 0) + 1);
  }
  const pairs = (count: number): number => (count * (count - 1)) / 2;
  let together = 0;
  let inTruth = 0;
  for (const { size, cells } of rows.values()) {
    inTruth += pairs(size);
    for (const count of cells.values()) together += pairs(count);
  }
  let inPredicted = 0;
  for (const count of columns.values()) inPredicted += pairs(count);
  if (together === inTruth && together === inPredicted) return 1;
  const expected = (inTruth * inPredicted) / pairs(n);
  return (together - expected) / ((inTruth + inPredicted) / 2 - expected);
}
