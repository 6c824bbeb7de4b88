import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';

const root = join(__dirname, '..', '..');
const main = join(root, 'dist', 'cjs', 'lib', 'cli', 'main.js');

/** How the command line ended and what it printed. */
export interface Ending {
  code: number | null;
  stdout: string;
  stderr: string;
}

/** Where and with what to run. */
export interface RunOptions {
  /** Working folder, default the repository. */
  cwd?: string;
  /** Options of node itself. */
  nodeArgs?: readonly string[];
  /** Variables on top of the environment of the tests, of which SOFTLANE_* are not inherited. */
  env?: Record<string, string>;
  /** What it reads on stdin. Default: nothing. */
  stdin?: string;
  /** Called with the process once it has started. */
  onStart?: (child: ChildProcess) => void;
}

/** Runs `softlane ARGS` from the built package to its end. */
export function softlane(args: readonly string[], options: RunOptions = {}): Promise<Ending> {
  if (!existsSync(main)) throw new Error('this test runs the built package: run `npm run build` first');
  const inherited = Object.entries(process.env).filter(
    ([name]) => !/^(SOFTLANE_|NODE_OPTIONS|JEST_)/.test(name),
  );
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [...(options.nodeArgs ?? []), main, ...args], {
      cwd: options.cwd ?? root,
      env: { ...Object.fromEntries(inherited), ...options.env },
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    // A command that does not read it closes the pipe early.
    child.stdin.on('error', () => {}).end(options.stdin);
    let [stdout, stderr] = ['', ''];
    child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
    child.once('error', reject);
    child.once('close', (code) => resolve({ code, stdout, stderr }));
    options.onStart?.(child);
  });
}

/** Fails unless the ending is one line on stderr, nothing on stdout and this exit code; returns the line. */
export function expectOneLine({ code, stdout, stderr }: Ending, expectedCode: number): string {
  expect(stderr).toMatch(/^softlane: [^\n]+\n$/);
  expect({ code, stdout }).toEqual({ code: expectedCode, stdout: '' });
  return stderr.trimEnd();
}
