// What a scan cannot beat: its loop over tiles, loads, multiply-adds and stores, without an exponential. Benchmarks hold
// the selective scan against it.
#include "../isa.h"

namespace softlane {
/// Channels and steps of a tile; states.
constexpr size_t kCeilingChannels = 64, kCeilingSteps = 16, kCeilingStates = 16;
/// Floats of scratch: inputs and outputs of a tile, states.
constexpr size_t kCeilingScratch = (2 * kCeilingSteps + kCeilingStates) * kCeilingChannels;
}  // namespace softlane

namespace softlane::ISA {
namespace {

/// R states of one vector of channels through the steps of a tile; `first`: y is written, else added to. What the next
/// tile reads of u and delta, rows `dim` apart, is asked for on the way, a line of each in a step: all at once would wait.
template <size_t R>
SOFTLANE_INLINE void sweep(const float* x, const float* b, const float* c, size_t steps, F32 a, float* h, float* y,
                           bool first, const float* nextU, const float* nextDelta, size_t dim) {
  F32 held[R];
  for (size_t n = 0; n < R; n++) held[n] = F32::load(h + n * kCeilingChannels);
  for (size_t t = 0; t < steps; t++, b += kCeilingStates, c += kCeilingStates) {
    prefetch(nextU + t * dim);
    prefetch(nextDelta + t * dim);
    const F32 input = F32::load(x + t * kCeilingChannels);
    F32 sums[2] = {first ? F32::set(0) : F32::load(y + t * kCeilingChannels), F32::set(0)};
    for (size_t n = 0; n < R; n++) {
      held[n] = mulAdd(a, held[n], input * F32::set(b[n]));
      sums[n % 2] = mulAdd(held[n], F32::set(c[n]), sums[n % 2]);
    }
    (sums[0] + sums[1]).store(y + t * kCeilingChannels);
  }
  for (size_t n = 0; n < R; n++) held[n].store(h + n * kCeilingChannels);
}

}  // namespace

/// h = a h + delta u B, out = C h for 64 channels from u, delta and out on, rows `dim` apart.
void scan_ceiling(const float* u, const float* delta, const float* b, const float* c, float* out, size_t dim,
                  size_t length, float a, float* scratch) {
  constexpr size_t W = kCeilingChannels, L = F32::lanes;
  constexpr size_t R = SOFTLANE_RANK == 3 ? kCeilingStates : kCeilingStates / 2;
  float *x = scratch, *y = x + kCeilingSteps * W, *h = y + kCeilingSteps * W;
  for (size_t i = 0; i < kCeilingStates * W; i++) h[i] = 0;
  const F32 decay = F32::set(a);
  for (size_t from = 0; from < length; from += kCeilingSteps) {
    const size_t steps = length - from < kCeilingSteps ? length - from : kCeilingSteps;
    for (size_t t = 0; t < steps; t++) {
      const size_t row = (from + t) * dim;
      for (size_t j = 0; j < W; j += L) (F32::load(delta + row + j) * F32::load(u + row + j)).store(x + t * W + j);
    }
    const float *bs = b + from * kCeilingStates, *cs = c + from * kCeilingStates;
    const size_t next = (from + kCeilingSteps) * dim;
    for (size_t j = 0; j < W; j += L)
      for (size_t n = 0; n < kCeilingStates; n += R)
        sweep<R>(x + j, bs + n, cs + n, steps, decay, h + n * W + j, y + j, n == 0, u + next + j, delta + next + j,
                 dim);
    for (size_t t = 0; t < steps; t++)
      for (size_t j = 0; j < W; j += L) F32::load(y + t * W + j).store(out + (from + t) * dim + j);
  }
}

}  // namespace softlane::ISA

#ifdef SOFTLANE_OPERATIONS
#include "../ops.h"

namespace softlane::ops {

/// u, delta, out: [length, dim]; b, c: [length, 16]; dim a multiple of 64.
void scanCeiling(Run& run, In<float> u, In<float> delta, In<float> b, In<float> c, Out<float> out, size_t dim,
                 size_t length, double a, size_t threads) {
  if (dim == 0 || dim % kCeilingChannels != 0) throw rangeError("dim", "a multiple of 64", std::to_string(dim));
  const auto require = [](const char* name, size_t had, size_t wanted) {
    if (had != wanted) throw rangeError(name, std::to_string(wanted) + " elements long", std::to_string(had));
  };
  require("u", u.length, dim * length);
  require("delta", delta.length, dim * length);
  require("b", b.length, length * kCeilingStates);
  require("c", c.length, length * kCeilingStates);
  require("out", out.length, dim * length);
  run.useThreads(threads);
  run.each(dim / kCeilingChannels, 1, [&](size_t begin, size_t end) {
    const Scratch scratch(kCeilingScratch * sizeof(float));
    for (size_t i = begin; i < end; i++) {
      const size_t at = i * kCeilingChannels;
      kernels().scan_ceiling(u.data + at, delta.data + at, b.data, c.data, out.data + at, dim, length, float(a),
                             scratch.as<float>());
    }
  });
}

}  // namespace softlane::ops
#endif
