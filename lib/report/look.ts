/** What the drawings of this package have in common: colours that colour-blind readers tell apart, sizes, axes. */
import type { Config } from 'vega-lite';

/** From the palette of Okabe and Ito, "Color universal design" (2008). */
export const COLOURS = {
  blue: '#0072B2',
  sky: '#56B4E9',
  vermilion: '#D55E00',
  grey: '#8C8C8C',
} as const;

/** Settings of a drawing on a light background. */
export const LOOK: Config = {
  font: 'sans-serif',
  axis: { gridColor: '#E8E8E8', labelFontSize: 11, titleFontSize: 12, titleFontWeight: 'normal' },
  header: { labelFontSize: 12, labelFontWeight: 'bold' },
  legend: {
    labelFontSize: 12,
    titleFontSize: 12,
    titleFontWeight: 'normal',
    labelLimit: 240,
    gradientOpacity: 1,
    symbolOpacity: 1,
    symbolStrokeWidth: 3,
  },
  title: { anchor: 'start', offset: 12, fontSize: 14, subtitleFontSize: 12, subtitleColor: '#555555' },
  view: { stroke: '#CCCCCC' },
};
