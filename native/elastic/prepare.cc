// From options and arrays to what the loops want: the method, and series made ready for it.
#ifdef SOFTLANE_OPERATIONS
#include <algorithm>
#include <cmath>
#include <limits>

#include "method.h"

namespace softlane {

Method::Method(Metric m, BandKind band, const In<double>& p, size_t channelCount)
    : metric(m), bandKind(band), channels(channelCount) {
  if (channels == 0) throw rangeError("channels", "at least 1", "0");
  if (p.length < kGap + channels)
    throw rangeError("parameters", std::to_string(kGap + channels) + " numbers long", std::to_string(p.length));
  bandValue = p.data[kBand];
  gamma = p.data[kGamma];
  slope = p.data[kSlope];
  penalty = p.data[kPenalty];
  epsilon = p.data[kEpsilon];
  nu = p.data[kNu];
  lambda = p.data[kLambda];
  cost = p.data[kCost];
  reach = size_t(p.data[kReach]);
  flags = unsigned(p.data[kFlags]);
  gap.assign(p.data + kGap, p.data + kGap + channels);
}

bool Method::isElastic() const {
  return metric != Metric::squared && metric != Metric::euclidean && metric != Metric::shapeDtw &&
         metric != Metric::sbd;
}

bool Method::perChannel() const { return channels > 1 && (has(kIndependent) || metric == Metric::softMsm); }

Recursion Method::recursion() const {
  switch (metric) {
    case Metric::wdtw:
    case Metric::wddtw: return Recursion::wdtw;
    case Metric::adtw: return Recursion::adtw;
    case Metric::erp: return Recursion::erp;
    case Metric::edr: return Recursion::edr;
    case Metric::lcss: return Recursion::lcss;
    case Metric::twe: return Recursion::twe;
    case Metric::msm: return has(kIndependent) ? Recursion::msm : Recursion::msmDependent;
    case Metric::softMsm: return Recursion::softMsm;
    default: return Recursion::dtw;
  }
}

CellForm Method::form() const { return {recursion(), gamma, penalty, cost, has(kRelativeGate), gap.data()}; }

double Method::finish(double last, size_t n, size_t m) const {
  if (has(kRaw)) return last;
  if (metric == Metric::lcss) last = std::max(0.0, 1 - last / double(std::min(n, m)));
  if (metric == Metric::edr && has(kNormalize)) last /= double(std::max(n, m));
  return has(kRoot) ? std::sqrt(last) : last;
}

double Method::rawCutoff(double cutoff, size_t n, size_t m) const {
  if (has(kRoot)) cutoff = cutoff * cutoff * (1 + 1e-14);
  if (metric == Metric::edr && has(kNormalize)) cutoff = cutoff * double(std::max(n, m)) * (1 + 1e-14);
  return cutoff;
}

void requireTable(size_t n, size_t m) {
  if (double(n) * double(m) * 8 > 2147483648.0)
    throw rangeError("x", "such that the table of x and y has at most 2^31 bytes",
                     std::to_string(n) + " x " + std::to_string(m) + " cells");
}

void standardized(const double* x, size_t n, double* out) {
  double mean = 0, square = 0, largest = 0;
  for (size_t i = 0; i < n; i++) mean += x[i];
  mean /= double(n);
  for (size_t i = 0; i < n; i++) {
    square += (x[i] - mean) * (x[i] - mean);
    largest = std::max(largest, std::abs(x[i]));
  }
  const double deviation = std::sqrt(square / double(n));
  const bool constant = deviation <= 1e-13 * largest;
  for (size_t i = 0; i < n; i++) out[i] = constant ? 0 : (x[i] - mean) / deviation;
}

Collection::Collection(const char* argument, const In<Any>& x, const In<int32_t>& given, size_t channelCount)
    : data(x.data), channels(channelCount) {
  if (x.element != Element::float32 && x.element != Element::float64)
    throw typeError(argument, "a Float32Array or a Float64Array", nameOf(x.element));
  dtype = x.element == Element::float32 ? Dtype::f32 : Dtype::f64;
  size_t total = 0;
  for (size_t i = 0; i < given.length; i++) {
    if (given.data[i] < 1)
      throw rangeError(argument, "of series of at least one time point", std::to_string(given.data[i]));
    lengths.push_back(size_t(given.data[i]));
    offsets.push_back(total);
    total += size_t(given.data[i]) * channels;
  }
  offsets.push_back(total);
  if (total != x.length) throw rangeError(argument, std::to_string(total) + " elements long", std::to_string(x.length));
}

template <class S>
Prepared<S>::Prepared(const Collection& from, const Method& method)
    : channels(from.channels),
      count(from.count()),
      lengths(from.lengths),
      offsets(from.offsets),
      values(static_cast<const S*>(from.data)),
      rows(method.perChannel() ? from.channels : 1) {
  if (method.isDerivative()) {  // Keogh & Pazzani 2001
    size_t total = 0;
    for (size_t i = 0; i < count; i++) {
      if (lengths[i] < 3)
        throw rangeError("x", "of at least 3 time points for derivatives", std::to_string(lengths[i]));
      offsets[i] = total;
      lengths[i] -= 2;
      total += lengths[i] * channels;
    }
    offsets[count] = total;
    owned.resize(total);
    for (size_t i = 0; i < count; i++) {
      const S* x = values + from.offsets[i];
      S* d = owned.data() + offsets[i];
      for (size_t c = 0; c < channels; c++, x += from.lengths[i], d += lengths[i])
        for (size_t k = 0; k < lengths[i]; k++) d[k] = ((x[k + 1] - x[k]) + (x[k + 2] - x[k]) / 2) / 2;
    }
    values = owned.data();
  }
  for (const size_t n : lengths) longest = std::max(longest, n);

  if (method.metric == Metric::edr && std::isnan(method.epsilon)) {
    for (size_t i = 0; i < count; i++) {
      const size_t size = lengths[i] * channels;
      double mean = 0, square = 0;
      for (size_t k = 0; k < size; k++) mean += double(series(i)[k]);
      mean /= double(size);
      for (size_t k = 0; k < size; k++) square += (double(series(i)[k]) - mean) * (double(series(i)[k]) - mean);
      deviation.push_back(std::sqrt(square / double(size)));
    }
  }
  const Recursion recursion = method.recursion();
  if (!method.isElastic() || !usesAux(recursion)) return;
  const size_t points = offsets[count] / channels, together = channels / rows;
  aux.resize(rows * points);
  if (recursion == Recursion::erp) border.resize(rows * (points + count));
  for (size_t i = 0; i < count; i++) {
    const size_t n = lengths[i];
    for (size_t row = 0; row < rows; row++) {
      const S* x = series(i) + row * n;
      S* to = const_cast<S*>(auxOf(i, row));
      for (size_t k = 0; k < n; k++) {
        S sum = 0;
        for (size_t c = 0; c < together; c++) {
          const S before = recursion == Recursion::erp ? S(method.gap[row + c]) : k ? x[c * n + k - 1] : S(0);
          const S d = x[c * n + k] - before;
          sum = c ? sum + d * d : d * d;
        }
        const S length = together == 1 ? std::abs(x[k] - (recursion == Recursion::erp ? S(method.gap[row])
                                                          : k                         ? x[k - 1]
                                                                                      : S(0)))
                                       : std::sqrt(sum);
        to[k] = recursion == Recursion::erp ? length : length + S(method.nu + method.lambda);
      }
      if (recursion != Recursion::erp) continue;
      S* edge = const_cast<S*>(borderOf(i, row));
      edge[0] = 0;
      for (size_t k = 0; k < n; k++) edge[k + 1] = edge[k] + to[k];
      if (method.has(kAeon)) std::fill(edge + 1, edge + n + 1, edge[n]);
    }
  }
}

template struct Prepared<float>;
template struct Prepared<double>;

}  // namespace softlane
#endif
