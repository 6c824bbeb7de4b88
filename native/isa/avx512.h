// AVX-512 (F, BW, DQ, VL): 16 float32 or 8 float64 lanes, masks in their own registers, scalef for powers of two.
#pragma once
#include <immintrin.h>

namespace softlane::ISA {

struct F32 {
  using Scalar = float;
  static constexpr int lanes = 16;
  static constexpr bool hasScalef = true;
  __m512 v;

  static SOFTLANE_INLINE __mmask16 firstLanes(size_t n) { return __mmask16((1u << n) - 1); }
  static SOFTLANE_INLINE F32 set(float s) { return {_mm512_set1_ps(s)}; }

  static SOFTLANE_INLINE F32 widen(__m256i bits, bf16) {
    return {_mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bits), 16))};
  }
  static SOFTLANE_INLINE F32 widen(__m256i bits, f16) { return {_mm512_cvtph_ps(bits)}; }

  static SOFTLANE_INLINE F32 load(const float* p) { return {_mm512_loadu_ps(p)}; }
  static SOFTLANE_INLINE F32 load(const float* p, size_t n, float fill) {
    return {_mm512_mask_loadu_ps(_mm512_set1_ps(fill), firstLanes(n), p)};
  }
  static SOFTLANE_INLINE F32 load(const int8_t* p) {
    return {_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))))};
  }
  static SOFTLANE_INLINE F32 load(const int8_t* p, size_t n, float fill) {
    const __m512i wide = _mm512_cvtepi8_epi32(_mm_maskz_loadu_epi8(firstLanes(n), p));
    return {_mm512_mask_cvtepi32_ps(_mm512_set1_ps(fill), firstLanes(n), wide)};
  }
  template <class T>
  static SOFTLANE_INLINE F32 load(const T* p) {
    return widen(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)), T{});
  }
  template <class T>
  static SOFTLANE_INLINE F32 load(const T* p, size_t n, float fill) {
    F32 lanesRead = widen(_mm256_maskz_loadu_epi16(firstLanes(n), p), T{});
    return {_mm512_mask_mov_ps(_mm512_set1_ps(fill), firstLanes(n), lanesRead.v)};
  }

  // Integer rounding: the bf16 conversion instruction flushes subnormals to zero.
  SOFTLANE_INLINE __m256i bits(bf16) const {
    __m512i u = _mm512_castps_si512(v);
    __m512i odd = _mm512_and_si512(_mm512_srli_epi32(u, 16), _mm512_set1_epi32(1));
    __m512i rounded = _mm512_add_epi32(_mm512_add_epi32(u, _mm512_set1_epi32(0x7fff)), odd);
    __mmask16 isNan = _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q);
    rounded = _mm512_mask_or_epi32(rounded, isNan, u, _mm512_set1_epi32(0x400000));
    return _mm512_cvtepi32_epi16(_mm512_srli_epi32(rounded, 16));
  }
  SOFTLANE_INLINE __m256i bits(f16) const { return _mm512_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }

  SOFTLANE_INLINE void store(float* p) const { _mm512_storeu_ps(p, v); }
  SOFTLANE_INLINE void store(float* p, size_t n) const { _mm512_mask_storeu_ps(p, firstLanes(n), v); }
  template <class T>
  SOFTLANE_INLINE void store(T* p) const {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), bits(T{}));
  }
  template <class T>
  SOFTLANE_INLINE void store(T* p, size_t n) const {
    _mm256_mask_storeu_epi16(p, firstLanes(n), bits(T{}));
  }
  SOFTLANE_INLINE void stream(float* p) const { _mm512_stream_ps(p, v); }
  template <class T>
  SOFTLANE_INLINE void stream(T* p) const {
    _mm256_stream_si256(reinterpret_cast<__m256i*>(p), bits(T{}));
  }
};

