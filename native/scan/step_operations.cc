// selectiveStateUpdate: the decode step of a batch, each row at its own slot of the states. Tasks are heads of a row.
#ifdef SOFTLANE_OPERATIONS
#include <vector>

#include "arguments.h"

namespace softlane {
namespace {

/// Channels of a head that one task takes: of a head of thousands (Mamba-1 with one group) several do.
constexpr size_t kChannels = 256;

/// Whether an array has one number for each channel of its heads, or one for each head; throws if neither.
bool eachChannel(const char* argument, size_t length, size_t heads, size_t channels) {
  if (length == heads * channels) return true;
  if (length != heads)
    throw rangeError(argument, std::to_string(heads) + " or " + std::to_string(heads * channels) + " elements long",
                     std::to_string(length));
  return false;
}

/// Throws where a slot does not exist or is named twice; negative ones are skipped.
void requireSlots(const In<int32_t>& indices, size_t rows, size_t slots) {
  if (indices.length != rows)
    throw rangeError("stateIndices", std::to_string(rows) + " elements long", std::to_string(indices.length));
  std::vector<bool> taken(slots);
  for (size_t i = 0; i < rows; i++) {
    const int32_t slot = indices.data[i];
    if (slot < 0) continue;
    if (size_t(slot) >= slots)
      throw rangeError("stateIndices", "below the " + std::to_string(slots) + " slots", std::to_string(slot));
    if (taken[size_t(slot)]) throw rangeError("stateIndices", "of different slots", "twice " + std::to_string(slot));
    taken[size_t(slot)] = true;
  }
}

}  // namespace

namespace ops {

void selectiveStateUpdate(Run& run, Out<Any> state, In<Any> x, In<Any> dt, In<Any> A, In<Any> B, In<Any> C,
                          Maybe<In<Any>> D, Maybe<In<Any>> z, Maybe<In<Any>> dtBias, Maybe<In<int32_t>> stateIndices,
                          Out<Any> out, In<double> sizes, bool dtSoftplus, size_t threads) {
  requireSizes(sizes, 6);
  const auto size = [&](size_t i) { return size_t(sizes.data[i]); };
  const size_t batch = size(0), slots = size(1), heads = size(2), channels = size(3), n = size(4), groups = size(5);
  const Dtype type = realOf(x.element);
  if (heads == 0 || channels == 0 || n == 0 || groups == 0 || heads % groups)
    throw rangeError("groups", "a divisor of the heads, all sizes positive", std::to_string(groups));
  const double rows = double(batch), row = double(heads) * double(channels);
  requireShape("state", state, type, double(slots) * row * double(n));
  requireShape("x", x, type, rows * row);
  requireShape("B", B, type, rows * double(groups) * double(n));
  requireShape("C", C, type, rows * double(groups) * double(n));
  requireIfGiven("z", z, type, rows * row);
  requireShape("out", out, type, rows * row);
  requireStorage("A", A.element, type);
  requireStorage("dt", dt.element, type);
  const bool aEach = eachChannel("A", A.length, heads, channels * n);
  const bool dtEach = batch > 0 && eachChannel("dt", dt.length, batch * heads, channels);
  if (batch == 0) requireShape("dt", dt, type, 0);
  bool dEach = false, biasEach = false;
  if (D.data) {
    requireStorage("D", D.element, type);
    dEach = eachChannel("D", D.length, heads, channels);
  }
  if (dtBias.data) {
    requireStorage("dtBias", dtBias.element, type);
    biasEach = eachChannel("dtBias", dtBias.length, heads, channels);
  }
  if (stateIndices.data) requireSlots(stateIndices, batch, slots);
  else if (slots < batch) throw rangeError("state", "of a slot for every row", std::to_string(slots) + " slots");

  const size_t pieces = (channels + kChannels - 1) / kChannels, tasks = batch * heads * pieces;
  const size_t work = std::min(channels, kChannels) * n;
  run.useThreads(std::min(threads, 1 + tasks * work / (size_t(1) << 15)));
  run.expect(tasks);
  run.each(tasks, 1 + (size_t(1) << 14) / work, [&](size_t begin, size_t end) {
    for (size_t task = begin; task < end; task++) {
      const size_t from = task % pieces * kChannels, head = task / pieces % heads, item = task / pieces / heads;
      const size_t group = head / (heads / groups), of = head * channels + from, here = item * heads * channels + of;
      StepJob job{};
      job.type = type;
      job.channels = std::min(kChannels, channels - from);
      job.n = n;
      job.out = at(out.data, type, here);
      const int32_t slot = stateIndices.data ? stateIndices.data[item] : int32_t(0);
      if (slot < 0) {
        std::memset(job.out, 0, job.channels * sizeOf(type));
        continue;
      }
      const size_t place = stateIndices.data ? size_t(slot) : item;
      job.state = at(state.data, type, (place * heads * channels + of) * n);
      job.x = at(x.data, type, here);
      job.dt = at(dt.data, type, dtEach ? here : item * heads + head);
      job.A = at(A.data, type, aEach ? of * n : head);
      job.B = at(B.data, type, (item * groups + group) * n);
      job.C = at(C.data, type, (item * groups + group) * n);
      job.D = at(D.data, type, dEach ? of : head);
      job.z = at(z.data, type, here);
      job.bias = at(dtBias.data, type, biasEach ? of : head);
      job.dtEach = dtEach;
      job.biasEach = biasEach;
      job.aEach = aEach;
      job.dEach = dEach;
      job.softplus = dtSoftplus;
      kernels().scan_step(job);
    }
    run.advance(end - begin);
  });
}

}  // namespace ops
}  // namespace softlane
#endif
