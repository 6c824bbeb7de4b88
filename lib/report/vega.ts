/**
 * Drawings by vega-lite as SVG, without a browser. Both of its packages are optional and ESM-only, hence the dynamic
 * imports.
 */
import type { TopLevelSpec } from 'vega-lite';

/** A drawing that cannot be made, for want of a package. */
export class PlotError extends Error {
  readonly code = 'ERR_PLOT';
  override readonly name = 'PlotError';
}

/** What specifications of this package begin with. */
export const SCHEMA = 'https://vega.github.io/schema/vega-lite/v6.json';

/**
 * Loads the two packages, so that a missing one is known before a long run and not after it.
 *
 * @throws PlotError that tells what to install
 */
export async function loadVega(): Promise<{
  vega: typeof import('vega');
  vegaLite: typeof import('vega-lite');
}> {
  try {
    const [vega, vegaLite] = await Promise.all([import('vega'), import('vega-lite')]);
    return { vega, vegaLite };
  } catch (error) {
    const [message] = (error instanceof Error ? error.message : String(error)).split('\n');
    throw new PlotError(`plots need two optional packages: npm install vega vega-lite@6.3 (${message})`);
  }
}

/**
 * Draws a specification.
 *
 * @returns an SVG document
 * @throws PlotError if vega or vega-lite is not installed
 */
export async function drawSvg(spec: TopLevelSpec): Promise<string> {
  const { vega, vegaLite } = await loadVega();
  const view = new vega.View(vega.parse(vegaLite.compile(spec).spec), { renderer: 'none' });
  try {
    return await view.toSVG();
  } finally {
    view.finalize();
  }
}
