// AVX2 with FMA and F16C: 8 float32 or 4 float64 lanes.
#pragma once
#include <immintrin.h>

namespace softlane::ISA {

/// -1 in the first n lanes: a window into eight ones followed by eight zeros.
alignas(64) static const int32_t kMask32[16] = {-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0};
alignas(64) static const int64_t kMask64[8] = {-1, -1, -1, -1, 0, 0, 0, 0};

struct F32 {
  using Scalar = float;
  static constexpr int lanes = 8;
  static constexpr bool hasScalef = false;
  __m256 v;

  static SOFTLANE_INLINE __m256i firstLanes(size_t n) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(kMask32 + 8 - n));
  }
  static SOFTLANE_INLINE F32 set(float s) { return {_mm256_set1_ps(s)}; }

  static SOFTLANE_INLINE F32 load(const float* p) { return {_mm256_loadu_ps(p)}; }
  static SOFTLANE_INLINE F32 load(const bf16* p) {
    __m128i bits = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
    return {_mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(bits), 16))};
  }
  static SOFTLANE_INLINE F32 load(const f16* p) {
    return {_mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)))};
  }
  static SOFTLANE_INLINE F32 load(const int8_t* p) {
    return {_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p))))};
  }
  static SOFTLANE_INLINE F32 load(const float* p, size_t n, float fill) {
    __m256i mask = firstLanes(n);
    return {_mm256_blendv_ps(_mm256_set1_ps(fill), _mm256_maskload_ps(p, mask), _mm256_castsi256_ps(mask))};
  }
  template <class T>  // 16-bit storage has no masked load: through the stack
  static SOFTLANE_INLINE F32 load(const T* p, size_t n, float fill) {
    T lane[8] = {};
    for (size_t i = 0; i < n; i++) lane[i] = p[i];
    return {_mm256_blendv_ps(_mm256_set1_ps(fill), load(lane).v, _mm256_castsi256_ps(firstLanes(n)))};
  }

  SOFTLANE_INLINE __m128i bits(bf16) const {
    __m256i u = _mm256_castps_si256(v);
    __m256i odd = _mm256_and_si256(_mm256_srli_epi32(u, 16), _mm256_set1_epi32(1));
    __m256i rounded = _mm256_add_epi32(_mm256_add_epi32(u, _mm256_set1_epi32(0x7fff)), odd);
    __m256i quiet = _mm256_or_si256(u, _mm256_set1_epi32(0x400000));
    __m256i isNan = _mm256_castps_si256(_mm256_cmp_ps(v, v, _CMP_UNORD_Q));
    __m256i high = _mm256_srli_epi32(_mm256_blendv_epi8(rounded, quiet, isNan), 16);
    return _mm_packus_epi32(_mm256_castsi256_si128(high), _mm256_extracti128_si256(high, 1));
  }
  SOFTLANE_INLINE __m128i bits(f16) const { return _mm256_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }

  SOFTLANE_INLINE void store(float* p) const { _mm256_storeu_ps(p, v); }
  SOFTLANE_INLINE void store(float* p, size_t n) const { _mm256_maskstore_ps(p, firstLanes(n), v); }
  template <class T>
  SOFTLANE_INLINE void store(T* p) const {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p), bits(T{}));
  }
  template <class T>
  SOFTLANE_INLINE void store(T* p, size_t n) const {
    T lane[8];
    store(lane);
    for (size_t i = 0; i < n; i++) p[i] = lane[i];
  }
  SOFTLANE_INLINE void stream(float* p) const { _mm256_stream_ps(p, v); }
  template <class T>
  SOFTLANE_INLINE void stream(T* p) const {
    _mm_stream_si128(reinterpret_cast<__m128i*>(p), bits(T{}));
  }
};