SOFTLANE_INLINE F32 operator+(F32 a, F32 b) { return {_mm512_add_ps(a.v, b.v)}; }
SOFTLANE_INLINE F32 operator-(F32 a, F32 b) { return {_mm512_sub_ps(a.v, b.v)}; }
SOFTLANE_INLINE F32 operator*(F32 a, F32 b) { return {_mm512_mul_ps(a.v, b.v)}; }
SOFTLANE_INLINE F32 fma(F32 a, F32 b, F32 c) { return {_mm512_fmadd_ps(a.v, b.v, c.v)}; }
SOFTLANE_INLINE F32 operator/(F32 a, F32 b) { return {_mm512_div_ps(a.v, b.v)}; }
SOFTLANE_INLINE F32 mulAdd(F32 a, F32 b, F32 c) { return fma(a, b, c); }
SOFTLANE_INLINE F32 subtractLn2(F32 z, F32 k, F32 hi, F32 lo) { return fma(k, lo, fma(k, hi, z)); }
SOFTLANE_INLINE F32 max(F32 a, F32 b) { return {_mm512_max_ps(a.v, b.v)}; }
SOFTLANE_INLINE F32 min(F32 a, F32 b) { return {_mm512_min_ps(a.v, b.v)}; }
SOFTLANE_INLINE F32 round(F32 a) { return {_mm512_roundscale_ps(a.v, 0x08)}; }
/// |a|: makes -0 from a meaningless mantissa times 2^-huge an honest 0
SOFTLANE_INLINE F32 abs(F32 a) { return {_mm512_abs_ps(a.v)}; }
SOFTLANE_INLINE F32 bitOr(F32 a, F32 b) { return {_mm512_or_ps(a.v, b.v)}; }
/// a where test is zero, b elsewhere
SOFTLANE_INLINE F32 selectZero(F32 test, F32 a, F32 b) {
  return {_mm512_mask_mov_ps(b.v, _mm512_cmp_ps_mask(test.v, _mm512_setzero_ps(), _CMP_EQ_OQ), a.v)};
}
SOFTLANE_INLINE F32 scalePow2(F32 m, F32 k) { return {_mm512_scalef_ps(m.v, k.v)}; }
/// The halves of a reduction, and from there on as the narrower types do it.
SOFTLANE_INLINE __m256 lowHalf(F32 a) { return _mm512_castps512_ps256(a.v); }
SOFTLANE_INLINE __m256 highHalf(F32 a) { return _mm512_extractf32x8_ps(a.v, 1); }
SOFTLANE_INLINE float reduceAdd(F32 a) {
  __m256 h = _mm256_add_ps(lowHalf(a), highHalf(a));
  __m128 q = _mm_add_ps(_mm256_castps256_ps128(h), _mm256_extractf128_ps(h, 1));
  q = _mm_add_ps(q, _mm_movehl_ps(q, q));
  return _mm_cvtss_f32(_mm_add_ss(q, _mm_movehdup_ps(q)));
}
SOFTLANE_INLINE float reduceMax(F32 a) {
  __m256 h = _mm256_max_ps(lowHalf(a), highHalf(a));
  __m128 q = _mm_max_ps(_mm256_castps256_ps128(h), _mm256_extractf128_ps(h, 1));
  q = _mm_max_ps(q, _mm_movehl_ps(q, q));
  return _mm_cvtss_f32(_mm_max_ss(q, _mm_movehdup_ps(q)));
}
/// rows become columns: 16 x 16, in four steps of unpack, shuffle and two lane permutations
SOFTLANE_INLINE void transpose(F32 (&r)[16]) {
  __m512 t[16], s[16];
  for (int i = 0; i < 16; i += 2) {
    t[i] = _mm512_unpacklo_ps(r[i].v, r[i + 1].v);
    t[i + 1] = _mm512_unpackhi_ps(r[i].v, r[i + 1].v);
  }
  for (int i = 0; i < 16; i += 4) {  // s[i + j]: column 4q + j of rows i..i+3 in lane group q
    s[i] = _mm512_shuffle_ps(t[i], t[i + 2], 0x44);
    s[i + 1] = _mm512_shuffle_ps(t[i], t[i + 2], 0xee);
    s[i + 2] = _mm512_shuffle_ps(t[i + 1], t[i + 3], 0x44);
    s[i + 3] = _mm512_shuffle_ps(t[i + 1], t[i + 3], 0xee);
  }
  for (int j = 0; j < 4; j++) {
    t[j] = _mm512_shuffle_f32x4(s[j], s[j + 4], 0x88);
    t[j + 4] = _mm512_shuffle_f32x4(s[j], s[j + 4], 0xdd);
    t[j + 8] = _mm512_shuffle_f32x4(s[j + 8], s[j + 12], 0x88);
    t[j + 12] = _mm512_shuffle_f32x4(s[j + 8], s[j + 12], 0xdd);
  }
  for (int j = 0; j < 4; j++) {
    r[j].v = _mm512_shuffle_f32x4(t[j], t[j + 8], 0x88);
    r[j + 8].v = _mm512_shuffle_f32x4(t[j], t[j + 8], 0xdd);
    r[j + 4].v = _mm512_shuffle_f32x4(t[j + 4], t[j + 12], 0x88);
    r[j + 12].v = _mm512_shuffle_f32x4(t[j + 4], t[j + 12], 0xdd);
  }
}

struct F64 {
  using Scalar = double;
  static constexpr int lanes = 8;
  static constexpr bool hasScalef = true;
  __m512d v;

