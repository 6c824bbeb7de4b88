// One pair of series along anti-diagonals: the cells of an anti-diagonal do not depend on each other, so a vector takes
// neighbouring ones. Three diagonals are kept; with `table` or `history` every cell is, and the way back recomputes the
// shares from it.
//
// Row i of the table is i + 1 here counting the border; a diagonal buffer holds D[I][s - I] at index I. The band gives a
// range of rows for each diagonal that moves by at most one at either end, so one infinite cell beyond each end is all
// that later diagonals can see. An irregular band (with rows that have no cell) has `low`: cells are then masked one by one.
#include "cell.h"

namespace softlane::ISA {
namespace {

template <class V, template <class> class Cell, bool Many>
struct Wave {
  using S = typename V::Scalar;
  using C = Cell<V>;
  static constexpr size_t L = V::lanes;
  const WaveJob& job;
  const C cell;
  const S *x, *y, *xAux, *yAux, *even, *odd, *top, *left;
  S* diagonals[3];
  V threshold;
  S outside;

  explicit Wave(const WaveJob& given)
      : job(given),
        cell(given.form),
        x(static_cast<const S*>(given.x)),
        y(static_cast<const S*>(given.yReversed)),
        xAux(static_cast<const S*>(given.xAux)),
        yAux(static_cast<const S*>(given.yAuxReversed)),
        even(static_cast<const S*>(given.weightsEven)),
        odd(static_cast<const S*>(given.weightsOdd)),
        top(static_cast<const S*>(given.top)),
        left(static_cast<const S*>(given.left)),
        threshold(V::set(S(given.threshold))),
        outside(C::kMaximises ? S(0) : S(__builtin_inff())) {
    const size_t length = job.n + 1 + 2 * kWavePad;
    for (int k = 0; k < 3; k++) diagonals[k] = static_cast<S*>(job.diagonals) + size_t(k) * length + kWavePad;
  }

  S borderTop(size_t j) const { return j == 0 && !top ? S(0) : top ? top[j] : outside; }
  S borderLeft(size_t i) const { return left ? left[i] : i == 0 ? S(0) : outside; }

  /// What the vector of cells from row i on diagonal d (i + j = d) sees.
  template <class P>
  SOFTLANE_INLINE void show(P& p, int64_t d, int64_t i) const {
    const int64_t reversed = int64_t(job.m) - 1 - d + i;  // of y_j
    if constexpr (Many) {
      p.channels = job.channels;
      p.strideX = job.strideX;
      p.strideY = job.strideY;
      p.x_ = x + i;
      p.xBefore_ = x + i - 1;
      p.y_ = y + reversed;
      p.yBefore_ = y + reversed + 1;
    } else {
      p.x_ = V::load(x + i);
      p.y_ = V::load(y + reversed);
      if constexpr (C::kBefore) {
        p.xBefore_ = V::load(x + i - 1);
        p.yBefore_ = V::load(y + reversed + 1);
      }
    }
    if constexpr (C::kAux) {
      p.xAux = V::load(xAux + i);
      p.yAux = V::load(yAux + reversed);
    }
    if constexpr (C::kWeight) p.weight = V::load(d & 1 ? odd + (i - (d - 1) / 2) : even + (i - d / 2));
    if constexpr (C::kThreshold) p.threshold = threshold;
  }
  using Point = typename PointOf<V, Many>::Type;

  /// Cells outside an irregular band, one by one: such bands are rare.
  V inBand(V value, int64_t d, int64_t i, int64_t last) const {
    S each[L];
    value.store(each);
    SOFTLANE_ROLLED
    for (int64_t k = 0; k < int64_t(L); k++) {
      const int64_t row = i + k, column = d - row;
      if (row > last || column < job.low[row] || column > job.high[row]) each[k] = outside;
    }
    return V::load(each);
  }