SOFTLANE_INLINE F32 operator+(F32 a, F32 b) { return {_mm256_add_ps(a.v, b.v)}; }
SOFTLANE_INLINE F32 operator-(F32 a, F32 b) { return {_mm256_sub_ps(a.v, b.v)}; }
SOFTLANE_INLINE F32 operator*(F32 a, F32 b) { return {_mm256_mul_ps(a.v, b.v)}; }
SOFTLANE_INLINE F32 fma(F32 a, F32 b, F32 c) { return {_mm256_fmadd_ps(a.v, b.v, c.v)}; }
SOFTLANE_INLINE F32 operator/(F32 a, F32 b) { return {_mm256_div_ps(a.v, b.v)}; }
SOFTLANE_INLINE F32 mulAdd(F32 a, F32 b, F32 c) { return fma(a, b, c); }
SOFTLANE_INLINE F32 subtractLn2(F32 z, F32 k, F32 hi, F32 lo) { return fma(k, lo, fma(k, hi, z)); }
SOFTLANE_INLINE F32 max(F32 a, F32 b) { return {_mm256_max_ps(a.v, b.v)}; }
SOFTLANE_INLINE F32 min(F32 a, F32 b) { return {_mm256_min_ps(a.v, b.v)}; }
SOFTLANE_INLINE F32 round(F32 a) { return {_mm256_round_ps(a.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)}; }
SOFTLANE_INLINE F32 bitOr(F32 a, F32 b) { return {_mm256_or_ps(a.v, b.v)}; }
/// a where test is zero, b elsewhere
SOFTLANE_INLINE F32 selectZero(F32 test, F32 a, F32 b) {
  return {_mm256_blendv_ps(b.v, a.v, _mm256_cmp_ps(test.v, _mm256_setzero_ps(), _CMP_EQ_OQ))};
}
SOFTLANE_INLINE F32 shiftToExponent(F32 biased) {
  return {_mm256_castsi256_ps(_mm256_slli_epi32(_mm256_castps_si256(biased.v), 23))};
}
SOFTLANE_INLINE F32 scalePow2(F32 m, F32 k) {  // the bias leaves k + 127 in the low bits; k = -127 gives zero
  return m * shiftToExponent(max(k, F32::set(-127)) + F32::set(0x1.8000FEp23f));
}
/// zero where a < limit, v elsewhere (NaN in a keeps v)
SOFTLANE_INLINE F32 zeroBelow(F32 v, F32 a, F32 limit) {
  return {_mm256_andnot_ps(_mm256_cmp_ps(a.v, limit.v, _CMP_LT_OQ), v.v)};
}
SOFTLANE_INLINE float reduceAdd(F32 a) {
  __m128 q = _mm_add_ps(_mm256_castps256_ps128(a.v), _mm256_extractf128_ps(a.v, 1));
  q = _mm_add_ps(q, _mm_movehl_ps(q, q));
  return _mm_cvtss_f32(_mm_add_ss(q, _mm_movehdup_ps(q)));
}
SOFTLANE_INLINE float reduceMax(F32 a) {
  __m128 q = _mm_max_ps(_mm256_castps256_ps128(a.v), _mm256_extractf128_ps(a.v, 1));
  q = _mm_max_ps(q, _mm_movehl_ps(q, q));
  return _mm_cvtss_f32(_mm_max_ss(q, _mm_movehdup_ps(q)));
}
/// rows become columns: 8 x 8
SOFTLANE_INLINE void transpose(F32 (&r)[8]) {
  __m256 t[8], s[8];
  for (int i = 0; i < 8; i += 2) {
    t[i] = _mm256_unpacklo_ps(r[i].v, r[i + 1].v);
    t[i + 1] = _mm256_unpackhi_ps(r[i].v, r[i + 1].v);
  }
  for (int i = 0; i < 8; i += 4) {
    s[i] = _mm256_shuffle_ps(t[i], t[i + 2], 0x44);
    s[i + 1] = _mm256_shuffle_ps(t[i], t[i + 2], 0xee);
    s[i + 2] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0x44);
    s[i + 3] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0xee);
  }
  for (int i = 0; i < 4; i++) {
    r[i].v = _mm256_permute2f128_ps(s[i], s[i + 4], 0x20);
    r[i + 4].v = _mm256_permute2f128_ps(s[i], s[i + 4], 0x31);
  }
}

struct F64 {
  using Scalar = double;
  static constexpr int lanes = 4;
  static constexpr bool hasScalef = false;
  __m256d v;