  static SOFTLANE_INLINE __mmask8 firstLanes(size_t n) { return __mmask8((1u << n) - 1); }
  static SOFTLANE_INLINE F64 set(double s) { return {_mm512_set1_pd(s)}; }

  static SOFTLANE_INLINE F64 load(const double* p) { return {_mm512_loadu_pd(p)}; }
  static SOFTLANE_INLINE F64 load(const double* p, size_t n, double fill) {
    return {_mm512_mask_loadu_pd(_mm512_set1_pd(fill), firstLanes(n), p)};
  }
  static SOFTLANE_INLINE F64 load(const float* p) { return {_mm512_cvtps_pd(_mm256_loadu_ps(p))}; }
  template <class T>  // narrower storage: the slow path for extreme rows
  static SOFTLANE_INLINE F64 load(const T* p) {
    return load(p, 8, 0.0);
  }
  template <class T>
  static SOFTLANE_INLINE F64 load(const T* p, size_t n, double fill) {
    __m512d wide = _mm512_cvtps_pd(lowHalf(F32::load(p, n, 0.0f)));
    return {_mm512_mask_mov_pd(_mm512_set1_pd(fill), firstLanes(n), wide)};
  }

  SOFTLANE_INLINE void store(double* p) const { _mm512_storeu_pd(p, v); }
  SOFTLANE_INLINE void store(double* p, size_t n) const { _mm512_mask_storeu_pd(p, firstLanes(n), v); }
  template <class T>
  SOFTLANE_INLINE void store(T* p) const {
    store(p, 8);
  }
  template <class T>
  SOFTLANE_INLINE void store(T* p, size_t n) const {
    F32{_mm512_castps256_ps512(_mm512_cvtpd_ps(v))}.store(p, n);
  }
  SOFTLANE_INLINE void stream(double* p) const { _mm512_stream_pd(p, v); }
  template <class T>
  SOFTLANE_INLINE void stream(T* p) const {
    store(p);
  }
};

SOFTLANE_INLINE F64 operator+(F64 a, F64 b) { return {_mm512_add_pd(a.v, b.v)}; }
SOFTLANE_INLINE F64 operator-(F64 a, F64 b) { return {_mm512_sub_pd(a.v, b.v)}; }
SOFTLANE_INLINE F64 operator*(F64 a, F64 b) { return {_mm512_mul_pd(a.v, b.v)}; }
SOFTLANE_INLINE F64 fma(F64 a, F64 b, F64 c) { return {_mm512_fmadd_pd(a.v, b.v, c.v)}; }
SOFTLANE_INLINE F64 operator/(F64 a, F64 b) { return {_mm512_div_pd(a.v, b.v)}; }
SOFTLANE_INLINE F64 mulAdd(F64 a, F64 b, F64 c) { return fma(a, b, c); }
SOFTLANE_INLINE F64 subtractLn2(F64 z, F64 k, F64 hi, F64 lo) { return fma(k, lo, fma(k, hi, z)); }
SOFTLANE_INLINE F64 max(F64 a, F64 b) { return {_mm512_max_pd(a.v, b.v)}; }
SOFTLANE_INLINE F64 min(F64 a, F64 b) { return {_mm512_min_pd(a.v, b.v)}; }
SOFTLANE_INLINE F64 round(F64 a) { return {_mm512_roundscale_pd(a.v, 0x08)}; }
SOFTLANE_INLINE F64 abs(F64 a) { return {_mm512_abs_pd(a.v)}; }
SOFTLANE_INLINE F64 bitOr(F64 a, F64 b) { return {_mm512_or_pd(a.v, b.v)}; }
SOFTLANE_INLINE F64 selectZero(F64 test, F64 a, F64 b) {
  return {_mm512_mask_mov_pd(b.v, _mm512_cmp_pd_mask(test.v, _mm512_setzero_pd(), _CMP_EQ_OQ), a.v)};
}
SOFTLANE_INLINE F64 scalePow2(F64 m, F64 k) { return {_mm512_scalef_pd(m.v, k.v)}; }
SOFTLANE_INLINE double reduceAdd(F64 a) {
  __m256d h = _mm256_add_pd(_mm512_castpd512_pd256(a.v), _mm512_extractf64x4_pd(a.v, 1));
  __m128d q = _mm_add_pd(_mm256_castpd256_pd128(h), _mm256_extractf128_pd(h, 1));
  return _mm_cvtsd_f64(_mm_add_sd(q, _mm_unpackhi_pd(q, q)));
}
SOFTLANE_INLINE double reduceMax(F64 a) {
  __m256d h = _mm256_max_pd(_mm512_castpd512_pd256(a.v), _mm512_extractf64x4_pd(a.v, 1));
  __m128d q = _mm_max_pd(_mm256_castpd256_pd128(h), _mm256_extractf128_pd(h, 1));
  return _mm_cvtsd_f64(_mm_max_sd(q, _mm_unpackhi_pd(q, q)));
}
SOFTLANE_INLINE void transpose(F64 (&r)[8]) {
  __m512d t[8];
  for (int i = 0; i < 8; i += 2) {
    t[i] = _mm512_unpacklo_pd(r[i].v, r[i + 1].v);
    t[i + 1] = _mm512_unpackhi_pd(r[i].v, r[i + 1].v);
  }
  for (int j = 0; j < 2; j++) {  // t[i + j]: column 2q + j of rows i, i+1 in lane group q
    __m512d a = _mm512_shuffle_f64x2(t[j], t[j + 2], 0x88), b = _mm512_shuffle_f64x2(t[j], t[j + 2], 0xdd);
    __m512d c = _mm512_shuffle_f64x2(t[j + 4], t[j + 6], 0x88), d = _mm512_shuffle_f64x2(t[j + 4], t[j + 6], 0xdd);
    r[j].v = _mm512_shuffle_f64x2(a, c, 0x88);
    r[j + 4].v = _mm512_shuffle_f64x2(a, c, 0xdd);
    r[j + 2].v = _mm512_shuffle_f64x2(b, d, 0x88);
    r[j + 6].v = _mm512_shuffle_f64x2(b, d, 0xdd);
  }
}

