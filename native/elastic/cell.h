// What a cell of each recursion is, and how its gradient flows back: written once for every loop, vector width, number
// of channels and minimum.
//
// cell(minimum, p, diagonal, up, left) gives D[i][j] from its three predecessors. backward(minimum, gd, gu, gl, p, sink) is given
// the occupancy of the three steps into the cell (all summed: the node's own) and adds d(cost)/d(points) to the sink.
// A cell p shows x_i, y_j, the points before them (zeros before the first), and the numbers that a recursion asks for.
//
// Sources: elastic-distances (aeon's definitions; MSM of Stefan et al. 2013, TWE of Marteau 2009, ERP of Chen & Ng 2004)
// and Soft-MSM of Holder & Bagnall 2026 (arXiv 2605.00069).
#pragma once
#include "elastic.h"
#include "softmin.h"

namespace softlane::ISA {

/// A cell of univariate series: values in registers.
template <class V>
struct OnePoint {
  static constexpr size_t channels = 1;
  V x_, y_, xBefore_, yBefore_, xAux, yAux, weight, threshold;
  SOFTLANE_INLINE V x(size_t) const { return x_; }
  SOFTLANE_INLINE V y(size_t) const { return y_; }
  SOFTLANE_INLINE V xBefore(size_t) const { return xBefore_; }
  SOFTLANE_INLINE V yBefore(size_t) const { return yBefore_; }
};
/// A cell of multivariate series: channels are read where they are needed.
template <class V>
struct ManyPoint {
  using S = typename V::Scalar;
  size_t channels, strideX, strideY;
  const S *x_, *y_, *xBefore_, *yBefore_;
  V xAux, yAux, weight, threshold;
  SOFTLANE_INLINE V x(size_t c) const { return V::load(x_ + c * strideX); }
  SOFTLANE_INLINE V y(size_t c) const { return V::load(y_ + c * strideY); }
  SOFTLANE_INLINE V xBefore(size_t c) const { return V::load(xBefore_ + c * strideX); }
  SOFTLANE_INLINE V yBefore(size_t c) const { return V::load(yBefore_ + c * strideY); }
};

template <class V, bool Many>
struct PointOf {
  using Type = OnePoint<V>;
};
template <class V>
struct PointOf<V, true> {
  using Type = ManyPoint<V>;
};

/// sum over channels of f(c)^2, in order
template <class V, class P, class F>
SOFTLANE_INLINE V sumOfSquares(const P& p, F f) {
  const V first = f(0);
  V sum = first * first;
  for (size_t c = 1; c < p.channels; c++) {
    const V d = f(c);
    sum = sum + d * d;
  }
  return sum;
}
template <class V, class P>
SOFTLANE_INLINE V squaredDistance(const P& p) {
  return sumOfSquares<V>(p, [&](size_t c) { return p.x(c) - p.y(c); });
}
/// Euclidean length of f over channels: |f| for one
template <class V, class F>
SOFTLANE_INLINE V lengthOf(const OnePoint<V>&, F f) {
  return abs(f(0));
}
template <class V, class F>
SOFTLANE_INLINE V lengthOf(const ManyPoint<V>& p, F f) {
  return sqrt(sumOfSquares<V>(p, f));
}
/// d(length)/d(component) of a difference times g, 0 where the length is 0
template <class V>
SOFTLANE_INLINE V unit(V g, V difference, V length) {
  return selectZero(length, V::set(0), g * difference / length);
}

/// What a recursion asks a loop to load. Without a gradient for the hard-only ones.
template <bool Before, bool Aux, bool Weight, bool Threshold>
struct Needs {
  static constexpr bool kBefore = Before, kAux = Aux, kWeight = Weight, kThreshold = Threshold, kMaximises = false,
                        kHasBorder = false;
};

template <class V>
struct DtwCell : Needs<false, false, false, false> {
  explicit DtwCell(const CellForm&) {}
  template <class Min, class P>
  SOFTLANE_INLINE V cell(Min& minimum, const P& p, V diagonal, V up, V left) const {
    return squaredDistance<V>(p) + minimum(diagonal, up, left);
  }
  template <class Min, class P, class Sink>
  SOFTLANE_INLINE void backward(const Min&, V gd, V gu, V gl, const P& p, Sink& sink) const {
    square((gd + gu) + gl, p, sink);
  }
  /// of node * |x - y|^2
  template <class P, class Sink>
  static SOFTLANE_INLINE void square(V node, const P& p, Sink& sink) {
    const V twice = node + node;
    for (size_t c = 0; c < p.channels; c++) {
      const V g = twice * (p.x(c) - p.y(c));
      sink.x(c, g);
      sink.y(c, V::set(0) - g);
    }
  }
};

/// Weighted DTW (Jeong et al. 2011): the weight grows with |i - j|.
template <class V>
struct WdtwCell : Needs<false, false, true, false> {
  explicit WdtwCell(const CellForm&) {}
  template <class Min, class P>
  SOFTLANE_INLINE V cell(Min& minimum, const P& p, V diagonal, V up, V left) const {
    return squaredDistance<V>(p) * p.weight + minimum(diagonal, up, left);
  }
  template <class Min, class P, class Sink>
  SOFTLANE_INLINE void backward(const Min&, V gd, V gu, V gl, const P& p, Sink& sink) const {
    DtwCell<V>::square(((gd + gu) + gl) * p.weight, p, sink);
  }
};

/// Amerced DTW (Herrmann & Webb 2023): a penalty on steps off the diagonal.
template <class V>
struct AdtwCell : Needs<false, false, false, false> {
  V penalty;
  explicit AdtwCell(const CellForm& form) : penalty(V::set(typename V::Scalar(form.penalty))) {}
  template <class Min, class P>
  SOFTLANE_INLINE V cell(Min& minimum, const P& p, V diagonal, V up, V left) const {
    return squaredDistance<V>(p) + minimum(diagonal, up + penalty, left + penalty);
  }
  template <class Min, class P, class Sink>
  SOFTLANE_INLINE void backward(const Min&, V gd, V gu, V gl, const P& p, Sink& sink) const {
    DtwCell<V>::square((gd + gu) + gl, p, sink);
  }
};

/// Edit distance with real penalty; aux is the distance of a point to the gap value.
template <class V>
struct ErpCell : Needs<false, true, false, false> {
  static constexpr bool kHasBorder = true;
  const double* gap;
  explicit ErpCell(const CellForm& form) : gap(form.gap) {}
  template <class Min, class P>
  SOFTLANE_INLINE V cell(Min& minimum, const P& p, V diagonal, V up, V left) const {
    const V match = lengthOf(p, [&](size_t c) { return p.x(c) - p.y(c); });
    return minimum(diagonal + match, up + p.xAux, left + p.yAux);
  }
  template <class Min, class P, class Sink>
  SOFTLANE_INLINE void backward(const Min&, V gd, V gu, V gl, const P& p, Sink& sink) const {
    const V match = lengthOf(p, [&](size_t c) { return p.x(c) - p.y(c); });
    for (size_t c = 0; c < p.channels; c++) {
      const V g = unit(gd, p.x(c) - p.y(c), match), gapValue = V::set(typename V::Scalar(gap[c]));
      sink.x(c, g + unit(gu, p.x(c) - gapValue, p.xAux));
      sink.y(c, unit(gl, p.y(c) - gapValue, p.yAux) - g);
    }
  }
};

/// Edit distance on real sequences.
template <class V>
struct EdrCell : Needs<false, false, false, true> {
  static constexpr bool kHasBorder = true;
  explicit EdrCell(const CellForm&) {}
  template <class Min, class P>
  SOFTLANE_INLINE V cell(Min& minimum, const P& p, V diagonal, V up, V left) const {
    const V one = V::set(1), match = lengthOf(p, [&](size_t c) { return p.x(c) - p.y(c); });
    return minimum(diagonal + select(less(match, p.threshold), V::set(0), one), up + one, left + one);
  }
};

/// Longest common subsequence: the table holds its length, cells outside the band 0.
template <class V>
struct LcssCell : Needs<false, false, false, true> {
  static constexpr bool kMaximises = true, kHasBorder = true;
  explicit LcssCell(const CellForm&) {}
  template <class Min, class P>
  SOFTLANE_INLINE V cell(Min&, const P& p, V diagonal, V up, V left) const {
    const V match = lengthOf(p, [&](size_t c) { return p.x(c) - p.y(c); });
    return select(lessEqual(match, p.threshold), V::set(1) + diagonal, max(left, up));
  }
};

/// Time warp edit distance; weight is 2 nu |i - j|, aux what a step to a point costs: |x_i - x_(i-1)| + nu + lambda.
template <class V>
struct TweCell : Needs<true, true, true, false> {
  explicit TweCell(const CellForm&) {}
  template <class Min, class P>
  SOFTLANE_INLINE V cell(Min& minimum, const P& p, V diagonal, V up, V left) const {
    const V now = lengthOf(p, [&](size_t c) { return p.x(c) - p.y(c); }),
            before = lengthOf(p, [&](size_t c) { return p.xBefore(c) - p.yBefore(c); });
    return minimum(diagonal + ((now + before) + p.weight), up + p.xAux, left + p.yAux);
  }
  template <class Min, class P, class Sink>
  SOFTLANE_INLINE void backward(const Min&, V gd, V gu, V gl, const P& p, Sink& sink) const {
    const V now = lengthOf(p, [&](size_t c) { return p.x(c) - p.y(c); }),
            before = lengthOf(p, [&](size_t c) { return p.xBefore(c) - p.yBefore(c); }),
            stepX = lengthOf(p, [&](size_t c) { return p.x(c) - p.xBefore(c); }),
            stepY = lengthOf(p, [&](size_t c) { return p.y(c) - p.yBefore(c); });
    for (size_t c = 0; c < p.channels; c++) {
      const V g = unit(gd, p.x(c) - p.y(c), now), b = unit(gd, p.xBefore(c) - p.yBefore(c), before),
              gx = unit(gu, p.x(c) - p.xBefore(c), stepX), gy = unit(gl, p.y(c) - p.yBefore(c), stepY);
      sink.x(c, g + gx);
      sink.y(c, gy - g);
      sink.xBefore(c, b - gx);
      sink.yBefore(c, V::set(0) - (b + gy));
    }
  }
};

/// Move-split-merge, univariate: K(v; p, o) = c + the distance of v to the interval between p and o.
template <class V>
struct MsmCell : Needs<true, false, false, false> {
  V c;
  explicit MsmCell(const CellForm& form) : c(V::set(typename V::Scalar(form.cost))) {}
  SOFTLANE_INLINE V splitMerge(V v, V p, V o) const { return c + max(max(min(p, o) - v, v - max(p, o)), V::set(0)); }
  template <class Min, class P>
  SOFTLANE_INLINE V cell(Min& minimum, const P& p, V diagonal, V up, V left) const {
    const V x = p.x(0), y = p.y(0);
    return minimum(diagonal + abs(x - y), up + splitMerge(x, p.xBefore(0), y), left + splitMerge(y, p.yBefore(0), x));
  }
};

/// Move-split-merge, dependent: squared distances, and a ball in the place of the interval.
template <class V>
struct MsmDependentCell : Needs<true, false, false, false> {
  V c;
  explicit MsmDependentCell(const CellForm& form) : c(V::set(typename V::Scalar(form.cost))) {}
  template <class P, class A, class B, class O>
  SOFTLANE_INLINE V splitMerge(const P& p, A value, B before, O other) const {
    const V half = V::set(0.5), quarter = V::set(0.25);
    const V toCentre = sumOfSquares<V>(p, [&](size_t k) { return (before(k) + other(k)) * half - value(k); }),
            diameter = sumOfSquares<V>(p, [&](size_t k) { return before(k) - other(k); }),
            toBefore = sumOfSquares<V>(p, [&](size_t k) { return before(k) - value(k); }),
            toOther = sumOfSquares<V>(p, [&](size_t k) { return other(k) - value(k); });
    return c + select(lessEqual(toCentre, diameter * quarter), V::set(0), min(toBefore, toOther));
  }
  template <class Min, class P>
  SOFTLANE_INLINE V cell(Min& minimum, const P& p, V diagonal, V up, V left) const {
    const auto x = [&](size_t k) { return p.x(k); }, xBefore = [&](size_t k) { return p.xBefore(k); };
    const auto y = [&](size_t k) { return p.y(k); }, yBefore = [&](size_t k) { return p.yBefore(k); };
    return minimum(diagonal + squaredDistance<V>(p), up + splitMerge(p, x, xBefore, y),
                   left + splitMerge(p, y, yBefore, x));
  }
};

/// Soft-MSM, univariate: T(v; p, o) = c + (1 - g(u)) smin(a^2, b^2), a = v - p, b = v - o, u = a b,
/// g = (1 - u / sqrt(u^2 + e)) / 2, e = 1e-9 or, with the relative gate, 1e-9 (a^2 + b^2)^2 + tiny.
template <class V>
struct SoftMsmCell : Needs<true, false, false, false> {
  using S = typename V::Scalar;
  V c;
  bool relative;
  explicit SoftMsmCell(const CellForm& form) : c(V::set(S(form.cost))), relative(form.relativeGate) {}

