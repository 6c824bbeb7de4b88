// The elastic operations on random series: every loop gives the same bits for the same pair (lanes, anti-diagonals,
// pruned rows), any number of threads the same matrix, pruning the same neighbours. Under sanitizers this walks the family.
#include <random>

#include "../../native/elastic/method.h"
#include "check.h"
#include "storage.h"

namespace softlane::test {
namespace {

constexpr Metric kMetrics[] = {Metric::squared, Metric::euclidean, Metric::dtw,      Metric::ddtw, Metric::wdtw,
                               Metric::wddtw,   Metric::adtw,      Metric::shapeDtw, Metric::erp,  Metric::edr,
                               Metric::lcss,    Metric::twe,       Metric::msm,      Metric::sbd};

template <class T>
In<T> in(const std::vector<T>& values) {
  In<T> in;
  in.data = values.data();
  in.length = values.size();
  return in;
}
template <class A, class T>
A any(const std::vector<T>& values) {
  A in;
  in.data = values.data();
  in.length = values.size();
  in.element = sizeof(T) == 4 ? Element::float32 : Element::float64;
  return in;
}
template <class A, class T>
A out(std::vector<T>& values) {
  A out;
  out.data = values.data();
  out.length = values.size();
  return out;
}

template <class S>
struct Set {
  std::vector<S> data;
  std::vector<int32_t> lengths;
  size_t channels;

