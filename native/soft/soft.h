// Softmax-free attention: what operations and per-ISA kernels share. C headers only.
#pragma once
#include "../types.h"

namespace softlane {

/// A block of a Gaussian kernel, in place: c[i][j] = exp(min(0, c[i][j] - (left[i] + right[j]))), where c holds a . b and
/// left and right the halves of |a|^2 and |b|^2. Type f32 or f64.
struct GaussianBlock {
  Dtype type;
  void* c;
  size_t row;  ///< elements from one row of c to the next
  size_t rows, cols;
  const void *left, *right;
};

/// The step through a Gaussian kernel: e[i][j] *= k[i][j], with the sums of its rows, and of its columns added to `colSums`.
struct GaussianGradient {
  Dtype type;
  void* e;
  const void* k;
  size_t row;  ///< of e and k
  size_t rows, cols;
  void *rowSums, *colSums;
};

}  // namespace softlane
