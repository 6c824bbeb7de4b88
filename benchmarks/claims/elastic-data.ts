/** The data sets of the claims about elastic distances: those of the UCR/UEA archive in test/fixtures/ucr. */
import { join } from 'node:path';
import { readTs, type TsFile } from '../../lib/io/index.js';

/** A data set in its two halves. */
export interface DataSet {
  name: string;
  train: TsFile;
  test: TsFile;
}

/** `npm run` starts in the folder of the package; the archive's data are not part of what is published. */
const FOLDER = join('test', 'fixtures', 'ucr');

/**
 * Reads NAME_TRAIN.ts and NAME_TEST.ts.
 * @throws Error that says where the files are looked for
 */
export async function dataSet(name: string): Promise<DataSet> {
  const read = async (half: string): Promise<TsFile> => {
    const path = join(FOLDER, `${name}_${half}.ts`);
    try {
      return await readTs(path);
    } catch (cause) {
      throw new Error(`${path} could not be read: the claims run in softlane's repository`, { cause });
    }
  };
  return { name, train: await read('TRAIN'), test: await read('TEST') };
}

/** How many predictions are wrong. */
export function errorsOf(predicted: ArrayLike<unknown>, truth: readonly string[]): number {
  return truth.filter((label, i) => predicted[i] !== label).length;
}

/** What some work gives; undefined where it was stopped before or on its way. */
export async function unlessStopped<R>(signal: AbortSignal, work: () => Promise<R>): Promise<R | undefined> {
  if (signal.aborted) return undefined;
  try {
    return await work();
  } catch (error) {
    if (signal.aborted) return undefined;
    throw error;
  }
}
