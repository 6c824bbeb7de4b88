// Writing keys and values to a cache.
#ifdef SOFTLANE_OPERATIONS
#include <algorithm>
#include <cmath>
#include <cstring>

#include "../dispatch.h"
#include "run.h"

namespace softlane {
namespace {

template <class T>
void spread(const T* from, size_t dim, void* to, size_t step) {
  T* out = static_cast<T*>(to);
  for (size_t d = 0; d < dim; d++) out[d * step] = from[d];
}

}  // namespace

void storeCached(const float* from, size_t dim, CacheType type, void* to, size_t step, float* scale) {
  constexpr size_t kPart = 256;
  const size_t size = sizeOf(type);
  float inverse = 0, otherwise = 0;
  if (type == CacheType::int8) {
    float most = 0;
    for (size_t d = 0; d < dim; d++) most = from[d] == from[d] ? std::max(most, std::fabs(from[d])) : from[d];
    *scale = most / 127;
    if (most > 0 && std::isfinite(most) && std::isfinite(127 / most)) inverse = 127 / most;
    // NaN and infinity cannot be said in int8: the scale says them, times 1.
    if (!std::isfinite(most)) otherwise = 1;
  }
  for (size_t d = 0; d < dim; d += kPart) {
    const size_t n = std::min(kPart, dim - d);
    char* out = static_cast<char*>(to) + d * step * size;
    uint16_t half[kPart];
    int8_t byte[kPart];
    switch (type) {
      case CacheType::f32: spread(from + d, n, out, step); break;
      case CacheType::bf16:
      case CacheType::f16:
        kernels().convert(from + d, Dtype::f32, half, type == CacheType::bf16 ? Dtype::bf16 : Dtype::f16, n);
        spread(half, n, out, step);
        break;
      case CacheType::int8:
        for (size_t i = 0; i < n; i++)
          byte[i] = int8_t(inverse > 0 ? std::nearbyintf(from[d + i] * inverse) : otherwise);
        spread(byte, n, out, step);
    }
  }
}

}  // namespace softlane
#endif
