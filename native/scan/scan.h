// Selective scan: what operations and per-ISA kernels share. C headers only.
//
// A task stages a tile of channels and steps from the caller's layout into scratch: rows of `width` channels, one row for
// each step (or for each state: then states x parts). Lanes are channels, so there is no horizontal sum, and arrays whose
// rows are multiples of 4 KiB apart do not fight for the same set of the cache.
#pragma once
#include "../types.h"
#include "lti.h"
#include "ssd.h"
#include "state.h"

namespace softlane {

enum class Discretization : uint8_t { euler, zoh, bilinear };
enum class ScanLayout : uint8_t { channelsFirst, timeFirst };
/// What a sweep leaves behind: outputs; also a second state that started from zero; or every state and decay.
enum class ScanMode : uint8_t { plain, both, keep };

/// Vectors in a row of a tile.
constexpr size_t kScanVectors = 4;
/// Steps of a tile; steps from one checkpoint to the next.
constexpr size_t kScanSteps = 16, kCheckpoint = 64;

/// Elements (row, column) of a matrix at data + row * rowStride + column * columnStride, to and from rows of `width`.
struct StageJob {
  const void* data;
  Dtype type;  ///< of data; the tile is float64 for f64, else float32
  size_t rows, columns, rowStride, columnStride;
  void* tile;
  size_t width;  ///< elements from row to row of the tile, at least `columns` rounded up to whole vectors
};

/// B or C: one number for all channels of a step (vector 0), or one for each channel.
struct ScanWeights {
  const void* p;
  size_t step, state, vector;  ///< elements from one step, state, vector of channels to the next
};

/// A tile under way. Arithmetic in float32 or float64; complex numbers are a row of real and a row of imaginary parts.
struct ScanTile {
  Dtype type;
  bool complex, wide;  ///< wide: b and c are vectors, else single numbers of consecutive states
  Discretization rule;
  ScanMode mode;
  bool halves;                           ///< plain sweeps add up y as ScanMode::both does
  bool powers;                           ///< A[n] = (n + 1) A[0] in every channel: one exponential serves all states
  size_t width, vectors, steps, states;  ///< the first `vectors` of each row are swept
  const void *s, *u;                     ///< [steps][width]
  const void* a;                         ///< [states][parts][width]: continuous decay
  ScanWeights b, c;
  void *h, *other;  ///< [states][parts][width], in place; other: the state from zero, for ScanMode::both
  /// For ScanMode::keep, of one vector: [1 + steps][states][parts][lanes], the state after each step behind that before
  /// the tile, which the caller puts there, and the discrete decays [steps][states][parts][lanes]. Of shared powers no decays are kept: they cost less than their
  /// way through the caches.
  void *kept, *decays;
  void* y;  ///< [steps][width]; null: not wanted
  /// What is staged next: while step t of vector v is computed, the lines at ahead + t aheadStep + v aheadVector are asked
  /// for, so that memory works meanwhile.
  const char* ahead[4];
  size_t aheads, aheadStep, aheadVector;
};

/// The reverse sweep over one vector of a tile that was kept. All pointers are those of the vector. Gradients follow the
/// convention dRe + i dIm.
struct ScanReverse {
  ScanTile tile;       ///< as it was swept in mode keep
  const bool* resets;  ///< [steps]: the recurrence starts anew at this step; null: nowhere
  const void* g;       ///< [steps][width]: gradient of y
  void* mu;            ///< [states][parts][width], in place: conj(a) lambda of the step after this tile
  void* dA;            ///< [states][parts][width], added to
  /// Added to: [steps][states][parts][lanes]; of weights that are constant, all steps add to the first.
  void *dB, *dC;
  bool constantB, constantC;
  void *q, *ds;  ///< [steps][width]: the sums over states of lambda dh/du and of lambda dh/ds
};

/// A state carried over a chunk of steps: next = exp(A sum) h + e, rows as in ScanTile.
struct ScanCarry {
  Dtype type;
  bool complex;
  size_t width, states;
  const void *a, *sum, *h, *e;
  void* next;
};

/// Elementwise steps around the sweep, on tiles of [steps][width].
struct ScanEdge {
  Dtype type;
  size_t width, steps;
  const void *bias, *d;  ///< [width]; null: none
  bool softplus;
  void *delta, *u, *z, *y;  ///< z null: no gate; delta: raw steps, where derivatives are wanted
  // backward:
  const void *gout, *q, *ds;  ///< gradient of the result; what ScanReverse gave
  void* g;                    ///< gradient of y
  void *du, *ddelta, *dz;
  void *dD, *dBias;  ///< [width], added to
};

}  // namespace softlane
