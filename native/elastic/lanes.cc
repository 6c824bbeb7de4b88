// Many pairs of series at once, one in each lane: no dependence inside a vector, no gather, no shuffle.
//
// kRows rows of the table advance together: a column is read from and written to the row buffer once for all of them,
// and the chains of min and add of neighbouring rows overlap (the cell (r, j + 1) does not wait for (r + 1, j)).
//
// Ladder (Zen 4, AVX-512, one core, length 128, Gcells/s of float32 / float64; `softlane bench elastic` measures anew):
//   DTW, four rows at a time           12.9 / 6.6   bound by arithmetic, 6 operations a cell
//   soft-DTW, two rows                 0.90 / 0.29  two exponentials, a logarithm; one long pair by wave.cc: 1.28 / 0.39
//   soft-DTW, shares kept              0.81 / 0.24
//   Soft-MSM, two rows                 0.36 / 0.107 four exponentials, three logarithms, two roots
//   Soft-MSM, roots by estimate and Newton  0.33 / 0.088  worse: the divider works beside the multipliers, which bind
//   edges of bands by a third copy of the loop body: the same speed, a third more code
#include "cell.h"

namespace softlane::ISA {
namespace {

/// Columns of a block of rows: all rows are active in [fullBegin, fullEnd), some in [begin, end).
struct Columns {
  int64_t begin, fullBegin, fullEnd, end;
};

Columns columnsOf(const LanesJob& job, size_t row, int rows) {
  const int64_t m = int64_t(job.m);
  if (!job.low) return {0, 0, m, m};
  Columns columns{m, 0, m, 0};
  for (int r = 0; r < rows; r++) {
    const int64_t low = job.low[row + r], end = int64_t(job.high[row + r]) + 1;
    if (low >= end) {  // an empty row: no column is full
      columns.fullEnd = 0;
      continue;
    }
    columns.begin = low < columns.begin ? low : columns.begin;
    columns.end = end > columns.end ? end : columns.end;
    columns.fullBegin = low > columns.fullBegin ? low : columns.fullBegin;
    columns.fullEnd = end < columns.fullEnd ? end : columns.fullEnd;
  }
  if (columns.begin > columns.end) columns.begin = columns.end = 0;
  if (columns.fullBegin >= columns.fullEnd) columns.fullBegin = columns.fullEnd = columns.end;
  return columns;
}

constexpr size_t kRowsBetweenLooks = 64;  // a multiple of the rows that advance together

template <class V, template <class> class Cell, bool Many>
class Lanes {
  using S = typename V::Scalar;
  static constexpr size_t L = V::lanes;
  using C = Cell<V>;

 public:
  explicit Lanes(const LanesJob& given)
      : job(given),
        cell(given.form),
        x(static_cast<const S*>(given.x)),
        y(static_cast<const S*>(given.y)),
        xAux(static_cast<const S*>(given.xAux)),
        yAux(static_cast<const S*>(given.yAux)),
        weights(static_cast<const S*>(given.weights)),
        left(static_cast<const S*>(given.left)),
        row(static_cast<S*>(given.row)),
        stride(Many ? given.channels * L : L) {
    if constexpr (C::kThreshold) threshold = V::load(static_cast<const S*>(given.threshold));
    outside = V::set(C::kMaximises ? S(0) : S(__builtin_inff()));
  }

  /// All rows; false if abandoned or stopped.
  template <int Rows, class Min>
  bool run(Min minimum) {
    size_t i = 0;
    previous = {0, 0, int64_t(job.m), int64_t(job.m)};
    if (!job.hasTop) {
      V::set(0).store(row);
      for (size_t j = 1; j <= job.m; j++) outside.store(row + j * L);
    }
    for (; i + Rows <= job.n; i += Rows) {
      if (!block<Rows>(i, minimum)) return false;
      if (i % kRowsBetweenLooks == 0 && !job.watch(kRowsBetweenLooks * job.m * L)) return false;
    }
    for (; i < job.n; i++)
      if (!block<1>(i, minimum)) return false;
    return true;
  }

 private:
  SOFTLANE_INLINE V border(size_t i) const { return left ? V::load(left + i * L) : outside; }

