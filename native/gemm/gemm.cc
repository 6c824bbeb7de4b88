// Flat GEMM by one of three paths ("FlashDecoding++", K. Hong et al., MLSys 2024, sections 4 and 5; the tensor-core tiles of the
// paper become panels for the caches of a CPU):
//
//   gemv     two panels at a time against one to four rows: enough chains of additions for the shortest tiles
//   flat     one panel at a time, all k, all tiles of a: w is read from memory once, in one stream
//   blocked  many rows: blocks of k outermost, so that the block of a stays in the second-level cache, and w is widened
//            once a block instead of once a tile
//
// All three give the same bits for packed weights: every output is the same chain of additions. Rows of a checkpoint
// (not packed) take dot products on the gemv path; the others turn them into panels block by block.
// What was tried and what it gained: benchmarks/README.md.
#ifdef SOFTLANE_OPERATIONS
#include <algorithm>
#include <cstring>

#include "run.h"

namespace softlane {
namespace {

/// Rows of a that the blocked path takes at once: their block of kDepth is half of a second-level cache of 1 MiB.
constexpr size_t kRowsAtOnce = 256;
/// Rows of a for one dot product call.
constexpr size_t kDotRows = 4;

/// a [m][stride] as tiles, each [k][rows of the tile].
void tileRows(const Product& product, const Tiles& tiles, size_t firstRow, float* out) {
  const size_t k = product.w.k;
  for (size_t t = 0; t < tiles.count; t++) {
    const size_t begin = tiles.begin(t), rows = tiles.begin(t + 1) - begin;
    const float* from = product.a + (firstRow + begin) * product.aStride;
    float* to = out + begin * k;
    for (size_t kk = 0; kk < k; kk++)
      for (size_t r = 0; r < rows; r++) to[kk * rows + r] = from[r * product.aStride + kk];
  }
}

/// One call over a range of panels, and the rows [row, row + m) of a.
class Panels {
 public:
  Panels(const Product& product, const float* tiles, size_t tileRows, size_t row, size_t m)
      : p_(product), w_(product.w), tiles_(tiles), tileRows_(tileRows), row_(row), m_(m) {}

  /// Panel by panel, each over all of k.
  void stream(size_t begin, size_t end) const {
    const bool pairs = p_.path == GemmPath::gemv && w_.packed;
    const Scratch sums(2 * m_ * kPanelRows * sizeof(float)), block(w_.packed ? 0 : kBlockBytes);
    for (size_t panel = begin; panel < end;) {
      const size_t together = pairs && panel + 1 < end ? 2 : 1;
      for (size_t from = 0; from < w_.k; from += kDepth) multiplyBlock(panel, together, from, sums, block);
      for (size_t i = 0; i < together; i++) finish(panel + i, sums.as<float>() + i * m_ * kPanelRows);
      panel += together;
    }
  }

  /// Block of k by block of k, each over all the panels.
  void blocks(size_t begin, size_t end) const {
    const Scratch sums((end - begin) * m_ * kPanelRows * sizeof(float)), block(kBlockBytes);
    const auto of = [&](size_t panel) { return sums.as<float>() + (panel - begin) * m_ * kPanelRows; };
    for (size_t from = 0; from < w_.k; from += kDepth)
      for (size_t panel = begin; panel < end; panel++) widenedBlock(panel, from, of(panel), block);
    for (size_t panel = begin; panel < end; panel++) finish(panel, of(panel));
  }

  /// Dot products of rows of a checkpoint.
  void dots(size_t begin, size_t end) const {
    const Scratch sums(m_ * kPanelRows * sizeof(float));
    for (size_t panel = begin; panel < end; panel++) {
      for (size_t r = 0; r < m_; r += kDotRows) {
        const float* a = p_.a + (row_ + r) * p_.aStride;
        kernels().gemm_dots({a, std::min(kDotRows, m_ - r), p_.aStride, rowsOf(panel, 0), columnsOf(panel), w_.k,
                             w_.type, sums.as<float>() + r * kPanelRows, p_.prefetch});
      }
      finish(panel, sums.as<float>());
    }
  }

