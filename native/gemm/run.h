// A product as operations ask for it: gemm itself, and the steps of a model's forward pass.
#pragma once
#include "../ops.h"

namespace softlane {

/// Weights as they lie in memory: packed panels, or rows as in a checkpoint.
struct Weights {
  const void* data;
  const float* scales;  ///< of int8
  WeightType type;
  bool packed;
  size_t n, k;
};

/// y [m, n] = activation(a w^T + bias) + residual. `residual` may be y itself.
struct Product {
  const float* a;
  size_t m, aStride;
  Weights w;
  const float *bias, *residual;
  float* y;
  Activation activation;
  GemmPath path;
  bool prefetch;
};

/// Runs on up to run.threads() threads; results depend neither on them nor, for packed weights, on path or m.
void multiply(Run& run, const Product& product);

/// Threads that a product is worth: waking one costs as much as reading half a million weights.
inline size_t threadsFor(size_t n, size_t k, size_t m, size_t threads) {
  const size_t worth = 1 + n * k / (size_t(1) << 19) * (1 + m / 16);
  return threads < worth ? threads : worth;
}

/// Elements of an array of weights.
inline size_t elementsOf(size_t n, size_t k, bool packed) { return (packed ? panelsOf(n) * kPanelRows : n) * k; }

/// out [count, k] = rows of w, widened.
void gather(const Weights& w, const int32_t* rows, size_t count, float* out);

}  // namespace softlane
