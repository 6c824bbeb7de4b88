// A query in a long stream under banded DTW, each window z-normalised or as it is: the cascade of the UCR suite
// (Rakthanmanon et al. 2012) with neighbouring windows in lanes.
//
// Windows come in blocks. For each block: means and deviations of its windows by running sums about the block's first
// window; LB_Keogh of all windows against the query's envelope (its first points are the query's extremes, which does
// LB_Kim's work); for survivors the window is normalised exactly, LB_Keogh is taken the other way round, and DTW is
// walked under the cutoff with the better bound's remainder for the rows to come.
#ifdef SOFTLANE_OPERATIONS
#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>
#include <mutex>
#include <numeric>
#include <set>

#include "bounds.h"

namespace softlane {
namespace {

constexpr double kInfinite = std::numeric_limits<double>::infinity();
/// Running sums go no further than this many windows.
constexpr size_t kWindows = 1024;
/// What rounding may add to a bound computed from exact windows.
constexpr double kSlack = 1 - 1e-9;

struct Match {
  double distance;
  size_t position;
  bool operator<(const Match& other) const {
    return distance != other.distance ? distance < other.distance : position < other.position;
  }
};

/// Matches that may still count, and the bound that they give on those to come. 2 k - 1 windows that do not overlap
/// bound the k-th of any selection of windows that do not overlap: each chosen before it rules out at most two of them.
class Matches {
 public:
  Matches(size_t k, size_t exclusion, Match limit) : k_(k), exclusion_(exclusion), limit_(limit) {}

  Match limit() const { return limit_; }
  bool admits(const Match& match) const { return !(limit_ < match); }
  void add(const Match& match) {
    found_.push_back(match);
    // Sorting is dear once many are kept: then only after as many more as half of them.
    if (found_.size() <= 32 || ++sinceTightened_ >= std::max<size_t>(32, kept_ / 2)) tighten();
  }
  void tighten() {
    std::sort(found_.begin(), found_.end());
    std::set<size_t> chosen;
    for (const Match& match : found_) {
      const auto above = chosen.lower_bound(match.position);
      if (above != chosen.end() && *above - match.position < exclusion_) continue;
      if (above != chosen.begin() && match.position - *std::prev(above) < exclusion_) continue;
      chosen.insert(match.position);
      if (chosen.size() == 2 * k_ - 1) {
        if (match < limit_) limit_ = match;
        break;
      }
    }
    while (!found_.empty() && limit_ < found_.back()) found_.pop_back();
    kept_ = found_.size();
    sinceTightened_ = 0;
  }
  const std::vector<Match>& found() const { return found_; }

 private:
  const size_t k_, exclusion_;
  Match limit_;
  std::vector<Match> found_;
  size_t sinceTightened_ = 0, kept_ = 0;
};

/// The query and all that is known about it before the stream comes.
struct Pattern {
  std::vector<double> values, upper, lower;
  std::vector<uint32_t> order;  ///< of points: far from the query's mean first
  Band band;
  bool normalize;

  Pattern(std::vector<double> query, BandKind kind, double value, bool znorm)
      : values(std::move(query)), band(kind, value, values.size(), values.size()), normalize(znorm) {
    const size_t m = values.size();
    if (normalize) standardized(values.data(), m, values.data());
    upper.resize(m);
    lower.resize(m);
    envelopeOf(values.data(), m, band.radius, upper.data(), lower.data());
    order.resize(m);
    std::iota(order.begin(), order.end(), 0u);
    const double mean = std::accumulate(values.begin(), values.end(), 0.0) / double(m);
    std::stable_sort(order.begin(), order.end(),
                     [&](uint32_t a, uint32_t b) { return std::abs(values[a] - mean) > std::abs(values[b] - mean); });
    // The ends are matched with the ends alone: there the bound is the cost itself.
    for (const size_t end : {size_t(0), m - 1}) upper[end] = lower[end] = values[end];
  }
};

/// One block of windows after the other, for one thread.
class Scanner {
 public:
  explicit Scanner(const Pattern& pattern)
      : pattern_(pattern),
        m_(pattern.values.size()),
        mean_(kWindows, 0.0),
        inverse_(kWindows, 1.0),
        slack_(kWindows, 0.0),
        bounds_(kWindows),
        window_(m_),
        rest_(m_ + 1),
        restOther_(m_ + 1),
        high_(m_),
        low_(m_) {}

  /// Windows [begin, begin + count) of the stream.
  void scan(const double* stream, size_t begin, size_t count, Matches& matches) {
    const double* x = stream + begin;
    if (pattern_.normalize) statistics(x, count);
    const double worst = *std::max_element(slack_.begin(), slack_.begin() + std::ptrdiff_t(count));
    kernels().elastic_slide(x, mean_.data(), inverse_.data(), count, m_, pattern_.upper.data(), pattern_.lower.data(),
                            pattern_.order.data(), square(reach(matches) + worst), bounds_.data());
    for (size_t p = 0; p < count; p++) {
      // A bound is the distance of the window to a box: an error of the window moves it by no more than itself.
      if (inverse_[p] > 0 && bounds_[p] > square(reach(matches) + slack_[p])) continue;
      one(x + p, begin + p, matches);
    }
  }

 private:
  static double square(double v) { return v * v; }
  static double reach(const Matches& matches) { return std::sqrt(matches.limit().distance) * (1 + 1e-9); }

