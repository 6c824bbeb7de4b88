// Bands: Sakoe-Chiba as a fraction (with aeon's rounding), as a radius, and Itakura's parallelogram.
#ifdef SOFTLANE_OPERATIONS
#include <algorithm>
#include <cmath>

#include "method.h"

namespace softlane {
namespace {

using Ranges = std::vector<int32_t>;

/// aeon's bounding matrix: for n <= m columns are walked by their share of the length; otherwise it is transposed.
void sakoe(double window, size_t n, size_t m, Ranges& low, Ranges& high) {
  if (n > m) {
    Ranges lowT, highT;
    sakoe(window, m, n, lowT, highT);  // rows are y's points now
    low.assign(n, int32_t(m));
    high.assign(n, -1);
    for (size_t j = 0; j < m; j++)
      for (int32_t i = lowT[j]; i <= highT[j]; i++) {
        low[size_t(i)] = std::min(low[size_t(i)], int32_t(j));
        high[size_t(i)] = std::max(high[size_t(i)], int32_t(j));
      }
    return;
  }
  low.assign(n, int32_t(m));
  high.assign(n, -1);
  const double size = double(m) + 1;
  const int64_t reach = int64_t(std::floor(window * double(n)));
  for (size_t s = 0; s <= m; s++) {
    const double share = double(s) / size;
    const int64_t row = int64_t(std::floor(share * double(n)));
    const int32_t column = int32_t(std::floor(share * double(m)));
    const int64_t end = std::min(int64_t(n), row + reach + 1);
    for (int64_t i = std::max<int64_t>(0, row - reach); i < end; i++) {
      low[size_t(i)] = std::min(low[size_t(i)], column);
      high[size_t(i)] = std::max(high[size_t(i)], column);
    }
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
  // Row i has the diagonals i + low to i + high. Rows are visited in order: the first to reach a diagonal is its first.
  for (size_t i = 0; i < n; i++) {
    if (low[i] > high[i]) {
      irregular = true;
      continue;
    }
    if (i > 0 && (low[i] < low[i - 1] || high[i] < high[i - 1])) irregular = true;
    cells += size_t(high[i] - low[i] + 1);
    for (const int32_t j : {low[i], high[i]}) {
      const size_t away = size_t(std::abs(int64_t(i) - j));
      radius = std::max(radius, away);
    }
    for (size_t d = i + size_t(low[i]); d <= i + size_t(high[i]); d++) {
      first[d] = std::min(first[d], int32_t(i));
      last[d] = std::max(last[d], int32_t(i));
    }
  }
  // A diagonal without a cell still stands where its neighbours do, so that the ranges move by one.
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
  if (known_.size() > 64) known_.clear();  // ragged sets: the shapes of the present block are enough
  std::unique_ptr<Band>& band = known_[{n, m}];
  if (!band) band = std::make_unique<Band>(kind_, value_, n, m);
  return *band;
}

}  // namespace softlane
#endif
