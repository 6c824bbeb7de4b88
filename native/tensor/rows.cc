// Rows of norms and of softmax, forward and backward.
//
//   layer norm: xhat = (x - mean) rstd, y = xhat w + b;  RMS norm: the same with mean 0
//   backward, u = g w:  dx = rstd (u - mean(u) - xhat mean(u xhat))  (RMS: without mean(u)),  dw += g xhat,  db += g
#include "vectors.h"

namespace softlane::ISA {
namespace {

/// Sum of f(i, rest) over a row; f gives 0 in lanes past the end.
template <class V, class F>
SOFTLANE_INLINE double rowSum(size_t n, F f) {
  constexpr size_t L = V::lanes;
  return double(reduceAdd(sumSpan<V>(
      n, [&](size_t i) { return f(i, L); }, f)));
}

template <class V>
void norm(const NormJob& job) {
  using S = typename V::Scalar;
  const size_t n = job.cols;
  const S *w = static_cast<const S*>(job.weight), *b = static_cast<const S*>(job.bias);
  S* stats = static_cast<S*>(job.stats);
  for (size_t r = 0; r < job.rows; r++) {
    const S* x = static_cast<const S*>(job.x) + r * n;
    S* y = static_cast<S*>(job.out) + r * n;
    const S center =
        job.centered ? S(rowSum<V>(n, [&](size_t i, size_t rest) { return part<V>(x + i, rest); }) / double(n)) : S(0);
    const V mean = V::set(center);
    const double square = rowSum<V>(n, [&](size_t i, size_t rest) {
      const V v = part<V>(x + i, rest, center) - mean;  // lanes past the end hold the mean
      return v * v;
    });
    const S rstd = S(1 / ::sqrt(square / double(n) + job.eps));
    const V factor = V::set(rstd);
    stats[2 * r] = center;
    stats[2 * r + 1] = rstd;
    eachVector<V>(n, [&](size_t i, size_t rest) {
      V v = (part<V>(x + i, rest) - mean) * factor;
      if (w) v = v * part<V>(w + i, rest);
      if (b) v = v + part<V>(b + i, rest);
      put(v, y + i, rest);
    });
  }
}

template <class V>
void normBackward(const NormJob& job) {
  using S = typename V::Scalar;
  const size_t n = job.cols;
  const S *w = static_cast<const S*>(job.weight), *stats = static_cast<const S*>(job.stats);
  S *dw = static_cast<S*>(job.dWeight), *db = static_cast<S*>(job.dBias);
  for (size_t r = 0; r < job.rows; r++) {
    const S *x = static_cast<const S*>(job.x) + r * n, *g = static_cast<const S*>(job.g) + r * n;
    S* dx = static_cast<S*>(job.out) + r * n;
    const V mean = V::set(stats[2 * r]), rstd = V::set(stats[2 * r + 1]);
    V first = V::set(0), second = V::set(0);
    eachVector<V>(n, [&](size_t i, size_t rest) {
      const V slope = part<V>(g + i, rest), hat = (part<V>(x + i, rest, stats[2 * r]) - mean) * rstd;
      const V u = w ? slope * part<V>(w + i, rest) : slope;
      first = first + u;
      second = mulAdd(u, hat, second);
      if (dw) put(mulAdd(slope, hat, part<V>(dw + i, rest)), dw + i, rest);
      if (db) put(slope + part<V>(db + i, rest), db + i, rest);
    });
    const V level = V::set(job.centered ? S(double(reduceAdd(first)) / double(n)) : S(0)),
            tilt = V::set(S(double(reduceAdd(second)) / double(n)));
    if (!dx) continue;
    eachVector<V>(n, [&](size_t i, size_t rest) {
      const V slope = part<V>(g + i, rest), hat = (part<V>(x + i, rest) - mean) * rstd;
      const V u = w ? slope * part<V>(w + i, rest) : slope;
      put((u - level - hat * tilt) * rstd, dx + i, rest);
    });
  }
}

template <class V>
void softmax(const SoftmaxJob& job) {
  using S = typename V::Scalar;
  const ExpOf<V> e;
  const V scale = V::set(S(job.scale)), lowestOf = V::set(lowest<S>());
  const S minus = -__builtin_inff();
  for (size_t r = 0; r < job.rows; r++) {
    const S* x = static_cast<const S*>(job.x) + r * job.xStride;
    S* y = static_cast<S*>(job.y) + r * job.yStride;
    const size_t grown = job.growing ? job.limit + r : job.limit, n = grown < job.cols ? grown : job.cols;
    V top = lowestOf;  // finite: a row of -infinity has the sum 0, not NaN
    eachVector<V>(n, [&](size_t i, size_t rest) { top = max(part<V>(x + i, rest, minus) * scale, top); });
    const S most = reduceMax(top);
    const V shift = V::set(most);
    V total[2] = {V::set(0), V::set(0)};
    size_t i = 0;
    const auto term = [&](size_t at, size_t rest) {
      const V v = e.template expNonPositive<true>(part<V>(x + at, rest, minus) * scale - shift);
      if (!job.log) put(v, y + at, rest);
      return v;
    };
    constexpr size_t L = V::lanes;
    for (; i + 2 * L <= n; i += 2 * L) {
      total[0] = total[0] + term(i, L);
      total[1] = total[1] + term(i + L, L);
    }
    for (; i < n; i += L) total[0] = total[0] + term(i, n - i);
    const double sum = double(reduceAdd(total[0] + total[1]));
    const S factor = sum == 0 ? S(0) : S(1 / sum);
    if (job.factors) static_cast<S*>(job.factors)[r] = factor;
    if (job.logSums || job.log) {
      const double logSum = double(most) + ::log(sum);
      if (job.logSums) static_cast<S*>(job.logSums)[r] = S(logSum);
      if (job.log) {
        const V below = V::set(S(::log(sum)));
        eachVector<V>(
            n, [&](size_t at, size_t rest) { put(part<V>(x + at, rest) * scale - shift - below, y + at, rest); });
      }
    }
    if (!job.log && !job.factors) {
      const V f = V::set(factor);
      eachVector<V>(n, [&](size_t at, size_t rest) { put(part<V>(y + at, rest) * f, y + at, rest); });
    }
    const V filling = V::set(job.log ? minus : S(0));
    eachVector<V>(job.cols - n, [&](size_t at, size_t rest) { put(filling, y + n + at, rest); });
  }
}

template <class V>
void scores(const ScoreJob& job) {
  using S = typename V::Scalar;
  const ExpOf<V> e;
  const V scale = V::set(S(job.scale)), none = V::set(0);
  for (size_t r = 0; r < job.rows; r++) {
    S *s = static_cast<S*>(job.s) + r * job.stride, *dp = static_cast<S*>(job.dp) + r * job.stride;
    const size_t grown = job.growing ? job.limit + r : job.limit, n = grown < job.cols ? grown : job.cols;
    const S sum = static_cast<const S*>(job.logSums)[r];
    const V shift = V::set(sum), delta = V::set(static_cast<const S*>(job.deltas)[r]);
    const bool any = sum > -__builtin_inff();
    eachVector<V>(n, [&](size_t i, size_t rest) {
      const V a = part<V>(s + i, rest) * scale - shift;
      const V p = any ? e.template expNonPositive<true>(min(none, a)) : none;
      put(p, s + i, rest);
      put(p * (part<V>(dp + i, rest) - delta) * scale, dp + i, rest);
    });
    eachVector<V>(job.cols - n, [&](size_t at, size_t rest) {
      put(none, s + n + at, rest);
      put(none, dp + n + at, rest);
    });
  }
}

}  // namespace

void tensor_norm(const NormJob& job) {
  withReal(job.type, [&](auto v) {
    if (job.g) normBackward<decltype(v)>(job);
    else norm<decltype(v)>(job);
  });
}

void tensor_softmax(const SoftmaxJob& job) {
  withReal(job.type, [&](auto v) { softmax<decltype(v)>(job); });
}

void tensor_scores(const ScoreJob& job) {
  withReal(job.type, [&](auto v) { scores<decltype(v)>(job); });
}

}  // namespace softlane::ISA
