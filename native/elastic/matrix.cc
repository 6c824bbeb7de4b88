// Matrices of distances, and rows of pairs with gradients: which pairs share lanes, which tiles go to which thread.
#ifdef SOFTLANE_OPERATIONS
#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <optional>

#include "method.h"

namespace softlane {
namespace {

constexpr double kInfinite = std::numeric_limits<double>::infinity();
/// Cells of a unit of parallel work: a fraction of a millisecond to some milliseconds, so that threads end together.
constexpr size_t kTileCells = size_t(1) << 21;

/// A block of the matrix, and who computes each of its cells.
struct Block {
  size_t rowBegin, rowEnd, colBegin, colEnd;
  bool self;    ///< the same set on both sides
  bool mirror;  ///< only one triangle is computed where both are in the block
  double* out;

  size_t cols() const { return colEnd - colBegin; }
  double& at(size_t i, size_t j) const { return out[(i - rowBegin) * cols() + (j - colBegin)]; }
  bool holds(size_t i, size_t j) const { return i >= rowBegin && i < rowEnd && j >= colBegin && j < colEnd; }
  bool computes(size_t i, size_t j, bool symmetric, bool zeroDiagonal) const {
    if (!self) return true;
    if (i == j) return !zeroDiagonal;
    return i < j || !symmetric || !holds(j, i);
  }
};

/// Columns that share lanes, and the rows that a thread takes against them at a time.
struct Tile {
  size_t groupBegin, groupEnd;  ///< positions in the order of columns
  size_t rowBegin, rowEnd;
  double cells;
};

template <class S>
void matrix(Run& run, const Method& method, const Collection& xs, const Collection* ys, Block block, size_t threads) {
  const Prepared<S> first(xs, method);
  std::optional<Prepared<S>> second;
  if (ys) second.emplace(*ys, method);
  const Prepared<S>&x = first, &y = second ? *second : first;
  block.self = !ys;
  const bool zeroDiagonal = method.gamma == 0;
  const auto needed = [&](size_t i, size_t j) {
    return block.computes(i, j, method.isSymmetric(x.lengths[i], y.lengths[j]), zeroDiagonal);
  };

  if (method.metric == Metric::shapeDtw) requireTable(x.longest, y.longest);

  // Few columns beside many rows: the rows go into the lanes. The bits are the same for a symmetric distance.
  const size_t width = Pairs<S>(method, x, y).width(), rows = block.rowEnd - block.rowBegin;
  const bool equal = x.longest == *std::min_element(x.lengths.begin(), x.lengths.end()) &&
                     y.longest == *std::min_element(y.lengths.begin(), y.lengths.end()) && x.longest == y.longest;
  const bool turned =
      ys && block.cols() < width && rows > block.cols() && method.isElastic() && (equal || method.isSymmetric(1, 2));
  const Prepared<S>&along = turned ? x : y, &against = turned ? y : x;
  const size_t alongBegin = turned ? block.rowBegin : block.colBegin, alongEnd = turned ? block.rowEnd : block.colEnd,
               againstBegin = turned ? block.colBegin : block.rowBegin,
               againstEnd = turned ? block.colEnd : block.rowEnd;
  const auto wanted = [&](size_t one, size_t lane) { return turned ? needed(lane, one) : needed(one, lane); };
  const auto store = [&](size_t one, size_t lane, double value) {
    const size_t i = turned ? lane : one, j = turned ? one : lane;
    block.at(i, j) = value;
    if (block.self && i < j && method.isSymmetric(x.lengths[i], y.lengths[j]) && block.holds(j, i))
      block.at(j, i) = value;
  };

  std::vector<size_t> order(alongEnd - alongBegin);
  std::iota(order.begin(), order.end(), alongBegin);
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return along.lengths[a] < along.lengths[b]; });
  std::vector<Tile> tiles;
  double total = 0;
  for (size_t begin = 0; begin < order.size();) {
    size_t end = std::min(begin + width, order.size());
    if (method.isShapeBound())
      while (along.lengths[order[end - 1]] != along.lengths[order[begin]]) end--;
    const size_t longest = along.lengths[order[end - 1]];
    for (size_t row = againstBegin; row < againstEnd;) {
      Tile tile{begin, end, row, row, 0};
      while (tile.rowEnd < againstEnd && tile.cells < double(kTileCells))
        tile.cells += double(against.lengths[tile.rowEnd++]) * double(longest) * double(end - begin);
      row = tile.rowEnd;
      total += tile.cells;
      tiles.push_back(tile);
    }
    begin = end;
  }
  std::stable_sort(tiles.begin(), tiles.end(), [](const Tile& a, const Tile& b) { return a.cells > b.cells; });
  if (block.self && zeroDiagonal)
    for (size_t i = std::max(block.rowBegin, block.colBegin); i < std::min(block.rowEnd, block.colEnd); i++)
      block.at(i, i) = 0;

