// Pairs of prepared series interleaved into lanes, walked together, and their gradients brought back.
#ifdef SOFTLANE_OPERATIONS
#include <algorithm>
#include <cmath>
#include <cstring>

#include "../cpu.h"
#include "pairs_buffers.h"

namespace softlane {
namespace {

constexpr size_t kMostKept = size_t(256) << 20;  ///< bytes of shares that a walk with gradients may hold

/// Interleaves one side of up to L pairs: values with a row of zeros before, aux and border where the recursion has them.
template <class S>
struct Side {
  const Prepared<S>& set;
  const std::vector<size_t>& indices;
  size_t lanes, length, passes, channels;

  /// out: for each pass (1 + length) x channels x lanes
  void values(S* out) const {
    const S* series[64];
    size_t lengths[64];
    for (size_t pass = 0; pass < passes; pass++) {
      std::fill_n(out, channels * lanes, S(0));
      for (size_t lane = 0; lane < lanes; lane++) {
        lengths[lane] = set.lengths[indices[lane]];
        series[lane] = set.series(indices[lane]) + pass * lengths[lane];
      }
      out += channels * lanes;
      kernels().elastic_interleave(reinterpret_cast<const void* const*>(series), lengths,
                                   sizeof(S) == 4 ? Dtype::f32 : Dtype::f64, channels, length, out);
      out += length * channels * lanes;
    }
  }
  /// out: for each pass (length + extra) x lanes
  template <class Of>
  void numbers(S* out, size_t extra, Of of) const {
    for (size_t pass = 0; pass < passes; pass++, out += (length + extra) * lanes)
      for (size_t lane = 0; lane < lanes; lane++) {
        const size_t own = set.lengths[indices[lane]] + extra;
        const S* from = of(indices[lane], pass);
        for (size_t k = 0; k < length + extra; k++) out[k * lanes + lane] = k < own ? from[k] : S(0);
      }
  }
};

/// All that a recursion wants of one side.
template <class S>
void pack(const Side<S>& side, Recursion recursion, Room<S>& values, Room<S>& aux, Room<S>& border) {
  side.values(values.of(side.passes * (side.length + 1) * side.channels * side.lanes));
  const Prepared<S>& set = side.set;
  if (usesAux(recursion))
    side.numbers(aux.of(side.passes * side.length * side.lanes), 0,
                 [&](size_t i, size_t pass) { return set.auxOf(i, pass); });
  if (recursion == Recursion::erp)
    side.numbers(border.of(side.passes * (side.length + 1) * side.lanes), 1,
                 [&](size_t i, size_t pass) { return set.borderOf(i, pass); });
}

}  // namespace

template <class S>
void Pairs<S>::setColumns(const size_t* ys, size_t count) {
  Buffers& b = *buffers_;
  b.ys.assign(ys, ys + count);
  b.ys.resize(width_, ys[count - 1]);
  b.m = 0;
  for (const size_t y : b.ys) b.m = std::max(b.m, y_.lengths[y]);
  pack(Side<S>{y_, b.ys, width_, b.m, passes_, channels_}, form_.recursion, b.y, b.yAux, b.yBorder);
}

template <class S>
void Pairs<S>::setRows(const size_t* xs, size_t count) {
  Buffers& b = *buffers_;
  b.xs.assign(xs, xs + count);
  b.xs.resize(width_, xs[count - 1]);
  b.n = x_.lengths[xs[0]];
  pack(Side<S>{x_, b.xs, width_, b.n, passes_, channels_}, form_.recursion, b.x, b.xAux, b.xBorder);
}

template <class S>
void Pairs<S>::walk(double* out, const double* cutoffs) {
  Buffers& b = *buffers_;
  walkPasses(out, cutoffs, nullptr);
  for (size_t lane = 0; lane < width_; lane++) {
    const size_t m = y_.lengths[b.ys[lane]];
    out[lane] = method_.finish(out[lane], b.n, m);
  }
}

template <class S>
void Pairs<S>::walk(double* out, const Gradients* gradients) {
  walkPasses(out, nullptr, gradients);
}

template <class S>
bool Pairs<S>::canKeep(size_t n, size_t m) const {
  return n * m <= kMostKept / (3 * width_ * sizeof(S));
}

template <class S>
void Pairs<S>::walkPasses(double* out, const double* cutoffs, const Gradients* gradients) {
  Buffers& b = *buffers_;
  bands_.trim();
  const size_t n = b.n, m = b.m, L = width_;
  const Band& band = bands_.of(n, m);
  LanesJob job{};
  job.form = form_;
  job.dtype = sizeof(S) == 4 ? Dtype::f32 : Dtype::f64;
  job.n = n;
  job.m = m;
  job.channels = channels_;
  job.watch = watcher();
  if (!band.full) {
    job.low = band.low.data();
    job.high = band.high.data();
  }
  if (usesWeights(form_.recursion)) job.weights = weights(n, m);
  if (usesThreshold(form_.recursion)) {
    S* thresholds = b.threshold.of(L);
    for (size_t lane = 0; lane < L; lane++) thresholds[lane] = threshold(b.xs[lane], b.ys[lane]);
    job.threshold = thresholds;
  }
  // Sums over channels only grow: a cutoff holds for each pass as well. It is rounded up to S.
  if (cutoffs) {
    S* own = b.cutoff.of(L);
    for (size_t lane = 0; lane < L; lane++) {
      const double raw = method_.rawCutoff(cutoffs[lane], n, y_.lengths[b.ys[lane]]);
      own[lane] = S(raw);
      if (double(own[lane]) < raw) own[lane] = std::nextafter(own[lane], kInfinite<S>);
    }
    job.cutoff = own;
  }
  S* row = b.row.of((m + 1) * L);
  job.row = row;
  std::fill_n(out, L, 0.0);
  for (size_t pass = 0; pass < passes_; pass++) {
    job.x = b.x.of(0) + (pass * (n + 1) + 1) * channels_ * L;
    job.y = b.y.of(0) + (pass * (m + 1) + 1) * channels_ * L;
    if (usesAux(form_.recursion)) {
      job.xAux = b.xAux.of(0) + pass * n * L;
      job.yAux = b.yAux.of(0) + pass * m * L;
    }
    job.hasTop = form_.recursion == Recursion::erp || form_.recursion == Recursion::edr;
    if (form_.recursion == Recursion::erp) {
      std::memcpy(row, b.yBorder.of(0) + pass * (m + 1) * L, (m + 1) * L * sizeof(S));
      job.left = b.xBorder.of(0) + pass * (n + 1) * L;
    } else if (form_.recursion == Recursion::edr) {
      S* left = b.xBorder.of((n + 1) * L);
      for (size_t lane = 0; lane < L; lane++) {
        edrBorder(method_, band, n, m, true, row + lane, L);
        edrBorder(method_, band, n, m, false, left + lane, L);
        const S corner = std::min(row[lane], left[lane]);
        row[lane] = left[lane] = corner;
      }
      job.left = left;
    }
    if (gradients) job.shares = b.shares.of(n * m * 3 * L);
    const bool done = kernels().elastic_lanes(job);
    for (size_t lane = 0; lane < L; lane++)
      out[lane] += done ? double(row[y_.lengths[b.ys[lane]] * L + lane]) : std::numeric_limits<double>::infinity();
    if (!done) return;
    if (gradients) backward(job, gradients, pass);
  }
}

template <class S>
void Pairs<S>::backward(const LanesJob& forth, const Gradients* gradients, size_t pass) {
  Buffers& b = *buffers_;
  const size_t n = b.n, m = b.m, L = width_, stride = channels_ * L;
  LanesBackward job{};
  job.forth = forth;
  S *dx = b.dx.of((n + 1) * stride), *dy = b.dy.of((m + 1) * stride), *row = static_cast<S*>(forth.row);
  std::fill_n(dx, (n + 1) * stride, S(0));
  std::fill_n(dy, (m + 1) * stride, S(0));
  job.dx = dx + stride;
  job.dy = dy + stride;
  std::fill_n(row, (m + 1) * L, S(0));
  for (size_t lane = 0; lane < L; lane++) row[y_.lengths[b.ys[lane]] * L + lane] = S(gradients[lane].upstream);
  S* left = nullptr;
  if (form_.recursion == Recursion::erp) {
    left = b.leftFlow.of((n + 1) * L);
    std::fill_n(left, (n + 1) * L, S(0));
    job.leftOccupancy = left;
  }
  kernels().elastic_lanes_backward(job);

  for (size_t lane = 0; lane < L; lane++) {
    const Gradients& to = gradients[lane];
    const size_t own = y_.lengths[b.ys[lane]];
    if (form_.recursion == Recursion::erp) {
      borderGradient(x_, b.xs[lane], pass, left + lane, L, to.dx);
      borderGradient(y_, b.ys[lane], pass, row + lane, L, to.dy);
    }
    for (size_t c = 0; c < channels_; c++) {
      if (to.dx)
        for (size_t i = 0; i < n; i++) to.dx[(pass + c) * n + i] += double(dx[(i + 1) * stride + c * L + lane]);
      if (to.dy)
        for (size_t j = 0; j < own; j++) to.dy[(pass + c) * own + j] += double(dy[(j + 1) * stride + c * L + lane]);
    }
  }
}

template void Pairs<float>::setColumns(const size_t*, size_t);
template void Pairs<float>::setRows(const size_t*, size_t);
template void Pairs<float>::walk(double*, const double*);
template void Pairs<float>::walk(double*, const Gradients*);
template bool Pairs<float>::canKeep(size_t, size_t) const;
template void Pairs<double>::setColumns(const size_t*, size_t);
template void Pairs<double>::setRows(const size_t*, size_t);
template void Pairs<double>::walk(double*, const double*);
template void Pairs<double>::walk(double*, const Gradients*);
template bool Pairs<double>::canKeep(size_t, size_t) const;
}  // namespace softlane
#endif
