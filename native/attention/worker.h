// One task of attention at work: its queries in a padded copy, what its rows see, sums over chunks, and the result.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "../dispatch.h"
#include "run.h"

namespace softlane {

inline constexpr float kNothing = -std::numeric_limits<float>::infinity();

/// Floats from one row of values to the next: whole vectors of every instruction set.
inline size_t strideOf(size_t dim) { return (dim + 15) / 16 * 16; }

/// States of some rows in one piece of memory.
struct States {
  AttentionState at;
  size_t rows;
  static size_t bytes(size_t rows, size_t dim) { return rows * (strideOf(dim) + 2) * sizeof(float); }
  States(float* memory, size_t rows, size_t dim)
      : at{memory, memory + rows, memory + 2 * rows, strideOf(dim)}, rows(rows) {}
  void clear(SoftmaxForm form) const {
    std::fill_n(at.sums, rows, 0.0f);
    std::fill_n(at.tops, rows, form == SoftmaxForm::pair ? -0x1p18f : kNothing);
    std::fill_n(at.values, rows * at.stride, 0.0f);
  }
};

/// One task at work: its queries in a padded copy, and what its rows see.
class Worker {
 public:
  Worker(const AttentionForm& form, const AttentionTask& task)
      : form_(form),
        task_(task),
        group_(form.group),
        rows_(task.tokens * form.group),
        stride_(strideOf(form.dim)),
        memory_((rows_ * (stride_ + kKeyBlock) + 2 * kKeyBlock) * sizeof(float)),
        sight_(rows_),
        distance_(rows_),
        slopes_(task.slopes ? rows_ : 0),
        left_(rows_) {
    float* q = queries();
    std::memset(q, 0, rows_ * stride_ * sizeof(float));
    for (size_t r = 0; r < rows_; r++) {
      std::memcpy(q + r * stride_, queryOf(r), form.dim * sizeof(float));
      if (task.slopes) slopes_[r] = task.slopes[r % group_];
    }
  }

  size_t rows() const { return rows_; }
  /// Which rows have left the range so far; what other threads found joins in.
  const std::vector<uint8_t>& left() const { return left_; }
  void leave(const std::vector<uint8_t>& others) {
    for (size_t r = 0; r < rows_; r++) left_[r] |= others[r];
  }
  /// Chunks of keys up to the last that a row sees.
  size_t chunks() const { return (seenBy(rows_ - 1) + form_.chunk - 1) / form_.chunk; }

  /// Chunk `index` for the rows [first, first + count), from nothing.
  void sum(size_t index, size_t first, size_t count, SoftmaxForm form, const States& part) {
    part.clear(form);
    const size_t begin = index * form_.chunk, end = std::min(begin + form_.chunk, seenBy(first + count - 1));
    const void *keyAt[kTiles + kAheadTiles], *valueAt[kTiles + kAheadTiles];
    for (size_t position = begin; position < end; position += kKeyBlock) {
      const size_t n = std::min(kKeyBlock, end - position);
      if (!look(position, n, first, count)) continue;
      AttentionBlock block{};
      const size_t tiles = (n + kTileKeys - 1) / kTileKeys;
      const bool inSteps = task_.cache.inSteps(begin);
      if (!inSteps) collect(position, n);
      for (size_t t = 0; t < tiles + kAheadTiles; t++) {
        const size_t at = std::min(position + t * kTileKeys, position + (end - 1 - position) / kTileKeys * kTileKeys);
        keyAt[t] = inSteps ? task_.cache.keyAt(at) : collected(0, t);
        valueAt[t] = inSteps ? task_.cache.valueAt(at) : collected(1, t);
      }
      block.q = queries() + first * stride_;
      block.rows = count;
      block.dim = form_.dim;
      block.count = n;
      block.type = task_.cache.type;
      block.tiled = task_.cache.tiled;
      block.keys = keyAt;
      block.values = valueAt;
      block.step = inSteps ? task_.cache.step : form_.dim * sizeOf(task_.cache.type);
      block.ahead = inSteps;
      if (task_.cache.type == CacheType::int8) {
        task_.cache.scales(position, n, keyScales(), valueScales());
        for (size_t j = n; j < kKeyBlock; j++) keyScales()[j] = valueScales()[j] = 0;
        block.keyScales = keyScales();
        block.valueScales = valueScales();
      }
      block.sight = sight_.data();
      block.scale = form_.scale;
      block.softCap = form_.softCap;
      block.slopes = task_.slopes ? slopes_.data() + first : nullptr;
      block.distance = distance_.data();
      block.form = form;
      block.phi = form_.phi;
      block.low = form_.elementRule ? form_.low : kNothing;
      block.high = form_.elementRule ? form_.high : -kNothing;
      block.state = part.at;
      block.left = left_.data() + first;
      block.room = room();
      block.careful = careful_;
      kernels().attention_block(block);
    }
  }

