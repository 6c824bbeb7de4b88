// What the tape's operations share.
#pragma once
#ifdef SOFTLANE_OPERATIONS
#include <algorithm>
#include <cmath>
#include <cstring>

#include "../cpu.h"
#include "../ops.h"

namespace softlane::tensor {

/// Elements that make a piece of work worth handing to a thread.
constexpr size_t kPiece = size_t(1) << 15;

/// The element type of a call, by its first array.
inline Dtype typeOf(const char* name, const In<Any>& x) {
  const Dtype type = x.element == Element::float64 ? Dtype::f64 : Dtype::f32;
  requireStorage(name, x.element, type);
  return type;
}

/// Throws unless an array (if there is one) is of the type and holds that many elements.
template <class A>
void require(const char* name, const A& array, Dtype type, size_t length) {
  if (!array.data) return;
  requireStorage(name, array.element, type);
  if (array.length != length)
    throw rangeError(name, std::to_string(length) + " elements long", std::to_string(array.length) + " elements");
}

/// Element i of an array, whatever it holds; null stays.
inline const void* at(const void* p, Dtype type, size_t i) {
  return p ? static_cast<const char*>(p) + i * sizeOf(type) : nullptr;
}
inline void* at(void* p, Dtype type, size_t i) { return p ? static_cast<char*>(p) + i * sizeOf(type) : nullptr; }

/// body(begin, end) over `count` units of `size` elements each, shared among threads where that pays.
template <class Body>
void share(Run& run, size_t count, size_t size, size_t threads, Body body) {
  run.useThreads(std::min(threads, 1 + count * std::max<size_t>(size, 1) / kPiece));
  run.expect(count);
  run.each(count, std::max<size_t>(1, kPiece / std::max<size_t>(size, 1)), [&](size_t begin, size_t end) {
    body(begin, end);
    run.advance(end - begin);
  });
}

/// Calls body(float{}) or body(double{}).
template <class Body>
void withType(Dtype type, Body body) {
  if (type == Dtype::f64) body(double{});
  else body(float{});
}

constexpr size_t kMostAxes = 16;

/// Axes of a loop over two arrays, outermost first, joined where both arrays go on evenly.
struct Axes {
  size_t rank = 0, sizes[kMostAxes], first[kMostAxes], second[kMostAxes];

  /// From [sizes..., strides of the first..., strides of the second...].
  explicit Axes(In<double> table) {
    const size_t axes = table.length / 3;
    if (table.length % 3 || axes > kMostAxes)
      throw rangeError("axes", "3 numbers for each of at most 16 axes", std::to_string(table.length) + " numbers");
    for (size_t i = 0; i < axes; i++) {
      const size_t size = size_t(table.data[i]), a = size_t(table.data[axes + i]), b = size_t(table.data[2 * axes + i]);
      if (size == 1) continue;
      if (rank && first[rank - 1] == a * size && second[rank - 1] == b * size) {
        sizes[rank - 1] *= size;
        first[rank - 1] = a;
        second[rank - 1] = b;
      } else {
        sizes[rank] = size;
        first[rank] = a;
        second[rank++] = b;
      }
    }
    if (rank == 0) {
      sizes[0] = first[0] = second[0] = 1;
      rank = 1;
    }
  }

  size_t inner() const { return sizes[rank - 1]; }
  /// Lines: the product of the axes but the innermost.
  size_t lines() const {
    size_t count = 1;
    for (size_t i = 0; i + 1 < rank; i++) count *= sizes[i];
    return count;
  }
  size_t elements() const { return lines() * inner(); }
  /// The largest index that either array is asked for; the loop must not be empty.
  size_t last(const size_t (&strides)[kMostAxes]) const {
    size_t sum = 0;
    for (size_t i = 0; i < rank; i++) sum += (sizes[i] - 1) * strides[i];
    return sum;
  }

  /// body(start in the first, start in the second, line) for lines begin to end.
  template <class Body>
  void each(size_t begin, size_t end, Body body) const {
    size_t index[kMostAxes], a = 0, b = 0, rest = begin;
    for (size_t i = rank - 1; i-- > 0;) {
      index[i] = rest % sizes[i];
      rest /= sizes[i];
      a += index[i] * first[i];
      b += index[i] * second[i];
    }
    for (size_t line = begin; line < end; line++) {
      body(a, b, line);
      for (size_t i = rank - 1; i-- > 0;) {
        a += first[i];
        b += second[i];
        if (++index[i] < sizes[i]) break;
        index[i] = 0;
        a -= first[i] * sizes[i];
        b -= second[i] * sizes[i];
      }
    }
  }
};

}  // namespace softlane::tensor
#endif
