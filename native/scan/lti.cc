// Diagonal linear time-invariant systems, lanes being channels. Rows of a block of steps are turned into lanes once; then
// each state goes through the block in registers, several at a time to hide the latency of their multiply-adds.
#include "lti.h"

#include "fft.h"
#include "loops.h"

namespace softlane::ISA {
namespace {

constexpr size_t W = kLtiLanes;

/// Rows to lanes: lanes[t][i] = rows[i][t]; lanes past `count` are zeros.
template <class V, class S>
void turnRows(const S* rows, size_t step, size_t count, size_t length, S* lanes) {
  constexpr size_t L = V::lanes;
  for (size_t t = 0; t < length; t += L)
    for (size_t i = 0; i < W; i += L) {
      const size_t some = length - t;
      V r[L];
      for (size_t j = 0; j < L; j++) r[j] = i + j < count ? someOf<V>(rows + (i + j) * step + t, some) : V::set(0);
      transpose(r);
      for (size_t j = 0; j < L && j < some; j++) r[j].store(lanes + (t + j) * W + i);
    }
}

template <class V, class S>
void returnRows(const S* lanes, size_t count, size_t length, S* rows, size_t step) {
  constexpr size_t L = V::lanes;
  for (size_t t = 0; t < length; t += L)
    for (size_t i = 0; i < count; i += L) {
      const size_t some = length - t;
      V r[L];
      for (size_t j = 0; j < L; j++) r[j] = j < some ? V::load(lanes + (t + j) * W + i) : V::set(0);
      transpose(r);
      for (size_t j = 0; j < L && i + j < count; j++) putSome(r[j], rows + (i + j) * step + t, some);
    }
}

/// One state of a vector of lanes: real, or the two parts of a complex number.
template <class V, bool Complex>
struct State {
  V re, im;
  template <class S>
  static SOFTLANE_INLINE State load(const S* p) {
    if constexpr (Complex) return {V::load(p), V::load(p + W)};
    else return {V::load(p), V::set(0)};
  }
  template <class S>
  SOFTLANE_INLINE void store(S* p) const {
    re.store(p);
    if constexpr (Complex) im.store(p + W);
  }
  template <class S>
  SOFTLANE_INLINE void addTo(S* p) const {
    (V::load(p) + re).store(p);
    if constexpr (Complex) (V::load(p + W) + im).store(p + W);
  }
  /// this times decay
  SOFTLANE_INLINE State times(const State& a) const {
    if constexpr (Complex) return {re * a.re - im * a.im, mulAdd(re, a.im, im * a.re)};
    else return {re * a.re, im};
  }
  /// this times the conjugate
  SOFTLANE_INLINE State timesConjugate(const State& a) const {
    if constexpr (Complex) return {mulAdd(re, a.re, im * a.im), im * a.re - re * a.im};
    else return {re * a.re, im};
  }
  /// this + x times a real number
  SOFTLANE_INLINE State plus(const State& x, V factor) const {
    if constexpr (Complex) return {mulAdd(x.re, factor, re), mulAdd(x.im, factor, im)};
    else return {mulAdd(x.re, factor, re), im};
  }
  /// the real part of this times x, added to y
  SOFTLANE_INLINE V read(const State& x, V y) const {
    y = mulAdd(re, x.re, y);
    if constexpr (Complex) y = y - im * x.im;
    return y;
  }
};

/// States [n, n + K) through a block of lanes i.
template <class V, bool Complex, int K, class S>
SOFTLANE_INLINE void statesThrough(const LtiTile& job, size_t n, size_t i, const S* u, S* y) {
  using H = State<V, Complex>;
  const size_t line = W * (Complex ? 2 : 1);
  H h[K], a[K], b[K], c[K];
  for (int k = 0; k < K; k++) {
    const size_t at = (n + size_t(k)) * line + i;
    h[k] = H::load(static_cast<const S*>(job.state) + at);
    a[k] = H::load(static_cast<const S*>(job.decay) + at);
    b[k] = H::load(static_cast<const S*>(job.input) + at);
    c[k] = H::load(static_cast<const S*>(job.weight) + at);
  }
  for (size_t t = 0; t < job.length; t++) {
    V sum = V::load(y + t * W + i);
    if (u) {
      const V x = V::load(u + t * W + i);
      for (int k = 0; k < K; k++) h[k] = h[k].times(a[k]).plus(b[k], x);
      for (int k = 0; k < K; k++) sum = h[k].read(c[k], sum);
    } else {
      for (int k = 0; k < K; k++) {
        sum = h[k].read(c[k], sum);
        h[k] = h[k].times(a[k]);
      }
    }
    sum.store(y + t * W + i);
  }
  for (int k = 0; k < K; k++) h[k].store(static_cast<S*>(job.state) + (n + size_t(k)) * line + i);
}

template <class V, bool Complex>
void forwardOf(const LtiTile& job) {
  using S = typename V::Scalar;
  constexpr size_t L = V::lanes, together = Complex ? 2 : 4;
  S u[kLtiSteps * W], y[kLtiSteps * W];
  if (job.u) turnRows<V>(static_cast<const S*>(job.u), job.rowStep, job.rows, job.length, u);
  for (size_t i = 0; i < W; i += L) {
    const V skip = V::load(static_cast<const S*>(job.skip) + i);
    for (size_t t = 0; t < job.length; t++) (job.u ? skip * V::load(u + t * W + i) : V::set(0)).store(y + t * W + i);
    size_t n = 0;
    for (; n + together <= job.n; n += together)
      statesThrough<V, Complex, int(together)>(job, n, i, job.u ? u : nullptr, y);
    for (; n < job.n; n++) statesThrough<V, Complex, 1>(job, n, i, job.u ? u : nullptr, y);
  }
  if (job.y) returnRows<V>(y, job.rows, job.length, static_cast<S*>(job.y), job.rowStep);
}

template <class V, bool Complex>
void backwardOf(const LtiBackward& job) {
  using S = typename V::Scalar;
  using H = State<V, Complex>;
  constexpr size_t L = V::lanes, line = W * (Complex ? 2 : 1);
  const LtiTile& f = job.forward;
  S u[kLtiSteps * W], g[kLtiSteps * W], du[kLtiSteps * W];
  H states[kLtiSteps + 1];
  turnRows<V>(static_cast<const S*>(f.u), f.rowStep, f.rows, f.length, u);
  turnRows<V>(static_cast<const S*>(job.gout), f.rowStep, f.rows, f.length, g);
  for (size_t i = 0; i < W; i += L) {
    const V skip = V::load(static_cast<const S*>(f.skip) + i);
    V sum = V::set(0);
    for (size_t t = 0; t < f.length; t++) {
      const V gradient = V::load(g + t * W + i);
      (skip * gradient).store(du + t * W + i);
      sum = mulAdd(gradient, V::load(u + t * W + i), sum);
    }
    S* dSkip = static_cast<S*>(job.dSkip) + i;
    (V::load(dSkip) + sum).store(dSkip);
    for (size_t n = 0; n < f.n; n++) {
      const size_t at = n * line + i;
      const H a = H::load(static_cast<const S*>(f.decay) + at), b = H::load(static_cast<const S*>(f.input) + at);
      const H c = H::load(static_cast<const S*>(f.weight) + at);
      states[0] = H::load(static_cast<const S*>(f.state) + at);
      for (size_t t = 0; t < f.length; t++) states[t + 1] = states[t].times(a).plus(b, V::load(u + t * W + i));
      H carry = H::load(static_cast<const S*>(job.carry) + at);
      H zero{V::set(0), V::set(0)}, dDecay = zero, dInput = zero, dWeight = zero;
      for (size_t t = f.length; t-- > 0;) {
        const V gradient = V::load(g + t * W + i);
        H lam = carry;  // + gradient conj(weight)
        lam.re = mulAdd(gradient, c.re, lam.re);
        if constexpr (Complex) lam.im = lam.im - gradient * c.im;
        carry = lam.timesConjugate(a);
        const H product = lam.timesConjugate(states[t]);
        dDecay = dDecay.plus(product, V::set(1));
        dInput = dInput.plus(lam, V::load(u + t * W + i));
        dWeight = dWeight.plus(states[t + 1], gradient);
        V d = mulAdd(lam.re, b.re, V::load(du + t * W + i));
        if constexpr (Complex) d = mulAdd(lam.im, b.im, d);
        d.store(du + t * W + i);
      }
      carry.store(static_cast<S*>(job.carry) + at);
      dDecay.addTo(static_cast<S*>(job.dDecay) + at);
      dInput.addTo(static_cast<S*>(job.dInput) + at);
      if constexpr (Complex) dWeight.im = V::set(0) - dWeight.im;
      dWeight.addTo(static_cast<S*>(job.dWeight) + at);
    }
  }
  returnRows<V>(du, f.rows, f.length, static_cast<S*>(job.du), f.rowStep);
}

/// y_t = sum over j of kernel_j u_{t-j}, four moments at a time.
template <class V>
void directOf(const void* kernel, const void* input, size_t length, void* output) {
  using S = typename V::Scalar;
  constexpr size_t T = 4;
  const S *K = static_cast<const S*>(kernel), *u = static_cast<const S*>(input);
  S* y = static_cast<S*>(output);
  for (size_t i = 0; i < W; i += V::lanes)
    for (size_t t = 0; t < length; t += T) {
      const size_t count = length - t < T ? length - t : T;
      V sum[T];
      for (V& each : sum) each = V::set(0);
      size_t j = 0;
      if (count == T)
        for (; j <= t; j++) {
          const V weight = V::load(K + j * W + i);
          for (size_t k = 0; k < T; k++) sum[k] = mulAdd(weight, V::load(u + (t + k - j) * W + i), sum[k]);
        }
      for (; j < t + count; j++)
        for (size_t k = 0; k < count; k++)
          if (t + k >= j) sum[k] = mulAdd(V::load(K + j * W + i), V::load(u + (t + k - j) * W + i), sum[k]);
      for (size_t k = 0; k < count; k++) sum[k].store(y + (t + k) * W + i);
    }
}

template <class V>
void fftOf(const LtiFft& job) {
  using S = typename V::Scalar;
  S *re = static_cast<S*>(job.re), *im = static_cast<S*>(job.im);
  const S *cosines = static_cast<const S*>(job.cosines), *sines = static_cast<const S*>(job.sines);
  if (job.inverse) transformLanes<V, true>(re, im, job.size, job.size, W, cosines, sines);
  else transformLanes<V, false>(re, im, job.size, job.size, W, cosines, sines);
}

template <class V>
void multiplyOf(const LtiFft& u, const LtiFft& kernel) {
  using S = typename V::Scalar;
  multiplyPacked<V>(static_cast<S*>(u.re), static_cast<S*>(u.im), static_cast<const S*>(kernel.re),
                    static_cast<const S*>(kernel.im), u.size, W, static_cast<const S*>(u.cosines),
                    static_cast<const S*>(u.sines));
}

}  // namespace

void lti_tile(const LtiTile& job) {
  if (job.type == Dtype::f64) job.complex ? forwardOf<F64, true>(job) : forwardOf<F64, false>(job);
  else job.complex ? forwardOf<F32, true>(job) : forwardOf<F32, false>(job);
}

void lti_tile_backward(const LtiBackward& job) {
  if (job.forward.type == Dtype::f64) job.forward.complex ? backwardOf<F64, true>(job) : backwardOf<F64, false>(job);
  else job.forward.complex ? backwardOf<F32, true>(job) : backwardOf<F32, false>(job);
}

void lti_turn(Dtype type, const void* rows, size_t step, size_t count, size_t length, void* lanes) {
  if (type == Dtype::f64)
    turnRows<F64>(static_cast<const double*>(rows), step, count, length, static_cast<double*>(lanes));
  else turnRows<F32>(static_cast<const float*>(rows), step, count, length, static_cast<float*>(lanes));
}

void lti_return(Dtype type, const void* lanes, size_t count, size_t length, void* rows, size_t step) {
  if (type == Dtype::f64)
    returnRows<F64>(static_cast<const double*>(lanes), count, length, static_cast<double*>(rows), step);
  else returnRows<F32>(static_cast<const float*>(lanes), count, length, static_cast<float*>(rows), step);
}

void lti_direct(Dtype type, const void* kernel, const void* u, size_t length, void* y) {
  if (type == Dtype::f64) directOf<F64>(kernel, u, length, y);
  else directOf<F32>(kernel, u, length, y);
}

void lti_fft(const LtiFft& job) {
  if (job.type == Dtype::f64) fftOf<F64>(job);
  else fftOf<F32>(job);
}

void lti_multiply(const LtiFft& u, const LtiFft& kernel) {
  if (u.type == Dtype::f64) multiplyOf<F64>(u, kernel);
  else multiplyOf<F32>(u, kernel);
}

}  // namespace softlane::ISA
