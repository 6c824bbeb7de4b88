// From scores to the terms of the sums: scale, soft cap, ALiBi, mask, and one of three forms of the exponential, in which
// what was summed before is rescaled where the form needs it. Loop halves only.
#pragma once
#include "../math.h"
#include "attention.h"

namespace softlane::ISA {

/// Vectors in a row of scores.
constexpr int kScoreVectors = int(kKeyBlock) / F32::lanes;

/// c tanh(s / c), in float64: scores are differences of which float32 would lose too much.
struct SoftCap {
  Exponential<F64, Dtype::f64> e;
  SOFTLANE_INLINE void operator()(float* s, float cap) const {
    const F64 c = F64::set(cap), zero = F64::set(0), one = F64::set(1), two = F64::set(-2);
    for (size_t j = 0; j < kKeyBlock; j += F64::lanes) {
      const F64 x = F64::load(s + j) / c;
      const F64 decay = e.template expNonPositive<true>(two * abs(x));
      const F64 tanh = (one - decay) / (one + decay);
      (c * select(less(x, zero), zero - tanh, tanh)).store(s + j);
    }
  }
};

/// 0, 1, 2, ... in lanes, from `first`.
SOFTLANE_INLINE F32 countFrom(float first) {
  alignas(64) static const float steps[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  return F32::load(steps) + F32::set(first);
}

/// The final scores of row r, -infinity where it does not see.
SOFTLANE_INLINE void finishScores(const AttentionBlock& b, size_t r, const SoftCap& soft, F32 (&s)[kScoreVectors]) {
  constexpr int L = F32::lanes;
  float* room = b.room + r * kKeyBlock;
  const F32 scale = F32::set(b.scale), hidden = F32::set(-__builtin_inff());
  for (int v = 0; v < kScoreVectors; v++) {
    s[v] = F32::load(room + v * L) * scale;
    if (b.keyScales) s[v] = s[v] * F32::load(b.keyScales + v * L);
  }
  if (b.softCap > 0) {
    for (int v = 0; v < kScoreVectors; v++) s[v].store(room + v * L);
    soft(room, b.softCap);
    for (int v = 0; v < kScoreVectors; v++) s[v] = F32::load(room + v * L);
  }
  if (b.slopes) {
    const F32 slope = F32::set(b.slopes[r]);
    for (int v = 0; v < kScoreVectors; v++) s[v] = mulAdd(slope, countFrom(float(b.distance[r] + v * L)), s[v]);
  }
  const Sight sight = b.sight[r];
  if (sight.all(int32_t(b.count)) && b.count == kKeyBlock) return;
  const int32_t last = sight.to < int32_t(b.count) ? sight.to : int32_t(b.count);
  const int32_t sinks = sight.sink < int32_t(b.count) ? sight.sink : int32_t(b.count);
  const F32 from = F32::set(float(sight.from)), to = F32::set(float(last)), sink = F32::set(float(sinks));
  for (int v = 0; v < kScoreVectors; v++) {
    const F32 j = countFrom(float(v * L));
    const F32 seen = select(less(j, from), hidden, select(less(j, to), s[v], hidden));
    s[v] = select(less(j, sink), s[v], seen);
  }
}

SOFTLANE_INLINE float largestOf(const F32 (&s)[kScoreVectors]) {
  F32 top = s[0];
  for (int v = 1; v < kScoreVectors; v++) top = max(s[v], top);
  return reduceMax(top);
}

SOFTLANE_INLINE void rescale(const AttentionBlock& b, size_t r, float factor) {
  b.state.sums[r] *= factor;
  float* values = b.state.values + r * b.state.stride;
  const F32 f = F32::set(factor);
  for (size_t d = 0; d < b.state.stride; d += F32::lanes) (F32::load(values + d) * f).store(values + d);
}

/// Each form turns the scores of row r into terms, after rescaling what the row has summed so far.
struct Online {
  Exponential<F32, Dtype::f32> e;
  SOFTLANE_INLINE float exp(float x) const { return reduceMax(e.template expNonPositive<true>(F32::set(x))); }
  SOFTLANE_INLINE void operator()(const AttentionBlock& b, size_t r, F32 (&s)[kScoreVectors]) const {
    const float before = b.state.tops[r], largest = largestOf(s);
    // A NaN score makes the sum NaN whatever the largest is.
    const float top = largest > before ? largest : before;
    if (top > before) {
      if (b.state.sums[r] != 0) rescale(b, r, exp(before - top));
      b.state.tops[r] = top;
    }
    const F32 m = F32::set(top == -__builtin_inff() ? 0 : top);
    for (F32& each : s) each = e.template expNonPositive<true>(each - m);
  }
};

struct Unified {
  Exponential<F32, Dtype::f32> e;
  F32 phi, low, high;
  SOFTLANE_INLINE Unified(float maximum, float lowest, float highest)
      : phi(F32::set(maximum)), low(F32::set(lowest)), high(F32::set(highest)) {}

  /// e^(s - phi), 0 or infinity outside float32; `outside` becomes 1 where s - phi is not between low and high (masks, which
  /// are -infinity, are exempt).
  SOFTLANE_INLINE F32 term(F32 s, F32& outside) const {
    const F32 floor = F32::set(-104), ceiling = F32::set(88.72283f), zero = F32::set(0), one = F32::set(1);
    const F32 z = s - phi, below = select(lessEqual(z, low), one, zero);
    const F32 beyond = select(less(s, F32::set(lowest<float>())), zero, below);
    outside = max(select(lessEqual(high, z), one, beyond), outside);
    F32 m, k;
    e.ext(max(floor, min(ceiling, z)), m, k);    // NaN stays
    const F32 half = round(k * F32::set(0.5f));  // 2^128 is out of reach at once
    const F32 power = scalePow2(scalePow2(m, half), k - half);
    return select(less(z, floor), zero, select(less(ceiling, z), F32::set(__builtin_inff()), power));
  }
  SOFTLANE_INLINE void operator()(const AttentionBlock& b, size_t r, F32 (&s)[kScoreVectors]) const {
    F32 outside = F32::set(0);
    for (F32& each : s) each = term(each, outside);
    if (reduceMax(outside) > 0) b.left[r] = 1;
    b.state.tops[r] = b.phi;
  }
};

struct PairForm {
  Exponential<F32, Dtype::f32> e;
  SOFTLANE_INLINE void operator()(const AttentionBlock& b, size_t r, F32 (&s)[kScoreVectors]) const {
    const F32 floor = F32::set(-0x1p17f), masked = F32::set(lowest<float>()), zero = F32::set(0);
    const float before = b.state.tops[r];
    F32 mantissa[kScoreVectors], exponent[kScoreVectors], top = F32::set(before);
    for (int v = 0; v < kScoreVectors; v++) {
      e.ext(max(floor, s[v]), mantissa[v], exponent[v]);
      top = max(select(less(s[v], masked), F32::set(before), exponent[v]), top);
    }
    const float next = reduceMax(top);
    if (next > before) {
      if (b.state.sums[r] != 0) rescale(b, r, reduceMax(scalePow2(F32::set(1), F32::set(before - next))));
      b.state.tops[r] = next;
    }
    for (int v = 0; v < kScoreVectors; v++)
      s[v] = select(less(s[v], masked), zero, scalePow2(mantissa[v], exponent[v] - F32::set(next)));
  }
};

}  // namespace softlane::ISA
