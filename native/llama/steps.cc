// The element-wise steps of a decoder: norms, rotation, SwiGLU, sums of residuals.
//
//   rms(x) = x / sqrt(mean(x^2) + eps) * w          layer(x) = (x - mean) / sqrt(var + eps) * w + b
//   swiglu = gate / (1 + e^-gate) * up              rotate: pairs (x_i, x_{i + dim/2}), or (x_{2i}, x_{2i + 1}), by angle i
#include "../dispatch.h"
#include "../gemm/activation.h"
#include "../span.h"

namespace softlane::ISA {
namespace {

constexpr size_t L = F32::lanes;

template <class F>
SOFTLANE_INLINE double sumOver(const float* x, size_t n, F f) {
  return double(reduceAdd(sumSpan<F32>(
      n, [&](size_t i) { return f(F32::load(x + i)); },
      [&](size_t i, size_t rest) { return f(F32::load(x + i, rest, 0)); })));
}

/// body(load, store) for each vector, whole or partial.
template <class Body>
SOFTLANE_INLINE void eachVector(size_t n, Body body) {
  for (size_t i = 0; i < n; i += L) {
    const size_t rest = n - i;
    if (rest >= L) body([&](const float* p) { return F32::load(p + i); }, [&](float* p, F32 v) { v.store(p + i); });
    else
      body([&](const float* p) { return F32::load(p + i, rest, 0); }, [&](float* p, F32 v) { v.store(p + i, rest); });
  }
}

}  // namespace

void rms_norm(const float* x, const float* w, float* y, size_t n, float eps) {
  double square = sumOver(x, n, [](F32 v) { return v * v; });
  if (!(square < 1e38)) {  // the squares left float32
    square = 0;
    for (size_t i = 0; i < n; i++) square += double(x[i]) * x[i];
  }
  const double scale = reduceMax(F64::set(1) / sqrt(F64::set(square / double(n) + double(eps))));
  const F32 factor = F32::set(float(scale));
  eachVector(n, [&](auto load, auto store) { store(y, load(x) * factor * load(w)); });
}

void layer_norm(const float* x, const float* w, const float* b, float* y, size_t n, float eps) {
  const float center = float(sumOver(x, n, [](F32 v) { return v; }) / double(n));
  const F32 mean = F32::set(center);
  const F32 squares = sumSpan<F32>(
      n, [&](size_t i) { return (F32::load(x + i) - mean) * (F32::load(x + i) - mean); },
      [&](size_t i, size_t rest) {  // lanes past the end hold the mean
        const F32 v = F32::load(x + i, rest, center) - mean;
        return v * v;
      });
  const F32 factor = F32::set(1) / sqrt(F32::set(float(double(reduceAdd(squares)) / double(n) + double(eps))));
  eachVector(n, [&](auto load, auto store) {
    const F32 scaled = (load(x) - mean) * factor * load(w);
    store(y, b ? scaled + load(b) : scaled);
  });
}

void add_rows(const float* x, const float* y, float* sum, size_t n) {
  eachVector(n, [&](auto load, auto store) { store(sum, load(x) + load(y)); });
}

void swiglu(const float* gate, const float* up, float* y, size_t n) {
  const Sigmoid sigmoid;
  eachVector(n, [&](auto load, auto store) {
    const F32 g = load(gate);
    store(y, g * sigmoid(g) * load(up));
  });
}

void rotate(const float* x, const float* cosines, const float* sines, float* y, size_t dim, bool interleaved) {
  const size_t half = dim / 2;
  if (interleaved) {
    for (size_t i = 0; i < half; i++) {
      const float a = x[2 * i], b = x[2 * i + 1];
      y[2 * i] = a * cosines[i] - b * sines[i];
      y[2 * i + 1] = b * cosines[i] + a * sines[i];
    }
    return;
  }
  eachVector(half, [&](auto load, auto store) {
    const F32 a = load(x), b = load(x + half), c = load(cosines), s = load(sines);
    store(y, a * c - b * s);
    store(y + half, b * c + a * s);
  });
}

}  // namespace softlane::ISA
