// Every kernel of every instruction set against plain float64, at lengths around each vector width, off alignment, for
// every storage type, temperature and width of arithmetic.
#include <algorithm>

#include "check.h"
#include "storage.h"

namespace softlane::test {
namespace {

/// |got - wanted| <= relative |wanted| + absolute, or both NaN, or the same infinity.
bool near(double got, double wanted, double relative, double absolute) {
  if (std::isnan(wanted)) return std::isnan(got);
  return got == wanted || std::fabs(got - wanted) <= relative * std::fabs(wanted) + absolute;
}

/// What rounding to a storage type costs: relative, and absolute among its subnormals (which AVX2 flushes in float32).
double rounding(Dtype out) {
  return out == Dtype::f64 ? 0x1p-53 : out == Dtype::f32 ? 0x1p-24 : out == Dtype::f16 ? 0x1p-11 : 0x1p-8;
}
double smallest(Dtype out) { return out == Dtype::f64 ? 0x1p-1022 : out == Dtype::f16 ? 0x1.01p-25 : 0x1.01p-126; }
/// Relative error of an exponential whose argument stands at distance d from the maximum, at a precision.
double expError(const ExpForm& form, double d) {
  if (form.wide || form.precision == Dtype::f64) return 4e-15 * (1 + d);
  const double polynomial = form.precision == Dtype::bf16 ? 1.1e-4 : form.precision == Dtype::f16 ? 4e-6 : 1.2e-6;
  return polynomial + 2.4e-7 * d;
}

constexpr double kTemperatures[] = {1, 0.3, 7.7};

/// body(in, out, form, n, x) over storage types, temperatures and lengths, and the float64 arithmetic that the forms with
/// a maximum offer (`wides`); x is uniform in (-30, 30).
template <class Body>
void eachCase(bool wides, Body body) {
  unsigned seed = 1;
  for (Dtype in : kDtypes)
    for (Dtype out : kDtypes) {
      if (!compatible(in, out)) continue;
      for (double temperature : kTemperatures)
        for (bool wide : {false, true}) {
          if (wide && (!wides || temperature == 0.3)) continue;
          const ExpForm form = expForm(temperature, out, wide);
          for (size_t n : lengths()) {
            if (n > 300 && (in == Dtype::bf16 || wide)) continue;
            seed++;
            body(in, out, form, n, uniform(in, n, -30, 30, seed, seed % 4));
          }
        }
    }
}

double maximum(Elements& x, size_t n) {
  double top = -kInfinity;
  for (size_t i = 0; i < n; i++) top = std::fmax(top, x[i]);
  return top;
}

/// e^((x - mu) / T), its argument in long double: a float64 argument near 100 would err by 1e-14.
double exponential(double x, double mu, const ExpForm& form) {
  return double(std::exp((static_cast<long double>(x) - mu) / form.temperature));
}

/// A short description of a case for messages.
std::string describe(const char* isa, Dtype in, Dtype out, const ExpForm& form, size_t n) {
  char text[128];
  std::snprintf(text, sizeof text, "%s, %s to %s, T = %g%s, %zu elements", isa, nameOf(in), nameOf(out),
                form.temperature, form.wide ? ", wide" : "", n);
  return text;
}

}  // namespace

TEST(reduce_ext_sums_blocks) {
  onEveryIsa([](const char* isa) {
    eachCase(false, [&](Dtype in, Dtype out, const ExpForm& form, size_t n, Elements x) {
      std::vector<Pair> blocks(blocksOf(n) + 1, Pair{-1, -1});
      kernels().reduce_ext(x.data(), in, n, form, blocks.data());
      CHECK(blocks[blocksOf(n)].mantissa == -1, "one block too many");
      for (size_t b = 0; b < blocksOf(n); b++) {
        double exact = 0;
        for (size_t i = b * kBlock; i < n && i < (b + 1) * kBlock; i++) exact += exponential(x[i], 0, form);
        const double got = std::ldexp(blocks[b].mantissa, int(blocks[b].exponent));
        CHECK(near(got, exact, expError(form, 0), 0), "%s: %.9g, not %.9g", describe(isa, in, out, form, n).c_str(),
              got, exact);
      }
    });
  });
}

TEST(scale_ext_writes_probabilities) {
  onEveryIsa([](const char* isa) {
    eachCase(false, [&](Dtype in, Dtype out, const ExpForm& form, size_t n, Elements x) {
      for (double offset : {0.0, -0.125}) {
        for (bool stream : {false, true}) {
          Elements y(out, n, 1);
          const double factor = 0.75, exponent = 144;  // e^100 = 2^144.3
          kernels().scale_ext(x.data(), in, y.data(), out, n, form, exponent, {factor, offset, stream});
          for (size_t i = 0; i < n; i++) {
            const double p = exponential(x[i], 0, form) * std::ldexp(factor, -int(exponent));
            const double error = p * (expError(form, 0) + rounding(out)) + std::fabs(p + offset) * rounding(out);
            CHECK(near(y[i], p + offset, 0, error + smallest(out)), "%s, offset %g: y[%zu] is %.9g, not %.9g",
                  describe(isa, in, out, form, n).c_str(), offset, i, y[i], p + offset);
          }
        }
      }
    });
  });
}

TEST(log_scale_ext_writes_log_probabilities) {
  onEveryIsa([](const char* isa) {
    eachCase(false, [&](Dtype in, Dtype out, const ExpForm& form, size_t n, Elements x) {
      Elements y(out, n, 1);
      const double logSum = 33.123456789;
      kernels().log_scale_ext(x.data(), in, y.data(), out, n, form, logSum, false);
      for (size_t i = 0; i < n; i++) {
        const double wanted = x[i] / form.temperature - logSum;
        const double arithmetic = form.wide || out == Dtype::f64 ? 1e-15 : 1.2e-7;
        CHECK(near(y[i], wanted, rounding(out), arithmetic * (std::fabs(wanted) + logSum)),
              "%s: y[%zu] is %.9g, not %.9g", describe(isa, in, out, form, n).c_str(), i, y[i], wanted);
      }
    });
  });
}

TEST(exponentials_below_a_maximum) {
  onEveryIsa([](const char* isa) {
    eachCase(true, [&](Dtype in, Dtype out, const ExpForm& form, size_t n, Elements x) {
      const double mu = n ? kernels().span_max(x.data(), in, n) : 0;
      if (n) CHECK(mu == maximum(x, n), "%s: %g, not %g", isa, mu, maximum(x, n));
      const std::string what = describe(isa, in, out, form, n);
      const std::vector<double> blank(blocksOf(n) + 1, -1);
      std::vector<double> sums = blank, tops = blank, own = blank, moments = blank, weighted = blank, tops2 = blank;
      kernels().exp_sum(x.data(), in, n, form, mu, nullptr, sums.data());
      kernels().exp_sum(x.data(), in, n, form, 0, tops.data(), own.data());
      kernels().exp_moments(x.data(), in, n, form, tops2.data(), moments.data(), weighted.data());
      const double least = double(n) * smallest(computeOf(in));
      for (size_t b = 0; b < blocksOf(n); b++) {
        double top = -kInfinity, sum = 0, ownSum = 0, weight = 0, error = 0, ownError = 0, weightError = 0;
        ExpForm narrow = form;
        narrow.wide = false;  // moments are never taken in float64
        const size_t end = std::min(n, (b + 1) * kBlock);
        for (size_t i = b * kBlock; i < end; i++) top = std::fmax(top, x[i]);
        for (size_t i = b * kBlock; i < end; i++) {
          const double e = exponential(x[i], mu, form), o = exponential(x[i], top, form);
          const double d = (mu - x[i]) / form.temperature, a = (x[i] - top) / form.temperature;
          sum += e, ownSum += o, weight += a * o;
          error += e * expError(form, d), ownError += o * expError(narrow, -a),
              weightError += o * expError(narrow, -a) * (1 - a);
        }
        CHECK(near(sums[b], sum, 5e-7, error + least), "%s: sum %.9g, not %.9g", what.c_str(), sums[b], sum);
        CHECK(tops[b] == top && tops2[b] == top, "%s: maxima %g and %g, not %g", what.c_str(), tops[b], tops2[b], top);
        CHECK(near(own[b], ownSum, 5e-7, ownError), "%s: sum %.9g, not %.9g", what.c_str(), own[b], ownSum);
        CHECK(near(moments[b], ownSum, 5e-7, ownError), "%s: sum %.9g, not %.9g", what.c_str(), moments[b], ownSum);
        CHECK(near(weighted[b], weight, 1e-6, weightError), "%s: weighted %.9g, not %.9g", what.c_str(), weighted[b],
              weight);
      }
      for (const auto& list : {sums, tops, own, tops2, moments, weighted})
        CHECK(list[blocksOf(n)] == -1, "a block too many");

      for (double offset : {0.0, -0.125}) {
        Elements y(out, n, 1);
        kernels().exp_scale(x.data(), in, y.data(), out, n, form, mu, {0.5, offset, false});
        for (size_t i = 0; i < n; i++) {
          const double a = (x[i] - mu) / form.temperature, p = 0.5 * exponential(x[i], mu, form);
          const double error = p * expError(form, -a) + std::fabs(p + offset) * rounding(out) * 2;
          CHECK(near(y[i], p + offset, 0, error + smallest(out)), "%s: y[%zu] is %.9g, not %.9g", what.c_str(), i, y[i],
                p + offset);
        }
      }
      Elements l(out, n, 1);
      kernels().log_scale(x.data(), in, l.data(), out, n, form, mu, 1.75, false);
      for (size_t i = 0; i < n; i++) {
        const double wanted = (x[i] - mu) / form.temperature - 1.75;
        const double arithmetic = form.wide || out == Dtype::f64 ? 1e-15 : 2.4e-7;
        CHECK(near(l[i], wanted, rounding(out), arithmetic * (std::fabs(wanted) + 2)), "%s: log %.9g, not %.9g",
              what.c_str(), l[i], wanted);
      }
    });
  });
}

TEST(stored_exponentials_and_their_scaling) {
  onEveryIsa([](const char* isa) {
    for (Dtype in : kDtypes) {
      const Dtype kept = computeOf(in);
      for (size_t n : lengths()) {
        Elements x = uniform(in, n, -30, 30, unsigned(n), 1), y(kept, n, 3);
        std::vector<double> sums(blocksOf(n) + 1, -1);
        const ExpForm form = expForm(1, kept);
        kernels().exp_store_sum(x.data(), in, y.data(), n, form, 30, nullptr, sums.data());
        CHECK(sums[blocksOf(n)] == -1, "a block too many");
        double sum = 0, exact = 0;
        for (size_t i = 0; i < n; i++) {
          const double e = std::exp(x[i] - 30);
          CHECK(near(y[i], e, expError(form, 30 - x[i]), smallest(kept)), "%s %s: %.9g, not %.9g", isa, nameOf(in),
                y[i], e);
          exact += y[i];
        }
        Elements own(kept, n, 2);
        std::vector<double> tops(blocksOf(n) + 1, -1), ownSums(blocksOf(n) + 1, -1);
        kernels().exp_store_sum(x.data(), in, own.data(), n, form, 0, tops.data(), ownSums.data());
        for (size_t i = 0; i < n; i++) {
          const double top = tops[i / kBlock], e = std::exp(x[i] - top);
          CHECK(near(own[i], e, expError(form, top - x[i]), smallest(kept)), "%s %s: %.9g, not %.9g", isa, nameOf(in),
                own[i], e);
        }
        if (kept == in) {  // in place
          Elements same = x;
          kernels().exp_store_sum(same.data(), in, same.data(), n, form, 0, tops.data(), ownSums.data());
          CHECK(std::memcmp(same.data(), own.data(), n * sizeOf(in)) == 0, "%s %s, %zu, in place", isa, nameOf(in), n);
        }
        for (size_t b = 0; b < blocksOf(n); b++) sum += sums[b];
        CHECK(near(sum, exact, 5e-7, 0), "%s %s: sum %.9g of what is stored, not %.9g", isa, nameOf(in), sum, exact);
        for (Dtype out : kDtypes) {
          if (!compatible(in, out)) continue;
          for (bool stream : {false, true}) {
            Elements z(out, n, 1);
            kernels().scale(y.data(), z.data(), out, n, {1 / exact, 0, stream});
            for (size_t i = 0; i < n; i++)
              CHECK(near(z[i], y[i] / exact, 2 * rounding(kept) + rounding(out), smallest(out)), "%s %s to %s: %.9g",
                    isa, nameOf(kept), nameOf(out), z[i]);
          }
        }
      }
    }
  });
}

TEST(softmax_rows_of_one_block) {
  onEveryIsa([](const char* isa) {
    unsigned seed = 1;
    for (Dtype in : kDtypes)
      for (Dtype out : kDtypes) {
        if (!compatible(in, out)) continue;
        for (size_t cols : {1, 2, 3, 8, 10, 16, 17, 31, 32, 33, 64, 100, 257, 4096}) {
          for (bool transposed : {false, true}) {
            if (transposed && cols > kTransposed) continue;
            for (bool log : {false, true}) {
              const size_t rows = cols > 1000 ? 2 : 19, strideX = cols + seed % 3, strideY = cols + seed % 2;
              const ExpForm form = expForm(seed % 2 ? 1 : 0.7, out);
              Elements x = uniform(in, rows * strideX, -15, 15, seed++, 1), y(out, rows * strideY, 1);
              for (size_t i = 0; i < rows * strideY; i++) y.set(i, 12345);
              const double untouched = y[0];
              kernels().softmax_rows({x.data(), y.data(), rows, cols, strideX, strideY, in, out}, form, log, 0,
                                     transposed, false);
              for (size_t r = 0; r < rows; r++) {
                double mu = -kInfinity, sum = 0;
                for (size_t c = 0; c < cols; c++) mu = std::fmax(mu, x[r * strideX + c]);
                for (size_t c = 0; c < cols; c++) sum += std::exp((x[r * strideX + c] - mu) / form.temperature);
                for (size_t c = 0; c < cols; c++) {
                  const double a = (x[r * strideX + c] - mu) / form.temperature, got = y[r * strideY + c];
                  const double wanted = log ? a - std::log(sum) : std::exp(a) / sum;
                  const double error = log ? (out == Dtype::f64 ? 1e-14 : 5e-7) * (1 - a) + expError(form, 0)
                                           : wanted * 2 * expError(form, -a);
                  CHECK(near(got, wanted, 2 * rounding(out), error + smallest(out)),
                        "%s%s%s: row %zu, column %zu is %.9g, not %.9g", describe(isa, in, out, form, cols).c_str(),
                        log ? ", log" : "", transposed ? ", transposed" : "", r, c, got, wanted);
                }
                for (size_t c = cols; c < strideY; c++)
                  CHECK(y[r * strideY + c] == untouched, "%s: wrote between rows", isa);
              }
            }
          }
        }
      }
  });
}

TEST(sums_products_and_gradients) {
  onEveryIsa([](const char* isa) {
    for (Dtype in : kDtypes)
      for (size_t n : lengths()) {
        Elements a = uniform(in, n, -2, 3, unsigned(n + 1), 1), b = uniform(in, n, -3, 2, unsigned(n + 2), 2);
        std::vector<double> sums(blocksOf(n) + 1, -1), dots(blocksOf(n) + 1, -1);
        kernels().sum(a.data(), in, n, sums.data());
        double sum = 0, exact = 0, size = 0;
        for (size_t i = 0; i < n; i++) exact += a[i];
        for (size_t k = 0; k < blocksOf(n); k++) sum += sums[k];
        CHECK(near(sum, exact, 1e-12, 1e-11), "%s %s, %zu: %.12g, not %.12g", isa, nameOf(in), n, sum, exact);
        CHECK(sums[blocksOf(n)] == -1, "a block too many");
        if (in != Dtype::f32 && in != Dtype::f64) continue;  // what follows is defined for these alone

        kernels().dot(a.data(), b.data(), in, n, dots.data());
        sum = exact = 0;
        for (size_t i = 0; i < n; i++) exact += a[i] * b[i], size += std::fabs(a[i] * b[i]);
        for (size_t k = 0; k < blocksOf(n); k++) sum += dots[k];
        CHECK(near(sum, exact, 0, size * (in == Dtype::f64 ? 1e-14 : 1e-6)), "%s, %zu: %.12g, not %.12g", isa, n, sum,
              exact);
        CHECK(dots[blocksOf(n)] == -1, "a block too many");

        Elements dx(in, n, 1), dl(in, n, 3), logp = uniform(in, n, -20, 0, unsigned(n + 3), 1);
        kernels().softmax_grad(a.data(), b.data(), dx.data(), in, n, 0.3, 1.25);
        kernels().log_softmax_grad(logp.data(), b.data(), dl.data(), in, n, -0.7, 1.25);
        const double error = in == Dtype::f64 ? 1e-14 : 3e-6;
        for (size_t i = 0; i < n; i++) {
          const double g = a[i] * (b[i] - 0.3) * 1.25, h = (b[i] + std::exp(logp[i]) * 0.7) * 1.25;
          CHECK(near(dx[i], g, error, error), "%s: softmax gradient %.9g, not %.9g", isa, dx[i], g);
          CHECK(near(dl[i], h, error, error), "%s: log-softmax gradient %.9g, not %.9g", isa, dl[i], h);
        }
      }
  });
}

TEST(ceilings_compute_what_they_time) {
  onEveryIsa([](const char* isa) {
    for (size_t n : lengths()) {
      Elements x = uniform(Dtype::f32, n, 1, 2, unsigned(n), 1);
      const double whole = kernels().stream_read(x.as<float>(), n);  // whole vectors only: a timing, not a result
      CHECK(whole >= 0 && whole <= (n ? maximum(x, n) : 0), "%s, %zu: %g", isa, n, whole);
    }
    CHECK(std::fabs(kernels().fma_chain(100) / kernels().fma_chain(101) - 1) < 1e-6, "%s: chains tend to 2", isa);
  });
}

}  // namespace softlane::test
