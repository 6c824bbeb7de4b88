// Nearest neighbours under an elastic distance, with the same answers as comparing all pairs.
//
// For each query all candidates get LB_Keogh at once (float32, rounded so that it stays a bound). Then the candidate of
// the least bound is taken, LB_Keogh the other way round and LB_Improved are looked at, and
// what is left is computed under the cutoff of the k-th best so far. Lanes are filled with pairs of different queries:
// each query advances by one candidate at a time, so that its cutoff is as tight as one pair at a time would have it.
#ifdef SOFTLANE_OPERATIONS
#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <optional>

#include "bounds.h"

namespace softlane {
namespace {

constexpr double kInfinite = std::numeric_limits<double>::infinity();
/// LB_Improved costs some 100 cells of a lane a row, envelope included: it pays where the band is wider. (On UCR's GunPoint
/// and ArrowHead with a tenth, bands of 30 to 50 cells a row, it saves 10 to 20 % of the pairs and loses 10 % of the time.)
constexpr size_t kWideBand = 128;

/// Float32 envelopes of all candidates, widened by what float32 loses; and the series themselves.
template <class S>
struct Envelopes {
  size_t size = 0, radius = 0;  ///< values of one series
  bool usable = true;           ///< squares stay far from the largest float32
  float slack = 0;
  double factor = 1;  ///< from the sum of squares to a bound of the distance
  std::vector<float> values, upper, lower, scratch;

  Envelopes(const Prepared<S>& set, const Prepared<S>& queries, const Method& method) {
    const size_t n = set.lengths[0];
    size = set.channels * n;
    radius = Band(method.bandKind, method.bandValue, n, n).radius;
    double largest = 0;
    for (const Prepared<S>* each : {&set, &queries})
      for (size_t i = 0; i < each->offsets[each->count]; i++)
        largest = std::max(largest, std::abs(double(each->values[i])));
    usable = largest < 1e15;
    slack = float(largest * 1e-6);
    // The bound's own sum in float32 is good to 1e-5; what it is held against adds up along a path, which in float32 may
    // lose 2^-24 a step. The least weight of WDTW is the one on the diagonal.
    const double steps = double(2 * n + set.channels);
    factor = 1 - 1e-5 - steps * (sizeof(S) == 4 ? 0x1p-23 : 0x1p-30);
    usable = usable && factor > 0.5;
    if (method.recursion() == Recursion::wdtw) factor /= 1 + std::exp(method.slope * double(n) / 2);
    values.resize(set.count * size);
    upper.resize(set.count * size);
    lower.resize(set.count * size);
    for (size_t k = 0; k < set.count; k++) of(set.series(k), set.channels, n, k);
  }

  void of(const S* x, size_t channels, size_t n, size_t k) {
    std::copy_n(x, size, values.data() + k * size);
    widened(values.data() + k * size, channels, n, upper.data() + k * size, lower.data() + k * size, scratch);
  }
  /// The envelope of a series, and room on both sides for what float32 loses.
  void widened(const float* v, size_t channels, size_t n, float* u, float* l, std::vector<float>& room) const {
    room.resize(2 * (n + 2 * radius + 32));
    for (size_t c = 0; c < channels; c++)
      kernels().elastic_envelope(v + c * n, n, radius, room.data(), u + c * n, l + c * n);
    for (size_t i = 0; i < size; i++) {
      u[i] += slack;
      l[i] -= slack;
    }
  }
};

bool hasBounds(const Method& method) {
  switch (method.metric) {
    case Metric::dtw:
    case Metric::ddtw:
    case Metric::adtw: return true;
    case Metric::wdtw:
    case Metric::wddtw: return method.slope >= 0;
    default: return false;
  }
}

struct Neighbour {
  double distance;
  size_t index;
  bool operator<(const Neighbour& other) const {
    return distance != other.distance ? distance < other.distance : index < other.index;
  }
};
struct Candidate {
  float bound;
  uint32_t index;
};

/// A query under way.
struct Query {
  size_t index;
  std::vector<Candidate> left;              ///< not looked at yet
  std::vector<Neighbour> nearest;           ///< the best so far, ascending, at most k
  std::vector<float> values, upper, lower;  ///< itself and its own envelope, made when first needed
};

template <class S>
class Search {
 public:
  Search(const Method& method, const Prepared<S>& set, const Prepared<S>& queries, const Envelopes<S>* envelopes,
         size_t k, bool prune, bool self)
      : method_(method), set_(set), queries_(queries), envelopes_(envelopes), k_(k), prune_(prune), self_(self) {
    if (method.isElastic()) pairs_.emplace(method, queries, set);
    // Without bounds they are taken from the end, by length: queries ask for the same lengths at the same time.
    candidates_.resize(set.count);
    std::iota(candidates_.begin(), candidates_.end(), size_t(0));
    std::stable_sort(candidates_.begin(), candidates_.end(),
                     [&](size_t a, size_t b) { return set.lengths[a] > set.lengths[b]; });
    if (envelopes) query_.resize(envelopes->size), bounds_.resize(set.count);
  }

