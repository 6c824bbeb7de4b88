/** Prints a measured figure below the running tests, without the stack that jest adds to console.log. */
export function report(line: string): void {
  process.stderr.write(`    ${line}\n`);
}
