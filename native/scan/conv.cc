// Short depthwise causal convolutions. Lanes are whatever is contiguous: channels, each with its own weights, or moments of
// one channel, whose weights are broadcast; a tap is then `tap` elements apart.
#include "loops.h"
#include "softplus.h"
#include "state.h"

namespace softlane::ISA {
namespace {

template <class V>
void forwardOf(const ConvJob& job) {
  using S = typename V::Scalar;
  constexpr size_t L = V::lanes;
  const AnySigmoid<V> sigmoid;
  const S *x = static_cast<const S*>(job.x), *w = static_cast<const S*>(job.weights);
  const S *bias = static_cast<const S*>(job.bias), *g = static_cast<const S*>(job.gout);
  S* y = static_cast<S*>(job.y);
  for (size_t r = 0; r < job.rows; r++, x += job.xStep, y += job.yStep) {
    for (size_t i = 0; i < job.n; i += L) {
      const size_t rest = job.n - i;
      V sum = bias ? job.each ? someOf<V>(bias + i, rest) : V::set(*bias) : V::set(0);
      for (size_t k = 0; k < job.width; k++) {
        const V weight = job.each ? someOf<V>(w + k * job.weightTap + i, rest) : V::set(w[k * job.weightTap]);
        sum = mulAdd(weight, someOf<V>(x + k * job.tap + i, rest), sum);
      }
      if (job.silu) {
        const V gate = sigmoid(sum);
        if (g) sum = gate * mulAdd(sum, V::set(1) - gate, V::set(1));
        else sum = sum * gate;
      }
      if (g) sum = sum * someOf<V>(g + r * job.yStep + i, rest);
      putSome(sum, y + i, rest);
    }
  }
}

/// Steps summed in float registers before they are added to the total.
constexpr size_t kSteps = 128;

/// Lanes are channels.
template <class V>
void weightsOfLanes(const ConvWeights& job) {
  using S = typename V::Scalar;
  constexpr size_t L = V::lanes;
  S *dw = static_cast<S*>(job.dw), *dbias = static_cast<S*>(job.dbias);
  for (size_t i = 0; i < job.n; i += L) {
    const size_t rest = job.n - i;
    for (size_t from = 0; from < job.rows; from += kSteps) {
      const size_t to = job.rows - from < kSteps ? job.rows : from + kSteps;
      V sum[kConvWidest + 1];
      for (V& each : sum) each = V::set(0);
      for (size_t r = from; r < to; r++) {
        const V g = someOf<V>(static_cast<const S*>(job.g) + r * job.gStep + i, rest);
        const S* x = static_cast<const S*>(job.x) + r * job.xStep + i;
        for (size_t k = 0; k < job.width; k++) sum[k] = mulAdd(g, someOf<V>(x + k * job.tap, rest), sum[k]);
        sum[kConvWidest] = sum[kConvWidest] + g;
      }
      for (size_t k = 0; k < job.width; k++) {
        S* total = dw + k * job.weightTap + i;
        putSome(someOf<V>(total, rest) + sum[k], total, rest);
      }
      if (dbias) putSome(someOf<V>(dbias + i, rest) + sum[kConvWidest], dbias + i, rest);
    }
  }
}

/// Lanes are moments: every weight is a dot product.
template <class V>
void weightsOfRow(const ConvWeights& job) {
  using S = typename V::Scalar;
  constexpr size_t L = V::lanes, steps = kSteps * L;
  for (size_t r = 0; r < job.rows; r++) {
    const S *g = static_cast<const S*>(job.g) + r * job.gStep, *x = static_cast<const S*>(job.x) + r * job.xStep;
    for (size_t from = 0; from < job.n; from += steps) {
      const size_t to = job.n - from < steps ? job.n : from + steps;
      V sum[kConvWidest + 1];
      for (V& each : sum) each = V::set(0);
      for (size_t i = from; i < to; i += L) {
        const V gradient = someOf<V>(g + i, to - i);
        for (size_t k = 0; k < job.width; k++)
          sum[k] = mulAdd(gradient, someOf<V>(x + k * job.tap + i, to - i), sum[k]);
        sum[kConvWidest] = sum[kConvWidest] + gradient;
      }
      for (size_t k = 0; k < job.width; k++) static_cast<S*>(job.dw)[k * job.weightTap] += S(reduceAdd(sum[k]));
      if (job.dbias) *static_cast<S*>(job.dbias) += S(reduceAdd(sum[kConvWidest]));
    }
  }
}

}  // namespace

void conv_rows(const ConvJob& job) {
  if (job.type == Dtype::f64) forwardOf<F64>(job);
  else forwardOf<F32>(job);
}

void conv_weights(const ConvWeights& job) {
  if (job.type == Dtype::f64) {
    if (job.each) weightsOfLanes<F64>(job);
    else weightsOfRow<F64>(job);
  } else {
    if (job.each) weightsOfLanes<F32>(job);
    else weightsOfRow<F32>(job);
  }
}

}  // namespace softlane::ISA
