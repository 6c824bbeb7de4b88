// Staging of blocks of channels for the selective scan, whichever way it runs.
#ifdef SOFTLANE_OPERATIONS
#include "selective.h"

#include <algorithm>
#include <cstring>

#include "../cpu.h"

namespace softlane {
namespace {

size_t roundUp(size_t n, size_t multiple) { return (n + multiple - 1) / multiple * multiple; }

/// A[n] = (n + 1) A[0] to 2^-20, which float32 values of -exp(log(n + 1)) meet up to 256 states.
bool isPattern(const float* a, size_t states) {
  for (size_t n = 1; n < states; n++) {
    const float wanted = float(n + 1) * a[0];
    if (!(std::abs(a[n] - wanted) <= 0x1p-20f * std::abs(wanted))) return false;
  }
  return true;
}

void requireLength(const char* argument, size_t length, size_t wanted) {
  if (length != wanted) throw rangeError(argument, std::to_string(wanted) + " elements long", std::to_string(length));
}

}  // namespace

void ScanCall::require() const {
  if (!groups || !dim || !states || dim % groups)
    throw rangeError("groups", "a divisor of dim", std::to_string(groups));
  const size_t rows = batch * dim * length, weights = dim * states * parts(),
               varying = batch * groups * states * length * parts();
  const auto one = [&](const char* name, In<Any> x, Dtype type, size_t wanted) {
    requireStorage(name, x.element, type);
    requireLength(name, x.length, wanted);
  };
  one("u", u, storage, rows);
  one("delta", delta, storage, rows);
  one("A", A, real, weights);
  one("B", B, storage, variableB ? varying : weights);
  one("C", C, storage, variableC ? varying : weights);
  if (D.data) one("D", D, real, dim);
  if (z.data) one("z", z, storage, rows);
  if (deltaBias.data) one("deltaBias", deltaBias, real, dim);
  if (initialState.data) one("initialState", initialState, real, batch * weights);
  if (segmentIds.data) requireLength("segmentIds", segmentIds.length, batch * length);
}

ScanCall scanCallOf(In<Any> u, In<Any> delta, In<Any> A, In<Any> B, In<Any> C, Maybe<In<Any>> D, Maybe<In<Any>> z,
                    Maybe<In<Any>> deltaBias, Maybe<In<Any>> initialState, Maybe<In<int32_t>> segmentIds,
                    In<double> sizes, Dtype dtype, ScanLayout layout, bool variableB, bool variableC, bool complex,
                    bool deltaSoftplus, Discretization discretization, bool powers) {
  if (sizes.length != 5) throw rangeError("sizes", "5 numbers", std::to_string(sizes.length));
  const auto size = [&](size_t i) { return size_t(sizes.data[i]); };
  const ScanCall call{u,
                      delta,
                      A,
                      B,
                      C,
                      D,
                      z,
                      deltaBias,
                      initialState,
                      segmentIds,
                      size(0),
                      size(1),
                      size(2),
                      size(3),
                      size(4),
                      dtype,
                      dtype == Dtype::f64 ? Dtype::f64 : Dtype::f32,
                      layout,
                      variableB,
                      variableC,
                      complex,
                      deltaSoftplus,
                      discretization,
                      powers};
  call.require();
  return call;
}

std::vector<ScanBlock> blocksOf(const ScanCall& call, size_t most) {
  std::vector<ScanBlock> blocks;
  for (size_t row = 0; row < call.batch; row++)
    for (size_t group = 0; group < call.groups; group++)
      for (size_t channel = 0; channel < call.perGroup(); channel += most)
        blocks.push_back({row, group, group * call.perGroup() + channel, std::min(most, call.perGroup() - channel)});
  return blocks;
}

ScanTask::ScanTask(const ScanCall& call, const ScanBlock& block, size_t steps)
    : call_(call),
      block_(block),
      steps_(steps),
      lanes_(kernels().scan_lanes(call.real)),
      width_(std::min(kScanVectors * lanes_, roundUp(block.count, lanes_))),
      tiles_((block.count + width_ - 1) / width_),
      size_(sizeOf(call.real)),
      weightWidth_(roundUp(call.states, lanes_)),
      scratch_([&] {
        const size_t states = stateElements(), line = steps_ * width_;
        // A step of staged B or C: one number or one vector for each part of each state.
        const size_t spread = steps_ * call.states * call.parts() * lanes_;
        return 64 * 16 + size_ * (tiles_ * (4 * states + 2 * width_) + 2 * std::max(steps_ * weightWidth_, spread) +
                                  2 * steps_ * weightWidth_ + 4 * line);
      }()),
      shares_(tiles_) {
  char* next = scratch_.as<char>();
  const auto take = [&](size_t elements) {
    next = reinterpret_cast<char*>(roundUp(reinterpret_cast<uintptr_t>(next), 64));
    char* here = next;
    next += elements * size_;
    return here;
  };
  const size_t states = stateElements(), spread = steps_ * call.states * call.parts() * lanes_;
  h_ = take(tiles_ * states);
  a_ = take(tiles_ * states);
  constantB_ = take(call.variableB ? 0 : tiles_ * states);
  constantC_ = take(call.variableC ? 0 : tiles_ * states);
  d_ = take(tiles_ * width_);
  bias_ = take(tiles_ * width_);
  b_ = take(std::max(steps_ * weightWidth_, spread));
  c_ = take(std::max(steps_ * weightWidth_, spread));
  weights_ = take(2 * steps_ * weightWidth_);
  for (char** each : {&s_, &u_, &z_, &y_}) *each = take(steps_ * width_);
  std::memset(h_, 0, tiles_ * stateBytes());

  for (size_t tile = 0; tile < tiles_; tile++) {
    const size_t channel = block.channel + tile * width_, count = channels(tile);
    const auto line = [&](In<Any> x, char* to) {  // one number for each channel
      StageJob job{call.at(x.data, channel, call.real), call.real, 1, count, 0, 1, to + tile * rowBytes(), width_};
      kernels().scan_gather(job);
    };
    if (call.D.data) line(call.D, d_);
    if (call.deltaBias.data) line(call.deltaBias, bias_);
    loadState(call.A.data, tile, a(tile));
    const auto constant = [&](In<Any> x, char* to) {
      const size_t rows = call.states * call.parts();
      StageJob job{call.at(x.data, channel * rows, call.storage),
                   call.storage,
                   rows,
                   count,
                   1,
                   rows,
                   to + tile * stateBytes(),
                   width_};
      kernels().scan_gather(job);
    };
    if (!call.variableB) constant(call.B, constantB_);
    if (!call.variableC) {
      constant(call.C, constantC_);
      if (call.complex) {  // y = 2 Re: the factor lies in C
        for (size_t i = 0; i < states; i++) {
          char* at = constantC_ + tile * stateBytes() + i * size_;
          if (size_ == 8) *reinterpret_cast<double*>(at) *= 2;
          else *reinterpret_cast<float*>(at) *= 2;
        }
      }
    }
    if (call.powers && !call.wide() && call.real == Dtype::f32) {
      bool all = true;
      for (size_t i = 0; i < count && all; i++)
        all = isPattern(static_cast<const float*>(call.A.data) + (channel + i) * call.states, call.states);
      shares_[tile] = all;
    }
  }
}

size_t ScanTask::channels(size_t tile) const { return std::min(width_, block_.count - tile * width_); }

void ScanTask::stageVariable(In<Any> x, bool broadcast, bool twice, size_t t, size_t steps, char* to) {
  const size_t N = call_.states, parts = call_.parts(), L = call_.length, G = call_.groups;
  for (size_t part = 0; part < parts; part++) {
    const bool first = call_.layout == ScanLayout::channelsFirst;
    const size_t offset = first ? ((block_.row * G + block_.group) * N * L + t) * parts + part
                                : (((block_.row * L + t) * G + block_.group) * N) * parts + part;
    const size_t step = first ? parts : G * N * parts, state = first ? L * parts : parts;
    StageJob job{call_.at(x.data, offset, call_.storage),
                 call_.storage,
                 steps,
                 N,
                 step,
                 state,
                 broadcast ? weights_ : to,
                 weightWidth_};
    kernels().scan_gather(job);
    if (!broadcast) return;
    const auto spread = [&](auto zero) {
      using S = decltype(zero);
      const S* from = reinterpret_cast<const S*>(weights_);
      for (size_t i = 0; i < steps; i++)
        for (size_t n = 0; n < N; n++) {
          S* vector = reinterpret_cast<S*>(to) + ((i * N + n) * parts + part) * lanes_;
          std::fill(vector, vector + lanes_, from[i * weightWidth_ + n] * S(twice ? 2 : 1));
        }
    };
    if (size_ == 8) spread(0.0);
    else spread(0.0f);
  }
}

void ScanTask::stageWeights(size_t t, size_t steps) {
  if (call_.variableB) stageVariable(call_.B, call_.wide(), false, t, steps, b_);
  if (call_.variableC) stageVariable(call_.C, call_.wide(), call_.complex, t, steps, c_);
}

void ScanTask::load(const void* array, size_t tile, size_t t, size_t steps, void* rows) {
  const size_t channel = block_.channel + tile * width_, L = call_.length, D = call_.dim;
  const bool first = call_.layout == ScanLayout::channelsFirst;
  const size_t offset = first ? (block_.row * D + channel) * L + t : (block_.row * L + t) * D + channel;
  kernels().scan_gather({call_.at(array, offset, call_.storage), call_.storage, steps, channels(tile), first ? 1 : D,
                         first ? L : 1, rows, width_});
}

void ScanTask::save(void* array, size_t tile, size_t t, size_t steps, void* rows) {
  const size_t channel = block_.channel + tile * width_, L = call_.length, D = call_.dim;
  const bool first = call_.layout == ScanLayout::channelsFirst;
  const size_t offset = first ? (block_.row * D + channel) * L + t : (block_.row * L + t) * D + channel;
  kernels().scan_scatter({call_.at(array, offset, call_.storage), call_.storage, steps, channels(tile), first ? 1 : D,
                          first ? L : 1, rows, width_});
}

void ScanTask::loadState(const void* data, size_t tile, void* rows) {
  const size_t n = call_.states * call_.parts(), channel = block_.channel + tile * width_;
  kernels().scan_gather({call_.at(data, channel * n, call_.real), call_.real, n, channels(tile), 1, n, rows, width_});
}

void ScanTask::saveState(void* data, size_t tile, const void* rows) {
  const size_t n = call_.states * call_.parts(), channel = block_.channel + tile * width_;
  kernels().scan_scatter(
      {call_.at(data, channel * n, call_.real), call_.real, n, channels(tile), 1, n, const_cast<void*>(rows), width_});
}

void ScanTask::stage(size_t tile, size_t t, size_t steps, bool raw) {
  load(call_.u.data, tile, t, steps, u_);
  load(call_.delta.data, tile, t, steps, s_);
  if (call_.z.data) load(call_.z.data, tile, t, steps, z_);
  if (!raw) kernels().scan_steps(edge(tile, steps));
}

void ScanTask::tileWeights(ScanWeights& w, bool variable, char* staged, char* constant, size_t tile,
                           size_t from) const {
  const size_t parts = call_.parts();
  if (!variable) {
    w = {constant + tile * stateBytes(), 0, parts * width_, lanes_};
    return;
  }
  const size_t step = call_.wide() ? call_.states * parts * lanes_ : weightWidth_;
  w = {staged + from * step * size_, step, call_.wide() ? parts * lanes_ : 1, 0};
}

ScanTile ScanTask::swept(size_t tile, size_t from, size_t steps, ScanMode mode) {
  ScanTile t{};
  t.type = call_.real;
  t.complex = call_.complex;
  t.wide = call_.wide();
  t.rule = call_.rule;
  t.mode = mode;
  t.powers = shares_[tile];
  t.width = width_;
  t.vectors = vectors(tile);
  t.steps = steps;
  t.states = call_.states;
  const size_t skip = from * rowBytes();
  t.s = s_ + skip;
  t.u = u_ + skip;
  t.a = a(tile);
  tileWeights(t.b, call_.variableB, b_, constantB_, tile, from);
  tileWeights(t.c, call_.variableC, c_, constantC_, tile, from);
  t.h = h(tile);
  t.y = y_ + skip;
  return t;
}

void ScanTask::lookAhead(ScanTile& swept, size_t tile, size_t t, const void* out) const {
  const size_t channel = block_.channel + tile * width_, L = call_.length, D = call_.dim, size = sizeOf(call_.storage);
  const bool first = call_.layout == ScanLayout::channelsFirst;
  const size_t offset = first ? (block_.row * D + channel) * L + t : (block_.row * L + t) * D + channel;
  for (const void* array : {call_.u.data, call_.delta.data, static_cast<const void*>(call_.z.data), out})
    if (array) swept.ahead[swept.aheads++] = static_cast<const char*>(array) + offset * size;
  swept.aheadStep = (first ? L : D) * size;
  swept.aheadVector = lanes_ * (first ? L : 1) * size;
}

ScanEdge ScanTask::edge(size_t tile, size_t steps) {
  ScanEdge e{};
  e.type = call_.real;
  e.width = width_;
  e.steps = steps;
  e.bias = call_.deltaBias.data ? bias_ + tile * rowBytes() : nullptr;
  e.d = call_.D.data ? d_ + tile * rowBytes() : nullptr;
  e.softplus = call_.softplus;
  e.delta = s_;
  e.u = u_;
  e.z = call_.z.data ? z_ : nullptr;
  e.y = y_;
  return e;
}

}  // namespace softlane
#endif
