/**
 * The selective scan and its gradients in float64, step by step from the definition (arXiv 2312.00752, section 3.2), for
 * every option of lib/kernels/selective-scan.ts.
 */
import { add, conj, div, exp, mul, phi, psi, real, scale, type Complex } from './complex.js';

type Numbers = ArrayLike<number>;

/** Arrays of the scan: any kind of numbers. */
export interface ScanInput {
  u: Numbers;
  delta: Numbers;
  A: Numbers;
  B: Numbers;
  C: Numbers;
  D?: Numbers;
  z?: Numbers;
  deltaBias?: Numbers;
  initialState?: Numbers;
  segmentIds?: Numbers;
}

/** Shape and form. */
export interface ScanShape {
  batch: number;
  dim: number;
  length: number;
  state: number;
  groups?: number;
  layout?: 'channels-first' | 'time-first';
  variableB?: boolean;
  variableC?: boolean;
  complex?: boolean;
  deltaSoftplus?: boolean;
  discretization?: 'euler' | 'zoh' | 'bilinear';
}

/** Where elements lie: positions count numbers, so that a complex element is at its position and the next. */
function places(o: ScanShape) {
  const { dim, length, state, groups = 1, layout = 'channels-first', variableB, variableC, complex } = o;
  const parts = complex ? 2 : 1;
  const first = layout === 'channels-first';
  const weight = (b: number, d: number, n: number, t: number, variable = true): number => {
    if (!variable) return (d * state + n) * parts;
    const g = Math.floor(d / (dim / groups));
    if (first) return (((b * groups + g) * state + n) * length + t) * parts;
    return (((b * length + t) * groups + g) * state + n) * parts;
  };
  return {
    parts,
    value: (b: number, d: number, t: number): number =>
      first ? (b * dim + d) * length + t : (b * length + t) * dim + d,
    A: (d: number, n: number): number => (d * state + n) * parts,
    B: (b: number, d: number, n: number, t: number): number => weight(b, d, n, t, variableB),
    C: (b: number, d: number, n: number, t: number): number => weight(b, d, n, t, variableC),
    state: (b: number, d: number, n: number): number => ((b * dim + d) * state + n) * parts,
    get: (x: Numbers, at: number): Complex => ({ re: x[at], im: complex ? x[at + 1] : 0 }),
    put: (x: Float64Array, at: number, v: Complex): void => {
      x[at] = v.re;
      if (complex) x[at + 1] = v.im;
    },
    sum: (x: Float64Array, at: number, v: Complex): void => {
      x[at] += v.re;
      if (complex) x[at + 1] += v.im;
    },
  };
}

const softplus = (r: number): number => (r > 20 ? r : Math.log1p(Math.exp(r)));
const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));

/** Step size of a step, and its derivative by delta. */
function stepSize(input: ScanInput, o: ScanShape, at: number, d: number): { s: number; slope: number } {
  const r = input.delta[at] + (input.deltaBias?.[d] ?? 0);
  if (!o.deltaSoftplus) return { s: r, slope: 1 };
  return { s: softplus(r), slope: r > 20 ? 1 : sigmoid(r) };
}

/** Decay a and input factor w (b = w B u) of a step, and their derivatives by s and by A. */
interface Decay {
  a: Complex;
  w: Complex;
  daBySize: Complex;
  dwBySize: Complex;
  daByA: Complex;
  dwByA: Complex;
}

function decay(s: number, A: Complex, rule: ScanShape['discretization'] = 'euler'): Decay {
  if (rule === 'bilinear') {
    const e = add(real(1), scale(A, -s / 2));
    const square = mul(e, e);
    return {
      a: div(add(real(1), scale(A, s / 2)), e),
      w: div(real(s), e),
      daBySize: div(A, square),
      dwBySize: div(real(1), square),
      daByA: div(real(s), square),
      dwByA: div(real((s * s) / 2), square),
    };
  }
  const x = scale(A, s);
  const a = exp(x);
  const held = rule === 'zoh';
  return {
    a,
    w: held ? scale(phi(x), s) : real(s),
    daBySize: mul(A, a),
    dwBySize: held ? a : real(1),
    daByA: scale(a, s),
    dwByA: held ? scale(psi(x), s * s) : real(0),
  };
}

/** Whether the state starts anew at a step. */
function starts(input: ScanInput, o: ScanShape, b: number, t: number): boolean {
  const at = b * o.length + t;
  return t > 0 && input.segmentIds !== undefined && input.segmentIds[at] !== input.segmentIds[at - 1];
}

/** States of one channel: element t + 1 after step t, element 0 before the first. */
function statesOf(input: ScanInput, o: ScanShape, b: number, d: number): Complex[][] {
  const p = places(o);
  const { initialState } = input;
  const states = [
    Array.from({ length: o.state }, (_, n) =>
      initialState ? p.get(initialState, p.state(b, d, n)) : real(0),
    ),
  ];
  for (let t = 0; t < o.length; t += 1) {
    const at = p.value(b, d, t);
    const { s } = stepSize(input, o, at, d);
    const before = states[t];
    states.push(
      before.map((h, n) => {
        const { a, w } = decay(s, p.get(input.A, p.A(d, n)), o.discretization);
        const b_ = scale(mul(w, p.get(input.B, p.B(b, d, n, t))), input.u[at]);
        return starts(input, o, b, t) ? b_ : add(mul(a, h), b_);
      }),
    );
  }
  return states;
}