  struct Gate {
    V open, u, floor, inverseRoot;  // open = 1 - g; inverseRoot = 1 / sqrt(u^2 + floor)
  };
  SOFTLANE_INLINE Gate gate(V a, V b, V aa, V bb) const {
    const V most = V::set(sizeof(S) == 4 ? S(1e15) : S(1e150)), half = V::set(0.5);
    Gate gate;
    gate.u = max(min(a * b, most), V::set(0) - most);  // its square stays finite; the gate has long been 0 or 1
    gate.floor = V::set(S(1e-9));
    if (relative) {
      const V sum = aa + bb;
      gate.floor = min(gate.floor * (sum * sum), most * most) + V::set(sizeof(S) == 4 ? S(1e-37) : S(1e-300));
    }
    gate.inverseRoot = V::set(1) / sqrt(gate.u * gate.u + gate.floor);
    gate.open = half + half * (gate.u * gate.inverseRoot);
    return gate;
  }
  template <class Min>
  SOFTLANE_INLINE V transition(const Min& minimum, V v, V p, V o) const {
    const V a = v - p, b = v - o, aa = a * a, bb = b * b;
    return c + gate(a, b, aa, bb).open * minimum.two(aa, bb);
  }
  template <class Min, class P>
  SOFTLANE_INLINE V cell(Min& minimum, const P& p, V diagonal, V up, V left) const {
    const V x = p.x(0), y = p.y(0), d = x - y;
    return minimum(diagonal + d * d, up + transition(minimum, x, p.xBefore(0), y),
                   left + transition(minimum, y, p.yBefore(0), x));
  }

