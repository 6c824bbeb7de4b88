// Attention of a few query rows over a long cache: out_r = sum_i e^(s_ri) V_i / sum_i e^(s_ri), s_ri = scale <q_r, K_i>.
// What operations and per-ISA kernels share. C headers only.
#pragma once
#include "../gemm/gemm.h"
#include "../types.h"

namespace softlane {

/// Storage of keys and values: that of weights. int8 has a float32 scale for each key and each value of a head.
using CacheType = WeightType;

/// Keys whose scores are formed together. Blocks start at multiples of it from the start of a chunk: what a row's result is
/// made of does not depend on which rows go with it.
constexpr size_t kKeyBlock = 64;
/// Keys in a tile of the tiled layout: keys are turned, [headDim][16], so that scores come out in lanes; values are rows.
constexpr size_t kTileKeys = 16;
/// How many tiles ahead prefetching is. Measured at 32 Ki keys of 8 heads of 128, float32, four query heads each, ms: none
/// 19.5, the next tile into the first-level cache 21, into the second 12.3, two ahead 11.0 (a plain read takes 8.5).
constexpr size_t kAheadTiles = 2;
/// Tokens in a page of a decoder's cache: one tile.
constexpr size_t kPageTokens = kTileKeys;

/// How the exponentials of partial softmaxes are joined.
///   online   e^(s - m), m the largest so far: what was summed is rescaled when m grows
///   unified  e^(s - phi), phi fixed: nothing to rescale; rows that leave the range of float32 are redone
///   pair     mantissa * 2^exponent: rescaled by exact powers of two; scores between -131000 and 131000
enum class SoftmaxForm : uint8_t { online, unified, pair };

/// The part of a row that some keys make up: sum_i e^(s_i) = sum * base^top, base e (unified: top = phi) or 2 (pair), and
/// the values weighted by the same terms. Nothing seen: sum 0, top -infinity (pair: -2^18).
struct AttentionState {
  float* sums;    ///< [rows]
  float* tops;    ///< [rows]
  float* values;  ///< [rows][stride]
  size_t stride;
};

/// Which keys of a block a row sees: j < sink, or from <= j < to.
struct Sight {
  int32_t from, to, sink;
  bool sees(int32_t j) const { return j < sink || (j >= from && j < to); }
  bool none(int32_t count) const { return (to <= from || to <= 0 || from >= count) && sink <= 0; }
  bool all(int32_t count) const { return (from <= 0 && to >= count) || sink >= count; }
};

/// A block of at most kKeyBlock keys against all rows of a task.
struct AttentionBlock {
  const float* q;  ///< [rows][stride of the state], zeros past dim
  size_t rows, dim, count;
  CacheType type;
  bool tiled;
  const void* const*
      keys;  ///< of each tile of 16 the first key, `step` bytes from one to the next, or (tiled) all of it
  const void* const* values;  ///< of each tile the first value, likewise
  size_t step;
  bool ahead;  ///< prefetch tile by tile: keys and values have kAheadTiles more than the block
  const float *keyScales, *valueScales;  ///< int8: kKeyBlock, one a key; else null
  const Sight* sight;                    ///< [rows]
  float scale, softCap;                  ///< softCap 0: off
  const float* slopes;                   ///< [rows]: ALiBi, slope * (key - query); null: off
  const int32_t* distance;               ///< [rows]: position of the block's first key minus that of the query
  SoftmaxForm form;
  float phi, low, high;  ///< unified; low < s - phi < high or the row has left the range (element rule)
  AttentionState state;
  uint8_t* left;  ///< [rows], set where a row leaves the range
  float* room;    ///< [rows][kKeyBlock]
  bool careful;   ///< values that a row does not see are left out rather than multiplied by 0; for one row
};

}  // namespace softlane
