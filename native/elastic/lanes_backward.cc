// The way back of soft recursions, many pairs in lanes: from the shares that the way forth kept to occupancies and
// gradients. Nothing is exponentiated again but what the metric itself needs.
//
//   A(i,j) = A(i+1,j+1) sd(i+1,j+1) + A(i+1,j) su(i+1,j) + A(i,j+1) sl(i,j+1),  sd + su + sl = 1
//
// Shares into cells outside the band are 0, so no infinity takes part.
#include "cell.h"

namespace softlane::ISA {
namespace {

/// Gradients of the points of one cell, univariate: the row's own in registers, the column's in memory.
template <class V>
struct OneSink {
  V dx, dxBefore, dy, dyBefore;
  SOFTLANE_INLINE void x(size_t, V g) { dx = dx + g; }
  SOFTLANE_INLINE void xBefore(size_t, V g) { dxBefore = dxBefore + g; }
  SOFTLANE_INLINE void y(size_t, V g) { dy = dy + g; }
  SOFTLANE_INLINE void yBefore(size_t, V g) { dyBefore = g; }
};
template <class V>
struct ManySink {
  using S = typename V::Scalar;
  static constexpr size_t L = V::lanes;
  S *dx, *dxBefore, *dy, *dyBefore;
  static SOFTLANE_INLINE void add(S* p, V g) { (V::load(p) + g).store(p); }
  SOFTLANE_INLINE void x(size_t c, V g) { add(dx + c * L, g); }
  SOFTLANE_INLINE void xBefore(size_t c, V g) { add(dxBefore + c * L, g); }
  SOFTLANE_INLINE void y(size_t c, V g) { add(dy + c * L, g); }
  SOFTLANE_INLINE void yBefore(size_t c, V g) { add(dyBefore + c * L, g); }
};

template <class V, template <class> class Cell, bool Many>
void back(const LanesBackward& job) {
  using S = typename V::Scalar;
  using C = Cell<V>;
  constexpr size_t L = V::lanes;
  const LanesJob& forth = job.forth;
  const C cell(forth.form);
  const SoftMin<V, false> minimum(forth.form.gamma);
  const size_t stride = Many ? forth.channels * L : L;
  const S *x = static_cast<const S*>(forth.x), *y = static_cast<const S*>(forth.y),
          *xAux = static_cast<const S*>(forth.xAux), *yAux = static_cast<const S*>(forth.yAux),
          *weights = static_cast<const S*>(forth.weights), *shares = static_cast<const S*>(forth.shares);
  S *row = static_cast<S*>(forth.row), *dx = static_cast<S*>(job.dx), *dy = static_cast<S*>(job.dy),
    *leftOccupancy = static_cast<S*>(job.leftOccupancy);
  const V zero = V::set(0);
  const auto add = [](S* p, V g) { (V::load(p) + g).store(p); };

  for (size_t i = forth.n; i-- > 0;) {
    const int64_t low = forth.low ? forth.low[i] : 0, high = forth.low ? forth.high[i] : int64_t(forth.m) - 1;
    if (low > high) continue;
    V fromRight = zero, toCorner = zero, dyCarried = zero;
    OneSink<V> one{zero, zero, zero, zero};
    for (int64_t j = high; j >= low; j--) {
      const S* share = shares + (i * forth.m + size_t(j)) * 3 * L;
      const V node = V::load(row + (j + 1) * L) + fromRight;
      const V gd = node * V::load(share), gu = node * V::load(share + L), gl = node * V::load(share + 2 * L);
      fromRight = gl;
      (gu + toCorner).store(row + (j + 1) * L);
      toCorner = gd;
      const auto fill = [&](auto& p) {
        if constexpr (C::kAux) {
          p.xAux = V::load(xAux + i * L);
          p.yAux = V::load(yAux + size_t(j) * L);
        }
        if constexpr (C::kWeight) p.weight = V::set(weights[int64_t(forth.n) + j - int64_t(i)]);
      };
      if constexpr (Many) {
        ManyPoint<V> p;
        p.channels = forth.channels;
        p.strideX = p.strideY = L;
        p.x_ = x + i * stride;
        p.y_ = y + size_t(j) * stride;
        p.xBefore_ = p.x_ - stride;
        p.yBefore_ = p.y_ - stride;
        fill(p);
        ManySink<V> sink{dx + i * stride, dx + i * stride - stride, dy + size_t(j) * stride,
                         dy + size_t(j) * stride - stride};
        cell.backward(minimum, gd, gu, gl, p, sink);
      } else {
        OnePoint<V> p;
        p.x_ = V::load(x + i * L);
        p.y_ = V::load(y + size_t(j) * L);
        if constexpr (C::kBefore) {
          p.xBefore_ = V::load(x + i * L - L);
          p.yBefore_ = V::load(y + size_t(j) * L - L);
        }
        fill(p);
        one.dy = dyCarried;
        cell.backward(minimum, gd, gu, gl, p, one);
        add(dy + size_t(j) * L, one.dy);
        dyCarried = one.dyBefore;
      }
    }
    if constexpr (!Many) {
      add(dx + i * L, one.dx);
      if constexpr (C::kBefore) {
        add(dx + i * L - L, one.dxBefore);
        add(dy + low * int64_t(L) - int64_t(L), dyCarried);
      }
    }
    if (low > 0) {
      toCorner.store(row + low * L);
    } else if (leftOccupancy) {
      add(leftOccupancy + (i + 1) * L, fromRight);
      add(leftOccupancy + i * L, toCorner);
    }
  }
}

template <class V>
void backAny(const LanesBackward& job) {
  withSoftPoints<V>(job.forth.form.recursion, job.forth.channels,
                    [&](auto tag, auto many) { back<V, decltype(tag)::template Type, decltype(many)::value>(job); });
}

}  // namespace

void elastic_lanes_backward(const LanesBackward& job) {
  if (job.forth.dtype == Dtype::f32) backAny<F32>(job);
  else backAny<F64>(job);
}

}  // namespace softlane::ISA
