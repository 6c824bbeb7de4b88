// Arithmetic on lines, sums, and the steps of optimisers.
#include "vectors.h"

namespace softlane::ISA {
namespace {

template <class V, class F>
SOFTLANE_INLINE void combine(const BinaryJob& job, F f) {
  using S = typename V::Scalar;
  const S *a = static_cast<const S*>(job.a), *b = static_cast<const S*>(job.b);
  S* y = static_cast<S*>(job.y);
  if (job.n == 0) return;
  for (size_t r = 0; r < job.rows; r++, a += job.aRow, b += job.bRow, y += job.yRow) {
    if (job.aStep && job.bStep) {
      eachVector<V>(job.n,
                    [&](size_t i, size_t rest) { put(f(part<V>(a + i, rest), part<V>(b + i, rest)), y + i, rest); });
      continue;
    }
    const V first = V::set(a[0]), second = V::set(b[0]);
    eachVector<V>(job.n, [&](size_t i, size_t rest) {
      put(f(job.aStep ? part<V>(a + i, rest) : first, job.bStep ? part<V>(b + i, rest) : second), y + i, rest);
    });
  }
}

template <class V>
void binary(const BinaryJob& job) {
  const V none = V::set(0), unit = V::set(1);
  switch (job.binary) {
    case TensorBinary::add: return combine<V>(job, [](V a, V b) { return a + b; });
    case TensorBinary::sub: return combine<V>(job, [](V a, V b) { return a - b; });
    case TensorBinary::mul: return combine<V>(job, [](V a, V b) { return a * b; });
    case TensorBinary::div: return combine<V>(job, [](V a, V b) { return a / b; });
    // Where either is NaN max and min give their second operand: a NaN in a is put back.
    case TensorBinary::maximum: return combine<V>(job, [](V a, V b) { return select(lessEqual(a, a), max(a, b), a); });
    case TensorBinary::minimum: return combine<V>(job, [](V a, V b) { return select(lessEqual(a, a), min(a, b), a); });
    case TensorBinary::keep: return combine<V>(job, [&](V a, V b) { return selectZero(b, none, a); });
    case TensorBinary::drop: return combine<V>(job, [&](V a, V b) { return selectZero(b, a, none); });
    case TensorBinary::notLess: return combine<V>(job, [&](V a, V b) { return select(lessEqual(b, a), unit, none); });
  }
}

/// Sums of U vectors of columns: 64 rows are added up before their sum joins the total, so that errors grow slowly.
template <class V, int U>
SOFTLANE_INLINE void columns(const typename V::Scalar* x, size_t rows, size_t stride, typename V::Scalar* y, size_t n,
                             V factor) {
  constexpr size_t L = V::lanes;
  V total[U];
  for (V& each : total) each = V::set(0);
  for (size_t r = 0; r < rows;) {
    const size_t end = rows - r < 64 ? rows : r + 64;
    V some[U];
    for (V& each : some) each = V::set(0);
    for (; r < end; r++)
      for (int u = 0; u < U; u++)
        some[u] = some[u] + (U > 1 ? V::load(x + r * stride + u * L) : part<V>(x + r * stride, n));
    for (int u = 0; u < U; u++) total[u] = total[u] + some[u];
  }
  for (int u = 0; u < U; u++) {
    if (U > 1) (total[u] * factor).store(y + u * L);
    else put(total[u] * factor, y, n);
  }
}

template <class V>
void sums(const SumJob& job) {
  using S = typename V::Scalar;
  constexpr size_t L = V::lanes;
  const S* x = static_cast<const S*>(job.x);
  S* y = static_cast<S*>(job.y);
  const V factor = V::set(S(job.factor));
  if (job.inner == 1 && job.stride == 1) {
    double total = 0;  // joins blocks
    eachBlock(job.n, [&](size_t start, size_t n, size_t) {
      total += double(reduceAdd(sumSpan<V>(
          n, [&](size_t i) { return V::load(x + start + i); },
          [&](size_t i, size_t rest) { return V::load(x + start + i, rest, 0); })));
    });
    *y = S(total * job.factor);
    return;
  }
  size_t j = 0;
  for (; j + 4 * L <= job.inner; j += 4 * L) columns<V, 4>(x + j, job.n, job.stride, y + j, 4 * L, factor);
  for (; j < job.inner; j += L) columns<V, 1>(x + j, job.n, job.stride, y + j, job.inner - j, factor);
}

template <class V>
void adam(const AdamJob& job) {
  using S = typename V::Scalar;
  S *p = static_cast<S*>(job.p), *m = static_cast<S*>(job.m), *v = static_cast<S*>(job.v);
  const S* g = static_cast<const S*>(job.g);
  const auto set = [](double x) { return V::set(S(x)); };
  const V scale = set(job.gradientScale), l2 = set(job.l2), beta1 = set(job.beta1), beta2 = set(job.beta2),
          rest1 = set(1 - job.beta1), rest2 = set(1 - job.beta2), correction = set(job.correction), eps = set(job.eps),
          rate = set(job.rate), decay = set(job.decay);
  eachVector<V>(job.n, [&](size_t i, size_t n) {
    const V x = part<V>(p + i, n), slope = mulAdd(l2, x, part<V>(g + i, n) * scale);
    const V first = mulAdd(rest1, slope, part<V>(m + i, n) * beta1);
    const V second = mulAdd(rest2 * slope, slope, part<V>(v + i, n) * beta2);
    put(first, m + i, n);
    put(second, v + i, n);
    put(x * decay - rate * first / (sqrt(second * correction) + eps), p + i, n);
  });
}

template <class V>
void sgd(const SgdJob& job) {
  using S = typename V::Scalar;
  S *p = static_cast<S*>(job.p), *velocity = static_cast<S*>(job.velocity);
  const S* g = static_cast<const S*>(job.g);
  const V scale = V::set(S(job.gradientScale)), l2 = V::set(S(job.l2)), momentum = V::set(S(job.momentum)),
          rate = V::set(S(job.rate)), decay = V::set(S(job.decay)), keep = V::set(S(job.keep)),
          take = V::set(S(job.take));
  eachVector<V>(job.n, [&](size_t i, size_t n) {
    const V x = part<V>(p + i, n), slope = mulAdd(l2, x, part<V>(g + i, n) * scale);
    V step = slope;
    if (velocity) {
      step = mulAdd(take, slope, part<V>(velocity + i, n) * keep);
      put(step, velocity + i, n);
      if (job.nesterov) step = mulAdd(momentum, step, slope);
    }
    put(x * decay - rate * step, p + i, n);
  });
}

}  // namespace

void tensor_binary(const BinaryJob& job) {
  withReal(job.type, [&](auto v) { binary<decltype(v)>(job); });
}

void tensor_sum(const SumJob& job) {
  withReal(job.type, [&](auto v) { sums<decltype(v)>(job); });
}

void tensor_adam(const AdamJob& job) {
  withReal(job.type, [&](auto v) { adam<decltype(v)>(job); });
}

void tensor_sgd(const SgdJob& job) {
  withReal(job.type, [&](auto v) { sgd<decltype(v)>(job); });
}

}  // namespace softlane::ISA
