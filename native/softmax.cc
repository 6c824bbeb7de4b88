// The operations softmax and logSoftmax: checks, choice of the form, rows.
#ifdef SOFTLANE_OPERATIONS
#include <algorithm>

#include "cpu.h"
#include "rows.h"

namespace softlane {
namespace {

struct Task {
  Dtype in, out;
  size_t cols;
  Algorithm algorithm;
  ExpForm form;
  bool log, stream;
  double emptyRow;  ///< what an empty row is filled with
};

/// Non-temporal stores: where asked for, or where calibration has found a gain and rows are long enough to fill lines.
bool streams(Stores stores, Algorithm algorithm, bool inPlace, size_t rows, size_t cols, Dtype in, Dtype out) {
  if (stores != Stores::automatic) return stores == Stores::streaming;
  constexpr size_t kShortest = 1024;
  // Rows of several blocks keep their exponentials in y: a line that is in the cache must not be streamed.
  const bool kept = (algorithm == Algorithm::blocked || algorithm == Algorithm::reload) && cols > kBlock;
  if (kept) return false;
  return !inPlace && cols >= kShortest &&
         rows * cols * (sizeOf(in) + sizeOf(out)) >= tuning().streamFrom[int(currentIsa())][int(out)];
}

void oneRow(Run& run, const Task& task, const void* x, void* y) {
  const Row row{x, task.in, task.cols};
  const bool stores = !task.log && (task.algorithm == Algorithm::reload || task.algorithm == Algorithm::blocked);
  // 16-bit results would be rounded twice if the exponentials were kept in them: float32 scratch.
  const bool direct = task.out == computeOf(task.in);
  std::unique_ptr<Scratch> scratch;
  void* stored = nullptr;
  if (stores) {
    if (!direct) scratch = std::make_unique<Scratch>(task.cols * sizeOf(computeOf(task.in)));
    stored = direct ? y : scratch->as<void>();
  }
  PerBlock<double> factors(stores ? task.cols : 0);
  const Normaliser sum = normalise(run, row, task.algorithm, task.form, stored, stores ? factors.data() : nullptr);
  if (run.stopped()) return;
  if (sum.isNan() || sum.isEmpty()) return fillRow(y, task.out, task.cols, sum.isNan() ? kNan : task.emptyRow);
  if (!task.log && !stores) return writeProbabilities(run, row, sum, y, task.out, task.form, {1, 0, task.stream});

  ExpForm form = task.form;
  form.wide = sum.wide;
  const double logSum = sum.pairs ? sum.logSumExp(form) : std::log(sum.sum);
  run.each(blocksOf(task.cols), kPiece / kBlock, [&](size_t begin, size_t end) {
    run.advance(std::min(end * kBlock, task.cols) - begin * kBlock);
    for (size_t block = begin; block < end; block++) {
      const size_t start = block * kBlock, n = std::min(kBlock, task.cols - start);
      const void* from = at(x, task.in, start);
      void* to = at(y, task.out, start);
      if (stores) {
        kernels().scale(at(stored, computeOf(task.in), start), to, task.out, n, {factors[block], 0, task.stream});
      } else if (sum.pairs) {
        kernels().log_scale_ext(from, task.in, to, task.out, n, form, logSum, task.stream);
      } else {
        kernels().log_scale(from, task.in, to, task.out, n, form, sum.mu, logSum, task.stream);
      }
    }
  });
}

}  // namespace

namespace ops {

void softmax(Run& run, In<Any> x, InPlace<Any> out, size_t rows, size_t cols, size_t rowStride, size_t outRowStride,
             Dtype dtype, Dtype outDtype, double temperature, Algorithm algorithm, bool log, EmptyRow emptyRow,
             Stores stores, size_t threads) {
  requireStorage("x", x.element, dtype);
  requireStorage("out", out.element, outDtype);
  requireMatrix("x", x.length, rows, cols, rowStride);
  requireMatrix("out", out.length, rows, cols, outRowStride);
  requireTemperature(temperature);
  if ((dtype == Dtype::f64) != (outDtype == Dtype::f64))
    throw rangeError("outDtype", "f64 exactly where dtype is", Names<Dtype>::list[int(outDtype)]);
  const bool inPlace = x.data == out.data && x.length;
  if (inPlace && stores == Stores::streaming) throw rangeError("streamingStores", "false when out is x", "true");
  if (inPlace && (dtype != outDtype || rowStride != outRowStride))
    throw rangeError("out", "of the same dtype and row stride as x when it is x", "another");

  // The logarithm of a sum shows what a short polynomial loses; its second pass has no exponential to save.
  const ExpForm form = formOf(temperature, log ? computeOf(dtype) : outDtype);
  // Log-probabilities need no second exponential: short rows go to the kernel of many rows, long ones are read twice.
  if (log && algorithm == Algorithm::automatic && cols <= kBlock) algorithm = Algorithm::blocked;
  algorithm = chosen(algorithm, cols, dtype, outDtype, log);
  const bool stream = streams(stores, algorithm, inPlace, rows, cols, dtype, outDtype);
  const double empty = emptyRow == EmptyRow::nan ? kNan : log ? -kInfinity : 0;
  const bool oneBlock = algorithm == Algorithm::blocked || algorithm == Algorithm::reload;
  if (oneBlock && cols <= kBlock) {
    const size_t group = 16, grain = group * (1 + kPiece / (group * (cols + 1)));
    run.expect(rows * cols);
    run.useThreads(std::min(threads, 1 + rows * cols / (2 * kPiece)));
    run.each(rows, grain, [&](size_t begin, size_t end) {
      const Rows piece{at(x.data, dtype, begin * rowStride),
                       at(out.data, outDtype, begin * outRowStride),
                       end - begin,
                       cols,
                       rowStride,
                       outRowStride,
                       dtype,
                       outDtype};
      kernels().softmax_rows(piece, form, log, empty, cols <= kTransposed, stream);
      run.advance((end - begin) * cols);
    });
    return;
  }
  const Task task{dtype, outDtype, cols, algorithm, form, log, stream, empty};
  eachRow(run, rows, cols, threads, 1 + readsOf(algorithm), [&](Run& inner, size_t r) {
    oneRow(inner, task, at(x.data, dtype, r * rowStride), at(out.data, outDtype, r * outRowStride));
  });
}

double softmaxChoice(Run&, size_t cols, Dtype dtype, Dtype outDtype, Isa isa) {
  const IsaScope scope(isa);
  return double(chosen(Algorithm::automatic, cols, dtype, outDtype, false));
}

}  // namespace ops
}  // namespace softlane
#endif
