// Decays exp(s A) of real and complex A, and the weights of the three discretisations. Loop halves only.
#pragma once
#include "scan.h"
#include "softplus.h"

namespace softlane::ISA {

/// 2^x for any x, NaN stays: relative error 9.2e-8 in float32 (degree 5), 2e-16 in float64. Infinite x are exact.
template <class V>
struct Exp2 {
  using S = typename V::Scalar;
  static constexpr int kDegree = sizeof(S) == 4 ? 5 : 11;
  V c[kDegree + 1];
  SOFTLANE_INLINE Exp2() {
    constexpr double narrow[] = {
        1, 0.6931470036506653, 0.24022242426872253, 0.05550733581185341, 0.009671512991189957, 0.001326472731307149};
    if constexpr (sizeof(S) == 4) {
      for (int i = 0; i <= kDegree; i++) c[i] = V::set(S(narrow[i]));
    } else {  // the coefficients of e^t in powers of t / ln 2
      const Exponential<V, Dtype::f64> e;
      S power = 1;
      for (int i = 0; i <= kDegree; i++, power *= 0x1.62e42fefa39efp-1) c[i] = e.c[i] * V::set(power);
    }
  }
  /// x = whole + f with |f| <= 1/2.
  SOFTLANE_INLINE void split(V x, V& whole, V& f) const {
#if SOFTLANE_RANK == 3  // one instruction, which gives 0 for infinities: no clamp
    if constexpr (sizeof(S) == 4) f = {_mm512_reduce_ps(x.v, 0x08)};
    else f = {_mm512_reduce_pd(x.v, 0x08)};
    whole = x - f;
#else
    const S most = sizeof(S) == 4 ? 128 : 1024;
    x = min(V::set(most), max(V::set(sizeof(S) == 4 ? S(-160) : S(-1100)), x));
    whole = round(x);
    f = x - whole;
#endif
  }
  SOFTLANE_INLINE V polynomial(V f, int from) const {
    V p = c[kDegree];
    for (int i = kDegree - 1; i >= from; i--) p = mulAdd(p, f, c[i]);
    return p;
  }
  SOFTLANE_INLINE V operator()(V x) const {
    V whole, f;
    split(x, whole, f);
    return scalePow2(polynomial(f, 0), whole);
  }
  /// 2^x - 1 for |x| <= 1/2, without cancellation.
  SOFTLANE_INLINE V minusOne(V x) const { return polynomial(x, 1) * x; }
};

/// Complex numbers of vectors; real ones are V itself. mulAdd(a, b, c) = a b + c, mulConj(a, b) = a conj(b).
template <class V>
struct Complex {
  V re, im;
};
template <class V>
SOFTLANE_INLINE Complex<V> operator+(Complex<V> a, Complex<V> b) {
  return {a.re + b.re, a.im + b.im};
}
template <class V>
SOFTLANE_INLINE Complex<V> operator-(Complex<V> a, Complex<V> b) {
  return {a.re - b.re, a.im - b.im};
}
template <class V>
SOFTLANE_INLINE Complex<V> operator*(Complex<V> a, Complex<V> b) {
  return {a.re * b.re - a.im * b.im, mulAdd(a.re, b.im, a.im * b.re)};
}
template <class V>
SOFTLANE_INLINE Complex<V> mulAdd(Complex<V> a, Complex<V> b, Complex<V> c) {
  return a * b + c;
}
template <class V>
SOFTLANE_INLINE Complex<V> mulConj(Complex<V> a, Complex<V> b) {
  return {mulAdd(a.re, b.re, a.im * b.im), a.im * b.re - a.re * b.im};
}
SOFTLANE_INLINE F32 mulConj(F32 a, F32 b) { return a * b; }
SOFTLANE_INLINE F64 mulConj(F64 a, F64 b) { return a * b; }
/// real times number
template <class V>
SOFTLANE_INLINE Complex<V> times(V x, Complex<V> b) {
  return {x * b.re, x * b.im};
}
SOFTLANE_INLINE F32 times(F32 x, F32 b) { return x * b; }
SOFTLANE_INLINE F64 times(F64 x, F64 b) { return x * b; }
/// sum += Re(a b), sum += Re(a conj(b))
template <class V>
SOFTLANE_INLINE V addReal(Complex<V> a, Complex<V> b, V sum) {
  return mulAdd(a.re, b.re, sum - a.im * b.im);
}
SOFTLANE_INLINE F32 addReal(F32 a, F32 b, F32 sum) { return mulAdd(a, b, sum); }
SOFTLANE_INLINE F64 addReal(F64 a, F64 b, F64 sum) { return mulAdd(a, b, sum); }
template <class V>
SOFTLANE_INLINE V addRealConj(Complex<V> a, Complex<V> b, V sum) {
  return mulAdd(a.re, b.re, mulAdd(a.im, b.im, sum));
}
SOFTLANE_INLINE F32 addRealConj(F32 a, F32 b, F32 sum) { return mulAdd(a, b, sum); }
SOFTLANE_INLINE F64 addRealConj(F64 a, F64 b, F64 sum) { return mulAdd(a, b, sum); }

/// How a number lies in rows: the real part, and the imaginary part a row further.
template <class T>
struct Number;
template <>
struct Number<F32> {
  using V = F32;
  static constexpr int parts = 1;
  static SOFTLANE_INLINE F32 load(const float* p, size_t) { return F32::load(p); }
  static SOFTLANE_INLINE void store(F32 v, float* p, size_t) { v.store(p); }
  static SOFTLANE_INLINE F32 set(double v) { return F32::set(float(v)); }
  static SOFTLANE_INLINE F32 inverse(F32 v) { return F32::set(1) / v; }
};
template <>
struct Number<F64> {
  using V = F64;
  static constexpr int parts = 1;
  static SOFTLANE_INLINE F64 load(const double* p, size_t) { return F64::load(p); }
  static SOFTLANE_INLINE void store(F64 v, double* p, size_t) { v.store(p); }
  static SOFTLANE_INLINE F64 set(double v) { return F64::set(v); }
  static SOFTLANE_INLINE F64 inverse(F64 v) { return F64::set(1) / v; }
};
template <class W>
struct Number<Complex<W>> {
  using V = W;
  using S = typename W::Scalar;
  static constexpr int parts = 2;
  static SOFTLANE_INLINE Complex<W> load(const S* p, size_t next) { return {W::load(p), W::load(p + next)}; }
  static SOFTLANE_INLINE void store(Complex<W> v, S* p, size_t next) {
    v.re.store(p);
    v.im.store(p + next);
  }
  static SOFTLANE_INLINE Complex<W> set(double v) { return {W::set(S(v)), W::set(0)}; }
  static SOFTLANE_INLINE Complex<W> inverse(Complex<W> v) {
    const W scale = W::set(1) / mulAdd(v.re, v.re, v.im * v.im);
    return {v.re * scale, W::set(0) - v.im * scale};
  }
};

/// e^(s A) for real A.
template <class V>
SOFTLANE_INLINE V decayOf(const Exp2<V>& exp2, V s, V a) {
  return exp2(s * (a * V::set(typename V::Scalar(0x1.71547652b82fep+0))));
}

/// cos and sin of x + d by turns of 2 pi, a quarter of the remainder, and two doublings.
template <class V>
SOFTLANE_INLINE void cosSin(V x, V d, V& cosine, V& sine) {
  using S = typename V::Scalar;
  const V turns = round(x * V::set(S(0.15915494309189535)));
  V r = x;
  if constexpr (sizeof(S) == 4) {  // 2 pi in three parts: the first two products are exact for some thousand turns
    r = mulAdd(turns, V::set(-6.28125f), r);
    r = mulAdd(turns, V::set(-1.9340515136718750e-3f), r);
    r = mulAdd(turns, V::set(-1.2556699e-6f), r);
  } else {
    r = mulAdd(turns, V::set(-6.28318500518798828125), r);
    r = mulAdd(turns, V::set(-3.0199157663446385413e-7), r);
    r = mulAdd(turns, V::set(-2.1562211432631382e-14), r);
  }
  r = (r + d) * V::set(S(0.25));
  const V z = r * r;
  constexpr int terms = sizeof(S) == 4 ? 5 : 9;
  V sines = V::set(0), cosines = V::set(0);  // Taylor about 0 on |r| <= pi / 4, from the last term
  for (int i = terms; i >= 1; i--) {
    sines = (V::set(1) + sines) * z * V::set(S(-1.0 / (2 * i * (2 * i + 1))));
    cosines = (V::set(1) + cosines) * z * V::set(S(-1.0 / ((2 * i - 1) * (2 * i))));
  }
  sine = mulAdd(r, sines, r);
  V vers = cosines;  // cos - 1, which doubles without cancellation: cos 2x - 1 = -2 sin^2 x
  for (int doubling = 0; doubling < 2; doubling++) {
    const V twice = sine + sine;
    const V next = V::set(0) - twice * sine;
    sine = mulAdd(twice, vers, twice);
    vers = next;
  }
  cosine = vers + V::set(1);
}

template <class V>
SOFTLANE_INLINE Complex<V> decayOf(const Exp2<V>& exp2, V s, Complex<V> a) {
  const V x = s * a.im, d = mulAdd(s, a.im, V::set(0) - x), size = decayOf(exp2, s, a.re);
  V cosine, sine;
  cosSin(x, V::lanes == 1 && sizeof(typename V::Scalar) == 4 ? V::set(0) : d, cosine, sine);
  return {size * cosine, size * sine};
}

SOFTLANE_INLINE F32 squaredSize(F32 x) { return x * x; }
SOFTLANE_INLINE F64 squaredSize(F64 x) { return x * x; }
template <class V>
SOFTLANE_INLINE V squaredSize(Complex<V> x) {
  return mulAdd(x.re, x.re, x.im * x.im);
}
template <class M>
SOFTLANE_INLINE F32 choose(M mask, F32 a, F32 b) {
  return select(mask, a, b);
}
template <class M>
SOFTLANE_INLINE F64 choose(M mask, F64 a, F64 b) {
  return select(mask, a, b);
}
template <class M, class V>
SOFTLANE_INLINE Complex<V> choose(M mask, Complex<V> a, Complex<V> b) {
  return {select(mask, a.re, b.re), select(mask, a.im, b.im)};
}

/// One step of the discretised system, h' = a h + w B u, and what its derivatives need.
template <class T>
struct Discrete {
  using N = Number<T>;
  using V = typename N::V;
  using S = typename V::Scalar;
  T a, w;
  T dads, dadA, dwds, dwdA;

