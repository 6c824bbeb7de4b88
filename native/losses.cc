// Operations that need a row's normaliser but no probabilities: log-sum-exp, entropy, cross-entropy. Each reads x once
// for its value; the gradients read it a second time.
#ifdef SOFTLANE_OPERATIONS
#include <algorithm>

#include "rows.h"

namespace softlane {
namespace {

double valueAt(const void* x, Dtype dtype, size_t i) {
  switch (dtype) {
    case Dtype::f32: return static_cast<const float*>(x)[i];
    case Dtype::f64: return static_cast<const double*>(x)[i];
    default: break;
  }
  float value;
  scalar::convert(at(x, dtype, i), dtype, &value, Dtype::f32, 1);
  return value;
}

bool anyNan(const Row& row) {
  for (size_t i = 0; i < row.cols; i++)
    if (std::isnan(valueAt(row.x, row.dtype, i))) return true;
  return false;
}

double sumOf(Run& run, const Row& row) {
  PerBlock<double> sums(row.cols);
  run.each(blocksOf(row.cols), kPiece / kBlock, [&](size_t begin, size_t end) {
    const size_t start = begin * kBlock;
    kernels().sum(at(row.x, row.dtype, start), row.dtype, std::min(end * kBlock, row.cols) - start, &sums[begin]);
  });
  double total = 0;
  for (size_t b = 0; b < blocksOf(row.cols); b++) total += sums[b];
  return total;
}

/// H = ln S - (sum_i a_i e^a_i) / S, a = (x - mu) / T: block by block in the first-level cache, one read of memory.
double entropyOf(Run& run, const Row& row, const ExpForm& form) {
  PerBlock<double> tops(row.cols), sums(row.cols), weighted(row.cols);
  run.each(blocksOf(row.cols), kPiece / kBlock, [&](size_t begin, size_t end) {
    const size_t start = begin * kBlock, n = std::min(end * kBlock, row.cols) - start;
    run.advance(n);
    kernels().exp_moments(at(row.x, row.dtype, start), row.dtype, n, form, &tops[begin], &sums[begin],
                          &weighted[begin]);
  });
  double mu = -kInfinity, s = 0, w = 0;
  for (size_t b = 0; b < blocksOf(row.cols); b++) mu = std::max(mu, tops[b]);
  for (size_t b = 0; b < blocksOf(row.cols); b++) {
    if (sums[b] == 0) continue;  // a block of -infinity: its shift is infinite, its share nothing
    const double shift = (tops[b] - mu) / form.temperature, share = std::exp(shift);
    s += sums[b] * share;
    if (share > 0) w += (weighted[b] + shift * sums[b]) * share;
  }
  if (std::isnan(s)) return kNan;
  return s == 0 ? 0 : std::max(std::log(s) - w / s, 0.0);
}

}  // namespace

namespace ops {

void logSumExp(Run& run, In<Any> x, Out<double> out, size_t rows, size_t cols, size_t rowStride, Dtype dtype,
               double temperature, Algorithm algorithm, size_t threads) {
  requireStorage("x", x.element, dtype);
  requireMatrix("x", x.length, rows, cols, rowStride);
  requireMatrix("out", out.length, rows, 1, 1);
  requireTemperature(temperature);
  const ExpForm form = formOf(temperature, computeOf(dtype));
  algorithm = chosen(algorithm, cols, dtype, dtype, true);
  eachRow(run, rows, cols, threads, readsOf(algorithm), [&](Run& inner, size_t r) {
    const Row row{at(x.data, dtype, r * rowStride), dtype, cols};
    const Normaliser sum = normalise(inner, row, algorithm, form);
    if (!inner.stopped()) out.data[r] = sum.isNan() && !anyNan(row) ? kInfinity : sum.logSumExp(form);
  });
}

void entropy(Run& run, In<Any> x, Out<double> out, size_t rows, size_t cols, size_t rowStride, Dtype dtype,
             double temperature, size_t threads) {
  requireStorage("x", x.element, dtype);
  requireMatrix("x", x.length, rows, cols, rowStride);
  requireMatrix("out", out.length, rows, 1, 1);
  requireTemperature(temperature);
  const ExpForm form = formOf(temperature, computeOf(dtype));
  eachRow(run, rows, cols, threads, 1, [&](Run& inner, size_t r) {
    const double value = entropyOf(inner, {at(x.data, dtype, r * rowStride), dtype, cols}, form);
    if (!inner.stopped()) out.data[r] = value;
  });
}

void crossEntropy(Run& run, In<Any> x, In<int32_t> targets, Out<double> losses, Maybe<InPlace<Any>> gradient,
                  Maybe<In<float>> rowScale, size_t rows, size_t cols, size_t rowStride, Dtype dtype,
                  double temperature, Algorithm algorithm, double labelSmoothing, int32_t ignoreIndex,
                  Reduction reduction, EmptyRow emptyRow, size_t threads) {
  requireStorage("x", x.element, dtype);
  requireMatrix("x", x.length, rows, cols, rowStride);
  requireMatrix("targets", targets.length, rows, 1, 1);
  requireMatrix("losses", losses.length, reduction == Reduction::none ? rows : 1, 1, 1);
  requireTemperature(temperature);
  if (!(labelSmoothing >= 0 && labelSmoothing < 1))
    throw rangeError("labelSmoothing", "in [0, 1)", std::to_string(labelSmoothing));
  const Dtype compute = computeOf(dtype);
  if (gradient.data) {
    requireStorage("gradient", gradient.element, compute);
    requireMatrix("gradient", gradient.length, rows, cols, cols);
    if (gradient.data == x.data && rowStride != cols)
      throw rangeError("gradient", "apart from x when the rows of x are not dense", "x itself");
  }
  if (rowScale.data) requireMatrix("rowScale", rowScale.length, rows, 1, 1);
  size_t counted = 0;
  for (size_t r = 0; r < rows; r++) {
    const int32_t target = targets.data[r];
    if (target == ignoreIndex) continue;
    if (target < 0 || size_t(target) >= cols)
      throw rangeError("targets", "in [0, " + std::to_string(cols) + ") or ignoreIndex in every row",
                       std::to_string(target) + " in row " + std::to_string(r));
    counted++;
  }

  const ExpForm form = formOf(temperature, compute);
  algorithm = chosen(algorithm, cols, dtype, dtype, true);
  const double even = cols ? labelSmoothing / double(cols) : 0,
               share = reduction == Reduction::mean ? 1 / double(counted) : 1;
  std::unique_ptr<Scratch> scratch;
  double* perRow = losses.data;
  if (reduction != Reduction::none) {
    scratch = std::make_unique<Scratch>(rows * sizeof(double));
    perRow = scratch->as<double>();
  }
  const size_t passes = readsOf(algorithm) + (gradient.data ? 1 : 0);
  eachRow(run, rows, cols, threads, passes, [&](Run& inner, size_t r) {
    void* g = gradient.data ? at(gradient.data, compute, r * cols) : nullptr;
    const int32_t target = targets.data[r];
    if (target == ignoreIndex) {
      perRow[r] = 0;
      if (g) fillRow(g, compute, cols, 0);
      return;
    }
    const Row row{at(x.data, dtype, r * rowStride), dtype, cols};
    const Normaliser sum = normalise(inner, row, algorithm, form);
    if (inner.stopped()) return;
    const double xt = valueAt(row.x, dtype, size_t(target));
    // lse - z = log(sum) - (x - mu) / T: offsets cancel before they are divided.
    const double base = sum.pairs ? 0 : sum.mu, lse = sum.pairs ? sum.logSumExp(form) : std::log(sum.sum);
    double z = (xt - base) / temperature;
    if (labelSmoothing > 0) {
      const double mean = sumOf(inner, row) / double(cols);
      z = (1 - labelSmoothing) * z + labelSmoothing * ((mean - base) / temperature);
    }
    perRow[r] = sum.isNan() ? kNan : z == -kInfinity ? kInfinity : lse - z;
    if (!g) return;
    const double scale = share * (rowScale.data ? rowScale.data[r] : 1) / temperature;
    double atTarget = kNan;
    if (sum.isNan() || (sum.isEmpty() && emptyRow == EmptyRow::nan)) {
      fillRow(g, compute, cols, kNan);
    } else {
      if (sum.isEmpty()) fillRow(g, compute, cols, -scale * even);
      else writeProbabilities(inner, row, sum, g, compute, form, {scale, -scale * even, false});
      const double p = sum.isEmpty() ? 0 : sum.probability(xt, form);
      atTarget = scale * (p - (1 - labelSmoothing) - even);
    }
    if (compute == Dtype::f64) static_cast<double*>(g)[target] = atTarget;
    else static_cast<float*>(g)[target] = float(atTarget);
  });
  if (run.stopped() || reduction == Reduction::none) return;
  double total = 0;
  for (size_t r = 0; r < rows; r++) total += perRow[r];
  losses.data[0] = reduction == Reduction::mean ? (counted ? total / double(counted) : kNan) : total;
}

void mergeLogSumExp(Run& run, In<double> a, In<double> b, Out<double> out) {
  requireMatrix("b", b.length, a.length, 1, 1);
  requireMatrix("out", out.length, a.length, 1, 1);
  run.expect(a.length);
  run.each(a.length, kPiece, [&](size_t begin, size_t end) {
    for (size_t i = begin; i < end; i++) {
      const double p = a.data[i], q = b.data[i], high = std::max(p, q), low = std::min(p, q);
      if (std::isnan(p) || std::isnan(q)) {
        out.data[i] = kNan;
      } else {
        out.data[i] = std::isinf(high) ? high : high + std::log1p(std::exp(low - high));
      }
    }
    run.advance(end - begin);
  });
}

}  // namespace ops
}  // namespace softlane
#endif
