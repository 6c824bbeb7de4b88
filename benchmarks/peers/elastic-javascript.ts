/**
 * Elastic distances in plain JavaScript: what a careful programmer writes without a library. One row of the table is
 * kept and nothing is allocated in the loops; all arithmetic is float64. Univariate series, the package's defaults for
 * all parameters. `row` holds at least one number more than `y`.
 */

/** The row above the first: only the corner is reachable. */
function begin(row: Float64Array): void {
  row.fill(Infinity);
  row[0] = 0;
}

/** Dynamic time warping on squared differences, within a Sakoe-Chiba band of `radius` time points where that is given. */
export function dtw(x: Float64Array, y: Float64Array, row: Float64Array, radius = Infinity): number {
  const m = y.length;
  begin(row);
  for (let i = 0; i < x.length; i++) {
    const xi = x[i];
    const low = Math.max(0, i - radius);
    const high = Math.min(m, i + radius + 1);
    let diagonal = row[low];
    let left = Infinity;
    row[low] = Infinity;
    for (let j = low; j < high; j++) {
      const up = row[j + 1];
      let least = diagonal;
      if (up < least) least = up;
      if (left < least) least = left;
      const d = xi - y[j];
      left = d * d + least;
      row[j + 1] = left;
      diagonal = up;
    }
  }
  return row[m];
}

/** DTW with a logistic weight of |i - j|, slope 0.05. */
export function wdtw(x: Float64Array, y: Float64Array, row: Float64Array): number {
  const m = y.length;
  const longest = Math.max(x.length, m);
  const weights = Float64Array.from(
    { length: longest },
    (_, k) => 1 / (1 + Math.exp(-0.05 * (k - longest / 2))),
  );
  begin(row);
  for (let i = 0; i < x.length; i++) {
    const xi = x[i];
    let diagonal = row[0];
    let left = Infinity;
    row[0] = Infinity;
    for (let j = 0; j < m; j++) {
      const up = row[j + 1];
      let least = diagonal;
      if (up < least) least = up;
      if (left < least) least = left;
      const d = xi - y[j];
      left = weights[i > j ? i - j : j - i] * (d * d) + least;
      row[j + 1] = left;
      diagonal = up;
    }
  }
  return row[m];
}

/** DTW with a penalty of 1 on every step off the diagonal. */
export function adtw(x: Float64Array, y: Float64Array, row: Float64Array): number {
  const m = y.length;
  begin(row);
  for (let i = 0; i < x.length; i++) {
    const xi = x[i];
    let diagonal = row[0];
    let left = Infinity;
    row[0] = Infinity;
    for (let j = 0; j < m; j++) {
      const up = row[j + 1];
      let least = (up < left ? up : left) + 1;
      if (diagonal < least) least = diagonal;
      const d = xi - y[j];
      left = d * d + least;
      row[j + 1] = left;
      diagonal = up;
    }
  }
  return row[m];
}

/** Edit distance with real penalty, gap value 0. */
export function erp(x: Float64Array, y: Float64Array, row: Float64Array): number {
  const m = y.length;
  row[0] = 0;
  for (let j = 0; j < m; j++) row[j + 1] = row[j] + Math.abs(y[j]);
  for (let i = 0; i < x.length; i++) {
    const xi = x[i];
    const gap = Math.abs(xi);
    let diagonal = row[0];
    let left = diagonal + gap;
    row[0] = left;
    for (let j = 0; j < m; j++) {
      const up = row[j + 1];
      const yj = y[j];
      let least = diagonal + Math.abs(xi - yj);
      const deleted = up + gap;
      const inserted = left + Math.abs(yj);
      if (deleted < least) least = deleted;
      if (inserted < least) least = inserted;
      left = least;
      row[j + 1] = left;
      diagonal = up;
    }
  }
  return row[m];
}

