// The general product: B is packed in panels of two vectors, which a tile of rows of A, read where it lies, goes through.
//
//   c[i][j] = alpha sum_k a[i][k] b[k][j] (+ c[i][j])
//
// Every element is a chain of multiply-adds in the order of k, cut into blocks of kDepth whose sums are added in order:
// results depend neither on m and n nor on how rows are shared among threads. A block of a panel (16 KiB of float32) stays
// in the first-level cache while all rows of A pass by it.
//
// Measured (Zen 4, one thread, float32, GFLOP/s of a ceiling of 118, AVX-512 / AVX2): 3072 x 64 x 64 109 / 87, 3072 x 256 x 64
// 106 / 109, 64 x 256 x 3072 96 / 92, 96 of 128 x 128 x 16 92 / 91, 512 cubed 107 / 100.
#include "matmul.h"

#include "../isa.h"

namespace softlane::ISA {
namespace {

constexpr size_t kDepth = 128;

/// Rows of a tile: with two vectors of columns they fill the registers.
template <class V>
constexpr int kTileRows = V::lanes == 1        ? 2
                          : SOFTLANE_RANK == 3 ? 8
                                               : 6;

/// Up to a whole vector, filled up with zeros.
template <class V, class S>
SOFTLANE_INLINE V some(const S* p, size_t n) {
  return n < size_t(V::lanes) ? V::load(p, n, 0) : V::load(p);
}

/// Lines of `width` columns, one for each k, from B; columns past n are zeros.
template <class V, class S>
void pack(const S* b, size_t row, size_t column, size_t depth, size_t n, S* panel) {
  constexpr size_t L = V::lanes, width = 2 * L;
  if (column == 1) {
    for (size_t k = 0; k < depth; k++, b += row, panel += width) {
      if (n >= width) {
        V::load(b).store(panel);
        V::load(b + L).store(panel + L);
      } else {
        some<V>(b, n).store(panel);
        if (n > L) some<V>(b + L, n - L).store(panel + L);
      }
    }
    return;
  }
  for (size_t j = 0; j < width; j += L) {
    size_t k = 0;
    const size_t columns = j >= n ? 0 : n - j < L ? n - j : L;
    if (columns == 0 && j > 0) break;  // never read: a tile of one vector
    if (row == 1)
      for (; k < depth; k += L) {
        const size_t lines = depth - k < L ? depth - k : L;
        V r[L];
        for (size_t i = 0; i < L; i++) r[i] = i < columns ? some<V>(b + k + (j + i) * column, lines) : V::set(0);
        transpose(r);
        for (size_t i = 0; i < lines; i++) r[i].store(panel + (k + i) * width + j);
      }
    for (; k < depth; k++)
      for (size_t i = 0; i < L; i++) panel[k * width + j + i] = i < columns ? b[k * row + (j + i) * column] : S(0);
  }
}

template <class V, int R, int P, class S>
SOFTLANE_INLINE void tile(const S* a, size_t aRow, size_t aCol, const S* panel, size_t depth, S* c, size_t cRow,
                          size_t n, S alpha, bool add) {
  constexpr size_t L = V::lanes;
  V sum[R][P];
  for (auto& line : sum)
    for (V& each : line) each = V::set(0);
  for (size_t k = 0; k < depth; k++, a += aCol, panel += 2 * L) {
    V b[P];
    for (int p = 0; p < P; p++) b[p] = V::load(panel + p * L);
    for (int r = 0; r < R; r++) {
      const V x = V::set(a[r * aRow]);
      for (int p = 0; p < P; p++) sum[r][p] = mulAdd(x, b[p], sum[r][p]);
    }
  }
  const V factor = V::set(alpha);
  for (int r = 0; r < R; r++, c += cRow)
    for (int p = 0; p < P; p++) {
      const size_t left = n - p * L;
      S* to = c + p * L;
      if (left >= L) {
        (add ? mulAdd(factor, sum[r][p], V::load(to)) : factor * sum[r][p]).store(to);
      } else {
        (add ? mulAdd(factor, sum[r][p], V::load(to, left, 0)) : factor * sum[r][p]).store(to, left);
      }
    }
}

template <class V, int R, int P, class S>
void rowsLeft(size_t rows, const S* a, size_t aRow, size_t aCol, const S* panel, size_t depth, S* c, size_t cRow,
              size_t n, S alpha, bool add) {
  if constexpr (R > 0) {
    if (rows == R) return tile<V, R, P>(a, aRow, aCol, panel, depth, c, cRow, n, alpha, add);
    rowsLeft<V, R - 1, P>(rows, a, aRow, aCol, panel, depth, c, cRow, n, alpha, add);
  }
}

template <class V, int P, class S>
void panelRows(const MatmulJob& job, const S* a, const S* panel, size_t depth, S* c, size_t n, bool add) {
  constexpr size_t R = kTileRows<V>;
  size_t i = 0;
  for (; i + R <= job.m; i += R)
    tile<V, R, P>(a + i * job.aRow, job.aRow, job.aCol, panel, depth, c + i * job.cRow, job.cRow, n, S(job.alpha), add);
  rowsLeft<V, R - 1, P>(job.m - i, a + i * job.aRow, job.aRow, job.aCol, panel, depth, c + i * job.cRow, job.cRow, n,
                        S(job.alpha), add);
}

template <class V>
void product(const MatmulJob& job, typename V::Scalar* panel) {
  using S = typename V::Scalar;
  constexpr size_t L = V::lanes, width = 2 * L;
  const S *a = static_cast<const S*>(job.a), *b = static_cast<const S*>(job.b);
  S* c = static_cast<S*>(job.c);
  if (job.k == 0 && !job.add)
    for (size_t i = 0; i < job.m; i++)
      for (size_t j = 0; j < job.n; j++) c[i * job.cRow + j] = 0;
  for (size_t k = 0; k < job.k; k += kDepth) {
    const size_t depth = job.k - k < kDepth ? job.k - k : kDepth;
    for (size_t j = 0; j < job.n; j += width) {
      const size_t n = job.n - j < width ? job.n - j : width;
      const S* lines = panel;
      pack<V>(b + k * job.bRow + j * job.bCol, job.bRow, job.bCol, depth, n, panel);
      const bool add = job.add || k > 0;
      if (n > L) panelRows<V, 2>(job, a + k * job.aCol, lines, depth, c + j, n, add);
      else panelRows<V, 1>(job, a + k * job.aCol, lines, depth, c + j, n, add);
    }
  }
}

}  // namespace

void matmul(const MatmulJob& job, void* scratch) {
  if (job.type == Dtype::f64) product<F64>(job, static_cast<double*>(scratch));
  else product<F32>(job, static_cast<float*>(scratch));
}

}  // namespace softlane::ISA