  /// d T / d a and d T / d b times g
  template <class Min>
  SOFTLANE_INLINE void slope(const Min& minimum, V g, V a, V b, V& da, V& db) const {
    const V aa = a * a, bb = b * b, half = V::set(0.5);
    V share;
    const V least = minimum.two(aa, bb, share);
    const Gate at = gate(a, b, aa, bb);
    V riseA = b * at.floor, riseB = a * at.floor;
    if (relative) {  // the floor moves too: d floor / d a = 4e-9 (a^2 + b^2) a
      const V half4 = V::set(S(2e-9)) * (aa + bb) * at.u;
      riseA = riseA - half4 * a;
      riseB = riseB - half4 * b;
    }
    // In this order nothing overflows where a = b = 0 and the floor is tiny.
    const V scale = half * least, twice = at.open + at.open;
    const auto over = [&](V rise) { return ((rise * at.inverseRoot) * at.inverseRoot) * at.inverseRoot; };
    da = g * (scale * over(riseA) + twice * (a * share));
    db = g * (scale * over(riseB) + twice * (b * (V::set(1) - share)));
  }
  template <class Min, class P, class Sink>
  SOFTLANE_INLINE void backward(const Min& minimum, V gd, V gu, V gl, const P& p, Sink& sink) const {
    const V x = p.x(0), y = p.y(0), d = x - y, g = (gd + gd) * d;
    V da, db, ea, eb;
    slope(minimum, gu, x - p.xBefore(0), d, da, db);
    slope(minimum, gl, y - p.yBefore(0), V::set(0) - d, ea, eb);
    sink.x(0, (g + (da + db)) - eb);
    sink.y(0, ((ea + eb) - db) - g);
    sink.xBefore(0, V::set(0) - da);
    sink.yBefore(0, V::set(0) - ea);
  }
};

/// Calls body(cell type) for a recursion.
template <template <class> class C>
struct CellTag {
  template <class V>
  using Type = C<V>;
};
template <class Body>
SOFTLANE_INLINE void withHardCell(Recursion recursion, Body body) {
  switch (recursion) {
    case Recursion::dtw: return body(CellTag<DtwCell>{});
    case Recursion::wdtw: return body(CellTag<WdtwCell>{});
    case Recursion::adtw: return body(CellTag<AdtwCell>{});
    case Recursion::erp: return body(CellTag<ErpCell>{});
    case Recursion::edr: return body(CellTag<EdrCell>{});
    case Recursion::lcss: return body(CellTag<LcssCell>{});
    case Recursion::twe: return body(CellTag<TweCell>{});
    case Recursion::msm: return body(CellTag<MsmCell>{});
    case Recursion::msmDependent: return body(CellTag<MsmDependentCell>{});
    case Recursion::softMsm: return;
  }
}
template <class Body>
SOFTLANE_INLINE void withSoftCell(Recursion recursion, Body body) {
  switch (recursion) {
    case Recursion::dtw: return body(CellTag<DtwCell>{});
    case Recursion::wdtw: return body(CellTag<WdtwCell>{});
    case Recursion::adtw: return body(CellTag<AdtwCell>{});
    case Recursion::erp: return body(CellTag<ErpCell>{});
    case Recursion::twe: return body(CellTag<TweCell>{});
    case Recursion::softMsm: return body(CellTag<SoftMsmCell>{});
    default: return;
  }
}
/// Recursions of one channel alone.
template <class Cell, class V>
constexpr bool isUnivariate() {
  return __is_same(Cell, MsmCell<V>) || __is_same(Cell, SoftMsmCell<V>);
}

/// body(cell type, whether the points have many channels) for the soft recursion of a job.
template <bool Many>
struct ManyTag {
  static constexpr bool value = Many;
};
template <class V, class Body>
SOFTLANE_INLINE void withSoftPoints(Recursion recursion, size_t channels, Body body) {
  withSoftCell(recursion, [&](auto tag) {
    using Tag = decltype(tag);
    if constexpr (!isUnivariate<typename Tag::template Type<V>, V>())
      if (channels > 1) return body(tag, ManyTag<true>{});
    body(tag, ManyTag<false>{});
  });
}

}  // namespace softlane::ISA
