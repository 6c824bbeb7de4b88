// The selective scan backwards, window by window of 64 steps from the last to the first: the states of a window are
// computed again from the checkpoint before it and kept, then the adjoint runs down (reverse.cc). The recurrence is never
// inverted.
//
// Sums over channels (dB, dC) are those of blocks of channels in their order, sums over the batch those of rows in theirs:
// results do not depend on threads.
#ifdef SOFTLANE_OPERATIONS
#include <algorithm>
#include <cstring>

#include "../cpu.h"
#include "selective.h"

namespace softlane {
namespace {

/// Arrays of the call that are written. Null where not wanted.
struct Gradients {
  void *du, *ddelta, *dA, *dB, *dC, *dD, *dz, *dBias, *dInitial;
};

/// Partial sums: of each row where it is over the batch, of each block where it is over channels.
struct Partials {
  char *dA, *dD, *dBias;  ///< [batch][dim ...], real
  char *dB, *dC;          ///< varying: [blocks][length][states][parts]; constant: [batch][dim][states][parts]
};

template <class Body>
void byType(Dtype type, Body body) {
  if (type == Dtype::f64) body(0.0);
  else body(0.0f);
}

/// One block of channels of one row.
class Window {
 public:
  Window(const ScanCall& call, const ScanBlock& block, size_t index, const Gradients& to, const Partials& partials)
      : call_(call),
        to_(to),
        partials_(partials),
        index_(index),
        task_(call, block, kCheckpoint),
        numbers_(call.states * call.parts()),
        vectorBytes_(numbers_ * task_.lanes() * task_.size()),
        size_(task_.size()),
        scratch_(64 * 24 + (4 * kCheckpoint + 1 + 2 * vectorsOf()) * vectorBytes_ +
                 2 * task_.tiles() * task_.stateBytes() + 2 * task_.tiles() * task_.rowBytes() +
                 8 * kCheckpoint * task_.rowBytes()) {
    char* next = scratch_.as<char>();
    const auto take = [&](size_t bytes) {
      next = reinterpret_cast<char*>((reinterpret_cast<uintptr_t>(next) + 63) / 64 * 64);
      char* here = next;
      next += bytes;
      return here;
    };
    kept_ = take((kCheckpoint + 1) * vectorBytes_);
    decays_ = take(kCheckpoint * vectorBytes_);
    sumB_ = take((call.variableB ? kCheckpoint : vectorsOf()) * vectorBytes_);
    sumC_ = take((call.variableC ? kCheckpoint : vectorsOf()) * vectorBytes_);
    mu_ = take(task_.tiles() * task_.stateBytes());
    dA_ = take(task_.tiles() * task_.stateBytes());
    dD_ = take(task_.tiles() * task_.rowBytes());
    dBias_ = take(task_.tiles() * task_.rowBytes());
    for (char** each : {&raw_, &gout_, &g_, &q_, &ds_, &du_, &ddelta_, &dz_})
      *each = take(kCheckpoint * task_.rowBytes());
    std::memset(mu_, 0, task_.tiles() * task_.stateBytes());
    std::memset(dA_, 0, task_.tiles() * task_.stateBytes());
    std::memset(dD_, 0, task_.tiles() * task_.rowBytes());
    std::memset(dBias_, 0, task_.tiles() * task_.rowBytes());
    if (!call.variableB) std::memset(sumB_, 0, vectorsOf() * vectorBytes_);
    if (!call.variableC) std::memset(sumC_, 0, vectorsOf() * vectorBytes_);
  }

  void over(const void* checkpoints, const void* gout, const void* glast) {
    const size_t row = task_.block().row, windows = checkpointsOf(call_.length);
    const auto stateAt = [&](const void* data, size_t index) {
      return call_.at(data, stateOffset(call_, index), call_.real);
    };
    if (glast)
      for (size_t tile = 0; tile < task_.tiles(); tile++)
        task_.loadState(stateAt(glast, row), tile, mu_ + tile * task_.stateBytes());
    for (size_t window = windows; window-- > 0;) {
      const size_t t = window * kCheckpoint, steps = std::min(kCheckpoint, call_.length - t);
      task_.stageWeights(t, steps);
      if (call_.variableB) std::memset(sumB_, 0, steps * vectorBytes_);
      if (call_.variableC) std::memset(sumC_, 0, steps * vectorBytes_);
      bool any = false;
      for (size_t i = 0; i < steps; i++) any |= resets_[i] = call_.startsAt(row, t + i);
      for (size_t tile = 0; tile < task_.tiles(); tile++) {
        task_.loadState(stateAt(checkpoints, row * windows + window), tile, task_.h(tile));
        one(tile, t, steps, gout, any);
      }
      if (call_.variableB) reduce(sumB_, partials_.dB, t, steps);
      if (call_.variableC) reduce(sumC_, partials_.dC, t, steps);
    }
    for (size_t tile = 0; tile < task_.tiles(); tile++) finish(tile);
  }

