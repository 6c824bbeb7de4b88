// Features of queries and keys, turned so that tokens lie in lanes, and the way back from their gradients.
//
//   Taylor: phi_a(x) = prod_j x_j^a_j / sqrt(prod_j a_j!) for every multiset a of at most N variables, so that
//   <phi(q), phi(k)> = sum_n (q.k)^n / n!. A feature of order n is one of order n - 1 times a variable, over the square
//   root of how often the variable is in it; with all d^n of Kronecker's products, over sqrt(n).
#include "lanes.h"

namespace softlane::ISA {
namespace {

/// elu(x) + 1: relative error as the exponential's.
template <class V>
struct Map {
  LinearKind kind;
  Exponential<V, sizeof(typename V::Scalar) == 8 ? Dtype::f64 : Dtype::f32> e;

  SOFTLANE_INLINE V operator()(V x) const {
    const V zero = V::set(0);
    if (kind == LinearKind::relu) return max(zero, x);
    if (kind != LinearKind::elu) return x;
    return select(less(zero, x), x + V::set(1), e.template expNonPositive<true>(min(x, zero)));
  }
  SOFTLANE_INLINE V slope(V x) const {
    const V zero = V::set(0), one = V::set(1);
    if (kind == LinearKind::relu) return select(less(zero, x), one, zero);
    if (kind != LinearKind::elu) return one;
    return select(less(zero, x), one, e.template expNonPositive<true>(min(x, zero)));
  }
};

/// Reads a block of lines of `width` elements, `from` apart, as its columns: r[i] is column i of up to L lines.
template <class V, class S>
SOFTLANE_INLINE void readTurned(const S* x, size_t from, size_t lines, size_t width, V (&r)[V::lanes]) {
  for (size_t i = 0; i < size_t(V::lanes); i++) r[i] = i < lines ? some<V>(x + i * from, width) : V::set(0);
  transpose(r);
}

template <class V, class S>
void load(const LinearLoad& job, S) {
  constexpr size_t L = V::lanes;
  const Map<V> map{job.kind, {}};
  const V scale = V::set(S(job.scale));
  const S *x = static_cast<const S*>(job.x), *factor = static_cast<const S*>(job.factor);
  S* y = static_cast<S*>(job.y);
  eachLanes<V>(job.rows, [&](size_t i, size_t lines) {
    const V keep = factor ? some<V>(factor + i, lines) : V::set(1);
    eachLanes<V>(job.dim, [&](size_t j, size_t width) {
      V r[L];
      readTurned<V>(x + i * job.dim + j, job.dim, lines, width, r);
      for (size_t c = 0; c < width; c++) {
        const V value = !factor ? map(r[c]) : job.masksInput ? map(r[c] * keep) : map(r[c]) * keep;
        put<V>(y + (j + c) * job.stride + i, lines, value * scale);
      }
    });
  });
}

template <class V, class S>
void pull(const LinearPull& job, S) {
  constexpr size_t L = V::lanes;
  const Map<V> map{job.kind, {}};
  const V scale = V::set(S(job.scale));
  const S *x = static_cast<const S*>(job.x), *factor = static_cast<const S*>(job.factor);
  const S* dy = static_cast<const S*>(job.dy);
  S* dx = static_cast<S*>(job.dx);
  const bool mapped = job.kind == LinearKind::relu || job.kind == LinearKind::elu;
  eachLanes<V>(job.rows, [&](size_t i, size_t lines) {
    eachLanes<V>(job.dim, [&](size_t j, size_t width) {
      V r[L];
      readTurned<V>(dy + j * job.stride + i, job.stride, width, lines, r);
      for (size_t t = 0; t < lines; t++) {
        const size_t at = (i + t) * job.dim + j;
        const S keep = factor ? factor[i + t] : S(1);
        V value = r[t] * scale * V::set(keep);
        if (mapped) {
          const V input = some<V>(x + at, width);
          value = value * map.slope(job.masksInput ? input * V::set(keep) : input);
        }
        put<V>(dx + at, width, value);
      }
    });
  });
}

template <class V, class S>
void expand(const LinearExpand& job, S) {
  S* phi = static_cast<S*>(job.features);
  for (const LinearRun* run = job.runs; run < job.runs + job.count; run++) {
    const S *parent = phi + run->parent * job.stride, *variables = phi + (1 + run->variable) * job.stride;
    S* to = phi + run->first * job.stride;
    const V ratio = V::set(S(run->ratio)), rest = V::set(S(run->rest));
    eachLanes<V>(job.columns, [&](size_t i, size_t n) {
      const V p = some<V>(parent + i, n), q = p * rest;
      put<V>(to + i, n, p * ratio * some<V>(variables + i, n));
      for (size_t v = 1; v < run->count; v++)
        put<V>(to + v * job.stride + i, n, q * some<V>(variables + v * job.stride + i, n));
    });
  }
}

template <class V, class S>
void contract(const LinearContract& job, S) {
  const S* phi = static_cast<const S*>(job.features);
  S* d = static_cast<S*>(job.gradients);
  for (const LinearRun* run = job.runs + job.count; run-- > job.runs;) {
    const size_t parent = run->parent * job.stride, variables = (1 + run->variable) * job.stride;
    const S* from = d + run->first * job.stride;
    eachLanes<V>(job.columns, [&](size_t i, size_t n) {
      const V p = some<V>(phi + parent + i, n);
      V ratio = V::set(S(run->ratio)), sum = V::set(0);
      for (size_t v = 0; v < run->count; v++) {
        const size_t at = variables + v * job.stride + i;
        const V g = some<V>(from + v * job.stride + i, n) * ratio;
        sum = mulAdd(g, some<V>(phi + at, n), sum);
        put<V>(d + at, n, mulAdd(g, p, some<V>(d + at, n)));
        ratio = V::set(S(run->rest));
      }
      // After its variables: the parent of order 1 may be one of them.
      put<V>(d + parent + i, n, some<V>(d + parent + i, n) + sum);
    });
  }
}

}  // namespace

void linear_load(const LinearLoad& job) {
  withReal(job.type, [&](auto v, auto s) { load<decltype(v)>(job, s); });
}
void linear_pull(const LinearPull& job) {
  withReal(job.type, [&](auto v, auto s) { pull<decltype(v)>(job, s); });
}
void linear_expand(const LinearExpand& job) {
  withReal(job.type, [&](auto v, auto s) { expand<decltype(v)>(job, s); });
}
void linear_contract(const LinearContract& job) {
  withReal(job.type, [&](auto v, auto s) { contract<decltype(v)>(job, s); });
}

}  // namespace softlane::ISA
