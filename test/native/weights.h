// Elements of weights and caches of any type, read and written by plain C++ that shares no code with the kernels.
#pragma once
#include "storage.h"

namespace softlane::test {

constexpr WeightType kWeightTypes[] = {WeightType::f32, WeightType::bf16, WeightType::f16, WeightType::int8};
inline const char* nameOf(WeightType type) { return Names<WeightType>::list[int(type)]; }

inline Dtype storageOf(WeightType type) {
  return type == WeightType::bf16 ? Dtype::bf16 : type == WeightType::f16 ? Dtype::f16 : Dtype::f32;
}
inline double get(const void* p, WeightType type, size_t i) {
  return type == WeightType::int8 ? static_cast<const int8_t*>(p)[i] : get(p, storageOf(type), i);
}
inline void put(void* p, WeightType type, size_t i, double v) {
  if (type == WeightType::int8) static_cast<int8_t*>(p)[i] = int8_t(v);
  else put(p, storageOf(type), i, v);
}

/// n elements; int8: integers, the others rounded to the type.
class Stored {
 public:
  Stored(WeightType type, size_t n) : type_(type), bytes_(n * sizeOf(type) + 1) {}
  /// Random: normal, or integers in [-127, 127].
  Stored(WeightType type, size_t n, unsigned seed) : Stored(type, n) {
    std::mt19937 bits(seed);
    std::normal_distribution<double> normal;
    for (size_t i = 0; i < n; i++) set(i, type == WeightType::int8 ? double(bits() % 255) - 127 : normal(bits));
  }
  void* data() { return bytes_.data(); }
  double operator[](size_t i) const { return get(bytes_.data(), type_, i); }
  void set(size_t i, double v) { put(bytes_.data(), type_, i, v); }
  /// Where element i lies.
  void* at(size_t i) { return bytes_.data() + i * sizeOf(type_); }

 private:
  WeightType type_;
  std::vector<unsigned char> bytes_;
};

inline std::vector<float> normals(size_t n, unsigned seed) {
  std::mt19937 bits(seed);
  std::normal_distribution<float> normal;
  std::vector<float> list(n);
  for (float& each : list) each = normal(bits);
  return list;
}

/// An address that is mapped nowhere: prefetching may be asked for it.
inline const char* nowhere() { return reinterpret_cast<const char*>(uintptr_t(4096)); }

}  // namespace softlane::test