  static SOFTLANE_INLINE __m256i firstLanes(size_t n) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(kMask64 + 4 - n));
  }
  static SOFTLANE_INLINE F64 set(double s) { return {_mm256_set1_pd(s)}; }

  static SOFTLANE_INLINE F64 load(const double* p) { return {_mm256_loadu_pd(p)}; }
  static SOFTLANE_INLINE F64 load(const double* p, size_t n, double fill) {
    __m256i mask = firstLanes(n);
    return {_mm256_blendv_pd(_mm256_set1_pd(fill), _mm256_maskload_pd(p, mask), _mm256_castsi256_pd(mask))};
  }
  static SOFTLANE_INLINE F64 load(const float* p) { return {_mm256_cvtps_pd(_mm_loadu_ps(p))}; }
  template <class T>  // narrower storage is the slow path for extreme rows: through the stack
  static SOFTLANE_INLINE F64 load(const T* p) {
    return load(p, 4, 0.0);
  }
  template <class T>
  static SOFTLANE_INLINE F64 load(const T* p, size_t n, double fill) {
    T lane[8] = {};
    for (size_t i = 0; i < n; i++) lane[i] = p[i];
    __m256d wide = _mm256_cvtps_pd(_mm256_castps256_ps128(F32::load(lane).v));
    __m256i mask = n < 4 ? firstLanes(n) : _mm256_set1_epi64x(-1);
    return {_mm256_blendv_pd(_mm256_set1_pd(fill), wide, _mm256_castsi256_pd(mask))};
  }

  SOFTLANE_INLINE void store(double* p) const { _mm256_storeu_pd(p, v); }
  SOFTLANE_INLINE void store(double* p, size_t n) const { _mm256_maskstore_pd(p, firstLanes(n), v); }
  template <class T>
  SOFTLANE_INLINE void store(T* p) const {
    store(p, 4);
  }
  template <class T>
  SOFTLANE_INLINE void store(T* p, size_t n) const {
    T lane[8];
    F32{_mm256_castps128_ps256(_mm256_cvtpd_ps(v))}.store(lane);
    for (size_t i = 0; i < n; i++) p[i] = lane[i];
  }
  SOFTLANE_INLINE void stream(double* p) const { _mm256_stream_pd(p, v); }
  template <class T>
  SOFTLANE_INLINE void stream(T* p) const {
    store(p);
  }
};

SOFTLANE_INLINE F64 operator+(F64 a, F64 b) { return {_mm256_add_pd(a.v, b.v)}; }
SOFTLANE_INLINE F64 operator-(F64 a, F64 b) { return {_mm256_sub_pd(a.v, b.v)}; }
SOFTLANE_INLINE F64 operator*(F64 a, F64 b) { return {_mm256_mul_pd(a.v, b.v)}; }
SOFTLANE_INLINE F64 fma(F64 a, F64 b, F64 c) { return {_mm256_fmadd_pd(a.v, b.v, c.v)}; }
SOFTLANE_INLINE F64 operator/(F64 a, F64 b) { return {_mm256_div_pd(a.v, b.v)}; }
SOFTLANE_INLINE F64 mulAdd(F64 a, F64 b, F64 c) { return fma(a, b, c); }
SOFTLANE_INLINE F64 subtractLn2(F64 z, F64 k, F64 hi, F64 lo) { return fma(k, lo, fma(k, hi, z)); }
SOFTLANE_INLINE F64 max(F64 a, F64 b) { return {_mm256_max_pd(a.v, b.v)}; }
SOFTLANE_INLINE F64 min(F64 a, F64 b) { return {_mm256_min_pd(a.v, b.v)}; }
SOFTLANE_INLINE F64 round(F64 a) { return {_mm256_round_pd(a.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)}; }
SOFTLANE_INLINE F64 bitOr(F64 a, F64 b) { return {_mm256_or_pd(a.v, b.v)}; }
SOFTLANE_INLINE F64 selectZero(F64 test, F64 a, F64 b) {
  return {_mm256_blendv_pd(b.v, a.v, _mm256_cmp_pd(test.v, _mm256_setzero_pd(), _CMP_EQ_OQ))};
}
SOFTLANE_INLINE F64 shiftToExponent(F64 biased) {
  return {_mm256_castsi256_pd(_mm256_slli_epi64(_mm256_castpd_si256(biased.v), 52))};
}
SOFTLANE_INLINE F64 scalePow2(F64 m, F64 k) {
  return m * shiftToExponent(max(k, F64::set(-1023)) + F64::set(0x1.8p52 + 1023));
}
SOFTLANE_INLINE F64 zeroBelow(F64 v, F64 a, F64 limit) {
  return {_mm256_andnot_pd(_mm256_cmp_pd(a.v, limit.v, _CMP_LT_OQ), v.v)};
}
SOFTLANE_INLINE double reduceAdd(F64 a) {
  __m128d h = _mm_add_pd(_mm256_castpd256_pd128(a.v), _mm256_extractf128_pd(a.v, 1));
  return _mm_cvtsd_f64(_mm_add_sd(h, _mm_unpackhi_pd(h, h)));
}
SOFTLANE_INLINE double reduceMax(F64 a) {
  __m128d h = _mm_max_pd(_mm256_castpd256_pd128(a.v), _mm256_extractf128_pd(a.v, 1));
  return _mm_cvtsd_f64(_mm_max_sd(h, _mm_unpackhi_pd(h, h)));
}
SOFTLANE_INLINE void transpose(F64 (&r)[4]) {
  __m256d a = _mm256_unpacklo_pd(r[0].v, r[1].v), b = _mm256_unpackhi_pd(r[0].v, r[1].v);
  __m256d c = _mm256_unpacklo_pd(r[2].v, r[3].v), d = _mm256_unpackhi_pd(r[2].v, r[3].v);
  r[0].v = _mm256_permute2f128_pd(a, c, 0x20);
  r[1].v = _mm256_permute2f128_pd(b, d, 0x20);
  r[2].v = _mm256_permute2f128_pd(a, c, 0x31);
  r[3].v = _mm256_permute2f128_pd(b, d, 0x31);
}