  /// Queries [begin, end) of `order`; lanes are shared among those of one length.
  template <class Done>
  void run(const size_t* order, size_t begin, size_t end, Run& run, Done done) {
    const size_t width = pairs_ ? pairs_->width() : 1, most = 2 * width;
    std::vector<Query> active;
    while (begin < end || !active.empty()) {
      if (run.stopped()) return;
      while (begin < end && active.size() < most &&
             (active.empty() || queries_.lengths[active[0].index] == queries_.lengths[order[begin]]))
        active.push_back(start(order[begin++]));
      step(active, width);
      for (size_t q = 0; q < active.size();) {
        if (!active[q].left.empty()) {
          q++;
          continue;
        }
        done(active[q]);
        active[q] = std::move(active.back());
        active.pop_back();
      }
    }
  }
  size_t pruned() const { return pruned_; }

 private:
  double cutoff(const Query& query) const {
    return prune_ && query.nearest.size() == k_ ? query.nearest.back().distance : kInfinite;
  }

  Query start(size_t index) {
    Query query{index, {}, {}, {}, {}, {}};
    if (envelopes_) {
      std::copy_n(queries_.series(index), envelopes_->size, query_.begin());
      kernels().elastic_keogh_many(query_.data(), envelopes_->upper.data(), envelopes_->lower.data(), envelopes_->size,
                                   set_.count, bounds_.data());
    }
    query.left.reserve(set_.count);
    for (const size_t i : candidates_)
      if (!self_ || i != index) query.left.push_back({envelopes_ ? bounds_[i] : 0.0f, uint32_t(i)});
    return query;
  }

  /// Takes the candidate of the least bound out; false where no candidate can be among the nearest any more.
  bool next(Query& query, Candidate& candidate) {
    const double limit = cutoff(query);
    if (!envelopes_) {
      if (query.left.empty()) return false;
      candidate = query.left.back();
      query.left.pop_back();
      return true;
    }
    while (true) {
      size_t kept = 0, least = 0;
      for (size_t i = 0; i < query.left.size(); i++) {
        const Candidate each = query.left[i];
        if (double(each.bound) * envelopes_->factor > limit) {
          pruned_++;
          continue;
        }
        if (kept == 0 || each.bound < query.left[least].bound) least = kept;
        query.left[kept++] = each;
      }
      query.left.resize(kept);
      if (kept == 0) return false;
      candidate = query.left[least];
      query.left[least] = query.left.back();
      query.left.pop_back();
      if (limit == kInfinite || !beyond(query, candidate, limit)) return true;
      pruned_++;
    }
  }

