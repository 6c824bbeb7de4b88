// One pair of prepared series, padded and reversed for its anti-diagonals: the distance, the table, the gradients.
#ifdef SOFTLANE_OPERATIONS
#include <algorithm>
#include <cmath>
#include <cstring>

#include "../cpu.h"
#include "pairs_buffers.h"

namespace softlane {

template <class S>
WaveJob Pairs<S>::waveJob(size_t xi, size_t yi, size_t pass) {
  Buffers& b = *buffers_;
  const size_t n = x_.lengths[xi], m = y_.lengths[yi], pad = kWavePad, sx = n + 2 * pad, sy = m + 2 * pad;
  const Band& band = bands_.of(n, m);
  WaveJob job{};
  job.form = form_;
  job.dtype = sizeof(S) == 4 ? Dtype::f32 : Dtype::f64;
  job.n = n;
  job.m = m;
  job.channels = channels_;
  job.watch = watcher();
  job.strideX = sx;
  job.strideY = sy;
  const auto padded = [&](Room<S>& room, const S* from, size_t length, size_t channels, bool reversed) {
    S* to = room.of(channels * (length + 2 * pad));
    std::fill_n(to, channels * (length + 2 * pad), S(0));
    for (size_t c = 0; c < channels; c++) {
      S* start = to + c * (length + 2 * pad) + pad;
      if (reversed) std::reverse_copy(from + c * length, from + (c + 1) * length, start);
      else std::copy_n(from + c * length, length, start);
    }
    return static_cast<const S*>(to) + pad;
  };
  job.x = padded(b.waveX, x_.series(xi) + pass * n, n, channels_, false);
  job.yReversed = padded(b.waveY, y_.series(yi) + pass * m, m, channels_, true);
  if (usesAux(form_.recursion)) {
    job.xAux = padded(b.waveXAux, x_.auxOf(xi, pass), n, 1, false);
    job.yAuxReversed = padded(b.waveYAux, y_.auxOf(yi, pass), m, 1, true);
  }
  if (usesWeights(form_.recursion)) {
    const size_t length = (n + m) / 2 + 2 + 2 * pad, centre = m / 2 + 1 + pad;
    S *even = b.even.of(length), *odd = b.odd.of(length);
    for (size_t k = 0; k < length; k++) {
      const int64_t at = int64_t(k) - int64_t(centre);
      even[k] = weightOf<S>(method_, size_t(std::abs(2 * at)), std::max(n, m));
      odd[k] = weightOf<S>(method_, size_t(std::abs(2 * at - 1)), std::max(n, m));
    }
    job.weightsEven = even + centre;
    job.weightsOdd = odd + centre;
  }
  job.threshold = double(threshold(xi, yi));
  job.first = band.first.data();
  job.last = band.last.data();
  if (band.irregular) {
    job.low = band.low.data();
    job.high = band.high.data();
  }
  if (form_.recursion == Recursion::erp) {
    job.top = y_.borderOf(yi, pass);
    job.left = x_.borderOf(xi, pass);
  } else if (form_.recursion == Recursion::edr) {
    const S *top, *left;
    editBorders(n, m, band, top, left);
    job.top = top;
    job.left = left;
  }
  job.diagonals = b.diagonals.of(5 * (n + 1 + 2 * pad));
  return job;
}

template <class S>
double Pairs<S>::alone(size_t xi, size_t yi, double* table) {
  Buffers& b = *buffers_;
  bands_.trim();
  const size_t n = x_.lengths[xi], m = y_.lengths[yi];
  const bool maximises = form_.recursion == Recursion::lcss;
  double value = 0;
  for (size_t pass = 0; pass < passes_; pass++) {
    WaveJob job = waveJob(xi, yi, pass);
    S* own = nullptr;
    if (table) {
      // float64 of one pass goes where it belongs at once.
      if constexpr (sizeof(S) == 8) own = passes_ == 1 ? table : b.table.of(n * m);
      else own = b.table.of(n * m);
      if (!bands_.of(n, m).full) std::fill_n(own, n * m, maximises ? S(0) : kInfinite<S>);
      job.table = own;
    }
    value += kernels().elastic_wave(job);
    if (static_cast<void*>(own) == table) continue;
    for (size_t k = 0; k < n * m; k++) table[k] = double(own[k]) + (pass ? table[k] : 0);
  }
  return method_.finish(value, n, m);
}

template <class S>
double Pairs<S>::alone(size_t xi, size_t yi, const Gradients& to, double* occupancy, double* alignment) {
  Buffers& b = *buffers_;
  bands_.trim();
  const size_t n = x_.lengths[xi], m = y_.lengths[yi], pad = kWavePad, sx = n + 2 * pad, sy = m + 2 * pad;
  std::vector<double> nodes(occupancy && passes_ > 1 ? n * m : 0), matches(alignment && passes_ > 1 ? n * m : 0);
  if (occupancy) std::fill_n(occupancy, n * m, 0.0);
  if (alignment) std::fill_n(alignment, n * m, 0.0);
  double value = 0;
  for (size_t pass = 0; pass < passes_; pass++) {
    WaveBackward job{};
    job.forth = waveJob(xi, yi, pass);
    const Band& band = bands_.of(n, m);
    b.historyAt.resize(n + m);
    size_t cells = 0;
    for (size_t d = 0; d + 1 < n + m; d++) {
      b.historyAt[d] = cells;
      if (band.last[d] >= band.first[d]) cells += size_t(band.last[d] - band.first[d] + 1);
    }
    job.forth.history = b.history.of(cells);
    job.forth.historyAt = b.historyAt.data();
    value += kernels().elastic_wave(job.forth);
    if (run_ && run_->stopped()) return value;
    S *dx = b.waveDx.of(channels_ * sx), *dy = b.waveDy.of(channels_ * sy);
    std::fill_n(dx, channels_ * sx, S(0));
    std::fill_n(dy, channels_ * sy, S(0));
    job.dx = dx + pad;
    job.dyReversed = dy + pad;
    S *top = nullptr, *left = nullptr;
    if (form_.recursion == Recursion::erp) {
      top = b.top.of(m + 1);
      left = b.left.of(n + 1);
      std::fill_n(top, m + 1, S(0));
      std::fill_n(left, n + 1, S(0));
      job.topOccupancy = top;
      job.leftOccupancy = left;
    }
    job.occupancy = nodes.empty() ? occupancy : nodes.data();
    job.alignment = matches.empty() ? alignment : matches.data();
    std::fill(nodes.begin(), nodes.end(), 0.0);
    std::fill(matches.begin(), matches.end(), 0.0);
    job.upstream = to.upstream;
    kernels().elastic_wave_backward(job);
    if (top) {
      borderGradient(y_, yi, pass, top, 1, to.dy);
      borderGradient(x_, xi, pass, left, 1, to.dx);
    }
    for (size_t c = 0; c < channels_; c++) {
      if (to.dx)
        for (size_t i = 0; i < n; i++) to.dx[(pass + c) * n + i] += double(dx[c * sx + pad + i]);
      if (to.dy)
        for (size_t j = 0; j < m; j++) to.dy[(pass + c) * m + j] += double(dy[c * sy + pad + m - 1 - j]);
    }
    for (size_t k = 0; k < nodes.size(); k++) occupancy[k] += nodes[k];
    for (size_t k = 0; k < matches.size(); k++) alignment[k] += matches[k];
  }
  return value;
}

template double Pairs<float>::alone(size_t, size_t, double*);
template double Pairs<float>::alone(size_t, size_t, const Gradients&, double*, double*);
template double Pairs<double>::alone(size_t, size_t, double*);
template double Pairs<double>::alone(size_t, size_t, const Gradients&, double*, double*);
}  // namespace softlane
#endif
