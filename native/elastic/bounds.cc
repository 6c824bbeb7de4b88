// Lower bounds of DTW between series of equal length, from envelopes (Keogh & Ratanamahatana 2005, Lemire 2009): loops,
// and the operations on one pair.
#include "../span.h"

namespace softlane::ISA {
namespace {

/// sum over i of the squared distance of x_i to the interval [lower_i, upper_i]
template <class V, class T>
SOFTLANE_INLINE V outside(const T* x, const T* upper, const T* lower, size_t n) {
  const V zero = V::set(0);
  const auto square = [&](V value, V high, V low) {
    const V d = max(max(value - high, low - value), zero);
    return d * d;
  };
  return sumSpan<V>(
      n, [&](size_t i) { return square(V::load(x + i), V::load(upper + i), V::load(lower + i)); },
      [&](size_t i, size_t count) {
        return square(V::load(x + i, count, 0), V::load(upper + i, count, 0), V::load(lower + i, count, 0));
      });
}

}  // namespace

double elastic_keogh(const double* x, const double* upper, const double* lower, size_t n) {
  return reduceAdd(outside<F64>(x, upper, lower, n));
}

/// One x against `count` envelopes that stand one after the other.
void elastic_keogh_many(const float* x, const float* upper, const float* lower, size_t n, size_t count, float* bounds) {
  for (size_t k = 0; k < count; k++) bounds[k] = reduceAdd(outside<F32>(x, upper + k * n, lower + k * n, n));
}

/// upper[i] = max of y over [i - radius, i + radius], lower[i] the min. `scratch` holds 2 (n + 2 radius + 32) values.
/// Maxima over windows of 1, 2, 4, ... from two of half the length, each a pass of vectors; the last two overlap.
void elastic_envelope(const float* y, size_t n, size_t radius, float* scratch, float* upper, float* lower) {
  constexpr size_t L = F32::lanes;
  const size_t padded = n + 2 * radius;
  float *tops = scratch, *lows = scratch + padded + 32;
  const F32 infinite = F32::set(__builtin_inff()), none = F32::set(-__builtin_inff());
  for (size_t i = 0; i < padded + 32; i += L) {
    const size_t count = padded + 32 - i < L ? padded + 32 - i : L;
    if (count == L) {
      none.store(tops + i);
      infinite.store(lows + i);
    } else {
      none.store(tops + i, count);
      infinite.store(lows + i, count);
    }
  }
  for (size_t i = 0; i < n; i++) tops[radius + i] = lows[radius + i] = y[i];
  size_t width = 1;
  const auto widen = [&](size_t step, float* high, float* low, size_t count) {
    for (size_t i = 0; i < count; i += L) {
      const F32 a = max(F32::load(tops + i), F32::load(tops + i + step)),
                b = min(F32::load(lows + i), F32::load(lows + i + step));
      if (count - i < L) {
        a.store(high + i, count - i);
        b.store(low + i, count - i);
      } else {
        a.store(high + i);
        b.store(low + i);
      }
    }
  };
  for (; 2 * width <= 2 * radius + 1; width *= 2) widen(width, tops, lows, padded - 2 * width + 1);
  widen(2 * radius + 1 - width, upper, lower, n);
}

/// LB_Keogh of every window of a stream against the envelope of a query: lanes are neighbouring windows. Window p is
/// (x[p + i] - mean[p]) * inverse[p]. Points are visited in `order`, those that tell most first; a vector of windows
/// stops as soon as all its sums are above the limit, so a bound above the limit may be any number above it.
void elastic_slide(const double* x, const double* mean, const double* inverse, size_t windows, size_t m,
                   const double* upper, const double* lower, const uint32_t* order, double limit, double* bounds) {
  constexpr size_t L = F64::lanes, kBetweenLooks = 8;
  const F64 zero = F64::set(0), most = F64::set(limit);
  for (size_t p = 0; p < windows; p += L) {
    const size_t count = windows - p < L ? windows - p : L;
    const auto at = [&](const double* from) { return count == L ? F64::load(from) : F64::load(from, count, 0); };
    const F64 mu = at(mean + p), scale = at(inverse + p);
    F64 sum = zero;
    for (size_t k = 0; k < m;) {
      const size_t stop = k + kBetweenLooks < m ? k + kBetweenLooks : m;
      for (; k < stop; k++) {
        const size_t i = order[k];
        const F64 value = (at(x + p + i) - mu) * scale;
        const F64 d = max(max(value - F64::set(upper[i]), F64::set(lower[i]) - value), zero);
        sum = mulAdd(d, d, sum);
      }
      const F64 alive = select(lessEqual(sum, most), F64::set(1), zero);
      if (reduceAdd(alive) == 0) break;
    }
    if (count == L) sum.store(bounds + p);
    else sum.store(bounds + p, count);
  }
}

}  // namespace softlane::ISA

