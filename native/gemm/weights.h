// Weights in vector loops. Loop halves only.
#pragma once
#include "../isa.h"
#include "gemm.h"

namespace softlane::ISA {

/// Calls body(W{}) with the C++ type that `type` names.
template <class Body>
SOFTLANE_INLINE void withWeights(WeightType type, Body body) {
  switch (type) {
    case WeightType::f32: return body(float{});
    case WeightType::bf16: return body(bf16{});
    case WeightType::f16: return body(f16{});
    case WeightType::int8: return body(int8_t{});
  }
}

/// Vectors q and q + half of a line of packed weights: columns q L and q L + 16 onwards.
template <class W>
SOFTLANE_INLINE void loadLine(const W* line, int q, F32& lo, F32& hi) {
  lo = F32::load(line + q * F32::lanes);
  hi = F32::load(line + 16 + q * F32::lanes);
}
SOFTLANE_INLINE void loadLine(const bf16* line, int q, F32& lo, F32& hi) {
  loadPairs(line + 2 * q * F32::lanes, lo, hi);
}

}  // namespace softlane::ISA