 private:
  static constexpr size_t kBlockBytes = kDepth * kPanelRows * sizeof(float);

  size_t columnsOf(size_t panel) const { return std::min(kPanelRows, w_.n - panel * kPanelRows); }
  size_t depthAt(size_t from) const { return std::min(kDepth, w_.k - from); }
  const char* at(size_t element) const { return static_cast<const char*>(w_.data) + element * sizeOf(w_.type); }
  const char* linesOf(size_t panel, size_t from) const { return at((panel * w_.k + from) * kPanelRows); }
  const char* rowsOf(size_t panel, size_t from) const { return at(panel * kPanelRows * w_.k + from); }

  PanelJob jobAt(size_t from, float* sums) const {
    return {tiles_, m_, tileRows_, w_.k, from, depthAt(from), nullptr, 0, w_.type, sums, from > 0, nullptr, false};
  }

  /// Straight from the packed panel, or from the turned rows.
  void multiplyBlock(size_t panel, size_t together, size_t from, const Scratch& sums, const Scratch& block) const {
    PanelJob job = jobAt(from, sums.as<float>());
    if (w_.packed) {
      job.panel = linesOf(panel, from);
      if (together == 2) job.nextPanel = w_.k * kPanelRows * sizeOf(w_.type);
      // A stream with little arithmetic beside it is best left to the hardware. With a few rows it looks a little ahead
      // of itself; whatever comes back to a block, or takes its time over it, asks for the next one meanwhile.
      job.near = together == 2 || m_ <= std::min<size_t>(kNearRows, kernels().gemm_pass_rows());
      const size_t distance = job.near ? kAhead : job.depth * kPanelRows * sizeOf(w_.type);
      if (p_.prefetch && m_ > sizeOf(w_.type)) job.ahead = static_cast<const char*>(job.panel) + distance;
    } else {
      turn(panel, from, block, job);
    }
    kernels().gemm_panel(job);
  }

  void widenedBlock(size_t panel, size_t from, float* sums, const Scratch& block) const {
    PanelJob job = jobAt(from, sums);
    if (!w_.packed) {
      turn(panel, from, block, job);
    } else {
      const char* lines = linesOf(panel, from);
      if (w_.type == WeightType::f32) {
        job.panel = lines;
      } else {
        kernels().gemm_widen(lines, w_.type, job.depth, block.as<float>());
        job.panel = block.as<float>();
        job.type = WeightType::f32;
      }
      if (p_.prefetch && panel * kPanelRows + kPanelRows < w_.n) job.ahead = linesOf(panel + 1, from);
    }
    kernels().gemm_panel(job);
  }

  void turn(size_t panel, size_t from, const Scratch& block, PanelJob& job) const {
    kernels().gemm_turn(rowsOf(panel, from), w_.type, columnsOf(panel), w_.k, job.depth, block.as<float>(),
                        p_.prefetch);
    job.panel = block.as<float>();
    job.type = WeightType::f32;
  }

  void finish(size_t panel, const float* sums) const {
    const size_t column = panel * kPanelRows, row = row_ * w_.n + column;
    const auto from = [](const float* p, size_t offset) { return p ? p + offset : nullptr; };
    kernels().gemm_finish({sums, m_, columnsOf(panel), from(w_.scales, column), from(p_.bias, column),
                           from(p_.residual, row), p_.y + row, w_.n, p_.activation});
  }

