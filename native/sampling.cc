// Sampling of token ids from rows of logits x.
//
//   y_i = x_i / r where x_i > 0, else x_i r, for ids already seen (repetition penalty r);  y_i += bias_i
//   log p_i = y_i - log sum_j e^{y_j}                        the log-probabilities that are reported
//   w_i = e^{(y_i - max y) / T}                              T = 0: the largest y alone
//   order: falling y, then rising id; what is kept is a beginning of it, so the shortest of
//     top-k    its first k ids
//     top-p    of those, the shortest beginning with sum w >= p times their sum
//     min-p    of those, the ids with w_i >= m (the largest w is 1)
//   draw: the first kept id, in rising order, with cumulative sum of w > u times the sum of the kept w
//
// Nothing is sorted but the few alternatives that are asked for. The ids that may be kept are gathered behind a bound
// (the k-th largest of the maxima of spans; (1 - p) / n of the whole sum, below which all ids together weigh less than
// 1 - p), and the end of a beginning is found among them by its radix: at most four passes over ever fewer ids. w is
// float32, every sum float64. A row is worked on by one thread: its bits do not depend on the rows beside it.
#ifdef SOFTLANE_OPERATIONS
#include <algorithm>
#include <vector>

#include "rows.h"
#include "selection.h"

namespace softlane {
namespace {

/// Columns under one maximum and one sum.
constexpr size_t kSpan = 128;

enum Setting { kTemperature, kTopK, kTopP, kMinP, kPenalty, kUniform, kSettings };
/// What a row gets instead of a token when its logits are not a distribution.
enum Refusal : int32_t { kHoldsNan = -1, kHoldsInfinity = -2, kAllMasked = -3 };

struct Settings {
  double temperature, topP, minP, penalty, uniform;
  size_t topK;
};

/// What a row is to be changed by before anything else.
struct Changes {
  const int32_t *seen, *biased;
  size_t seenCount, biasedCount;
  const double* bias;
};

/// One row at a time, with the memory that it takes.
class Sampler {
 public:
  explicit Sampler(size_t vocab)
      : n_(vocab),
        spans_((vocab + kSpan - 1) / kSpan),
        scratch_(vocab * (sizeof(float) + 2 * sizeof(int32_t))),
        weights_(scratch_.as<float>()),
        list_(scratch_.as<int32_t>() + vocab),
        work_(list_ + vocab),
        tops_(spans_),
        sums_(spans_) {}

  /// Reads a row. 0, or why it cannot be sampled from.
  int32_t read(const void* row, Dtype dtype, const Changes& changes, double penalty) {
    logits_ = static_cast<const float*>(row);
    if (dtype != Dtype::f32 || changes.biasedCount || (penalty != 1 && changes.seenCount))
      change(row, dtype, changes, penalty);
    double top = -kInfinity;
    for (size_t s = 0; s < spans_; s++) {
      tops_[s] = float(kernels().span_max(logits_ + s * kSpan, Dtype::f32, lengthOf(s)));
      top = std::max(top, double(tops_[s]));
    }
    top_ = top;
    if (top == kInfinity) return kHoldsInfinity;
    if (top == -kInfinity) {
      for (size_t i = 0; i < n_; i++)
        if (std::isnan(logits_[i])) return kHoldsNan;
      return kAllMasked;
    }
    weigh(1);
    if (std::isnan(total_)) return kHoldsNan;
    logSum_ = top + std::log(total_);
    return 0;
  }

  double logProbability(int32_t id) const { return double(logits_[id]) - logSum_; }

  /// Draws after read(). `probability` is that of the token among those kept; `all` receives every one, if given.
  int32_t draw(const Settings& s, double& probability, double* all) {
    if (all) std::fill(all, all + n_, 0.0);
    if (s.temperature == 0) {
      const int32_t token = first();
      probability = 1;
      if (all) all[token] = 1;
      return token;
    }
    if (s.temperature != 1) weigh(s.temperature);
    const bool whole = (s.topK == 0 || s.topK >= n_) && s.topP == 1 && s.minP == 0;
    return whole ? drawWhole(s.uniform, probability, all) : drawKept(s, probability, all);
  }

