// Attention as operations ask for it: tasks of query rows that share a head of one sequence's cache.
#pragma once
#include <vector>

#include "../ops.h"

namespace softlane {

/// Where the keys and values of one sequence and one head lie.
struct HeadCache {
  CacheType type = CacheType::f32;
  bool tiled = false;
  /// Contiguous: rows `step` bytes apart. In pages: offsets from the start of each page of `pageTokens` tokens.
  const char *keys = nullptr, *values = nullptr;
  char* const* pages = nullptr;
  size_t keyOffset = 0, valueOffset = 0, step = 0, pageTokens = 0;
  /// int8: scales, `scaleStep` floats apart; in pages as offsets in bytes from scalePages.
  const float *keyScales = nullptr, *valueScales = nullptr;
  char* const* scalePages = nullptr;
  size_t keyScaleOffset = 0, valueScaleOffset = 0, scaleStep = 1;

  /// Whether the keys of any 16 positions from a multiple of 16 of `origin` lie in equal steps.
  bool inSteps(size_t origin) const { return !pages || (pageTokens % kTileKeys == 0 && origin % kTileKeys == 0); }
  /// Where the key and the value of a position are (tiled: the tile of the key).
  const char* keyAt(size_t position) const;
  const char* valueAt(size_t position) const;
  /// Scales of `count` keys and values from `position` on.
  void scales(size_t position, size_t count, float* keyScale, float* valueScale) const;
};

/// What all rows of a call have in common.
struct AttentionForm {
  size_t dim, group;  ///< query heads that share a head of the cache
  size_t heads;       ///< heads of the cache: tasks come in groups of them, one head after another
  float scale, softCap;
  size_t window, sinkTokens;  ///< 0: off
  SoftmaxForm softmax;
  bool elementRule;
  float phi, low, high;
  size_t chunk;  ///< keys in a chunk; a multiple of kKeyBlock where results are not to depend on the batch
};

/// Consecutive query tokens of one sequence with the `group` heads that share a head of its cache. Row t * group + h.
struct AttentionTask {
  HeadCache cache;
  const float* q;                ///< of the first token and head; heads are dim apart
  float *out, *logSumExp, *top;  ///< likewise; top (largest score, online form only) and logSumExp may be null
  size_t queryStride, tokenStride, valueStride;  ///< floats from one token to the next: of q, of out, of the others
  const float *slopes, *sinks;                   ///< of the first head, or null
  int64_t position;  ///< of the first token, which sees the keys up to it: none where it is below 0
  size_t tokens;
  bool causal;  ///< false: all tokens see the keys of the last one
};

/// Tokens of a task: enough rows to use a block of the cache well, few enough that their state stays near.
inline size_t tokensAtOnce(size_t group) { return group >= kKeyBlock ? 1 : kKeyBlock / group; }

/// Runs the tasks, which come in groups of form.heads that differ in the head alone, on up to run.threads() threads and returns how many rows left the range of the unified maximum. A row's
/// bits depend neither on threads nor on the rows beside it.
size_t attend(Run& run, const AttentionForm& form, const std::vector<AttentionTask>& tasks);

/// The normalised part of each chunk: out [chunks][tasks' layout with `outStride` floats between chunks], likewise
/// logSumExp. For one token a task. Returns how many parts of rows left the range.
size_t attendPartials(Run& run, const AttentionForm& form, const std::vector<AttentionTask>& tasks, size_t chunks,
                      size_t outStride, size_t valueStride);

/// Writes a key or a value of `dim` elements, `step` elements apart (a turned tile), converted to the cache's type; int8 gets
/// the scale that its largest magnitude asks for.
void storeCached(const float* from, size_t dim, CacheType type, void* to, size_t step, float* scale);

/// Keys of the last token of a task.
inline size_t lengthOf(const AttentionTask& task) {
  const int64_t length = task.position + int64_t(task.tokens);
  return length > 0 ? size_t(length) : 0;
}

}  // namespace softlane