/// Comparisons for select; false where either is NaN.
SOFTLANE_INLINE __mmask16 less(F32 a, F32 b) { return _mm512_cmp_ps_mask(a.v, b.v, _CMP_LT_OQ); }
SOFTLANE_INLINE __mmask16 lessEqual(F32 a, F32 b) { return _mm512_cmp_ps_mask(a.v, b.v, _CMP_LE_OQ); }
/// a where the mask is set, b elsewhere
SOFTLANE_INLINE F32 select(__mmask16 mask, F32 a, F32 b) { return {_mm512_mask_mov_ps(b.v, mask, a.v)}; }
SOFTLANE_INLINE F32 sqrt(F32 a) { return {_mm512_sqrt_ps(a.v)}; }

SOFTLANE_INLINE __mmask8 less(F64 a, F64 b) { return _mm512_cmp_pd_mask(a.v, b.v, _CMP_LT_OQ); }
SOFTLANE_INLINE __mmask8 lessEqual(F64 a, F64 b) { return _mm512_cmp_pd_mask(a.v, b.v, _CMP_LE_OQ); }
SOFTLANE_INLINE F64 select(__mmask8 mask, F64 a, F64 b) { return {_mm512_mask_mov_pd(b.v, mask, a.v)}; }
SOFTLANE_INLINE F64 sqrt(F64 a) { return {_mm512_sqrt_pd(a.v)}; }

SOFTLANE_INLINE F32 sumEach(const F32 (&r)[16]) {
  __m512 t[8], u[4];
  for (int i = 0; i < 8; i++)
    t[i] =
        _mm512_add_ps(_mm512_unpacklo_ps(r[2 * i].v, r[2 * i + 1].v), _mm512_unpackhi_ps(r[2 * i].v, r[2 * i + 1].v));
  for (int i = 0; i < 4; i++) {
    const __m512d a = _mm512_castps_pd(t[2 * i]), b = _mm512_castps_pd(t[2 * i + 1]);
    u[i] = _mm512_add_ps(_mm512_castpd_ps(_mm512_unpacklo_pd(a, b)), _mm512_castpd_ps(_mm512_unpackhi_pd(a, b)));
  }
  for (int i = 0; i < 2; i++)
    u[i] = _mm512_add_ps(_mm512_shuffle_f32x4(u[2 * i], u[2 * i + 1], 0x88),
                         _mm512_shuffle_f32x4(u[2 * i], u[2 * i + 1], 0xdd));
  return {_mm512_add_ps(_mm512_shuffle_f32x4(u[0], u[1], 0x88), _mm512_shuffle_f32x4(u[0], u[1], 0xdd))};
}

SOFTLANE_INLINE void loadPairs(const bf16* p, F32& lo, F32& hi) {
  const __m512i words = _mm512_loadu_si512(p);
  lo = {_mm512_castsi512_ps(_mm512_slli_epi32(words, 16))};
  hi = {_mm512_castsi512_ps(_mm512_and_si512(words, _mm512_set1_epi32(int(0xffff0000))))};
}

SOFTLANE_INLINE void streamFence() { _mm_sfence(); }

}  // namespace softlane::ISA
