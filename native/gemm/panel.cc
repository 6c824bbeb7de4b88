// The micro-kernel of packed weights: R rows of a against the 32 columns of a panel, R * 32 accumulators in registers.
//
//   c[r][j] (+)= sum_{kk < depth} a[r][kk] * panel[kk][j]
//
// Each output is one chain of multiply-adds in the order of k, whatever R is and whoever computes it: results depend
// neither on m nor on the path nor on threads (scalar: multiply, then add). The line of a panel is read once for a tile.
//
// Prefetching (gemm.cc decides which). A few rows are bound by memory: each line asks for the one 2 KiB ahead, across
// pages, where the hardware stops. More rows or several tiles take their time over a block: each pass asks for its share of
// the block that comes next, into the second-level cache (the first holds the present one), so that memory works while
// they multiply: double buffering in the caches.
#include "../dispatch.h"
#include "weights.h"

namespace softlane::ISA {
namespace {

constexpr int L = F32::lanes;
/// Pairs of vectors in a line: vector q and the one 16 columns further.
constexpr int kPairs = int(kPanelRows) / 2 / L;

/// Steps of k between two helpings of prefetches.
constexpr size_t kStep = 8;
/// Cache lines for each helping: all of them in the first pass over the block, or a share in each pass of each tile.
struct Ahead {
  const char* p;
  size_t lines, tiles;
  bool near;
  SOFTLANE_INLINE size_t share(int pass, int passes) const {
    if (near) return pass == 0 ? lines : 0;
    return (lines + tiles * size_t(passes) - 1) / (tiles * size_t(passes));
  }
};

/// R rows, P pairs of vectors of each of N panels at a time.
template <int R, int P, int N, class W>
SOFTLANE_INLINE void tile(const float* a, const PanelJob& job, float* c, Ahead& ahead) {
  for (int q = 0; q < kPairs; q += P) {
    F32 sum[N][P][R][2];
    for (auto& panel : sum)
      for (auto& pair : panel)
        for (auto& row : pair) row[0] = row[1] = F32::set(0);
    const W* line[N];
    for (int p = 0; p < N; p++)
      line[p] = reinterpret_cast<const W*>(static_cast<const char*>(job.panel) + size_t(p) * job.nextPanel);
    const auto step = [&](size_t kk) {
      F32 lo[N][P], hi[N][P];
      for (int p = 0; p < N; p++)
        for (int i = 0; i < P; i++) loadLine(line[p] + kk * kPanelRows, q + i, lo[p][i], hi[p][i]);
      for (int r = 0; r < R; r++) {
        const F32 b = F32::set(a[kk * R + r]);
        for (int p = 0; p < N; p++)
          for (int i = 0; i < P; i++) {
            sum[p][i][r][0] = mulAdd(b, lo[p][i], sum[p][i][r][0]);
            sum[p][i][r][1] = mulAdd(b, hi[p][i], sum[p][i][r][1]);
          }
      }
    };
    const size_t share = ahead.share(q / P, kPairs / P);
    const char* next = ahead.p;
    size_t kk = 0;
    for (; kk + kStep <= job.depth; kk += kStep) {
      for (size_t l = 0; l < share; l++, next += 64) {
        if (ahead.near) prefetch(next);
        else prefetchFar(next);
        if (N == 2) prefetch(next + job.nextPanel);
      }
      for (size_t i = 0; i < kStep; i++) step(kk + i);
    }
    for (; kk < job.depth; kk++) step(kk);
    ahead.p = next;
    for (int p = 0; p < N; p++)
      for (int i = 0; i < P; i++)
        for (int r = 0; r < R; r++)
          for (int half = 0; half < 2; half++) {
            float* to = c + (size_t(p) * job.m + size_t(r)) * kPanelRows + (q + i) * L + 16 * half;
            F32 total = sum[p][i][r][half];
            if (job.add) total = F32::load(to) + total;
            total.store(to);
          }
  }
}

/// What the registers hold: rows of a tile, and rows up to which two panels go together (fewer chains of additions than
/// that would wait for each other).
constexpr int kRows = L == 16 ? 8 : L == 8 ? 6 : 2, kPairRows = L == 16 ? 4 : 1;

template <int R, class W>
SOFTLANE_INLINE void tileOf(const float* a, const PanelJob& job, float* c, Ahead& ahead) {
  constexpr int P = L == 16 ? 1 : L == 8 ? (R <= 2 ? 2 : 1) : 4;
  if constexpr (R <= kPairRows) {
    if (job.nextPanel) return tile<R, P, 2, W>(a, job, c, ahead);
  }
  if constexpr (R <= kRows) tile<R, P, 1, W>(a, job, c, ahead);
}

}  // namespace

size_t gemm_tile_rows() { return kRows; }
size_t gemm_pair_rows() { return kPairRows; }
size_t gemm_pass_rows() { return L == 16 ? kRows : L == 8 ? 2 : 0; }

void gemm_panel(const PanelJob& job) {
  const Tiles tiles(job.m, job.tileRows);
  withWeights(job.type, [&](auto weight) {
    using W = decltype(weight);
    Ahead ahead{job.ahead, job.ahead ? kStep * kPanelRows * sizeof(W) / 64 : 0, tiles.count, job.near};
    for (size_t t = 0; t < tiles.count; t++) {
      const size_t begin = tiles.begin(t), rows = tiles.begin(t + 1) - begin;
      const float* a = job.a + begin * job.k + job.from * rows;
      float* c = job.c + begin * kPanelRows;
      switch (rows) {
        case 1: tileOf<1, W>(a, job, c, ahead); break;
        case 2: tileOf<2, W>(a, job, c, ahead); break;
        case 3: tileOf<3, W>(a, job, c, ahead); break;
        case 4: tileOf<4, W>(a, job, c, ahead); break;
        case 5: tileOf<5, W>(a, job, c, ahead); break;
        case 6: tileOf<6, W>(a, job, c, ahead); break;
        case 7: tileOf<7, W>(a, job, c, ahead); break;
        default: tileOf<8, W>(a, job, c, ahead); break;
      }
    }
  });
}

}  // namespace softlane::ISA
