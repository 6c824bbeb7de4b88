// A call of the selective scan, and one of its tasks: a block of channels of one row of the batch, staged tile by tile.
#pragma once
#include <vector>

#include "../ops.h"
#include "scan.h"

namespace softlane {

/// The arrays and sizes of a call, as both directions have them.
struct ScanCall {
  In<Any> u, delta, A, B, C;
  Maybe<In<Any>> D, z, deltaBias, initialState;
  Maybe<In<int32_t>> segmentIds;
  size_t batch, dim, length, states, groups;
  Dtype storage, real;  ///< of u, delta, B, C, z and the results shaped like u; of everything else
  ScanLayout layout;
  bool variableB, variableC, complex, softplus;
  Discretization rule;
  bool powers;

  size_t parts() const { return complex ? 2 : 1; }
  size_t perGroup() const { return dim / groups; }
  bool wide() const { return complex || rule != Discretization::euler || !variableB || !variableC; }
  /// Whether the recurrence starts anew at a step that is not the first.
  bool startsAt(size_t row, size_t t) const {
    return segmentIds.data && t > 0 && segmentIds.data[row * length + t] != segmentIds.data[row * length + t - 1];
  }
  const void* at(const void* data, size_t offset, Dtype type) const {
    return static_cast<const char*>(data) + offset * sizeOf(type);
  }
  /// Throws unless every array has the length that its shape asks for.
  void require() const;
};

/// From the arguments of either operation, checked.
ScanCall scanCallOf(In<Any> u, In<Any> delta, In<Any> A, In<Any> B, In<Any> C, Maybe<In<Any>> D, Maybe<In<Any>> z,
                    Maybe<In<Any>> deltaBias, Maybe<In<Any>> initialState, Maybe<In<int32_t>> segmentIds,
                    In<double> sizes, Dtype dtype, ScanLayout layout, bool variableB, bool variableC, bool complex,
                    bool deltaSoftplus, Discretization discretization, bool powers);

/// Channels of one row that one task takes: all of one group. Of the shape alone, so that results do not depend on threads.
struct ScanBlock {
  size_t row, group, channel, count;
};
std::vector<ScanBlock> blocksOf(const ScanCall& call, size_t most);

/// The scratch of a block: parameters and states of all its tiles, and one staged tile.
class ScanTask {
 public:
  /// `steps`: the most that are staged at a time.
  ScanTask(const ScanCall& call, const ScanBlock& block, size_t steps = kScanSteps);

  size_t tiles() const { return tiles_; }
  size_t width() const { return width_; }
  size_t lanes() const { return lanes_; }
  size_t stateElements() const { return call_.states * call_.parts() * width_; }
  size_t size() const { return size_; }
  /// Channels of a tile, and how many vectors they take.
  size_t channels(size_t tile) const;
  size_t vectors(size_t tile) const { return (channels(tile) + lanes_ - 1) / lanes_; }
  bool sharesPowers(size_t tile) const { return shares_[tile]; }

  char* h(size_t tile) { return h_ + tile * stateBytes(); }
  char* a(size_t tile) { return a_ + tile * stateBytes(); }
  char* s() { return s_; }
  char* u() { return u_; }
  char* z() { return z_; }
  char* y() { return y_; }
  size_t stateBytes() const { return stateElements() * size_; }
  size_t rowBytes() const { return width_ * size_; }

  /// B and C of some steps, at most as many as there is room for: shared by all tiles.
  void stageWeights(size_t t, size_t steps);
  /// u, s (or delta, where it is raw) and z of a tile.
  void stage(size_t tile, size_t t, size_t steps, bool raw = false);
  /// Rows of a tile like u, from or to an array shaped like u.
  void load(const void* array, size_t tile, size_t t, size_t steps, void* rows);
  void save(void* array, size_t tile, size_t t, size_t steps, void* rows);
  /// States of a tile, from or to [.., dim, states, parts] at `data`, which is the first channel of the row.
  void loadState(const void* data, size_t tile, void* rows);
  void saveState(void* data, size_t tile, const void* rows);
  /// The staged steps [from, from + steps) of a tile, ready for the kernels.
  ScanTile swept(size_t tile, size_t from, size_t steps, ScanMode mode);
  /// Has the sweep ask for what a tile of u, delta, z and `out` holds: pieces of rows are too short for the hardware to see
  /// a stream.
  void lookAhead(ScanTile& swept, size_t tile, size_t t, const void* out) const;
  ScanEdge edge(size_t tile, size_t steps);

  const ScanCall& call() const { return call_; }
  const ScanBlock& block() const { return block_; }

 private:
  void stageVariable(In<Any> x, bool broadcast, bool twice, size_t t, size_t steps, char* to);
  void tileWeights(ScanWeights& w, bool variable, char* staged, char* constant, size_t tile, size_t from) const;

  const ScanCall& call_;
  const ScanBlock block_;
  size_t steps_, lanes_, width_, tiles_, size_, weightWidth_;
  Scratch scratch_;
  std::vector<bool> shares_;
  char *h_, *a_, *d_, *bias_, *constantB_, *constantC_, *b_, *c_, *weights_, *s_, *u_, *z_, *y_;
};

/// What a forward call leaves behind; null where not wanted.
struct ScanResults {
  void *out, *last, *segments, *checkpoints;
  std::vector<size_t> segmentBase;  ///< of each row
};
/// Runs it; returns how many tiles shared powers. `report`: its work is what the call's progress is told by.
size_t scanForward(Run& run, const ScanCall& call, const ScanResults& results, size_t threads, bool report);

/// states[index of the state][channel] of a row: the start of what saveState and loadState take.
inline size_t checkpointsOf(size_t length) { return (length + kCheckpoint - 1) / kCheckpoint; }
inline size_t stateOffset(const ScanCall& call, size_t index) { return index * call.dim * call.states * call.parts(); }

}  // namespace softlane
