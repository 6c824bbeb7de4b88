// Exponentials on vectors: as a (mantissa, exponent) pair that cannot overflow, and of a non-positive argument.
//
//   ext(x):  k = round(x log2 e), t = x - k ln 2 (|t| <= ln2/2), e^x = P(t) 2^k, the pair is (P(t), k)
//   exp of a <= 0: the same with the first constant for ln 2 alone (adds 1.9e-9 |k|) and 2^k applied at once
//
// Relative error of P (minimax over |t| <= 0.34662, P(0) = 1): degree 3 1.0e-4 (for bf16 results), 4 2.8e-6 (f16),
// 5 9.2e-8 (float32; ext is within 1.98 ULP for |x| <= 87), 11 3.6e-18 (float64). The degree-5 coefficients are those
// of XNNPACK's f32-raddextexp; the others were fitted by Lawson's iteration at 40 digits.
#pragma once
#include "isa.h"

namespace softlane::ISA {

template <class V, Dtype Precision>
struct Exponential;

/// What both widths of float share, given their constants.
template <class V, int Degree>
struct ExponentialBase {
  using S = typename V::Scalar;
  V log2e, ln2Hi, ln2Lo, floor, c[Degree + 1], bias, cutoff;

  SOFTLANE_INLINE V polynomial(V t) const {
    if constexpr (V::lanes == 1 && sizeof(S) == 4) {  // no fused operation: float64 costs the same and keeps the bound
      double p = c[Degree].v;
      for (int i = Degree - 1; i >= 0; i--) p = p * t.v + c[i].v;
      return V::set(S(p));
    } else {
      V p = c[Degree];
      for (int i = Degree - 1; i >= 0; i--) p = mulAdd(p, t, c[i]);
      return p;
    }
  }

  /// a - k ln 2 for |k| <= 300 (1100 in float64): fused, float32 is content with the first constant.
  SOFTLANE_INLINE V subtractLn2Once(V a, V k) const {
    if constexpr (sizeof(S) == 4 && V::lanes > 1) return mulAdd(k, ln2Hi, a);
    else return subtractLn2(a, k, ln2Hi, ln2Lo);
  }

  /// From now on every result is multiplied by `factor`: cheaper in the coefficients than on the result.
  SOFTLANE_INLINE void multiply(V factor) {
    for (V& each : c) each = each * factor;
  }

  /// e^(z + d) = mantissa * 2^exponent; d is a small correction. NaN stays NaN; z must be clamped from below.
  SOFTLANE_INLINE void ext(V z, V d, V& mantissa, V& exponent) const {
    exponent = round(z * log2e);
    mantissa = polynomial(subtractLn2(z, exponent, ln2Hi, ln2Lo) + d);
  }
  SOFTLANE_INLINE void ext(V z, V& mantissa, V& exponent) const {
    exponent = round(z * log2e);
    mantissa = polynomial(subtractLn2(z, exponent, ln2Hi, ln2Lo));
  }

  /// e^z 2^-base for z between `low` and `high`, which with `centre` come from centreOn; d, where given, corrects z. For
  /// types without scalef: the biased exponent appears in the low bits of z log2 e + centre, and one shift makes 2^k.
  SOFTLANE_INLINE V extRelative(V z, V centre, const V* d = nullptr) const {
    const V biased = mulAdd(z, log2e, centre);
    V t = subtractLn2(z, biased - centre, ln2Hi, ln2Lo);
    return polynomial(d ? t + *d : t) * shiftToExponent(biased);
  }
  SOFTLANE_INLINE void centreOn(V base, V& centre, V& low, V& high) const {
    const V reach = V::set(sizeof(S) == 4 ? 126 : 1022), ln2 = V::set(S(0x1.62e42fefa39efp-1));
    centre = bias - base;
    low = (base - reach) * ln2;
    high = (base + reach) * ln2;
  }

