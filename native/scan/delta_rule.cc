// The delta rule: a state S [keys, values] that unlearns what a key held before it learns anew,
//
//   e_t = beta_t (v_t - alpha_t S_{t-1}^T k_t),  S_t = alpha_t S_{t-1} + k_t e_t^T,  out_t = S_t^T q_t,
//
// the same as S_t = alpha_t (I - beta_t k_t k_t^T) S_{t-1} + beta_t k_t v_t^T. Columns of S are independent of each other:
// lanes are columns, a tile of kDeltaTile of them goes through all of time.
//
// Backward, given do_t and dS (gradient of S_t): dS += q do, dq = S_t do, de = dS^T k, dv = beta de, dbeta = de (v - alpha m)
// with m = S_{t-1}^T k, dm = -alpha beta de, dk = dS e + S_{t-1} dm, dalpha = <dS, S_{t-1}> - beta de m, and dS becomes
// alpha dS + k dm.
#include "loops.h"
#include "state.h"

namespace softlane::ISA {
namespace {

/// A tile's columns in vectors.
template <class V>
struct Columns {
  static constexpr int count = int(kDeltaTile) / V::lanes;
  V v[count];

  static SOFTLANE_INLINE Columns set(typename V::Scalar s) {
    Columns c;
    for (V& each : c.v) each = V::set(s);
    return c;
  }
  template <class S>
  static SOFTLANE_INLINE Columns load(const S* p) {
    Columns c;
    for (int i = 0; i < count; i++) c.v[i] = V::load(p + i * V::lanes);
    return c;
  }
  /// The first n of them, zeros past those.
  template <class S>
  static SOFTLANE_INLINE Columns load(const S* p, size_t n) {
    if (n == kDeltaTile) return load(p);
    S line[kDeltaTile] = {};
    for (size_t i = 0; i < n; i++) line[i] = p[i];
    return load(line);
  }
  template <class S>
  SOFTLANE_INLINE void store(S* p) const {
    for (int i = 0; i < count; i++) v[i].store(p + i * V::lanes);
  }
  template <class S>
  SOFTLANE_INLINE void store(S* p, size_t n) const {
    if (n == kDeltaTile) return store(p);
    S line[kDeltaTile];
    store(line);
    for (size_t i = 0; i < n; i++) p[i] = line[i];
  }
  /// this + a b
  SOFTLANE_INLINE void add(V a, const Columns& b) {
    for (int i = 0; i < count; i++) v[i] = mulAdd(a, b.v[i], v[i]);
  }
  SOFTLANE_INLINE void add(const Columns& a, const Columns& b) {
    for (int i = 0; i < count; i++) v[i] = mulAdd(a.v[i], b.v[i], v[i]);
  }
  SOFTLANE_INLINE void times(V a) {
    for (V& each : v) each = each * a;
  }
  SOFTLANE_INLINE Columns plus(const Columns& b) const {
    Columns c;
    for (int i = 0; i < count; i++) c.v[i] = v[i] + b.v[i];
    return c;
  }
  SOFTLANE_INLINE typename V::Scalar total() const {
    V sum = v[0];
    for (int i = 1; i < count; i++) sum = sum + v[i];
    return reduceAdd(sum);
  }
};

/// sum over i of x_i row i, in four chains.
template <class V, class S>
SOFTLANE_INLINE Columns<V> combine(const S* x, const S* rows, size_t keys) {
  using T = Columns<V>;
  T s[4] = {T::set(0), T::set(0), T::set(0), T::set(0)};
  size_t i = 0;
  for (; i + 4 <= keys; i += 4)
    for (size_t j = 0; j < 4; j++) s[j].add(V::set(x[i + j]), T::load(rows + (i + j) * kDeltaTile));
  for (; i < keys; i++) s[0].add(V::set(x[i]), T::load(rows + i * kDeltaTile));
  return s[0].plus(s[1]).plus(s[2].plus(s[3]));
}

/// beta (v - alpha m)
template <class V>
SOFTLANE_INLINE Columns<V> correction(const Columns<V>& v, const Columns<V>& m, V alpha, V beta) {
  Columns<V> e = v;
  e.add(V::set(0) - alpha, m);
  e.times(beta);
  return e;
}

template <class V>
void forwardOf(const DeltaRuleJob& job) {
  using S = typename V::Scalar;
  using T = Columns<V>;
  const S *q = static_cast<const S*>(job.q), *k = static_cast<const S*>(job.k), *v = static_cast<const S*>(job.v);
  const S *beta = static_cast<const S*>(job.beta), *alpha = static_cast<const S*>(job.alpha);
  S *state = static_cast<S*>(job.state), *out = static_cast<S*>(job.out), *states = static_cast<S*>(job.states);
  const size_t size = job.keys * kDeltaTile;
  for (size_t t = 0; t < job.length; t++) {
    if (states) {
      memcpy(states, state, size * sizeof(S));
      states += size;
    }
    const V a = V::set(alpha ? alpha[t * job.gateStep] : S(1));
    const T m = combine<V>(k, state, job.keys);
    const T e = correction(T::load(v, job.n), m, a, V::set(beta[t * job.gateStep]));
    T y[2] = {T::set(0), T::set(0)};
    for (size_t i = 0; i < job.keys; i++) {
      T row = T::load(state + i * kDeltaTile);
      row.times(a);
      row.add(V::set(k[i]), e);
      row.store(state + i * kDeltaTile);
      y[i % 2].add(V::set(q[i]), row);
    }
    if (out) {
      y[0].plus(y[1]).store(out, job.n);
      out += job.valueStep;
    }
    q += job.keyStep;
    k += job.keyStep;
    v += job.valueStep;
  }
}

template <class V>
void backwardOf(const DeltaRuleBackward& job) {
  using S = typename V::Scalar;
  using T = Columns<V>;
  const DeltaRuleJob& f = job.forward;
  const size_t size = f.keys * kDeltaTile;
  S* dState = static_cast<S*>(job.dState);
  for (size_t t = f.length; t-- > 0;) {
    const S *q = static_cast<const S*>(f.q) + t * f.keyStep, *k = static_cast<const S*>(f.k) + t * f.keyStep;
    const S* before = static_cast<const S*>(f.states) + t * size;
    S *dq = static_cast<S*>(job.dq) + t * f.keyStep, *dk = static_cast<S*>(job.dk) + t * f.keyStep;
    const V a = V::set(f.alpha ? static_cast<const S*>(f.alpha)[t * f.gateStep] : S(1));
    const V beta = V::set(static_cast<const S*>(f.beta)[t * f.gateStep]);
    const T v = T::load(static_cast<const S*>(f.v) + t * f.valueStep, f.n);
    const T g = T::load(static_cast<const S*>(job.gout) + t * f.valueStep, f.n);
    const T m = combine<V>(k, before, f.keys), e = correction(v, m, a, beta);
    T de = T::set(0), decay = T::set(0);
    for (size_t i = 0; i < f.keys; i++) {
      T d = T::load(dState + i * kDeltaTile);
      const T old = T::load(before + i * kDeltaTile);
      T row = old, product = T::set(0);
      row.times(a);
      row.add(V::set(k[i]), e);
      d.add(V::set(q[i]), g);
      d.store(dState + i * kDeltaTile);
      de.add(V::set(k[i]), d);
      decay.add(d, old);
      product.add(row, g);
      dq[i] += product.total();
    }
    T dm = de, error = v, gate = T::set(0);
    dm.times(V::set(0) - beta);
    decay.add(dm, m);
    dm.times(a);
    error.add(V::set(0) - a, m);
    gate.add(de, error);
    for (size_t i = 0; i < f.keys; i++) {
      T d = T::load(dState + i * kDeltaTile), product = T::set(0);
      product.add(d, e);
      product.add(T::load(before + i * kDeltaTile), dm);
      dk[i] += product.total();
      d.times(a);
      d.add(V::set(k[i]), dm);
      d.store(dState + i * kDeltaTile);
    }
    static_cast<S*>(job.dbeta)[t * f.gateStep] += gate.total();
    if (job.dalpha) static_cast<S*>(job.dalpha)[t * f.gateStep] += decay.total();
    de.times(beta);
    de.store(static_cast<S*>(job.dv) + t * f.valueStep, f.n);
  }
}

}  // namespace

void delta_rule(const DeltaRuleJob& job) {
  if (job.type == Dtype::f64) forwardOf<F64>(job);
  else forwardOf<F32>(job);
}

void delta_rule_backward(const DeltaRuleBackward& job) {
  if (job.forward.type == Dtype::f64) backwardOf<F64>(job);
  else backwardOf<F32>(job);
}

}  // namespace softlane::ISA