  run.useThreads(threads);
  run.expect(uint64_t(total));
  run.each(tiles.size(), 1, [&](size_t tileBegin, size_t tileEnd) {
    for (size_t t = tileBegin; t < tileEnd; t++) {
      const Tile& tile = tiles[t];
      std::optional<Pairs<S>> pairs;
      if (method.isElastic()) pairs.emplace(method, against, along).watch(run, false);
      std::vector<double> values(width);
      const size_t count = tile.groupEnd - tile.groupBegin;
      bool packed = false;
      for (size_t one = tile.rowBegin; one < tile.rowEnd; one++) {
        if (run.stopped()) return;
        size_t wantedLanes = 0;
        for (size_t k = tile.groupBegin; k < tile.groupEnd; k++) wantedLanes += wanted(one, order[k]);
        if (wantedLanes == 0) continue;
        if (pairs && wantedLanes * 4 > width) {
          if (!packed) pairs->setColumns(&order[tile.groupBegin], count);
          packed = true;
          pairs->setRows(&one, 1);
          pairs->walk(values.data(), static_cast<const double*>(nullptr));
          if (run.stopped()) return;
          for (size_t k = 0; k < count; k++)
            if (wanted(one, order[tile.groupBegin + k])) store(one, order[tile.groupBegin + k], values[k]);
          continue;
        }
        for (size_t k = tile.groupBegin; k < tile.groupEnd; k++) {  // too few to fill lanes: one at a time
          const size_t lane = order[k];
          if (!wanted(one, lane)) continue;
          const double value = pairs ? pairs->alone(one, lane)
                                     : directDistance(method, against.series(one), against.lengths[one],
                                                      along.series(lane), along.lengths[lane], &run);
          if (run.stopped()) return;
          store(one, lane, value);
        }
      }
      run.advance(uint64_t(tile.cells));
    }
  });
}

/// Pairs k of one shape class that share lanes.
template <class S>
std::vector<std::vector<size_t>> groupsOf(const Method& method, const Prepared<S>& x, const Prepared<S>& y, bool single,
                                          size_t width) {
  std::vector<size_t> order(y.count);
  std::iota(order.begin(), order.end(), size_t(0));
  const auto n = [&](size_t k) { return x.lengths[single ? 0 : k]; };
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return n(a) != n(b) ? n(a) < n(b) : y.lengths[a] < y.lengths[b]; });
  std::vector<std::vector<size_t>> groups;
  for (const size_t k : order) {
    const bool fits = !groups.empty() && groups.back().size() < width && n(groups.back()[0]) == n(k) &&
                      (!method.isShapeBound() || y.lengths[groups.back()[0]] == y.lengths[k]);
    if (!fits) groups.emplace_back();
    groups.back().push_back(k);
  }
  return groups;
}

template <class S>
void paired(Run& run, const Method& method, const Collection& xs, const Collection& ys, double* out, double* dx,
            double* dy, const double* weights, size_t threads) {
  const Prepared<S> x(xs, method), y(ys, method);
  const bool single = xs.count() == 1 && ys.count() > 1, grad = dx || dy;
  const size_t width = Pairs<S>(method, x, y).width(), pairCount = ys.count();
  const auto groups = groupsOf(method, x, y, single, width);
  if (grad)
    for (size_t k = 0; k < pairCount; k++) requireTable(x.lengths[single ? 0 : k], y.lengths[k]);
  // A single x is shared: its gradient is gathered pair by pair and summed in their order, whoever computed them.
  std::optional<Scratch> shared;
  const size_t size = xs.offsets.back();
  double* gather = dx;
  if (dx && single) {
    shared.emplace(pairCount * size * sizeof(double));
    gather = shared->as<double>();
    std::fill_n(dx, size, 0.0);
  }
  if (gather) std::fill_n(gather, single ? pairCount * size : size, 0.0);
  if (dy) std::fill_n(dy, ys.offsets.back(), 0.0);

  run.useThreads(threads);
  double total = 0;
  for (const auto& group : groups)
    total += double(group.size() * x.lengths[single ? 0 : group[0]] * y.lengths[group.back()]);
  run.expect(uint64_t(total));
  run.each(groups.size(), 1, [&](size_t begin, size_t end) {
    std::optional<Pairs<S>> pairs;
    if (method.isElastic()) pairs.emplace(method, x, y).watch(run, false);
    std::vector<double> values(width);
    std::vector<size_t> rows;
    std::vector<Gradients> gradients(width);
    for (size_t g = begin; g < end; g++) {
      const std::vector<size_t>& group = groups[g];
      const size_t n = x.lengths[single ? 0 : group[0]], m = y.lengths[group.back()];
      const auto gradientsOf = [&](size_t k) {
        Gradients to;
        if (gather) to.dx = gather + (single ? k * size : xs.offsets[k]);
        if (dy) to.dy = dy + ys.offsets[k];
        to.upstream = weights ? weights[k] : 1;
        return to;
      };
      if (pairs && group.size() * 4 > width && (!grad || pairs->canKeep(n, m))) {
        rows.clear();
        for (const size_t k : group) rows.push_back(single ? 0 : k);
        pairs->setColumns(group.data(), group.size());
        pairs->setRows(rows.data(), single ? 1 : rows.size());
        if (grad) {
          std::fill(gradients.begin(), gradients.end(), Gradients{});
          for (size_t lane = 0; lane < group.size(); lane++) gradients[lane] = gradientsOf(group[lane]);
          pairs->walk(values.data(), gradients.data());
        } else {
          pairs->walk(values.data(), static_cast<const double*>(nullptr));
        }
        if (run.stopped()) return;
        for (size_t lane = 0; lane < group.size(); lane++) out[group[lane]] = values[lane];
      } else {
        for (const size_t k : group) {
          if (run.stopped()) return;
          const size_t i = single ? 0 : k;
          const double value = !pairs ? directDistance(method, x.series(i), x.lengths[i], y.series(k), y.lengths[k])
                               : grad ? pairs->alone(i, k, gradientsOf(k), nullptr, nullptr)
                                      : pairs->alone(i, k);
          if (run.stopped()) return;
          out[k] = value;
        }
      }
      run.advance(uint64_t(double(group.size()) * double(n) * double(m)));
    }
  });
  if (dx && single && !run.stopped())
    for (size_t k = 0; k < pairCount; k++)
      for (size_t e = 0; e < size; e++) dx[e] += gather[k * size + e];
}

