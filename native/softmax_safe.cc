// The forms of softmax that subtract a maximum: a_i = (x_i - mu) / T <= 0, so e^a cannot overflow.
//
//   three-pass-recompute   mu = max x;  S = sum e^a;  y = e^a / S            x read three times, y written once
//   three-pass-reload      mu = max x;  y = e^a, S = sum y;  y = y / S       one exponential, y written twice
//   online                 per block (mu_b, S_b), merged;  y = e^a / S       "Online normalizer calculation for softmax",
//                                                                            M. Milakov and N. Gimelshein, arXiv 1805.02867
//   blocked                per block y = e^((x - mu_b) / T), S_b;  y = y * e^((mu_b - mu) / T) / S
//
// All of them err by up to 6e-8 |x_i - mu| in float32, from the subtraction. Sums are float32 lanes within a block of
// 4096 and float64 between blocks. NaN is not looked for: e^NaN is NaN and shows in the sum.
#include "dispatch.h"
#include "span.h"

namespace softlane::ISA {

/// a = (x - mu) / T and e^a.
template <class V, class E, bool Unit>
struct Shifted {
  E e;
  V mu, inverse;
  SOFTLANE_INLINE Shifted(const ExpForm& form, double maximum)
      : mu(V::set(typename V::Scalar(maximum))), inverse(V::set(typename V::Scalar(form.inverse))) {}
  SOFTLANE_INLINE V argument(V x) const { return Unit ? x - mu : (x - mu) * inverse; }
  SOFTLANE_INLINE V exp(V x) const { return e.expNonPositive(argument(x)); }
};

/// Calls body(Shifted, In{}) for what the form asks.
template <class Body>
SOFTLANE_INLINE void withShifted(Dtype in, const ExpForm& form, double mu, Body body) {
  withStorage(in, [&](auto from) {
    withPrecision<decltype(from)>(form, [&](auto vector, auto precision) {
      withFlag(form.unit, [&](auto unit) {
        using V = decltype(vector);
        const Shifted<V, Exponential<V, decltype(precision)::value>, decltype(unit)::value> shifted(form, mu);
        body(shifted, vector, from);
      });
    });
  });
}

double span_max(const void* x, Dtype in, size_t n) {
  double result = 0;
  withStorage(in, [&](auto storage) {
    using In = decltype(storage);
    using V = Compute<In>;
    constexpr size_t L = V::lanes;
    const In* p = static_cast<const In*>(x);
    V m[8];  // a maximum takes up to four cycles, two can start in each: eight in flight
    for (V& v : m) v = negativeInfinity<V>();
    size_t i = 0;
    for (; i + 8 * L <= n; i += 8 * L)  // x on the left: a NaN in x leaves the maximum alone
      for (size_t u = 0; u < 8; u++) m[u] = max(V::load(p + i + u * L), m[u]);
    for (; i + L <= n; i += L) m[0] = max(V::load(p + i), m[0]);
    if (i < n) m[1] = max(V::load(p + i, n - i, -__builtin_inff()), m[1]);
    for (int step = 4; step; step /= 2)
      for (int u = 0; u < step; u++) m[u] = max(m[u + step], m[u]);
    result = reduceMax(m[0]);
  });
  return result;
}

void exp_sum(const void* x, Dtype in, size_t n, const ExpForm& form, double mu, double* sums) {
  withShifted(in, form, mu, [&](const auto& shifted, auto vector, auto from) {
    using V = decltype(vector);
    eachBlock(n, [&](size_t start, size_t length, size_t b) {
      const decltype(from)* p = static_cast<const decltype(from)*>(x) + start;
      sums[b] = reduceAdd(sumSpan<V>(
          length, [&](size_t i) { return shifted.exp(V::load(p + i)); },
          [&](size_t i, size_t rest) { return shifted.exp(V::load(p + i, rest, -__builtin_inff())); }));
    });
  });
}

/// Besides the sums, sum_i a_i e^a_i, from which the entropy comes. a is clamped so that -infinity gives 0.
void exp_moments(const void* x, Dtype in, size_t n, const ExpForm& form, double mu, double* sums, double* weighted) {
  withShifted(in, form, mu, [&](const auto& shifted, auto vector, auto from) {
    using V = decltype(vector);
    const V floor = V::set(-1e4f);
    eachBlock(n, [&](size_t start, size_t length, size_t b) {
      const decltype(from)* p = static_cast<const decltype(from)*>(x) + start;
      V w = V::set(0);
      auto term = [&](V v) {
        V e = shifted.exp(v);
        w = fma(max(floor, shifted.argument(v)), e, w);
        return e;
      };
      sums[b] = reduceAdd(sumSpan<V>(
          length, [&](size_t i) { return term(V::load(p + i)); },
          [&](size_t i, size_t rest) { return term(V::load(p + i, rest, -__builtin_inff())); }));
      weighted[b] = reduceAdd(w);
    });
  });
}

/// y is float32 (float64 for float64 input) whatever the storage of x: a 16-bit y would be rounded twice.
void exp_store_sum(const void* x, Dtype in, void* y, size_t n, const ExpForm& form, double mu, double* sums) {
  withShifted(in, form, mu, [&](const auto& shifted, auto vector, auto from) {
    using V = decltype(vector);
    using S = typename V::Scalar;
    eachBlock(n, [&](size_t start, size_t length, size_t b) {
      const decltype(from)* p = static_cast<const decltype(from)*>(x) + start;
      S* q = static_cast<S*>(y) + start;
      sums[b] = reduceAdd(sumSpan<V>(
          length,
          [&](size_t i) {
            V e = shifted.exp(V::load(p + i));
            e.store(q + i);
            return e;
          },
          [&](size_t i, size_t rest) {
            V e = shifted.exp(V::load(p + i, rest, -__builtin_inff()));
            e.store(q + i, rest);
            return e;
          }));
    });
  });
}

void exp_scale(const void* x, Dtype in, void* y, Dtype out, size_t n, const ExpForm& form, double mu, const Affine& affine) {
  withInOut(in, out, form, [&](auto vector, auto from, auto to, auto precision) {
    using V = decltype(vector);
    using S = typename V::Scalar;
    const V factor = V::set(S(affine.factor)), offset = V::set(S(affine.offset));
    withFlag(form.unit, [&](auto unit) {
      const Shifted<V, Exponential<V, decltype(precision)::value>, decltype(unit)::value> shifted(form, mu);
      mapSpan<V>(static_cast<const decltype(from)*>(x), static_cast<decltype(to)*>(y), n, affine.stream,
                 [&](V v) { return fma(shifted.exp(v), factor, offset); });
    });
  });
}

/// y = x * factor; x as exp_store_sum leaves it, y of any storage; in place where the two are the same.
void scale(const void* x, void* y, Dtype out, size_t n, const Affine& affine) {
  withStorage(out, [&](auto to) {
    using V = Compute<decltype(to)>;
    using S = typename V::Scalar;
    const V factor = V::set(S(affine.factor));
    mapSpan<V>(static_cast<const S*>(x), static_cast<decltype(to)*>(y), n, affine.stream, [&](V v) { return v * factor; });
  });
}

void log_scale(const void* x, Dtype in, void* y, Dtype out, size_t n, const ExpForm& form, double mu, double logSum) {
  withInOut(in, out, form, [&](auto vector, auto from, auto to, auto) {
    using V = decltype(vector);
    using S = typename V::Scalar;
    const V shift = V::set(S(mu)), inverse = V::set(S(form.inverse)), l = V::set(S(logSum));
    mapSpan<V>(static_cast<const decltype(from)*>(x), static_cast<decltype(to)*>(y), n, false,
               [&](V v) { return (v - shift) * inverse - l; });
  });
}

}  // namespace softlane::ISA
