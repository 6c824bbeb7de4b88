// Operations of the elastic family, above the loops: what was asked for (Method), where a path may go (Band), series made
// ready (Prepared), and pairs of them walked (Pairs). Compiled once; never included by loop halves.
#pragma once
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "../ops.h"
#include "elastic.h"

namespace softlane {

/// Positions of the numbers that lib/elastic/metrics.ts sends; gap values follow, one a channel.
enum Parameter : size_t { kGamma, kSlope, kPenalty, kEpsilon, kNu, kLambda, kCost, kReach, kFlags, kBand, kGap };
enum Flag : unsigned { kIndependent = 1, kAeon = 2, kNormalize = 4, kRelativeGate = 8, kRoot = 16, kRaw = 32 };

/// A distance with all its parameters.
struct Method {
  Metric metric;
  BandKind bandKind;
  double bandValue, gamma, slope, penalty, epsilon, nu, lambda, cost;  ///< epsilon NaN: from the pair (EDR)
  size_t reach, channels;
  unsigned flags;
  std::vector<double> gap;

  Method(Metric metric, BandKind band, const In<double>& parameters, size_t channels);
  bool has(Flag flag) const { return flags & flag; }
  bool isDerivative() const { return metric == Metric::ddtw || metric == Metric::wddtw; }
  /// Whether the distance is a dynamic programme of cell.h, walked by Pairs.
  bool isElastic() const;
  /// Sums over channels of univariate distances.
  bool perChannel() const;
  Recursion recursion() const;
  CellForm form() const;
  /// d(x, y) = d(y, x) to the bit for these lengths.
  bool isSymmetric(size_t n, size_t m) const {
    return metric != Metric::shapeDtw && (bandKind != BandKind::itakura || n == m);
  }
  /// Whether a pair's cells depend on its lengths, so that only pairs of one shape can share lanes.
  bool isShapeBound() const { return bandKind != BandKind::none || metric == Metric::wdtw || metric == Metric::wddtw; }
  /// From the last cell of the table to the distance.
  double finish(double last, size_t n, size_t m) const;
  /// From a cutoff of the distance to one of the last cell, with room for rounding: what passes it is looked at again.
  double rawCutoff(double cutoff, size_t n, size_t m) const;
};

/// The columns of each row, and the rows of each anti-diagonal, that a path may use.
struct Band {
  bool full = true, irregular = false;  ///< irregular: some row has no cell
  std::vector<int32_t> low, high;       ///< empty where full
  std::vector<int32_t> first, last;     ///< of each anti-diagonal, always there
  size_t radius = 0;                    ///< the largest |i - j|
  size_t cells = 0;

  Band(BandKind kind, double value, size_t n, size_t m);
  bool holds(size_t i, size_t j) const { return full || (int32_t(j) >= low[i] && int32_t(j) <= high[i]); }
  /// As a mask, row-major: what tests compare.
  void mask(int32_t* out, size_t m) const;

 private:
  void hulls(size_t n, size_t m);
};
/// Bands of the shapes met so far in one thread.
class Bands {
 public:
  explicit Bands(const Method& method) : kind_(method.bandKind), value_(method.bandValue) {}
  /// Stays where it is until `trim`.
  const Band& of(size_t n, size_t m);
  /// Forgets all where they are many: between walks, when no loop holds one.
  void trim() {
    if (known_.size() > 64) known_.clear();
  }

 private:
  BandKind kind_;
  double value_;
  std::map<std::pair<size_t, size_t>, std::unique_ptr<Band>> known_;
};

/// Throws where a table of n x m cells would have more than 2^31 bytes.
void requireTable(size_t n, size_t m);
/// Mean 0 and population deviation 1; what is constant but for rounding becomes 0. `out` may be x.
void standardized(const double* x, size_t n, double* out);

/// Series as JavaScript hands them over: concatenated, each channels x length.
struct Collection {
  const void* data;
  Dtype dtype;
  size_t channels;
  std::vector<size_t> lengths, offsets;

  Collection(const char* argument, const In<Any>& data, const In<int32_t>& lengths, size_t channels);
  size_t count() const { return lengths.size(); }
};

/// Series made ready for a method: derivatives taken; what ERP and TWE want to know about each point; borders.
template <class S>
struct Prepared {
  size_t channels, count, longest = 0;
  std::vector<size_t> lengths, offsets;
  std::vector<S> owned;  ///< where values had to be made
  const S* values;
  std::vector<S> aux;             ///< [channels if perChannel, else 1] x time points of each series
  std::vector<S> border;          ///< ERP: running sums, one longer than the series
  std::vector<double> deviation;  ///< EDR: population standard deviation over all values of each series
  size_t rows;                    ///< of aux: channels where channels are taken one by one

