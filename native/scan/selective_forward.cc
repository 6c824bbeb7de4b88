// The selective scan forwards. Tasks are blocks of channels; few channels over a long time are also cut in time:
//
//   1  each chunk but the last from a zero state: its end e and the sum S of its steps
//   2  the state that each chunk starts with: h = exp(A S) h + e, one exponential for a state and chunk
//   3  each chunk from there, with outputs
//
// One thread does 1 and 3 in one sweep, which carries both states and has the same bits. How time is cut depends on the
// shape alone.
#ifdef SOFTLANE_OPERATIONS
#include <algorithm>
#include <cstring>

#include "../cpu.h"
#include "selective.h"

namespace softlane {
namespace {

constexpr size_t kBlockChannels = 512;

/// Steps of a chunk; at least the length where time is not cut.
size_t chunkSteps(const ScanCall& call) {
  const bool cut = call.batch * call.dim < 512 && call.length >= 2048 && call.rule != Discretization::bilinear;
  if (!cut) return std::max<size_t>(call.length, 1);
  const size_t chunks = std::min<size_t>(16, call.length / 1024), steps = (call.length + chunks - 1) / chunks;
  return (steps + kCheckpoint - 1) / kCheckpoint * kCheckpoint;
}

/// What a chunk from a zero state leaves, for all tiles of a block.
struct Ends {
  char *e, *sum;
  bool reset = false;  ///< a segment starts inside: nothing comes through from before
};

class Sweep {
 public:
  Sweep(const ScanCall& call, const ScanResults& results, ScanTask& task, bool cut)
      : call_(call), results_(results), task_(task), cut_(cut), ordinal_(task.tiles()) {}

  /// Steps [begin, end) from the states of the task; `outputs`: what the call returns; `ends`: what a zero state leaves.
  void over(size_t begin, size_t end, bool outputs, Ends* ends) {
    size_t ordinal = 0;
    if (results_.segments && outputs)
      for (size_t t = 1; t < begin; t++) ordinal += call_.startsAt(task_.block().row, t);
    std::fill(ordinal_.begin(), ordinal_.end(), ordinal);
    if (call_.layout == ScanLayout::timeFirst) {  // rows of time are contiguous: all tiles of a few steps at once
      for (size_t t = begin; t < end; t += kScanSteps) {
        const size_t steps = std::min(kScanSteps, end - t);
        task_.stageWeights(t, steps);
        for (size_t tile = 0; tile < task_.tiles(); tile++) one(tile, t, steps, outputs, ends);
      }
    } else {
      for (size_t tile = 0; tile < task_.tiles(); tile++)
        for (size_t t = begin; t < end; t += kScanSteps) {
          const size_t steps = std::min(kScanSteps, end - t);
          task_.stageWeights(t, steps);
          one(tile, t, steps, outputs, ends);
        }
    }
    if (end == call_.length && outputs)
      for (size_t tile = 0; tile < task_.tiles(); tile++) finish(tile);
  }

 private:
  void one(size_t tile, size_t t, size_t steps, bool outputs, Ends* ends) {
    task_.stage(tile, t, steps);
    const size_t row = task_.block().row;
    if (outputs && results_.checkpoints && t % kCheckpoint == 0) {
      task_.saveState(at(results_.checkpoints, row * checkpointsOf(call_.length) + t / kCheckpoint), tile,
                      task_.h(tile));
    }
    size_t from = 0;
    const auto sweep = [&](size_t to) {
      if (to == from) return;
      ScanTile each = task_.swept(tile, from, to - from, ends && outputs ? ScanMode::both : ScanMode::plain);
      each.halves = cut_;
      if (ends) each.other = ends->e + tile * task_.stateBytes();
      if (!outputs) each.h = each.other;
      if (!outputs || !results_.out) each.y = nullptr;
      if (from == 0) {  // the tile that is staged next
        const bool more = tile + 1 < task_.tiles();
        if (call_.layout == ScanLayout::channelsFirst) task_.lookAhead(each, tile, t + steps, results_.out);
        else task_.lookAhead(each, more ? tile + 1 : 0, more ? t : t + steps, results_.out);
      }
      kernels().scan_sweep(each);
      from = to;
    };
    for (size_t i = 0; i < steps; i++)
      if (call_.startsAt(row, t + i)) {
        sweep(i);
        if (outputs && results_.segments) saveSegment(tile);
        std::memset(task_.h(tile), 0, task_.stateBytes());
        if (ends) {
          std::memset(ends->e + tile * task_.stateBytes(), 0, task_.stateBytes());
          ends->reset = true;
        }
      }
    sweep(steps);
    if (ends)
      kernels().scan_add_steps(call_.real, task_.s(), task_.width(), steps, ends->sum + tile * task_.rowBytes());
    if (!outputs || !results_.out) return;
    kernels().scan_finish(task_.edge(tile, steps));
    task_.save(results_.out, tile, t, steps, task_.y());
  }

