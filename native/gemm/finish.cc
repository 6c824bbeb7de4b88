// The end of a product, while it is in the first-level cache: scales of int8 weights, bias, activation, residual.
#include "../dispatch.h"
#include "activation.h"
#include "gemm.h"

namespace softlane::ISA {
namespace {

template <class Activate>
SOFTLANE_INLINE void finish(const FinishJob& job, Activate activate) {
  constexpr size_t L = F32::lanes;
  for (size_t r = 0; r < job.m; r++) {
    const float* c = job.c + r * kPanelRows;
    const size_t row = r * job.stride;
    for (size_t j = 0; j < job.columns; j += L) {
      const size_t n = job.columns - j < L ? job.columns - j : L;
      const auto part = [&](const float* p) { return n == L ? F32::load(p + j) : F32::load(p + j, n, 0); };
      F32 v = F32::load(c + j);
      if (job.scales) v = v * part(job.scales);
      if (job.bias) v = v + part(job.bias);
      v = activate(v);
      if (job.residual) v = v + part(job.residual + row);
      if (n == L) v.store(job.y + row + j);
      else v.store(job.y + row + j, n);
    }
  }
}

}  // namespace

void gemm_finish(const FinishJob& job) {
  switch (job.activation) {
    case Activation::none: return finish(job, [](F32 v) { return v; });
    case Activation::relu: return finish(job, [](F32 v) { return max(F32::set(0), v); });
    case Activation::silu: {
      const Sigmoid sigmoid;
      return finish(job, [&](F32 v) { return v * sigmoid(v); });
    }
    case Activation::gelu: return finish(job, Gelu{});
    case Activation::geluTanh: return finish(job, GeluTanh{});
  }
}

}  // namespace softlane::ISA
