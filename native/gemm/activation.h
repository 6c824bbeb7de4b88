// Activations on vectors. Loop halves only.
//
//   silu(x) = x / (1 + e^-x);  gelu(x) = x (1 + erf(x / sqrt 2)) / 2;  geluTanh(x) = x / (1 + e^(-2 u)),
//   u = sqrt(2 / pi) (x + 0.044715 x^3): the same as x (1 + tanh u) / 2.
//
// erf: Abramowitz and Stegun 7.1.26, absolute error 1.5e-7, so gelu errs by at most 1e-7 |x| beside float32 rounding.
#pragma once
#include "../math.h"

namespace softlane::ISA {

/// e^x / (1 + e^x), of any float32: 1 / (1 + e^-|x|) or its complement, so that nothing overflows.
struct Sigmoid {
  Exponential<F32, Dtype::f32> e;
  SOFTLANE_INLINE F32 operator()(F32 x) const {
    const F32 zero = F32::set(0), one = F32::set(1);
    const F32 decay = e.template expNonPositive<true>(zero - abs(x));
    return select(less(x, zero), decay, one) / (one + decay);
  }
};

struct Gelu {
  Exponential<F32, Dtype::f32> e;
  SOFTLANE_INLINE F32 operator()(F32 x) const {
    const F32 zero = F32::set(0), one = F32::set(1), z = abs(x) * F32::set(0x1.6a09e6p-1f);
    const F32 t = one / mulAdd(z, F32::set(0.3275911f), one);
    constexpr float c[] = {1.061405429f, -1.453152027f, 1.421413741f, -0.284496736f, 0.254829592f};
    F32 p = F32::set(c[0]);
    for (int i = 1; i < 5; i++) p = mulAdd(p, t, F32::set(c[i]));
    // erfc(z) / 2: gelu of a negative x is x times it, of a positive one x minus that.
    const F32 half = p * t * e.template expNonPositive<true>(zero - z * z) * F32::set(0.5f);
    return x * select(less(x, zero), half, one - half);
  }
};

struct GeluTanh {
  Sigmoid sigmoid;
  SOFTLANE_INLINE F32 operator()(F32 x) const {
    const F32 u = x * mulAdd(x * x, F32::set(0.044715f), F32::set(1)) * F32::set(0x1.988454p-1f);
    return x * sigmoid(u + u);
  }
};

}  // namespace softlane::ISA