  /// Writes the results of all rows; returns how many left the range of the unified maximum.
  size_t finish(const States& total) {
    size_t redone = 0;
    for (size_t r = 0; r < rows_; r++) redone += finish(r, total);
    return redone;
  }

  /// Writes the row's result from its total; returns whether it left the range of its form and was done again.
  bool finish(size_t r, const States& total) {
    return finish(r, total, 0, seenBy(r) == 0 ? 0 : (seenBy(r) + form_.chunk - 1) / form_.chunk);
  }
  /// The same for the part that chunk `index` makes up.
  bool finishPart(size_t r, size_t index, const States& part) {
    return finish(r, part, index, index < chunks() ? index + 1 : index);
  }

  /// The result of row r from row `from` of the states.
  void write(size_t r, const States& states, size_t from, SoftmaxForm form) const {
    float* out = task_.out + r / group_ * task_.tokenStride + r % group_ * form_.dim;
    double lse = logSumOf(states, from, form), share = 1;
    if (task_.sinks) {
      const double sink = task_.sinks[r % group_], most = std::max(sink, lse);
      const double all = most + std::log(std::exp(sink - most) + std::exp(lse - most));
      if (std::isfinite(most)) share = std::exp(lse - all);
      if (most > kNothing) lse = all;
    }
    const double l = states.at.sums[from];
    for (size_t d = 0; d < form_.dim; d++)
      out[d] = l == 0 ? 0 : float(states.at.values[from * stride_ + d] / l * share);
    const size_t at = r / group_ * task_.valueStride + r % group_;
    if (task_.logSumExp) task_.logSumExp[at] = float(lse);
    if (task_.top) task_.top[at] = states.at.tops[from];
  }

 private:
  static constexpr size_t kTiles = kKeyBlock / kTileKeys;

  /// Copies the keys and values of a block whose pages do not hold whole tiles.
  void collect(size_t position, size_t n) {
    const size_t bytes = form_.dim * sizeOf(task_.cache.type);
    collected_.resize(2 * kKeyBlock * bytes);
    for (size_t j = 0; j < n; j++) {
      std::memcpy(&collected_[j * bytes], task_.cache.keyAt(position + j), bytes);
      std::memcpy(&collected_[(kKeyBlock + j) * bytes], task_.cache.valueAt(position + j), bytes);
    }
  }
  const char* collected(size_t part, size_t tile) const {
    return collected_.data() + (part * kKeyBlock + tile % kTiles * kTileKeys) * form_.dim * sizeOf(task_.cache.type);
  }

  const float* queryOf(size_t r) const { return task_.q + r / group_ * task_.queryStride + r % group_ * form_.dim; }
  float* queries() const { return memory_.as<float>(); }
  float* room() const { return queries() + rows_ * stride_; }
  float* keyScales() const { return room() + rows_ * kKeyBlock; }
  float* valueScales() const { return keyScales() + kKeyBlock; }

  /// Keys up to here are seen by row r.
  size_t seenBy(size_t r) const {
    const size_t token = task_.causal ? r / group_ : task_.tokens - 1;
    return size_t(std::max<int64_t>(0, task_.position + int64_t(token) + 1));
  }

