// What all walks of prepared pairs share: buffers, weights, borders.
#ifdef SOFTLANE_OPERATIONS
#include <algorithm>
#include <cmath>
#include <cstring>

#include "../cpu.h"
#include "pairs_buffers.h"

namespace softlane {

/// Of the recursions with weights, by the difference of indices.
template <class S>
S weightOf(const Method& method, size_t away, size_t longer) {
  if (method.recursion() == Recursion::twe) return S(2 * method.nu * double(away));
  return S(1 / (1 + std::exp(-method.slope * (double(away) - double(longer) / 2))));
}
template float weightOf(const Method&, size_t, size_t);
template double weightOf(const Method&, size_t, size_t);

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
template void edrBorder(const Method&, const Band&, size_t, size_t, bool, float*, size_t);
template void edrBorder(const Method&, const Band&, size_t, size_t, bool, double*, size_t);

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
Pairs<S>::~Pairs() {}  // here, where Buffers is known

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

template Pairs<float>::Pairs(const Method&, const Prepared<float>&, const Prepared<float>&);
template Pairs<float>::~Pairs();
template Watch Pairs<float>::watcher();
template float Pairs<float>::threshold(size_t, size_t) const;
template const float* Pairs<float>::weights(size_t, size_t);
template void Pairs<float>::editBorders(size_t, size_t, const Band&, const float*&, const float*&);
template void Pairs<float>::borderGradient(const Prepared<float>&, size_t, size_t, const float*, size_t, double*);
template Pairs<double>::Pairs(const Method&, const Prepared<double>&, const Prepared<double>&);
template Pairs<double>::~Pairs();
template Watch Pairs<double>::watcher();
template double Pairs<double>::threshold(size_t, size_t) const;
template const double* Pairs<double>::weights(size_t, size_t);
template void Pairs<double>::editBorders(size_t, size_t, const Band&, const double*&, const double*&);
template void Pairs<double>::borderGradient(const Prepared<double>&, size_t, size_t, const double*, size_t, double*);
}  // namespace softlane
#endif
