// Flat GEMM: y [m, n] = activation(a [m, k] w [n, k]^T + bias) + residual, few rows of a against a weight matrix that is
// read once. What operations and per-ISA kernels share. C headers only.
#pragma once
#include "../types.h"

namespace softlane {

/// Storage of weights. int8 has one float32 scale for each row of w (each column of y).
enum class WeightType : uint8_t { f32, bf16, f16, int8 };
static inline size_t sizeOf(WeightType type) { return type == WeightType::f32 ? 4 : type == WeightType::int8 ? 1 : 2; }

enum class Activation : uint8_t { none, silu, gelu, geluTanh, relu };

/// Rows of w in a panel of packed weights: panel p holds rows 32 p to 32 p + 31, one line of 32 elements for each k, so
/// that a kernel reads one stream and needs no horizontal sums. bf16: a line holds rows 0, 16, 1, 17, ..., which widen by
/// one shift and one mask. The layout is the same for every instruction set; rows past n are zeros.
constexpr size_t kPanelRows = 32;
/// k in one chain of fused multiply-adds; the sums of such blocks are added in order. A block of a panel (32 KiB of
/// float32) and a tile of a stay close to the first-level cache, and long sums lose less than in one chain.
constexpr size_t kDepth = 256;

/// Where row `row` of a panel stands in each of its lines.
static inline size_t placeInLine(WeightType type, size_t row) {
  return type == WeightType::bf16 ? (row % 16) * 2 + row / 16 : row;
}
static inline size_t panelsOf(size_t n) { return (n + kPanelRows - 1) / kPanelRows; }

/// How rows of a are cut into tiles of at most `most` rows, whose accumulators fill the registers: as evenly as it goes,
/// since a tile of one row costs as much as one of two.
struct Tiles {
  size_t rows, count;
  Tiles(size_t m, size_t most) : rows(m), count((m + most - 1) / most) {}
  size_t begin(size_t tile) const { return tile * (rows / count) + (tile < rows % count ? tile : rows % count); }
};

/// One block of one panel (or of two neighbouring ones) against all rows of a: c [m][32] (+)= a w^T.
struct PanelJob {
  const float* a;  ///< tiles of a, each [k][rows of the tile]: tile t at begin(t) * k
  size_t m, tileRows, k, from, depth;
  const void* panel;  ///< lines of the block of the first panel
  size_t
      nextPanel;  ///< bytes to the same block of the second panel, for tiles of at most gemm_pair_rows(); 0: one panel
  WeightType type;
  float* c;           ///< [panels][m][32]
  bool add;           ///< to what c holds, or instead of it
  const char* ahead;  ///< what is prefetched meanwhile; null: nothing
  bool near;          ///< a little ahead in the same stream, in the first pass; else the next block, in equal shares
};

/// Rows of w as they stand in a checkpoint, [n, k] row-major.
struct DotJob {
  const float* a;  ///< [rows][aStride]
  size_t rows, aStride;
  const void* w;  ///< first of `columns` rows of w
  size_t columns, k;
  WeightType type;
  float* c;  ///< [rows][32]
  bool ahead;
};

/// The end of a product: y = activation(c * scale + bias) + residual.
struct FinishJob {
  const float* c;  ///< [m][32]
  size_t m, columns;
  const float *scales, *bias, *residual;  ///< null where there is none
  float* y;
  size_t stride;  ///< of residual and y
  Activation activation;
};

}  // namespace softlane
