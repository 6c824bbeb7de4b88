/**
 * Softmax-free attention in plain float64 loops, one head at a time: arXiv 2207.03341 and the definitions of its published
 * code.
 */

/** How the reference finds a pseudo-inverse. */
export interface ReferenceNewton {
  iterations?: number;
  ridge?: number;
  init?: 'regularised' | 'halving';
  alpha?: number;
}

/** exp(-|s a_i - s b_j|^2 / 2) from the differences themselves. */
export function gaussianKernel(
  a: ArrayLike<number>,
  b: ArrayLike<number>,
  { n, m, d, scaleA = 1, scaleB = 1 }: { n: number; m: number; d: number; scaleA?: number; scaleB?: number },
): Float64Array {
  return Float64Array.from({ length: n * m }, (_, at) => {
    const [i, j] = [Math.floor(at / m), at % m];
    let square = 0;
    for (let c = 0; c < d; c += 1) square += (a[i * d + c] * scaleA - b[j * d + c] * scaleB) ** 2;
    return Math.exp(-square / 2);
  });
}

/** a [m, k] times b [k, n]. */
export function product(
  a: ArrayLike<number>,
  b: ArrayLike<number>,
  m: number,
  n: number,
  k: number,
): Float64Array {
  const c = new Float64Array(m * n);
  for (let i = 0; i < m; i += 1)
    for (let l = 0; l < k; l += 1) for (let j = 0; j < n; j += 1) c[i * n + j] += a[i * k + l] * b[l * n + j];
  return c;
}

/** The transpose of a [m, n]. */
export function transpose(a: ArrayLike<number>, m: number, n: number): Float64Array {
  return Float64Array.from({ length: m * n }, (_, at) => a[(at % m) * n + Math.floor(at / m)]);
}

/** The largest sum of a column's magnitudes. */
export function norm1(a: ArrayLike<number>, m: number): number {
  let most = 0;
  for (let j = 0; j < m; j += 1) {
    let sum = 0;
    for (let i = 0; i < m; i += 1) sum += Math.abs(a[i * m + j]);
    most = Math.max(most, sum);
  }
  return most;
}

/** I - a. */
export function fromIdentity(a: ArrayLike<number>, m: number): Float64Array {
  return Float64Array.from({ length: m * m }, (_, at) => (at % (m + 1) === 0 ? 1 : 0) - a[at]);
}

/** Newton's iteration by its formula, all iterations made. */
export function newtonPseudoInverse(
  A: ArrayLike<number>,
  m: number,
  o: ReferenceNewton = {},
): { inverse: Float64Array; residual: number; alpha: number; halvings: number; P: Float64Array } {
  const { init = 'regularised', iterations = 20 } = o;
  const ridge = o.ridge ?? (init === 'halving' ? 0 : 0.01);
  const P = Float64Array.from(A, (value, at) => value + (at % (m + 1) === 0 ? ridge : 0));
  let rho = -Infinity;
  for (let i = 0; i < m; i += 1) {
    let sum = 0;
    for (let j = 0; j < m; j += 1) sum += A[i * m + j];
    rho = Math.max(rho, sum);
  }
  let alpha = o.alpha ?? (init === 'halving' ? 2 : 1.8) / rho ** 2;
  let halvings = 0;
  if (o.alpha === undefined && init === 'halving') {
    const square = product(P, P, m, m, m);
    while (
      halvings < 10 &&
      norm1(
        fromIdentity(
          square.map((value) => value * alpha),
          m,
        ),
        m,
      ) > 1.01
    ) {
      alpha *= 0.5;
      halvings += 1;
    }
  }
  let inverse = P.map((value) => alpha * value);
  for (let j = 0; j < iterations; j += 1) {
    const twice = product(product(inverse, P, m, m, m), inverse, m, m, m);
    inverse = inverse.map((value, at) => 2 * value - twice[at]);
  }
  const residual = norm1(fromIdentity(product(P, inverse, m, m, m), m), m);
  return { inverse, residual, alpha, halvings, P };
}

/** The inverse by Gauss and Jordan with pivots. */
export function exactInverse(a: ArrayLike<number>, m: number): Float64Array {
  const rows = Array.from({ length: m }, (_, i) =>
    Float64Array.from({ length: 2 * m }, (__, j) => (j < m ? a[i * m + j] : j - m === i ? 1 : 0)),
  );
  for (let p = 0; p < m; p += 1) {
    let best = p;
    for (let i = p; i < m; i += 1) if (Math.abs(rows[i][p]) > Math.abs(rows[best][p])) best = i;
    [rows[p], rows[best]] = [rows[best], rows[p]];
    const pivot = rows[p][p];
    rows[p] = rows[p].map((value) => value / pivot);
    for (let i = 0; i < m; i += 1) {
      if (i === p) continue;
      const factor = rows[i][p];
      for (let j = 0; j < 2 * m; j += 1) rows[i][j] -= factor * rows[p][j];
    }
  }
  return Float64Array.from({ length: m * m }, (_, at) => rows[Math.floor(at / m)][m + (at % m)]);
}

/** Shape and form of the reference's attention. */
export interface ReferenceShape extends ReferenceNewton {
  n: number;
  m: number;
  d: number;
  dv: number;
  normalize?: boolean;
  /** The inverse of A + ridge I itself in place of the iteration's. */
  exact?: boolean;
}

/** One head: O = K1 (Y (K1^T V)). */
export function softAttention(
  q: ArrayLike<number>,
  landmarks: ArrayLike<number>,
  v: ArrayLike<number>,
  o: ReferenceShape,
): { out: Float64Array; K1: Float64Array; A: Float64Array; Y: Float64Array } {
  const { n, m, d, dv } = o;
  const K1 = gaussianKernel(q, landmarks, { n, m, d, scaleA: d ** -0.25 });
  const A = gaussianKernel(landmarks, landmarks, { n: m, m, d });
  const ridge = o.ridge ?? 0.01;
  const P = A.map((value, at) => value + (at % (m + 1) === 0 ? ridge : 0));
  let Y = o.exact ? exactInverse(P, m) : newtonPseudoInverse(A, m, o).inverse;
  if (o.normalize) {
    const s = Float64Array.from({ length: m }, (_, i) => {
      let sum = 0;
      for (let j = 0; j < m; j += 1) sum += A[i * m + j];
      return sum ** -0.5;
    });
    Y = Y.map((value, at) => value * s[Math.floor(at / m)] * s[at % m]);
  }
  const B = product(transpose(K1, n, m), v, m, dv, n);
  const out = product(K1, product(Y, B, m, dv, m), n, dv, m);
  return { out, K1, A, Y };
}

/** One head of attention by the whole kernel. */
export function gaussianAttention(
  q: ArrayLike<number>,
  v: ArrayLike<number>,
  { n, d, dv }: { n: number; d: number; dv: number },
): Float64Array {
  const scale = d ** -0.25;
  return product(gaussianKernel(q, q, { n, m: n, d, scaleA: scale, scaleB: scale }), v, n, dv, n);
}