/// Comparisons for select; false where either is NaN.
SOFTLANE_INLINE __m256 less(F32 a, F32 b) { return _mm256_cmp_ps(a.v, b.v, _CMP_LT_OQ); }
SOFTLANE_INLINE __m256 lessEqual(F32 a, F32 b) { return _mm256_cmp_ps(a.v, b.v, _CMP_LE_OQ); }
/// a where the mask is set, b elsewhere
SOFTLANE_INLINE F32 select(__m256 mask, F32 a, F32 b) { return {_mm256_blendv_ps(b.v, a.v, mask)}; }
SOFTLANE_INLINE F32 sqrt(F32 a) { return {_mm256_sqrt_ps(a.v)}; }
SOFTLANE_INLINE F32 abs(F32 a) { return {_mm256_andnot_ps(_mm256_set1_ps(-0.0f), a.v)}; }

SOFTLANE_INLINE __m256d less(F64 a, F64 b) { return _mm256_cmp_pd(a.v, b.v, _CMP_LT_OQ); }
SOFTLANE_INLINE __m256d lessEqual(F64 a, F64 b) { return _mm256_cmp_pd(a.v, b.v, _CMP_LE_OQ); }
SOFTLANE_INLINE F64 select(__m256d mask, F64 a, F64 b) { return {_mm256_blendv_pd(b.v, a.v, mask)}; }
SOFTLANE_INLINE F64 sqrt(F64 a) { return {_mm256_sqrt_pd(a.v)}; }
SOFTLANE_INLINE F64 abs(F64 a) { return {_mm256_andnot_pd(_mm256_set1_pd(-0.0), a.v)}; }

SOFTLANE_INLINE F32 sumEach(const F32 (&r)[8]) {
  __m256 t[4], u[2];
  for (int i = 0; i < 4; i++)
    t[i] =
        _mm256_add_ps(_mm256_unpacklo_ps(r[2 * i].v, r[2 * i + 1].v), _mm256_unpackhi_ps(r[2 * i].v, r[2 * i + 1].v));
  for (int i = 0; i < 2; i++) {
    const __m256d a = _mm256_castps_pd(t[2 * i]), b = _mm256_castps_pd(t[2 * i + 1]);
    u[i] = _mm256_add_ps(_mm256_castpd_ps(_mm256_unpacklo_pd(a, b)), _mm256_castpd_ps(_mm256_unpackhi_pd(a, b)));
  }
  return {_mm256_add_ps(_mm256_permute2f128_ps(u[0], u[1], 0x20), _mm256_permute2f128_ps(u[0], u[1], 0x31))};
}

SOFTLANE_INLINE void loadPairs(const bf16* p, F32& lo, F32& hi) {
  const __m256i words = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  lo = {_mm256_castsi256_ps(_mm256_slli_epi32(words, 16))};
  hi = {_mm256_castsi256_ps(_mm256_and_si256(words, _mm256_set1_epi32(int(0xffff0000))))};
}

SOFTLANE_INLINE void streamFence() { _mm_sfence(); }

}  // namespace softlane::ISA