  Set(size_t count, size_t channels, size_t shortest, size_t longest, unsigned seed) : channels(channels) {
    std::mt19937 random(seed);
    std::normal_distribution<double> normal;
    for (size_t i = 0; i < count; i++) {
      lengths.push_back(int32_t(shortest + random() % (longest - shortest + 1)));
      for (size_t k = 0; k < channels * size_t(lengths.back()); k++) data.push_back(S(normal(random)));
    }
  }
  std::vector<S> series(size_t i) const {
    size_t begin = 0;
    for (size_t k = 0; k < i; k++) begin += channels * size_t(lengths[k]);
    return {data.begin() + std::ptrdiff_t(begin), data.begin() + std::ptrdiff_t(begin + channels * size_t(lengths[i]))};
  }
};

std::vector<double> parameters(Metric metric, double gamma, size_t channels) {
  std::vector<double> p(kGap + channels, 0.0);
  p[kGamma] = gamma;
  p[kSlope] = 0.05;
  p[kPenalty] = 0.3;
  p[kEpsilon] = 0.4;
  p[kNu] = 0.01;
  p[kLambda] = 0.5;
  p[kCost] = 0.5;
  p[kReach] = 2;
  p[kFlags] = metric == Metric::msm ? kIndependent : metric == Metric::sbd ? kNormalize : Flag(0);
  return p;
}

template <class S>
void loopsAgree(const char* isa, Metric metric, BandKind kind, double bandValue, size_t channels, bool ragged) {
  const bool pointwise = metric == Metric::squared || metric == Metric::euclidean;
  const size_t shortest = ragged && !pointwise ? 3 : 11;
  const Set<S> x(5, channels, shortest, 11, 1), y(19, channels, shortest, 11, 2);
  std::vector<double> p = parameters(metric, 0, channels);
  p[kBand] = bandValue;
  std::vector<double> one(5 * 19, -1), two(5 * 19, -2);
  Run run;
  ops::elasticPairwise(
      run, any<In<Any>>(x.data), in(x.lengths), any<Maybe<In<Any>>>(y.data),
      [&] {
        Maybe<In<int32_t>> l;
        static_cast<In<int32_t>&>(l) = in(y.lengths);
        return l;
      }(),
      out<Out<double>>(one), 0, 5, 0, 19, channels, metric, kind, in(p), 1);
  ops::elasticPairwise(
      run, any<In<Any>>(x.data), in(x.lengths), any<Maybe<In<Any>>>(y.data),
      [&] {
        Maybe<In<int32_t>> l;
        static_cast<In<int32_t>&>(l) = in(y.lengths);
        return l;
      }(),
      out<Out<double>>(two), 0, 5, 0, 19, channels, metric, kind, in(p), 2);
  for (size_t i = 0; i < 5; i++)
    for (size_t j = 0; j < 19; j++) {
      const std::vector<S> a = x.series(i), b = y.series(j);
      const double lone = ops::elasticDistance(run, any<In<Any>>(a), any<In<Any>>(b), kInfinity, channels, metric, kind,
                                               in(p)),
                   cut =
                       ops::elasticDistance(run, any<In<Any>>(a), any<In<Any>>(b), lone, channels, metric, kind, in(p));
      const double got = one[i * 19 + j];
      CHECK(got == lone && two[i * 19 + j] == lone && cut == lone,
            "%s, %s, band %d, %zu channels, pair %zu %zu: lanes %.17g, threads %.17g, alone %.17g, pruned %.17g", isa,
            Names<Metric>::list[int(metric)], int(kind), channels, i, j, got, two[i * 19 + j], lone, cut);
      if (lone > 0 && lone < kInfinity) {
        const double below = ops::elasticDistance(run, any<In<Any>>(a), any<In<Any>>(b), std::nextafter(lone, 0.0),
                                                  channels, metric, kind, in(p));
        CHECK(below == kInfinity, "%s, %s: %.17g under a cutoff below %.17g", isa, Names<Metric>::list[int(metric)],
              below, lone);
      }
    }
}

template <class S>
void gradientsAgree(const char* isa, Metric metric, BandKind kind, double bandValue, size_t channels) {
  const size_t count = 17;
  const Set<S> x(count, channels, 9, 9, 3), y(count, channels, 9, 9, 4);
  std::vector<double> p = parameters(metric, 0.5, channels);
  p[kBand] = bandValue;
  std::vector<double> values(count), dx(x.data.size(), 7), dy(y.data.size(), 7);
  Run run;
  ops::elasticPaired(run, any<In<Any>>(x.data), in(x.lengths), any<In<Any>>(y.data), in(y.lengths),
                     out<Out<double>>(values), out<Maybe<Out<double>>>(dx), out<Maybe<Out<double>>>(dy), {}, channels,
                     metric, kind, in(p), 2);
  const size_t size = 9 * channels;
  const double tolerance = sizeof(S) == 4 ? 1e-4 : 1e-10;
  for (size_t k = 0; k < count; k++) {
    const std::vector<S> a = x.series(k), b = y.series(k);
    std::vector<double> da(size), db(size), alignment(81), occupancy(81);
    const double value = ops::elasticSoftPair(run, any<In<Any>>(a), any<In<Any>>(b), out<Out<double>>(da),
                                              out<Out<double>>(db), out<Maybe<Out<double>>>(alignment),
                                              out<Maybe<Out<double>>>(occupancy), channels, metric, kind, in(p));
    CHECK(value == values[k], "%s, %s: %.17g alone, %.17g in lanes", isa, Names<Metric>::list[int(metric)], value,
          values[k]);
    for (size_t i = 0; i < size; i++)
      CHECK(std::fabs(da[i] - dx[k * size + i]) <= tolerance && std::fabs(db[i] - dy[k * size + i]) <= tolerance,
            "%s, %s, band %d, pair %zu, element %zu: dx %.17g and %.17g, dy %.17g and %.17g", isa,
            Names<Metric>::list[int(metric)], int(kind), k, i, da[i], dx[k * size + i], db[i], dy[k * size + i]);
    // Paths end in the last cell; all of them, in each channel that has its own.
    const double paths = metric == Metric::softMsm ? double(channels) : 1;
    CHECK(std::fabs(occupancy[80] - paths) < 1e-5, "%s: occupancy %g of the last cell", isa, occupancy[80]);
  }
}

template <class S>
void neighboursAgree(const char* isa, Metric metric, BandKind kind, double bandValue, size_t channels, bool ragged) {
  const Set<S> x(23, channels, ragged ? 5 : 16, 16, 5), q(9, channels, ragged ? 5 : 16, 16, 6);
  std::vector<double> p = parameters(metric, 0, channels), d1(27), d2(27);
  p[kBand] = bandValue;
  std::vector<int32_t> i1(27), i2(27);
  Run run;
  ops::elasticNearest(run, any<In<Any>>(x.data), in(x.lengths), any<In<Any>>(q.data), in(q.lengths),
                      out<Out<int32_t>>(i1), out<Out<double>>(d1), 3, true, false, channels, metric, kind, in(p), 2);
  ops::elasticNearest(run, any<In<Any>>(x.data), in(x.lengths), any<In<Any>>(q.data), in(q.lengths),
                      out<Out<int32_t>>(i2), out<Out<double>>(d2), 3, false, false, channels, metric, kind, in(p), 1);
  CHECK(i1 == i2 && d1 == d2, "%s, %s, band %d: pruning changes the neighbours", isa, Names<Metric>::list[int(metric)],
        int(kind));
}

}  // namespace

TEST(elastic_loops_give_the_same_bits) {
  onEveryIsa([](const char* isa) {
    for (Metric metric : kMetrics)
      for (size_t channels : {1, 2})
        for (bool ragged : {false, true})
          for (const auto& [kind, value] : {std::pair(BandKind::none, 1.0), std::pair(BandKind::fraction, 0.3),
                                            std::pair(BandKind::radius, 2.0), std::pair(BandKind::fraction, 0.0)}) {
            loopsAgree<double>(isa, metric, kind, value, channels, ragged);
            loopsAgree<float>(isa, metric, kind, value, channels, ragged);
          }
    for (Metric metric : {Metric::dtw, Metric::erp, Metric::edr, Metric::lcss, Metric::twe, Metric::msm})
      for (double slope : {0.1, 0.3, 0.5, 1.0}) loopsAgree<double>(isa, metric, BandKind::itakura, slope, 1, false);
  });
}

TEST(elastic_gradients_of_lanes_and_diagonals_agree) {
  onEveryIsa([](const char* isa) {
    for (Metric metric : {Metric::dtw, Metric::wdtw, Metric::adtw, Metric::erp, Metric::twe, Metric::softMsm})
      for (size_t channels : {1, 2})
        for (const auto& [kind, value] :
             {std::pair(BandKind::none, 1.0), std::pair(BandKind::fraction, 0.3), std::pair(BandKind::fraction, 0.0)}) {
          gradientsAgree<double>(isa, metric, kind, value, channels);
          gradientsAgree<float>(isa, metric, kind, value, channels);
        }
  });
}

TEST(elastic_neighbours_are_those_of_all_pairs) {
  onEveryIsa([](const char* isa) {
    for (Metric metric : kMetrics)
      for (size_t channels : {1, 2})
        for (const auto& [kind, value] : {std::pair(BandKind::none, 1.0), std::pair(BandKind::fraction, 0.2)}) {
          neighboursAgree<double>(isa, metric, kind, value, channels, false);
          neighboursAgree<float>(isa, metric, kind, value, channels, false);
          if (metric != Metric::squared && metric != Metric::euclidean)
            neighboursAgree<double>(isa, metric, kind, value, channels, true);
        }
  });
}

}  // namespace softlane::test
