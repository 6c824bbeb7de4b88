/** What `softlane classify` does: predicts the classes of series, and counts the errors where they are known. */
import { NearestCentroidClassifier } from '../../elastic/centroid.js';
import { nearestAsync } from '../../elastic/nearest.js';
import { KNeighborsTimeSeriesClassifier } from '../../elastic/neighbors.js';
import type { SoftLoss } from '../../elastic/soft.js';
import { CliError } from '../errors.js';
import { packageVersion } from '../version.js';
import { during, watched, type Watch } from '../watched.js';
import { confusionOf, renderConfusion } from './confusion.js';
import { readData, type Data } from './data.js';
import { defined, inWords, metricOf, refuse, softOf, type InputFlags, type SoftFlags } from './options.js';
import { counted, formatJson, prepareOutputs, print, writeCsv } from './output.js';
import { vote } from './vote.js';

/** The flags of `softlane classify`. */
export interface ClassifyFlags extends InputFlags, SoftFlags {
  method: 'knn' | 'centroid';
  k?: number;
  soft?: SoftLoss;
  testLabels?: string;
  prune: boolean;
  maxIter?: number;
  tol?: number;
  output?: string;
  threads: number;
  json?: boolean;
}

/** Classes that were predicted, and of how many pairs the distance was not computed to its end. */
interface Prediction {
  predicted: string[];
  pruned?: number;
}

/** Runs the command. @throws CliError, and what the library throws */
export async function classify(trainPath: string, testPath: string, flags: ClassifyFlags): Promise<void> {
  const distance = flags.soft === undefined ? metricOf(flags) : softOf(flags, flags.soft);
  if (flags.method === 'centroid') refuse(flags, ['k'], '--method centroid: there is one for each class');
  else refuse(flags, ['maxIter', 'tol'], '--method knn');
  await prepareOutputs(flags);
  const started = performance.now();
  const { train, test, predicted, pruned } = await watched('classifying', async (watch) => {
    const training = await readData(trainPath, flags, watch.signal);
    const tested = await readData(testPath, { ...flags, labels: flags.testLabels }, watch.signal);
    const { labels } = training;
    if (labels === undefined)
      throw new CliError(`${trainPath}: expected a label for each series, received none: give --labels FILE`);
    return {
      train: training,
      test: tested,
      ...(await predict({ ...training, labels }, tested, flags, watch)),
    };
  });
  const seconds = (performance.now() - started) / 1000;
  const truth = test.labels;
  if (flags.output !== undefined) {
    const head = ['series', 'predicted', ...(truth ? ['label'] : [])];
    await writeCsv(
      flags.output,
      head,
      predicted.map((name, i) => [i, name, ...(truth ? [truth[i]] : [])]),
    );
  }
  const k = flags.method === 'knn' ? (flags.k ?? 1) : undefined;
  const errors = truth && truth.filter((name, i) => name !== predicted[i]).length;
  const accuracy = errors === undefined ? undefined : 1 - errors / predicted.length;
  const confusion = truth && confusionOf(truth, predicted);
  const pairs = pruned === undefined ? undefined : train.set.count * test.set.count;
  if (flags.json) {
    const options = {
      ...distance,
      znorm: flags.znorm,
      maxIter: flags.maxIter,
      tol: flags.tol,
      threads: flags.threads,
    };
    const facts = { accuracy, errors, ...confusion, pairs, pruned, seconds, predicted };
    print(
      formatJson({
        version: packageVersion(),
        train: trainPath,
        test: testPath,
        method: flags.method,
        k,
        options,
        ...facts,
      }),
    );
    return;
  }
  const method = k === undefined ? 'nearest centroid' : `${k} nearest`;
  print(
    `${test.name}: ${counted(test.set.count, 'series', 'series')} by ${method} of ${train.set.count}, ${inWords(distance)}, ${seconds.toFixed(2)} s`,
  );
  if (errors !== undefined)
    print(`accuracy ${(accuracy as number).toFixed(4)}, ${counted(errors, 'error')} of ${predicted.length}`);
  if (pruned !== undefined && pairs !== undefined)
    print(`${pruned} of ${counted(pairs, 'pair')} pruned (${((100 * pruned) / pairs).toFixed(1)}%)`);
  if (confusion) print(`\n${renderConfusion(confusion)}`);
  if (flags.output !== undefined) print(`\npredictions: ${flags.output}`);
  else if (truth === undefined) print(`\n${predicted.join('\n')}`);
}

async function predict(
  train: Data & { labels: string[] },
  test: Data,
  flags: ClassifyFlags,
  watch: Watch,
): Promise<Prediction> {
  const { threads, soft, k = 1 } = flags;
  const { labels } = train;
  if (flags.method === 'centroid') {
    const { maxIter, tol } = flags;
    const how = { threads, ...defined({ maxIter, tol }) };
    const model = new NearestCentroidClassifier(
      soft === undefined ? { ...metricOf(flags), ...how } : { ...softOf(flags, soft), ...how },
    );
    await model.fitAsync(train.set, labels, during(watch, 0, 0.9));
    return { predicted: (await model.predictAsync(test.set, during(watch, 0.9, 1))).map(String) };
  }
  if (soft !== undefined) {
    const model = new KNeighborsTimeSeriesClassifier({ ...softOf(flags, soft), k, threads });
    await model.fitAsync(train.set, labels);
    return { predicted: (await model.predictAsync(test.set, watch)).map(String) };
  }
  const { prune } = flags;
  const found = await nearestAsync(train.set, test.set, { ...metricOf(flags), k, prune, threads, ...watch });
  return { predicted: vote(found.index, k, labels), pruned: found.pruned };
}