/** Time warp edit distance, nu 0.001 and lambda 1; a 0 stands before the first point of each series. */
export function twe(x: Float64Array, y: Float64Array, row: Float64Array): number {
  const m = y.length;
  const nu = 0.001;
  const deletion = nu + 1;
  begin(row);
  let xBefore = 0;
  for (let i = 0; i < x.length; i++) {
    const xi = x[i];
    const ofX = Math.abs(xi - xBefore) + deletion;
    let diagonal = row[0];
    let left = Infinity;
    row[0] = Infinity;
    let yBefore = 0;
    for (let j = 0; j < m; j++) {
      const up = row[j + 1];
      const yj = y[j];
      let least =
        diagonal + Math.abs(xi - yj) + Math.abs(xBefore - yBefore) + 2 * nu * (i > j ? i - j : j - i);
      const inX = up + ofX;
      const inY = left + Math.abs(yj - yBefore) + deletion;
      if (inX < least) least = inX;
      if (inY < least) least = inY;
      left = least;
      row[j + 1] = left;
      diagonal = up;
      yBefore = yj;
    }
    xBefore = xi;
  }
  return row[m];
}

/** Cost of a split or merge to v with the predecessor p, beside the point o of the other series; c = 1. */
function splitMerge(v: number, p: number, o: number): number {
  if ((p <= v && v <= o) || (p >= v && v >= o)) return 1;
  return 1 + Math.min(Math.abs(v - p), Math.abs(v - o));
}

/** Move-split-merge, c = 1. */
export function msm(x: Float64Array, y: Float64Array, row: Float64Array): number {
  const m = y.length;
  begin(row);
  let xBefore = 0;
  for (let i = 0; i < x.length; i++) {
    const xi = x[i];
    let diagonal = row[0];
    let left = Infinity;
    row[0] = Infinity;
    let yBefore = 0;
    for (let j = 0; j < m; j++) {
      const up = row[j + 1];
      const yj = y[j];
      let least = diagonal + Math.abs(xi - yj);
      const inX = up + splitMerge(xi, xBefore, yj);
      const inY = left + splitMerge(yj, yBefore, xi);
      if (inX < least) least = inX;
      if (inY < least) least = inY;
      left = least;
      row[j + 1] = left;
      diagonal = up;
      yBefore = yj;
    }
    xBefore = xi;
  }
  return row[m];
}

/** -log(e^-a + e^-b), one of them finite. */
function softMinOfTwo(a: number, b: number): number {
  return a < b ? a - Math.log1p(Math.exp(a - b)) : b - Math.log1p(Math.exp(b - a));
}

/** -log(e^-a + e^-b + e^-c), one of them finite: two exponentials, since the term of the least is 1. */
function softMin(a: number, b: number, c: number): number {
  if (a <= b && a <= c) return a - Math.log1p(Math.exp(a - b) + Math.exp(a - c));
  if (b <= c) return b - Math.log1p(Math.exp(b - a) + Math.exp(b - c));
  return c - Math.log1p(Math.exp(c - a) + Math.exp(c - b));
}

/** Soft-DTW, gamma = 1. */
export function softDtw(x: Float64Array, y: Float64Array, row: Float64Array): number {
  const m = y.length;
  begin(row);
  for (let i = 0; i < x.length; i++) {
    const xi = x[i];
    let diagonal = row[0];
    let left = Infinity;
    row[0] = Infinity;
    for (let j = 0; j < m; j++) {
      const up = row[j + 1];
      const d = xi - y[j];
      left = d * d + softMin(diagonal, up, left);
      row[j + 1] = left;
      diagonal = up;
    }
  }
  return row[m];
}

/** Soft-MSM's transition to v from its predecessor p, beside the point o of the other series; c = gamma = 1. */
function transition(v: number, p: number, o: number): number {
  const a = v - p;
  const b = v - o;
  const u = a * b;
  const outside = 0.5 + (0.5 * u) / Math.sqrt(u * u + 1e-9);
  return 1 + outside * softMinOfTwo(a * a, b * b);
}

/** Soft-MSM, c = gamma = 1, absolute gate. */
export function softMsm(x: Float64Array, y: Float64Array, row: Float64Array): number {
  const m = y.length;
  begin(row);
  let xBefore = 0;
  for (let i = 0; i < x.length; i++) {
    const xi = x[i];
    let diagonal = row[0];
    let left = Infinity;
    row[0] = Infinity;
    let yBefore = 0;
    for (let j = 0; j < m; j++) {
      const up = row[j + 1];
      const yj = y[j];
      const d = xi - yj;
      left = softMin(diagonal + d * d, up + transition(xi, xBefore, yj), left + transition(yj, yBefore, xi));
      row[j + 1] = left;
      diagonal = up;
      yBefore = yj;
    }
    xBefore = xi;
  }
  return row[m];
}
