// Steps of the tape: broadcast arithmetic, maps and reductions: what operations and per-ISA kernels share. C headers only.
#pragma once
#include "../types.h"

namespace softlane {

/// Functions of one number; a and b are parameters of some (maps.cc has the formulas).
enum class TensorMap : uint8_t {
  exp,
  log,
  sqrt,
  square,
  abs,
  sign,
  relu,
  gelu,
  geluTanh,
  silu,
  sigmoid,
  tanh,
  softplus,
  elu,
  pow,
  clamp,
  affine
};

/// out[i] = f(x[i]), or with g the gradient out[i] = g[i] f'(x[i]), for which y = f(x) is given too. out may be x, y or g.
struct MapJob {
  Dtype type;
  TensorMap map;
  const void *x, *y, *g;
  void* out;
  size_t n;
  double a, b;
};

/// Functions of two numbers: keep is a where b is not 0, drop a where b is 0, both 0 elsewhere; notLess is 1 where a >= b.
enum class TensorBinary : uint8_t { add, sub, mul, div, maximum, minimum, keep, drop, notLess };

/// y[i] = f(a[i aStep], b[i bStep]), steps 0 or 1, in each of some rows; y may be a or b.
struct BinaryJob {
  Dtype type;
  TensorBinary binary;
  const void *a, *b;
  size_t aStep, bStep;
  void* y;
  size_t n, rows, aRow, bRow, yRow;
};

/// y[j] = factor * sum_i x[i * stride + j], i < n, j < inner. A line (inner 1, stride 1) is summed in vector lanes.
struct SumJob {
  Dtype type;
  const void* x;
  size_t n, inner, stride;
  void* y;
  double factor;
};

/// Rows of layer norm, or of RMS norm where not centered; stats holds mean and 1 / deviation of each row.
/// Backward (g given): out is the gradient of x; gradients of weight and bias are added to dWeight and dBias.
struct NormJob {
  Dtype type;
  const void *x, *weight, *bias, *g;
  void *out, *stats, *dWeight, *dBias;
  size_t rows, cols;
  double eps;
  bool centered;
};

/// Rows of softmax: of the first `limit` columns, one more (if `growing`) in each further row, at most cols; y is 0
/// (log: -infinity) in the others. With `tops` and `factors` y stays e^(x - top), and a row's factor makes it a softmax.
struct SoftmaxJob {
  Dtype type;
  const void* x;
  void* y;
  size_t rows, cols, stride;  ///< the stride is that of x and y
  size_t limit;
  bool growing, log;
  void *tops, *factors;  ///< one a row each, both or none
};

/// Rows of the gradient of attention: p = e^(s - top) factor is written over scores s, and p (dp - sum g out) over the
/// gradients dp of p; limit and growing as in SoftmaxJob, g and out have `width` columns.
struct ScoreJob {
  Dtype type;
  void *s, *dp;
  size_t rows, cols, stride;
  size_t limit;
  bool growing;
  const void *tops, *factors, *g, *out;
  size_t width, gStride;
};

/// A step of Adam on n parameters: m = beta1 m + (1 - beta1) g, v = beta2 v + (1 - beta2) g^2,
/// p = p decay - rate m / (sqrt(v correction) + eps); g is multiplied by gradientScale, and l2 p added, first.
struct AdamJob {
  Dtype type;
  void *p, *m, *v;
  const void* g;
  size_t n;
  double rate, beta1, beta2, eps, correction, decay, l2, gradientScale;
};

/// A step of gradient descent: g as above, velocity = keep velocity + take g,
/// p = p decay - rate (velocity, or with nesterov g + momentum velocity); velocity may be null.
struct SgdJob {
  Dtype type;
  void *p, *velocity;
  const void* g;
  size_t n;
  double rate, momentum, keep, take, decay, l2, gradientScale;
  bool nesterov;
};

}  // namespace softlane
