// What the operations of recurrences share: checks of arrays against shapes, and positions in arrays of either type.
#pragma once
#include <algorithm>
#include <cstring>

#include "../ops.h"

namespace softlane {

/// Throws unless the array is of the type and has exactly this many elements.
template <class A>
void requireShape(const char* argument, const A& array, Dtype type, double wanted) {
  requireStorage(argument, array.element, type);
  if (double(array.length) != wanted)
    throw rangeError(argument, std::to_string(size_t(wanted)) + " elements long", std::to_string(array.length));
}
/// The same for an array that need not be given.
template <class A>
void requireIfGiven(const char* argument, const A& array, Dtype type, double wanted) {
  if (array.data) requireShape(argument, array, type, wanted);
}

/// The sizes of a call, as many as wanted.
inline void requireSizes(In<double> sizes, size_t wanted) {
  if (sizes.length != wanted)
    throw rangeError("sizes", std::to_string(wanted) + " numbers", std::to_string(sizes.length));
}

/// Element i of an array of float32 or float64; null stays null.
inline const void* at(const void* p, Dtype type, size_t i) {
  return p ? static_cast<const char*>(p) + i * sizeOf(type) : nullptr;
}
inline void* at(void* p, Dtype type, size_t i) { return p ? static_cast<char*>(p) + i * sizeOf(type) : nullptr; }

/// Calls body(float{}) or body(double{}).
template <class Body>
void withReal(Dtype type, Body body) {
  if (type == Dtype::f64) body(double{});
  else body(float{});
}

/// f32 or f64, by the first array of a call.
inline Dtype realOf(Element element) { return element == Element::float64 ? Dtype::f64 : Dtype::f32; }

}  // namespace softlane
