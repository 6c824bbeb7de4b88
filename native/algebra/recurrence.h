// The algebra of a first-order linear recurrence h_t = a_t h_{t-1} + b_t. An element (a, b) stands for the map h -> a h + b;
// a later element after an earlier one is an element again, so any grouping of the steps gives the same state: chunks of time
// can be folded apart and joined. Plain C++ for host and device; T is a number or a vector type with * and mulAdd.
#pragma once

#if defined(__CUDACC__)
#define SOFTLANE_BOTH __host__ __device__
#else
#define SOFTLANE_BOTH
#endif

namespace softlane {
namespace algebra {

/// a b + c for plain numbers; vector types bring their own.
SOFTLANE_BOTH inline float mulAdd(float a, float b, float c) { return a * b + c; }
SOFTLANE_BOTH inline double mulAdd(double a, double b, double c) { return a * b + c; }

template <class T>
struct LinearStep {
  T a, b;

  /// The element of a step with decay a and input b.
  SOFTLANE_BOTH static inline LinearStep init(T decay, T input) { return {decay, input}; }
  /// The map that changes nothing, given the type's one and zero.
  SOFTLANE_BOTH static inline LinearStep identity(T one, T zero) { return {one, zero}; }
  /// `earlier` and then `later`: h -> a2 (a1 h + b1) + b2.
  SOFTLANE_BOTH static inline LinearStep combine(const LinearStep& earlier, const LinearStep& later) {
    return {earlier.a * later.a, mulAdd(later.a, earlier.b, later.b)};
  }
  /// The state after the element, from the state before it.
  SOFTLANE_BOTH inline T apply(T h) const { return mulAdd(a, h, b); }
};

}  // namespace algebra
}  // namespace softlane
