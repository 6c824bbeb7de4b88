/** What `softlane search` does: finds where in a long series a short one occurs. */
import { SubsequenceSearcher } from '../../elastic/subsequence.js';
import { renderColumns } from '../../report/columns.js';
import { CliError } from '../errors.js';
import { packageVersion } from '../version.js';
import { during, watched } from '../watched.js';
import { defined, inWords, type InputFlags } from './options.js';
import { counted, digits, formatJson, prepareOutputs, print, writeCsv } from './output.js';
import { openStream, wholeOf } from './stream.js';

/** The flags of `softlane search`. */
export interface SearchFlags extends InputFlags {
  k: number;
  window?: number;
  windowAbs?: number;
  exclusion?: number;
  query?: number;
  series?: number;
  output?: string;
  threads: number;
  json?: boolean;
}

/** Runs the command. @throws CliError, and what the library throws */
export async function search(queryPath: string, streamPath: string, flags: SearchFlags): Promise<void> {
  const { k, window, windowAbs, exclusion, threads, znorm } = flags;
  const options = { k, threads, ...defined({ window, windowAbs, exclusion, zNormalize: znorm }) };
  await prepareOutputs(flags);
  const started = performance.now();
  const found = await watched('searching', async (watch) => {
    const { signal } = watch;
    const query = await wholeOf(await openStream(queryPath, flags, flags.query, '--query', signal));
    const stream = await openStream(streamPath, flags, flags.series, '--series', signal);
    try {
      if (stream.length < query.length)
        throw new CliError(
          `${streamPath}: expected at least the ${query.length} points of the query, received ${stream.length}`,
        );
      const searcher = new SubsequenceSearcher(query, options);
      for await (const part of stream.parts()) {
        const [from, to] = [searcher.length / stream.length, (searcher.length + part.length) / stream.length];
        await searcher.pushAsync(part, during(watch, from, to));
      }
      return { query: query.length, stream: stream.length, ...searcher.matches() };
    } finally {
      await stream.close();
    }
  });
  const seconds = (performance.now() - started) / 1000;
  const matches = Array.from(found.position, (position, i) => ({ position, distance: found.distance[i] }));
  if (flags.output !== undefined) {
    const rows = matches.map(({ position, distance }) => [position, distance]);
    await writeCsv(flags.output, ['position', 'distance'], rows);
  }
  if (flags.json) {
    const lengths = { query: found.query, stream: found.stream };
    const facts = { options, lengths, matches, seconds };
    print(formatJson({ version: packageVersion(), query: queryPath, stream: streamPath, ...facts }));
    return;
  }
  const how = inWords({ metric: 'dtw', ...defined({ window, windowAbs }) });
  print(
    `${counted(found.query, 'point')} in ${found.stream}, ${how}${znorm ? ', z-normalised' : ''}, ${seconds.toFixed(2)} s\n`,
  );
  print(
    renderColumns(
      ['match', 'position', 'distance'],
      matches.map(({ position, distance }, i) => [String(i + 1), String(position), digits(distance)]),
      [],
    ),
  );
  if (flags.output !== undefined) print(`written: ${flags.output}`);
}
