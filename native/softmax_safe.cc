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
#include "staged.h"

namespace softlane::ISA {

/// a = (x - mu) / T and e^a. Unless T is 1, halves are subtracted: x - mu may overflow where the quotient does not, and
/// halving is exact.
template <class V, class E, bool Unit>
struct Shifted {
  E e;
  V scale, shift;
  SOFTLANE_INLINE explicit Shifted(const ExpForm& form)
      : scale(V::set(typename V::Scalar(2 * form.inverse))), shift(scale) {}
  SOFTLANE_INLINE void subtract(typename V::Scalar mu) { shift = V::set(Unit ? mu : mu * typename V::Scalar(-0.5)); }
  SOFTLANE_INLINE V argument(V x) const { return Unit ? x - shift : mulAdd(x, V::set(0.5f), shift) * scale; }
  template <bool Clamp>
  SOFTLANE_INLINE V exp(V x) const {
    return e.template expNonPositive<Clamp>(argument(x));
  }
};

/// Calls body(Shifted, V{}, In{}) for what the form asks.
template <class Body>
SOFTLANE_INLINE void withShifted(Dtype in, const ExpForm& form, Body body) {
  withStorage(in, [&](auto from) {
    withPrecision<decltype(from)>(form, [&](auto vector, auto precision) {
      withFlag(form.unit, [&](auto unit) {
        using V = decltype(vector);
        Shifted<V, Exponential<V, decltype(precision)::value>, decltype(unit)::value> shifted(form);
        body(shifted, vector, from);
      });
    });
  });
}

template <class V, class In>
SOFTLANE_INLINE typename V::Scalar maximum(const In* p, size_t n) {
  constexpr size_t L = V::lanes;
  V m[4];  // a maximum takes two cycles, two can start in each
  for (V& v : m) v = negativeInfinity<V>();
  size_t i = 0;
  for (; i + 4 * L <= n; i += 4 * L)  // x on the left: a NaN in x leaves the maximum alone
    for (size_t u = 0; u < 4; u++) m[u] = max(V::load(p + i + u * L), m[u]);
  for (; i + L <= n; i += L) m[0] = max(V::load(p + i), m[0]);
  if (i < n) m[1] = max(V::load(p + i, n - i, -__builtin_inff()), m[1]);
  return reduceMax(max(max(m[0], m[1]), max(m[2], m[3])));
}

double span_max(const void* x, Dtype in, size_t n) {
  double result = 0;
  withStorage(in,
              [&](auto from) { result = maximum<Compute<decltype(from)>>(static_cast<const decltype(from)*>(x), n); });
  return result;
}

/// The largest of a block, never below the lowest finite number: -infinity minus -infinity would be NaN.
template <class V, class In>
SOFTLANE_INLINE typename V::Scalar finiteMaximum(const In* p, size_t n) {
  using S = typename V::Scalar;
  const S m = maximum<V>(p, n), least = lowest<S>();
  return m > least ? m : least;
}

/// What both reductions below do: for each block its maximum (or mu, where `tops` is null), then sum(p, length) with and,
/// if it did not come out finite, without the clamp. False if any block needed it.
template <class Body>
SOFTLANE_INLINE bool reduceBlocks(const void* x, Dtype in, size_t n, const ExpForm& form, double mu, double* tops,
                                  double* sums, bool clamp, Body body) {
  bool plain = !clamp;
  withShifted(in, form, [&](auto& shifted, auto vector, auto from) {
    using V = decltype(vector);
    using In = decltype(from);
    shifted.subtract(typename V::Scalar(mu));
    eachBlock(n, [&](size_t start, size_t length, size_t b) {
      const In* p = static_cast<const In*>(x) + start;
      if (tops) {
        const auto top = finiteMaximum<V>(p, length);
        shifted.subtract(top);
        tops[b] = top;
      }
      if (V::hasScalef && !clamp) {
        const auto sum = reduceAdd(body(shifted, vector, p, start, length, Flag<false>{}));
        sums[b] = sum;
        if (sum - sum == 0) return;  // finite
        plain = false;
      }
      sums[b] = reduceAdd(body(shifted, vector, p, start, length, Flag<true>{}));
    });
  });
  return plain;
}

bool exp_sum(const void* x, Dtype in, size_t n, const ExpForm& form, double mu, double* tops, double* sums) {
  if (isWide(in, form)) {
    double buffer[kBlock];
    bool plain = true;
    eachBlock(n, [&](size_t start, size_t length, size_t b) {
      widen(static_cast<const char*>(x) + start * sizeOf(in), in, buffer, length);
      plain = exp_sum(buffer, Dtype::f64, length, form, mu, tops ? tops + b : nullptr, sums + b) && plain;
    });
    return plain;
  }
  return reduceBlocks(x, in, n, form, mu, tops, sums, false,
                      [&](const auto& shifted, auto vector, const auto* p, size_t, size_t length, auto clamp) {
                        using V = decltype(vector);
                        constexpr bool Clamp = decltype(clamp)::value;
                        return sumSpan<V>(
                            length, [&](size_t i) { return shifted.template exp<Clamp>(V::load(p + i)); },
                            [&](size_t i, size_t rest) {
                              return shifted.template exp<Clamp>(V::load(p + i, rest, -__builtin_inff()));
                            });
                      });
}

/// y is float32 (float64 for float64 input) whatever the storage of x: a 16-bit y would be rounded twice. In place, x is
/// gone after the first try: the clamp is taken at once.
bool exp_store_sum(const void* x, Dtype in, void* y, size_t n, const ExpForm& form, double mu, double* tops,
                   double* sums) {
  return reduceBlocks(x, in, n, form, mu, tops, sums, x == y,
                      [&](const auto& shifted, auto vector, const auto* p, size_t start, size_t length, auto clamp) {
                        using V = decltype(vector);
                        constexpr bool Clamp = decltype(clamp)::value;
                        auto* q = static_cast<typename V::Scalar*>(y) + start;
                        return sumSpan<V>(
                            length,
                            [&](size_t i) {
                              V e = shifted.template exp<Clamp>(V::load(p + i));
                              e.store(q + i);
                              return e;
                            },
                            [&](size_t i, size_t rest) {
                              V e = shifted.template exp<Clamp>(V::load(p + i, rest, -__builtin_inff()));
                              e.store(q + i, rest);
                              return e;
                            });
                      });
}

/// For the entropy: per block the maximum, the sum, and sum_i a_i e^a_i. a is clamped so that -infinity gives 0.
void exp_moments(const void* x, Dtype in, size_t n, const ExpForm& form, double* tops, double* sums, double* weighted) {
  reduceBlocks(x, in, n, form, 0, tops, sums, true,
               [&](const auto& shifted, auto vector, const auto* p, size_t start, size_t length, auto) {
                 using V = decltype(vector);
                 const V floor = V::set(-1e4f);
                 V w = V::set(0);
                 const auto term = [&](V v) {
                   V e = shifted.template exp<true>(v);
                   w = fma(max(floor, shifted.argument(v)), e, w);
                   return e;
                 };
                 const V sum = sumSpan<V>(
                     length, [&](size_t i) { return term(V::load(p + i)); },
                     [&](size_t i, size_t rest) { return term(V::load(p + i, rest, -__builtin_inff())); });
                 weighted[start / kBlock] = reduceAdd(w);
                 return sum;
               });
}

void exp_scale(const void* x, Dtype in, void* y, Dtype out, size_t n, const ExpForm& form, double mu,
               const Affine& affine) {
  if (isWide(in, form) || isCross(in, out)) {
    const bool wide = isWide(in, form);
    const Affine inner{affine.factor, affine.offset, affine.stream && !wide};
    return stage(x, in, y, out, n, wide, [&](const void* p, Dtype from, void* q, Dtype to, size_t count) {
      exp_scale(p, from, q, to, count, form, mu, inner);
    });
  }
  withInOut<false>(in, out, [&](auto vector, auto from, auto to, auto precision) {
    using V = decltype(vector);
    using S = typename V::Scalar;
    const V offset =
        V::set(affine.offset != 0 ? S(affine.offset) : S(-0.0));  // adding -0 changes nothing, no sign either
    withFlag(form.unit, [&](auto unit) {
      Shifted<V, Exponential<V, decltype(precision)::value>, decltype(unit)::value> shifted(form);
      shifted.subtract(S(mu));
      shifted.e.multiply(V::set(S(affine.factor)));
      const auto run = [&](auto clamp, auto moved) {
        mapSpan<V>(static_cast<const decltype(from)*>(x), static_cast<decltype(to)*>(y), n, affine.stream, [&](V v) {
          V p = shifted.template exp<decltype(clamp)::value>(v);
          return decltype(moved)::value ? p + offset : p;
        });
      };
      // A negative factor needs the clamp, which leaves signs alone.
      if (affine.offset != 0 || (V::hasScalef && (form.clamp || affine.factor < 0))) run(Flag<true>{}, Flag<true>{});
      else run(Flag<!V::hasScalef>{}, Flag<false>{});
    });
  });
}

/// y = x * factor; x as exp_store_sum leaves it, y of any storage; in place where the two are the same.
void scale(const void* x, void* y, Dtype out, size_t n, const Affine& affine) {
  withStorage(out, [&](auto to) {
    using V = Compute<decltype(to)>;
    using S = typename V::Scalar;
    const V factor = V::set(S(affine.factor));
    mapSpan<V>(static_cast<const S*>(x), static_cast<decltype(to)*>(y), n, affine.stream,
               [&](V v) { return v * factor; });
  });
}

void log_scale(const void* x, Dtype in, void* y, Dtype out, size_t n, const ExpForm& form, double mu, double logSum,
               bool stream) {
  if (isWide(in, form) || isCross(in, out)) {
    const bool wide = isWide(in, form);
    return stage(x, in, y, out, n, wide, [&](const void* p, Dtype from, void* q, Dtype to, size_t count) {
      log_scale(p, from, q, to, count, form, mu, logSum, stream && !wide);
    });
  }
  withInOut<false>(in, out, [&](auto vector, auto from, auto to, auto) {
    using V = decltype(vector);
    using S = typename V::Scalar;
    const V half = V::set(0.5f), shift = V::set(S(mu) * S(-0.5)), scale = V::set(S(2 * form.inverse)),
            l = V::set(S(logSum));
    mapSpan<V>(static_cast<const decltype(from)*>(x), static_cast<decltype(to)*>(y), n, stream,
               [&](V v) { return mulAdd(v, half, shift) * scale - l; });
  });
}

}  // namespace softlane::ISA