  /// The `count` ids of largest logit, best first; -1 with -infinity where there are no more that are not masked.
  void best(size_t count, int32_t* ids, double* logProbabilities) {
    gather(count, -1);
    trim(count);
    std::sort(list_, list_ + listed_, [this](int32_t a, int32_t b) {
      const uint32_t ka = keyOf(logits_[a]), kb = keyOf(logits_[b]);
      return ka < kb || (ka == kb && a < b);
    });
    for (size_t i = 0; i < count; i++) {
      ids[i] = i < listed_ ? list_[i] : -1;
      logProbabilities[i] = i < listed_ ? logProbability(list_[i]) : -kInfinity;
    }
  }

 private:
  size_t lengthOf(size_t span) const { return std::min(kSpan, n_ - span * kSpan); }

  void change(const void* row, Dtype dtype, const Changes& changes, double penalty) {
    if (!changed_) changed_ = std::make_unique<Scratch>(n_ * sizeof(float));
    float* y = changed_->as<float>();
    if (dtype == Dtype::f64) {
      for (size_t i = 0; i < n_; i++) y[i] = float(static_cast<const double*>(row)[i]);
    } else if (dtype == Dtype::f32) {
      std::memcpy(y, row, n_ * sizeof(float));
    } else {
      kernels().convert(row, dtype, y, Dtype::f32, n_);
    }
    if (penalty != 1) {
      // An id that is listed twice is penalised once: the new values are taken from the old before any is written.
      before_.resize(changes.seenCount);
      for (size_t i = 0; i < changes.seenCount; i++) before_[i] = y[changes.seen[i]];
      for (size_t i = 0; i < changes.seenCount; i++)
        y[changes.seen[i]] = float(before_[i] > 0 ? before_[i] / penalty : before_[i] * penalty);
    }
    for (size_t i = 0; i < changes.biasedCount; i++) {
      float& at = y[changes.biased[i]];
      at = float(double(at) + changes.bias[i]);
    }
    logits_ = y;
  }

  /// w at a temperature, and their sums by span and in all.
  void weigh(double temperature) {
    const ExpForm form = formOf(temperature, Dtype::f32);
    double unused;
    total_ = 0;
    for (size_t start = 0; start < n_; start += kBlock) {
      const size_t end = std::min(start + kBlock, n_);
      kernels().exp_store_sum(logits_ + start, Dtype::f32, weights_ + start, end - start, form, top_, nullptr, &unused);
      for (size_t i = start; i < end; i += kSpan) total_ += sums_[i / kSpan] = sumOf(weights_ + i, lengthOf(i / kSpan));
    }
  }

  static double sumOf(const float* w, size_t n) {
    double sums[8] = {};  // additions take four cycles and two can start in each
    size_t i = 0;
    for (; i + 8 <= n; i += 8)
      for (size_t u = 0; u < 8; u++) sums[u] += double(w[i + u]);
    for (; i < n; i++) sums[0] += double(w[i]);
    return ((sums[0] + sums[1]) + (sums[2] + sums[3])) + ((sums[4] + sums[5]) + (sums[6] + sums[7]));
  }

  int32_t first() const {
    size_t s = 0;
    while (double(tops_[s]) != top_) s++;
    size_t i = s * kSpan;
    while (double(logits_[i]) != top_) i++;
    return int32_t(i);
  }

  /// Lists all ids that can be among the `count` largest (0: any) and weigh more than `least`; masked ids never.
  void gather(size_t count, double least) {
    float bound = -std::numeric_limits<float>::max();
    if (count > 0 && count <= spans_) {  // `count` spans hold an id each that is at least this
      spanTops_ = tops_;
      std::nth_element(spanTops_.begin(), spanTops_.begin() + (count - 1), spanTops_.end(), std::greater<float>());
      bound = std::max(bound, spanTops_[count - 1]);
    }
    listed_ = 0;
    for (size_t s = 0; s < spans_; s++)
      if (tops_[s] >= bound)
        listed_ += listAbove(logits_, weights_, s * kSpan, lengthOf(s), bound, float(least), list_ + listed_);
  }

  template <class Weight>
  void keepBeginning(double target, Weight weight) {
    const Cut cut = beginning(logits_, list_, listed_, work_, target, weight);
    keep([&](int32_t id) {
      const uint32_t key = keyOf(logits_[id]);
      return (key < cut.key) | ((key == cut.key) & (id <= cut.id));
    });
  }