/** Read-out with the skip, before the gate. */
function readOut(input: ScanInput, o: ScanShape, h: Complex[], b: number, d: number, t: number): number {
  const p = places(o);
  let y = 0;
  h.forEach((value, n) => {
    y += mul(p.get(input.C, p.C(b, d, n, t)), value).re;
  });
  return y * p.parts + (input.D ? input.D[d] * input.u[p.value(b, d, t)] : 0);
}

/** What the reference of the forward pass gives. */
export interface ScanResult {
  out: Float64Array;
  lastState: Float64Array;
  /** One array a segment of a row, dim x state. */
  segmentStates: Float64Array[][];
  /** batch x ceil(length / 64) x dim x state. */
  checkpoints: Float64Array;
}

/** The selective scan. */
export function selectiveScan(input: ScanInput, o: ScanShape): ScanResult {
  const p = places(o);
  const { batch, dim, length, state } = o;
  const weights = dim * state * p.parts;
  const points = Math.ceil(length / 64);
  const out = new Float64Array(batch * dim * length);
  const lastState = new Float64Array(batch * weights);
  const checkpoints = new Float64Array(batch * points * weights);
  const segmentStates = Array.from({ length: batch }, (_, b) => {
    let count = length > 0 ? 1 : 0;
    for (let t = 1; t < length; t += 1) if (starts(input, o, b, t)) count += 1;
    return Array.from({ length: count }, () => new Float64Array(weights));
  });
  for (let b = 0; b < batch; b += 1) {
    for (let d = 0; d < dim; d += 1) {
      const states = statesOf(input, o, b, d);
      let segment = 0;
      for (let t = 0; t < length; t += 1) {
        if (starts(input, o, b, t)) segment += 1;
        const at = p.value(b, d, t);
        const y = readOut(input, o, states[t + 1], b, d, t);
        out[at] = input.z ? y * input.z[at] * sigmoid(input.z[at]) : y;
        for (let n = 0; n < state; n += 1) {
          p.put(segmentStates[b][segment], p.A(d, n), states[t + 1][n]);
          if (t % 64 === 0) p.put(checkpoints, (b * points + t / 64) * weights + p.A(d, n), states[t][n]);
        }
      }
      states[length].forEach((h, n) => p.put(lastState, p.state(b, d, n), h));
    }
  }
  return { out, lastState, segmentStates, checkpoints };
}

/** Gradients of every array; of optional ones whether given or not. */
export interface ScanGradients {
  du: Float64Array;
  ddelta: Float64Array;
  dA: Float64Array;
  dB: Float64Array;
  dC: Float64Array;
  dD: Float64Array;
  dz: Float64Array;
  ddeltaBias: Float64Array;
  dInitialState: Float64Array;
}

/** Gradients, given that of out and of the last state; complex ones as d/dRe + i d/dIm. */
export function selectiveScanBackward(
  input: ScanInput,
  gout: Numbers,
  o: ScanShape,
  glast?: Numbers,
): ScanGradients {
  const p = places(o);
  const { batch, dim, length, state } = o;
  const zeros = (x: Numbers): Float64Array => new Float64Array(x.length);
  const g: ScanGradients = {
    du: zeros(input.u),
    ddelta: zeros(input.u),
    dA: zeros(input.A),
    dB: zeros(input.B),
    dC: zeros(input.C),
    dD: new Float64Array(dim),
    dz: zeros(input.u),
    ddeltaBias: new Float64Array(dim),
    dInitialState: new Float64Array(batch * dim * state * p.parts),
  };
  for (let b = 0; b < batch; b += 1) {
    for (let d = 0; d < dim; d += 1) {
      const states = statesOf(input, o, b, d);
      // The adjoint of the state after step t, without what step t itself reads out.
      let carried = Array.from({ length: state }, (_, n) =>
        glast ? p.get(glast, p.state(b, d, n)) : real(0),
      );
      for (let t = length - 1; t >= 0; t -= 1) {
        const at = p.value(b, d, t);
        const u = input.u[at];
        let gy = gout[at];
        if (input.z) {
          const z = input.z[at];
          const gate = sigmoid(z);
          g.dz[at] = gy * readOut(input, o, states[t + 1], b, d, t) * gate * (1 + z * (1 - gate));
          gy *= z * gate;
        }
        g.dD[d] += gy * u;
        g.du[at] = (input.D?.[d] ?? 0) * gy;
        const { s, slope } = stepSize(input, o, at, d);
        const cut = starts(input, o, b, t);
        let ds = 0;
        carried = carried.map((later, n) => {
          const A = p.get(input.A, p.A(d, n));
          const B = p.get(input.B, p.B(b, d, n, t));
          const C = p.get(input.C, p.C(b, d, n, t));
          const before = cut ? real(0) : states[t][n];
          const c = decay(s, A, o.discretization);
          const lam = add(scale(conj(C), p.parts * gy), later);
          const along = (x: Complex): Complex => mul(lam, conj(x));
          p.sum(g.dC, p.C(b, d, n, t), scale(conj(states[t + 1][n]), p.parts * gy));
          p.sum(g.dB, p.B(b, d, n, t), scale(along(c.w), u));
          g.du[at] += along(mul(c.w, B)).re;
          const Bu = scale(B, u);
          ds += add(along(mul(before, c.daBySize)), along(mul(Bu, c.dwBySize))).re;
          p.sum(g.dA, p.A(d, n), add(along(mul(before, c.daByA)), along(mul(Bu, c.dwByA))));
          return cut ? real(0) : along(c.a);
        });
        g.ddelta[at] = ds * slope;
        g.ddeltaBias[d] += g.ddelta[at];
      }
      carried.forEach((lam, n) => p.put(g.dInitialState, p.state(b, d, n), lam));
    }
  }
  return g;
}
