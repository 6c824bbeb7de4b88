// Weights as a checkpoint holds them, [n, k] row-major: dot products for few rows of a, and blocks turned into float32
// lines for many, after which the micro-kernel of packed weights (panel.cc) goes over them.
#include "../dispatch.h"
#include "weights.h"

namespace softlane::ISA {
namespace {

constexpr size_t L = F32::lanes;
constexpr size_t kColumns = 4;

/// R rows of a with C rows of w: vectors along k, one chain each, summed by halves at the end.
template <int R, int C, class W>
SOFTLANE_INLINE void dots(const float* a, size_t aStride, const W* w, size_t k, float* c, bool ahead) {
  F32 sum[R][C];
  for (auto& row : sum)
    for (F32& s : row) s = F32::set(0);
  size_t kk = 0;
  for (; kk + L <= k; kk += L) {
    F32 b[R];
    for (int r = 0; r < R; r++) b[r] = F32::load(a + size_t(r) * aStride + kk);
    for (int j = 0; j < C; j++) {
      const W* at = w + size_t(j) * k + kk;
      if (ahead) prefetch(reinterpret_cast<const char*>(at) + 1024);
      const F32 v = F32::load(at);
      for (int r = 0; r < R; r++) sum[r][j] = mulAdd(b[r], v, sum[r][j]);
    }
  }
  if (kk < k) {
    for (int j = 0; j < C; j++) {
      const F32 v = F32::load(w + size_t(j) * k + kk, k - kk, 0);
      for (int r = 0; r < R; r++) sum[r][j] = mulAdd(F32::load(a + size_t(r) * aStride + kk, k - kk, 0), v, sum[r][j]);
    }
  }
  for (int r = 0; r < R; r++)
    for (int j = 0; j < C; j++) c[size_t(r) * kPanelRows + size_t(j)] = reduceAdd(sum[r][j]);
}

template <int R, class W>
void rowsOf(const DotJob& job) {
  const W* w = static_cast<const W*>(job.w);
  size_t j = 0;
  for (; j + kColumns <= job.columns; j += kColumns)
    dots<R, kColumns>(job.a, job.aStride, w + j * job.k, job.k, job.c + j, job.ahead);
  for (; j < job.columns; j++) dots<R, 1>(job.a, job.aStride, w + j * job.k, job.k, job.c + j, job.ahead);
}

}  // namespace

void gemm_dots(const DotJob& job) {
  withWeights(job.type, [&](auto weight) {
    using W = decltype(weight);
    switch (job.rows) {
      case 1: rowsOf<1, W>(job); break;
      case 2: rowsOf<2, W>(job); break;
      case 3: rowsOf<3, W>(job); break;
      default: rowsOf<4, W>(job); break;
    }
  });
}

/// block [depth][32] from `columns` rows of w, `stride` apart; the other columns become zeros. `ahead`: the next block of
/// each row is prefetched meanwhile.
void gemm_turn(const void* w, WeightType type, size_t columns, size_t stride, size_t depth, float* block, bool ahead) {
  withWeights(type, [&](auto weight) {
    using W = decltype(weight);
    const W* from = static_cast<const W*>(w);
    for (size_t j = 0; j < kPanelRows; j += L) {
      for (size_t kk = 0; kk < depth; kk += L) {
        const size_t n = depth - kk < L ? depth - kk : L;
        F32 r[L];
        for (size_t i = 0; i < L; i++) {
          const W* at = from + (j + i) * stride + kk;
          if (j + i >= columns) r[i] = F32::set(0);
          else r[i] = n == L ? F32::load(at) : F32::load(at, n, 0);
          if (ahead && j + i < columns) prefetch(at + kDepth);
        }
        transpose(r);
        for (size_t i = 0; i < n; i++) r[i].store(block + (kk + i) * kPanelRows + j);
      }
    }
  });
}

/// block [depth][32] of float32 from lines of a packed panel.
void gemm_widen(const void* lines, WeightType type, size_t depth, float* block) {
  withWeights(type, [&](auto weight) {
    using W = decltype(weight);
    const W* from = static_cast<const W*>(lines);
    for (size_t kk = 0; kk < depth; kk++)
      for (int q = 0; q < int(16 / L); q++) {
        F32 lo, hi;
        loadLine(from + kk * kPanelRows, q, lo, hi);
        lo.store(block + kk * kPanelRows + size_t(q) * L);
        hi.store(block + kk * kPanelRows + size_t(q) * L + 16);
      }
  });
}

}  // namespace softlane::ISA
