// Conversions between storage types, rounded to nearest even; NaN stays NaN, overflow becomes infinity.
#include "dispatch.h"
#include "span.h"
#include "staged.h"

namespace softlane::ISA {

void convert(const void* x, Dtype in, void* y, Dtype out, size_t n) {
  withInOut<true>(in, out, [&](auto vector, auto from, auto to, auto) {
    using V = decltype(vector);
    mapSpan<V>(static_cast<const decltype(from)*>(x), static_cast<decltype(to)*>(y), n, false, [](V v) { return v; });
  });
}

/// float32 or 16 bits to float64, which holds them.
void widen(const void* x, Dtype in, double* y, size_t n) {
  withStorage(in, [&](auto from) {
    if constexpr (sizeof(from) < 8)
      mapSpan<F64>(static_cast<const decltype(from)*>(x), y, n, false, [](F64 v) { return v; });
  });
}

/// And back, rounded once.
void narrow(const double* x, void* y, Dtype out, size_t n) {
  withStorage(out, [&](auto to) {
    if constexpr (sizeof(to) < 8) mapSpan<F64>(x, static_cast<decltype(to)*>(y), n, false, [](F64 v) { return v; });
  });
}

}  // namespace softlane::ISA

#ifdef SOFTLANE_OPERATIONS
#include "rows.h"

#include <algorithm>

namespace softlane::ops {

void convert(Run& run, In<Any> x, Out<Any> out, Dtype dtype, Dtype outDtype, size_t threads) {
  requireStorage("x", x.element, dtype);
  requireStorage("out", out.element, outDtype);
  requireMatrix("out", out.length, 1, x.length, x.length);
  run.useThreads(std::min(threads, 1 + x.length / (2 * kPiece)));
  run.expect(x.length);
  run.each(x.length, kPiece, [&](size_t begin, size_t end) {
    kernels().convert(at(x.data, dtype, begin), dtype, at(out.data, outDtype, begin), outDtype, end - begin);
    run.advance(end - begin);
  });
}

}  // namespace softlane::ops
#endif
