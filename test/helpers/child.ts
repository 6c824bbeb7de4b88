import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';

const root = join(__dirname, '..', '..');

/** How a child process ended and what it said. */
export interface Ending {
  code: number | null;
  signal: NodeJS.Signals | null;
  stdout: string;
  stderr: string;
}

/** What to start it with. */
export interface ChildOptions {
  /** Variables on top of the environment of the tests; undefined removes one. */
  env?: Record<string, string | undefined>;
  args?: readonly string[];
  /** Options of node itself, such as --expose-gc. */
  nodeArgs?: readonly string[];
  /** Whether `runCode` loads the package first; default true. */
  load?: boolean;
}

/** Runs node to its end; SOFTLANE_* variables of the tests are not inherited, so that a child has its own. */
function run(script: readonly string[], { env = {}, nodeArgs = [] }: ChildOptions): Promise<Ending> {
  if (!existsSync(join(root, 'dist', 'cjs', 'lib', 'index.js'))) {
    throw new Error('this test runs the built package: run `npm run build` first');
  }
  const inherited = Object.entries(process.env).filter(
    ([name]) => !/^(SOFTLANE_|NODE_OPTIONS|JEST_)/.test(name),
  );
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [...nodeArgs, ...script], {
      cwd: root,
      env: { ...Object.fromEntries(inherited), ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let [stdout, stderr] = ['', ''];
    child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
    child.once('error', reject);
    child.once('close', (code, signal) => resolve({ code, signal, stdout, stderr }));
  });
}

/** Runs test/mechanism/fixtures/<name>.cjs. */
export function runFixture(name: string, options: ChildOptions = {}): Promise<Ending> {
  return run([join(root, 'test', 'mechanism', 'fixtures', `${name}.cjs`), ...(options.args ?? [])], options);
}

/** Runs code that sees the built package as `softlane`. */
export function runCode(code: string, options: ChildOptions = {}): Promise<Ending> {
  const load = "const softlane = require('./dist/cjs/lib/index.js');\n";
  return run(['-e', options.load === false ? code : load + code], options);
}

/** Fails unless the process ended by itself with the given code and nothing on its error output. */
export function expectCleanEnding({ code, signal, stderr }: Ending, expectedCode = 0): void {
  expect({ code, signal, stderr }).toEqual({ code: expectedCode, signal: null, stderr: '' });
}