  /// Means and deviations by running sums, and how far a window normalised with them may be from the exact one.
  void statistics(const double* x, size_t count) {
    // About the first value: offsets of the signal do not cancel digits.
    constexpr double unit = 2.3e-16;
    const double origin = x[0], size = double(m_);
    double sum = 0, squares = 0, sumNoise = 0, squareNoise = 0;
    for (size_t i = 0; i < m_; i++) {
      const double d = x[i] - origin;
      sum += d;
      squares += d * d;
      sumNoise += unit * (std::abs(sum) + std::abs(d));
      squareNoise += unit * (squares + 2 * d * d);
    }
    for (size_t p = 0; p < count; p++) {
      const double mean = sum / size, variance = squares / size - mean * mean;
      const double meanError = (sumNoise + unit * std::abs(sum)) / size + unit * std::abs(mean + origin);
      const double varianceError = squareNoise / size + 2 * std::abs(mean) * meanError + 2 * unit * mean * mean;
      // Almost constant beside its offset or what passed before: no bound is held against it.
      const bool trusted = variance > 0 && varianceError < 1e-6 * variance;
      mean_[p] = mean + origin;
      inverse_[p] = trusted ? 1 / std::sqrt(variance) : 0;
      slack_[p] =
          trusted ? std::sqrt(size) * (2 * meanError * inverse_[p] + 2 * varianceError / variance + 4 * unit) : 0;
      if (p + 1 == count) break;
      const double in = x[p + m_] - origin, out = x[p] - origin;
      sum += in - out;
      squares += in * in - out * out;
      sumNoise += unit * (std::abs(sum) + 2 * std::abs(in) + 2 * std::abs(out));
      squareNoise += unit * (std::abs(squares) + 3 * in * in + 3 * out * out);
    }
  }

  void one(const double* x, size_t position, Matches& matches) {
    const double* window = x;
    if (pattern_.normalize) {
      standardized(x, m_, window_.data());
      window = window_.data();
    }
    const double limit = matches.limit().distance;
    const double bound = remainder(window, pattern_.upper.data(), pattern_.lower.data(), rest_);
    if (bound * kSlack > limit) return;
    // The other way round: the query against the window's envelope.
    envelopeOf(window, m_, pattern_.band.radius, high_.data(), low_.data());
    const double other = remainder(pattern_.values.data(), high_.data(), low_.data(), restOther_);
    if (other * kSlack > limit) return;
    for (double& rest : bound >= other ? rest_ : restOther_) rest *= kSlack;
    const double distance =
        bound >= other
            ? prunedDtw(window, m_, pattern_.values.data(), m_, pattern_.band, limit, rest_.data(), row_)
            : prunedDtw(pattern_.values.data(), m_, window, m_, pattern_.band, limit, restOther_.data(), row_);
    const Match match{distance, position};
    if (distance < kInfinite && matches.admits(match)) matches.add(match);
  }

  /// LB_Keogh, and what of it the points from each on contribute.
  double remainder(const double* x, const double* upper, const double* lower, std::vector<double>& rest) const {
    rest[m_] = 0;
    for (size_t i = m_; i-- > 0;) {
      const double d = std::max(std::max(x[i] - upper[i], lower[i] - x[i]), 0.0);
      rest[i] = rest[i + 1] + d * d;
    }
    return rest[0];
  }

  const Pattern& pattern_;
  const size_t m_;
  std::vector<double> mean_, inverse_, slack_, bounds_, window_, rest_, restOther_, high_, low_, row_;
};

}  // namespace

namespace ops {

double elasticSubsequence(Run& run, In<double> query, In<double> stream, Out<double> positions, Out<double> distances,
                          size_t k, size_t exclusion, bool normalize, double limitDistance, double limitPosition,
                          double firstPosition, BandKind band, double bandValue, size_t threads) {
  const size_t m = query.length;
  if (m == 0) throw rangeError("query", "of at least one time point", "0");
  if (stream.length < m) throw rangeError("stream", "at least as long as the query", std::to_string(stream.length));
  if (k == 0) throw rangeError("k", "at least 1", "0");
  const size_t windows = stream.length - m + 1, capacity = std::min(positions.length, distances.length);
  const Pattern pattern({query.data, query.data + m}, band, bandValue, normalize);
  // Positions count from the start of this piece; the limit's too, and it may lie before it.
  const double relative = limitPosition - firstPosition;
  const Match limit{limitDistance, relative < 0 ? 0 : relative > 9e15 ? size_t(9e15) : size_t(relative)};
  const bool before = relative < 0;  // then no window here may tie with it
  Matches all(k, exclusion, limit);
  std::mutex mutex;
  run.useThreads(threads);
  run.expect(windows);
  const size_t pieces =
      std::max<size_t>(1, std::min((windows + kWindows - 1) / kWindows, 8 * std::max<size_t>(threads, 1)));
  const size_t share = (windows + pieces - 1) / pieces;
  run.each(pieces, 1, [&](size_t begin, size_t end) {
    Scanner scanner(pattern);
    Match start = limit;
    {
      const std::lock_guard<std::mutex> lock(mutex);
      start = all.limit();  // any limit met so far is one for all: the selection in the end is the same
    }
    Matches own(k, exclusion, start);
    for (size_t at = begin * share, stop = std::min(end * share, windows); at < stop && !run.stopped();
         at += kWindows) {
      const size_t count = std::min(kWindows, stop - at);
      scanner.scan(stream.data, at, count, own);
      run.advance(count);
    }
    own.tighten();
    const std::lock_guard<std::mutex> lock(mutex);
    for (const Match& match : own.found()) all.add(match);
    all.tighten();
  });
  size_t count = 0;
  for (const Match& match : all.found()) {
    if (before && match.distance == limitDistance) continue;
    if (count == capacity) throw rangeError("positions", "long enough for all matches", std::to_string(capacity));
    positions.data[count] = double(match.position) + firstPosition;
    distances.data[count++] = match.distance;
  }
  return double(count);
}

}  // namespace ops
}  // namespace softlane
#endif
