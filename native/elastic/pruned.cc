// One pair under a cutoff, row by row: cells above it are dead, and a row is walked only from the first column that can
// come alive to the last (Herrmann & Webb 2021, EAPruned, in our own form). What is left has the bits of the full
// dynamic programme, since every cell is computed by the same operations. Compiled once: no instruction set helps here.
#ifdef SOFTLANE_OPERATIONS
#include <cmath>
#include <limits>

#include "bounds.h"
#include "cell.h"

namespace softlane {
namespace {

template <class S>
using Lane = std::conditional_t<sizeof(S) == 4, scalar::F32, scalar::F64>;

/// One pair of one pass.
template <class S>
struct Job {
  CellForm form;
  size_t n, m, channels;
  const S *x, *y, *xAux, *yAux, *weights, *top, *left;
  S threshold;
  const Band& band;
  Watch watch;
};

template <class S, template <class> class Cell, bool Many>
double walk(const Job<S>& job, double cutoff, const double* rest, std::vector<S>& row) {
  using V = Lane<S>;
  using C = Cell<V>;
  using Point = typename scalar::PointOf<V, Many>::Type;
  constexpr S infinite = std::numeric_limits<S>::infinity();
  const C cell(job.form);
  scalar::HardMin<V> minimum(0);
  const int64_t n = int64_t(job.n), m = int64_t(job.m);
  row.assign(job.m + 1, infinite);
  int64_t alive = 0, lastAlive = -1;  // columns of the bordered table that are not dead in the row before
  for (int64_t k = 0; k <= m; k++) {
    const S edge = job.top ? job.top[k] : k == 0 ? S(0) : infinite;
    if (double(edge) > cutoff) continue;
    row[size_t(k)] = edge;
    lastAlive = k;
  }
  for (int64_t i = 0; i < n; i++) {
    if (i % 64 == 63 && !job.watch(64 * size_t(lastAlive - alive + 1))) return infinite;
    const int64_t low = job.band.full ? 0 : job.band.low[size_t(i)],
                  high = job.band.full ? m - 1 : job.band.high[size_t(i)];
    const double limit = rest ? cutoff - rest[i + 1] : cutoff;
    const S edge = job.left ? job.left[i + 1] : infinite;
    const bool edgeAlive = double(edge) <= limit;
    int64_t begin = alive > 0 ? alive - 1 : 0, nextAlive = -1, nextLast = -1;
    if (edgeAlive) begin = 0;
    if (begin < low) begin = low;
    const auto before = [&](int64_t k) { return k >= alive && k <= lastAlive ? row[size_t(k)] : infinite; };
    V left = V::set(begin == 0 && edgeAlive ? edge : infinite);
    S corner = before(begin);
    for (int64_t k = begin < 1 ? 1 : alive; k <= begin; k++) row[size_t(k)] = infinite;
    if (edgeAlive) nextAlive = nextLast = 0;
    row[0] = edgeAlive ? edge : infinite;
    int64_t j = begin;
    for (; j <= high; j++) {
      if (j > lastAlive && !(left.v < infinite)) break;  // corner and all to the right of it are dead
      const S up = before(j + 1);
      Point p;
      if constexpr (Many) {
        p.channels = job.channels;
        p.strideX = job.n;
        p.strideY = job.m;
        p.x_ = job.x + i;
        p.y_ = job.y + j;
        p.xBefore_ = p.x_ - (i > 0);  // read only where a finite cell comes from there, or to no effect
        p.yBefore_ = p.y_ - (j > 0);
      } else {
        p.x_ = V::set(job.x[i]);
        p.y_ = V::set(job.y[j]);
        p.xBefore_ = V::set(i > 0 ? job.x[i - 1] : S(0));
        p.yBefore_ = V::set(j > 0 ? job.y[j - 1] : S(0));
      }
      if constexpr (C::kAux) {
        p.xAux = V::set(job.xAux[i]);
        p.yAux = V::set(job.yAux[j]);
      }
      if constexpr (C::kWeight) p.weight = V::set(job.weights[n + j - i]);
      if constexpr (C::kThreshold) p.threshold = V::set(job.threshold);
      V value = cell.cell(minimum, p, V::set(corner), V::set(up), left);
      if (double(value.v) > limit) {
        value.v = infinite;
      } else {
        if (nextAlive < 0) nextAlive = j + 1;
        nextLast = j + 1;
      }
      corner = up;
      row[size_t(j) + 1] = value.v;
      left = value;
    }
    if (nextAlive < 0) return std::numeric_limits<double>::infinity();
    if (edgeAlive)  // from the border to the first cell of the band nothing lives
      for (int64_t k = 1; k <= begin && k <= m; k++) row[size_t(k)] = infinite;
    alive = nextAlive;
    lastAlive = nextLast;
  }
  return m <= lastAlive && m >= alive ? double(row[size_t(m)]) : std::numeric_limits<double>::infinity();
}

template <class S>
double walkAny(const Job<S>& job, double cutoff, const double* rest, std::vector<S>& row) {
  double result = 0;
  scalar::withHardCell(job.form.recursion, [&](auto tag) {
    using Tag = decltype(tag);
    using C = typename Tag::template Type<Lane<S>>;
    if constexpr (!C::kMaximises) {
      if constexpr (!scalar::isUnivariate<C, Lane<S>>())
        if (job.channels > 1) {
          result = walk<S, Tag::template Type, true>(job, cutoff, rest, row);
          return;
        }
      result = walk<S, Tag::template Type, false>(job, cutoff, rest, row);
    }
  });
  return result;
}

}  // namespace

template <class S>
double Pairs<S>::pruned(size_t xi, size_t yi, double cutoff, const double* rest) {
  bands_.trim();
  const size_t n = x_.lengths[xi], m = y_.lengths[yi];
  // TWE on several channels reads the zero before the first point: that padding only the other loops have.
  const bool needsPadding = form_.recursion == Recursion::twe && channels_ > 1;
  if (form_.recursion == Recursion::lcss || needsPadding) {
    const double value = alone(xi, yi);
    return value <= cutoff ? value : std::numeric_limits<double>::infinity();
  }
  const double raw = method_.rawCutoff(cutoff, n, m);
  const Band& band = bands_.of(n, m);
  double value = 0;
  for (size_t pass = 0; pass < passes_ && value <= raw; pass++) {
    Job<S> job{form_,
               n,
               m,
               channels_,
               x_.series(xi) + pass * n,
               y_.series(yi) + pass * m,
               nullptr,
               nullptr,
               nullptr,
               nullptr,
               nullptr,
               threshold(xi, yi),
               band,
               watcher()};
    if (usesAux(form_.recursion)) {
      job.xAux = x_.auxOf(xi, pass);
      job.yAux = y_.auxOf(yi, pass);
    }
    if (form_.recursion == Recursion::erp) {
      job.top = y_.borderOf(yi, pass);
      job.left = x_.borderOf(xi, pass);
    }
    if (form_.recursion == Recursion::edr) editBorders(n, m, band, job.top, job.left);
    if (usesWeights(form_.recursion)) job.weights = weights(n, m);
    value += walkAny(job, raw, rest, prunedRow_);
  }
  value = method_.finish(value, n, m);
  return value <= cutoff ? value : std::numeric_limits<double>::infinity();
}

double prunedDtw(const double* x, size_t n, const double* y, size_t m, const Band& band, double cutoff,
                 const double* rest, std::vector<double>& row) {
  const Job<double> job{{Recursion::dtw, 0, 0, 0, false, nullptr},
                        n,
                        m,
                        1,
                        x,
                        y,
                        nullptr,
                        nullptr,
                        nullptr,
                        nullptr,
                        nullptr,
                        0,
                        band,
                        {nullptr, nullptr}};
  return walk<double, scalar::DtwCell, false>(job, cutoff, rest, row);
}

template double Pairs<float>::pruned(size_t, size_t, double, const double*);
template double Pairs<double>::pruned(size_t, size_t, double, const double*);

}  // namespace softlane
#endif
