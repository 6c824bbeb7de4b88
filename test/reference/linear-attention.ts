/** Linear attention by its definition, in float64: every weight of every pair of tokens. */

/** What a call is about; the names of the package's options. */
export interface LinearCase {
  batch: number;
  heads: number;
  length: number;
  encoderLength?: number;
  headDim: number;
  valueDim: number;
  map: 'elu' | 'relu' | 'identity' | 'taylor';
  order?: number;
  scale: number;
  normalize: boolean;
  eps: number;
  causal: boolean;
  padding?: 'exact' | 'reference';
}

export interface LinearArrays {
  q: ArrayLike<number>;
  k: ArrayLike<number>;
  v: ArrayLike<number>;
  kEnc?: ArrayLike<number>;
  vEnc?: ArrayLike<number>;
  mask?: ArrayLike<number>;
}

const phi = (map: LinearCase['map'], x: number): number => {
  if (map === 'relu') return Math.max(x, 0);
  if (map !== 'elu') return x;
  return x > 0 ? x + 1 : Math.exp(x);
};

const slope = (map: LinearCase['map'], x: number): number => {
  if (map === 'relu') return x > 0 ? 1 : 0;
  if (map !== 'elu') return 1;
  return x > 0 ? 1 : Math.exp(x);
};

/** sum_(n <= order) s^n / n! */
export function taylor(s: number, order: number): number {
  let [sum, term] = [1, 1];
  for (let n = 1; n <= order; n++) {
    term *= s / n;
    sum += term;
  }
  return sum;
}

/** A token that a query may see. */
interface Seen {
  /** Where its key and value are: in k and v, or in kEnc and vEnc. */
  encoder: boolean;
  /** Row of these. */
  row: number;
  /** False: its key is zeroed before the map, or (exact) it is not there. */
  masked: boolean;
}

/** The tokens that query t of a head sees. */
function seenBy(c: LinearCase, arrays: LinearArrays, head: number, t: number): Seen[] {
  const masked = (i: number): boolean =>
    arrays.mask !== undefined && arrays.mask[Math.floor(head / c.heads) * c.length + i] === 0;
  const list: Seen[] = [];
  const encoded = c.encoderLength ?? 0;
  for (let j = 0; j < encoded; j++) list.push({ encoder: true, row: head * encoded + j, masked: masked(j) });
  const last = c.causal ? t : c.length - 1;
  for (let i = 0; i <= last; i++) list.push({ encoder: false, row: head * c.length + i, masked: masked(i) });
  return list.filter((each) => c.padding === 'reference' || !each.masked);
}

interface Weight {
  w: number;
  /** d w / d (the inner product of mapped vectors, before the scale) */
  dw: number;
}

function weightOf(c: LinearCase, arrays: LinearArrays, row: number, seen: Seen): Weight {
  const keys = seen.encoder ? arrays.kEnc! : arrays.k;
  let dot = 0;
  for (let j = 0; j < c.headDim; j++) {
    const x = seen.masked ? 0 : keys[seen.row * c.headDim + j];
    dot += phi(c.map, arrays.q[row * c.headDim + j]) * phi(c.map, x);
  }
  if (c.map !== 'taylor') return { w: c.scale * dot, dw: c.scale };
  const order = c.order ?? 2;
  return {
    w: taylor(c.scale * dot, order),
    dw: order === 0 ? 0 : c.scale * taylor(c.scale * dot, order - 1),
  };
}

/** The output, and the sums of the weights. */
export function linearAttention(
  c: LinearCase,
  arrays: LinearArrays,
): { out: Float64Array; sums: Float64Array } {
  const rows = c.batch * c.heads * c.length;
  const [out, sums] = [new Float64Array(rows * c.valueDim), new Float64Array(rows)];
  for (let row = 0; row < rows; row++) {
    for (const seen of seenBy(c, arrays, Math.floor(row / c.length), row % c.length)) {
      const { w } = weightOf(c, arrays, row, seen);
      sums[row] += w;
      const values = seen.encoder ? arrays.vEnc! : arrays.v;
      for (let j = 0; j < c.valueDim; j++) out[row * c.valueDim + j] += w * values[seen.row * c.valueDim + j];
    }
    if (!c.normalize) continue;
    for (let j = 0; j < c.valueDim; j++) {
      const at = row * c.valueDim + j;
      out[at] = sums[row] === 0 ? 0 : out[at] / (sums[row] + c.eps);
    }
  }
  return { out, sums };
}

/** Gradients of sum(out * gout). */
export function linearAttentionBackward(c: LinearCase, arrays: LinearArrays, gout: ArrayLike<number>) {
  const { out, sums } = linearAttention(c, arrays);
  const rows = c.batch * c.heads * c.length;
  const encoded = c.batch * c.heads * (c.encoderLength ?? 0);
  const d = {
    dq: new Float64Array(rows * c.headDim),
    dk: new Float64Array(rows * c.headDim),
    dv: new Float64Array(rows * c.valueDim),
    dkEnc: new Float64Array(encoded * c.headDim),
    dvEnc: new Float64Array(encoded * c.valueDim),
  };
  for (let row = 0; row < rows; row++) {
    const sum = c.normalize ? sums[row] + c.eps : 1;
    if (c.normalize && sums[row] === 0) continue;
    let dz = 0;
    for (let j = 0; c.normalize && j < c.valueDim; j++) {
      const at = row * c.valueDim + j;
      dz -= (gout[at] * out[at]) / sum;
    }
    for (const seen of seenBy(c, arrays, Math.floor(row / c.length), row % c.length)) {
      const { w, dw } = weightOf(c, arrays, row, seen);
      const [keys, values] = seen.encoder ? [arrays.kEnc!, arrays.vEnc!] : [arrays.k, arrays.v];
      const [dKeys, dValues] = seen.encoder ? [d.dkEnc, d.dvEnc] : [d.dk, d.dv];
      let g = dz;
      for (let j = 0; j < c.valueDim; j++) {
        const du = gout[row * c.valueDim + j] / sum;
        g += du * values[seen.row * c.valueDim + j];
        dValues[seen.row * c.valueDim + j] += w * du;
      }
      for (let j = 0; j < c.headDim; j++) {
        const q = arrays.q[row * c.headDim + j];
        const k = seen.masked ? 0 : keys[seen.row * c.headDim + j];
        d.dq[row * c.headDim + j] += g * dw * phi(c.map, k) * slope(c.map, q);
        if (!seen.masked) dKeys[seen.row * c.headDim + j] += g * dw * phi(c.map, q) * slope(c.map, k);
      }
    }
  }
  return d;
}