  void finish(size_t tile) {
    if (results_.last) task_.saveState(at(results_.last, task_.block().row), tile, task_.h(tile));
    if (results_.segments && call_.length > 0) saveSegment(tile);
  }
  void saveSegment(size_t tile) {
    const size_t index = results_.segmentBase[task_.block().row] + ordinal_[tile]++;
    task_.saveState(at(results_.segments, index), tile, task_.h(tile));
  }
  void* at(void* data, size_t index) const {
    return static_cast<char*>(data) + stateOffset(call_, index) * sizeOf(call_.real);
  }

  const ScanCall& call_;
  const ScanResults& results_;
  ScanTask& task_;
  const bool cut_;
  std::vector<size_t> ordinal_;
};

void startRow(const ScanCall& call, ScanTask& task) {
  if (!call.initialState.data) return;
  for (size_t tile = 0; tile < task.tiles(); tile++)
    task.loadState(call.at(call.initialState.data, stateOffset(call, task.block().row), call.real), tile, task.h(tile));
}

/// next = the state after a chunk that started with h, for every tile.
void carry(const ScanCall& call, ScanTask& task, const Ends& ends, const char* h, char* next) {
  const size_t bytes = task.tiles() * task.stateBytes();
  if (ends.reset) {
    std::memcpy(next, ends.e, bytes);
    return;
  }
  for (size_t tile = 0; tile < task.tiles(); tile++) {
    const size_t at = tile * task.stateBytes();
    kernels().scan_carry({call.real, call.complex, task.width(), call.states, task.a(tile),
                          ends.sum + tile * task.rowBytes(), h + at, ends.e + at, next + at});
  }
}

/// One thread: both states in one sweep.
void together(const ScanCall& call, const ScanResults& results, ScanTask& task, size_t chunk) {
  const size_t bytes = task.tiles() * task.stateBytes(), sums = task.tiles() * task.rowBytes();
  Scratch scratch(2 * bytes + sums);
  char *e = scratch.as<char>(), *start = e + bytes;
  Sweep sweep(call, results, task, true);
  for (size_t t = 0; t < call.length; t += chunk) {
    const size_t end = std::min(call.length, t + chunk);
    if (end == call.length) {
      sweep.over(t, end, true, nullptr);
      return;
    }
    Ends ends{e, start + bytes};
    std::memset(e, 0, bytes);
    std::memset(ends.sum, 0, sums);
    std::memcpy(start, task.h(0), bytes);
    sweep.over(t, end, true, &ends);
    carry(call, task, ends, start, task.h(0));
  }
}

/// Several threads: chunks are tasks.
void apart(Run& run, const ScanCall& call, const ScanResults& results, const std::vector<ScanBlock>& blocks,
           size_t chunk, bool report) {
  const size_t chunks = (call.length + chunk - 1) / chunk;
  size_t states = 0, sums = 0;
  std::vector<size_t> stateBytes, sumBytes;  // of the tiles of each block
  for (const ScanBlock& block : blocks) {
    const ScanTask task(call, block);
    stateBytes.push_back(task.tiles() * task.stateBytes());
    sumBytes.push_back(task.tiles() * task.rowBytes());
  }
  std::vector<size_t> stateAt, sumAt;
  for (size_t i = 0; i < blocks.size(); i++) {
    stateAt.push_back(states);
    sumAt.push_back(sums);
    states += stateBytes[i] * chunks;
    sums += sumBytes[i] * chunks;
  }
  Scratch scratch(2 * states + sums);
  char *e = scratch.as<char>(), *starts = e + states, *sum = starts + states;
  std::vector<Ends> ends(blocks.size() * chunks);
  for (size_t i = 0; i < blocks.size(); i++)
    for (size_t c = 0; c < chunks; c++)
      ends[i * chunks + c] = {e + stateAt[i] + c * stateBytes[i], sum + sumAt[i] + c * sumBytes[i]};
  const auto forEach = [&](size_t count, auto body) {
    return run.each(blocks.size() * count, 1, [&](size_t begin, size_t end) {
      for (size_t task = begin; task < end; task++) body(task / count, task % count);
      if (report) run.advance(end - begin);
    });
  };
  if (report) run.expect(blocks.size() * (2 * chunks - 1));
  const bool whole = forEach(chunks - 1, [&](size_t i, size_t c) {
    ScanTask task(call, blocks[i]);
    Ends& own = ends[i * chunks + c];
    std::memset(own.e, 0, stateBytes[i]);
    std::memset(own.sum, 0, sumBytes[i]);
    Sweep(call, results, task, true).over(c * chunk, (c + 1) * chunk, false, &own);
  });
  if (!whole) return;
  for (size_t i = 0; i < blocks.size(); i++) {
    ScanTask task(call, blocks[i]);
    startRow(call, task);
    char* start = starts + stateAt[i];
    std::memcpy(start, task.h(0), stateBytes[i]);
    for (size_t c = 0; c + 1 < chunks; c++, start += stateBytes[i])
      carry(call, task, ends[i * chunks + c], start, start + stateBytes[i]);
  }
  forEach(chunks, [&](size_t i, size_t c) {
    ScanTask task(call, blocks[i]);
    std::memcpy(task.h(0), starts + stateAt[i] + c * stateBytes[i], stateBytes[i]);
    Sweep(call, results, task, true).over(c * chunk, std::min(call.length, (c + 1) * chunk), true, nullptr);
  });
}

}  // namespace

size_t scanForward(Run& run, const ScanCall& call, const ScanResults& results, size_t threads, bool report) {
  const size_t chunk = chunkSteps(call);
  const bool cut = chunk < call.length;
  const auto blocks = blocksOf(call, kBlockChannels);
  run.useThreads(std::min<size_t>(threads, 1 + call.batch * call.dim * call.length * call.states / (size_t(1) << 17)));
  std::vector<size_t> shared(blocks.size());
  if (cut && run.threads() > 1) {
    for (size_t i = 0; i < blocks.size(); i++) {
      const ScanTask task(call, blocks[i]);
      for (size_t tile = 0; tile < task.tiles(); tile++) shared[i] += task.sharesPowers(tile);
    }
    apart(run, call, results, blocks, chunk, report);
  } else {
    if (report) run.expect(blocks.size());
    run.each(blocks.size(), 1, [&](size_t begin, size_t end) {
      for (size_t i = begin; i < end; i++) {
        ScanTask task(call, blocks[i]);
        startRow(call, task);
        if (cut) together(call, results, task, chunk);
        else Sweep(call, results, task, false).over(0, call.length, true, nullptr);
        for (size_t tile = 0; tile < task.tiles(); tile++) shared[i] += task.sharesPowers(tile);
      }
      if (report) run.advance(end - begin);
    });
  }
  size_t total = 0;
  for (size_t each : shared) total += each;
  return total;
}

namespace ops {

double selectiveScan(Run& run, In<Any> u, In<Any> delta, In<Any> A, In<Any> B, In<Any> C, Maybe<In<Any>> D,
                     Maybe<In<Any>> z, Maybe<In<Any>> deltaBias, Maybe<In<Any>> initialState,
                     Maybe<In<int32_t>> segmentIds, Out<Any> out, Maybe<Out<Any>> lastState,
                     Maybe<Out<Any>> segmentStates, Maybe<Out<Any>> checkpoints, In<double> sizes, Dtype dtype,
                     ScanLayout layout, bool variableB, bool variableC, bool complex, bool deltaSoftplus,
                     Discretization discretization, bool powers, size_t threads) {
  const ScanCall call = scanCallOf(u, delta, A, B, C, D, z, deltaBias, initialState, segmentIds, sizes, dtype, layout,
                                   variableB, variableC, complex, deltaSoftplus, discretization, powers);
  requireStorage("out", out.element, dtype);
  requireMatrix("out", out.length, 1, u.length, u.length);
  const size_t weights = call.dim * call.states * call.parts();
  const auto state = [&](const char* name, const Out<Any>& x, size_t count) {
    if (!x.data) return;
    requireStorage(name, x.element, call.real);
    if (x.length != count * weights)
      throw rangeError(name, std::to_string(count * weights) + " elements long", std::to_string(x.length));
  };
  ScanResults results{out.data, lastState.data, segmentStates.data, checkpoints.data, {}};
  size_t segments = 0;
  for (size_t row = 0; row < call.batch; row++) {
    results.segmentBase.push_back(segments);
    segments += call.length > 0;
    for (size_t t = 1; t < call.length; t++) segments += call.startsAt(row, t);
  }
  state("lastState", lastState, call.batch);
  state("segmentStates", segmentStates, segments);
  state("checkpoints", checkpoints, call.batch * ((call.length + kCheckpoint - 1) / kCheckpoint));

  return double(scanForward(run, call, results, threads, true));
}

}  // namespace ops
}  // namespace softlane
#endif
