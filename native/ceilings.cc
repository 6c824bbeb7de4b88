// What one core of this machine can do at most: benchmarks hold every kernel against these.
#include "dispatch.h"
#include "span.h"

namespace softlane::ISA {

/// Reads x once with as little arithmetic as keeps the loads alive.
double stream_read(const float* x, size_t n) {
  constexpr size_t L = F32::lanes;
  F32 m[8];
  for (F32& v : m) v = F32::set(0);
  size_t i = 0;
  for (; i + 8 * L <= n; i += 8 * L)
    for (size_t u = 0; u < 8; u++) m[u] = max(F32::load(x + i + u * L), m[u]);
  for (; i + L <= n; i += L) m[0] = max(F32::load(x + i), m[0]);
  for (int u = 1; u < 8; u++) m[0] = max(m[u], m[0]);
  return reduceMax(m[0]);
}

void stream_copy(const float* x, float* y, size_t n, bool nonTemporal) {
  mapSpan<F32>(x, y, n, nonTemporal, [](F32 v) { return v; });
}

/// 12 independent chains, enough to hide the latency of two units: 24 * lanes operations a repeat.
double fma_chain(size_t repeats) {
  F32 v[12];
  const F32 a = F32::set(0.5f), b = F32::set(1.0f);
  for (int u = 0; u < 12; u++) v[u] = F32::set(float(u));
  for (size_t r = 0; r < repeats; r++)
    for (int u = 0; u < 12; u++) v[u] = fma(v[u], a, b);
  for (int u = 1; u < 12; u++) v[0] = v[0] + v[u];
  return reduceAdd(v[0]);
}

}  // namespace softlane::ISA

#ifdef SOFTLANE_OPERATIONS
#include <chrono>

#include "ops.h"

namespace softlane {
namespace {

template <class Body>
double nanoseconds(Body body) {
  const auto start = std::chrono::steady_clock::now();
  body();
  return std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace

namespace ops {

double measureRead(Run&, In<float> x) {
  volatile double kept = 0;
  return nanoseconds([&] { kept = kernels().stream_read(x.data, x.length); });
}

double measureCopy(Run&, In<float> x, Out<float> out, bool nonTemporal) {
  requireMatrix("out", out.length, 1, x.length, x.length);
  return nanoseconds([&] { kernels().stream_copy(x.data, out.data, x.length, nonTemporal); });
}

/// Nanoseconds of `repeats` rounds of 12 fused multiply-adds on the vectors of the current instruction set.
double measureFma(Run&, size_t repeats) {
  volatile double kept = 0;
  return nanoseconds([&] { kept = kernels().fma_chain(repeats); });
}

}  // namespace ops
}  // namespace softlane
#endif