  static constexpr size_t kAhead = 2048, kNearRows = 4;
  const Product& p_;
  const Weights& w_;
  const float* tiles_;
  size_t tileRows_, row_, m_;
};

/// Nothing to add up: y = activation(bias) + residual.
void withoutDepth(const Product& product) {
  const size_t n = product.w.n;
  const Scratch zeros(kPanelRows * sizeof(float));
  std::memset(zeros.as<float>(), 0, kPanelRows * sizeof(float));
  for (size_t r = 0; r < product.m; r++)
    for (size_t j = 0; j < n; j += kPanelRows) {
      const auto from = [](const float* p, size_t offset) { return p ? p + offset : nullptr; };
      kernels().gemm_finish({zeros.as<float>(), 1, std::min(kPanelRows, n - j), from(product.w.scales, j),
                             from(product.bias, j), from(product.residual, r * n + j), product.y + r * n + j, n,
                             product.activation});
    }
}

}  // namespace

void multiply(Run& run, const Product& product) {
  const Weights& w = product.w;
  if (product.m == 0 || w.n == 0) return;
  if (w.k == 0) return withoutDepth(product);
  const bool dots = product.path == GemmPath::gemv && !w.packed, blocked = product.path == GemmPath::blocked;
  const size_t atOnce = blocked ? kRowsAtOnce : product.m, panels = panelsOf(w.n);
  const size_t most = product.path == GemmPath::gemv && !dots ? kernels().gemm_pair_rows() : kernels().gemm_tile_rows();
  const Scratch tiled(dots || product.m == 1 ? 0 : std::min(atOnce, product.m) * w.k * sizeof(float));
  // Enough pieces for the threads to share evenly, and few enough that the blocked path uses its block of a often.
  const size_t grain = std::min<size_t>(16, std::max<size_t>(2, panels / (8 * run.threads()) / 2 * 2));
  for (size_t row = 0; row < product.m && !run.stopped(); row += atOnce) {
    const size_t m = std::min(atOnce, product.m - row);
    const float* tiles = product.a + row * product.aStride;
    if (!dots && product.m > 1) {
      tileRows(product, Tiles(m, most), row, tiled.as<float>());
      tiles = tiled.as<float>();
    }
    const Panels part(product, tiles, most, row, m);
    run.each(panels, grain, [&](size_t begin, size_t end) {
      if (dots) part.dots(begin, end);
      else if (blocked) part.blocks(begin, end);
      else part.stream(begin, end);
      run.advance((end - begin) * m);
    });
  }
}

namespace ops {

void gemm(Run& run, In<float> a, In<Any> w, Maybe<In<float>> scales, Maybe<In<float>> bias, Maybe<In<Any>> residual,
          InPlace<float> out, size_t m, size_t n, size_t k, size_t aStride, WeightType type, bool packed,
          Activation activation, GemmPath path, bool prefetch, size_t threads) {
  requireWeights("w", w.element, type);
  requireMatrix("a", a.length, m, k, aStride);
  requireMatrix("w", w.length, packed ? panelsOf(n) * kPanelRows : n, k, k);
  requireMatrix("out", out.length, m, n, n);
  if (static_cast<const void*>(out.data) == w.data && out.length && w.length)
    throw rangeError("out", "memory apart from \"w\"", "an overlapping array");
  if (residual.data) {
    requireStorage("residual", residual.element, Dtype::f32);
    requireMatrix("residual", residual.length, m, n, n);
  }
  if (bias.data) requireMatrix("bias", bias.length, 1, n, n);
  if ((type == WeightType::int8) != (scales.data != nullptr))
    throw typeError("scales", type == WeightType::int8 ? "given for int8 weights" : "given for int8 weights only",
                    scales.data ? "an array" : "undefined");
  if (scales.data) requireMatrix("scales", scales.length, 1, n, n);
  run.useThreads(threadsFor(n, k, m, threads));
  run.expect(panelsOf(n) * m);
  multiply(run, {a.data,
                 m,
                 aStride,
                 {w.data, scales.data, type, packed, n, k},
                 bias.data,
                 static_cast<const float*>(residual.data),
                 out.data,
                 activation,
                 path,
                 prefetch});
}

}  // namespace ops
}  // namespace softlane
#endif
