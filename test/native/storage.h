// Elements of any storage type, read and written by plain C++ that shares no code with the kernels.
#pragma once
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include "../../native/rows.h"

namespace softlane::test {

constexpr Dtype kDtypes[] = {Dtype::f32, Dtype::f64, Dtype::bf16, Dtype::f16};
constexpr const char* kDtypeNames[] = {"f32", "f64", "bf16", "f16"};
inline const char* nameOf(Dtype dtype) { return kDtypeNames[int(dtype)]; }

/// The pairs of input and output storage that kernels take: float64 only with itself.
inline bool compatible(Dtype in, Dtype out) { return (in == Dtype::f64) == (out == Dtype::f64); }

inline double valueOfHalf(uint16_t bits) {
  const int exponent = bits >> 10 & 31, fraction = bits & 1023;
  double v = exponent == 31 ? (fraction ? kNan : kInfinity)
                            : std::ldexp(exponent ? 1024 + fraction : fraction, (exponent ? exponent : 1) - 25);
  return bits & 0x8000 ? -v : v;
}

inline float floatOf(uint32_t bits) {
  float v;
  std::memcpy(&v, &bits, 4);
  return v;
}
inline uint32_t bitsOf(float v) {
  uint32_t bits;
  std::memcpy(&bits, &v, 4);
  return bits;
}

/// v rounded to `digits` binary digits (the first included), to nearest even, with gradual underflow below 2^lowest.
inline double rounded(double v, int digits, int lowest, double largest) {
  if (v == 0 || !std::isfinite(v)) return v;
  const int exponent = std::ilogb(v), last = (exponent < lowest ? lowest : exponent) - digits + 1;
  const double r = std::ldexp(std::nearbyint(std::ldexp(v, -last)), last);
  return std::fabs(r) > largest ? std::copysign(kInfinity, v) : r;
}

inline uint16_t halfOf(double v) {
  const uint16_t sign = std::signbit(v) ? 0x8000 : 0;
  if (std::isnan(v)) return sign | 0x7e00;
  const double r = std::fabs(rounded(v, 11, -14, 65504));
  if (r == 0) return sign;
  if (std::isinf(r)) return sign | 0x7c00;
  const int exponent = std::ilogb(r);
  if (exponent < -14) return uint16_t(sign | int(std::ldexp(r, 24)));
  return uint16_t(sign | (exponent + 15) << 10 | (int(std::ldexp(r, 10 - exponent)) & 1023));
}

inline uint16_t brainOf(double v) {
  if (std::isnan(v)) return 0x7fc0;
  return uint16_t(bitsOf(float(rounded(v, 8, -126, 0x1.fep127))) >> 16);
}

inline double get(const void* p, Dtype dtype, size_t i) {
  switch (dtype) {
    case Dtype::f32: return static_cast<const float*>(p)[i];
    case Dtype::f64: return static_cast<const double*>(p)[i];
    case Dtype::bf16: return floatOf(uint32_t(static_cast<const uint16_t*>(p)[i]) << 16);
    default: return valueOfHalf(static_cast<const uint16_t*>(p)[i]);
  }
}

inline void put(void* p, Dtype dtype, size_t i, double v) {
  switch (dtype) {
    case Dtype::f32: static_cast<float*>(p)[i] = float(v); break;
    case Dtype::f64: static_cast<double*>(p)[i] = v; break;
    case Dtype::bf16: static_cast<uint16_t*>(p)[i] = brainOf(v); break;
    default: static_cast<uint16_t*>(p)[i] = halfOf(v);
  }
}

/// n elements `offset` elements off a 64-byte boundary, so that alignment is never there by luck.
class Elements {
 public:
  Elements(Dtype dtype, size_t n, size_t offset = 0)
      : dtype_(dtype), offset_(offset), bytes_(n * 8 + offset * 8 + 128) {}
  Elements(const Elements& other)  // the copy's bytes may stand elsewhere against the boundary
      : dtype_(other.dtype_), offset_(other.offset_), bytes_(other.bytes_.size()) {
    std::memcpy(data(), const_cast<Elements&>(other).data(), bytes_.size() - 128);
  }
  Elements(Elements&&) = default;
  void* data() {
    const uintptr_t start = (reinterpret_cast<uintptr_t>(bytes_.data()) + 63) / 64 * 64;
    return reinterpret_cast<void*>(start + offset_ * sizeOf(dtype_));
  }
  double operator[](size_t i) { return get(data(), dtype_, i); }
  void set(size_t i, double v) { put(data(), dtype_, i, v); }
  template <class T>
  T* as() {
    return static_cast<T*>(data());
  }

 private:
  Dtype dtype_;
  size_t offset_;
  std::vector<unsigned char> bytes_;
};

/// n values uniform in [low, high), rounded to the storage type.
inline Elements uniform(Dtype dtype, size_t n, double low, double high, unsigned seed, size_t offset = 0) {
  Elements x(dtype, n, offset);
  std::mt19937_64 bits(seed);
  std::uniform_real_distribution<double> values(low, high);
  for (size_t i = 0; i < n; i++) x.set(i, values(bits));
  return x;
}

/// An ExpForm as operations make it, in float64 arithmetic where `wide`.
inline ExpForm expForm(double temperature, Dtype precision, bool wide = false) {
  ExpForm form = softlane::formOf(temperature, precision);
  form.wide = wide;
  return form;
}

/// Lengths around every vector width and every unrolling, a block and its neighbours, a prime of several blocks.
inline const std::vector<size_t>& lengths() {
  static const std::vector<size_t> list = {0,  1,  2,  3,  4,  5,  7,  8,   9,   15,  16,  17,   31,   32,   33,
                                           47, 48, 49, 63, 64, 65, 96, 127, 128, 129, 251, 4095, 4096, 4097, 10007};
  return list;
}

}  // namespace softlane::test