  template <int Rows, class Min>
  SOFTLANE_INLINE bool block(size_t i, Min& minimum) {
    const Columns columns = columnsOf(job, i, Rows);
    V leftOf[Rows], xs[Rows], xsBefore[Rows], xsAux[Rows];
    for (int r = 0; r < Rows; r++) {
      leftOf[r] = columns.begin == 0 ? border(i + r + 1) : outside;
      if constexpr (!Many) xs[r] = V::load(x + (i + r) * L);
      if constexpr (!Many && C::kBefore) xsBefore[r] = V::load(x + (i + r) * L - L);
      if constexpr (C::kAux) xsAux[r] = V::load(xAux + (i + r) * L);
    }
    V diagonal = V::load(row + columns.begin * L), least = outside, yBefore = V::set(0);
    if constexpr (!Many && C::kBefore) yBefore = V::load(y + columns.begin * int64_t(L) - int64_t(L));

    const auto inBand = [&](int r, int64_t j) {
      return Rows == 1 && !job.low ? true : j >= job.low[i + r] && j <= job.high[i + r];
    };
    const auto compute = [&](int r, size_t j, V now, V aux, V corner, V above, V leftward) {
      if constexpr (Many) {
        ManyPoint<V> p;
        p.channels = job.channels;
        p.strideX = p.strideY = L;
        p.x_ = x + (i + r) * stride;
        p.y_ = y + j * stride;
        p.xBefore_ = p.x_ - stride;
        p.yBefore_ = p.y_ - stride;
        return at(p, i + r, j, xsAux[r], aux, minimum, corner, above, leftward);
      } else {
        OnePoint<V> p;
        p.x_ = xs[r];
        p.y_ = now;
        if constexpr (C::kBefore) {
          p.xBefore_ = xsBefore[r];
          p.yBefore_ = yBefore;
        }
        return at(p, i + r, j, xsAux[r], aux, minimum, corner, above, leftward);
      }
    };
    const auto column = [&](size_t j, auto full) {
      V up = V::load(row + (j + 1) * L), above = up, corner = diagonal, now = outside, aux = outside;
      if constexpr (!Many) now = V::load(y + j * L);
      if constexpr (C::kAux) aux = V::load(yAux + j * L);
      for (int r = 0; r < Rows; r++) {
        const bool in = decltype(full)::value || inBand(r, int64_t(j));
        const V value = in ? compute(r, j, now, aux, corner, above, leftOf[r]) : outside;
        corner = leftOf[r];
        leftOf[r] = value;
        above = value;
      }
      diagonal = up;
      if constexpr (!Many && C::kBefore) yBefore = now;
      above.store(row + (j + 1) * L);
      if constexpr (!Min::kSoft && !C::kMaximises) least = min(least, above);
    };
    // Whole columns and those at the edges of a band: the code is large, so a row alone does with one of the two.
    for (int64_t j = columns.begin; j < columns.end; j++) {
      if constexpr (Rows > 1) {
        const int64_t stop = j >= columns.fullBegin ? columns.fullEnd : j;
        for (; j < stop; j++) column(size_t(j), True{});
      }
      if (j < columns.end) column(size_t(j), False{});
    }

    // The buffer is the last row of the block: nothing of the rows before it may stay.
    border(i + Rows).store(row);
    for (int64_t k = previous.begin; k < columns.begin && k < previous.end; k++) outside.store(row + (k + 1) * L);
    for (int64_t k = columns.end > previous.begin ? columns.end : previous.begin; k < previous.end; k++)
      outside.store(row + (k + 1) * L);
    previous = columns;

    if constexpr (!Min::kSoft && !C::kMaximises) {
      // Steps never cost less than 0, and every way crosses this row.
      if (job.cutoff) {
        const V over = select(lessEqual(min(least, border(i + Rows)), V::load(static_cast<const S*>(job.cutoff))),
                              V::set(0), V::set(1));
        if (reduceAdd(over) == S(L)) return false;
      }
    }
    return true;
  }

  template <class P, class Min>
  SOFTLANE_INLINE V at(P& p, size_t i, size_t j, V auxOfX, V auxOfY, Min& minimum, V corner, V above, V leftward) {
    if constexpr (C::kAux) {
      p.xAux = auxOfX;
      p.yAux = auxOfY;
    }
    if constexpr (C::kWeight) p.weight = V::set(weights[job.n + j - i]);
    if constexpr (C::kThreshold) p.threshold = threshold;
    const V value = cell.cell(minimum, p, corner, above, leftward);
    if constexpr (Min::kKeeps) {
      S* shares = static_cast<S*>(job.shares) + (i * job.m + j) * 3 * L;
      minimum.shareDiagonal.store(shares);
      minimum.shareUp.store(shares + L);
      minimum.shareLeft.store(shares + 2 * L);
    }
    return value;
  }

  struct True {
    static constexpr bool value = true;
  };
  struct False {
    static constexpr bool value = false;
  };
  const LanesJob& job;
  const C cell;
  const S *x, *y, *xAux, *yAux, *weights, *left;
  S* row;
  const size_t stride;
  V threshold, outside;
  Columns previous;
};

/// Rows by measurement: hard recursions of one channel gain up to 4, soft ones hide their latency with 2.
template <class V>
constexpr int kHardRows = V::lanes == 1 ? 2 : 4;
template <class V, template <class> class Cell>
bool runHard(const LanesJob& job) {
  if constexpr (!isUnivariate<Cell<V>, V>())
    if (job.channels > 1) return Lanes<V, Cell, true>(job).template run<1>(HardMin<V>(0));
  return Lanes<V, Cell, false>(job).template run<kHardRows<V>>(HardMin<V>(0));
}
template <class V, template <class> class Cell, bool Keep>
bool runSoft(const LanesJob& job) {
  if constexpr (!isUnivariate<Cell<V>, V>())
    if (job.channels > 1) return Lanes<V, Cell, true>(job).template run<1>(SoftMin<V, Keep>(job.form.gamma));
  return Lanes<V, Cell, false>(job).template run<2>(SoftMin<V, Keep>(job.form.gamma));
}

template <class V>
bool runAny(const LanesJob& job) {
  bool done = true;
  if (job.form.gamma > 0) {
    withSoftCell(job.form.recursion, [&](auto tag) {
      if (job.shares) done = runSoft<V, decltype(tag)::template Type, true>(job);
      else done = runSoft<V, decltype(tag)::template Type, false>(job);
    });
  } else {
    withHardCell(job.form.recursion, [&](auto tag) { done = runHard<V, decltype(tag)::template Type>(job); });
  }
  return done;
}

}  // namespace

size_t elastic_width(Dtype dtype) { return dtype == Dtype::f32 ? F32::lanes : F64::lanes; }

bool elastic_lanes(const LanesJob& job) { return job.dtype == Dtype::f32 ? runAny<F32>(job) : runAny<F64>(job); }

}  // namespace softlane::ISA
