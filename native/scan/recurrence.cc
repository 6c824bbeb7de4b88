// First-order linear recurrences h_t = a_t h_{t-1} + b_t: lanes are neighbouring elements, each of which keeps its state in
// a register through all of time. A tile of four vectors hides the latency of the multiply-add and reads whole lines.
//
// Backward, with lam_t = gout_t + a_{t+1} lam_{t+1}: db = lam, da = lam h_{t-1}, and a_0 lam_0 for the initial state; for
// a gate, b_t counts (1 - a_t) and da = lam (h_{t-1} - b_t).
#include "../algebra/recurrence.h"

#include "../span.h"
#include "loops.h"
#include "state.h"

namespace softlane::ISA {
namespace {

constexpr int kTile = 4;

/// Elements [i, i + K vectors), or the n - i < one vector left (K = 1, Part).
template <class V, RecurrenceForm F, int K, bool Part>
void forwardTile(const RecurrenceJob& job, size_t i) {
  using S = typename V::Scalar;
  constexpr size_t L = V::lanes;
  const size_t rest = job.n - i;
  const auto load = [&](const S* p) { return Part ? V::load(p, rest, 0) : V::load(p); };
  const ptrdiff_t direction = job.reverse ? -1 : 1, step = ptrdiff_t(job.step) * direction;
  const size_t first = job.reverse ? job.length - 1 : 0;
  const S *a = static_cast<const S*>(job.a) + first * job.aStep,
          *b = static_cast<const S*>(job.b) + first * job.step + i;
  S* h = static_cast<S*>(job.h) + first * job.step + i;
  if (F != RecurrenceForm::scalar) a += i;
  V state[K];
  for (int k = 0; k < K; k++) state[k] = job.initial ? load(static_cast<const S*>(job.initial) + i + k * L) : V::set(0);
  for (size_t t = 0; t < job.length; t++, a += ptrdiff_t(job.aStep) * direction, b += step, h += step)
    for (int k = 0; k < K; k++) {
      const V decay = F == RecurrenceForm::scalar ? V::set(*a) : load(a + k * L), x = load(b + k * L);
      if constexpr (F == RecurrenceForm::gated) state[k] = mulAdd(decay, state[k] - x, x);
      else state[k] = algebra::LinearStep<V>::init(decay, x).apply(state[k]);
      if constexpr (Part) state[k].store(h + k * L, rest);
      else state[k].store(h + k * L);
    }
}

template <class V, RecurrenceForm F, int K, bool Part>
void backwardTile(const RecurrenceBackward& job, size_t i) {
  using S = typename V::Scalar;
  constexpr size_t L = V::lanes;
  const RecurrenceJob& f = job.forward;
  const size_t rest = f.n - i;
  const auto load = [&](const S* p) { return Part ? V::load(p, rest, 0) : V::load(p); };
  const auto store = [&](V v, S* p) {
    if constexpr (Part) v.store(p, rest);
    else v.store(p);
  };
  const ptrdiff_t direction = f.reverse ? 1 : -1, step = ptrdiff_t(f.step) * direction;
  const size_t last = f.reverse ? 0 : f.length - 1;
  const S *a = static_cast<const S*>(f.a) + last * f.aStep, *b = static_cast<const S*>(f.b) + last * f.step + i;
  const S* h = static_cast<const S*>(f.h) + last * f.step + i;
  const S* g = static_cast<const S*>(job.gout) + last * f.step + i;
  S *da = static_cast<S*>(job.da) + last * f.aStep, *db = static_cast<S*>(job.db) + last * f.step + i;
  if (F != RecurrenceForm::scalar) {
    a += i;
    da += i;
  }
  V lam[K], next[K];  // lam_{t+1}, a_{t+1}
  for (V& each : lam) each = V::set(0);
  for (V& each : next) each = V::set(0);
  for (size_t t = f.length; t-- > 0; a += ptrdiff_t(f.aStep) * direction, da += ptrdiff_t(f.aStep) * direction,
              b += step, h += step, g += step, db += step) {
    V sum = V::set(0);
    for (int k = 0; k < K; k++) {
      const V decay = F == RecurrenceForm::scalar ? V::set(*a) : load(a + k * L);
      V before = V::set(0);  // h_{t-1}
      if (t > 0) before = load(h + step + k * L);
      else if (f.initial) before = load(static_cast<const S*>(f.initial) + i + k * L);
      const V adjoint = algebra::LinearStep<V>::init(next[k], load(g + k * L)).apply(lam[k]);
      lam[k] = adjoint;
      next[k] = decay;
      if constexpr (F == RecurrenceForm::gated) {
        store(adjoint - decay * adjoint, db + k * L);
        store(adjoint * (before - load(b + k * L)), da + k * L);
      } else {
        store(adjoint, db + k * L);
        if constexpr (F == RecurrenceForm::diagonal) store(adjoint * before, da + k * L);
        else sum = mulAdd(adjoint, before, sum);
      }
    }
    if constexpr (F == RecurrenceForm::scalar) *da += S(reduceAdd(sum));
  }
  if (job.dInitial)
    for (int k = 0; k < K; k++) store(next[k] * lam[k], static_cast<S*>(job.dInitial) + i + k * L);
}

template <class V, RecurrenceForm F>
void forwardAll(const RecurrenceJob& job) {
  constexpr size_t L = V::lanes;
  size_t i = 0;
  for (; i + kTile * L <= job.n; i += kTile * L) forwardTile<V, F, kTile, false>(job, i);
  for (; i + L <= job.n; i += L) forwardTile<V, F, 1, false>(job, i);
  if (i < job.n) forwardTile<V, F, 1, true>(job, i);
}

template <class V, RecurrenceForm F>
void backwardAll(const RecurrenceBackward& job) {
  constexpr size_t L = V::lanes;
  size_t i = 0;
  for (; i + kTile * L <= job.forward.n; i += kTile * L) backwardTile<V, F, kTile, false>(job, i);
  for (; i + L <= job.forward.n; i += L) backwardTile<V, F, 1, false>(job, i);
  if (i < job.forward.n) backwardTile<V, F, 1, true>(job, i);
}

template <RecurrenceForm F>
void forwardOf(const RecurrenceJob& job) {
  if (job.type == Dtype::f64) forwardAll<F64, F>(job);
  else forwardAll<F32, F>(job);
}

template <RecurrenceForm F>
void backwardOf(const RecurrenceBackward& job) {
  if (job.forward.type == Dtype::f64) backwardAll<F64, F>(job);
  else backwardAll<F32, F>(job);
}

}  // namespace

void linear_recurrence(const RecurrenceJob& job) {
  switch (job.form) {
    case RecurrenceForm::diagonal: return forwardOf<RecurrenceForm::diagonal>(job);
    case RecurrenceForm::scalar: return forwardOf<RecurrenceForm::scalar>(job);
    case RecurrenceForm::gated: return forwardOf<RecurrenceForm::gated>(job);
  }
}

void linear_recurrence_backward(const RecurrenceBackward& job) {
  switch (job.forward.form) {
    case RecurrenceForm::diagonal: return backwardOf<RecurrenceForm::diagonal>(job);
    case RecurrenceForm::scalar: return backwardOf<RecurrenceForm::scalar>(job);
    case RecurrenceForm::gated: return backwardOf<RecurrenceForm::gated>(job);
  }
}

}  // namespace softlane::ISA
