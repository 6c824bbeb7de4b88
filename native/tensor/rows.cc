// Rows of norms and of softmax, forward and backward.
//
//   layer norm: xhat = (x - mean) rstd, y = xhat w + b;  RMS norm: the same with mean 0
//   backward, u = g w:  dx = rstd (u - mean(u) - xhat mean(u xhat))  (RMS: without mean(u)),  dw += g xhat,  db += g
#include "vectors.h"

namespace softlane::ISA {
namespace {

/// Lane i: the largest lane of r[i].
template <class V>
SOFTLANE_INLINE V maxEach(V (&r)[V::lanes]) {
  transpose(r);
  V top = r[0];
  for (int i = 1; i < V::lanes; i++) top = max(r[i], top);
  return top;
}

/// Lane i: the sum of the lanes of r[i].
template <class V>
SOFTLANE_INLINE V sumRows(V (&r)[V::lanes]) {
  transpose(r);
  for (int step = V::lanes / 2; step > 0; step /= 2)
    for (int i = 0; i < step; i++) r[i] = r[i] + r[i + step];
  return r[0];
}

/// Adds a term to a sum, in parts of 64 vectors for the rounding of long ones; i is the element's index.
template <class V>
struct LongSum {
  V total = V::set(0), before = V::set(0);
  SOFTLANE_INLINE void add(size_t i, V term) {
    if (i % (64 * size_t(V::lanes)) == 0) {
      before = before + total;
      total = term;
    } else {
      total = total + term;
    }
  }
  SOFTLANE_INLINE V sum() const { return before + total; }
};

// As many rows as a vector has lanes go through every step together: a step that ends in one number a row is then a
// vector's, and no row waits for another's chain of dependent instructions.
template <class V>
void norm(const NormJob& job) {
  using S = typename V::Scalar;
  constexpr size_t L = V::lanes;
  const size_t n = job.cols;
  const S *w = static_cast<const S*>(job.weight), *b = static_cast<const S*>(job.bias);
  S* stats = static_cast<S*>(job.stats);
  const V share = V::set(S(1 / double(n)));
  for (size_t from = 0; from < job.rows; from += L) {
    const size_t rows = job.rows - from < L ? job.rows - from : L;
    const S* x = static_cast<const S*>(job.x) + from * n;
    V r[L];
    S means[L], factors[L];
    for (size_t i = 0; i < L; i++) {
      LongSum<V> sum;
      if (i < rows && job.centered)
        eachVector<V>(n, [&](size_t j, size_t rest) { sum.add(j, part<V>(x + i * n + j, rest)); });
      r[i] = sum.sum();
    }
    (sumRows(r) * share).store(means);
    for (size_t i = 0; i < L; i++) {
      LongSum<V> sum;
      const V mean = V::set(means[i]);
      if (i < rows)
        eachVector<V>(n, [&](size_t j, size_t rest) {
          const V v = part<V>(x + i * n + j, rest, means[i]) - mean;  // lanes past the end hold the mean
          sum.add(j, v * v);
        });
      r[i] = sum.sum();
    }
    (V::set(1) / sqrt(sumRows(r) * share + V::set(S(job.eps)))).store(factors);
    for (size_t i = 0; i < rows; i++) {
      const V mean = V::set(means[i]), factor = V::set(factors[i]);
      S* y = static_cast<S*>(job.out) + (from + i) * n;
      stats[2 * (from + i)] = means[i];
      stats[2 * (from + i) + 1] = factors[i];
      eachVector<V>(n, [&](size_t j, size_t rest) {
        V v = (part<V>(x + i * n + j, rest) - mean) * factor;
        if (w) v = v * part<V>(w + j, rest);
        if (b) v = v + part<V>(b + j, rest);
        put(v, y + j, rest);
      });
    }
  }
}

template <class V>
void normBackward(const NormJob& job) {
  using S = typename V::Scalar;
  constexpr size_t L = V::lanes;
  const size_t n = job.cols;
  const S* w = static_cast<const S*>(job.weight);
  S *dw = static_cast<S*>(job.dWeight), *db = static_cast<S*>(job.dBias);
  const V share = V::set(S(1 / double(n)));
  for (size_t from = 0; from < job.rows; from += L) {
    const size_t rows = job.rows - from < L ? job.rows - from : L;
    const S *x = static_cast<const S*>(job.x) + from * n, *g = static_cast<const S*>(job.g) + from * n;
    const S* stats = static_cast<const S*>(job.stats) + 2 * from;
    V first[L], second[L];
    S levels[L], tilts[L];
    for (size_t i = 0; i < L; i++) {
      LongSum<V> level, tilt;
      if (i < rows) {
        const S center = stats[2 * i];
        const V mean = V::set(center), rstd = V::set(stats[2 * i + 1]);
        eachVector<V>(n, [&](size_t j, size_t rest) {
          const V slope = part<V>(g + i * n + j, rest), hat = (part<V>(x + i * n + j, rest, center) - mean) * rstd;
          const V u = w ? slope * part<V>(w + j, rest) : slope;
          level.add(j, u);
          tilt.add(j, u * hat);
          if (dw) put(mulAdd(slope, hat, part<V>(dw + j, rest)), dw + j, rest);
          if (db) put(slope + part<V>(db + j, rest), db + j, rest);
        });
      }
      first[i] = level.sum();
      second[i] = tilt.sum();
    }
    (job.centered ? sumRows(first) * share : V::set(0)).store(levels);
    (sumRows(second) * share).store(tilts);
    if (!job.out) continue;
    for (size_t i = 0; i < rows; i++) {
      S* dx = static_cast<S*>(job.out) + (from + i) * n;
      const V mean = V::set(stats[2 * i]), rstd = V::set(stats[2 * i + 1]), level = V::set(levels[i]),
              tilt = V::set(tilts[i]);
      eachVector<V>(n, [&](size_t j, size_t rest) {
        const V slope = part<V>(g + i * n + j, rest), hat = (part<V>(x + i * n + j, rest) - mean) * rstd;
        const V u = w ? slope * part<V>(w + j, rest) : slope;
        put((u - level - hat * tilt) * rstd, dx + j, rest);
      });
    }
  }
}

/// Columns of row r that count.
template <class Job>
SOFTLANE_INLINE size_t limitOf(const Job& job, size_t r) {
  const size_t limit = job.growing ? job.limit + r : job.limit;
  return limit < job.cols ? limit : job.cols;
}

template <class V>
void softmax(const SoftmaxJob& job) {
  using S = typename V::Scalar;
  constexpr size_t L = V::lanes;
  const ExpOf<V> e;
  const S minus = -__builtin_inff();
  const V least = V::set(lowest<S>());  // finite: a row of -infinity has the sum 0, not NaN
  for (size_t from = 0; from < job.rows; from += L) {
    const size_t rows = job.rows - from < L ? job.rows - from : L;
    const S* x = static_cast<const S*>(job.x) + from * job.stride;
    S* y = static_cast<S*>(job.y) + from * job.stride;
    V r[L];
    S tops[L], factors[L], logs[L];
    for (size_t i = 0; i < L; i++) {
      V top = least;
      if (i < rows)
        eachVector<V>(limitOf(job, from + i),
                      [&](size_t j, size_t rest) { top = max(part<V>(x + i * job.stride + j, rest, minus), top); });
      r[i] = top;
    }
    maxEach(r).store(tops);
    for (size_t i = 0; i < L; i++) {
      LongSum<V> total;
      const V shift = V::set(tops[i]);
      if (i < rows)
        eachVector<V>(limitOf(job, from + i), [&](size_t j, size_t rest) {
          const V v = e.template expNonPositive<true>(part<V>(x + i * job.stride + j, rest, minus) - shift);
          if (!job.log) put(v, y + i * job.stride + j, rest);
          total.add(j, v);
        });
      r[i] = total.sum();
    }
    const V sums = sumRows(r), none = V::set(0);
    const V factor = selectZero(sums, none, V::set(1) / sums);
    factor.store(factors);
    if (job.tops) {
      put(V::load(tops), static_cast<S*>(job.tops) + from, rows);
      put(factor, static_cast<S*>(job.factors) + from, rows);
    }
    if (job.log) {
      sums.store(logs);
      for (size_t i = 0; i < rows; i++) logs[i] = S(::log(double(logs[i])));
    }
    for (size_t i = 0; i < rows; i++) {
      const size_t n = limitOf(job, from + i);
      const S* in = x + i * job.stride;
      S* out = y + i * job.stride;
      if (job.log) {
        const V shift = V::set(tops[i]), below = V::set(logs[i]);
        eachVector<V>(n, [&](size_t j, size_t rest) { put(part<V>(in + j, rest) - shift - below, out + j, rest); });
      } else if (!job.tops) {
        const V f = V::set(factors[i]);
        eachVector<V>(n, [&](size_t j, size_t rest) { put(part<V>(out + j, rest) * f, out + j, rest); });
      }
      const V filling = V::set(job.log ? minus : S(0));
      eachVector<V>(job.cols - n, [&](size_t j, size_t rest) { put(filling, out + n + j, rest); });
    }
  }
}

template <class V>
void scores(const ScoreJob& job) {
  using S = typename V::Scalar;
  constexpr size_t L = V::lanes;
  const ExpOf<V> e;
  const V none = V::set(0);
  for (size_t from = 0; from < job.rows; from += L) {
    const size_t rows = job.rows - from < L ? job.rows - from : L;
    V r[L];
    S deltas[L];
    for (size_t i = 0; i < L; i++) {
      V total = none;
      const size_t start = (from + i) * job.gStride;
      if (i < rows)
        eachVector<V>(job.width, [&](size_t j, size_t rest) {
          total = mulAdd(part<V>(static_cast<const S*>(job.g) + start + j, rest),
                         part<V>(static_cast<const S*>(job.out) + start + j, rest), total);
        });
      r[i] = total;
    }
    sumRows(r).store(deltas);
    for (size_t i = 0; i < rows; i++) {
      S *s = static_cast<S*>(job.s) + (from + i) * job.stride, *dp = static_cast<S*>(job.dp) + (from + i) * job.stride;
      const size_t n = limitOf(job, from + i);
      const V shift = V::set(static_cast<const S*>(job.tops)[from + i]),
              factor = V::set(static_cast<const S*>(job.factors)[from + i]), delta = V::set(deltas[i]);
      eachVector<V>(n, [&](size_t j, size_t rest) {
        const V p = e.template expNonPositive<true>(part<V>(s + j, rest) - shift) * factor;
        put(p, s + j, rest);
        put(p * (part<V>(dp + j, rest) - delta), dp + j, rest);
      });
      eachVector<V>(job.cols - n, [&](size_t j, size_t rest) {
        put(none, s + n + j, rest);
        put(none, dp + n + j, rest);
      });
    }
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
