// Rare ways through a kernel, without code of their own: float64 arithmetic on narrower storage (ExpForm::wide, for extreme
// rows), and from one 16-bit type to the other. Pieces are widened into a buffer, the kernel goes on from there, and what it
// gives in float64 is narrowed: every result is computed and rounded as by code for exactly that case.
#pragma once
#include "isa.h"

namespace softlane::ISA {

// convert.cc
void convert(const void* x, Dtype in, void* y, Dtype out, size_t n);
void widen(const void* x, Dtype in, double* y, size_t n);
void narrow(const double* x, void* y, Dtype out, size_t n);

/// Whether a 16-bit type is read and the other one written.
inline bool isCross(Dtype in, Dtype out) { return in != out && sizeOf(in) == 2 && sizeOf(out) == 2; }
inline bool isWide(Dtype in, const ExpForm& form) { return form.wide && in != Dtype::f64; }

/// kernel(x, in, y, out, n) in pieces for one that maps elements; wide: computed in float64. In place is allowed.
template <class Kernel>
inline void stage(const void* x, Dtype in, void* y, Dtype out, size_t n, bool wide, Kernel kernel) {
  constexpr size_t kPiece = 512;
  alignas(64) double buffer[kPiece];
  for (size_t i = 0; i < n; i += kPiece) {
    const size_t count = n - i < kPiece ? n - i : kPiece;
    const char* from = static_cast<const char*>(x) + i * sizeOf(in);
    char* to = static_cast<char*>(y) + i * sizeOf(out);
    if (wide) {
      widen(from, in, buffer, count);
      kernel(buffer, Dtype::f64, buffer, Dtype::f64, count);
      narrow(buffer, to, out, count);
    } else {
      convert(from, in, buffer, Dtype::f32, count);
      kernel(buffer, Dtype::f32, to, out, count);
    }
  }
}

}  // namespace softlane::ISA