  /// Shortens the list to its first `count` in order; ids stay in rising order.
  void trim(size_t count) {
    if (listed_ > count) keepBeginning(double(count), [](int32_t) { return 1.0; });
  }

  template <class Keeps>
  void keep(Keeps keeps) {
    listed_ = compact(list_, listed_, list_, keeps);
  }

  double sumOfList() const {
    double sums[4] = {};
    for (size_t i = 0; i < listed_; i++) sums[i % 4] += double(weights_[list_[i]]);
    return (sums[0] + sums[1]) + (sums[2] + sums[3]);
  }

  int32_t drawKept(const Settings& s, double& probability, double* all) {
    double sum = total_;
    if (s.topK > 0 && s.topK < n_) {
      gather(s.topK, 0);
      trim(s.topK);
      sum = sumOfList();
    } else {
      // Ids of at most this weight are together less than the 1 - p that top-p leaves out, or less than min-p; half of
      // it, since sums and the bound are rounded. The largest weight is 1: something is always left.
      const double tail = s.topP < 1 ? (1 - s.topP) * sum / double(n_) : 0;
      gather(0, std::min(std::max(tail, s.minP), 1.0) / 2);
    }
    const auto weight = [this](int32_t id) { return double(weights_[id]); };
    if (s.topP < 1) keepBeginning(s.topP * sum, weight);
    if (s.minP > 0) keep([&](int32_t id) { return weight(id) >= s.minP; });
    sum = sumOfList();
    const double target = s.uniform * sum;
    double cumulative = 0;
    size_t drawn = 0;  // the last one where rounding leaves none
    for (; drawn + 1 < listed_; drawn++)
      if ((cumulative += weight(list_[drawn])) > target) break;
    if (all)
      for (size_t i = 0; i < listed_; i++) all[list_[i]] = weight(list_[i]) / sum;
    probability = weight(list_[drawn]) / sum;
    return list_[drawn];
  }

  int32_t drawWhole(double uniform, double& probability, double* all) {
    const float* w = weights_;
    if (all)
      for (size_t i = 0; i < n_; i++) all[i] = double(w[i]) / total_;
    double target = uniform * total_, before = 0;
    size_t s = 0, lastSpan = 0;
    for (; s < spans_ && before + sums_[s] <= target; s++) {
      if (sums_[s] > 0) lastSpan = s;
      before += sums_[s];
    }
    if (s == spans_) {  // rounding has left none: the last id of any weight
      s = lastSpan;
      target = kInfinity;
    }
    size_t drawn = s * kSpan;
    for (size_t i = drawn, end = i + lengthOf(s); i < end; i++) {
      if (w[i] == 0) continue;
      drawn = i;
      if ((before += double(w[i])) > target) break;
    }
    probability = double(w[drawn]) / total_;
    return int32_t(drawn);
  }

