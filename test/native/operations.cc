// Operations as the binding calls them, without Node: every algorithm against plain float64, the same bits for any
// number of threads, special values, refusals. Under sanitizers this walks all of native/.
#include "../../native/ops.h"
#include "check.h"
#include "storage.h"

namespace softlane::test {
namespace {

constexpr Algorithm kAlgorithms[] = {Algorithm::automatic, Algorithm::twoPass,   Algorithm::online,
                                     Algorithm::blocked,   Algorithm::recompute, Algorithm::reload};
const char* nameOf(Algorithm algorithm) { return Names<Algorithm>::list[int(algorithm)]; }

Element elementOf(Dtype dtype) {
  return dtype == Dtype::f32 ? Element::float32 : dtype == Dtype::f64 ? Element::float64 : Element::uint16;
}
In<Any> in(Elements& x, Dtype dtype, size_t n) { return {x.data(), n, elementOf(dtype)}; }
template <class O>
O out(Elements& y, Dtype dtype, size_t n) {
  O array;
  array.data = y.data();
  array.length = n;
  array.element = elementOf(dtype);
  return array;
}

struct Shape {
  size_t rows, cols;
};
constexpr Shape kShapes[] = {{1, 1}, {3, 10}, {40, 17}, {5, 100}, {2, 4097}, {1, 150001}, {64, 3001}};

Elements softmaxOf(Elements& x, Shape shape, Dtype dtype, Algorithm algorithm, bool log, double temperature,
                   size_t threads) {
  const size_t n = shape.rows * shape.cols;
  Elements y(dtype, n, 1);
  Run run;
  ops::softmax(run, in(x, dtype, n), out<InPlace<Any>>(y, dtype, n), shape.rows, shape.cols, shape.cols, shape.cols,
               dtype, dtype, temperature, algorithm, log, EmptyRow::zero, Stores::ordinary, threads);
  return y;
}

}  // namespace

TEST(softmax_by_every_algorithm) {
  onEveryIsa([](const char* isa) {
    for (const Shape& shape : kShapes)
      for (Dtype dtype : {Dtype::f32, Dtype::f64})
        for (Algorithm algorithm : kAlgorithms) {
          Elements x = uniform(dtype, shape.rows * shape.cols, -10, 10, 11, 1);
          Elements p = softmaxOf(x, shape, dtype, algorithm, false, 0.8, 1);
          Elements l = softmaxOf(x, shape, dtype, algorithm, true, 0.8, 1);
          for (size_t r = 0; r < shape.rows; r++) {
            double mu = -kInfinity, sum = 0;
            for (size_t c = 0; c < shape.cols; c++) mu = std::fmax(mu, x[r * shape.cols + c]);
            for (size_t c = 0; c < shape.cols; c++) sum += std::exp((x[r * shape.cols + c] - mu) / 0.8);
            for (size_t c = 0; c < shape.cols; c++) {
              const size_t i = r * shape.cols + c;
              const double d = (mu - x[i]) / 0.8, wanted = std::exp(-d) / sum, logWanted = -d - std::log(sum);
              const double scale = dtype == Dtype::f64 ? 1e-8 : 1;
              CHECK(std::fabs(p[i] / wanted - 1) <= scale * (1.5e-6 + 2.4e-7 * d), "%s, %s, [%zu, %zu]: %.9g, not %.9g",
                    isa, nameOf(algorithm), shape.rows, shape.cols, p[i], wanted);
              CHECK(std::fabs(l[i] - logWanted) <= scale * (2e-6 + 2.4e-7 * (d - logWanted)),
                    "%s, %s, [%zu, %zu]: log %.9g, not %.9g", isa, nameOf(algorithm), shape.rows, shape.cols, l[i],
                    logWanted);
            }
          }
        }
  });
}

TEST(the_bits_do_not_depend_on_threads) {
  const size_t before = pool::threads();
  pool::setThreads(8);
  onEveryIsa([](const char* isa) {
    for (const Shape& shape : {Shape{1, 600001}, Shape{300, 2001}})
      for (Algorithm algorithm : kAlgorithms)
        for (bool log : {false, true}) {
          const size_t n = shape.rows * shape.cols;
          Elements x = uniform(Dtype::f32, n, -10, 10, 12);
          Elements one = softmaxOf(x, shape, Dtype::f32, algorithm, log, 1, 1);
          for (size_t threads : {2, 3, 8}) {
            Elements many = softmaxOf(x, shape, Dtype::f32, algorithm, log, 1, threads);
            CHECK(std::memcmp(one.data(), many.data(), 4 * n) == 0, "%s, %s, [%zu, %zu], %zu threads", isa,
                  nameOf(algorithm), shape.rows, shape.cols, threads);
          }
        }
  });
  pool::setThreads(before);
}

TEST(special_values_stay_in_their_row) {
  onEveryIsa([](const char* isa) {
    for (Algorithm algorithm : kAlgorithms)
      for (size_t cols : {1, 7, 16, 33, 70, 4097})
        for (double special : {kNan, kInfinity, -kInfinity})
          for (size_t position : {size_t(0), cols / 2, cols - 1}) {
            const Shape shape{3, cols};
            Elements x = uniform(Dtype::f32, 3 * cols, -5, 5, 13, 1), clean = x;
            x.set(cols + position, special);
            Elements p = softmaxOf(x, shape, Dtype::f32, algorithm, false, 1, 1);
            Elements q = softmaxOf(clean, shape, Dtype::f32, algorithm, false, 1, 1);
            for (size_t c = 0; c < cols; c++) {
              CHECK(p[c] == q[c] && p[2 * cols + c] == q[2 * cols + c], "%s, %s: %g reached another row", isa,
                    nameOf(algorithm), special);
              const double got = p[cols + c];
              if (special == -kInfinity) CHECK(c == position ? got == 0 : got > 0, "%s: %g", nameOf(algorithm), got);
              else
                CHECK(std::isnan(got), "%s, %s: %g at %zu of %zu beside %g", isa, nameOf(algorithm), got, c, cols,
                      special);
            }
          }
  });
}

TEST(losses_and_gradients) {
  onEveryIsa([](const char* isa) {
    for (const Shape& shape : kShapes) {
      const size_t n = shape.rows * shape.cols;
      Elements x = uniform(Dtype::f32, n, -6, 6, 14, 1), g(Dtype::f32, n, 1);
      std::vector<int32_t> targets(shape.rows);
      for (size_t r = 0; r < shape.rows; r++) targets[r] = int32_t(r * 31 % shape.cols);
      std::vector<double> losses(shape.rows), sums(shape.rows), entropies(shape.rows);
      Maybe<InPlace<Any>> gradient{out<InPlace<Any>>(g, Dtype::f32, n)};
      Run run;
      ops::logSumExp(run, in(x, Dtype::f32, n), {sums.data(), shape.rows}, shape.rows, shape.cols, shape.cols,
                     Dtype::f32, 1, Algorithm::automatic, 1);
      ops::entropy(run, in(x, Dtype::f32, n), {entropies.data(), shape.rows}, shape.rows, shape.cols, shape.cols,
                   Dtype::f32, 1, 1);
      ops::crossEntropy(run, in(x, Dtype::f32, n), {targets.data(), shape.rows}, {losses.data(), shape.rows}, gradient,
                        {}, shape.rows, shape.cols, shape.cols, Dtype::f32, 1, Algorithm::automatic, 0.1, -100,
                        Reduction::none, EmptyRow::zero, 1);
      for (size_t r = 0; r < shape.rows; r++) {
        double sum = 0, total = 0, entropy = 0, slope = 0;
        for (size_t c = 0; c < shape.cols; c++) sum += std::exp(x[r * shape.cols + c]), total += x[r * shape.cols + c];
        const double lse = std::log(sum);
        for (size_t c = 0; c < shape.cols; c++) {
          const double p = std::exp(x[r * shape.cols + c] - lse);
          const double q = 0.9 * (int32_t(c) == targets[r]) + 0.1 / double(shape.cols);
          entropy -= p * (x[r * shape.cols + c] - lse);
          slope += g[r * shape.cols + c];
          CHECK(std::fabs(g[r * shape.cols + c] - (p - q)) < 1e-6, "%s: gradient %.9g, not %.9g", isa,
                g[r * shape.cols + c], p - q);
        }
        const double loss = lse - 0.9 * x[r * shape.cols + size_t(targets[r])] - 0.1 * total / double(shape.cols);
        CHECK(std::fabs(sums[r] - lse) < 2e-6, "%s: log-sum-exp %.9g, not %.9g", isa, sums[r], lse);
        CHECK(std::fabs(entropies[r] - entropy) < 1e-5, "%s: entropy %.9g, not %.9g", isa, entropies[r], entropy);
        CHECK(std::fabs(losses[r] - loss) < 2e-6 * std::fmax(1, loss), "%s: loss %.9g, not %.9g", isa, losses[r], loss);
        CHECK(std::fabs(slope) < 1e-6 * double(shape.cols), "%s: a gradient row sums to %g", isa, slope);
      }
    }
  });
}

TEST(bad_arguments_are_refused_before_anything_is_written) {
  Elements x = uniform(Dtype::f32, 12, 0, 1, 15), y(Dtype::f32, 12);
  for (size_t i = 0; i < 12; i++) y.set(i, -1);
  const auto refused = [&](const char* argument, size_t rows, size_t cols, size_t stride, double temperature,
                           Dtype dtype) {
    Run run;
    try {
      ops::softmax(run, in(x, Dtype::f32, 12), out<InPlace<Any>>(y, Dtype::f32, 12), rows, cols, stride, cols, dtype,
                   Dtype::f32, temperature, Algorithm::automatic, false, EmptyRow::zero, Stores::ordinary, 1);
    } catch (const Error& error) {
      const std::string quoted = std::string("\"") + argument + "\" must be ";
      CHECK(error.message.find(quoted) == 0, "%s", error.message.c_str());
      for (size_t i = 0; i < 12; i++) CHECK(y[i] == -1, "element %zu was written", i);
      return;
    }
    CHECK(false, "nothing was thrown about %s", argument);
  };
  refused("x", 4, 4, 4, 1, Dtype::f32);
  refused("x", size_t(1) << 62, 4, 4, 1, Dtype::f32);
  refused("x", 3, 4, 3, 1, Dtype::f32);
  refused("x", 1, 12, 12, 1, Dtype::f64);
  refused("temperature", 3, 4, 4, 0, Dtype::f32);
  refused("temperature", 3, 4, 4, kNan, Dtype::f32);
  refused("temperature", 3, 4, 4, 1e31, Dtype::f32);
}

}  // namespace softlane::test
