// The kernels of the tape's steps between guard pages: both types, lines around whole vectors, rows apart from each other.
#include "guarded.h"

#if defined(__unix__) || defined(__APPLE__)

namespace softlane::test {
namespace {

constexpr size_t kLines[] = {0, 1, 2, 3, 4, 7, 8, 9, 15, 16, 17, 31, 33, 63, 64, 65, 129};

struct Numbers {
  Spans& spans;
  Dtype type;
  const void* in(size_t n) const { return spans.in(type, n); }
  /// Written, and read before.
  void* both(size_t n) const { return const_cast<void*>(spans.in(type, n)); }
  void* out(size_t n) const { return spans.out(type, n); }
};

void lines(Spans& spans, const char* isa, Dtype type, size_t n) {
  const std::string what = std::string(nameOf(type)) + ", " + std::to_string(n) + " elements";
  for (int map = 0; map <= int(TensorMap::affine); map++)
    for (bool backward : {false, true})
      guarded(spans, isa, "tensor_map", what + ", " + Names<TensorMap>::list[map], [&](Spans& s) {
        const Numbers of{s, type};
        kernels().tensor_map(
            {type, TensorMap(map), of.in(n), of.in(n), backward ? of.in(n) : nullptr, of.out(n), n, 2, 3});
      });
  for (int binary = 0; binary <= int(TensorBinary::notLess); binary++)
    for (size_t steps = 0; steps < 4; steps++)
      guarded(spans, isa, "tensor_binary", what + ", " + Names<TensorBinary>::list[binary], [&](Spans& s) {
        const Numbers of{s, type};
        const size_t a = steps & 1, b = steps >> 1, rows = 3, gap = n + 2;
        kernels().tensor_binary({type, TensorBinary(binary), of.in(a ? 2 * gap + n : 3), of.in(b ? 2 * gap + n : 3), a,
                                 b, of.out(2 * gap + n), n, rows, a ? gap : 1, b ? gap : 1, gap});
      });
  for (size_t rows : {0, 1, 3, 65})
    guarded(spans, isa, "tensor_sum", what, [&](Spans& s) {
      const Numbers of{s, type};
      const size_t stride = n + 1;
      kernels().tensor_sum({type, of.in(rows ? (rows - 1) * stride + n : 0), rows, n, stride, of.out(n), 0.5});
    });
  guarded(spans, isa, "tensor_sum", what + " in a line", [&](Spans& s) {
    const Numbers of{s, type};
    kernels().tensor_sum({type, of.in(n), n, 1, 1, of.out(1), 1});
  });
  guarded(spans, isa, "tensor_adam", what, [&](Spans& s) {
    const Numbers of{s, type};
    kernels().tensor_adam({type, of.both(n), of.both(n), of.both(n), of.in(n), n, 0.1, 0.9, 0.99, 1e-8, 1, 1, 0, 1});
  });
  for (bool velocity : {false, true})
    guarded(spans, isa, "tensor_sgd", what, [&](Spans& s) {
      const Numbers of{s, type};
      kernels().tensor_sgd(
          {type, of.both(n), velocity ? of.both(n) : nullptr, of.in(n), n, 0.1, 0.9, 0.9, 1, 1, 0, 1, true});
    });
}

void rows(Spans& spans, const char* isa, Dtype type, size_t cols) {
  for (size_t count : {1, 3, 17}) {
    const std::string what =
        std::string(nameOf(type)) + ", " + std::to_string(count) + " rows of " + std::to_string(cols) + " columns";
    for (bool affine : {false, true})
      for (bool backward : {false, true})
        guarded(spans, isa, "tensor_norm", what, [&](Spans& s) {
          const Numbers of{s, type};
          NormJob job{};
          job.type = type;
          job.x = of.in(count * cols);
          job.out = of.out(count * cols);
          job.stats = of.both(2 * count);
          job.rows = count;
          job.cols = cols;
          job.eps = 1e-5;
          job.centered = affine;
          if (affine) job.weight = of.in(cols);
          if (affine && !backward) job.bias = of.in(cols);
          if (backward) job.g = of.in(count * cols);
          if (backward && affine) {
            job.dWeight = of.both(cols);
            job.dBias = of.both(cols);
          }
          kernels().tensor_norm(job);
        });
    const size_t stride = cols + 3, size = (count - 1) * stride + cols;
    for (int form = 0; form < 3; form++)
      for (bool growing : {false, true})
        guarded(spans, isa, "tensor_softmax", what, [&](Spans& s) {
          const Numbers of{s, type};
          SoftmaxJob job{};
          job.type = type;
          job.x = of.in(size);
          job.y = of.out(size);
          job.rows = count;
          job.cols = cols;
          job.stride = stride;
          job.limit = growing ? cols / 2 : cols;
          job.growing = growing;
          job.log = form == 1;
          if (form == 2) {
            job.tops = of.out(count);
            job.factors = of.out(count);
          }
          kernels().tensor_softmax(job);
        });
    for (bool growing : {false, true})
      guarded(spans, isa, "tensor_scores", what, [&](Spans& s) {
        const Numbers of{s, type};
        const size_t width = cols % 5 + 1, gStride = width + 1, gSize = (count - 1) * gStride + width;
        kernels().tensor_scores({type, of.both(size), of.both(size), count, cols, stride, growing ? cols / 2 : cols,
                                 growing, of.in(count), of.in(count), of.in(gSize), of.in(gSize), width, gStride});
      });
  }
}

}  // namespace

void guardTensor(Spans& spans, const char* isa) {
  for (Dtype type : {Dtype::f32, Dtype::f64})
    for (size_t n : kLines) {
      lines(spans, isa, type, n);
      rows(spans, isa, type, n);
    }
}

}  // namespace softlane::test
#endif
