// Pairs of prepared series handed to the loops: interleaved into lanes, or padded for one pair's anti-diagonals; and
// what the loops leave brought back, gradients of borders included.
#ifdef SOFTLANE_OPERATIONS
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "../cpu.h"
#include "method.h"

namespace softlane {
namespace {

/// Scratch that grows.
template <class T>
class Room {
 public:
  T* of(size_t count) {
    if (count > size_) {
      scratch_.reset();
      scratch_ = std::make_unique<Scratch>(count * sizeof(T));
      size_ = count;
    }
    return scratch_ ? scratch_->as<T>() : nullptr;
  }

 private:
  std::unique_ptr<Scratch> scratch_;
  size_t size_ = 0;
};

template <class S>
constexpr S kInfinite = std::numeric_limits<S>::infinity();
constexpr size_t kMostKept = size_t(256) << 20;  ///< bytes of shares that a walk with gradients may hold

/// Of the recursions with weights, by the difference of indices.
template <class S>
S weightOf(const Method& method, size_t away, size_t longer) {
  if (method.recursion() == Recursion::twe) return S(2 * method.nu * double(away));
  return S(1 / (1 + std::exp(-method.slope * (double(away) - double(longer) / 2))));
}

/// Border cells of EDR: D[0][j] for `top`, else D[i][0]. aeon's cost nothing, next to cells of the band.
template <class S>
void edrBorder(const Method& method, const Band& band, size_t n, size_t m, bool top, S* out, size_t stride) {
  const size_t length = top ? m : n;
  for (size_t k = 0; k <= length; k++) {
    S value = S(k);
    if (method.has(kAeon)) {
      const size_t before = k ? k - 1 : length - 1;  // aeon's index -1
      const bool open = k < length && (top ? band.holds(0, before) : band.holds(before, 0));
      value = open ? S(0) : kInfinite<S>;
    }
    out[k * stride] = value;
  }
}

}  // namespace

template <class S>
struct Pairs<S>::Buffers {
  // lanes
  Room<S> x, y, xAux, yAux, xBorder, yBorder, row, threshold, cutoff, shares, dx, dy, leftFlow;
  std::vector<size_t> xs, ys;
  size_t n = 0, m = 0;
  // one pair
  Room<S> waveX, waveY, waveXAux, waveYAux, even, odd, top, left, diagonals, table, history, waveDx, waveDy;
  std::vector<size_t> historyAt;
  // weights of the last shape
  std::vector<S> weights;
  size_t weightsN = 0, weightsM = 0;
};

template <class S>
Pairs<S>::Pairs(const Method& method, const Prepared<S>& x, const Prepared<S>& y)
    : method_(method),
      x_(x),
      y_(y),
      bands_(method),
      form_(method.form()),
      width_(kernels().elastic_width(sizeof(S) == 4 ? Dtype::f32 : Dtype::f64)),
      passes_(method.perChannel() ? x.channels : 1),
      channels_(x.channels / passes_),
      buffers_(std::make_unique<Buffers>()) {}
template <class S>
Pairs<S>::~Pairs() = default;

template <class S>
Watch Pairs<S>::watcher() {
  if (!run_) return {nullptr, nullptr};
  return {[](void* context, size_t cells) {
            const Pairs& pairs = *static_cast<Pairs*>(context);
            if (pairs.advances_) pairs.run_->advance(cells);
            return !pairs.run_->stopped();
          },
          this};
}

template <class S>
S Pairs<S>::threshold(size_t x, size_t y) const {
  if (!usesThreshold(form_.recursion)) return 0;
  if (!std::isnan(method_.epsilon)) return S(method_.epsilon);
  return S(std::max(x_.deviation[x], y_.deviation[y]) / 4);
}

template <class S>
const S* Pairs<S>::weights(size_t n, size_t m) {
  Buffers& b = *buffers_;
  if (b.weightsN != n || b.weightsM != m) {
    b.weights.resize(n + m);
    for (size_t k = 0; k < n + m; k++) b.weights[k] = weightOf<S>(method_, k > n ? k - n : n - k, std::max(n, m));
    b.weightsN = n;
    b.weightsM = m;
  }
  return b.weights.data();
}

template <class S>
void Pairs<S>::editBorders(size_t n, size_t m, const Band& band, const S*& top, const S*& left) {
  S *t = buffers_->top.of(m + 1), *l = buffers_->left.of(n + 1);
  edrBorder(method_, band, n, m, true, t, 1);
  edrBorder(method_, band, n, m, false, l, 1);
  t[0] = l[0] = std::min(t[0], l[0]);
  top = t;
  left = l;
}

namespace {

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

}  // namespace

template <class S>
void Pairs<S>::setColumns(const size_t* ys, size_t count) {
  Buffers& b = *buffers_;
  b.ys.assign(ys, ys + count);
  b.ys.resize(width_, ys[count - 1]);
  b.m = 0;
  for (const size_t y : b.ys) b.m = std::max(b.m, y_.lengths[y]);
  const Side<S> side{y_, b.ys, width_, b.m, passes_, channels_};
  side.values(b.y.of(passes_ * (b.m + 1) * channels_ * width_));
  if (usesAux(form_.recursion))
    side.numbers(b.yAux.of(passes_ * b.m * width_), 0, [&](size_t i, size_t pass) { return y_.auxOf(i, pass); });
  if (form_.recursion == Recursion::erp)
    side.numbers(b.yBorder.of(passes_ * (b.m + 1) * width_), 1,
                 [&](size_t i, size_t pass) { return y_.borderOf(i, pass); });
}

template <class S>
void Pairs<S>::setRows(const size_t* xs, size_t count) {
  Buffers& b = *buffers_;
  b.xs.assign(xs, xs + count);
  b.xs.resize(width_, xs[count - 1]);
  b.n = x_.lengths[xs[0]];
  const Side<S> side{x_, b.xs, width_, b.n, passes_, channels_};
  side.values(b.x.of(passes_ * (b.n + 1) * channels_ * width_));
  if (usesAux(form_.recursion))
    side.numbers(b.xAux.of(passes_ * b.n * width_), 0, [&](size_t i, size_t pass) { return x_.auxOf(i, pass); });
  if (form_.recursion == Recursion::erp)
    side.numbers(b.xBorder.of(passes_ * (b.n + 1) * width_), 1,
                 [&](size_t i, size_t pass) { return x_.borderOf(i, pass); });
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

/// ERP's borders are running sums of the distances to the gap: what flows into a border cell flows on to the corner.
template <class S>
void Pairs<S>::borderGradient(const Prepared<S>& set, size_t index, size_t pass, const S* flow, size_t stride,
                              double* to) {
  if (!to) return;
  const size_t n = set.lengths[index];
  const S *x = set.series(index) + pass * n, *distance = set.auxOf(index, pass);
  double total = 0;
  for (size_t k = n; k > 0; k--) {
    total += double(flow[k * stride]);
    if (total == 0 || distance[k - 1] == 0) continue;
    for (size_t c = 0; c < channels_; c++)
      to[(pass + c) * n + k - 1] +=
          total * (double(x[c * n + k - 1]) - method_.gap[pass + c]) / double(distance[k - 1]);
  }
}

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

template class Pairs<float>;
template class Pairs<double>;

}  // namespace softlane
#endif