 private:
  size_t vectorsOf() const { return task_.tiles() * kScanVectors; }

  void one(size_t tile, size_t t, size_t steps, const void* gout, bool any) {
    task_.stage(tile, t, steps, true);
    std::memcpy(raw_, task_.s(), steps * task_.rowBytes());
    ScanEdge edge = task_.edge(tile, steps);
    kernels().scan_steps(edge);
    task_.load(gout, tile, t, steps, gout_);
    edge.delta = raw_;
    edge.gout = gout_;
    edge.g = g_;
    edge.dD = dD_ + tile * task_.rowBytes();
    edge.dBias = dBias_ + tile * task_.rowBytes();
    edge.q = q_;
    edge.ds = ds_;
    edge.du = du_;
    edge.ddelta = ddelta_;
    edge.dz = dz_;
    kernels().scan_open(edge);
    for (size_t v = 0; v < task_.vectors(tile); v++) vector(tile, v, steps, any);
    kernels().scan_close(edge);
    task_.save(to_.du, tile, t, steps, du_);
    task_.save(to_.ddelta, tile, t, steps, ddelta_);
    if (to_.dz) task_.save(to_.dz, tile, t, steps, dz_);
  }

  void vector(size_t tile, size_t v, size_t steps, bool any) {
    const size_t skip = v * task_.lanes() * size_, keptStep = vectorBytes_;
    char* h = task_.h(tile) + skip;
    for (size_t n = 0; n < numbers_; n++)
      std::memcpy(kept_ + n * task_.lanes() * size_, h + n * task_.rowBytes(), task_.lanes() * size_);
    const auto ofVector = [&](size_t from, size_t count) {
      ScanTile each = task_.swept(tile, from, count, ScanMode::keep);
      each.vectors = 1;
      for (const void** p : {&each.s, &each.u, &each.a}) *p = static_cast<const char*>(*p) + skip;
      each.b.p = static_cast<const char*>(each.b.p) + v * each.b.vector * size_;
      each.c.p = static_cast<const char*>(each.c.p) + v * each.c.vector * size_;
      each.h = h;
      each.y = to_.dz ? static_cast<char*>(each.y) + skip : nullptr;
      each.kept = kept_ + from * keptStep;
      each.decays = decays_ + from * keptStep;
      return each;
    };
    size_t from = 0;
    const auto sweep = [&](size_t end) {
      if (end > from) kernels().scan_sweep(ofVector(from, end - from));
      from = end;
    };
    if (any)
      for (size_t i = 0; i < steps; i++)
        if (resets_[i]) {
          sweep(i);
          for (size_t n = 0; n < numbers_; n++) std::memset(h + n * task_.rowBytes(), 0, task_.lanes() * size_);
        }
    sweep(steps);

    ScanReverse job{};
    job.tile = ofVector(0, steps);
    job.resets = any ? resets_ : nullptr;
    job.g = g_ + skip;
    job.mu = mu_ + tile * task_.stateBytes() + skip;
    job.dA = dA_ + tile * task_.stateBytes() + skip;
    const size_t own = (tile * kScanVectors + v) * vectorBytes_;
    job.dB = sumB_ + (call_.variableB ? 0 : own);
    job.dC = sumC_ + (call_.variableC ? 0 : own);
    job.constantB = !call_.variableB;
    job.constantC = !call_.variableC;
    job.q = q_ + skip;
    job.ds = ds_ + skip;
    kernels().scan_reverse(job);
  }

  /// Lanes of dB or dC of a window, summed into the partial of this block.
  void reduce(const char* vectors, char* partial, size_t t, size_t steps) {
    kernels().scan_lane_sums(call_.real, vectors, partial + (index_ * call_.length + t) * numbers_ * size_,
                             steps * numbers_);
  }