  template <class Min>
  double run(Min minimum) {
    const int64_t n = int64_t(job.n), m = int64_t(job.m);
    S *before2 = diagonals[0], *before = diagonals[1], *now = diagonals[2];
    // diagonal 0 of the bordered table is its corner, diagonal 1 two border cells
    before2[-1] = outside;
    before2[0] = borderTop(0);
    before2[1] = outside;
    before[0] = borderTop(1);
    before[1] = borderLeft(1);
    before[-1] = before[2] = outside;
    for (int64_t d = 0; d <= n + m - 2; d++) {
      const int64_t first = job.first[d], last = job.last[d];
      if (d % 256 == 255 && !job.watch(size_t(256) * size_t(last - first + 1))) return double(outside);
      if (job.low)
        for (int64_t k = -1; k <= n + 1; k++) now[k] = outside;
      for (int64_t i = first; i <= last; i += int64_t(L)) {
        Point p;
        show(p, d, i);
        V value = cell.cell(minimum, p, V::load(before2 + i), V::load(before + i), V::load(before + i + 1));
        if (job.low) value = inBand(value, d, i, last);
        value.store(now + i + 1);
        if (job.table) {
          S each[L];
          value.store(each);
          const int64_t count = last - i + 1 < int64_t(L) ? last - i + 1 : int64_t(L);
          S* at = static_cast<S*>(job.table) + i * m + (d - i);
          SOFTLANE_ROLLED
          for (int64_t k = 0; k < count; k++) at[k * (m - 1)] = each[k];
        }
        if (job.history) {
          S* at = static_cast<S*>(job.history) + job.historyAt[d] + size_t(i - first);
          if (last - i + 1 < int64_t(L)) value.store(at, size_t(last - i + 1));
          else value.store(at);
        }
      }
      now[first] = outside;  // row first - 1
      now[last + 2] = outside;
      // borders of diagonal d + 2 of the bordered table
      const int64_t s = d + 2;
      if (s <= m) now[0] = borderTop(size_t(s));
      if (s <= n) now[s] = borderLeft(size_t(s));
      S* spare = before2;
      before2 = before;
      before = now;
      now = spare;
    }
    return double(before[n]);
  }

