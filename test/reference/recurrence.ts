/**
 * Recurrences over time in float64, step by step from their definitions: linear recurrences, the delta rule, the decode step
 * of a selective state, short causal convolutions.
 */
type Numbers = ArrayLike<number>;

/** Shape and form of a linear recurrence; see lib/kernels/recurrence.ts. */
export interface RecurrenceShape {
  batch: number;
  length: number;
  width: number;
  form: 'diagonal' | 'scalar' | 'gated';
  reverse: boolean;
}

/** All states of h_t = a_t h_{t-1} + b_t. */
export function linearRecurrence(
  a: Numbers,
  b: Numbers,
  initial: Numbers | undefined,
  s: RecurrenceShape,
): Float64Array {
  const h = new Float64Array(b.length);
  for (let row = 0; row < s.batch; row += 1)
    for (let i = 0; i < s.width; i += 1) {
      let state = initial ? initial[row * s.width + i] : 0;
      for (let step = 0; step < s.length; step += 1) {
        const time = row * s.length + (s.reverse ? s.length - 1 - step : step);
        const at = time * s.width + i;
        const decay = s.form === 'scalar' ? a[time] : a[at];
        state = decay * state + (s.form === 'gated' ? (1 - decay) * b[at] : b[at]);
        h[at] = state;
      }
    }
  return h;
}

/** Arrays of the delta rule; see lib/kernels/delta-rule.ts. */
export interface DeltaInput {
  q: Numbers;
  k: Numbers;
  v: Numbers;
  beta: Numbers;
  alpha?: Numbers;
  initialState?: Numbers;
}

/** Shape of a delta-rule recurrence. */
export interface DeltaShape {
  batch: number;
  length: number;
  heads: number;
  keyDim: number;
  valueDim: number;
}

/** S = alpha (I - beta k k^T) S + beta k v^T, out = S^T q: with the matrix I - beta k k^T written out. */
export function deltaRule(x: DeltaInput, s: DeltaShape): { out: Float64Array; lastState: Float64Array } {
  const { keyDim: dk, valueDim: dv } = s;
  const out = new Float64Array(s.batch * s.length * s.heads * dv);
  const lastState = new Float64Array(s.batch * s.heads * dk * dv);
  for (let row = 0; row < s.batch; row += 1)
    for (let head = 0; head < s.heads; head += 1) {
      const where = (row * s.heads + head) * dk * dv;
      let S = Float64Array.from({ length: dk * dv }, (_, i) => x.initialState?.[where + i] ?? 0);
      for (let t = 0; t < s.length; t += 1) {
        const gate = (row * s.length + t) * s.heads + head;
        const next = new Float64Array(dk * dv);
        for (let i = 0; i < dk; i += 1)
          for (let c = 0; c < dv; c += 1) {
            let kept = 0;
            for (let j = 0; j < dk; j += 1)
              kept +=
                ((i === j ? 1 : 0) - x.beta[gate] * x.k[gate * dk + i] * x.k[gate * dk + j]) * S[j * dv + c];
            next[i * dv + c] =
              (x.alpha?.[gate] ?? 1) * kept + x.beta[gate] * x.k[gate * dk + i] * x.v[gate * dv + c];
            out[gate * dv + c] += x.q[gate * dk + i] * next[i * dv + c];
          }
        S = next;
      }
      lastState.set(S, where);
    }
  return { out, lastState };
}

/** log(1 + e^x), x above 20. */
export const softplus = (x: number): number => (x > 20 ? x : Math.log1p(Math.exp(x)));

/** 1 / (1 + e^-x). */
export const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));

/** Arrays of a decode step, every one of full shape or one for each head. */
export interface StepInput {
  x: Numbers;
  dt: Numbers;
  A: Numbers;
  B: Numbers;
  C: Numbers;
  D?: Numbers;
  z?: Numbers;
  dtBias?: Numbers;
  stateIndices?: Numbers;
}

/** Shape of a decode step. */
export interface StepShape {
  batch: number;
  heads: number;
  headDim: number;
  state: number;
  groups: number;
  dtSoftplus: boolean;
}

/** One step, `state` updated in place. */
export function stateUpdate(state: Float64Array, input: StepInput, s: StepShape): Float64Array {
  const dim = s.heads * s.headDim;
  const out = new Float64Array(s.batch * dim);
  const pick = (x: Numbers, all: number, each: number, head: number): number =>
    x.length === all ? x[each] : x[head];
  for (let row = 0; row < s.batch; row += 1)
    for (let d = 0; d < dim; d += 1) {
      const head = Math.floor(d / s.headDim);
      const group = Math.floor(head / (s.heads / s.groups));
      const slot = input.stateIndices ? input.stateIndices[row] : row;
      if (slot < 0) continue;
      const at = row * dim + d;
      const bias = input.dtBias ? pick(input.dtBias, dim, d, head) : 0;
      const r = pick(input.dt, s.batch * dim, at, row * s.heads + head) + bias;
      const step = s.dtSoftplus ? softplus(r) : r;
      let y = 0;
      for (let n = 0; n < s.state; n += 1) {
        const place = (slot * dim + d) * s.state + n;
        const decay = Math.exp(step * pick(input.A, dim * s.state, d * s.state + n, head));
        state[place] =
          decay * state[place] + step * input.x[at] * input.B[(row * s.groups + group) * s.state + n];
        y += input.C[(row * s.groups + group) * s.state + n] * state[place];
      }
      if (input.D) y += pick(input.D, dim, d, head) * input.x[at];
      out[at] = input.z ? y * input.z[at] * sigmoid(input.z[at]) : y;
    }
  return out;
}

/** Arrays of a causal convolution. */
export interface ConvInput {
  x: Numbers;
  weight: Numbers;
  bias?: Numbers;
  initialState?: Numbers;
}

/** Shape and form of a causal convolution; see lib/kernels/causal-conv.ts. */
export interface ConvShape {
  batch: number;
  dim: number;
  length: number;
  width: number;
  layout: 'channels-first' | 'time-first';
  activation: 'none' | 'silu';
}

/** out_t = f(bias + sum_k weight[k] x_{t - (width - 1) + k}). */
export function causalConv(x: ConvInput, s: ConvShape): { out: Float64Array; finalState: Float64Array } {
  const { dim, length, width } = s;
  const out = new Float64Array(x.x.length);
  const finalState = new Float64Array(s.batch * dim * (width - 1));
  for (let row = 0; row < s.batch; row += 1)
    for (let d = 0; d < dim; d += 1) {
      const place = (t: number): number =>
        s.layout === 'time-first' ? (row * length + t) * dim + d : (row * dim + d) * length + t;
      const state = (row * dim + d) * (width - 1);
      const value = (t: number): number =>
        t >= 0 ? x.x[place(t)] : (x.initialState?.[state + width - 1 + t] ?? 0);
      for (let t = 0; t < length; t += 1) {
        let sum = x.bias ? x.bias[d] : 0;
        for (let k = 0; k < width; k += 1) sum += x.weight[d * width + k] * value(t - (width - 1) + k);
        out[place(t)] = s.activation === 'silu' ? sum * sigmoid(sum) : sum;
      }
      for (let j = 0; j < width - 1; j += 1) finalState[state + j] = value(length - (width - 1) + j);
    }
  return { out, finalState };
}
