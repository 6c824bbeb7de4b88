// Types that cross the border between operations and per-ISA kernels. C headers only: loop halves include this.
#pragma once
#include <stddef.h>
#include <stdint.h>

namespace softlane {

/// Storage of an array's elements. bf16 and f16 travel as 16-bit patterns; arithmetic on them is float32.
enum class Dtype : uint8_t { f32, f64, bf16, f16 };

struct bf16 {
  uint16_t bits;
};
struct f16 {
  uint16_t bits;
};

static inline size_t sizeOf(Dtype dtype) { return dtype == Dtype::f64 ? 8 : dtype == Dtype::f32 ? 4 : 2; }

/// Elements summed in vector lanes before the sum is flushed to float64. 16 KiB of float32: x and y of a block
/// share a 48 KiB (or, just, a 32 KiB) first-level cache. Every reduction is per block, and blocks are merged in
/// index order, so results depend neither on threads nor on batching.
constexpr size_t kBlock = 4096;
static inline size_t blocksOf(size_t n) { return (n + kBlock - 1) / kBlock; }

/// Rows up to this many columns are transposed into lanes (softmax_rows.cc).
constexpr size_t kTransposed = 32;

/// mantissa * 2^exponent; exponent holds an integer value. Sums of exponentials live in this form.
struct Pair {
  double mantissa, exponent;
};

/// How exponentials of one call are formed: exp(x / temperature), with what precision.
struct ExpForm {
  double temperature;
  double inverse, inverseTail;  ///< 1/T as an unevaluated sum: a rounded 1/T alone errs by 1e-4 at x = 1000 in float32
  bool unit;                    ///< T == 1: skip the multiplication
  Dtype precision;              ///< of the result: shorter polynomials serve 16-bit outputs
  bool clamp;                   ///< pairs: keep exponents finite (needed for masks below -1e15, and without scalef)
  bool wide;                    ///< compute in float64 whatever the storage (the slow path for extreme rows)
};

/// A row-major matrix read and one written, strides in elements.
struct Rows {
  const void* x;
  void* y;
  size_t rows, cols, strideX, strideY;
  Dtype in, out;
};

/// y = e^(...) * factor + offset; `stream` asks for non-temporal stores.
struct Affine {
  double factor, offset;
  bool stream;
};

}  // namespace softlane
