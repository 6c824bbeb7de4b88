// The algebra of (mantissa, exponent) pairs, and that a row may be cut anywhere: identity, commutativity,
// associativity.
#include "../../native/rows.h"
#include "check.h"
#include "storage.h"

namespace softlane::test {
namespace {

struct Pairs {
  std::vector<float> m, e;
  explicit Pairs(size_t n) : m(n), e(n) {}
};

Pairs some(size_t n, unsigned seed, int spread) {
  Pairs p(n);
  std::mt19937 bits(seed);
  for (size_t i = 0; i < n; i++) {
    p.m[i] = 0.7072f + float(bits() % 4096) / 1024;  // a sum of a few exponentials
    p.e[i] = float(int(bits() % unsigned(2 * spread + 1)) - spread);
  }
  return p;
}

Pairs add(const Pairs& a, const Pairs& b) {
  Pairs sum(a.m.size());
  kernels().ext_add(a.m.data(), a.e.data(), b.m.data(), b.e.data(), sum.m.data(), sum.e.data(), a.m.size());
  return sum;
}

/// The value relative to 2^top, in float64.
double value(const Pairs& p, size_t i, double top) { return std::ldexp(double(p.m[i]), int(p.e[i] - top)); }

}  // namespace

TEST(pairs_have_an_identity) {
  onEveryIsa([](const char* isa) {
    const Pairs a = some(133, 1, 100000);
    Pairs zero(133);
    for (float& e : zero.e) e = -float(kInfinity);
    for (const Pairs& sum : {add(a, zero), add(zero, a)})
      for (size_t i = 0; i < 133; i++)
        CHECK(sum.m[i] == a.m[i] && sum.e[i] == a.e[i], "%s: (%g, %g) became (%g, %g)", isa, a.m[i], a.e[i], sum.m[i],
              sum.e[i]);
    const Pairs none = add(zero, zero);
    for (size_t i = 0; i < 133; i++) CHECK(none.m[i] == 0 && none.e[i] == -kInfinity, "%s", isa);
  });
}

TEST(pairs_commute) {
  onEveryIsa([](const char* isa) {
    for (int spread : {0, 3, 40, 200, 100000}) {
      const Pairs a = some(257, 2, spread), b = some(257, 3, spread), ab = add(a, b), ba = add(b, a);
      CHECK(ab.m == ba.m && ab.e == ba.e, "%s, exponents within %d", isa, spread);
    }
  });
}

TEST(pairs_associate) {
  onEveryIsa([](const char* isa) {
    for (int spread : {0, 3, 40, 200, 100000}) {
      const Pairs a = some(1021, 4, spread), b = some(1021, 5, spread), c = some(1021, 6, spread);
      const Pairs left = add(add(a, b), c), right = add(a, add(b, c));
      for (size_t i = 0; i < 1021; i++) {
        const double top = std::fmax(a.e[i], std::fmax(b.e[i], c.e[i]));
        const double exact = value(a, i, top) + value(b, i, top) + value(c, i, top);
        CHECK(std::fabs(value(left, i, top) / exact - 1) < 3e-7 && std::fabs(value(right, i, top) / exact - 1) < 3e-7,
              "%s, exponents within %d: %.9g and %.9g, not %.9g", isa, spread, value(left, i, top),
              value(right, i, top), exact);
      }
    }
  });
}

TEST(a_row_may_be_cut_anywhere) {
  constexpr size_t n = 9001;
  onEveryIsa([](const char* isa) {
    Elements x = uniform(Dtype::f32, n, -20, 20, 7);
    const ExpForm form = expForm(1, Dtype::f32);
    const auto logSum = [&](Algorithm algorithm, size_t begin, size_t end) {
      Run run;
      return normalise(run, {x.as<float>() + begin, Dtype::f32, end - begin}, algorithm, form).logSumExp(form);
    };
    for (Algorithm algorithm : {Algorithm::twoPass, Algorithm::online, Algorithm::blocked, Algorithm::recompute}) {
      const double whole = logSum(algorithm, 0, n);
      for (size_t cut = 0; cut <= n; cut += cut < 40 || cut > n - 60 ? 1 : 331) {
        const double a = logSum(algorithm, 0, cut), b = logSum(algorithm, cut, n);
        const double top = std::fmax(a, b), merged = top + std::log(std::exp(a - top) + std::exp(b - top));
        CHECK(std::fabs(merged - whole) < 2e-6, "%s, %s, cut at %zu: %.9g, not %.9g", isa,
              Names<Algorithm>::list[int(algorithm)], cut, merged, whole);
      }
    }
  });
}

}  // namespace softlane::test
