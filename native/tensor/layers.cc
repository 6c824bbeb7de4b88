// Rows and layers: norms, softmax, a linear map with its bias.
#ifdef SOFTLANE_OPERATIONS
#include "../matmul/run.h"
#include "operations.h"

namespace softlane::ops {
using namespace softlane::tensor;
namespace {

/// Rows whose gradients of weights are summed before they join those of the other blocks.
constexpr size_t kRows = 64;

/// Elements of weights that stay in the second-level cache beside a block of rows; rows of a block.
constexpr size_t kSmallWeights = size_t(1) << 16, kGradRows = 256;

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
      job.cols = job.stride = cols;
      job.log = log;
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

double tensorCrossEntropy(Run& run, In<Any> x, In<int32_t> targets, Maybe<Out<Any>> gradient, Out<double> losses,
                          size_t rows, size_t cols, int32_t ignoreIndex, bool mean, size_t threads) {
  const Dtype type = typeOf("logits", x);
  require("logits", x, type, rows * cols);
  require("gradient", gradient, type, rows * cols);
  if (targets.length != rows)
    throw rangeError("targets", std::to_string(rows) + " numbers", std::to_string(targets.length));
  if (losses.length != rows)
    throw rangeError("losses", std::to_string(rows) + " numbers", std::to_string(losses.length));
  size_t counted = 0;
  for (size_t r = 0; r < rows; r++) {
    const int32_t target = targets.data[r];
    if (target == ignoreIndex) continue;
    if (target < 0 || size_t(target) >= cols)
      throw rangeError("targets", "in [0, " + std::to_string(cols) + ") or ignoreIndex in every row",
                       std::to_string(target) + " in row " + std::to_string(r));
    counted++;
  }
  const double share = mean ? 1 / double(counted) : 1;
  const size_t blocks = (rows + kRows - 1) / kRows;
  tensor::share(run, blocks, kRows * cols, threads, [&](size_t begin, size_t end) {
    const Scratch scratch((2 * kRows + (gradient.data ? 0 : kRows * cols)) * sizeOf(type));
    for (size_t row = begin * kRows; row < std::min(end * kRows, rows); row += kRows) {
      const size_t n = std::min(kRows, rows - row);
      SoftmaxJob job{};
      job.type = type;
      job.x = at(x.data, type, row * cols);
      job.y = gradient.data ? at(gradient.data, type, row * cols) : at(scratch.as<void>(), type, 2 * kRows);
      job.rows = n;
      job.cols = job.stride = job.limit = cols;
      job.tops = scratch.as<void>();
      job.factors = at(scratch.as<void>(), type, kRows);
      kernels().tensor_softmax(job);
      withType(type, [&](auto zero) {
        using S = decltype(zero);
        S* factors = static_cast<S*>(job.factors);
        for (size_t i = 0; i < n; i++) {
          const int32_t target = targets.data[row + i];
          const bool counts = target != ignoreIndex;
          const S* line = static_cast<const S*>(job.x) + i * cols;
          losses.data[row + i] =
              counts ? double(static_cast<const S*>(job.tops)[i]) - double(line[target]) - std::log(double(factors[i]))
                     : 0;
          factors[i] = counts ? S(factors[i] * share) : S(0);
        }
      });
      if (!gradient.data) continue;
      kernels().tensor_binary({type, TensorBinary::mul, job.y, job.factors, 1, 0, job.y, cols, n, cols, 1, cols});
      withType(type, [&](auto zero) {
        using S = decltype(zero);
        for (size_t i = 0; i < n; i++)
          if (targets.data[row + i] != ignoreIndex)
            static_cast<S*>(job.y)[i * cols + targets.data[row + i]] -= S(share);
      });
    }
  });
  double total = 0;
  for (size_t r = 0; r < rows; r++) total += losses.data[r];
  return mean ? total * share : total;
}

void tensorLinear(Run& run, In<Any> x, In<Any> weight, Maybe<In<Any>> bias, Out<Any> out, size_t rows, size_t inputs,
                  size_t outputs, size_t threads) {
  const Dtype type = typeOf("x", x);
  require("x", x, type, rows * inputs);
  require("weight", weight, type, inputs * outputs);
  require("bias", bias, type, outputs);
  require("out", out, type, rows * outputs);
  // The bias joins a block of rows while the cache has it.
  const size_t block = 512, blocks = (rows + block - 1) / block;
  share(run, blocks, block * inputs * outputs / 16, threads, [&](size_t begin, size_t end) {
    const Scratch scratch(kMatmulScratch);
    for (size_t row = begin * block; row < std::min(end * block, rows); row += block) {
      const size_t m = std::min(block, rows - row);
      void* to = at(out.data, type, row * outputs);
      kernels().matmul({type, at(x.data, type, row * inputs), inputs, 1, weight.data, 1, inputs, to, outputs, m,
                        outputs, inputs, 1, false},
                       scratch.as<void>());
      if (bias.data)
        kernels().tensor_binary({type, TensorBinary::add, to, bias.data, 1, 1, to, outputs, m, outputs, 0, outputs});
    }
  });
}

void tensorLinearGrad(Run& run, In<Any> x, In<Any> weight, In<Any> g, Maybe<Out<Any>> dx, Maybe<Out<Any>> dWeight,
                      Maybe<Out<Any>> dBias, size_t rows, size_t inputs, size_t outputs, size_t threads) {
  const Dtype type = typeOf("x", x);
  require("x", x, type, rows * inputs);
  require("weight", weight, type, inputs * outputs);
  require("g", g, type, rows * outputs);
  require("dx", dx, type, rows * inputs);
  require("dWeight", dWeight, type, inputs * outputs);
  require("dBias", dBias, type, outputs);
  // On one thread, small weights stay in the cache beside a block of rows, which is then read once for all three gradients.
  // Blocks are multiples of those in which products are summed up: several threads, which cut the product by rows of
  // dWeight instead, get the same bits.
  const bool fused = threads == 1 && inputs * outputs <= kSmallWeights;
  const size_t block = fused ? kGradRows : std::max<size_t>(rows, 1), sums = (rows + kGradRows - 1) / kGradRows;
  const Scratch scratch((1 + sums * outputs) * sizeOf(type));
  const auto at = [&](auto* p, size_t i) { return tensor::at(p, type, i); };
  const double start = 0;
  for (size_t row = 0; row < std::max<size_t>(rows, 1) && !run.stopped(); row += block) {
    const size_t m = std::min(block, rows - row);
    const void *slopes = at(g.data, row * outputs), *from = at(x.data, row * inputs);
    if (dx.data)
      multiplyAll(run,
                  {type, slopes, outputs, 1, weight.data, inputs, 1, at(dx.data, row * inputs), inputs, m, inputs,
                   outputs, 1, false},
                  1, &start, &start, threads);
    if (dWeight.data)
      multiplyAll(run,
                  {type, slopes, 1, outputs, from, inputs, 1, dWeight.data, inputs, outputs, inputs, m, 1, row > 0}, 1,
                  &start, &start, threads);
    for (size_t i = row; dBias.data && i < row + m; i += kGradRows)
      kernels().tensor_sum({type, at(g.data, i * outputs), std::min(kGradRows, rows - i), outputs, outputs,
                            at(scratch.as<void>(), i / kGradRows * outputs), 1});
  }
  if (dBias.data) kernels().tensor_sum({type, scratch.as<void>(), sums, outputs, outputs, dBias.data, 1});
}

}  // namespace softlane::ops
#endif
