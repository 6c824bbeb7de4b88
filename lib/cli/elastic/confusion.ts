/** Which classes were taken for which. */
import { renderColumns } from '../../report/columns.js';

/** Counts of predictions. */
export interface Confusion {
  /** The classes, in order of rows and columns. */
  classes: string[];
  /** counts[i][j]: series of class i that were taken for class j. */
  counts: number[][];
}

/** Counts how often each class was taken for each; numbers as names of classes are in numeric order. */
export function confusionOf(truth: readonly string[], predicted: readonly string[]): Confusion {
  const classes = orderedClasses([...truth, ...predicted]);
  const at = new Map(classes.map((name, i) => [name, i]));
  const counts = classes.map(() => classes.map(() => 0));
  truth.forEach((name, k) => counts[at.get(name) as number][at.get(predicted[k]) as number]++);
  return { classes, counts };
}

/** The distinct labels: in numeric order where all are numbers, else in the order of their code units. */
export function orderedClasses(labels: readonly string[]): string[] {
  const classes = [...new Set(labels)].sort();
  const isNumeric = classes.every((name) => name.trim() !== '' && !Number.isNaN(Number(name)));
  return isNumeric ? classes.sort((a, b) => Number(a) - Number(b)) : classes;
}

/** The table: a row per true class with the share of it that was found, a column per predicted class. */
export function renderConfusion({ classes, counts }: Confusion): string {
  const rows = classes.map((name, i) => {
    const size = counts[i].reduce((sum, each) => sum + each, 0);
    const found = size === 0 ? '-' : `${((100 * counts[i][i]) / size).toFixed(1)}%`;
    return [name, ...counts[i].map(String), found];
  });
  return renderColumns(['true \\ predicted', ...classes, 'found'], rows);
}
