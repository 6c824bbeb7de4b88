// Operations on one pair, and the sums over alignment paths that averaging is made of.
#ifdef SOFTLANE_OPERATIONS
#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

#include "method.h"

namespace softlane {
namespace {

constexpr double kInfinite = std::numeric_limits<double>::infinity();

/// One series as a collection of one.
Collection alone(const char* argument, const In<Any>& x, size_t channels) {
  if (channels == 0 || x.length == 0 || x.length % channels != 0)
    throw rangeError(argument, "of a positive length divisible by " + std::to_string(channels) + " channels",
                     std::to_string(x.length) + " elements");
  if (x.length / channels > size_t(0x7fffffff))
    throw rangeError(argument, "of less than 2^31 time points", std::to_string(x.length / channels));
  const int32_t length = int32_t(x.length / channels);
  In<int32_t> lengths;
  lengths.data = &length;
  lengths.length = 1;
  return {argument, x, lengths, channels};
}

struct Two {
  Collection x, y;
  Two(const In<Any>& a, const In<Any>& b, const Method& method)
      : x(alone("x", a, method.channels)), y(alone("y", b, method.channels)) {
    if (x.dtype != y.dtype) throw typeError("y", "of the class of x", nameOf(b.element));
    const bool pointwise = method.metric == Metric::squared || method.metric == Metric::euclidean;
    if (pointwise && x.lengths[0] != y.lengths[0])
      throw rangeError("y", "of the same length as x for this metric",
                       std::to_string(y.lengths[0]) + " beside " + std::to_string(x.lengths[0]));
  }
};

/// The path of a pair and its distance. shapeDTW walks its descriptors; pointwise distances the diagonal.
template <class S>
double pathOf(const Method& method, const Prepared<S>& x, const Prepared<S>& y, size_t i, size_t k,
              std::vector<double>& table, std::vector<std::pair<int32_t, int32_t>>& path, Pairs<S>* pairs, Run* run) {
  const size_t n = x.lengths[i], m = y.lengths[k];
  const S *a = x.series(i), *b = y.series(k);
  path.clear();
  if (!pairs) {
    if (method.metric == Metric::shapeDtw) {
      path = shapePath(method, a, n, b, m, run);
      return shapeCost(method, path, a, n, b, m);
    }
    for (size_t t = 0; t < n; t++) path.emplace_back(int32_t(t), int32_t(t));
    return directDistance(method, a, n, b, m);
  }
  table.resize(n * m);
  const double value = pairs->alone(i, k, table.data());
  path = pathThrough(method, table.data(), a, n, b, m, &pairs->bands().of(n, m));
  return value;
}

void requirePath(const Method& method) {
  if (method.metric == Metric::sbd) throw rangeError("metric", "one with an alignment", "sbd");
}

}  // namespace

namespace ops {

double elasticDistance(Run& run, In<Any> x, In<Any> y, double cutoff, size_t channels, Metric metric, BandKind band,
                       In<double> parameters) {
  const Method method(metric, band, parameters, channels);
  const Two two(x, y, method);
  double value = 0;
  withFloat(two.x.dtype, [&](auto zero) {
    using S = decltype(zero);
    const Prepared<S> a(two.x, method), b(two.y, method);
    if (!method.isElastic()) {
      if (method.metric == Metric::shapeDtw) requireTable(a.lengths[0], b.lengths[0]);
      value = directDistance(method, a.series(0), a.lengths[0], b.series(0), b.lengths[0], &run);
      if (value > cutoff) value = kInfinite;
      return;
    }
    Pairs<S> pairs(method, a, b);
    pairs.watch(run, true);
    run.expect(uint64_t(pairs.cellsOf(a.lengths[0], b.lengths[0]) * pairs.passes()));
    if (cutoff < kInfinite && method.gamma == 0) value = pairs.pruned(0, 0, cutoff);
    else value = pairs.alone(0, 0);
  });
  return value;
}

double elasticTable(Run& run, In<Any> x, In<Any> y, Out<double> out, size_t channels, Metric metric, BandKind band,
                    In<double> parameters) {
  const Method method(metric, band, parameters, channels);
  const Two two(x, y, method);
  if (!method.isElastic()) throw rangeError("metric", "an elastic one", Names<Metric>::list[int(metric)]);
  double value = 0;
  withFloat(two.x.dtype, [&](auto zero) {
    using S = decltype(zero);
    const Prepared<S> a(two.x, method), b(two.y, method);
    requireTable(a.lengths[0], b.lengths[0]);
    requireMatrix("out", out.length, a.lengths[0], b.lengths[0], b.lengths[0]);
    Pairs<S> pairs(method, a, b);
    pairs.watch(run, true);
    run.expect(uint64_t(pairs.cellsOf(a.lengths[0], b.lengths[0]) * pairs.passes()));
    value = pairs.alone(0, 0, out.data);
  });
  return value;
}

void elasticPath(Run& run, In<Any> x, In<Any> y, Out<int32_t> path, Out<double> result, size_t channels, Metric metric,
                 BandKind band, In<double> parameters) {
  const Method method(metric, band, parameters, channels);
  requirePath(method);
  const Two two(x, y, method);
  requireMatrix("result", result.length, 2, 1, 1);
  withFloat(two.x.dtype, [&](auto zero) {
    using S = decltype(zero);
    const Prepared<S> a(two.x, method), b(two.y, method);
    const size_t n = a.lengths[0], m = b.lengths[0];
    if (method.metric != Metric::squared && method.metric != Metric::euclidean) requireTable(n, m);
    requireMatrix("path", path.length, n + m, 2, 2);
    std::vector<std::pair<int32_t, int32_t>> steps;
    std::vector<double> table;
    std::optional<Pairs<S>> pairs;
    if (method.isElastic()) {
      pairs.emplace(method, a, b).watch(run, true);
      run.expect(uint64_t(pairs->cellsOf(n, m) * pairs->passes()));
    }
    result.data[0] = pathOf(method, a, b, 0, 0, table, steps, pairs ? &*pairs : nullptr, &run);
    result.data[1] = double(steps.size());
    for (size_t k = 0; k < steps.size(); k++) {
      path.data[2 * k] = steps[k].first;
      path.data[2 * k + 1] = steps[k].second;
    }
  });
}

double elasticSoftPair(Run& run, In<Any> x, In<Any> y, Out<double> dx, Out<double> dy, Maybe<Out<double>> alignment,
                       Maybe<Out<double>> occupancy, size_t channels, Metric metric, BandKind band,
                       In<double> parameters) {
  const Method method(metric, band, parameters, channels);
  const Two two(x, y, method);
  if (!(method.gamma > 0)) throw rangeError("gamma", "> 0 for gradients", std::to_string(method.gamma));
  requireMatrix("dx", dx.length, 1, x.length, x.length);
  requireMatrix("dy", dy.length, 1, y.length, y.length);
  double value = 0;
  withFloat(two.x.dtype, [&](auto zero) {
    using S = decltype(zero);
    const Prepared<S> a(two.x, method), b(two.y, method);
    const size_t n = a.lengths[0], m = b.lengths[0];
    requireTable(n, m);
    if (alignment.data) requireMatrix("alignment", alignment.length, n, m, m);
    if (occupancy.data) requireMatrix("occupancy", occupancy.length, n, m, m);
    std::fill_n(dx.data, dx.length, 0.0);
    std::fill_n(dy.data, dy.length, 0.0);
    Gradients to;
    to.dx = dx.data;
    to.dy = dy.data;
    Pairs<S> pairs(method, a, b);
    pairs.watch(run, true);
    run.expect(2 * uint64_t(pairs.cellsOf(n, m) * pairs.passes()));  // there and back
    value = pairs.alone(0, 0, to, occupancy.data, alignment.data);
  });
  return value;
}

void elasticAlignmentSums(Run& run, In<Any> center, In<Any> x, In<int32_t> xLengths, Maybe<In<double>> weights,
                          Out<double> distances, Out<double> sums, Out<double> counts, size_t channels, Metric metric,
                          BandKind band, In<double> parameters, size_t threads) {
  const Method method(metric, band, parameters, channels);
  requirePath(method);
  const Collection cs = alone("center", center, channels), xs("x", x, xLengths, channels);
  if (cs.dtype != xs.dtype) throw typeError("center", "of the class of x", nameOf(center.element));
  const size_t count = xs.count(), n = cs.lengths[0];
  requireMatrix("distances", distances.length, count, 1, 1);
  requireMatrix("sums", sums.length, channels, n, n);
  requireMatrix("counts", counts.length, n, 1, 1);
  if (weights.data) requireMatrix("weights", weights.length, count, 1, 1);
  std::fill_n(sums.data, channels * n, 0.0);
  std::fill_n(counts.data, n, 0.0);
  withFloat(cs.dtype, [&](auto zero) {
    using S = decltype(zero);
    const Prepared<S> c(cs, method), members(xs, method);
    uint64_t total = 0;
    for (const size_t length : members.lengths) {
      if (method.metric != Metric::squared && method.metric != Metric::euclidean) requireTable(length, c.lengths[0]);
      total += uint64_t(length) * c.lengths[0];
    }
    // Paths by whoever is free; sums in the order of the series, so that threads do not show.
    std::vector<std::vector<std::pair<int32_t, int32_t>>> paths(count);
    run.useThreads(threads);
    run.expect(total);
    // Tables are allocated once a piece: enough pieces for threads to end together, no more.
    const size_t grain = std::max<size_t>(1, std::min<size_t>(64, count / (4 * std::max<size_t>(threads, 1))));
    run.each(count, grain, [&](size_t begin, size_t end) {
      std::optional<Pairs<S>> pairs;
      if (method.isElastic()) pairs.emplace(method, members, c).watch(run, false);
      std::vector<double> table;
      for (size_t k = begin; k < end; k++) {
        distances.data[k] = pathOf(method, members, c, k, 0, table, paths[k], pairs ? &*pairs : nullptr, &run);
        run.advance(uint64_t(members.lengths[k]) * c.lengths[0]);
      }
    });
    if (run.stopped()) return;
    for (size_t k = 0; k < count; k++) {
      const double weight = weights.data ? weights.data[k] : 1;
      const S* series = static_cast<const S*>(xs.data) + xs.offsets[k];
      const size_t length = xs.lengths[k];
      for (const auto& [i, j] : paths[k]) {
        counts.data[j] += weight;
        for (size_t ch = 0; ch < channels; ch++)
          sums.data[ch * n + size_t(j)] += weight * double(series[ch * length + size_t(i)]);
      }
    }
  });
}

void elasticBand(Run&, Out<int32_t> out, size_t n, size_t m, BandKind band, double value) {
  if (n == 0 || m == 0) throw rangeError("n", "at least 1, as m", std::to_string(std::min(n, m)));
  requireMatrix("out", out.length, n, m, m);
  const Band made(band, value, n, m);
  std::fill_n(out.data, n * m, made.full ? 1 : 0);
  if (!made.full) made.mask(out.data, m);
}

}  // namespace ops
}  // namespace softlane
#endif
