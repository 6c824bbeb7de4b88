// What the operations of softmax-free attention are composed of: products, blocks of a Gaussian kernel, Newton's iteration.
#pragma once
#include <algorithm>

#include "../cpu.h"
#include "../ops.h"

namespace softlane::soft {

/// Rows of a block: 256 rows of a kernel with 49 landmarks are 50 KiB of float32, in the second-level cache.
constexpr size_t kRows = 256;
inline size_t blocksOf(size_t n) { return (n + kRows - 1) / kRows; }

template <class S>
constexpr Dtype typeOf = sizeof(S) == 8 ? Dtype::f64 : Dtype::f32;

/// A factor of a product: element (i, j) at data + i row + j col. turn() is its transpose.
template <class S>
struct Factor {
  const S* data;
  size_t row, col;
  Factor turn() const { return {data, col, row}; }
};
template <class S>
Factor<S> rowsOf(const S* data, size_t row) {
  return {data, row, 1};
}

/// c [m, n] = alpha a b, or that added to c; the rows of c are contiguous.
template <class S>
void multiply(const Factor<S>& a, const Factor<S>& b, S* c, size_t m, size_t n, size_t k, void* scratch,
              bool add = false, double alpha = 1) {
  kernels().matmul({typeOf<S>, a.data, a.row, a.col, b.data, b.row, b.col, c, n, m, n, k, alpha, add}, scratch);
}

/// Points a kernel compares with: `count` of width d, each times `scale`; halves[i] is half the squared norm of the scaled.
template <class S>
struct Points {
  const S* data;
  double scale;
  const S* halves;
};

template <class S>
void halfNorms(const S* x, size_t rows, size_t d, double scale, S* halves) {
  kernels().soft_norms(x, typeOf<S>, rows, d, 0.5 * scale * scale, halves);
}

/// out [rows, m] = g(a_i, b_j) of `rows` points against m; the halves of a are formed here, in `halves`.
template <class S>
void gaussianRows(const S* a, double scale, size_t rows, const Points<S>& b, size_t m, size_t d, S* halves, S* out,
                  void* scratch) {
  halfNorms(a, rows, d, scale, halves);
  multiply(rowsOf(a, d), rowsOf(b.data, d).turn(), out, rows, m, d, scratch, false, scale * b.scale);
  kernels().soft_gaussian({typeOf<S>, out, m, rows, m, halves, b.halves});
}

/// How a pseudo-inverse is to be found.
struct NewtonSettings {
  size_t iterations;
  double ridge;
  bool halving;
  double alpha;  ///< of the start; 0: by the variant
  static NewtonSettings of(const In<double>& settings);
};

/// What became of it: six numbers of `report`.
struct NewtonReport {
  double residual;   ///< of I - P Y, the largest sum of a column's magnitudes
  double penrose;    ///< of P - P Y P, the same, by that of P
  double condition;  ///< that of P times that of Y
  double alpha, iterations, halvings;
};
constexpr size_t kReport = 6;

/// float64 that Newton's iteration needs beside: four matrices and a column.
inline size_t newtonScratch(size_t m) { return 3 * m * m + m; }

/// The pseudo-inverse of the symmetric A [m, m] plus a ridge, into y. Where `history` is given, every iterate goes there, the
/// start first: (iterations + 1) m m numbers.
NewtonReport newton(const double* a, size_t m, const NewtonSettings& settings, double* y, double* history, double* work,
                    void* scratch);

/// The gradient with respect to A of a loss whose gradient with respect to the inverse y is dy: that of a converged inverse,
/// or with `unrolled` that of the iterations, which are run again. work: adjointScratch(m, ...) numbers.
void newtonAdjoint(const double* a, const double* y, const double* dy, size_t m, const NewtonSettings& settings,
                   bool unrolled, double* da, double* work, void* scratch);
inline size_t adjointScratch(size_t m, const NewtonSettings& settings, bool unrolled) {
  return newtonScratch(m) + 3 * m * m + (unrolled ? (settings.iterations + 2) * m * m : 0);
}

/// Sizes of a call of attention. `count` is batch times heads.
struct Sizes {
  size_t count, n, m, d, dv;
  double scale;  ///< of the queries: d^(-1/4)
  /// Kernels of tokens against landmarks are kept between the passes where they are no larger than what the call reads and
  /// writes anyway; else each pass forms its block again.
  bool keeps() const { return m <= d + dv; }
  /// Heads that run together: what is kept of them should stay in the cache.
  template <class S>
  size_t group() const {
    return std::min(count, std::max<size_t>(1, (size_t(4) << 20) / std::max<size_t>(1, n * m * sizeof(S))));
  }
};
Sizes sizesOf(const In<double>& sizes);

/// An array of a call: `each` elements for each head.
struct Operand {
  const char* name;
  Element element;
  size_t length, each;
};
/// Throws unless all are of the type and hold `count` times their elements.
void requireAll(std::initializer_list<Operand> operands, Dtype type, size_t count);

/// Tasks of a piece, each of that many multiply-adds: short ones share their scratch.
inline size_t grainOf(size_t work) { return std::max<size_t>(1, (size_t(1) << 19) / std::max<size_t>(1, work)); }

/// Adds the shares of all blocks to the first, in their order.
template <class S>
void addShares(S* shares, size_t blocks, size_t size) {
  for (size_t b = 1; b < blocks; b++)
    kernels().soft_add_rows(shares + b * size, nullptr, typeOf<S>, 1, shares, 1, size);
}

/// A = g(T, T) in float64 with a unit diagonal, of landmarks of either type. work: m d + m numbers.
template <class S>
void landmarkKernel(const S* landmarks, size_t m, size_t d, double* a, double* work, void* scratch) {
  for (size_t i = 0; i < m * d; i++) work[i] = landmarks[i];
  double* halves = work + m * d;
  halfNorms(work, m, d, 1, halves);
  multiply(rowsOf<double>(work, d), rowsOf<double>(work, d).turn(), a, m, m, d, scratch);
  kernels().soft_gaussian({Dtype::f64, a, m, m, m, halves, halves});
  for (size_t i = 0; i < m; i++) a[i * m + i] = 1;
}

/// Y in the form that attention multiplies with: itself, or with `s` D^(-1/2) Y D^(-1/2).
void effective(const double* y, const double* s, size_t m, double* to);

/// D^(-1/2): s[i] = (sum of row i of A)^(-1/2).
void rootSums(const double* a, size_t m, double* s);

}  // namespace softlane::soft
