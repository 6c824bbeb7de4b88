// A decoder's cache: pages of kPageTokens tokens of all layers and heads. Of each layer and head a page holds
//
//   keys [headDim][16], turned | values [16][headDim] | int8: scales of the keys [16], scales of the values [16]
//
// Pages stand one after another in slabs of equal size.
#pragma once
#include "../attention/run.h"

namespace softlane {

struct PageShape {
  size_t layers, kvHeads, headDim;
  CacheType type;

  size_t tileBytes() const { return kPageTokens * headDim * sizeOf(type); }
  size_t scaleBytes() const { return type == CacheType::int8 ? kPageTokens * sizeof(float) : 0; }
  size_t headBytes() const { return 2 * (tileBytes() + scaleBytes()); }
  size_t bytes() const { return layers * kvHeads * headBytes(); }
  size_t offsetOf(size_t layer, size_t head) const { return (layer * kvHeads + head) * headBytes(); }
};

/// Keys in a chunk of attention: fixed, so that results depend neither on threads nor on the batch.
constexpr size_t kChunk = 512;

/// Cosines, then sines, of position * frequency: half of each. In float64, since float32 angles err at long positions.
void angles(double position, const double* inverseFrequencies, size_t half, float* out);

/// Rows of a call: which sequence, which position; runs of rows that follow one another in a sequence.
struct CacheRows {
  struct Run {
    size_t first, count;  ///< rows
    size_t sequence;
    int64_t position;  ///< of the first
  };
  std::vector<Run> runs;
  std::vector<std::vector<char*>> pages;  ///< of each sequence up to its last position

  /// Checks every row and finds its pages. `slabs` are Uint8Arrays.
  CacheRows(const PageShape& shape, const std::vector<Out<Any>>& slabs, In<int32_t> sequences, In<int32_t> positions,
            In<int32_t> pageTable, size_t maxPages);

  /// Writes rows of keys and values, [rows][kvHeads * headDim] with `stride` floats from one to the next.
  void append(softlane::Run& run, const PageShape& shape, size_t layer, const float* k, const float* v,
              size_t stride) const;

  /// The cache of a head as attention reads it.
  HeadCache at(const PageShape& shape, size_t sequence, size_t layer, size_t head) const;

  /// Tasks of all rows and heads of a layer: q [rows][qStride], out [rows][outStride].
  std::vector<AttentionTask> tasks(const PageShape& shape, size_t layer, size_t group, const float* q, size_t qStride,
                                   float* out, size_t outStride, float* logSumExp, float* top) const;
};

}  // namespace softlane
