// Which ids come first by falling logit, and by rising id among equals: a beginning of that order is found by the radix
// of the logits, in at most four passes over ever fewer ids, and nothing is sorted.
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace softlane {

constexpr int kDigit = 10;  ///< bits told apart in one pass of a selection

/// Smaller for larger logits; -0 and 0 are the same.
inline uint32_t keyOf(float logit) {
  const float canonical = logit + 0.0f;
  uint32_t bits;
  std::memcpy(&bits, &canonical, sizeof bits);
  const uint32_t negative = 0u - (bits >> 31);  // all ones or none: signs are as good as random to a branch
  return ~(bits ^ (negative | 0x80000000u));
}

/// Copies the ids that `keeps` to the front, in order; returns how many. Without a branch, for the same reason.
template <class Keeps>
size_t compact(const int32_t* from, size_t n, int32_t* to, Keeps keeps) {
  size_t kept = 0;
  for (size_t i = 0; i < n; i++) {
    const int32_t id = from[i];
    to[kept] = id;
    kept += keeps(id) ? 1 : 0;
  }
  return kept;
}

/// Lists those of `n` ids from `first` on whose logit is at least `bound` and whose weight is above `floor`; returns how
/// many. A function of its own: inlined into its callers it runs out of registers, and takes eight times as long.
#if defined(__GNUC__)
__attribute__((noinline))
#endif
inline size_t
listAbove(const float* logits, const float* weights, size_t first, size_t n, float bound, float floor, int32_t* list) {
  size_t listed = 0;
  for (size_t i = first; i < first + n; i++) {
    list[listed] = int32_t(i);
    listed += size_t(logits[i] >= bound) & size_t(weights[i] > floor);
  }
  return listed;
}

/// The last of a beginning of the order.
struct Cut {
  uint32_t key;
  int32_t id;
};

/// Where the shortest beginning of `n` > 0 ids ends that weighs at least `target`. They come in rising order; `work` has
/// room for n.
template <class Weight>
Cut beginning(const float* logits, const int32_t* ids, size_t n, int32_t* work, double target, Weight weight) {
  double before = 0;
  for (;;) {
    uint32_t low = ~0u, high = 0;
    for (size_t i = 0; i < n; i++) {
      const uint32_t key = keyOf(logits[ids[i]]);
      low = std::min(low, key);
      high = std::max(high, key);
    }
    if (low == high) {  // ties: lower ids come first
      for (size_t i = 0; i < n; i++)
        if ((before += weight(ids[i])) >= target) return {low, ids[i]};
      return {low, ids[n - 1]};
    }
    int shift = 0;
    while ((high - low) >> shift >= 1u << kDigit) shift++;
    double sums[1 << kDigit] = {}, others[1 << kDigit] = {};  // two, since neighbours would wait for each other's sum
    size_t i = 0;
    for (; i + 1 < n; i += 2) {
      sums[(keyOf(logits[ids[i]]) - low) >> shift] += weight(ids[i]);
      others[(keyOf(logits[ids[i + 1]]) - low) >> shift] += weight(ids[i + 1]);
    }
    if (i < n) sums[(keyOf(logits[ids[i]]) - low) >> shift] += weight(ids[i]);
    for (size_t d = 0; d < size_t(1) << kDigit; d++) sums[d] += others[d];
    const uint32_t last = (high - low) >> shift;
    uint32_t digit = 0;
    while (digit < last && before + sums[digit] < target) before += sums[digit++];
    // Not empty: the digit either holds what meets the target, or `high`.
    n = compact(ids, n, work, [&](int32_t id) { return (keyOf(logits[id]) - low) >> shift == digit; });
    ids = work;
  }
}

}  // namespace softlane
