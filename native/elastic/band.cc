// Bands: Sakoe-Chiba as a fraction (with aeon's rounding), as a radius, and Itakura's parallelogram.
#ifdef SOFTLANE_OPERATIONS
#include <algorithm>
#include <cmath>

#include "method.h"

namespace softlane {
namespace {

using Ranges = std::vector<int32_t>;

/// The ranges of rows turned into ranges of columns: both ends never fall. Of each of `count` columns, the first row that
/// reaches to it or beyond, and the last that starts at it or before.
void turn(const Ranges& low, const Ranges& high, size_t count, Ranges& lowOut, Ranges& highOut) {
  lowOut.resize(count);
  highOut.resize(count);
  const int32_t rows = int32_t(low.size());
  int32_t first = 0, last = 0;
  for (int32_t i = 0; i < int32_t(count); i++) {
    while (first + 1 < rows && high[size_t(first)] < i) first++;
    while (last + 1 < rows && low[size_t(last) + 1] <= i) last++;
    lowOut[size_t(i)] = first;
    highOut[size_t(i)] = last;
  }
}

/// aeon's bounding matrix: for n <= m columns are walked by their share of the length; otherwise it is transposed.
void sakoe(double window, size_t n, size_t m, Ranges& low, Ranges& high) {
  if (n > m) {
    Ranges lowT, highT;
    sakoe(window, m, n, lowT, highT);  // rows are y's points now
    turn(lowT, highT, n, low, high);
    return;
  }
  // Step s of m + 1 stands for column floor(share m) and the rows within reach of floor(share n); both never fall.
  const double size = double(m) + 1;
  const int32_t reach = int32_t(std::floor(window * double(n)));
  const auto rowAt = [&](size_t s) { return int32_t(std::floor(double(s) / size * double(n))); };
  const auto columnAt = [&](size_t s) { return int32_t(std::floor(double(s) / size * double(m))); };
  low.resize(n);
  high.resize(n);
  size_t first = 0, last = 0;
  for (int32_t i = 0; i < int32_t(n); i++) {
    while (first < m && rowAt(first) + reach < i) first++;
    while (last < m && rowAt(last + 1) - reach <= i) last++;
    low[size_t(i)] = columnAt(first);
    high[size_t(i)] = columnAt(last);
  }
}

double round2(double v) { return std::nearbyint(v * 100) / 100; }  // half to even

void itakura(double slope, size_t n, size_t m, Ranges& low, Ranges& high) {
  const double nd = double(n), md = double(m), s = std::floor(slope * (std::min(nd, md) / 100) * 100);
  double lo = 1 / s, hi = std::max(s * (md - 1) / (nd - 2), 1.0);
  lo = std::min(lo * (md - 2) / (nd - 1), 1.0);
  low.resize(n);
  high.resize(n);
  std::vector<double> upper(n);
  for (size_t i = 0; i < n; i++) {
    const double at = double(i), back = at - nd + 1;
    low[i] = int32_t(std::ceil(std::max(round2(lo * at), round2(hi * back + md - 1))));
    upper[i] = std::floor(std::min(round2(hi * at + 1), round2(lo * back + md)));
  }
  if (hi == 1) {
    for (size_t i = 0; i < n; i++) {
      if (m > n) {
        if (i + 1 < n) upper[i] = low[i + 1];
      } else {
        upper[i] = low[i] + 1;
      }
    }
  }
  for (size_t i = 0; i < n; i++) {
    low[i] = int32_t(std::clamp(double(low[i]), 0.0, md));
    high[i] = int32_t(std::clamp(upper[i], 0.0, md)) - 1;
  }
}

}  // namespace

Band::Band(BandKind kind, double value, size_t n, size_t m) {
  if (kind == BandKind::fraction && value < 1) {
    full = false;
    sakoe(value, n, m, low, high);
  } else if (kind == BandKind::radius) {
    const size_t reach = std::max(size_t(value), n > m ? n - m : m - n);
    if (reach + 1 < std::max(n, m)) {
      full = false;
      for (size_t i = 0; i < n; i++) {
        low.push_back(int32_t(i > reach ? i - reach : 0));
        high.push_back(int32_t(std::min(m - 1, i + reach)));
      }
    }
  } else if (kind == BandKind::itakura) {
    full = false;
    itakura(value, n, m, low, high);
  }

  first.assign(n + m - 1, int32_t(n));
  last.assign(n + m - 1, -1);
  if (full) {
    for (size_t d = 0; d < n + m - 1; d++) {
      first[d] = int32_t(d < m ? 0 : d - m + 1);
      last[d] = int32_t(std::min(d, n - 1));
    }
    radius = std::max(n, m) - 1;
    cells = n * m;
    return;
  }
  for (size_t i = 0; i < n; i++) {
    if (low[i] > high[i]) {
      irregular = true;
      continue;
    }
    if (i > 0 && (low[i] < low[i - 1] || high[i] < high[i - 1])) irregular = true;
    cells += size_t(high[i] - low[i] + 1);
    for (const int32_t j : {low[i], high[i]}) radius = std::max(radius, size_t(std::abs(int64_t(i) - j)));
  }
  if (irregular) {
    hulls(n, m);
    return;
  }
  // Row i has the diagonals i + low[i] to i + high[i], and both ends rise with i. A diagonal without a cell stands
  // between its neighbours, last + 1 = first, so that the ranges move by one.
  size_t head = 0, tail = 0;
  for (size_t d = 0; d < n + m - 1; d++) {
    while (head + 1 < n && head + size_t(high[head]) < d) head++;
    while (tail + 1 < n && tail + 1 + size_t(low[tail + 1]) <= d) tail++;
    const bool none = head + size_t(high[head]) < d || tail + size_t(low[tail]) > d || head > tail;
    first[d] = int32_t(head);
    last[d] = none ? int32_t(head) - 1 : int32_t(tail);
  }
}

/// Where rows have no cell the diagonals have gaps: the hull of each, cell by cell.
void Band::hulls(size_t n, size_t m) {
  for (size_t i = 0; i < n; i++)
    for (int32_t j = low[i]; j <= high[i]; j++) {
      const size_t d = i + size_t(j);
      first[d] = std::min(first[d], int32_t(i));
      last[d] = std::max(last[d], int32_t(i));
    }
  for (size_t d = 0; d < n + m - 1; d++) {
    if (last[d] >= 0) continue;
    first[d] = d == 0 ? 0 : std::max(first[d - 1], last[d - 1] + 1);
    first[d] = std::min(first[d], int32_t(n) - 1);
    last[d] = first[d] - 1;
  }
}

void Band::mask(int32_t* out, size_t m) const {
  for (size_t i = 0; i < low.size(); i++)
    for (int32_t j = low[i]; j <= high[i]; j++) out[i * m + size_t(j)] = 1;
}

const Band& Bands::of(size_t n, size_t m) {
  std::unique_ptr<Band>& band = known_[{n, m}];
  if (!band) band = std::make_unique<Band>(kind_, value_, n, m);
  return *band;
}

}  // namespace softlane
#endif
