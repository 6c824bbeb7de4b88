// Softmax of many short rows (at most one block each) in one call: the blocked form with the row loop inside.
//
// Rows of more than kTransposed columns: maximum, exponentials with their sum, scaling, all in the first-level cache.
// Shorter rows: as many rows as a vector has lanes are transposed into columns, so that maximum and sum need no
// horizontal step; the left-over rows take the same path with empty lanes, so a row's bits do not depend on the batch.
#include "dispatch.h"
#include "span.h"
#include "staged.h"

namespace softlane::ISA {

template <class S>
constexpr S kNan = S(__builtin_nanf(""));

/// What is left of a row when its maximum and sum are known: the sum is NaN for a row with NaN or +infinity, 0 for an
/// empty one (all -infinity).
struct RowEnd {
  bool log;
  double emptyRow;
  bool stream;
};

/// Rows become columns, one row a lane.
template <class V, class In>
SOFTLANE_INLINE void turnInHere(const In* x, size_t stride, size_t rows, size_t cols, V* column) {
  constexpr size_t L = V::lanes;
  V tile[L];
  for (size_t c = 0; c < cols; c += L) {
    for (size_t r = 0; r < L; r++) {
      const In* p = x + r * stride + c;
      tile[r] = r >= rows ? V::set(0) : cols - c >= L ? V::load(p) : V::load(p, cols - c, 0);
    }
    transpose(tile);
    for (size_t j = 0; j < L; j++) column[c + j] = tile[j];
  }
}

/// And back.
template <class V, class Out>
SOFTLANE_INLINE void turnOutHere(const V* column, Out* y, size_t stride, size_t rows, size_t cols) {
  constexpr size_t L = V::lanes;
  V tile[L];
  for (size_t c = 0; c < cols; c += L) {
    for (size_t j = 0; j < L; j++) tile[j] = column[c + j];
    transpose(tile);
    for (size_t r = 0; r < rows; r++) {
      Out* q = y + r * stride + c;
      if (cols - c >= L) tile[r].store(q);
      else tile[r].store(q, cols - c);
    }
  }
}

/// float32 in place, where a call would cost a third more; of the other types every kernel has the same function.
template <class V, class In>
SOFTLANE_APART void turnInApart(const In* x, size_t stride, size_t rows, size_t cols, V* column) {
  turnInHere(x, stride, rows, cols, column);
}
template <class V, class Out>
SOFTLANE_APART void turnOutApart(const V* column, Out* y, size_t stride, size_t rows, size_t cols) {
  turnOutHere(column, y, stride, rows, cols);
}
template <class V, class In>
SOFTLANE_INLINE void turnIn(const In* x, size_t stride, size_t rows, size_t cols, V* column) {
  if constexpr (sizeof(In) == 4) turnInHere(x, stride, rows, cols, column);
  else turnInApart(x, stride, rows, cols, column);
}
template <class V, class Out>
SOFTLANE_INLINE void turnOut(const V* column, Out* y, size_t stride, size_t rows, size_t cols) {
  if constexpr (sizeof(Out) == 4) turnOutHere(column, y, stride, rows, cols);
  else turnOutApart(column, y, stride, rows, cols);
}

template <class V, class E, class In, class Out, bool Unit>
struct RowKernel {
  using S = typename V::Scalar;
  static constexpr size_t L = V::lanes;
  E e;
  V scale;  ///< halves are subtracted, as in softmax_safe.cc
  RowEnd end;
  SOFTLANE_INLINE RowKernel(const ExpForm& form, RowEnd rowEnd) : scale(V::set(S(2 * form.inverse))), end(rowEnd) {}
  SOFTLANE_INLINE V argument(V x, V shift) const { return Unit ? x - shift : mulAdd(x, V::set(0.5f), shift) * scale; }
  SOFTLANE_INLINE V shiftOf(V mu) const { return Unit ? mu : mu * V::set(-0.5f); }