#ifdef SOFTLANE_OPERATIONS
#include <algorithm>
#include <vector>

#include "bounds.h"

namespace softlane {

template <class S>
void envelopeOf(const S* y, size_t n, size_t radius, S* upper, S* lower) {
  // Two monotonic queues of indices, in arrays: each index enters and leaves once.
  std::vector<size_t> queue(2 * n);
  size_t *tops = queue.data(), *lows = queue.data() + n, topHead = 0, topTail = 0, lowHead = 0, lowTail = 0;
  for (size_t k = 0; k < n + radius; k++) {
    if (k < n) {
      while (topTail > topHead && y[tops[topTail - 1]] <= y[k]) topTail--;
      tops[topTail++] = k;
      while (lowTail > lowHead && y[lows[lowTail - 1]] >= y[k]) lowTail--;
      lows[lowTail++] = k;
    }
    if (k < radius) continue;
    const size_t i = k - radius;  // window [i - radius, i + radius] is complete
    while (tops[topHead] + radius < i) topHead++;
    while (lows[lowHead] + radius < i) lowHead++;
    upper[i] = y[tops[topHead]];
    lower[i] = y[lows[lowHead]];
  }
}
template void envelopeOf(const float*, size_t, size_t, float*, float*);
template void envelopeOf(const double*, size_t, size_t, double*, double*);

double keoghBound(const double* x, const double* y, size_t n, size_t channels, size_t radius, bool improved) {
  std::vector<double> upper(n), lower(n), clipped(n);
  double sum = 0;
  for (size_t c = 0; c < channels; c++, x += n, y += n) {
    envelopeOf(y, n, radius, upper.data(), lower.data());
    sum += kernels().elastic_keogh(x, upper.data(), lower.data(), n);
    if (!improved) continue;
    for (size_t i = 0; i < n; i++) clipped[i] = std::min(std::max(x[i], lower[i]), upper[i]);
    envelopeOf(clipped.data(), n, radius, upper.data(), lower.data());
    sum += kernels().elastic_keogh(y, upper.data(), lower.data(), n);
  }
  return sum;
}

namespace {

/// As float64, whatever the class.
std::vector<double> doublesOf(const char* argument, const In<Any>& x, size_t channels) {
  if (x.element != Element::float32 && x.element != Element::float64)
    throw typeError(argument, "a Float32Array or a Float64Array", nameOf(x.element));
  if (channels == 0 || x.length == 0 || x.length % channels)
    throw rangeError(argument, "of a positive length divisible by the channels", std::to_string(x.length));
  if (x.element == Element::float64)
    return {static_cast<const double*>(x.data), static_cast<const double*>(x.data) + x.length};
  return {static_cast<const float*>(x.data), static_cast<const float*>(x.data) + x.length};
}

}  // namespace

namespace ops {

void elasticEnvelope(Run&, In<Any> y, Out<double> upper, Out<double> lower, size_t channels, size_t radius) {
  const std::vector<double> values = doublesOf("y", y, channels);
  requireMatrix("upper", upper.length, 1, values.size(), values.size());
  requireMatrix("lower", lower.length, 1, values.size(), values.size());
  const size_t n = values.size() / channels;
  for (size_t c = 0; c < channels; c++)
    envelopeOf(values.data() + c * n, n, std::min(radius, n - 1), upper.data + c * n, lower.data + c * n);
}

double elasticKeogh(Run&, In<Any> x, In<Any> y, size_t channels, size_t radius, bool improved) {
  const std::vector<double> a = doublesOf("x", x, channels), b = doublesOf("y", y, channels);
  if (a.size() != b.size()) throw rangeError("y", "as long as x", std::to_string(b.size()));
  const size_t n = a.size() / channels;
  return keoghBound(a.data(), b.data(), n, channels, std::min(radius, n - 1), improved);
}

}  // namespace ops
}  // namespace softlane
#endif