void requireEqualLengths(const Method& method, const Collection& x, const Collection& y) {
  if (method.metric != Metric::squared && method.metric != Metric::euclidean) return;
  const size_t n = x.lengths[0];
  for (const Collection* set : {&x, &y})
    for (const size_t length : set->lengths)
      if (length != n)
        throw rangeError("y", "of the same length as x for this metric",
                         std::to_string(length) + " beside " + std::to_string(n));
}

}  // namespace

namespace ops {

void elasticPairwise(Run& run, In<Any> x, In<int32_t> xLengths, Maybe<In<Any>> y, Maybe<In<int32_t>> yLengths,
                     Out<double> out, size_t rowBegin, size_t rowEnd, size_t colBegin, size_t colEnd, size_t channels,
                     Metric metric, BandKind band, In<double> parameters, size_t threads) {
  const Method method(metric, band, parameters, channels);
  const Collection xs("x", x, xLengths, channels);
  std::optional<Collection> ys;
  if (y.data) ys.emplace("y", y, yLengths, channels);
  if (ys && ys->dtype != xs.dtype) throw typeError("y", "of the class of x", nameOf(y.element));
  requireEqualLengths(method, xs, ys ? *ys : xs);
  if (rowBegin >= rowEnd || rowEnd > xs.count()) throw rangeError("rows", "a block of x", std::to_string(rowEnd));
  if (colBegin >= colEnd || colEnd > (ys ? *ys : xs).count())
    throw rangeError("cols", "a block of y", std::to_string(colEnd));
  requireMatrix("out", out.length, rowEnd - rowBegin, colEnd - colBegin, colEnd - colBegin);
  const Block block{rowBegin, rowEnd, colBegin, colEnd, false, false, out.data};
  withFloat(xs.dtype, [&](auto zero) { matrix<decltype(zero)>(run, method, xs, ys ? &*ys : nullptr, block, threads); });
}

void elasticPaired(Run& run, In<Any> x, In<int32_t> xLengths, In<Any> y, In<int32_t> yLengths, Out<double> values,
                   Maybe<Out<double>> dx, Maybe<Out<double>> dy, Maybe<In<double>> weights, size_t channels,
                   Metric metric, BandKind band, In<double> parameters, size_t threads) {
  const Method method(metric, band, parameters, channels);
  const Collection xs("x", x, xLengths, channels), ys("y", y, yLengths, channels);
  if (ys.dtype != xs.dtype) throw typeError("y", "of the class of x", nameOf(y.element));
  if (xs.count() != ys.count() && xs.count() != 1)
    throw rangeError("x", "one series or as many as y", std::to_string(xs.count()));
  requireEqualLengths(method, xs, ys);
  requireMatrix("values", values.length, ys.count(), 1, 1);
  if ((dx.data || dy.data) && method.gamma == 0) throw rangeError("gamma", "> 0 for gradients", "0");
  if (dx.data) requireMatrix("dx", dx.length, 1, x.length, x.length);
  if (dy.data) requireMatrix("dy", dy.length, 1, y.length, y.length);
  if (weights.data) requireMatrix("weights", weights.length, ys.count(), 1, 1);
  withFloat(xs.dtype, [&](auto zero) {
    paired<decltype(zero)>(run, method, xs, ys, values.data, dx.data, dy.data, weights.data, threads);
  });
}

}  // namespace ops
}  // namespace softlane
#endif
