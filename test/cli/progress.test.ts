import { PassThrough } from 'node:stream';
import { startProgress } from '../../lib/cli/progress.js';

/** A stream that says whether it is a terminal, and what was written to it. */
function screen(isTTY: boolean): { stream: NodeJS.WritableStream & { isTTY: boolean }; text: () => string } {
  const stream = Object.assign(new PassThrough(), { isTTY, columns: 100 });
  let text = '';
  stream.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
  return { stream, text: () => text };
}

const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('startProgress', () => {
  it('draws on a terminal, and leaves the cursor and no bar behind', async () => {
    const { stream, text } = screen(true);
    const bar = startProgress('softmax', 200, stream);
    bar.update(100);
    bar.stop();
    bar.stop();
    await settle();
    expect(text()).toContain('softmax ');
    expect(text()).toContain('50%');
    const [hide, show] = ['\u001b[?25l', '\u001b[?25h'];
    expect(text().indexOf(hide)).toBeGreaterThanOrEqual(0);
    expect(text().lastIndexOf(show)).toBeGreaterThan(text().lastIndexOf(hide));
    // The last thing done to the line is to clear it.
    expect(text().lastIndexOf('\u001b[0K')).toBeGreaterThan(text().lastIndexOf('50%'));
  });

  it('writes nothing where nobody watches', async () => {
    const { stream, text } = screen(false);
    const bar = startProgress('softmax', 200, stream);
    bar.update(100);
    bar.stop();
    await settle();
    expect(text()).toBe('');
  });
});