  void finish(size_t tile) {
    const size_t row = task_.block().row, states = call_.dim * numbers_ * size_;
    const size_t channel = task_.block().channel + tile * task_.width();
    if (to_.dInitial)
      task_.saveState(static_cast<char*>(to_.dInitial) + row * states, tile, mu_ + tile * task_.stateBytes());
    task_.saveState(partials_.dA + row * states, tile, dA_ + tile * task_.stateBytes());
    const auto line = [&](char* partial, char* rows) {
      std::memcpy(partial + (row * call_.dim + channel) * size_, rows + tile * task_.rowBytes(),
                  task_.channels(tile) * size_);
    };
    line(partials_.dD, dD_);
    line(partials_.dBias, dBias_);
    const auto constant = [&](char* partial, char* sums) {
      for (size_t v = 0; v < task_.vectors(tile); v++) {
        const size_t first = channel + v * task_.lanes(), left = task_.channels(tile) - v * task_.lanes();
        kernels().scan_scatter({partial + row * states + first * numbers_ * size_, call_.real, numbers_,
                                std::min(left, task_.lanes()), 1, numbers_,
                                sums + (tile * kScanVectors + v) * vectorBytes_, task_.lanes()});
      }
    };
    if (!call_.variableB) constant(partials_.dB, sumB_);
    if (!call_.variableC) constant(partials_.dC, sumC_);
  }

