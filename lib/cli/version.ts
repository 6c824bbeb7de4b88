import { readFileSync, realpathSync } from 'node:fs';
import { dirname, join } from 'node:path';

/**
 * The version in softlane's package.json, found in the folders above the script that runs, so that `--version`
 * answers even where the native addon cannot be loaded.
 *
 * @param script path of the running script, default this process's
 */
export function packageVersion(script: string = process.argv[1]): string {
  let folder = dirname(realpathSync(script));
  for (;;) {
    try {
      const manifest = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as {
        name?: string;
        version?: string;
      };
      if (manifest.name === 'softlane' && manifest.version !== undefined) return manifest.version;
    } catch {
      // No manifest here, or not ours: the next folder up may have it.
    }
    const parent = dirname(folder);
    if (parent === folder) return 'unknown';
    folder = parent;
  }
}
