// Distances that are no dynamic programme, as loops: squared differences, and the largest cross-correlation.
#include "../span.h"

namespace softlane::ISA {
namespace {

/// Eight running sums whatever the width of a vector, joined in one order, nothing fused: the same bits everywhere.
template <class T>
double squared(const T* x, const T* y, size_t n) {
  constexpr size_t L = F64::lanes, kSums = 8, kVectors = kSums / L;
  F64 sums[kVectors];
  for (F64& sum : sums) sum = F64::set(0);
  for (size_t i = 0; i < n; i += kSums)
    for (size_t k = 0; k < kVectors; k++) {
      const size_t at = i + k * L, left = at < n ? n - at : 0;
      const F64 d = left >= L  ? F64::load(x + at) - F64::load(y + at)
                    : left > 0 ? F64::load(x + at, left, 0) - F64::load(y + at, left, 0)
                               : F64::set(0);
      sums[k] = sums[k] + d * d;
    }
  double each[kSums];
  for (size_t k = 0; k < kVectors; k++) sums[k].store(each + k * L);
  return ((each[0] + each[1]) + (each[2] + each[3])) + ((each[4] + each[5]) + (each[6] + each[7]));
}

}  // namespace

double elastic_squared(const void* x, const void* y, Dtype dtype, size_t n) {
  if (dtype == Dtype::f32) return squared(static_cast<const float*>(x), static_cast<const float*>(y), n);
  return squared(static_cast<const double*>(x), static_cast<const double*>(y), n);
}

/// max over shifts s in [0, shifts) of sum_i x[s + i] y[i], i < m. x has shifts + m - 1 elements and as many readable
/// ones after them as one block of shifts is wide (4 vectors): lanes are shifts, so nothing is summed across them, and nothing is fused: the
/// same bits on every instruction set.
double elastic_correlation(const double* x, const double* y, size_t m, size_t shifts) {
  constexpr size_t L = F64::lanes;
  double largest = -__builtin_inf();
  for (size_t s = 0; s < shifts; s += 4 * L) {
    F64 sum[4] = {F64::set(0), F64::set(0), F64::set(0), F64::set(0)};
    for (size_t i = 0; i < m; i++) {
      const F64 factor = F64::set(y[i]);
      for (size_t k = 0; k < 4; k++) sum[k] = sum[k] + F64::load(x + s + i + k * L) * factor;
    }
    for (size_t k = 0; k < 4; k++) {
      double each[L];
      sum[k].store(each);
      for (size_t lane = 0; lane < L && s + k * L + lane < shifts; lane++)
        if (each[lane] > largest) largest = each[lane];
    }
  }
  return largest;
}

}  // namespace softlane::ISA

#ifdef SOFTLANE_OPERATIONS
#include <algorithm>
#include <cmath>
#include <limits>
#include <type_traits>

#include "../cpu.h"
#include "method.h"