  size_t n_, spans_;
  const float* logits_ = nullptr;
  std::unique_ptr<Scratch> changed_;
  Scratch
      scratch_;  // one piece: a sum of several would be given back to the system and its pages be made anew each call
  float* weights_;
  int32_t *list_, *work_;  ///< `listed_` ids, rising
  size_t listed_ = 0;
  std::vector<float> tops_, spanTops_, before_;
  std::vector<double> sums_;
  double top_ = 0, total_ = 0, logSum_ = 0;
};

/// Throws unless `offsets` cut `length` elements into rows and every id is one of the vocabulary.
void requireRagged(const char* name, In<int32_t> ids, const char* offsetsName, In<int32_t> offsets, size_t rows,
                   size_t vocab) {
  requireMatrix(offsetsName, offsets.length, rows + 1, 1, 1);
  int32_t last = 0;
  for (size_t r = 0; r <= rows; r++) {
    const int32_t offset = offsets.data[r];
    if (offset < last || size_t(offset) > ids.length)
      throw rangeError(offsetsName, "rising from 0 to at most " + std::to_string(ids.length), std::to_string(offset));
    last = offset;
  }
  for (size_t i = 0; i < ids.length; i++)
    if (ids.data[i] < 0 || size_t(ids.data[i]) >= vocab)
      throw rangeError(name, "in [0, " + std::to_string(vocab) + ") everywhere", std::to_string(ids.data[i]));
}

Settings settingsOf(const double* p) {
  const Settings s{p[kTemperature], p[kTopP], p[kMinP], p[kPenalty], p[kUniform], 0};
  if (s.temperature != 0) requireTemperature(s.temperature);
  const auto require = [](bool holds, const char* name, const char* expected, double received) {
    if (!holds) throw rangeError(name, expected, std::to_string(received));
  };
  require(p[kTopK] >= 0 && p[kTopK] < 9e15, "topK", "an integer >= 0", p[kTopK]);
  require(s.topP > 0 && s.topP <= 1, "topP", "in (0, 1]", s.topP);
  require(s.minP >= 0 && s.minP <= 1, "minP", "in [0, 1]", s.minP);
  require(s.penalty > 0 && s.penalty < kInfinity, "repetitionPenalty", "a finite number > 0", s.penalty);
  require(s.uniform >= 0 && s.uniform < 1, "uniform", "in [0, 1)", s.uniform);
  Settings result = s;
  result.topK = size_t(p[kTopK]);
  return result;
}

}  // namespace

namespace ops {

void sampleRows(Run& run, In<Any> logits, size_t rows, size_t vocab, Dtype dtype, In<double> settings, In<int32_t> seen,
                In<int32_t> seenOffsets, In<int32_t> biased, In<double> bias, In<int32_t> biasOffsets,
                Out<int32_t> tokens, Out<double> results, Maybe<Out<int32_t>> bestTokens,
                Maybe<Out<double>> bestLogProbabilities, size_t best, Maybe<Out<double>> probabilities,
                size_t threads) {
  requireStorage("logits", logits.element, dtype);
  requireMatrix("logits", logits.length, rows, vocab, vocab);
  if (vocab == 0 || vocab > size_t(std::numeric_limits<int32_t>::max()))
    throw rangeError("vocab", "in [1, 2^31)", std::to_string(vocab));
  requireMatrix("settings", settings.length, rows, kSettings, kSettings);
  requireRagged("seen", seen, "seenOffsets", seenOffsets, rows, vocab);
  requireRagged("logitBias", biased, "biasOffsets", biasOffsets, rows, vocab);
  requireMatrix("bias", bias.length, 1, biased.length, biased.length);
  requireMatrix("tokens", tokens.length, rows, 1, 1);
  requireMatrix("results", results.length, rows, 2, 2);
  if (best > vocab)
    throw rangeError("topLogProbs", "at most the " + std::to_string(vocab) + " ids", std::to_string(best));
  if (best > 0) {
    requireMatrix("bestTokens", bestTokens.length, rows, best, best);
    requireMatrix("bestLogProbabilities", bestLogProbabilities.length, rows, best, best);
  }
  if (probabilities.data) requireMatrix("probabilities", probabilities.length, rows, vocab, vocab);
  for (size_t r = 0; r < rows; r++) settingsOf(settings.data + r * kSettings);

  run.expect(rows);
  run.useThreads(std::min({threads, rows, 1 + rows * vocab / (2 * kPiece)}));
  run.each(rows, 1 + kPiece / vocab, [&](size_t begin, size_t end) {
    Sampler sampler(vocab);
    for (size_t r = begin; r < end; r++) {
      const Settings s = settingsOf(settings.data + r * kSettings);
      const int32_t from = seenOffsets.data[r], biasFrom = biasOffsets.data[r];
      const Changes changes{seen.data + from, biased.data + biasFrom, size_t(seenOffsets.data[r + 1] - from),
                            size_t(biasOffsets.data[r + 1] - biasFrom), bias.data + biasFrom};
      double probability = kNan, logProbability = kNan;
      int32_t token = sampler.read(at(logits.data, dtype, r * vocab), dtype, changes, s.penalty);
      if (token == 0) {
        // The alternatives first: a draw at another temperature weighs the row anew.
        if (best > 0) sampler.best(best, bestTokens.data + r * best, bestLogProbabilities.data + r * best);
        token = sampler.draw(s, probability, probabilities.data ? probabilities.data + r * vocab : nullptr);
        logProbability = sampler.logProbability(token);
      }
      tokens.data[r] = token;
      results.data[2 * r] = probability;
      results.data[2 * r + 1] = logProbability;
    }
    run.advance(end - begin);
  });
}

}  // namespace ops
}  // namespace softlane
#endif
