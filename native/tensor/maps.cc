// Functions of one number and their derivatives, on lines.
//
//   gelu      x (1 + erf(x / sqrt 2)) / 2            derivative  P(x) + x e^(-x^2/2) / sqrt(2 pi), P = (1 + erf(x / sqrt 2)) / 2
//   geluTanh  x s(2u), u = sqrt(2/pi) (x + 0.044715 x^3)         s + 2 x u' s (1 - s)
//   silu      x s(x), s the sigmoid                              s + x s (1 - s)
//   softplus  max(x, 0) + log(1 + e^-|x|)                        s(x)
//   elu       x, below zero a (e^x - 1)                          1, below zero y + a
//   pow       x^a                                                a x^(a - 1)
//   clamp     min(max(x, a), b)                                  1 within [a, b], 0 outside
//   affine    a x + b                                            a
//   At its corner relu has derivative 0, abs 0, elu a.
//
// In float64 logarithms, tanh and erf are those of the C library, a lane at a time: float64 is there to be right. In
// float32: log(1 + t) = 2 artanh(t / (2 + t)) by its series (t <= 1: error below 2e-8), tanh by its series below 1/4 and
// by exponentials above, erf as in gemm/activation.h (error 1.5e-7).
#include "../gemm/activation.h"
#include "vectors.h"

