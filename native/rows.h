// What the softmax operations share: walking rows, and the normaliser of a row by any of the five forms.
#pragma once
#include <cmath>
#include <limits>
#include <memory>

#include "dispatch.h"
#include "ops.h"

namespace softlane {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();
/// Elements of a row in one piece of work: 16 blocks, some tens of microseconds between two looks at an abort flag.
constexpr size_t kPiece = 16 * kBlock;

inline const void* at(const void* p, Dtype dtype, size_t index) {
  return static_cast<const char*>(p) + index * sizeOf(dtype);
}
inline void* at(void* p, Dtype dtype, size_t index) { return static_cast<char*>(p) + index * sizeOf(dtype); }

/// The type that arithmetic on a storage type uses.
inline Dtype computeOf(Dtype dtype) { return dtype == Dtype::f64 ? Dtype::f64 : Dtype::f32; }

ExpForm formOf(double temperature, Dtype precision);

/// Room for one T a block: on the stack for rows that fit the caches, counted scratch beyond.
template <class T>
class PerBlock {
 public:
  explicit PerBlock(size_t cols) {
    if (blocksOf(cols) > kSmall) {
      heap_ = std::make_unique<Scratch>(blocksOf(cols) * sizeof(T));
      data_ = heap_->as<T>();
    }
  }
  T* data() { return data_; }
  T& operator[](size_t block) { return data_[block]; }

 private:
  static constexpr size_t kSmall = 16;
  T small_[kSmall];
  T* data_ = small_;
  std::unique_ptr<Scratch> heap_;
};

/// The row that a normaliser is wanted of.
struct Row {
  const void* x;
  Dtype dtype;
  size_t cols;
};

/// sum_i exp(x_i / T) = sum * 2^exponent (two-pass) or sum * exp(mu / T). NaN: the row holds NaN or +infinity.
/// 0: every element is -infinity, or there is none.
struct Normaliser {
  bool pairs, wide;
  bool clamp;  ///< see ExpForm
  double sum, exponent, mu;

  bool isNan() const { return std::isnan(sum); }
  bool isEmpty() const { return sum == 0; }
  /// log of the sum of exponentials; NaN for a NaN row, -infinity for an empty one.
  double logSumExp(const ExpForm& form) const;
  /// exp(x / T) / (sum of exponentials), in float64.
  double probability(double x, const ExpForm& form) const;
};

/// The form `auto` stands for. `reduces`: only the normaliser is wanted, no second exponential.
Algorithm chosen(Algorithm algorithm, size_t cols, Dtype in, Dtype out, bool reduces);

/// Pass 1 (and, for three passes, 2). `stored`, where given, receives the exponentials of the reload and blocked forms
/// as computeOf(dtype), and `factors` what each block of them is to be multiplied by.
Normaliser normalise(Run& run, const Row& row, Algorithm algorithm, const ExpForm& form, void* stored = nullptr,
                     double* factors = nullptr);

/// y = softmax of the row * factor + offset, by the exponential that the normaliser was formed with.
void writeProbabilities(Run& run, const Row& row, const Normaliser& normaliser, void* y, Dtype out, ExpForm form,
                        Affine affine);

/// Writes the same value all over a row.
void fillRow(void* y, Dtype out, size_t cols, double value);

/// How often a form reads a row before it writes the result.
inline size_t readsOf(Algorithm algorithm) {
  return algorithm == Algorithm::recompute || algorithm == Algorithm::reload ? 2 : 1;
}

/// body(run, row) for every row, on up to `threads` threads: over rows where there are many, within rows where there
/// are few, and not at all where the work is too small to wake a thread for. The body advances the run by the elements of
/// each of its passes.
template <class Body>
void eachRow(Run& run, size_t rows, size_t cols, size_t threads, size_t passes, Body body) {
  const size_t worth = 1 + rows * cols / (2 * kPiece);
  if (threads > worth) threads = worth;
  run.expect(rows * cols * passes);
  if (threads > 1 && rows >= 2 * threads) {
    run.useThreads(threads);
    run.each(rows, 1 + kPiece / (cols + 1), [&](size_t begin, size_t end) {
      Run one = run.alone();
      for (size_t r = begin; r < end && !one.stopped(); r++) body(one, r);
    });
  } else {
    run.useThreads(threads);
    for (size_t r = 0; r < rows && !run.stopped(); r++) body(run, r);
  }
}

}  // namespace softlane
