import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';

const root = join(__dirname, '..', '..');

/** How a child process ended and what it printed. */
export interface Ending {
  code: number | null;
  stdout: string;
  stderr: string;
}

/** Runs ES module code in the repository's folder, where `./dist/` is the built package. */
export function runModule(code: string, args: readonly string[] = []): Promise<Ending> {
  return runNode(['--input-type=module', '-e', code, ...args]);
}

/** Runs node with the given arguments; SOFTLANE_* variables of the tests are not inherited. */
export function runNode(args: readonly string[]): Promise<Ending> {
  if (!existsSync(join(root, 'dist', 'esm', 'lib', 'index.js'))) {
    throw new Error('this test runs the built package: run `npm run build` first');
  }
  const inherited = Object.entries(process.env).filter(
    ([name]) => !/^(SOFTLANE_|NODE_OPTIONS|JEST_)/.test(name),
  );
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, args, {
      cwd: root,
      env: Object.fromEntries(inherited),
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let [stdout, stderr] = ['', ''];
    child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
    child.once('error', reject);
    child.once('close', (code) => resolve({ code, stdout, stderr }));
  });
}