  SOFTLANE_INLINE void row(const In* x, Out* y, size_t n, S* scratch) const {
    const S least = lowest<S>();
    V top[4];
    for (V& t : top) t = V::set(least);
    size_t i = 0;
    for (; i + 4 * L <= n; i += 4 * L)
      for (size_t u = 0; u < 4; u++) top[u] = max(V::load(x + i + u * L), top[u]);
    for (; i + L <= n; i += L) top[0] = max(V::load(x + i), top[0]);
    if (i < n) top[1] = max(V::load(x + i, n - i, least), top[1]);
    const S mu = reduceMax(max(max(top[0], top[1]), max(top[2], top[3])));
    const V shift = shiftOf(V::set(mu));
    S* stored = scratch;
    if constexpr (__is_same(S, Out))
      if (!end.stream) stored = y;  // a line that is to be streamed must not be in the cache
    if (end.log) stored = nullptr;
    const auto exponentials = [&](auto clamp) {
      const auto term = [&](V v) { return e.template expNonPositive<decltype(clamp)::value>(argument(v, shift)); };
      return reduceAdd(sumSpan<V>(
          n,
          [&](size_t at) {
            V v = term(V::load(x + at));
            if (stored) v.store(stored + at);
            return v;
          },
          [&](size_t at, size_t rest) {
            V v = term(V::load(x + at, rest, -__builtin_inff()));
            if (stored) v.store(stored + at, rest);
            return v;
          }));
    };
    // As exp_store_sum: without the clamp first, unless x would be lost.
    S sum = kNan<S>;
    if (V::hasScalef && static_cast<const void*>(x) != static_cast<void*>(y)) sum = exponentials(Flag<!V::hasScalef>{});
    if (!(sum - sum == 0)) sum = exponentials(Flag<true>{});
    if (!(sum > 0)) {
      const V fill = V::set(sum == 0 ? S(end.emptyRow) : sum);
      mapSpan<V>(x, y, n, end.stream, [&](V) { return fill; });
    } else if (end.log) {
      const V l = V::set(S(::log(double(sum))));
      mapSpan<V>(x, y, n, end.stream, [&](V v) { return argument(v, shift) - l; });
    } else {
      const V factor = V::set(S(1 / double(sum)));
      mapSpan<V>(static_cast<const S*>(stored), y, n, end.stream, [&](V v) { return v * factor; });
    }
  }

  /// `rows` <= L rows of at most kTransposed columns, each row in a lane.
  SOFTLANE_INLINE void transposed(const In* x, size_t strideX, Out* y, size_t strideY, size_t rows, size_t cols) const {
    V column[kTransposed + L];
    V mu = V::set(lowest<S>()), sum = V::set(0);
    turnIn(x, strideX, rows, cols, column);
    for (size_t c = 0; c < cols; c++) mu = max(column[c], mu);
    const V shift = shiftOf(mu);
    for (size_t c = 0; c < cols; c++) {
      const V v = e.template expNonPositive<true>(argument(column[c], shift));
      sum = sum + v;
      if (!end.log) column[c] = v;
    }
    if (end.log) {
      S lane[L];
      sum.store(lane);
      for (S& s : lane) s = s == 0 ? S(-end.emptyRow) : S(::log(double(s)));
      const V l = V::load(lane);
      for (size_t c = 0; c < cols; c++) column[c] = argument(column[c], shift) - l;
    } else {
      const V factor = selectZero(sum, V::set(S(end.emptyRow)), V::set(1) / sum);
      for (size_t c = 0; c < cols; c++) column[c] = column[c] * factor;
    }
    turnOut(column, y, strideY, rows, cols);
  }
};

void softmax_rows(const Rows& m, const ExpForm& form, bool log, double emptyRow, bool transposed, bool stream) {
  if (isCross(m.in, m.out)) {
    alignas(64) float buffer[kBlock];
    const size_t group = transposed ? kBlock / kTransposed : 1;
    for (size_t r = 0; r < m.rows; r += group) {
      const size_t rows = m.rows - r < group ? m.rows - r : group;
      for (size_t i = 0; i < rows; i++)
        convert(static_cast<const char*>(m.x) + (r + i) * m.strideX * 2, m.in, buffer + i * m.cols, Dtype::f32, m.cols);
      softmax_rows(
          {buffer, static_cast<char*>(m.y) + r * m.strideY * 2, rows, m.cols, m.cols, m.strideY, Dtype::f32, m.out},
          form, log, emptyRow, transposed, stream);
    }
    return;
  }
  withInOut<false>(m.in, m.out, [&](auto vector, auto from, auto to, auto precision) {
    using V = decltype(vector);
    using In = decltype(from);
    using Out = decltype(to);
    withFlag(form.unit, [&](auto unit) {
      const RowKernel<V, Exponential<V, decltype(precision)::value>, In, Out, decltype(unit)::value> kernel(
          form, {log, emptyRow, stream});
      const In* x = static_cast<const In*>(m.x);
      Out* y = static_cast<Out*>(m.y);
      if (transposed) {
        for (size_t r = 0; r < m.rows; r += V::lanes) {
          const size_t group = m.rows - r < size_t(V::lanes) ? m.rows - r : V::lanes;
          kernel.transposed(x + r * m.strideX, m.strideX, y + r * m.strideY, m.strideY, group, m.cols);
        }
      } else {
        alignas(64) typename V::Scalar scratch[kBlock];
        for (size_t r = 0; r < m.rows; r++) kernel.row(x + r * m.strideX, y + r * m.strideY, m.cols, scratch);
      }
    });
  });
}

}  // namespace softlane::ISA
