// Loops over lines of numbers that the tape's kernels share. Loop halves only.
#pragma once
#include "../span.h"
#include "tensor.h"

namespace softlane::ISA {

/// A whole vector, or the first n lanes of one.
template <class V, class S>
SOFTLANE_INLINE V part(const S* p, size_t n, S fill = 0) {
  return n >= size_t(V::lanes) ? V::load(p) : V::load(p, n, fill);
}
template <class V, class S>
SOFTLANE_INLINE void put(V v, S* p, size_t n) {
  if (n >= size_t(V::lanes)) v.store(p);
  else v.store(p, n);
}

/// body(i, rest) for every vector of n numbers: one copy of the body serves whole vectors and the last, partial one.
template <class V, class Body>
SOFTLANE_INLINE void eachVector(size_t n, Body body) {
  for (size_t i = 0; i < n; i += V::lanes) body(i, n - i);
}

/// Calls body(V{}) with the vector type of a storage type, float32 or float64.
template <class Body>
SOFTLANE_INLINE void withReal(Dtype type, Body body) {
  if (type == Dtype::f64) body(F64{});
  else body(F32{});
}

template <class V>
using ExpOf = Exponential<V, sizeof(typename V::Scalar) == 8 ? Dtype::f64 : Dtype::f32>;

}  // namespace softlane::ISA