  /// sum of x^k (k + 1)^slope / (k + 1 + slope)!: expm1(x) / x for slope 0, its derivative's factor psi for slope 1.
  static SOFTLANE_INLINE T series(T x, int slope) {
    constexpr int terms = sizeof(S) == 4 ? 8 : 15;
    double factorial[terms + 2] = {1};
    for (int i = 1; i < terms + 2; i++) factorial[i] = factorial[i - 1] * i;
    T sum = N::set(0);
    for (int k = terms - 1; k >= 0; k--)
      sum = mulAdd(sum, x, N::set(slope ? (k + 1) / factorial[k + 2] : 1 / factorial[k + 1]));
    return sum;
  }

  SOFTLANE_INLINE Discrete(const Exp2<V>& exp2, Discretization rule, V s, T A, bool derivatives) {
    const T x = times(s, A), one = N::set(1);
    if (rule == Discretization::bilinear) {
      const T half = times(V::set(S(0.5)), x), e = N::inverse(one - half);
      a = (one + half) * e;
      w = times(s, e);
      if (!derivatives) return;
      const T ee = e * e;
      dads = A * ee;
      dadA = times(s, ee);
      dwds = ee;
      dwdA = times(s * s * V::set(S(0.5)), ee);
      return;
    }
    a = decayOf(exp2, s, A);
    dads = A * a;
    dadA = times(s, a);
    if (rule == Discretization::euler) {
      w = times(s, one);
      dwds = one;
      dwdA = N::set(0);
      return;
    }
    const auto small = less(squaredSize(x), V::set(S(0.25)));
    const T inverse = N::inverse(choose(small, one, x));
    const T phi = choose(small, series(x, 0), (a - one) * inverse);
    w = times(s, phi);
    dwds = a;
    if (derivatives) dwdA = times(s * s, choose(small, series(x, 1), (a - phi) * inverse));
  }
};

}  // namespace softlane::ISA
