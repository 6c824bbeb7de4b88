// The steps of softmax-free attention between its matrix products.
//
//   soft_norms      out[i] = factor |x_i|^2
//   soft_gaussian   a block of a Gaussian kernel from its products: the exponential in place (soft.h)
//   soft_gradient   the gradient of a block of products, in place (soft.h)
//   soft_add_rows   y[i][:] += factor r[i] x[i][:]; without r, factor alone
//   soft_newton     z becomes 2 I - z; returns the largest column of |I - z| summed, sums stay in `columns`
#include "soft.h"

#include "../math.h"

namespace softlane::ISA {
namespace {

/// f(whole vector's place) for each whole vector of a row, tail(place, lanes) for what is left.
template <class V, class F, class Tail>
SOFTLANE_INLINE void eachVector(size_t n, F f, Tail tail) {
  constexpr size_t L = V::lanes;
  size_t j = 0;
  for (; j + L <= n; j += L) f(j);
  if (j < n) tail(j, n - j);
}

template <class V, class S>
void norms(const S* x, size_t rows, size_t cols, S factor, S* out) {
  for (size_t i = 0; i < rows; i++, x += cols) {
    V sum = V::set(0);
    eachVector<V>(
        cols,
        [&](size_t j) {
          const V a = V::load(x + j);
          sum = mulAdd(a, a, sum);
        },
        [&](size_t j, size_t n) {
          const V a = V::load(x + j, n, 0);
          sum = mulAdd(a, a, sum);
        });
    out[i] = factor * reduceAdd(sum);
  }
}

template <class V, Dtype P>
void gaussian(const GaussianBlock& b) {
  using S = typename V::Scalar;
  const Exponential<V, P> exponential;
  const S *left = static_cast<const S*>(b.left), *right = static_cast<const S*>(b.right);
  S* c = static_cast<S*>(b.c);
  const V zero = V::set(0);
  for (size_t i = 0; i < b.rows; i++, c += b.row) {
    const V half = V::set(left[i]);
    const auto of = [&](V dot, V other) {
      return exponential.template expNonPositive<true>(min(zero, dot - (half + other)));
    };
    eachVector<V>(
        b.cols, [&](size_t j) { of(V::load(c + j), V::load(right + j)).store(c + j); },
        [&](size_t j, size_t n) { of(V::load(c + j, n, 0), V::load(right + j, n, 0)).store(c + j, n); });
  }
}

template <class V>
void gradient(const GaussianGradient& g) {
  using S = typename V::Scalar;
  S *e = static_cast<S*>(g.e), *rowSums = static_cast<S*>(g.rowSums), *colSums = static_cast<S*>(g.colSums);
  const S* k = static_cast<const S*>(g.k);
  for (size_t i = 0; i < g.rows; i++, e += g.row, k += g.row) {
    V sum = V::set(0);
    eachVector<V>(
        g.cols,
        [&](size_t j) {
          const V x = V::load(e + j) * V::load(k + j);
          x.store(e + j);
          sum = sum + x;
          (V::load(colSums + j) + x).store(colSums + j);
        },
        [&](size_t j, size_t n) {
          const V x = V::load(e + j, n, 0) * V::load(k + j, n, 0);
          x.store(e + j, n);
          sum = sum + x;
          (V::load(colSums + j, n, 0) + x).store(colSums + j, n);
        });
    rowSums[i] = reduceAdd(sum);
  }
}

template <class V, class S>
void addRows(const S* x, const S* r, S factor, S* y, size_t rows, size_t cols) {
  for (size_t i = 0; i < rows; i++, x += cols, y += cols) {
    const V f = V::set(r ? factor * r[i] : factor);
    eachVector<V>(
        cols, [&](size_t j) { mulAdd(f, V::load(x + j), V::load(y + j)).store(y + j); },
        [&](size_t j, size_t n) { mulAdd(f, V::load(x + j, n, 0), V::load(y + j, n, 0)).store(y + j, n); });
  }
}

}  // namespace

void soft_norms(const void* x, Dtype type, size_t rows, size_t cols, double factor, void* out) {
  if (type == Dtype::f64) norms<F64>(static_cast<const double*>(x), rows, cols, factor, static_cast<double*>(out));
  else norms<F32>(static_cast<const float*>(x), rows, cols, float(factor), static_cast<float*>(out));
}

void soft_gaussian(const GaussianBlock& block) {
  if (block.type == Dtype::f64) gaussian<F64, Dtype::f64>(block);
  else gaussian<F32, Dtype::f32>(block);
}

void soft_gradient(const GaussianGradient& step) {
  if (step.type == Dtype::f64) gradient<F64>(step);
  else gradient<F32>(step);
}

void soft_add_rows(const void* x, const void* r, Dtype type, double factor, void* y, size_t rows, size_t cols) {
  if (type == Dtype::f64)
    addRows<F64>(static_cast<const double*>(x), static_cast<const double*>(r), factor, static_cast<double*>(y), rows,
                 cols);
  else
    addRows<F32>(static_cast<const float*>(x), static_cast<const float*>(r), float(factor), static_cast<float*>(y),
                 rows, cols);
}

double soft_newton(double* z, size_t m, double* columns) {
  const F64 zero = F64::set(0);
  for (size_t j = 0; j < m; j++) columns[j] = 0;
  for (size_t i = 0; i < m; i++, z += m) {
    z[i] -= 1;
    eachVector<F64>(
        m,
        [&](size_t j) {
          const F64 x = zero - F64::load(z + j);
          x.store(z + j);
          (F64::load(columns + j) + abs(x)).store(columns + j);
        },
        [&](size_t j, size_t n) {
          const F64 x = zero - F64::load(z + j, n, 0);
          x.store(z + j, n);
          (F64::load(columns + j, n, 0) + abs(x)).store(columns + j, n);
        });
    z[i] += 1;
  }
  double largest = 0;
  for (size_t j = 0; j < m; j++)
    if (!(columns[j] <= largest)) largest = columns[j];  // NaN counts as the largest
  return largest;
}

}  // namespace softlane::ISA
