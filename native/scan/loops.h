// Vectors over a span of a width known at run time, shared by the recurrences. Loop halves only.
#pragma once
#include "../isa.h"

namespace softlane::ISA {

/// Up to a whole vector; lanes past n are zeros.
template <class V, class S>
SOFTLANE_INLINE V someOf(const S* p, size_t n) {
  return n < size_t(V::lanes) ? V::load(p, n, 0) : V::load(p);
}
template <class V, class S>
SOFTLANE_INLINE void putSome(V v, S* p, size_t n) {
  if (n < size_t(V::lanes)) v.store(p, n);
  else v.store(p);
}

}  // namespace softlane::ISA