namespace softlane {
namespace {

/// As float64, standardised where asked for; otherwise far from where squares overflow or vanish.
template <class S>
std::vector<double> channelOf(const S* x, size_t n, bool standardize) {
  std::vector<double> values(x, x + n);
  if (standardize) {
    standardized(values.data(), n, values.data());
    return values;
  }
  double largest = 0;
  for (const double v : values) largest = std::max(largest, std::abs(v));
  if (largest > 1e100 || (largest < 1e-100 && largest > 0))
    for (double& v : values) v /= largest;
  return values;
}

/// |1 - max cross-correlation / geometric mean of the energies| (Paparrizos & Gravano 2015). A constant (standardised:
/// all zero) channel: 0 beside another such, 1 beside any other.
template <class S>
double shapeBased(const Method& method, const S* x, size_t n, const S* y, size_t m, Run* run) {
  double sum = 0;
  for (size_t c = 0; c < method.channels; c++) {
    const bool standardize = method.has(kNormalize);
    const std::vector<double> a = channelOf(x + c * n, n, standardize), b = channelOf(y + c * m, m, standardize);
    double energyA = 0, energyB = 0;
    for (const double v : a) energyA += v * v;
    for (const double v : b) energyB += v * v;
    if (energyA == 0 || energyB == 0) {
      sum += energyA == energyB ? 0 : 1;
      continue;
    }
    std::vector<double> padded(n + 2 * (m - 1) + 64, 0.0);
    std::copy(a.begin(), a.end(), padded.begin() + std::ptrdiff_t(m - 1));
    double most = -std::numeric_limits<double>::infinity();
    constexpr size_t kShifts = 4096;
    for (size_t shift = 0; shift < n + m - 1 && !(run && run->stopped()); shift += kShifts)
      most = std::max(most, kernels().elastic_correlation(padded.data() + shift, b.data(), m,
                                                          std::min(kShifts, n + m - 1 - shift)));
    sum += std::abs(1 - most / std::sqrt(energyA * energyB));
  }
  return sum / double(method.channels);
}

/// Descriptor at i: the 2 reach + 1 values around it of every channel, ends repeated. Laid out (channel, offset) x time.
template <class S>
std::vector<S> descriptors(const S* x, size_t n, size_t channels, size_t reach) {
  std::vector<S> out;
  out.reserve(channels * (2 * reach + 1) * n);
  for (size_t c = 0; c < channels; c++)
    for (size_t k = 0; k <= 2 * reach; k++)
      for (size_t i = 0; i < n; i++) {
        const size_t at = std::min(std::max(i + k, reach) - reach, n - 1);
        out.push_back(x[c * n + at]);
      }
  return out;
}

}  // namespace

/// Zhao & Itti 2018: the path by descriptors, its cost by the raw series.
template <class S>
double shapeCost(const Method& method, const std::vector<std::pair<int32_t, int32_t>>& path, const S* x, size_t n,
                 const S* y, size_t m) {
  if (path.empty()) return std::numeric_limits<double>::infinity();
  double sum = 0;
  for (const auto& [i, j] : path)
    for (size_t c = 0; c < method.channels; c++) {
      const double d = double(x[c * n + size_t(i)]) - double(y[c * m + size_t(j)]);
      sum += d * d;
    }
  return method.has(kRoot) ? std::sqrt(sum) : sum;
}

template <class S>
double directDistance(const Method& method, const S* x, size_t n, const S* y, size_t m, Run* run) {
  if (method.metric == Metric::shapeDtw) return shapeCost(method, shapePath(method, x, n, y, m, run), x, n, y, m);
  double value = 0;
  if (method.metric == Metric::sbd) {
    value = shapeBased(method, x, n, y, m, run);
  } else {
    value = kernels().elastic_squared(x, y, sizeof(S) == 4 ? Dtype::f32 : Dtype::f64, n * method.channels);
    if (method.metric == Metric::euclidean) value = std::sqrt(value);
  }
  return method.has(kRoot) ? std::sqrt(value) : value;
}

template <class S>
std::vector<std::pair<int32_t, int32_t>> shapePath(const Method& method, const S* x, size_t n, const S* y, size_t m,
                                                   Run* run) {
  Method inner = method;
  inner.metric = Metric::dtw;
  inner.channels = method.channels * (2 * method.reach + 1);
  inner.flags = 0;
  const std::vector<S> dx = descriptors(x, n, method.channels, method.reach),
                       dy = descriptors(y, m, method.channels, method.reach);
  const auto one = [&](const std::vector<S>& values, size_t length) {
    In<Any> data;
    data.data = values.data();
    data.length = values.size();
    data.element = sizeof(S) == 4 ? Element::float32 : Element::float64;
    const int32_t count = int32_t(length);
    In<int32_t> lengths;
    lengths.data = &count;
    lengths.length = 1;
    return Prepared<S>(Collection("x", data, lengths, inner.channels), inner);
  };
  const Prepared<S> px = one(dx, n), py = one(dy, m);
  Pairs<S> pairs(inner, px, py);
  if (run) pairs.watch(*run, false);
  std::vector<double> table(n * m);
  if (std::isinf(pairs.alone(0, 0, table.data()))) return {};
  return pathThrough(method, table.data(), x, n, y, m);
}

template <class S>
std::vector<std::pair<int32_t, int32_t>> pathThrough(const Method& method, const double* table, const S* x, size_t n,
                                                     const S* y, size_t m, const Band* band) {
  std::vector<std::pair<int32_t, int32_t>> path;
  constexpr double infinite = std::numeric_limits<double>::infinity();
  const auto at = [&](int64_t i, int64_t j) { return i < 0 || j < 0 ? infinite : table[i * int64_t(m) + j]; };
  int64_t i = int64_t(n) - 1, j = int64_t(m) - 1;
  if (method.metric == Metric::lcss) {
    const auto matches = [&] {
      if (band && !band->holds(size_t(i), size_t(j))) return false;
      S sum = 0;
      for (size_t c = 0; c < method.channels; c++) {
        const S d = x[c * n + size_t(i)] - y[c * m + size_t(j)];
        sum += d * d;
      }
      return (method.channels == 1 ? std::abs(x[i] - y[j]) : std::sqrt(sum)) <= S(method.epsilon);
    };
    const auto length = [&](int64_t a, int64_t b) { return a < 0 || b < 0 ? 0 : table[a * int64_t(m) + b]; };
    while (i >= 0 && j >= 0) {
      if (matches()) {
        path.emplace_back(int32_t(i--), int32_t(j--));
      } else if (length(i - 1, j) > length(i, j - 1)) {
        i--;
      } else {
        j--;
      }
    }
  } else {
    if (std::isinf(at(i, j))) return path;
    const bool shape = method.metric == Metric::shapeDtw;
    while (true) {
      path.emplace_back(int32_t(i), int32_t(j));
      if (i == 0 && j == 0) break;
      const double a = at(i - 1, j - 1), up = at(i - 1, j), left = at(i, j - 1);
      if (shape ? a < left && a < up : i > 0 && j > 0 && a <= up && a <= left) {
        i--;
        j--;
      } else if (i == 0 || (j > 0 && left < up)) {
        j--;
      } else {
        i--;
      }
    }
  }
  std::reverse(path.begin(), path.end());
  return path;
}

template std::vector<std::pair<int32_t, int32_t>> shapePath(const Method&, const float*, size_t, const float*, size_t,
                                                            Run*);
template double shapeCost(const Method&, const std::vector<std::pair<int32_t, int32_t>>&, const float*, size_t,
                          const float*, size_t);
template std::vector<std::pair<int32_t, int32_t>> shapePath(const Method&, const double*, size_t, const double*, size_t,
                                                            Run*);
template double shapeCost(const Method&, const std::vector<std::pair<int32_t, int32_t>>&, const double*, size_t,
                          const double*, size_t);
template double directDistance(const Method&, const float*, size_t, const float*, size_t, Run*);
template double directDistance(const Method&, const double*, size_t, const double*, size_t, Run*);
template std::vector<std::pair<int32_t, int32_t>> pathThrough(const Method&, const double*, const float*, size_t,
                                                              const float*, size_t, const Band*);
template std::vector<std::pair<int32_t, int32_t>> pathThrough(const Method&, const double*, const double*, size_t,
                                                              const double*, size_t, const Band*);

}  // namespace softlane
#endif
