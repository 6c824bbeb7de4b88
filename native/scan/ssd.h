// The chunked form of Mamba-2 (SSD): what operations and per-ISA kernels share. C headers only.
#pragma once
#include "../types.h"

namespace softlane {

/// Rows of the chunk's matrices lie this far apart for a chunk of so many steps: whole vectors of any instruction set.
constexpr size_t ssdStride(size_t chunk) { return (chunk + 15) / 16 * 16; }

/// The steps of one head in one chunk. Arrays of numbers have room for ssdStride(length).
struct SsdSteps {
  Dtype type;
  size_t length;
  const void *dt, *bias, *A;  ///< dt: dtStep apart; bias: may be null
  size_t dtStep;
  bool softplus;
  double low, high;  ///< limits of a step
  const int32_t*
      starts;   ///< of each step, the first step of its segment in the chunk, -1: before the chunk; null: all -1
  void *s, *c;  ///< step sizes, and the sums of s A up to and with each step
  void *enter,
      *leave;   ///< exp(c_l) where the chunk's first state is still seen; exp(c_last - c_j) where the last state sees j
  void* slope;  ///< null, or ds / d dt
};

/// w[l][j] = scores[l][j] exp(c_l - c_j) s_j for the steps j <= l of l's segment, 0 elsewhere; `stride` between rows.
struct SsdMix {
  Dtype type;
  size_t length, stride;
  const void *c, *s;
  const int32_t* starts;
  const void* scores;
  void* w;
  /// Backward, where t is not null: r[l][j] = t exp(c_l - c_j) s_j, m = t scores exp(c_l - c_j), rows[l] = sum_j m s_j,
  /// columns[j] = sum_l m.
  const void* t;
  void *r, *rows, *columns;
};

/// out = (y + factor_l more + D x) silu(z), row by row; `y` may be `out`.
struct SsdFinish {
  Dtype type;
  size_t rows, n;
  const void* y;
  size_t yStep;
  const void *more, *factors;  ///< rows of n; factors: factorStep apart
  size_t factorStep;
  const void *x, *D;  ///< D: null, one for each of n, or one for all
  size_t xStep;
  bool dEach;
  const void* z;  ///< null, or zStep apart
  size_t zStep;
  void* out;
  size_t outStep;
};

/// g = gout silu(z), dz = gout (y + D x) silu'(z), dD += g x; without z, g is gout.
struct SsdGate {
  Dtype type;
  size_t rows, n, step;              ///< of x, z, gout and dz from row to row
  const void *gout, *x, *z, *y, *D;  ///< y: rows of n, needed with z
  bool dEach;
  void *g, *dz, *dD;  ///< g: rows of n; dD: n sums, may be null
};

}  // namespace softlane