  /// e^a for a <= 0, -infinity gives 0, NaN stays. With scalef and without the clamp, a finite a below -1e15 may give
  /// infinity or NaN instead of 0 (never another number): the caller looks at the sum and takes the clamp then. -infinity
  /// needs no clamp there: scalef makes NaN times 2^-infinity 0.
  template <bool Clamp>
  SOFTLANE_INLINE V expNonPositive(V a) const {
    if constexpr (V::hasScalef) {
      if constexpr (Clamp) a = max(floor, a);
      V k = round(a * log2e);
      V p = scalePow2(polynomial(subtractLn2Once(a, k)), k);
      if constexpr (Clamp) return p;
      else return abs(p);
    } else {  // the rounding bias leaves k + exponent bias in the low bits: one shift makes 2^k
      V biased = mulAdd(a, log2e, bias);
      V t = subtractLn2Once(a, biased - bias);
      return zeroBelow(polynomial(t) * shiftToExponent(biased), a, cutoff);
    }
  }
};

template <Dtype Precision>
struct Exponential<F32, Precision> : ExponentialBase<F32, Precision == Dtype::bf16  ? 3
                                                          : Precision == Dtype::f16 ? 4
                                                                                    : 5> {
  SOFTLANE_INLINE Exponential() {
    this->log2e = F32::set(0x1.715476p+0f);
    this->ln2Hi = F32::set(-0x1.62E43p-1f);  // 21 bits: k * ln2Hi is exact
    this->ln2Lo = F32::set(0x1.05C61p-29f);
    this->floor = F32::set(-200.0f);
    this->bias = F32::set(0x1.8000FEp23f);
    this->cutoff = F32::set(-0x1.5D589Ep6f);
    this->c[0] = F32::set(1.0f);
    if constexpr (Precision == Dtype::bf16) {
      const float k[] = {0x1.000cdcp+0f, 0x1.021d68p-1f, 0x1.524884p-3f};
      for (int i = 0; i < 3; i++) this->c[i + 1] = F32::set(k[i]);
    } else if constexpr (Precision == Dtype::f16) {
      const float k[] = {0x1.fffba8p-1f, 0x1.0003eap-1f, 0x1.57cebap-3f, 0x1.5419a2p-5f};
      for (int i = 0; i < 4; i++) this->c[i + 1] = F32::set(k[i]);
    } else {
      const float k[] = {0x1.FFFFF6p-1f, 0x1.FFFDC6p-2f, 0x1.555A80p-3f, 0x1.573A1Ap-5f, 0x1.0F9F9Cp-7f};
      for (int i = 0; i < 5; i++) this->c[i + 1] = F32::set(k[i]);
    }
  }
};

template <Dtype Precision>
struct Exponential<F64, Precision> : ExponentialBase<F64, 11> {
  SOFTLANE_INLINE Exponential() {
    log2e = F64::set(0x1.71547652b82fep+0);
    ln2Hi = F64::set(-0x1.62e42feep-1);  // 32 bits: k * ln2Hi is exact with or without a fused operation
    ln2Lo = F64::set(-0x1.a39ef35793c76p-33);
    floor = F64::set(-1200.0);
    bias = F64::set(0x1.8p52 + 1023);
    cutoff = F64::set(-708.39);
    const double k[] = {1.0,
                        1.0,
                        0x1.000000000000ap-1,
                        0x1.55555555554fap-3,
                        0x1.555555555087ap-5,
                        0x1.111111112792bp-7,
                        0x1.6c16c1842b4b2p-10,
                        0x1.a01a012b554d2p-13,
                        0x1.a0199a0875965p-16,
                        0x1.71df22fb19f31p-19,
                        0x1.28ad76a020fb0p-22,
                        0x1.ad834e3ab3684p-26};
    for (int i = 0; i < 12; i++) c[i] = F64::set(k[i]);
  }
};

/// x / temperature as z + d: d is what a product rounded to the width of V loses, and what 1/T loses.
template <class V>
struct Quotient {
  V lowest, hi, lo;
  SOFTLANE_INLINE explicit Quotient(const ExpForm& form) {
    using S = typename V::Scalar;
    // The pair's exponent stays far from the ends of its integer range: e^(-2^17) is 0 beside anything that counts.
    double clamp = -0x1p17 * form.temperature, most = sizeof(S) == 4 ? 3.4028234663852886e38 : 1.7976931348623157e308;
    lowest = V::set(S(clamp < -most ? -most : clamp));
    hi = V::set(S(form.inverse));
    lo = V::set(sizeof(S) == 4 ? S(form.inverse - float(form.inverse)) : S(form.inverseTail));
  }
  SOFTLANE_INLINE V clamped(V x) const { return max(lowest, x); }
  SOFTLANE_INLINE void divide(V x, V& z, V& d) const {
    z = x * hi;
    d = fma(x, lo, fma(x, hi, V::set(0) - z));
  }
};

}  // namespace softlane::ISA
