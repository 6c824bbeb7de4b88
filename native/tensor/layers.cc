// Rows and layers: norms, softmax, a linear map with its bias.
#ifdef SOFTLANE_OPERATIONS
#include "../matmul/run.h"
#include "operations.h"

namespace softlane::ops {
using namespace softlane::tensor;
namespace {

/// Rows whose gradients of weights are summed before they join those of the other blocks.
constexpr size_t kRows = 64;

}  // namespace

void tensorNorm(Run& run, In<Any> x, Maybe<In<Any>> weight, Maybe<In<Any>> bias, Out<Any> out, Out<Any> stats,
                size_t rows, size_t cols, double eps, bool centered, size_t threads) {
  const Dtype type = typeOf("x", x);
  require("x", x, type, rows * cols);
  require("weight", weight, type, cols);
  require("bias", bias, type, cols);
  require("out", out, type, rows * cols);
  require("stats", stats, type, 2 * rows);
  share(run, rows, cols, threads, [&](size_t begin, size_t end) {
    NormJob job{};
    job.type = type;
    job.x = at(x.data, type, begin * cols);
    job.weight = weight.data;
    job.bias = bias.data;
    job.out = at(out.data, type, begin * cols);
    job.stats = at(stats.data, type, 2 * begin);
    job.rows = end - begin;
    job.cols = cols;
    job.eps = eps;
    job.centered = centered;
    kernels().tensor_norm(job);
  });
}

void tensorNormGrad(Run& run, In<Any> x, Maybe<In<Any>> weight, In<Any> g, In<Any> stats, Maybe<Out<Any>> dx,
                    Maybe<Out<Any>> dWeight, Maybe<Out<Any>> dBias, size_t rows, size_t cols, bool centered,
                    size_t threads) {
  const Dtype type = typeOf("x", x);
  require("x", x, type, rows * cols);
  require("weight", weight, type, cols);
  require("g", g, type, rows * cols);
  require("stats", stats, type, 2 * rows);
  require("dx", dx, type, rows * cols);
  require("dWeight", dWeight, type, cols);
  require("dBias", dBias, type, cols);
  const size_t blocks = (rows + kRows - 1) / kRows, size = sizeOf(type);
  const Scratch scratch(std::max<size_t>(1, 2 * blocks * cols * size));
  char *weights = scratch.as<char>(), *biases = weights + blocks * cols * size;
  std::memset(weights, 0, 2 * blocks * cols * size);
  share(run, blocks, kRows * cols, threads, [&](size_t begin, size_t end) {
    for (size_t block = begin; block < end; block++) {
      const size_t row = block * kRows;
      NormJob job{};
      job.type = type;
      job.x = at(x.data, type, row * cols);
      job.weight = weight.data;
      job.g = at(g.data, type, row * cols);
      job.out = at(dx.data, type, row * cols);
      job.stats = const_cast<void*>(at(stats.data, type, 2 * row));
      job.dWeight = dWeight.data ? weights + block * cols * size : nullptr;
      job.dBias = dBias.data ? biases + block * cols * size : nullptr;
      job.rows = std::min(kRows, rows - row);
      job.cols = cols;
      job.centered = centered;
      kernels().tensor_norm(job);
    }
  });
  if (dWeight.data) kernels().tensor_sum({type, weights, blocks, cols, cols, dWeight.data, 1});
  if (dBias.data) kernels().tensor_sum({type, biases, blocks, cols, cols, dBias.data, 1});
}

void tensorSoftmax(Run& run, In<Any> x, Out<Any> out, size_t rows, size_t cols, size_t queries, bool causal, bool log,
                   size_t threads) {
  const Dtype type = typeOf("x", x);
  require("x", x, type, rows * cols);
  require("out", out, type, rows * cols);
  share(run, rows, cols, threads, [&](size_t begin, size_t end) {
    for (size_t row = begin, count; row < end; row += count) {
      // Row i of the last `queries` columns' sees those up to its own.
      const size_t query = causal ? row % queries : 0;
      count = causal ? std::min(end - row, queries - query) : end - row;
      SoftmaxJob job{};
      job.type = type;
      job.growing = causal;
      job.limit = cols;
      if (causal && cols + query + 1 < queries + 1) {  // before the first key
        const size_t empty = std::min(count, queries - cols - query);
        job.limit = 0;
        job.growing = false;
        count = empty;
      } else if (causal) {
        job.limit = cols + query + 1 - queries;
      }
      job.x = at(x.data, type, row * cols);
      job.y = at(out.data, type, row * cols);
      job.rows = count;
      job.cols = job.xStride = job.yStride = cols;
      job.log = log;
      job.scale = 1;
      kernels().tensor_softmax(job);
    }
  });
}

void tensorSoftmaxGrad(Run& run, In<Any> y, In<Any> g, Out<Any> out, size_t rows, size_t cols, bool log,
                       size_t threads) {
  const Dtype type = typeOf("y", y);
  require("y", y, type, rows * cols);
  require("g", g, type, rows * cols);
  require("out", out, type, rows * cols);
  share(run, rows, cols, threads, [&](size_t begin, size_t end) {
    for (size_t r = begin; r < end; r++) {
      const void *p = at(y.data, type, r * cols), *slope = at(g.data, type, r * cols);
      double total = 0;
      for (size_t i = 0; i < cols; i += kBlock) {
        double sum;
        const size_t n = std::min(kBlock, cols - i);
        if (log) kernels().sum(at(slope, type, i), type, n, &sum);
        else kernels().dot(at(p, type, i), at(slope, type, i), type, n, &sum);
        total += sum;
      }
      if (log) kernels().log_softmax_grad(p, slope, at(out.data, type, r * cols), type, cols, total, 1);
      else kernels().softmax_grad(p, slope, at(out.data, type, r * cols), type, cols, total, 1);
    }
  });
}

void tensorLinear(Run& run, In<Any> x, In<Any> weight, Maybe<In<Any>> bias, Out<Any> out, size_t rows, size_t inputs,
                  size_t outputs, size_t threads) {
  const Dtype type = typeOf("x", x);
  require("x", x, type, rows * inputs);
  require("weight", weight, type, inputs * outputs);
  require("bias", bias, type, outputs);
  require("out", out, type, rows * outputs);
  // The bias joins a block of rows while the cache has it.
  const size_t block = 192, blocks = (rows + block - 1) / block;
  share(run, blocks, block * inputs * outputs / 16, threads, [&](size_t begin, size_t end) {
    const Scratch scratch(kMatmulScratch);
    for (size_t row = begin * block; row < std::min(end * block, rows); row += block) {
      const size_t m = std::min(block, rows - row);
      void* to = at(out.data, type, row * outputs);
      kernels().matmul({type, at(x.data, type, row * inputs), inputs, 1, weight.data, 1, inputs, to, outputs, m,
                        outputs, inputs, 1, false},
                       scratch.as<void>());
      if (bias.data)
        for (size_t r = 0; r < m; r++) {
          void* line = at(to, type, r * outputs);
          kernels().tensor_binary({type, TensorBinary::add, line, bias.data, 1, 1, line, outputs});
        }
    }
  });
}

}  // namespace softlane::ops
#endif
