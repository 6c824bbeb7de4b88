// Scans of linear time-invariant diagonal systems: what operations and per-ISA kernels share. Lanes are channels (of one
// sequence): kLtiLanes of them beside each other in scratch of either type, whatever the instruction set. C headers only.
#pragma once
#include "../types.h"

namespace softlane {

constexpr size_t kLtiLanes = 16;
/// Steps of a block: states between are kept for the gradient, powers of a decay are started anew.
constexpr size_t kLtiSteps = 64;

/// h_t = decay h_{t-1} + input u_t, y_t = sum_n weight h_t + skip u_t for up to kLtiSteps steps; complex: the real part of the
/// sum, whose weights are twice those of a pair. Coefficients and states [n][parts][kLtiLanes], parts 2 (re, im) or 1.
struct LtiTile {
  Dtype type;
  bool complex;
  size_t rows, length, n;                     ///< rows: lanes in use
  const void *decay, *input, *weight, *skip;  ///< skip: kLtiLanes
  void* state;
  const void* u;  ///< rows rowStep apart; null: no input, and h is read before it decays
  size_t rowStep;
  void* y;  ///< rows rowStep apart; null where only the state is wanted
};

/// Gradient of a block, given the state before it. Sums [n][parts][kLtiLanes] are added to.
struct LtiBackward {
  LtiTile forward;   ///< state is read, y is not used
  const void* gout;  ///< rows rowStep apart
  void* carry;       ///< gradient of the state after the block, becomes that of the state before it
  void *du, *dDecay, *dInput, *dWeight, *dSkip;
};

/// A transform of kLtiLanes complex sequences of `size` (a power of two) numbers, [size][kLtiLanes] each of re and im.
/// Forward from natural to bit-reversed order, inverse (without the factor 1 / size) back. cosines and sines:
/// cos and sin(pi i / size) for i < size.
struct LtiFft {
  Dtype type;
  size_t size;
  void *re, *im;
  const void *cosines, *sines;
  bool inverse;
};

}  // namespace softlane
