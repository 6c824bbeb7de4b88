// Recurrences over time beside the selective scan: what operations and per-ISA kernels share. C headers only.
#pragma once
#include "../types.h"

namespace softlane {

/// What a is in h_t = a_t h_{t-1} + b_t: one for each element, one for each step, or a gate: a h + (1 - a) b.
enum class RecurrenceForm : uint8_t { diagonal, scalar, gated };

/// Elements [0, n) of one sequence through all of its steps. All arrays are of `type`.
struct RecurrenceJob {
  Dtype type;
  RecurrenceForm form;
  bool reverse;                 ///< from the last step to the first
  const void *a, *b, *initial;  ///< initial: null for zeros
  void* h;
  size_t length, n;
  size_t aStep, step;  ///< elements from one time to the next, of a and of the others
};

/// Its gradient, given that of every h.
struct RecurrenceBackward {
  RecurrenceJob forward;
  const void* gout;
  void *da, *db, *dInitial;  ///< dInitial: may be null. form scalar: da holds one sum for each step and is added to
};

/// One column block of a delta-rule state S [keys, values]: S_t = alpha_t (S_{t-1} - beta_t k_t (k_t S_{t-1})) + beta_t k_t v_t.
struct DeltaRuleJob {
  Dtype type;
  size_t length, keys, n;  ///< n: columns of this block, at most as many as a tile has
  const void *q, *k;       ///< keyStep apart in time
  size_t keyStep;
  const void* v;  ///< valueStep apart
  size_t valueStep;
  const void *beta, *alpha;  ///< gateStep apart; alpha null: 1
  size_t gateStep;
  void* state;   ///< [keys, tile], in and out
  void* out;     ///< valueStep apart; null where only the state is wanted
  void* states;  ///< null, or where the state before each step goes, [length, keys, tile]
};

/// Backward of steps whose states before them were kept in job.states. dq, dk, dbeta, dalpha are added to.
struct DeltaRuleBackward {
  DeltaRuleJob forward;
  const void* gout;  ///< valueStep apart
  void* dState;  ///< [keys, tile]: gradient of the state after the last step, becomes that of the one before the first
  void *dq, *dk, *dv, *dbeta, *dalpha;
};
/// Columns of a tile of a delta-rule state, for either type.
constexpr size_t kDeltaTile = 16;

/// One decode step of one head: state [channels, n], updated in place.
struct StepJob {
  Dtype type;
  size_t channels, n;
  void* state;
  const void *x, *dt, *A, *B, *C, *D, *z, *bias;  ///< D, z, bias: may be null
  void* out;
  bool dtEach, biasEach, aEach, dEach;  ///< one for each channel (A: for each channel and state), or one for the head
  bool softplus;
};

/// Depthwise causal convolution of contiguous lanes: y[r][i] = f(bias + sum_k w_k x[r][i + k tap]).
struct ConvJob {
  Dtype type;
  size_t rows, n, width;
  const void* x;
  size_t xStep, tap;
  const void *weights, *bias;  ///< bias: may be null
  size_t weightTap;
  bool each;  ///< weights and bias of every lane (weights[k weightTap + i]), or one for all lanes
  bool silu;
  const void* gout;  ///< null, or gradients that are multiplied by f' instead, yStep apart
  void* y;
  size_t yStep;
};
constexpr size_t kConvWidest = 8;

/// dw_k += sum g x[. + k tap], dbias += sum g.
struct ConvWeights {
  Dtype type;
  size_t rows, n, width;
  const void* g;
  size_t gStep;
  const void* x;
  size_t xStep, tap;
  bool each;
  void *dw, *dbias;  ///< dbias: may be null
  size_t weightTap;
};

}  // namespace softlane
