import { CommanderError } from 'commander';
import { CliError, oneLine, report } from '../../lib/cli/errors.js';

describe('oneLine', () => {
  it.each([
    [new Error('a\nb\r\n  c'), 'a b   c'],
    [new Error('tab\tbell\u0007 separator\u2028end'), 'tab bell  separator end'],
    [new Error('error: unknown option'), 'unknown option'],
    [new Error(''), 'failed without a message'],
    ['text', 'text'],
    [undefined, 'undefined'],
  ])('%p', (error, line) => {
    expect(oneLine(error)).toBe(line);
  });
});

describe('report', () => {
  const written = (error: unknown, debug: boolean): { code: number; text: string } => {
    const write = jest.spyOn(process.stderr, 'write').mockImplementation(() => true);
    const code = report(error, debug);
    const text = write.mock.calls.map(([chunk]) => String(chunk)).join('');
    write.mockRestore();
    return { code, text };
  };

  it.each([
    [new Error('broken'), 1],
    [new CliError('broken'), 1],
    [new CliError('broken', 130), 130],
    [new CommanderError(1, 'commander.unknownOption', 'error: broken'), 2],
  ])('%p gives its exit code and one line', (error, code) => {
    expect(written(error, false)).toEqual({ code, text: 'softlane: broken\n' });
  });

  it('adds the stack only when asked to', () => {
    const error = new Error('broken');
    expect(written(error, true).text).toBe(`softlane: broken\n${error.stack}\n`);
    expect(written('no stack', true).text).toBe('softlane: no stack\n');
  });
});