  /// The bounds that are dearer than the first.
  bool beyond(Query& query, const Candidate& candidate, double limit) {
    const size_t size = envelopes_->size, n = queries_.lengths[query.index];
    if (query.upper.empty()) {
      query.upper.resize(size);
      query.lower.resize(size);
      query.values.resize(size);
      std::copy_n(queries_.series(query.index), size, query.values.begin());
      envelopes_->widened(query.values.data(), queries_.channels, n, query.upper.data(), query.lower.data(), room_);
    }
    float reverse;
    kernels().elastic_keogh_many(envelopes_->values.data() + candidate.index * size, query.upper.data(),
                                 query.lower.data(), size, 1, &reverse);
    if (double(reverse) * envelopes_->factor > limit) return true;
    if (pairs_->cellsOf(n, n) < kWideBand * n) return false;
    // LB_Improved: what the query clipped to the candidate's envelope leaves for the candidate.
    const float *x = query.values.data(), *upper = envelopes_->upper.data() + candidate.index * size,
                *lower = envelopes_->lower.data() + candidate.index * size;
    clipped_.resize(size);
    clippedUpper_.resize(size);
    clippedLower_.resize(size);
    for (size_t i = 0; i < size; i++) clipped_[i] = std::min(std::max(x[i], lower[i]), upper[i]);
    envelopes_->widened(clipped_.data(), queries_.channels, n, clippedUpper_.data(), clippedLower_.data(), room_);
    float rest;
    kernels().elastic_keogh_many(envelopes_->values.data() + candidate.index * size, clippedUpper_.data(),
                                 clippedLower_.data(), size, 1, &rest);
    return (double(candidate.bound) + double(rest)) * envelopes_->factor > limit;
  }

  void take(Query& query, size_t index, double distance, double limit) {
    if (distance > limit || (distance == kInfinite && limit < kInfinite)) {
      pruned_++;
      return;
    }
    const Neighbour found{distance, index};
    if (query.nearest.size() == k_) {
      if (!(found < query.nearest.back())) return;
      query.nearest.pop_back();
    }
    query.nearest.insert(std::upper_bound(query.nearest.begin(), query.nearest.end(), found), found);
  }

  /// One candidate for each query, and more while lanes are free; the pairs of one shape are computed together.
  void step(std::vector<Query>& active, size_t width) {
    chosen_.clear();
    bool found = true;
    size_t m = 0;
    while (found && chosen_.size() < width) {
      found = false;
      for (size_t q = 0; q < active.size() && chosen_.size() < width; q++) {
        Candidate candidate;
        if (!next(active[q], candidate)) continue;
        const size_t length = set_.lengths[candidate.index];
        if (!chosen_.empty() && method_.isShapeBound() && length != m) {
          active[q].left.push_back(candidate);
          std::swap(active[q].left.front(), active[q].left.back());  // the others come before it is asked again
          flush(active);
          found = true;
          break;
        }
        m = length;
        chosen_.push_back({q, candidate.index});
        found = true;
      }
    }
    flush(active);
  }

  void flush(std::vector<Query>& active) {
    if (chosen_.empty()) return;
    const size_t count = chosen_.size();
    if (pairs_ && count * 4 > pairs_->width()) {
      const size_t width = pairs_->width();
      rows_.clear();
      columns_.clear();
      limits_.assign(width, -1.0);  // lanes without a pair are beyond any cutoff
      for (size_t lane = 0; lane < count; lane++) {
        rows_.push_back(active[chosen_[lane].query].index);
        columns_.push_back(chosen_[lane].candidate);
        limits_[lane] = cutoff(active[chosen_[lane].query]);
      }
      results_.resize(width);
      pairs_->setColumns(columns_.data(), count);
      pairs_->setRows(rows_.data(), count);
      pairs_->walk(results_.data(), prune_ ? limits_.data() : nullptr);
      for (size_t lane = 0; lane < count; lane++)
        take(active[chosen_[lane].query], chosen_[lane].candidate, results_[lane], limits_[lane]);
    } else {
      for (const auto& [q, candidate] : chosen_) {
        Query& query = active[q];
        const double limit = cutoff(query);
        const double value = !pairs_
                                 ? directDistance(method_, queries_.series(query.index), queries_.lengths[query.index],
                                                  set_.series(candidate), set_.lengths[candidate])
                             : limit < kInfinite ? pairs_->pruned(query.index, candidate, limit)
                                                 : pairs_->alone(query.index, candidate);
        take(query, candidate, value, limit);
      }
    }
    chosen_.clear();
  }

