// Batches of products: tasks are rows of one product, as many as threads can share without packing B too often.
#ifdef SOFTLANE_OPERATIONS
#include <algorithm>

#include "../cpu.h"
#include "../ops.h"
#include "run.h"

namespace softlane {

void multiplyAll(Run& run, const MatmulJob& shape, size_t count, const double* aOffsets, const double* bOffsets,
                 size_t threads) {
  const size_t size = sizeOf(shape.type), work = shape.m * shape.n * std::max<size_t>(shape.k, 1);
  run.useThreads(std::min(threads, 1 + count * work / (size_t(1) << 18)));
  // Rows of a task: all of a product, unless there are fewer products than threads.
  // On one thread B is packed once, unless a product takes so long that a stop should come through earlier.
  const size_t cuts = run.threads() == 1           ? 1 + (work >> 28)
                      : count >= 2 * run.threads() ? 1
                                                   : (2 * run.threads() + count - 1) / std::max<size_t>(count, 1);
  const size_t rows = std::max<size_t>(48, (shape.m / cuts + 23) / 24 * 24);
  const size_t pieces = (shape.m + rows - 1) / rows;
  const size_t grain = std::max<size_t>(1, (size_t(1) << 22) / std::max<size_t>(1, work / std::max<size_t>(pieces, 1)));
  run.expect(count * pieces);
  run.each(count * pieces, grain, [&](size_t begin, size_t end) {
    const Scratch scratch(kMatmulScratch);
    for (size_t task = begin; task < end; task++) {
      const size_t item = task / pieces, row = task % pieces * rows;
      MatmulJob job = shape;
      job.m = std::min(rows, shape.m - row);
      job.a = static_cast<const char*>(shape.a) + (size_t(aOffsets[item]) + row * shape.aRow) * size;
      job.b = static_cast<const char*>(shape.b) + size_t(bOffsets[item]) * size;
      job.c = static_cast<char*>(shape.c) + (item * shape.m + row) * shape.cRow * size;
      kernels().matmul(job, scratch.as<void>());
    }
    run.advance(end - begin);
  });
}

namespace ops {

void matmul(Run& run, In<Any> a, In<Any> b, Out<Any> out, In<double> aOffsets, In<double> bOffsets, In<double> sizes,
            double alpha, bool add, size_t threads) {
  if (sizes.length != 7) throw rangeError("sizes", "7 numbers", std::to_string(sizes.length));
  const Dtype type = a.element == Element::float64 ? Dtype::f64 : Dtype::f32;
  requireStorage("a", a.element, type);
  requireStorage("b", b.element, type);
  requireStorage("out", out.element, type);
  const auto size = [&](size_t i) { return size_t(sizes.data[i]); };
  const MatmulJob job{type,     a.data,  size(3), size(4), b.data,  size(5), size(6),
                      out.data, size(1), size(0), size(1), size(2), alpha,   add};
  const size_t count = aOffsets.length;
  if (bOffsets.length != count)
    throw rangeError("b", std::to_string(count) + " matrices", std::to_string(bOffsets.length));
  requireMatrix("out", out.length, count * job.m, job.n, job.n);
  if (job.m == 0 || job.n == 0) return;
  const auto require = [&](const char* name, size_t length, In<double> offsets, size_t last) {
    for (size_t i = 0; i < count; i++)
      if (!(offsets.data[i] >= 0) || offsets.data[i] + double(last) >= double(length))
        throw rangeError(name, "long enough for its matrices", std::to_string(length) + " elements");
  };
  if (job.k > 0) {
    require("a", a.length, aOffsets, (job.m - 1) * job.aRow + (job.k - 1) * job.aCol);
    require("b", b.length, bOffsets, (job.k - 1) * job.bRow + (job.n - 1) * job.bCol);
  }
  multiplyAll(run, job, count, aOffsets.data, bOffsets.data, threads);
}

}  // namespace ops
}  // namespace softlane
#endif
