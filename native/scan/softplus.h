// The functions of a step size, on vectors of float32 and float64; the full scans and the decode steps share them, so that a
// prompt and its continuation follow the same decay. Loop halves only.
//
//   exp(x)       any x: overflows to infinity, underflows to zero, NaN stays. 1e-7 relative (float64: 2e-16)
//   softplus(x)  log(1 + e^x) = max(x, 0) + log1p(e^-|x|), x itself above 20. log1p(t) = 2 artanh(t / (2 + t)) by its series,
//                whose argument is at most 1/3: small steps keep their relative accuracy, unlike log(1 + e^x)
//   sigmoid(x)   1 / (1 + e^-x) without overflow; also the derivative of softplus
#pragma once
#include "../math.h"

namespace softlane::ISA {

template <class V>
struct AnyExp {
  static constexpr Dtype kType = sizeof(typename V::Scalar) == 8 ? Dtype::f64 : Dtype::f32;
  Exponential<V, kType> e;

  SOFTLANE_INLINE V operator()(V x) const {
    constexpr bool wide = kType == Dtype::f64;
    x = min(V::set(wide ? 800 : 100), max(V::set(wide ? -800 : -110), x));
    const V k = round(x * e.log2e);
    const V p = e.polynomial(e.subtractLn2Once(x, k));
    if constexpr (V::hasScalef) {
      return scalePow2(p, k);
    } else {  // in two steps, so that the exponent of neither leaves its range
      const V half = round(k * V::set(0.5f));
      return scalePow2(scalePow2(p, half), k - half);
    }
  }
};

template <class V>
struct AnySigmoid {
  AnyExp<V> exp;
  SOFTLANE_INLINE V operator()(V x) const {
    const V zero = V::set(0), one = V::set(1), decay = exp(zero - abs(x));
    return select(less(x, zero), decay, one) / (one + decay);
  }
};

/// Above this, softplus(x) is x.
constexpr double kSoftplusThreshold = 20;

template <class V>
struct Softplus {
  AnyExp<V> exp;
  SOFTLANE_INLINE V operator()(V x) const {
    using S = typename V::Scalar;
    constexpr int terms = sizeof(S) == 8 ? 17 : 8;
    const V zero = V::set(0), t = exp(zero - abs(x)), z = t / (V::set(2) + t), square = z * z;
    V p = V::set(S(2.0 / (2 * terms - 1)));
    for (int i = terms - 2; i >= 0; i--) p = mulAdd(p, square, V::set(S(2.0 / (2 * i + 1))));
    return select(less(V::set(S(kSoftplusThreshold)), x), x, mulAdd(z, p, max(zero, x)));
  }
  /// The derivative, given x.
  SOFTLANE_INLINE V slope(V x) const {
    return select(less(V::set(typename V::Scalar(kSoftplusThreshold)), x), V::set(1), AnySigmoid<V>{exp}(x));
  }
};

}  // namespace softlane::ISA
