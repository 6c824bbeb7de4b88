// The minimum of three as a parameter of every recursion: hard, soft, and soft with the shares of its arguments kept.
//
//   smin(a, b, c) = M - gamma log(sum exp((M - v) / gamma)), M the least; infinite arguments drop out, all infinite
//   gives infinity. The term of the least is 1, so three arguments cost two exponentials and one log1p(q), q in [0, 2].
//
// log1p(q) = t (2 + t^2 Q(t^2)), t = q / (q + 2): Q by Remez' exchange on t^2 <= 1/4 weighted for the relative error of
// the result: 1.5e-9 (degree 5, float32), 7.3e-18 (degree 12, float64). q = 0 gives 0 exactly, so that a soft minimum
// far from ties is the hard one to the bit.
#pragma once
#include "../isa.h"
#include "../math.h"

namespace softlane::ISA {

template <class V>
struct Log1p;
template <>
struct Log1p<F32> {
  static SOFTLANE_INLINE F32 quotient(F32 u) {
    constexpr float k[] = {0x1.55554p-1f,  0x1.99a6bap-2f, 0x1.234894p-2f,
                           0x1.e45208p-3f, 0x1.a45d84p-4f, 0x1.6a09eep-2f};
    F32 p = F32::set(k[5]);
    for (int i = 4; i >= 0; i--) p = mulAdd(p, u, F32::set(k[i]));
    return p;
  }
};
template <>
struct Log1p<F64> {
  static SOFTLANE_INLINE F64 quotient(F64 u) {
    constexpr double k[] = {0x1.55555555555b3p-1, 0x1.9999999989fdep-2, 0x1.2492492b89186p-2, 0x1.c71c6eb682c9cp-3,
                            0x1.745d7bdca522dp-3, 0x1.3b0b7b01138aep-3, 0x1.1184097008dd2p-3, 0x1.d9399bb47bf0ap-4,
                            0x1.e923f648af0d4p-4, 0x1.ea1729f83562bp-6, 0x1.2708502d02a3cp-2, -0x1.36d0d6508b565p-2,
                            0x1.cb01bad71c81dp-2};
    F64 p = F64::set(k[12]);
    for (int i = 11; i >= 0; i--) p = mulAdd(p, u, F64::set(k[i]));
    return p;
  }
};
/// log(1 + q) for 0 <= q <= 2.
template <class V>
SOFTLANE_INLINE V log1pSmall(V q) {
  const V two = V::set(2), t = q / (q + two), u = t * t;
  return t * mulAdd(u, Log1p<V>::quotient(u), two);
}

template <class V>
struct HardMin {
  static constexpr bool kSoft = false, kKeeps = false;
  SOFTLANE_INLINE explicit HardMin(double) {}
  SOFTLANE_INLINE V operator()(V diagonal, V up, V left) { return min(min(diagonal, up), left); }
};

/// Keep: leaves the shares exp(-(v - smin) / gamma) of the three arguments, which sum to 1, in diagonal, up, left. The
/// value has the same bits with and without.
template <class V, bool Keep>
struct SoftMin {
  using S = typename V::Scalar;
  static constexpr bool kSoft = true, kKeeps = Keep;
  static constexpr Dtype kPrecision = sizeof(S) == 4 ? Dtype::f32 : Dtype::f64;
  Exponential<V, kPrecision> exponential;
  V gamma, inverse, huge;
  V shareDiagonal, shareUp, shareLeft;

  SOFTLANE_INLINE explicit SoftMin(double g) {
    gamma = V::set(S(g));
    inverse = V::set(S(1 / g));
    huge = V::set(-lowest<S>());
  }
  /// exp((least - v) / gamma), 0 for infinite v, also where least is infinite
  SOFTLANE_INLINE V term(V least, V v) const {
    return exponential.template expNonPositive<true>((least - v) * inverse);
  }

  SOFTLANE_INLINE V operator()(V a, V b, V c) {
    const V low = min(a, b), high = max(a, b), least = min(low, c), middle = max(low, c), finite = min(least, huge);
    const V termHigh = term(finite, high), termMiddle = term(finite, middle), q = termHigh + termMiddle;
    if constexpr (Keep) {
      const V one = V::set(1), inverseSum = one / (one + q);
      const auto leftLeast = lessEqual(c, low), diagonalLow = lessEqual(a, b);
      const V termLow = select(leftLeast, termMiddle, one);
      shareLeft = select(leftLeast, one, termMiddle) * inverseSum;
      shareDiagonal = select(diagonalLow, termLow, termHigh) * inverseSum;
      shareUp = select(diagonalLow, termHigh, termLow) * inverseSum;
    }
    return least - gamma * log1pSmall(q);
  }
  /// Of two finite arguments.
  SOFTLANE_INLINE V two(V a, V b) const {
    const V least = min(a, b);
    return least - gamma * log1pSmall(term(least, max(a, b)));
  }
  /// The same, and the share of the first.
  SOFTLANE_INLINE V two(V a, V b, V& share) const {
    const V least = min(a, b), one = V::set(1), e = term(least, max(a, b)), inverseSum = one / (one + e);
    share = select(lessEqual(a, b), one, e) * inverseSum;
    return least - gamma * log1pSmall(e);
  }
};

}  // namespace softlane::ISA