  const ScanCall& call_;
  const Gradients& to_;
  const Partials& partials_;
  const size_t index_;
  ScanTask task_;
  const size_t numbers_, vectorBytes_, size_;
  Scratch scratch_;
  bool resets_[kCheckpoint];
  char *kept_, *decays_, *sumB_, *sumC_, *mu_, *dA_, *dD_, *dBias_;
  char *raw_, *gout_, *g_, *q_, *ds_, *du_, *ddelta_, *dz_;
};

/// to[i] = factor (sum over `count` partials of `length` numbers each, in their order), in the storage `type`.
void addUp(Dtype real, const char* partials, size_t count, size_t length, double factor, void* to, Dtype type) {
  byType(real, [&](auto zero) {
    using S = decltype(zero);
    const S* from = reinterpret_cast<const S*>(partials);
    std::vector<S> sums(std::min<size_t>(length, 1024));
    for (size_t i = 0; i < length; i += sums.size()) {
      const size_t n = std::min(sums.size(), length - i);
      std::fill(sums.begin(), sums.end(), S(0));
      for (size_t k = 0; k < count; k++)
        for (size_t j = 0; j < n; j++) sums[j] += from[k * length + i + j];
      for (S& each : sums) each *= S(factor);
      kernels().convert(sums.data(), real, static_cast<char*>(to) + i * sizeOf(type), type, n);
    }
  });
}

/// Varying dB or dC: the blocks of each group in order, some steps at a time, into the layout of the call.
void addGroups(const ScanCall& call, const std::vector<ScanBlock>& blocks, const char* partials, double factor,
               void* to) {
  const size_t N = call.states, parts = call.parts(), L = call.length, G = call.groups, numbers = N * parts;
  const size_t lanes = kernels().scan_lanes(call.real), width = (N + lanes - 1) / lanes * lanes;
  const bool channels = call.layout == ScanLayout::channelsFirst;
  const Scratch tile(kCheckpoint * width * sizeOf(call.real));
  std::memset(tile.as<char>(), 0, kCheckpoint * width * sizeOf(call.real));
  for (size_t first = 0, last; first < blocks.size(); first = last) {
    const size_t row = blocks[first].row, group = blocks[first].group;
    for (last = first; last < blocks.size() && blocks[last].row == row && blocks[last].group == group;) last++;
    for (size_t t = 0; t < L; t += kCheckpoint)
      for (size_t part = 0; part < parts; part++) {
        const size_t steps = std::min(kCheckpoint, L - t);
        byType(call.real, [&](auto zero) {
          using S = decltype(zero);
          for (size_t i = 0; i < steps; i++)
            for (size_t n = 0; n < N; n++) {
              S sum = 0;
              for (size_t k = first; k < last; k++)
                sum += reinterpret_cast<const S*>(partials)[(k * L + t + i) * numbers + n * parts + part];
              tile.as<S>()[i * width + n] = sum * S(factor);
            }
        });
        const size_t offset =
            channels ? ((row * G + group) * N * L + t) * parts + part : ((row * L + t) * G + group) * numbers + part;
        kernels().scan_scatter({static_cast<char*>(to) + offset * sizeOf(call.storage), call.storage, steps, N,
                                channels ? parts : G * numbers, channels ? L * parts : parts, tile.as<void>(), width});
      }
  }
}

}  // namespace

namespace ops {

void selectiveScanBackward(Run& run, In<Any> u, In<Any> delta, In<Any> A, In<Any> B, In<Any> C, Maybe<In<Any>> D,
                           Maybe<In<Any>> z, Maybe<In<Any>> deltaBias, Maybe<In<Any>> initialState,
                           Maybe<In<int32_t>> segmentIds, Maybe<In<Any>> checkpoints, In<Any> gout,
                           Maybe<In<Any>> glast, Out<Any> du, Out<Any> ddelta, Out<Any> dA, Out<Any> dB, Out<Any> dC,
                           Maybe<Out<Any>> dD, Maybe<Out<Any>> dz, Maybe<Out<Any>> ddeltaBias,
                           Maybe<Out<Any>> dInitialState, In<double> sizes, Dtype dtype, ScanLayout layout,
                           bool variableB, bool variableC, bool complex, bool deltaSoftplus,
                           Discretization discretization, bool powers, size_t threads) {
  const ScanCall call = scanCallOf(u, delta, A, B, C, D, z, deltaBias, initialState, segmentIds, sizes, dtype, layout,
                                   variableB, variableC, complex, deltaSoftplus, discretization, powers);
  const auto require = [](const char* name, Element element, size_t length, Dtype type, size_t wanted) {
    requireStorage(name, element, type);
    if (length != wanted) throw rangeError(name, std::to_string(wanted) + " elements long", std::to_string(length));
  };
  const size_t weights = call.dim * call.states * call.parts(), windows = checkpointsOf(call.length);
  const auto out = [&](const char* name, const Out<Any>& x, Dtype type, size_t wanted) {
    if (x.data) require(name, x.element, x.length, type, wanted);
  };
  require("gout", gout.element, gout.length, dtype, u.length);
  if (glast.data) require("glast", glast.element, glast.length, call.real, call.batch * weights);
  if (checkpoints.data)
    require("checkpoints", checkpoints.element, checkpoints.length, call.real, call.batch * windows * weights);
  out("du", du, dtype, u.length);
  out("ddelta", ddelta, dtype, u.length);
  out("dA", dA, call.real, weights);
  out("dB", dB, dtype, B.length);
  out("dC", dC, dtype, C.length);
  out("dD", dD, call.real, call.dim);
  out("dz", dz, dtype, u.length);
  out("ddeltaBias", ddeltaBias, call.real, call.dim);
  out("dInitialState", dInitialState, call.real, call.batch * weights);

  const size_t size = sizeOf(call.real), states = weights * size;
  Scratch kept(checkpoints.data ? 0 : call.batch * windows * states);
  const void* before = checkpoints.data;
  if (!before) {
    before = kept.as<void>();
    ScanResults results{nullptr, nullptr, nullptr, kept.as<void>(), {}};
    scanForward(run, call, results, threads, false);
    if (run.stopped()) return;
  }

  const auto blocks = blocksOf(call, call.batch * call.dim >= 2048 ? 256 : 64);
  const size_t varying = blocks.size() * call.length * call.states * call.parts() * size;
  const size_t bytesB = variableB ? varying : call.batch * states, bytesC = variableC ? varying : call.batch * states;
  const size_t line = call.batch * call.dim * size;
  Scratch scratch(call.batch * states + 2 * line + bytesB + bytesC);
  char* next = scratch.as<char>();
  std::memset(next, 0, call.batch * states + 2 * line + bytesB + bytesC);
  Partials partials{};
  partials.dA = next;
  partials.dB = partials.dA + call.batch * states;
  partials.dC = partials.dB + bytesB;
  partials.dD = partials.dC + bytesC;
  partials.dBias = partials.dD + line;
  const Gradients to{du.data, ddelta.data, dA.data,         dB.data,           dC.data,
                     dD.data, dz.data,     ddeltaBias.data, dInitialState.data};

  run.useThreads(std::min<size_t>(threads, 1 + call.batch * call.dim * call.length * call.states / (size_t(1) << 16)));
  run.expect(blocks.size());
  const bool whole = run.each(blocks.size(), 1, [&](size_t begin, size_t end) {
    for (size_t i = begin; i < end; i++) Window(call, blocks[i], i, to, partials).over(before, gout.data, glast.data);
    run.advance(end - begin);
  });
  if (!whole) return;
  const double twice = complex ? 2 : 1;  // y = 2 Re: the sweep has the factor in C
  addUp(call.real, partials.dA, call.batch, weights, 1, dA.data, call.real);
  if (dD.data) addUp(call.real, partials.dD, call.batch, call.dim, 1, dD.data, call.real);
  if (ddeltaBias.data) addUp(call.real, partials.dBias, call.batch, call.dim, 1, ddeltaBias.data, call.real);
  if (variableB) addGroups(call, blocks, partials.dB, 1, dB.data);
  else addUp(call.real, partials.dB, call.batch, weights, 1, dB.data, dtype);
  if (variableC) addGroups(call, blocks, partials.dC, twice, dC.data);
  else addUp(call.real, partials.dC, call.batch, weights, twice, dC.data, dtype);
}

}  // namespace ops
}  // namespace softlane
#endif
