// What the loops of linear attention share. Loop halves only.
#pragma once
#include "../math.h"
#include "../span.h"
#include "linear.h"

namespace softlane::ISA {

/// Up to a whole vector; lanes past n hold `fill`.
template <class V, class S>
SOFTLANE_INLINE V some(const S* p, size_t n, S fill = 0) {
  return n < size_t(V::lanes) ? V::load(p, n, fill) : V::load(p);
}

template <class V, class S>
SOFTLANE_INLINE void put(S* p, size_t n, V v) {
  if (n < size_t(V::lanes)) v.store(p, n);
  else v.store(p);
}

/// body(first element, elements of the vector) for each vector of n elements, the last of which may be partial.
template <class V, class Body>
SOFTLANE_INLINE void eachLanes(size_t n, Body body) {
  constexpr size_t L = V::lanes;
  size_t i = 0;
  for (; i + L <= n; i += L) body(i, L);
  if (i < n) body(i, n - i);
}

/// Calls body(V{}, typed null pointer) for the type of a job.
template <class Body>
SOFTLANE_INLINE void withReal(Dtype type, Body body) {
  if (type == Dtype::f64) body(F64{}, double{});
  else body(F32{}, float{});
}

}  // namespace softlane::ISA
