// What the chunked form of Mamba-2 needs beside products of matrices. Exponents are differences of sums of s A within a
// chunk, never quotients of exponentials. A block of 16 rows shares the decays up to its first step: exp(c_l - c_j) is
// exp(c_l - c_b) exp(c_b - c_j) for j < b <= l, both at most 1 where A < 0, so a chunk of Q steps takes Q (Q / 32 + 16)
// exponentials instead of Q Q / 2.
#include "ssd.h"

#include "loops.h"
#include "softplus.h"

namespace softlane::ISA {
namespace {

constexpr size_t kRows = 16;

template <class V>
void stepsOf(const SsdSteps& job) {
  using S = typename V::Scalar;
  constexpr size_t L = V::lanes;
  const AnyExp<V> exp;
  const Softplus<V> softplus{exp};
  const S *dt = static_cast<const S*>(job.dt), A = *static_cast<const S*>(job.A);
  const S bias = job.bias ? *static_cast<const S*>(job.bias) : S(0);
  S *s = static_cast<S*>(job.s), *c = static_cast<S*>(job.c), *slope = static_cast<S*>(job.slope);
  S *enter = static_cast<S*>(job.enter), *leave = static_cast<S*>(job.leave);
  const size_t n = job.length, padded = ssdStride(n);
  for (size_t t = 0; t < padded; t++) s[t] = t < n ? dt[t * job.dtStep] + bias : S(0);
  const V low = V::set(S(job.low)), high = V::set(S(job.high)), one = V::set(1), zero = V::set(0);
  for (size_t t = 0; t < n; t += L) {
    const V r = V::load(s + t), size = job.softplus ? softplus(r) : r;
    min(high, max(low, size)).store(s + t);
    if (!slope) continue;
    V d = job.softplus ? softplus.slope(r) : one;
    d = select(less(size, low), zero, select(less(high, size), zero, d));
    d.store(slope + t);
  }
  S sum = 0;
  for (size_t t = 0; t < n; t++) c[t] = sum += s[t] * A;
  for (size_t t = n; t < padded; t++) {
    s[t] = 0;
    c[t] = sum;
  }
  for (size_t t = 0; t < n; t += L) {
    const V sums = V::load(c + t);
    exp(sums).store(enter + t);
    exp(V::set(sum) - sums).store(leave + t);
  }
  if (!job.starts) return;
  const int32_t last = job.starts[n - 1];
  for (size_t t = 0; t < n; t++) {
    if (job.starts[t] >= 0) enter[t] = 0;
    if (int32_t(t) < last) leave[t] = 0;
  }
}

/// Zeros outside of [from, to) of the first n.
template <class S>
SOFTLANE_INLINE void keepOnly(S* row, size_t from, size_t to, size_t n) {
  for (size_t j = 0; j < from; j++) row[j] = 0;
  for (size_t j = to; j < n; j++) row[j] = 0;
}

template <class V>
void mixOf(const SsdMix& job) {
  using S = typename V::Scalar;
  constexpr size_t L = V::lanes, most = 256;
  const AnyExp<V> exp;
  const S *c = static_cast<const S*>(job.c), *s = static_cast<const S*>(job.s);
  const S *scores = static_cast<const S*>(job.scores), *t = static_cast<const S*>(job.t);
  S *w = static_cast<S*>(job.w), *r = static_cast<S*>(job.r), *rows = static_cast<S*>(job.rows);
  S* columns = static_cast<S*>(job.columns);
  S before[most], own[kRows], decay[most], m[most];
  if (t)
    for (size_t j = 0; j < job.stride; j++) columns[j] = 0;
  for (size_t from = 0; from < job.length; from += kRows) {
    const V base = V::set(c[from]);
    for (size_t j = 0; j < from; j += L) exp(base - V::load(c + j)).store(before + j);
    for (size_t i = 0; i < kRows; i += L) exp(V::load(c + from + i) - base).store(own + i);
    const size_t end = from + kRows;
    for (size_t l = from; l < end && l < job.length; l++) {
      const size_t start = job.starts && job.starts[l] > 0 ? size_t(job.starts[l]) : 0, row = l * job.stride;
      for (size_t j = 0; j < from; j += L) (V::set(own[l - from]) * V::load(before + j)).store(decay + j);
      for (size_t j = from; j < end; j += L) exp(V::set(c[l]) - V::load(c + j)).store(decay + j);
      for (size_t j = 0; j < end; j += L) {
        const V both = V::load(decay + j) * V::load(s + j);
        (both * V::load(scores + row + j)).store(w + row + j);
        if (!t) continue;
        const V gradient = V::load(t + row + j);
        (both * gradient).store(r + row + j);
        (gradient * V::load(scores + row + j) * V::load(decay + j)).store(m + j);
      }
      keepOnly(w + row, start, l + 1, job.stride);
      if (!t) continue;
      keepOnly(r + row, start, l + 1, job.stride);
      keepOnly(m, start, l + 1, end);
      V sum = V::set(0);
      for (size_t j = 0; j < end; j += L) {
        const V each = V::load(m + j);
        sum = mulAdd(each, V::load(s + j), sum);
        (V::load(columns + j) + each).store(columns + j);
      }
      rows[l] = reduceAdd(sum);
    }
  }
}

template <class V>
bool scaleOf(const void* from, size_t xStep, const void* factors, size_t factorStep, size_t rows, size_t n, void* to,
             size_t yStep) {
  using S = typename V::Scalar;
  constexpr size_t L = V::lanes;
  V nothing = V::set(0);  // becomes NaN where a result is not finite
  for (size_t l = 0; l < rows; l++) {
    const S* x = static_cast<const S*>(from) + l * xStep;
    S* y = static_cast<S*>(to) + l * yStep;
    const V factor = V::set(static_cast<const S*>(factors)[l * factorStep]);
    for (size_t i = 0; i < n; i += L) {
      const V scaled = factor * someOf<V>(x + i, n - i);
      nothing = mulAdd(scaled, V::set(0), nothing);
      putSome(scaled, y + i, n - i);
    }
  }
  return reduceAdd(nothing) == 0;
}

template <class V>
void finishOf(const SsdFinish& job) {
  using S = typename V::Scalar;
  constexpr size_t L = V::lanes;
  const AnySigmoid<V> sigmoid;
  const S* D = static_cast<const S*>(job.D);
  for (size_t l = 0; l < job.rows; l++) {
    const S *y = static_cast<const S*>(job.y) + l * job.yStep, *more = static_cast<const S*>(job.more) + l * job.n;
    const S *x = static_cast<const S*>(job.x) + l * job.xStep, *z = static_cast<const S*>(job.z) + l * job.zStep;
    S* out = static_cast<S*>(job.out) + l * job.outStep;
    const V factor = V::set(static_cast<const S*>(job.factors)[l * job.factorStep]);
    for (size_t i = 0; i < job.n; i += L) {
      const size_t rest = job.n - i;
      V v = mulAdd(factor, someOf<V>(more + i, rest), someOf<V>(y + i, rest));
      if (D) v = mulAdd(job.dEach ? someOf<V>(D + i, rest) : V::set(*D), someOf<V>(x + i, rest), v);
      if (job.z) {
        const V gate = someOf<V>(z + i, rest);
        v = v * (gate * sigmoid(gate));
      }
      putSome(v, out + i, rest);
    }
  }
}

template <class V>
void gateOf(const SsdGate& job) {
  using S = typename V::Scalar;
  constexpr size_t L = V::lanes;
  const AnySigmoid<V> sigmoid;
  const S* D = static_cast<const S*>(job.D);
  S* dD = static_cast<S*>(job.dD);
  for (size_t i = 0; i < job.n; i += L) {
    const size_t rest = job.n - i;
    const V skip = !D ? V::set(0) : job.dEach ? someOf<V>(D + i, rest) : V::set(*D);
    V sum = V::set(0);
    for (size_t l = 0; l < job.rows; l++) {
      const size_t at = l * job.step + i, here = l * job.n + i;
      V g = someOf<V>(static_cast<const S*>(job.gout) + at, rest);
      const V x = someOf<V>(static_cast<const S*>(job.x) + at, rest);
      if (job.z) {
        const V z = someOf<V>(static_cast<const S*>(job.z) + at, rest), open = sigmoid(z);
        V y = someOf<V>(static_cast<const S*>(job.y) + here, rest);
        if (D) y = mulAdd(skip, x, y);
        putSome(g * y * open * mulAdd(z, V::set(1) - open, V::set(1)), static_cast<S*>(job.dz) + at, rest);
        g = g * (z * open);
      }
      putSome(g, static_cast<S*>(job.g) + here, rest);
      sum = mulAdd(g, x, sum);
    }
    if (dD) putSome(someOf<V>(dD + i, rest) + sum, dD + i, rest);
  }
}

template <class V>
void dotsOf(const void* a, size_t aStep, const void* b, size_t bStep, size_t rows, size_t n, void* out) {
  using S = typename V::Scalar;
  constexpr size_t L = V::lanes;
  for (size_t l = 0; l < rows; l++) {
    const S *x = static_cast<const S*>(a) + l * aStep, *y = static_cast<const S*>(b) + l * bStep;
    V sum = V::set(0);
    for (size_t i = 0; i < n; i += L) sum = mulAdd(someOf<V>(x + i, n - i), someOf<V>(y + i, n - i), sum);
    static_cast<S*>(out)[l] = reduceAdd(sum);
  }
}

}  // namespace

void ssd_steps(const SsdSteps& job) {
  if (job.type == Dtype::f64) stepsOf<F64>(job);
  else stepsOf<F32>(job);
}

void ssd_mix(const SsdMix& job) {
  if (job.type == Dtype::f64) mixOf<F64>(job);
  else mixOf<F32>(job);
}

bool ssd_scale(Dtype type, const void* x, size_t xStep, const void* factors, size_t factorStep, size_t rows, size_t n,
               void* y, size_t yStep) {
  return type == Dtype::f64 ? scaleOf<F64>(x, xStep, factors, factorStep, rows, n, y, yStep)
                            : scaleOf<F32>(x, xStep, factors, factorStep, rows, n, y, yStep);
}

void ssd_finish(const SsdFinish& job) {
  if (job.type == Dtype::f64) finishOf<F64>(job);
  else finishOf<F32>(job);
}

void ssd_gate(const SsdGate& job) {
  if (job.type == Dtype::f64) gateOf<F64>(job);
  else gateOf<F32>(job);
}

void ssd_dots(Dtype type, const void* a, size_t aStep, const void* b, size_t bStep, size_t rows, size_t n, void* out) {
  if (type == Dtype::f64) dotsOf<F64>(a, aStep, b, bStep, rows, n, out);
  else dotsOf<F32>(a, aStep, b, bStep, rows, n, out);
}

}  // namespace softlane::ISA
