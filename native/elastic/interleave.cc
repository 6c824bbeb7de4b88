// Series side by side: what lanes.cc reads.
#include "../isa.h"

namespace softlane::ISA {
namespace {

/// out[(i * channels + c) * lanes + lane] = i < lengths[lane] ? series[lane][c * lengths[lane] + i] : 0
template <class V>
void interleave(const void* const* series, const size_t* lengths, size_t channels, size_t length, void* out) {
  using S = typename V::Scalar;
  constexpr size_t L = V::lanes;
  S* to = static_cast<S*>(out);
  bool same = true;
  size_t shortest = length;
  for (size_t lane = 0; lane < L; lane++) {
    if (series[lane] != series[0]) same = false;
    if (lengths[lane] < shortest) shortest = lengths[lane];
  }
  for (size_t c = 0; c < channels; c++) {
    const auto from = [&](size_t lane) { return static_cast<const S*>(series[lane]) + c * lengths[lane]; };
    size_t i = 0;
    if (same) {
      const S* x = from(0);
      for (; i < shortest; i++) V::set(x[i]).store(to + (i * channels + c) * L);
    } else {
      for (; i + L <= shortest; i += L) {
        V block[L];
        for (size_t lane = 0; lane < L; lane++) block[lane] = V::load(from(lane) + i);
        transpose(block);
        for (size_t k = 0; k < L; k++) block[k].store(to + ((i + k) * channels + c) * L);
      }
    }
    for (; i < length; i++)
      for (size_t lane = 0; lane < L; lane++)
        to[(i * channels + c) * L + lane] = i < lengths[lane] ? from(lane)[i] : S(0);
  }
}

}  // namespace

void elastic_interleave(const void* const* series, const size_t* lengths, Dtype dtype, size_t channels, size_t length,
                        void* out) {
  if (dtype == Dtype::f32) interleave<F32>(series, lengths, channels, length, out);
  else interleave<F64>(series, lengths, channels, length, out);
}

}  // namespace softlane::ISA
