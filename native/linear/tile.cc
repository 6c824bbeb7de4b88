// Tiles of scores become weights, or their gradients; and what else a block of tokens needs beside products.
//
//   identity, relu, elu: w = s                     dw/ds = 1
//   taylor:              w = P_N(s), by Horner     dw/ds = P_(N-1)(s)
//   exponential:         w = e^min(s, clamp), or e^(s - shift)   dw/ds = w, 0 above the clamp
#include "lanes.h"

namespace softlane::ISA {
namespace {

template <class V>
SOFTLANE_INLINE V polynomial(V s, size_t order, const V* inverse) {
  V w = V::set(1);
  for (size_t n = order; n > 0; n--) w = mulAdd(s * inverse[n], w, V::set(1));
  return w;
}

/// The kinds of weight, each with a loop of its own.
template <class V>
struct Linear {
  SOFTLANE_INLINE V weight(V s) const { return s; }
  SOFTLANE_INLINE V slope(V) const { return V::set(1); }
};

constexpr size_t kMostOrder = 32;

template <class V>
struct Polynomial {
  size_t order;
  V inverse[kMostOrder + 1];
  explicit Polynomial(size_t n) : order(n) {
    for (size_t i = 1; i <= order; i++) inverse[i] = V::set(typename V::Scalar(1.0 / double(i)));
  }
  SOFTLANE_INLINE V weight(V s) const { return polynomial(s, order, inverse); }
  SOFTLANE_INLINE V slope(V s) const { return order == 0 ? V::set(0) : polynomial(s, order - 1, inverse); }
};

template <class V>
struct Clamped {
  using S = typename V::Scalar;
  Exponential<V, sizeof(S) == 8 ? Dtype::f64 : Dtype::f32> e;
  V top, scale;
  Clamped(double clamp, double most) : top(V::set(S(clamp))), scale(V::set(S(most))) {}
  SOFTLANE_INLINE V weight(V s) const { return e.template expNonPositive<true>(min(s, top) - top) * scale; }
  SOFTLANE_INLINE V slope(V s) const { return select(less(top, s), V::set(0), weight(s)); }
};

template <class V>
struct Shifted {
  using S = typename V::Scalar;
  Exponential<V, sizeof(S) == 8 ? Dtype::f64 : Dtype::f32> e;
  V shift;  // of what a mask hides the difference may be positive
  SOFTLANE_INLINE V weight(V s) const { return e.template expNonPositive<true>(min(s - shift, V::set(0))); }
  SOFTLANE_INLINE V slope(V s) const { return weight(s); }
};

SOFTLANE_INLINE size_t visible(size_t row, size_t columns, size_t diagonal) {
  return row + diagonal + 1 < columns ? row + diagonal + 1 : columns;
}

template <class V, class S, class F>
SOFTLANE_INLINE void tileRow(const LinearTile& job, size_t row, const F& f, S) {
  const size_t seen = visible(row, job.columns, job.diagonal), at = row * job.stride;
  const S *scores = static_cast<const S*>(job.scores) + at, *factor = static_cast<const S*>(job.factor);
  S *weights = static_cast<S*>(job.weights), *gradients = static_cast<S*>(job.gradients);
  const V zero = V::set(0), offset = V::set(job.offsets ? static_cast<const S*>(job.offsets)[row] : S(0));
  V sum = zero;
  eachLanes<V>(seen, [&](size_t j, size_t n) {
    const V s = some<V>(scores + j, n), keep = factor ? some<V>(factor + j, n) : V::set(1);
    if (weights) {
      const V w = f.weight(s) * keep;
      put<V>(weights + at + j, n, w);
      sum = sum + (n < size_t(V::lanes) ? V::load(weights + at + j, n, 0) : w);
    }
    if (gradients) put<V>(gradients + at + j, n, (some<V>(gradients + at + j, n) + offset) * f.slope(s) * keep);
  });
  eachLanes<V>(job.columns - seen, [&](size_t j, size_t n) {
    if (weights) put<V>(weights + at + seen + j, n, zero);
    if (gradients) put<V>(gradients + at + seen + j, n, zero);
  });
  if (job.sums) static_cast<S*>(job.sums)[row] += reduceAdd(sum);
}

template <class V, class S>
void tile(const LinearTile& job, S s) {
  const auto rows = [&](const auto& f) {
    for (size_t row = 0; row < job.rows; row++) tileRow<V>(job, row, f, s);
  };
  if (job.kind == LinearKind::taylor) return rows(Polynomial<V>(job.order));
  if (job.kind != LinearKind::exponential) return rows(Linear<V>{});
  if (!job.shift) return rows(Clamped<V>(job.clamp, job.most));
  for (size_t row = 0; row < job.rows; row++)
    tileRow<V>(job, row, Shifted<V>{{}, V::set(static_cast<const S*>(job.shift)[row])}, s);
}

template <class V, class S>
void most(const LinearMost& job, S) {
  const S *scores = static_cast<const S*>(job.scores), *factor = static_cast<const S*>(job.factor);
  for (size_t row = 0; row < job.rows; row++, scores += job.stride) {
    V top = V::set(lowest<S>());
    eachLanes<V>(visible(row, job.columns, job.diagonal), [&](size_t j, size_t n) {
      const V s = some<V>(scores + j, n, lowest<S>());
      top = max(top, factor ? select(less(V::set(0), some<V>(factor + j, n)), s, top) : s);
    });
    S& to = static_cast<S*>(job.most)[row];
    const S found = reduceMax(top);
    if (found > to) to = found;
  }
}

template <class V, class S>
void sums(const LinearSums& job, S) {
  const S *a = static_cast<const S*>(job.a), *x = static_cast<const S*>(job.x);
  for (size_t f = 0; f < job.rows; f++, a += job.stride)
    static_cast<S*>(job.sums)[f] +=
        reduceAdd(x ? sumSpan<V>(
                          job.columns, [&](size_t i) { return V::load(a + i) * V::load(x + i); },
                          [&](size_t i, size_t n) { return V::load(a + i, n, 0) * V::load(x + i, n, 0); })
                    : sumSpan<V>(
                          job.columns, [&](size_t i) { return V::load(a + i); },
                          [&](size_t i, size_t n) { return V::load(a + i, n, 0); }));
}

template <class V, class S>
void divide(const LinearDivide& job, S) {
  S* y = static_cast<S*>(job.y);
  const S *z = static_cast<const S*>(job.denominators), *g = static_cast<const S*>(job.g);
  S* du = static_cast<S*>(job.du);
  for (size_t i = 0; i < job.rows; i++, y += job.stride) {
    const S sum = z[i] + S(job.eps);
    const V factor = V::set(z[i] == 0 ? S(0) : S(1) / sum);
    if (!g) {
      eachLanes<V>(job.columns, [&](size_t j, size_t n) { put<V>(y + j, n, some<V>(y + j, n) * factor); });
      continue;
    }
    V dot = V::set(0);
    const size_t at = i * job.columns;
    eachLanes<V>(job.columns, [&](size_t j, size_t n) {
      const V d = some<V>(g + at + j, n) * factor;
      dot = mulAdd(d, some<V>(y + j, n), dot);
      put<V>(du + at + j, n, d);
    });
    // y holds the numerators here: <g, u> / sum^2
    static_cast<S*>(job.dz)[i] = S(0) - reduceAdd(dot * factor);
  }
}

template <class V, int P, class S>
SOFTLANE_INLINE void stepColumns(const LinearStep& job, size_t column, size_t n) {
  constexpr size_t L = V::lanes;
  const S *q = static_cast<const S*>(job.query), *k = static_cast<const S*>(job.key);
  const S* value = static_cast<const S*>(job.value) + column;
  S* state = static_cast<S*>(job.state) + column;
  const auto lanes = [&](int p) { return p + 1 < P ? L : n - (P - 1) * L; };
  V v[P], y[P];
  for (int p = 0; p < P; p++) v[p] = some<V>(value + p * L, lanes(p)), y[p] = V::set(0);
  for (size_t f = 0; f < job.features; f++, q += job.stride, k += job.stride, state += job.row) {
    const V from = V::set(*q), to = V::set(*k);
    for (int p = 0; p < P; p++) {
      const V s = mulAdd(to, v[p], some<V>(state + p * L, lanes(p)));
      put<V>(state + p * L, lanes(p), s);
      y[p] = mulAdd(from, s, y[p]);
    }
  }
  for (int p = 0; p < P; p++) put<V>(static_cast<S*>(job.y) + column + p * L, lanes(p), y[p]);
}

template <class V, class S>
double step(const LinearStep& job, S) {
  constexpr size_t L = V::lanes;
  size_t column = 0;
  for (; column + 4 * L <= job.columns; column += 4 * L) stepColumns<V, 4, S>(job, column, 4 * L);
  for (; column + L <= job.columns; column += L) stepColumns<V, 1, S>(job, column, L);
  if (column < job.columns) stepColumns<V, 1, S>(job, column, job.columns - column);
  if (!job.sums) return 0;
  const S *q = static_cast<const S*>(job.query), *k = static_cast<const S*>(job.key);
  S *z = static_cast<S*>(job.sums), part[4] = {0, 0, 0, 0};
  for (size_t f = 0; f < job.features; f++) {
    z[f] += k[f * job.stride];
    part[f % 4] += q[f * job.stride] * z[f];
  }
  return double((part[0] + part[1]) + (part[2] + part[3]));
}

}  // namespace

void linear_tile(const LinearTile& job) {
  withReal(job.type, [&](auto v, auto s) { tile<decltype(v)>(job, s); });
}
void linear_most(const LinearMost& job) {
  withReal(job.type, [&](auto v, auto s) { most<decltype(v)>(job, s); });
}
void linear_sums(const LinearSums& job) {
  withReal(job.type, [&](auto v, auto s) { sums<decltype(v)>(job, s); });
}
void linear_divide(const LinearDivide& job) {
  withReal(job.type, [&](auto v, auto s) { divide<decltype(v)>(job, s); });
}
double linear_step(const LinearStep& job) {
  double sum = 0;
  withReal(job.type, [&](auto v, auto s) { sum = step<decltype(v)>(job, s); });
  return sum;
}

}  // namespace softlane::ISA
