// Plain C++, one lane: the reference that the other instruction sets are compared with, and what runs on an x86-64
// without AVX2 or on another architecture.
#pragma once

namespace softlane::ISA {

template <class To, class From>
SOFTLANE_INLINE To bitCast(From from) {
  static_assert(sizeof(To) == sizeof(From), "sizes differ");
  To to;
  memcpy(&to, &from, sizeof(to));
  return to;
}

SOFTLANE_INLINE float toFloat(float v) { return v; }
SOFTLANE_INLINE float toFloat(int8_t v) { return v; }
SOFTLANE_INLINE float toFloat(bf16 v) { return bitCast<float>(uint32_t(v.bits) << 16); }
SOFTLANE_INLINE float toFloat(f16 v) {
  uint32_t sign = uint32_t(v.bits & 0x8000) << 16, rest = v.bits & 0x7fff;
  if (rest >= 0x7c00) {  // infinity, or NaN made quiet
    uint32_t quiet = rest > 0x7c00 ? 0x400000u : 0;
    return bitCast<float>(sign | 0x7f800000u | ((rest & 0x3ff) << 13) | quiet);
  }
  // Normal and subnormal alike: place the bits in a float32 whose exponent is 112 too small, then scale exactly.
  return bitCast<float>(bitCast<uint32_t>(bitCast<float>(rest << 13) * 0x1p112f) | sign);
}

SOFTLANE_INLINE bf16 toBf16(float v) {
  uint32_t u = bitCast<uint32_t>(v);
  if ((u & 0x7fffffff) > 0x7f800000) return {uint16_t((u >> 16) | 0x40)};
  return {uint16_t((u + 0x7fff + ((u >> 16) & 1)) >> 16)};
}

SOFTLANE_INLINE f16 toF16(float v) {
  uint32_t u = bitCast<uint32_t>(v), sign = (u >> 16) & 0x8000, rest = u & 0x7fffffff;
  if (rest > 0x7f800000) return {uint16_t(sign | 0x7e00 | ((rest >> 13) & 0x3ff))};
  if (rest >= 0x477ff000) return {uint16_t(sign | 0x7c00)};  // 65520 and above
  if (rest < 0x38800000) {  // below 2^-14: the sum's last place is 2^-24, so the addition rounds to a subnormal
    float shifted = bitCast<float>(rest) + 0.5f;
    return {uint16_t(sign | (bitCast<uint32_t>(shifted) - 0x3f000000u))};
  }
  return {uint16_t(sign | ((rest - 0x38000000u + 0xfff + ((rest >> 13) & 1)) >> 13))};
}

struct F32 {
  using Scalar = float;
  static constexpr int lanes = 1;
  static constexpr bool hasScalef = false;
  float v;

  static SOFTLANE_INLINE F32 set(float s) { return {s}; }
  template <class T>
  static SOFTLANE_INLINE F32 load(const T* p) {
    return {toFloat(*p)};
  }
  template <class T>
  static SOFTLANE_INLINE F32 load(const T*, size_t, float fill) {
    return {fill};  // n < lanes means n = 0
  }
  SOFTLANE_INLINE void store(float* p) const { *p = v; }
  SOFTLANE_INLINE void store(bf16* p) const { *p = toBf16(v); }
  SOFTLANE_INLINE void store(f16* p) const { *p = toF16(v); }
  template <class T>
  SOFTLANE_INLINE void store(T*, size_t) const {}
  template <class T>
  SOFTLANE_INLINE void stream(T* p) const {
    store(p);
  }
};

SOFTLANE_INLINE F32 operator+(F32 a, F32 b) { return {a.v + b.v}; }
SOFTLANE_INLINE F32 operator-(F32 a, F32 b) { return {a.v - b.v}; }
SOFTLANE_INLINE F32 operator*(F32 a, F32 b) { return {a.v * b.v}; }
/// The product of two float32 is exact in float64; the sum is rounded to 53 and then to 24 bits. No libm call, no FMA.
SOFTLANE_INLINE F32 fma(F32 a, F32 b, F32 c) { return {float(double(a.v) * b.v + c.v)}; }
SOFTLANE_INLINE F32 operator/(F32 a, F32 b) { return {a.v / b.v}; }
SOFTLANE_INLINE F32 mulAdd(F32 a, F32 b, F32 c) { return {a.v * b.v + c.v}; }
SOFTLANE_INLINE F32 subtractLn2(F32 z, F32 k, F32, F32) { return {float(z.v - k.v * 0x1.62e42fefa39efp-1)}; }
SOFTLANE_INLINE F32 max(F32 a, F32 b) { return {a.v > b.v ? a.v : b.v}; }
SOFTLANE_INLINE F32 min(F32 a, F32 b) { return {a.v < b.v ? a.v : b.v}; }
SOFTLANE_INLINE F32 round(F32 a) { return {(a.v + 0x1.8p23f) - 0x1.8p23f}; }
SOFTLANE_INLINE F32 bitOr(F32 a, F32 b) { return {bitCast<float>(bitCast<uint32_t>(a.v) | bitCast<uint32_t>(b.v))}; }
/// a where test is zero, b elsewhere
SOFTLANE_INLINE F32 selectZero(F32 test, F32 a, F32 b) { return {test.v == 0 ? a.v : b.v}; }
SOFTLANE_INLINE F32 scalePow2(F32 m, F32 k) {
  float d = k.v > -127 ? k.v : -127;
  return {m.v * bitCast<float>(bitCast<uint32_t>(d + 0x1.8000FEp23f) << 23)};
}
/// zero where a < limit, v elsewhere (NaN in a keeps v)
SOFTLANE_INLINE F32 zeroBelow(F32 v, F32 a, F32 limit) { return {a.v < limit.v ? 0 : v.v}; }
SOFTLANE_INLINE F32 shiftToExponent(F32 biased) { return {bitCast<float>(bitCast<uint32_t>(biased.v) << 23)}; }
SOFTLANE_INLINE float reduceAdd(F32 a) { return a.v; }
SOFTLANE_INLINE float reduceMax(F32 a) { return a.v; }
SOFTLANE_INLINE void transpose(F32 (&)[1]) {}

struct F64 {
  using Scalar = double;
  static constexpr int lanes = 1;
  static constexpr bool hasScalef = false;
  double v;

