import * as softlane from '../../lib/index.js';
import { expectCleanEnding, runFixture } from '../helpers/child.js';

/** Every promise form of the package. */
const forms = Object.keys(softlane).filter((name) => name.endsWith('Async'));

/** The smallest share of the work that the event loop stood still for, of a few tries: machines are shared. */
async function shareOf(form: string): Promise<number> {
  let smallest = Infinity;
  for (let attempt = 0; attempt < 4 && smallest > 0.3; attempt += 1) {
    const ending = await runFixture('event-loop', { args: [form] });
    expectCleanEnding(ending);
    const { worked, delayed, turns } = JSON.parse(ending.stdout) as Record<string, number>;
    expect(turns).toBeGreaterThan(0);
    smallest = Math.min(smallest, delayed / worked);
  }
  return smallest;
}

it('covers the promise forms', () => {
  expect(forms.length).toBeGreaterThanOrEqual(15);
});

it.each(forms)('%s leaves the event loop free while it works', async (form) => {
  expect(await shareOf(form)).toBeLessThan(0.3);
});

it('every function on arrays has a promise form', () => {
  const blocking = forms.map((name) => name.slice(0, -'Async'.length));
  const api = softlane as unknown as Record<string, unknown>;
  expect(blocking.filter((name) => typeof api[name] !== 'function')).toEqual([]);
});
