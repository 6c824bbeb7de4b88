/** The progress bar of every command: on stderr, and only where a person watches. */
import cliProgress from 'cli-progress';

/** A bar that is being drawn, or that is not because nobody would see it. */
export interface Progress {
  /** Sets how much is done, from 0 to `total`. */
  update(done: number): void;
  /** Takes the bar off the screen and gives the cursor back. Harmless twice. */
  stop(): void;
}

/**
 * Starts a progress bar.
 *
 * @param label what is being done, in front of the bar
 * @param total the value of `done` at the end, > 0
 * @param stream where to draw, default stderr; nothing is drawn unless it is a terminal
 */
export function startProgress(
  label: string,
  total: number,
  stream: NodeJS.WritableStream & { isTTY?: boolean } = process.stderr,
): Progress {
  if (stream.isTTY !== true) return { update: () => {}, stop: () => {} };
  const bar = new cliProgress.SingleBar(
    {
      format: `${label} {bar} {percentage}% | {eta_formatted} left`,
      stream,
      hideCursor: true,
      clearOnComplete: true,
      barsize: 32,
    },
    cliProgress.Presets.shades_classic,
  );
  bar.start(total, 0);
  let running = true;
  const stop = (): void => {
    if (running) bar.stop();
    running = false;
    process.off('exit', stop);
  };
  // A second Ctrl-C ends the process at once; the cursor must come back even then.
  process.once('exit', stop);
  return {
    update: (done) => {
      if (running) bar.update(done);
    },
    stop,
  };
}
