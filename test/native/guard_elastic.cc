// The elastic kernels between guard pages: every recursion, hard and soft, one channel and two, with and without a band.
#include "../../native/elastic/method.h"
#include "guarded.h"

#if defined(__unix__) || defined(__APPLE__)

namespace softlane::test {
namespace {

constexpr Recursion kRecursions[] = {Recursion::dtw,          Recursion::wdtw,   Recursion::adtw, Recursion::erp,
                                     Recursion::edr,          Recursion::lcss,   Recursion::twe,  Recursion::msm,
                                     Recursion::msmDependent, Recursion::softMsm};
constexpr double kGap[] = {0, 0.5};

bool isSoft(Recursion r) {
  return r != Recursion::edr && r != Recursion::lcss && r != Recursion::msm && r != Recursion::msmDependent;
}
bool isHard(Recursion r) { return r != Recursion::softMsm; }
bool isOneChannel(Recursion r) { return r == Recursion::msm || r == Recursion::softMsm; }

struct Shape {
  size_t n, m, channels;
  bool banded;
};

/// body(recursion, gamma, shape, dtype) over what the loops are compiled for.
template <class Body>
void eachElastic(Body body) {
  for (Dtype dtype : {Dtype::f32, Dtype::f64})
    for (Recursion r : kRecursions)
      for (double gamma : {0.0, 0.7}) {
        if (gamma > 0 ? !isSoft(r) : !isHard(r)) continue;
        for (size_t channels : {1, 2}) {
          if (channels > 1 && isOneChannel(r)) continue;
          for (size_t n : {1, 2, 3, 4, 5, 9})
            for (size_t m : {1, 2, 3, 7})
              for (bool banded : {false, true}) body(r, gamma, Shape{n, m, channels, banded}, dtype);
        }
      }
}

template <class T>
const T* copied(Spans& s, const std::vector<T>& values) {
  T* p = s.out<T>(values.size());
  std::copy(values.begin(), values.end(), p);
  return p;
}

void* zeros(Spans& s, Dtype dtype, size_t n) {
  void* p = s.out(dtype, n);
  std::memset(p, 0, n * sizeOf(dtype));
  return p;
}
const void* after(const void* p, Dtype dtype, size_t n) { return static_cast<const char*>(p) + n * sizeOf(dtype); }
void* after(void* p, Dtype dtype, size_t n) { return static_cast<char*>(p) + n * sizeOf(dtype); }

void lanes(Spans& s, Recursion r, double gamma, const Shape& shape, Dtype dtype) {
  const size_t L = kernels().elastic_width(dtype), row = shape.channels * L;
  const Band band(shape.banded ? BandKind::radius : BandKind::none, 1, shape.n, shape.m);
  LanesJob job{};
  job.form = {r, gamma, 0.5, 0.5, false, kGap};
  job.dtype = dtype;
  job.n = shape.n;
  job.m = shape.m;
  job.channels = shape.channels;
  job.x = after(s.in(dtype, (shape.n + 1) * row), dtype, row);
  job.y = after(s.in(dtype, (shape.m + 1) * row), dtype, row);
  if (usesAux(r)) {
    job.xAux = s.in(dtype, shape.n * L);
    job.yAux = s.in(dtype, shape.m * L);
  }
  if (usesWeights(r)) job.weights = s.in(dtype, shape.n + shape.m);
  if (usesThreshold(r)) job.threshold = s.in(dtype, L);
  if (!band.full) {
    job.low = copied(s, band.low);
    job.high = copied(s, band.high);
  }
  job.row = zeros(s, dtype, (shape.m + 1) * L);
  job.hasTop = hasBorder(r);
  if (job.hasTop && r != Recursion::lcss) job.left = s.in(dtype, (shape.n + 1) * L);
  if (gamma == 0 && r != Recursion::lcss) job.cutoff = s.in(dtype, L);
  if (gamma > 0) job.shares = zeros(s, dtype, shape.n * shape.m * 3 * L);
  kernels().elastic_lanes(job);
  if (gamma == 0) return;
  LanesBackward back{};
  back.forth = job;
  back.dx = after(zeros(s, dtype, (shape.n + 1) * row), dtype, row);
  back.dy = after(zeros(s, dtype, (shape.m + 1) * row), dtype, row);
  back.leftOccupancy = zeros(s, dtype, (shape.n + 1) * L);
  kernels().elastic_lanes_backward(back);
}

void wave(Spans& s, Recursion r, double gamma, const Shape& shape, Dtype dtype) {
  const size_t n = shape.n, m = shape.m, pad = kWavePad;
  const Band band(shape.banded ? BandKind::radius : BandKind::none, 1, n, m);
  WaveJob job{};
  job.form = {r, gamma, 0.5, 0.5, true, kGap};
  job.dtype = dtype;
  job.n = n;
  job.m = m;
  job.channels = shape.channels;
  job.strideX = n + 2 * pad;
  job.strideY = m + 2 * pad;
  job.x = after(s.in(dtype, shape.channels * job.strideX), dtype, pad);
  job.yReversed = after(s.in(dtype, shape.channels * job.strideY), dtype, pad);
  if (usesAux(r)) {
    job.xAux = after(s.in(dtype, job.strideX), dtype, pad);
    job.yAuxReversed = after(s.in(dtype, job.strideY), dtype, pad);
  }
  if (usesWeights(r)) {
    const size_t length = (n + m) / 2 + 2 + 2 * pad, centre = m / 2 + 1 + pad;
    job.weightsEven = after(s.in(dtype, length), dtype, centre);
    job.weightsOdd = after(s.in(dtype, length), dtype, centre);
  }
  job.threshold = 1;
  job.first = copied(s, band.first);
  job.last = copied(s, band.last);
  if (hasBorder(r) && r != Recursion::lcss) {
    job.top = s.in(dtype, m + 1);
    job.left = s.in(dtype, n + 1);
  }
  job.diagonals = zeros(s, dtype, 5 * (n + 1 + 2 * pad));
  std::vector<size_t> at(n + m);
  size_t cells = 0;
  for (size_t d = 0; d + 1 < n + m; d++) {
    at[d] = cells;
    cells += size_t(std::max(0, band.last[d] - band.first[d] + 1));
  }
  job.historyAt = at.data();
  if (gamma > 0) job.history = zeros(s, dtype, cells);
  else job.table = zeros(s, dtype, n * m);
  kernels().elastic_wave(job);
  if (gamma == 0) return;
  WaveBackward back{};
  back.forth = job;
  back.dx = after(zeros(s, dtype, shape.channels * job.strideX), dtype, pad);
  back.dyReversed = after(zeros(s, dtype, shape.channels * job.strideY), dtype, pad);
  back.occupancy = s.out<double>(n * m);
  back.alignment = s.out<double>(n * m);
  back.upstream = 1;
  kernels().elastic_wave_backward(back);
}

}  // namespace

void guardElastic(Spans& spans, const char* isa) {
  const auto with = [&](const char* kernel, Dtype dtype, size_t n, auto body) {
    guarded(spans, isa, kernel, dtype, dtype, n, body);
  };
  eachElastic([&](Recursion r, double gamma, const Shape& shape, Dtype dtype) {
    with(gamma > 0 ? "elastic_lanes_backward" : "elastic_lanes", dtype, shape.n * 100 + shape.m,
         [&](Spans& s) { lanes(s, r, gamma, shape, dtype); });
    with(gamma > 0 ? "elastic_wave_backward" : "elastic_wave", dtype, shape.n * 100 + shape.m,
         [&](Spans& s) { wave(s, r, gamma, shape, dtype); });
  });
  covered.insert("elastic_width");  // touches no memory
  for (Dtype dtype : {Dtype::f32, Dtype::f64})
    for (size_t n = 1; n <= 35; n++)
      for (bool same : {false, true})
        with("elastic_interleave", dtype, n, [&](Spans& s) {
          const size_t L = kernels().elastic_width(dtype);
          const void *x = s.in(dtype, 2 * n), *shorter = s.in(dtype, 2 * (n > 3 ? n - 3 : n));
          const void* series[64];
          size_t lengths[64];
          for (size_t lane = 0; lane < L; lane++) {
            series[lane] = same || lane % 3 ? x : shorter;
            lengths[lane] = same || lane % 3 || n <= 3 ? n : n - 3;
          }
          kernels().elastic_interleave(series, lengths, dtype, 2, n, s.out(dtype, 2 * n * L));
        });
  for (size_t n = 1; n <= 70; n++) {
    with("elastic_squared", Dtype::f32, n, [&](Spans& s) {
      const void *x = s.in(Dtype::f32, n), *y = s.in(Dtype::f32, n);
      CHECK(kernels().elastic_squared(x, y, Dtype::f32, n) == 0, "%s", now);
    });
    with("elastic_keogh", Dtype::f64, n, [&](Spans& s) {
      const auto of = [&] { return static_cast<const double*>(s.in(Dtype::f64, n)); };
      const double *x = of(), *upper = of();
      CHECK(kernels().elastic_keogh(x, upper, of(), n) == 0, "%s", now);
    });
    with("elastic_keogh_many", Dtype::f32, n, [&](Spans& s) {
      const auto of = [&](size_t count) { return static_cast<const float*>(s.in(Dtype::f32, count)); };
      const float *x = of(n), *upper = of(3 * n), *lower = of(3 * n);
      kernels().elastic_keogh_many(x, upper, lower, n, 3, s.out<float>(3));
    });
    for (size_t radius : {size_t(0), size_t(1), n / 3, n - 1})
      with("elastic_envelope", Dtype::f32, n, [&](Spans& s) {
        const float* y = static_cast<const float*>(s.in(Dtype::f32, n));
        float *scratch = s.out<float>(2 * (n + 2 * radius + 32)), *upper = s.out<float>(n);
        kernels().elastic_envelope(y, n, radius, scratch, upper, s.out<float>(n));
      });
    for (size_t m : {1, 2, 9, 17})
      with("elastic_slide", Dtype::f64, n, [&](Spans& s) {
        const auto of = [&](size_t count) { return static_cast<const double*>(s.in(Dtype::f64, count)); };
        const double *x = of(n + m - 1), *mean = of(n), *inverse = of(n), *upper = of(m), *lower = of(m);
        std::vector<uint32_t> order(m);
        for (size_t i = 0; i < m; i++) order[i] = uint32_t(i);
        kernels().elastic_slide(x, mean, inverse, n, m, upper, lower, copied(s, order), 1e9, s.out<double>(n));
      });
    for (size_t shifts : {1, 2, 31, 33})
      with("elastic_correlation", Dtype::f64, n, [&](Spans& s) {
        const double *x = static_cast<const double*>(s.in(Dtype::f64, shifts + n - 1 + 64)),
                     *y = static_cast<const double*>(s.in(Dtype::f64, n));
        CHECK(kernels().elastic_correlation(x, y, n, shifts) > -1e9, "%s", now);
      });
  }
}

}  // namespace softlane::test
#endif