namespace softlane::ISA {
namespace {

template <class V, class F>
SOFTLANE_INLINE V eachLane(V v, F f) {
  typename V::Scalar lane[V::lanes];
  v.store(lane);
  for (auto& each : lane) each = f(each);
  return V::load(lane);
}

template <class V>
constexpr bool kWide = sizeof(typename V::Scalar) == 8;

/// e^x of any x: infinity above the range; NaN stays.
template <class V>
struct Exp {
  ExpOf<V> e;
  SOFTLANE_INLINE V operator()(V x) const {
    const V most = V::set(kWide<V> ? 800 : 100), least = V::set(kWide<V> ? -800 : -120);
    V m, k;
    e.ext(max(least, min(most, x)), m, k);
    const V half = round(k * V::set(0.5f));
    return scalePow2(scalePow2(m, half), k - half);
  }
  SOFTLANE_INLINE V negative(V x) const { return e.template expNonPositive<true>(x); }
};

template <class V>
SOFTLANE_INLINE V zero() {
  return V::set(0);
}
template <class V>
SOFTLANE_INLINE V one() {
  return V::set(1);
}

/// 1 / (1 + e^-x)
template <class V>
SOFTLANE_INLINE V sigmoidOf(const Exp<V>& e, V x) {
  const V decay = e.negative(zero<V>() - abs(x));
  return select(less(x, zero<V>()), decay, one<V>()) / (one<V>() + decay);
}

template <class V>
SOFTLANE_INLINE V tanhOf(const Exp<V>& e, V x) {
  if constexpr (kWide<V>) {
    return eachLane(x, [](double v) { return ::tanh(v); });
  } else {
    const V square = x * x, decay = e.negative(abs(x) * V::set(-2));
    const V size = (one<V>() - decay) / (one<V>() + decay);
    constexpr float c[] = {0.0218694885f, -0.0539682540f, 0.133333333f, -0.333333333f, 1};
    V p = V::set(c[0]);
    for (int i = 1; i < 5; i++) p = mulAdd(p, square, V::set(c[i]));
    return select(less(abs(x), V::set(0.25f)), x * p, select(less(x, zero<V>()), zero<V>() - size, size));
  }
}

/// log(1 + t), 0 <= t <= 1
template <class V>
SOFTLANE_INLINE V log1p(V t) {
  if constexpr (kWide<V>) {
    return eachLane(t, [](double v) { return ::log1p(v); });
  } else {
    const V z = t / (t + V::set(2)), square = z * z;
    V p = V::set(2 / 15.0f);
    for (int i = 13; i > 0; i -= 2) p = mulAdd(p, square, V::set(2 / float(i)));
    return p * z;
  }
}

/// The normal distribution's P(x).
template <class V>
SOFTLANE_INLINE V normalBelow(const Exp<V>& e, V x) {
  if constexpr (kWide<V>) {
    return eachLane(x, [](double v) { return 0.5 * ::erfc(v * -0x1.6a09e667f3bcdp-1); });
  } else {
    const V z = abs(x) * V::set(0x1.6a09e6p-1f), t = one<V>() / mulAdd(z, V::set(0.3275911f), one<V>());
    constexpr float c[] = {1.061405429f, -1.453152027f, 1.421413741f, -0.284496736f, 0.254829592f};
    V p = V::set(c[0]);
    for (int i = 1; i < 5; i++) p = mulAdd(p, t, V::set(c[i]));
    const V tail = p * t * e.negative(zero<V>() - z * z) * V::set(0.5f);
    return select(less(x, zero<V>()), tail, one<V>() - tail);
  }
}

/// s(2u) of geluTanh and, where asked, 2u'.
template <class V>
SOFTLANE_INLINE V geluSigmoid(const Exp<V>& e, V x, V* slope = nullptr) {
  using S = typename V::Scalar;
  const V square = x * x, c = V::set(S(0x1.9884533d43651p+0));  // 2 sqrt(2 / pi)
  if (slope) *slope = mulAdd(square, V::set(S(3 * 0.044715)), one<V>()) * c;
  return sigmoidOf(e, x * mulAdd(square, V::set(S(0.044715)), one<V>()) * c);
}

template <class V, class F>
SOFTLANE_INLINE void map(const MapJob& job, F f) {
  using S = typename V::Scalar;
  const S* x = static_cast<const S*>(job.x);
  S* out = static_cast<S*>(job.out);
  eachVector<V>(job.n, [&](size_t i, size_t rest) { put(f(part<V>(x + i, rest)), out + i, rest); });
}

/// f(x, y) is the derivative.
template <class V, class F>
SOFTLANE_INLINE void gradient(const MapJob& job, F f) {
  using S = typename V::Scalar;
  const S *x = static_cast<const S*>(job.x), *y = static_cast<const S*>(job.y), *g = static_cast<const S*>(job.g);
  S* out = static_cast<S*>(job.out);
  eachVector<V>(job.n, [&](size_t i, size_t rest) {
    put(part<V>(g + i, rest) * f(part<V>(x + i, rest), part<V>(y + i, rest)), out + i, rest);
  });
}

template <class V>
void forward(const MapJob& job) {
  using S = typename V::Scalar;
  const Exp<V> e;
  const V a = V::set(S(job.a)), b = V::set(S(job.b)), none = zero<V>();
  switch (job.map) {
    case TensorMap::exp: return map<V>(job, [&](V x) { return e(x); });
    case TensorMap::log: return map<V>(job, [](V x) { return eachLane(x, [](S v) { return S(::log(double(v))); }); });
    case TensorMap::sqrt: return map<V>(job, [](V x) { return sqrt(x); });
    case TensorMap::square: return map<V>(job, [](V x) { return x * x; });
    case TensorMap::abs: return map<V>(job, [](V x) { return abs(x); });
    case TensorMap::sign:
      return map<V>(job, [&](V x) { return select(less(x, none), V::set(-1), select(less(none, x), V::set(1), x)); });
    case TensorMap::relu: return map<V>(job, [&](V x) { return max(none, x); });
    case TensorMap::gelu: return map<V>(job, [&](V x) { return x * normalBelow(e, x); });
    case TensorMap::geluTanh: return map<V>(job, [&](V x) { return x * geluSigmoid(e, x); });
    case TensorMap::silu: return map<V>(job, [&](V x) { return x * sigmoidOf(e, x); });
    case TensorMap::sigmoid: return map<V>(job, [&](V x) { return sigmoidOf(e, x); });
    case TensorMap::tanh: return map<V>(job, [&](V x) { return tanhOf(e, x); });
    case TensorMap::softplus: return map<V>(job, [&](V x) { return max(none, x) + log1p(e.negative(none - abs(x))); });
    case TensorMap::elu:
      return map<V>(job, [&](V x) {
        // e^x - 1 = tanh(x/2) (e^x + 1): nothing cancels near zero.
        const V below = tanhOf(e, x * V::set(0.5f)) * (e.negative(min(none, x)) + one<V>());
        return select(less(none, x), x, a * below);
      });
    case TensorMap::pow:
      return map<V>(job, [&](V x) { return eachLane(x, [&](S v) { return S(::pow(double(v), job.a)); }); });
    case TensorMap::clamp: return map<V>(job, [&](V x) { return min(b, max(a, x)); });
    case TensorMap::affine: return map<V>(job, [&](V x) { return x * a + b; });
  }
}

template <class V>
void backward(const MapJob& job) {
  using S = typename V::Scalar;
  const Exp<V> e;
  const V a = V::set(S(job.a)), b = V::set(S(job.b)), none = zero<V>(), unit = one<V>();
  switch (job.map) {
    case TensorMap::exp: return gradient<V>(job, [](V, V y) { return y; });
    case TensorMap::log: return gradient<V>(job, [&](V x, V) { return unit / x; });
    case TensorMap::sqrt: return gradient<V>(job, [](V, V y) { return V::set(0.5f) / y; });
    case TensorMap::square: return gradient<V>(job, [](V x, V) { return x + x; });
    case TensorMap::abs:
      return gradient<V>(job,
                         [&](V x, V) { return select(less(x, none), V::set(-1), select(less(none, x), unit, x)); });
    case TensorMap::sign: return gradient<V>(job, [&](V, V) { return none; });
    case TensorMap::relu: return gradient<V>(job, [&](V x, V) { return select(less(none, x), unit, none); });
    case TensorMap::gelu:
      return gradient<V>(job, [&](V x, V) {
        const V density = e.negative(x * x * V::set(-0.5f)) * V::set(S(0x1.9884533d43651p-2));
        return mulAdd(x, density, normalBelow(e, x));
      });
    case TensorMap::geluTanh:
      return gradient<V>(job, [&](V x, V) {
        V slope;
        const V s = geluSigmoid(e, x, &slope), rest = unit - s;
        // Where s or 1 - s is 0 the slope may have overflown.
        return s + select(less(none, s * rest), x * slope * s * rest, none);
      });
    case TensorMap::silu:
      return gradient<V>(job, [&](V x, V) {
        const V s = sigmoidOf(e, x);
        return mulAdd(x * s, unit - s, s);
      });
    case TensorMap::sigmoid: return gradient<V>(job, [&](V, V y) { return y * (unit - y); });
    case TensorMap::tanh: return gradient<V>(job, [&](V, V y) { return unit - y * y; });
    case TensorMap::softplus: return gradient<V>(job, [&](V x, V) { return sigmoidOf(e, x); });
    case TensorMap::elu: return gradient<V>(job, [&](V x, V y) { return select(less(none, x), unit, y + a); });
    case TensorMap::pow:
      return gradient<V>(job, [&](V x, V) {
        return eachLane(x, [&](S v) { return job.a == 0 ? S(0) : S(job.a * ::pow(double(v), job.a - 1)); });
      });
    case TensorMap::clamp:
      return gradient<V>(job, [&](V x, V) { return select(less(x, a), none, select(less(b, x), none, unit)); });
    case TensorMap::affine: return gradient<V>(job, [&](V, V) { return a; });
  }
}

}  // namespace

void tensor_map(const MapJob& job) {
  withReal(job.type, [&](auto v) {
    if (job.g) backward<decltype(v)>(job);
    else forward<decltype(v)>(job);
  });
}

}  // namespace softlane::ISA
