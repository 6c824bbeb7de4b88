// The kernels of products between guard pages: every weight type, tiles of every size, panels alone and in pairs, columns up
// to a whole panel, depths around vectors and steps of prefetching. What is prefetched lies nowhere.
#include "guarded.h"

#if defined(__unix__) || defined(__APPLE__)

namespace softlane::test {
namespace {

constexpr size_t kDepths[] = {1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 64, 127, kDepth};
constexpr size_t kColumns[] = {1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32};

void panel(Spans& s, WeightType type, size_t m, size_t depth, size_t from, bool pair, bool ahead, bool near) {
  const size_t together = pair ? 2 : 1, elements = depth * kPanelRows;
  PanelJob job{};
  job.k = from + depth;
  job.a = s.floats(m * job.k);
  job.m = m;
  job.tileRows = pair ? kernels().gemm_pair_rows() : kernels().gemm_tile_rows();
  job.from = from;
  job.depth = depth;
  job.panel = s.in(type, together * elements);
  job.nextPanel = pair ? elements * sizeOf(type) : 0;
  job.type = type;
  job.c = s.filled(together * m * kPanelRows, 0.0f);
  job.add = from > 0;
  job.ahead = ahead ? nowhere() : nullptr;
  job.near = near;
  kernels().gemm_panel(job);
}

void finishes(Spans& spans, const char* isa) {
  for (Activation activation :
       {Activation::none, Activation::silu, Activation::gelu, Activation::geluTanh, Activation::relu})
    for (size_t m : {1, 2, 5})
      for (size_t columns : kColumns)
        for (bool inPlace : {false, true})
          guarded(spans, isa, "gemm_finish",
                  std::to_string(m) + " rows of " + std::to_string(columns) + " columns, " +
                      Names<Activation>::list[int(activation)],
                  [&](Spans& s) {
                    const size_t stride = columns + 3, elements = (m - 1) * stride + columns;
                    const float *c = s.floats(m * kPanelRows), *scales = s.floats(columns), *bias = s.floats(columns);
                    const float* residual = inPlace ? nullptr : s.floats(elements);
                    float* y = s.filled(elements, 1.0f);
                    kernels().gemm_finish({c, m, columns, scales, bias, inPlace ? y : residual, y, stride, activation});
                    kernels().gemm_finish({c, m, columns, nullptr, nullptr, nullptr, y, stride, activation});
                  });
}

}  // namespace

void guardGemm(Spans& spans, const char* isa) {
  covered.insert("gemm_tile_rows");  // these touch no memory
  covered.insert("gemm_pair_rows");
  covered.insert("gemm_pass_rows");
  const size_t most = kernels().gemm_tile_rows(), pairs = kernels().gemm_pair_rows();
  for (WeightType type : kWeightTypes) {
    const auto with = [&](const char* kernel, size_t rows, size_t columns, size_t depth, auto body) {
      guarded(spans, isa, kernel,
              std::string(nameOf(type)) + ", " + std::to_string(rows) + " rows, " + std::to_string(columns) +
                  " columns, depth " + std::to_string(depth),
              body);
    };
    for (size_t depth : kDepths) {
      for (bool ahead : {false, true}) {
        for (size_t from : {0, 5}) {
          for (size_t m = 1; m <= 2 * most + 1; m++)
            with("gemm_panel", m, kPanelRows, depth,
                 [&](Spans& s) { panel(s, type, m, depth, from, false, ahead, m % 2 == 0); });
          for (size_t m = 1; m <= 2 * pairs + 1 && depth < 128; m++)  // both panels fit one span
            with("gemm_panel", m, 2 * kPanelRows, depth,
                 [&](Spans& s) { panel(s, type, m, depth, from, true, ahead, m % 2 == 0); });
        }
        for (size_t columns : kColumns) {
          for (size_t rows = 1; rows <= 4; rows++)
            with("gemm_dots", rows, columns, depth, [&](Spans& s) {
              const size_t stride = depth + 2;
              const float* a = s.floats((rows - 1) * stride + depth);
              const void* w = s.in(type, columns * depth);
              float* c = s.out<float>((rows - 1) * kPanelRows + columns);
              kernels().gemm_dots({a, rows, stride, w, columns, depth, type, c, ahead});
            });
          with("gemm_turn", 0, columns, depth, [&](Spans& s) {
            const size_t stride = depth + 3;
            const void* w = s.in(type, (columns - 1) * stride + depth);
            kernels().gemm_turn(w, type, columns, stride, depth, s.out<float>(depth * kPanelRows), ahead);
          });
        }
      }
      with("gemm_widen", 0, kPanelRows, depth, [&](Spans& s) {
        const void* lines = s.in(type, depth * kPanelRows);
        kernels().gemm_widen(lines, type, depth, s.out<float>(depth * kPanelRows));
      });
    }
  }
  finishes(spans, isa);
}

}  // namespace softlane::test
#endif