  /// Cells of diagonal d as the way forth left them, with what stands beside them: diagonal s = d + 2 of the table.
  void recall(int64_t d, S* into) const {
    const int64_t n = int64_t(job.n), m = int64_t(job.m), s = d + 2;
    if (d >= 0) {
      const int64_t first = job.first[d], last = job.last[d];
      const S* at = static_cast<const S*>(job.history) + job.historyAt[d];
      if (job.low)
        for (int64_t k = -1; k <= n + 1; k++) into[k] = outside;
      if (last >= first) memcpy(into + first + 1, at, size_t(last - first + 1) * sizeof(S));
      into[first] = outside;
      into[last + 2] = outside;
    } else {
      into[-1] = into[s + 1] = outside;
    }
    if (s <= m) into[0] = borderTop(size_t(s));
    if (s <= n) into[s] = borderLeft(size_t(s));
  }
};

/// Gradients of a vector of neighbouring cells of a diagonal: their points are neighbours too, in x and in reversed y.
template <class V>
struct WaveSink {
  using S = typename V::Scalar;
  S *dx, *dy;
  size_t strideX, strideY;
  static SOFTLANE_INLINE void add(S* p, V g) { (V::load(p) + g).store(p); }
  SOFTLANE_INLINE void x(size_t c, V g) { add(dx + c * strideX, g); }
  SOFTLANE_INLINE void xBefore(size_t c, V g) { add(dx + c * strideX - 1, g); }
  SOFTLANE_INLINE void y(size_t c, V g) { add(dy + c * strideY, g); }
  SOFTLANE_INLINE void yBefore(size_t c, V g) { add(dy + c * strideY + 1, g); }
};

/// The shares of the three arguments of a soft minimum, for the way back; the value is not needed.
template <class V>
struct SharesOf : SoftMin<V, false> {
  V d, u, l;
  SOFTLANE_INLINE explicit SharesOf(double gamma) : SoftMin<V, false>(gamma) {}
  SOFTLANE_INLINE V operator()(V a, V b, V c) {
    const V least = min(min(min(a, b), c), this->huge);
    d = this->term(least, a);
    u = this->term(least, b);
    l = this->term(least, c);
    const V sum = (d + u) + l, inverse = selectZero(sum, V::set(0), V::set(1) / sum);  // 0: the cell cannot be reached
    d = d * inverse;
    u = u * inverse;
    l = l * inverse;
    return least;
  }
};

template <class V, template <class> class Cell, bool Many>
void back(const WaveBackward& job) {
  using S = typename V::Scalar;
  using W = Wave<V, Cell, Many>;
  constexpr int64_t L = V::lanes;
  const WaveJob& forth = job.forth;
  W wave(forth);
  SharesOf<V> minimum(forth.form.gamma);
  const SoftMin<V, false>& plain = minimum;
  const int64_t n = int64_t(forth.n), m = int64_t(forth.m);
  const size_t length = forth.n + 1 + 2 * kWavePad;
  S* values[2] = {wave.diagonals[0], wave.diagonals[1]};  // of diagonals d - 2, d - 1
  S* flows[3] = {wave.diagonals[2], wave.diagonals[2] + length,
                 wave.diagonals[2] + 2 * length};  // into d, d - 1, d - 2
  for (S* flow : flows)
    for (int64_t k = -1; k <= n + L; k++) flow[k] = 0;
  flows[0][n] = S(job.upstream);
  S *topFlow = static_cast<S*>(job.topOccupancy), *leftFlow = static_cast<S*>(job.leftOccupancy);
  for (int64_t d = n + m - 2; d >= -2; d--) {
    if (d >= 0 && d % 256 == 255 && !forth.watch(size_t(256) * size_t(forth.last[d] - forth.first[d] + 1))) return;
    S* now = flows[0];
    const int64_t s = d + 2;  // border cells of this diagonal have received all they get
    if (topFlow && s <= m) topFlow[s] += now[0];
    if (leftFlow && s <= n && s > 0) leftFlow[s] += now[s];
    if (d >= 0) {
      const int64_t first = forth.first[d], last = forth.last[d];
      wave.recall(d - 1, values[1]);
      wave.recall(d - 2, values[0]);
      for (int64_t i = first; i <= last; i += L) {
        const int64_t count = last - i + 1 < L ? last - i + 1 : L;
        typename W::Point p;
        wave.show(p, d, i);
        wave.cell.cell(minimum, p, V::load(values[0] + i), V::load(values[1] + i), V::load(values[1] + i + 1));
        V node = count == L ? V::load(now + i + 1) : V::load(now + i + 1, size_t(count), S(0));
        V sd = minimum.d, su = minimum.u, sl = minimum.l;
        if (count < L) {  // lanes beyond the diagonal computed on padding: their shares may be NaN
          S each[3][V::lanes];
          sd.store(each[0], size_t(count));
          su.store(each[1], size_t(count));
          sl.store(each[2], size_t(count));
          sd = V::load(each[0], size_t(count), S(0));
          su = V::load(each[1], size_t(count), S(0));
          sl = V::load(each[2], size_t(count), S(0));
        }
        const V gd = node * sd, gu = node * su, gl = node * sl;
        WaveSink<V>::add(flows[2] + i, gd);
        WaveSink<V>::add(flows[1] + i, gu);
        WaveSink<V>::add(flows[1] + i + 1, gl);
        WaveSink<V> sink{static_cast<S*>(job.dx) + i, static_cast<S*>(job.dyReversed) + (m - 1 - d + i), forth.strideX,
                         forth.strideY};
        wave.cell.backward(plain, gd, gu, gl, p, sink);
        if (job.occupancy || job.alignment) {
          S nodes[V::lanes], diagonal[V::lanes];
          node.store(nodes);
          gd.store(diagonal);
          SOFTLANE_ROLLED
          for (int64_t k = 0; k < count; k++) {
            const int64_t at = (i + k) * m + (d - i - k);
            if (job.occupancy) job.occupancy[at] = double(nodes[k]);
            if (job.alignment) job.alignment[at] = double(diagonal[k]);
          }
        }
      }
    }
    // Only nodes inside the band and borders can have received anything.
    if (d >= 0)
      for (int64_t k = forth.first[d]; k <= forth.last[d] + 2; k++) now[k] = 0;
    now[0] = now[1] = 0;
    if (s <= n) now[s] = 0;
    flows[0] = flows[1];
    flows[1] = flows[2];
    flows[2] = now;
  }
}

template <class V>
double waveAny(const WaveJob& job) {
  double result = 0;
  if (job.form.gamma > 0) {
    withSoftCell(job.form.recursion, [&](auto tag) {
      using Tag = decltype(tag);
      const SoftMin<V, false> minimum(job.form.gamma);
      if constexpr (!isUnivariate<typename Tag::template Type<V>, V>())
        if (job.channels > 1) return void(result = Wave<V, Tag::template Type, true>(job).run(minimum));
      result = Wave<V, Tag::template Type, false>(job).run(minimum);
    });
  } else {
    withHardCell(job.form.recursion, [&](auto tag) {
      using Tag = decltype(tag);
      const HardMin<V> minimum(0);
      if constexpr (!isUnivariate<typename Tag::template Type<V>, V>())
        if (job.channels > 1) return void(result = Wave<V, Tag::template Type, true>(job).run(minimum));
      result = Wave<V, Tag::template Type, false>(job).run(minimum);
    });
  }
  return result;
}

template <class V>
void backAny(const WaveBackward& job) {
  withSoftPoints<V>(job.forth.form.recursion, job.forth.channels,
                    [&](auto tag, auto many) { back<V, decltype(tag)::template Type, decltype(many)::value>(job); });
}

}  // namespace

double elastic_wave(const WaveJob& job) { return job.dtype == Dtype::f32 ? waveAny<F32>(job) : waveAny<F64>(job); }

void elastic_wave_backward(const WaveBackward& job) {
  if (job.forth.dtype == Dtype::f32) backAny<F32>(job);
  else backAny<F64>(job);
}

}  // namespace softlane::ISA
