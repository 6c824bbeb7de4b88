import { join } from 'node:path';
import manifest from '../package.json';
import { expectCleanEnding, runCode } from './helpers/child.js';

const entries = Object.values(manifest.exports).flatMap((entry) =>
  typeof entry === 'string' ? [] : [entry],
);

it.each(entries)('$import.default exports what $require.default does, the very same', async (entry) => {
  const [imported, required] = [entry.import.default, entry.require.default].map((path) =>
    JSON.stringify(join('.', path)),
  );
  const ending = await runCode(`
    const ours = require('./' + ${required});
    import('./' + ${imported}).then((theirs) => {
      const names = Object.keys(ours).filter((name) => name !== '__esModule');
      const missing = names.filter((name) => theirs[name] !== ours[name]);
      const more = Object.keys(theirs).filter((name) => !names.includes(name));
      console.log(names.length > 0, missing.join(), more.join());
    });
  `);
  expectCleanEnding(ending);
  expect(ending.stdout.trim()).toBe('true');
});