  /// Sets what each row sees of a block; false where none sees anything.
  bool look(size_t position, size_t n, size_t first, size_t count) {
    bool any = false;
    for (size_t i = 0; i < count; i++) {
      const int64_t to = int64_t(seenBy(first + i)), at = int64_t(position);
      const int64_t from = form_.window ? std::max<int64_t>(0, to - int64_t(form_.window)) : 0;
      const int64_t sink = std::min<int64_t>(int64_t(form_.sinkTokens), to);
      const auto relative = [&](int64_t p) {
        return int32_t(std::max<int64_t>(-1, std::min<int64_t>(p - at, kKeyBlock)));
      };
      sight_[i] = {relative(from), relative(to), form_.window ? relative(sink) : 0};
      distance_[i] = int32_t(at - (to - 1));
      any = any || !sight_[i].none(int32_t(n));
    }
    return any;
  }

  /// A row of the chunks [first, last) from its sums.
  bool finish(size_t r, const States& sums, size_t first, size_t last) {
    if (first == last || fits(r, sums, r)) {
      write(r, sums, r, form_.softmax);
      return false;
    }
    const Scratch memory(2 * States::bytes(1, form_.dim));
    const States alone(memory.as<float>(), 1, form_.dim);
    // What is not finite may come from values that the row does not see, times 0: by itself, it looks at its own alone.
    if (!isFinite(sums, r)) {
      sumAlone(r, first, last, form_.softmax, alone);
      if (form_.softmax == SoftmaxForm::online || fits(r, alone, 0)) {
        write(r, alone, 0, form_.softmax);
        return false;
      }
    }
    sumAlone(r, first, last, SoftmaxForm::online, alone);
    write(r, alone, 0, SoftmaxForm::online);
    return form_.softmax == SoftmaxForm::unified || isFinite(alone, 0);
  }

  /// Whether the sums of row r, in row `from` of the states, can be divided as they are.
  bool fits(size_t r, const States& states, size_t from) const {
    if (!isFinite(states, from)) return false;
    switch (form_.softmax) {
      case SoftmaxForm::unified: return states.at.sums[from] >= 0x1p-60f && !left_[r];
      // Exponents are clamped at -2^17 / ln 2: a row that lies there altogether has lost its differences.
      case SoftmaxForm::pair: return states.at.sums[from] == 0 || std::fabs(states.at.tops[from]) < 189000;
      default: return true;
    }
  }

  /// The chunks [first, last) of one row, with keys that it does not see left out; `total` has room for another state behind.
  void sumAlone(size_t r, size_t first, size_t last, SoftmaxForm form, const States& total) {
    const States part(total.at.sums + stride_ + 2, 1, form_.dim);
    total.clear(form);
    careful_ = true;
    for (size_t c = first; c < last; c++) {
      sum(c, r, 1, form, part);
      kernels().attention_fold(total.at, part.at, 1, form);
    }
    careful_ = false;
  }

  static bool isFinite(const States& states, size_t r) {
    bool finite = std::isfinite(states.at.sums[r]);
    for (size_t d = 0; d < states.at.stride; d++)
      finite = finite && std::isfinite(states.at.values[r * states.at.stride + d]);
    return finite;
  }

  static double logSumOf(const States& states, size_t r, SoftmaxForm form) {
    const double sum = states.at.sums[r], top = states.at.tops[r];
    if (sum == 0) return kNothing;
    return (form == SoftmaxForm::pair ? top * 0x1.62e42fefa39efp-1 : top) + std::log(sum);
  }

  const AttentionForm& form_;
  const AttentionTask& task_;
  size_t group_, rows_, stride_;
  Scratch memory_;
  std::vector<Sight> sight_;
  std::vector<int32_t> distance_;
  std::vector<float> slopes_;
  std::vector<uint8_t> left_;
  std::vector<char> collected_;
  bool careful_ = false;
};

}  // namespace softlane