  struct Chosen {
    size_t query, candidate;
  };
  const Method& method_;
  const Prepared<S>&set_, &queries_;
  const Envelopes<S>* envelopes_;
  const size_t k_;
  const bool prune_, self_;
  std::optional<Pairs<S>> pairs_;
  std::vector<float> query_, bounds_, room_, clipped_, clippedUpper_, clippedLower_;
  std::vector<Chosen> chosen_;
  std::vector<size_t> rows_, columns_, candidates_;
  std::vector<double> limits_, results_;
  size_t pruned_ = 0;
};

template <class S>
size_t nearest(Run& run, Method method, const Collection& xs, const Collection& qs, int32_t* index, double* distances,
               size_t k, bool prune, bool self, size_t threads) {
  const bool root = method.has(kRoot);
  method.flags &= ~unsigned(kRoot);  // bounds and cutoffs are in squared units; the order is the same
  const Prepared<S> set(xs, method), queries(qs, method);
  const auto constant = [](const std::vector<size_t>& lengths, size_t n) {
    return std::all_of(lengths.begin(), lengths.end(), [&](size_t each) { return each == n; });
  };
  std::optional<Envelopes<S>> envelopes;
  if (prune && hasBounds(method) && constant(set.lengths, set.lengths[0]) && constant(queries.lengths, set.lengths[0]))
    envelopes.emplace(set, queries, method);
  if (envelopes && !envelopes->usable) envelopes.reset();

  std::vector<size_t> order(queries.count);
  std::iota(order.begin(), order.end(), size_t(0));
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return queries.lengths[a] < queries.lengths[b]; });
  std::atomic<size_t> pruned{0};
  run.useThreads(threads);
  run.expect(queries.count);
  // Lanes run empty at the end of a share: few and long ones, as many as threads need to end together.
  const size_t share = threads <= 1 ? std::min<size_t>(queries.count, 4096)
                                    : std::min<size_t>(1024, std::max<size_t>(32, queries.count / (4 * threads)));
  run.each((queries.count + share - 1) / share, 1, [&](size_t begin, size_t end) {
    Search<S> search(method, set, queries, envelopes ? &*envelopes : nullptr, k, prune, self);
    search.run(order.data(), begin * share, std::min(end * share, queries.count), run, [&](const Query& query) {
      for (size_t r = 0; r < k; r++) {
        const Neighbour found = query.nearest[r];
        index[query.index * k + r] = int32_t(found.index);
        distances[query.index * k + r] = root ? std::sqrt(found.distance) : found.distance;
      }
      run.advance(1);
    });
    pruned += search.pruned();
  });
  return pruned;
}

}  // namespace

namespace ops {

double elasticNearest(Run& run, In<Any> x, In<int32_t> xLengths, In<Any> queries, In<int32_t> queryLengths,
                      Out<int32_t> index, Out<double> distances, size_t k, bool prune, bool self, size_t channels,
                      Metric metric, BandKind band, In<double> parameters, size_t threads) {
  const Method method(metric, band, parameters, channels);
  const Collection xs("X", x, xLengths, channels), qs("queries", queries, queryLengths, channels);
  if (qs.dtype != xs.dtype) throw typeError("queries", "of the class of X", nameOf(queries.element));
  if (self && qs.count() != xs.count()) throw rangeError("queries", "X itself", std::to_string(qs.count()));
  if (k == 0 || k > xs.count() - (self ? 1 : 0))
    throw rangeError("k", "in [1, number of candidates]", std::to_string(k));
  requireMatrix("index", index.length, qs.count(), k, k);
  requireMatrix("distances", distances.length, qs.count(), k, k);
  size_t pruned = 0;
  withFloat(xs.dtype, [&](auto zero) {
    pruned = nearest<decltype(zero)>(run, method, xs, qs, index.data, distances.data, k, prune, self, threads);
  });
  return double(pruned);
}

}  // namespace ops
}  // namespace softlane
#endif