  Prepared(const Collection& from, const Method& method);
  const S* series(size_t i) const { return values + offsets[i]; }
  size_t pointsBefore(size_t i) const { return offsets[i] / channels; }
  const S* auxOf(size_t i, size_t channel) const { return aux.data() + rows * pointsBefore(i) + channel * lengths[i]; }
  const S* borderOf(size_t i, size_t channel) const {
    return border.data() + rows * (pointsBefore(i) + i) + channel * (lengths[i] + 1);
  }
};

/// Gradients of a pair go here, added to: as the series are laid out, float64.
struct Gradients {
  double *dx = nullptr, *dy = nullptr;
  double upstream = 1;
};

/// Walks pairs of prepared series by whatever loop suits. One a thread.
template <class S>
class Pairs {
 public:
  Pairs(const Method& method, const Prepared<S>& x, const Prepared<S>& y);
  ~Pairs();
  size_t width() const { return width_; }
  /// Loops ask this run whether to go on; with `advances` they also tell it of the cells they have done. Once the run is
  /// stopped results mean nothing.
  void watch(Run& run, bool advances) {
    run_ = &run;
    advances_ = advances;
  }

  /// Many pairs at once: `count` <= width() columns, then rows against them, one for all columns or one for each. The
  /// rows have one length, the columns too where method.isShapeBound().
  void setColumns(const size_t* ys, size_t count);
  void setRows(const size_t* xs, size_t count);
  /// Distances to `out`. With a cutoff for each, a pair beyond its cutoff may give infinity instead.
  void walk(double* out, const double* cutoffs = nullptr);
  /// Distances of soft forms and their gradients, one for each pair.
  void walk(double* out, const Gradients* gradients);
  /// Whether walk with gradients keeps its memory within bounds; `alone` needs less.
  bool canKeep(size_t n, size_t m) const;
  /// One pair along anti-diagonals. table: n x m of float64, every cell (infinite outside the band); of channel sums
  /// where channels are taken one by one.
  double alone(size_t x, size_t y, double* table = nullptr);
  /// One soft pair with gradients; n x m node and match occupancies where asked for (summed over channels likewise).
  double alone(size_t x, size_t y, const Gradients& gradients, double* occupancy, double* alignment);
  /// One hard pair, row by row with pruning: the distance where it is at most cutoff, else infinity. `rest[i]`, where
  /// given, bounds from below what rows i.. must still cost.
  double pruned(size_t x, size_t y, double cutoff, const double* rest = nullptr);
  /// What one pair of this shape costs to walk, in cells.
  size_t cellsOf(size_t n, size_t m) { return bands_.of(n, m).cells; }
  Bands& bands() { return bands_; }
  /// Channels that are taken one by one.
  size_t passes() const { return passes_; }

 private:
  struct Buffers;
  void walkPasses(double* out, const double* cutoffs, const Gradients* gradients);
  void backward(const LanesJob& forth, const Gradients* gradients, size_t pass);
  void borderGradient(const Prepared<S>& set, size_t index, size_t pass, const S* flow, size_t stride, double* to);
  WaveJob waveJob(size_t x, size_t y, size_t pass);
  Watch watcher();
  S threshold(size_t x, size_t y) const;
  const S* weights(size_t n, size_t m);  ///< weights[n + (j - i)]
  void editBorders(size_t n, size_t m, const Band& band, const S*& top, const S*& left);
  const Method& method_;
  const Prepared<S>&x_, &y_;
  Bands bands_;
  const CellForm form_;
  const size_t width_, passes_, channels_;  ///< passes over channels taken one by one, channels in each
  std::vector<S> prunedRow_;
  Run* run_ = nullptr;
  bool advances_ = false;
  std::unique_ptr<Buffers> buffers_;
};

/// Distances that are no dynamic programme: squared, Euclidean, shape-based; and shapeDTW by way of DTW on descriptors.
template <class S>
double directDistance(const Method& method, const S* x, size_t n, const S* y, size_t m, Run* run = nullptr);
/// shapeDTW's path: of DTW on descriptors, by shapeDTW's own tie rule.
template <class S>
std::vector<std::pair<int32_t, int32_t>> shapePath(const Method& method, const S* x, size_t n, const S* y, size_t m,
                                                   Run* run = nullptr);
/// The distance that goes with such a path.
template <class S>
double shapeCost(const Method& method, const std::vector<std::pair<int32_t, int32_t>>& path, const S* x, size_t n,
                 const S* y, size_t m);
/// The alignment path by the tie rule (diagonal, up, left) through a table of every cell; LCSS: matches only. Pairs
/// (i, j) ascending, inside the band where one is given; empty where no path exists.
template <class S>
std::vector<std::pair<int32_t, int32_t>> pathThrough(const Method& method, const double* table, const S* x, size_t n,
                                                     const S* y, size_t m, const Band* band = nullptr);

/// Calls body(float{}) or body(double{}).
template <class Body>
void withFloat(Dtype dtype, Body body) {
  if (dtype == Dtype::f32) body(float{});
  else body(double{});
}

}  // namespace softlane