  static SOFTLANE_INLINE F64 set(double s) { return {s}; }
  static SOFTLANE_INLINE F64 load(const double* p) { return {*p}; }
  template <class T>
  static SOFTLANE_INLINE F64 load(const T* p) {
    return {toFloat(*p)};
  }
  template <class T>
  static SOFTLANE_INLINE F64 load(const T*, size_t, double fill) {
    return {fill};
  }
  SOFTLANE_INLINE void store(double* p) const { *p = v; }
  template <class T>
  SOFTLANE_INLINE void store(T* p) const {
    F32{float(v)}.store(p);
  }
  template <class T>
  SOFTLANE_INLINE void store(T*, size_t) const {}
  template <class T>
  SOFTLANE_INLINE void stream(T* p) const {
    store(p);
  }
};

SOFTLANE_INLINE F64 operator+(F64 a, F64 b) { return {a.v + b.v}; }
SOFTLANE_INLINE F64 operator-(F64 a, F64 b) { return {a.v - b.v}; }
SOFTLANE_INLINE F64 operator*(F64 a, F64 b) { return {a.v * b.v}; }
/// Correctly rounded, by libm: slow where the CPU has no FMA, so only for what needs the exact remainder of a product.
SOFTLANE_INLINE F64 fma(F64 a, F64 b, F64 c) { return {::fma(a.v, b.v, c.v)}; }
SOFTLANE_INLINE F64 operator/(F64 a, F64 b) { return {a.v / b.v}; }
SOFTLANE_INLINE F64 mulAdd(F64 a, F64 b, F64 c) { return {a.v * b.v + c.v}; }
SOFTLANE_INLINE F64 subtractLn2(F64 z, F64 k, F64 hi, F64 lo) { return {(z.v + k.v * hi.v) + k.v * lo.v}; }
SOFTLANE_INLINE F64 max(F64 a, F64 b) { return {a.v > b.v ? a.v : b.v}; }
SOFTLANE_INLINE F64 min(F64 a, F64 b) { return {a.v < b.v ? a.v : b.v}; }
SOFTLANE_INLINE F64 round(F64 a) { return {(a.v + 0x1.8p52) - 0x1.8p52}; }
SOFTLANE_INLINE F64 bitOr(F64 a, F64 b) { return {bitCast<double>(bitCast<uint64_t>(a.v) | bitCast<uint64_t>(b.v))}; }
SOFTLANE_INLINE F64 selectZero(F64 test, F64 a, F64 b) { return {test.v == 0 ? a.v : b.v}; }
SOFTLANE_INLINE F64 scalePow2(F64 m, F64 k) {
  double d = k.v > -1023 ? k.v : -1023;
  return {m.v * bitCast<double>(bitCast<uint64_t>(d + (0x1.8p52 + 1023)) << 52)};
}
SOFTLANE_INLINE F64 zeroBelow(F64 v, F64 a, F64 limit) { return {a.v < limit.v ? 0 : v.v}; }
SOFTLANE_INLINE F64 shiftToExponent(F64 biased) { return {bitCast<double>(bitCast<uint64_t>(biased.v) << 52)}; }
SOFTLANE_INLINE double reduceAdd(F64 a) { return a.v; }
SOFTLANE_INLINE double reduceMax(F64 a) { return a.v; }
SOFTLANE_INLINE void transpose(F64 (&)[1]) {}

/// Comparisons for select; false where either is NaN.
SOFTLANE_INLINE bool less(F32 a, F32 b) { return a.v < b.v; }
SOFTLANE_INLINE bool lessEqual(F32 a, F32 b) { return a.v <= b.v; }
/// a where the mask is set, b elsewhere
SOFTLANE_INLINE F32 select(bool mask, F32 a, F32 b) { return mask ? a : b; }
SOFTLANE_INLINE F32 sqrt(F32 a) { return {__builtin_sqrtf(a.v)}; }
SOFTLANE_INLINE F32 abs(F32 a) { return {__builtin_fabsf(a.v)}; }

SOFTLANE_INLINE bool less(F64 a, F64 b) { return a.v < b.v; }
SOFTLANE_INLINE bool lessEqual(F64 a, F64 b) { return a.v <= b.v; }
SOFTLANE_INLINE F64 select(bool mask, F64 a, F64 b) { return mask ? a : b; }
SOFTLANE_INLINE F64 sqrt(F64 a) { return {__builtin_sqrt(a.v)}; }
SOFTLANE_INLINE F64 abs(F64 a) { return {__builtin_fabs(a.v)}; }

SOFTLANE_INLINE F32 sumEach(const F32 (&r)[1]) { return r[0]; }

SOFTLANE_INLINE void loadPairs(const bf16* p, F32& lo, F32& hi) {
  lo = F32::load(p);
  hi = F32::load(p + 1);
}

SOFTLANE_INLINE void streamFence() {}

}  // namespace softlane::ISA
