// Products of matrices that lie in any two strides: what operations and per-ISA kernels share. C headers only.
#pragma once
#include "../types.h"

namespace softlane {

/// C [m, n] = alpha A B, or that added to C. Element (i, k) of A stands at a + i aRow + k aCol, (k, j) of B at
/// b + k bRow + j bCol, (i, j) of C at c + i cRow + j: a transposed factor is one with its strides exchanged.
struct MatmulJob {
  Dtype type;  ///< of all three: f32 or f64
  const void* a;
  size_t aRow, aCol;
  const void* b;
  size_t bRow, bCol;
  void* c;
  size_t cRow;
  size_t m, n, k;
  double alpha;
  bool add;
};

/// Bytes that the kernel needs beside, whatever the job: a block of a panel of B (also for vectors of one lane).
constexpr size_t kMatmulScratch = size_t(1) << 14;

}  // namespace softlane
