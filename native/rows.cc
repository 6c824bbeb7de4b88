// The normaliser of a row by any form, and the choice among them. No loop of its own: it calls the kernels in pieces.
#ifdef SOFTLANE_OPERATIONS
#include "rows.h"

#include <algorithm>

#include "cpu.h"

namespace softlane {

ExpForm formOf(double temperature, Dtype precision) {
  const double inverse = 1 / temperature;
  return {temperature, inverse, std::fma(-inverse, temperature, 1.0) / temperature, temperature == 1, precision,
          true,        false};
}

double Normaliser::logSumExp(const ExpForm& form) const {
  if (isNan()) return kNan;
  if (isEmpty()) return -kInfinity;
  return pairs ? std::log(sum) + exponent * 0x1.62e42fefa39efp-1 : mu / form.temperature + std::log(sum);
}

double Normaliser::probability(double x, const ExpForm& form) const {
  if (pairs) return std::exp(x / form.temperature - logSumExp(form));
  return std::exp((x - mu) / form.temperature) / sum;
}

Algorithm chosen(Algorithm algorithm, size_t cols, Dtype in, Dtype out, bool reduces) {
  if (algorithm != Algorithm::automatic) return algorithm;
  const Isa isa = currentIsa();
  if (reduces) return Algorithm::twoPass;  // one read, no second exponential: the least of everything
  const size_t bytes = cols * (sizeOf(in) + sizeOf(out));
  return bytes >= tuning().twoPassFrom[int(isa)][int(out)] ? Algorithm::twoPass : Algorithm::blocked;
}

namespace {

/// Blocks are added in index order: the bits do not depend on who computed them. A NaN stays in the sum.
void addPairs(const Pair* blocks, size_t count, double& sum, double& exponent) {
  const auto power = [](double k) { return k > -1022 ? std::ldexp(1.0, int(k)) : 0.0; };
  sum = 0;
  exponent = -kInfinity;
  for (size_t b = 0; b < count; b++) {
    const Pair pair = blocks[b];
    if (pair.exponent > exponent) {
      sum = sum * power(exponent - pair.exponent) + pair.mantissa;
      exponent = pair.exponent;
    } else {
      sum += pair.mantissa * power(pair.exponent - exponent);
    }
  }
}

double largest(Run& run, const Row& row) {
  PerBlock<double> tops((row.cols + 15) / 16);  // one a piece of 16 blocks
  const size_t pieces = (row.cols + kPiece - 1) / kPiece;
  run.each(pieces, 1, [&](size_t begin, size_t end) {
    for (size_t p = begin; p < end; p++) {
      const size_t start = p * kPiece;
      run.advance(std::min(kPiece, row.cols - start));
      tops[p] = kernels().span_max(at(row.x, row.dtype, start), row.dtype, std::min(kPiece, row.cols - start));
    }
  });
  double top = -kInfinity;
  for (size_t p = 0; p < pieces; p++) top = tops[p] > top ? tops[p] : top;
  return top;
}

/// body(start, length, first block) over a row in pieces.
template <class Body>
void eachPiece(Run& run, size_t cols, Body body) {
  run.each(blocksOf(cols), kPiece / kBlock, [&](size_t begin, size_t end) {
    const size_t start = begin * kBlock, stop = std::min(end * kBlock, cols);
    body(start, stop - start, begin);
    run.advance(stop - start);
  });
}

double lowest(Dtype dtype) {
  return computeOf(dtype) == Dtype::f64 ? -std::numeric_limits<double>::max()
                                        : -double(std::numeric_limits<float>::max());
}

/// Three passes (recompute, reload), or the slow path of any form when form.wide.
Normaliser byMaximum(Run& run, const Row& row, const ExpForm& form, void* stored, double* factors) {
  const double mu = std::max(largest(run, row), lowest(row.dtype));
  PerBlock<double> sums(row.cols);
  std::atomic<bool> clamp{false};
  eachPiece(run, row.cols, [&](size_t start, size_t length, size_t block) {
    const void* x = at(row.x, row.dtype, start);
    void* y = stored ? at(stored, computeOf(row.dtype), start) : nullptr;
    const bool plain = y ? kernels().exp_store_sum(x, row.dtype, y, length, form, mu, nullptr, &sums[block])
                         : kernels().exp_sum(x, row.dtype, length, form, mu, nullptr, &sums[block]);
    if (!plain) clamp = true;
  });
  Normaliser result{false, form.wide, clamp, 0, 0, mu};
  for (size_t b = 0; b < blocksOf(row.cols); b++) result.sum += sums[b];
  if (factors)
    for (size_t b = 0; b < blocksOf(row.cols); b++) factors[b] = 1 / result.sum;
  return result;
}

/// One walk (online, blocked): each block subtracts its own maximum; the sums are brought to the largest afterwards.
Normaliser byBlock(Run& run, const Row& row, const ExpForm& form, void* stored, double* factors) {
  PerBlock<double> tops(row.cols), sums(row.cols);
  std::atomic<bool> clamp{false};
  eachPiece(run, row.cols, [&](size_t start, size_t length, size_t block) {
    const void* x = at(row.x, row.dtype, start);
    void* y = stored ? at(stored, computeOf(row.dtype), start) : nullptr;
    const bool plain = y ? kernels().exp_store_sum(x, row.dtype, y, length, form, 0, &tops[block], &sums[block])
                         : kernels().exp_sum(x, row.dtype, length, form, 0, &tops[block], &sums[block]);
    if (!plain) clamp = true;
  });
  Normaliser result{false, false, clamp, 0, 0, lowest(row.dtype)};
  const size_t blocks = blocksOf(row.cols);
  for (size_t b = 0; b < blocks; b++) result.mu = std::max(result.mu, tops[b]);
  for (size_t b = 0; b < blocks; b++) {
    const double share = tops[b] == result.mu ? 1 : std::exp((tops[b] - result.mu) / form.temperature);
    result.sum += sums[b] * share;
    if (factors) factors[b] = share;
  }
  if (factors)
    for (size_t b = 0; b < blocks; b++) factors[b] /= result.sum;
  return result;
}

}  // namespace

Normaliser normalise(Run& run, const Row& row, Algorithm algorithm, const ExpForm& form, void* stored,
                     double* factors) {
  switch (algorithm) {
    case Algorithm::recompute:
    case Algorithm::reload: return byMaximum(run, row, form, stored, factors);
    case Algorithm::online:
    case Algorithm::blocked: return byBlock(run, row, form, stored, factors);
    default: break;
  }
  PerBlock<Pair> blocks(row.cols);
  std::atomic<bool> clamp{false};
  eachPiece(run, row.cols, [&](size_t start, size_t length, size_t block) {
    if (!kernels().reduce_ext(at(row.x, row.dtype, start), row.dtype, length, form, &blocks[block])) clamp = true;
  });
  Normaliser result{true, false, clamp, 0, 0, 0};
  addPairs(blocks.data(), blocksOf(row.cols), result.sum, result.exponent);
  // Where the exponent is so large that x log2 e loses digits, or near the clamp, or the sum shows NaN or infinity, the
  // maximum must be found after all: in float64, so that no offset hurts. x is still intact.
  const bool extreme = !std::isfinite(result.sum) || result.exponent > 189000 || result.exponent < -188600;
  if (extreme && row.cols) {
    ExpForm wide = form;
    wide.wide = true;
    return byMaximum(run, row, wide, nullptr, nullptr);
  }
  int shift = 0;
  result.sum = 2 * std::frexp(result.sum, &shift);  // in [1, 2): the reciprocal does not push p below the normal range
  result.exponent += shift - 1;
  return result;
}

void writeProbabilities(Run& run, const Row& row, const Normaliser& normaliser, void* y, Dtype out, ExpForm form,
                        Affine affine) {
  form.wide = normaliser.wide;
  form.clamp = normaliser.clamp;
  affine.factor /= normaliser.sum;
  eachPiece(run, row.cols, [&](size_t start, size_t length, size_t) {
    const void* from = at(row.x, row.dtype, start);
    void* to = at(y, out, start);
    if (normaliser.pairs) {
      kernels().scale_ext(from, row.dtype, to, out, length, form, normaliser.exponent, affine);
    } else {
      kernels().exp_scale(from, row.dtype, to, out, length, form, normaliser.mu, affine);
    }
  });
}

void fillRow(void* y, Dtype out, size_t cols, double value) {
  const uint16_t quietNan = out == Dtype::bf16 ? 0x7fc0 : 0x7e00, minusInfinity = out == Dtype::bf16 ? 0xff80 : 0xfc00;
  const uint16_t bits = std::isnan(value)     ? quietNan
                        : value == -kInfinity ? minusInfinity
                                              : 0;  // no other is asked for
  switch (out) {
    case Dtype::f32: std::fill_n(static_cast<float*>(y), cols, float(value)); break;
    case Dtype::f64: std::fill_n(static_cast<double*>(y), cols, value); break;
    default: std::fill_n(static_cast<uint16_t*>(y), cols, bits);
  }
}

}  // namespace softlane
#endif
