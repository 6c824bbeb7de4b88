/** Names of elements that are not closed in order; a document that is well-formed in this respect has none. */
export function openElements(svg: string): string[] {
  const open: string[] = [];
  for (const [, closing, name, empty] of svg.matchAll(/<(\/?)([a-z]\w*)[^>]*?(\/?)>/gi)) {
    if (closing) {
      if (open.pop() !== name) return [...open, `/${name}`];
    } else if (!empty) {
      open.push(name);
    }
  }
  return open;
}

/** Fails unless a text is an SVG document without open elements and numbers gone wrong, with these texts in it. */
export function expectDrawing(svg: string, texts: readonly string[]): void {
  expect(svg).toMatch(/^<svg xmlns="http:\/\/www\.w3\.org\/2000\/svg"/);
  expect(openElements(svg)).toEqual([]);
  expect(svg).not.toMatch(/NaN|undefined|Infinity/);
  for (const text of texts) expect(svg).toContain(`>${text}<`);
}

/** The marks of one kind in a drawing of vega: 'line mark', 'rule mark', ... */
export function marksOf(svg: string, kind: string): string[] {
  return [...svg.matchAll(new RegExp(`<[^>]*aria-roledescription="${kind}"[^>]*>`, 'g'))].map(
    ([mark]) => mark,
  );
}
