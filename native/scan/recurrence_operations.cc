// linearRecurrence and deltaRuleRecurrence. Tasks are tiles of neighbouring elements (columns of a state) of one sequence:
// they are cut by the shape alone, so results depend on no number of threads.
#ifdef SOFTLANE_OPERATIONS
#include "arguments.h"

namespace softlane {
namespace {

/// Elements of a task of linearRecurrence.
constexpr size_t kWide = 256;
/// Steps between two states that the backward pass of the delta rule keeps.
constexpr size_t kDeltaChunk = 32;

struct RecurrenceShape {
  size_t batch, length, width;
  explicit RecurrenceShape(In<double> sizes) {
    requireSizes(sizes, 3);
    batch = size_t(sizes.data[0]);
    length = size_t(sizes.data[1]);
    width = size_t(sizes.data[2]);
  }
  double all() const { return double(batch) * double(length) * double(width); }
  double gates(RecurrenceForm form) const {
    return form == RecurrenceForm::scalar ? double(batch) * double(length) : all();
  }
  size_t tiles() const { return (width + kWide - 1) / kWide; }
};

/// body(sequence, first element, number of elements, tile) on threads.
template <class Body>
void eachTile(Run& run, const RecurrenceShape& shape, size_t threads, Body body) {
  const size_t tiles = shape.tiles(), tasks = shape.batch * tiles;
  const size_t work = shape.length * std::min(shape.width, kWide) + 1;
  run.useThreads(std::min(threads, 1 + tasks * work / (size_t(1) << 15)));
  run.expect(tasks);
  run.each(tasks, 1 + (size_t(1) << 15) / work, [&](size_t begin, size_t end) {
    for (size_t task = begin; task < end; task++) {
      const size_t tile = task % tiles, from = tile * kWide;
      body(task / tiles, from, std::min(kWide, shape.width - from), tile);
    }
    run.advance(end - begin);
  });
}

RecurrenceJob jobOf(const RecurrenceShape& s, Dtype type, RecurrenceForm form, bool reverse, const void* a,
                    const void* b, const void* initial, const void* h, size_t item, size_t from, size_t n) {
  const size_t start = item * s.length * s.width + from;
  const bool scalar = form == RecurrenceForm::scalar;
  return {type,
          form,
          reverse,
          at(a, type, scalar ? item * s.length : start),
          at(b, type, start),
          at(initial, type, item * s.width + from),
          const_cast<void*>(at(h, type, start)),
          s.length,
          n,
          scalar ? 1 : s.width,
          s.width};
}

struct DeltaShape {
  size_t batch, length, heads, keys, values;
  explicit DeltaShape(In<double> sizes) {
    requireSizes(sizes, 5);
    batch = size_t(sizes.data[0]);
    length = size_t(sizes.data[1]);
    heads = size_t(sizes.data[2]);
    keys = size_t(sizes.data[3]);
    values = size_t(sizes.data[4]);
  }
  double gates() const { return double(batch) * double(length) * double(heads); }
  double states() const { return double(batch) * double(heads) * double(keys) * double(values); }
  size_t tiles() const { return (values + kDeltaTile - 1) / kDeltaTile; }
};

/// What a call has of arrays, for the jobs of its tiles.
struct DeltaArrays {
  Dtype type;
  const void *q, *k, *v, *beta, *alpha;
};

/// The job of a tile, from step `first` on.
DeltaRuleJob deltaJob(const DeltaShape& s, const DeltaArrays& x, size_t item, size_t head, size_t column, size_t first,
                      size_t length) {
  const size_t step = item * s.length + first, keys = (step * s.heads + head) * s.keys;
  const size_t values = (step * s.heads + head) * s.values + column, gates = step * s.heads + head;
  DeltaRuleJob job{};
  job.type = x.type;
  job.length = length;
  job.keys = s.keys;
  job.n = std::min(kDeltaTile, s.values - column);
  job.q = at(x.q, x.type, keys);
  job.k = at(x.k, x.type, keys);
  job.keyStep = s.heads * s.keys;
  job.v = at(x.v, x.type, values);
  job.valueStep = s.heads * s.values;
  job.beta = at(x.beta, x.type, gates);
  job.alpha = at(x.alpha, x.type, gates);
  job.gateStep = s.heads;
  return job;
}

/// A tile of a state [keys, values] to or from scratch [keys, kDeltaTile]; without a source, zeros.
template <class T>
void takeTile(const void* source, size_t keys, size_t values, size_t n, void* scratch) {
  T* to = static_cast<T*>(scratch);
  std::fill(to, to + keys * kDeltaTile, T(0));
  if (source)
    for (size_t i = 0; i < keys; i++) std::copy_n(static_cast<const T*>(source) + i * values, n, to + i * kDeltaTile);
}
template <class T>
void giveTile(const void* scratch, size_t keys, size_t values, size_t n, void* target) {
  const T* from = static_cast<const T*>(scratch);
  if (target)
    for (size_t i = 0; i < keys; i++) std::copy_n(from + i * kDeltaTile, n, static_cast<T*>(target) + i * values);
}

template <class T>
void zero(void* p, size_t n) {
  if (p) std::fill_n(static_cast<T*>(p), n, T(0));
}

void requireDelta(const DeltaShape& s, const DeltaArrays& x, In<Any> q, In<Any> k, In<Any> v, In<Any> beta,
                  const Maybe<In<Any>>& alpha, const Maybe<In<Any>>& initial) {
  requireShape("q", q, x.type, s.gates() * double(s.keys));
  requireShape("k", k, x.type, s.gates() * double(s.keys));
  requireShape("v", v, x.type, s.gates() * double(s.values));
  requireShape("beta", beta, x.type, s.gates());
  requireIfGiven("alpha", alpha, x.type, s.gates());
  requireIfGiven("initialState", initial, x.type, s.states());
}

}  // namespace

namespace ops {

void linearRecurrence(Run& run, In<Any> a, In<Any> b, Maybe<In<Any>> initial, Out<Any> out, In<double> sizes,
                      RecurrenceForm form, bool reverse, size_t threads) {
  const RecurrenceShape s(sizes);
  const Dtype type = realOf(a.element);
  requireShape("a", a, type, s.gates(form));
  requireShape("b", b, type, s.all());
  requireIfGiven("initial", initial, type, double(s.batch) * double(s.width));
  requireShape("out", out, type, s.all());
  if (s.length == 0) return;
  eachTile(run, s, threads, [&](size_t item, size_t from, size_t n, size_t) {
    kernels().linear_recurrence(jobOf(s, type, form, reverse, a.data, b.data, initial.data, out.data, item, from, n));
  });
}

void linearRecurrenceBackward(Run& run, In<Any> a, In<Any> b, In<Any> h, Maybe<In<Any>> initial, In<Any> gout,
                              Out<Any> da, Out<Any> db, Maybe<Out<Any>> dInitial, In<double> sizes, RecurrenceForm form,
                              bool reverse, size_t threads) {
  const RecurrenceShape s(sizes);
  const Dtype type = realOf(a.element);
  requireShape("a", a, type, s.gates(form));
  requireShape("b", b, type, s.all());
  requireShape("h", h, type, s.all());
  requireIfGiven("initial", initial, type, double(s.batch) * double(s.width));
  requireShape("gout", gout, type, s.all());
  requireShape("da", da, type, s.gates(form));
  requireShape("db", db, type, s.all());
  requireIfGiven("dInitial", dInitial, type, double(s.batch) * double(s.width));
  withReal(type, [&](auto zeroOf) {
    using T = decltype(zeroOf);
    if (s.length == 0) return zero<T>(dInitial.data, dInitial.length);
    // One decay for all elements: every tile has sums of its own, which are joined in order.
    const bool scalar = form == RecurrenceForm::scalar;
    const size_t tiles = s.tiles(), steps = s.batch * s.length;
    const Scratch sums(scalar ? tiles * steps * sizeof(T) : 0);
    if (scalar) zero<T>(sums.as<T>(), tiles * steps);
    eachTile(run, s, threads, [&](size_t item, size_t from, size_t n, size_t tile) {
      RecurrenceBackward job{};
      job.forward = jobOf(s, type, form, reverse, a.data, b.data, initial.data, h.data, item, from, n);
      const size_t start = item * s.length * s.width + from;
      job.gout = at(gout.data, type, start);
      job.da = scalar ? sums.as<T>() + tile * steps + item * s.length : at(da.data, type, start);
      job.db = at(db.data, type, start);
      job.dInitial = at(dInitial.data, type, item * s.width + from);
      kernels().linear_recurrence_backward(job);
    });
    if (!scalar) return;
    T* total = static_cast<T*>(da.data);
    zero<T>(total, steps);
    for (size_t tile = 0; tile < tiles; tile++)
      for (size_t i = 0; i < steps; i++) total[i] += sums.as<T>()[tile * steps + i];
  });
}

void deltaRuleRecurrence(Run& run, In<Any> q, In<Any> k, In<Any> v, In<Any> beta, Maybe<In<Any>> alpha,
                         Maybe<In<Any>> initialState, Out<Any> out, Maybe<Out<Any>> lastState, In<double> sizes,
                         size_t threads) {
  const DeltaShape s(sizes);
  const DeltaArrays x{realOf(q.element), q.data, k.data, v.data, beta.data, alpha.data};
  requireDelta(s, x, q, k, v, beta, alpha, initialState);
  requireShape("out", out, x.type, s.gates() * double(s.values));
  requireIfGiven("lastState", lastState, x.type, s.states());
  const size_t tiles = s.tiles(), tasks = s.batch * s.heads * tiles, work = s.length * s.keys * kDeltaTile + 1;
  run.useThreads(std::min(threads, 1 + tasks * work / (size_t(1) << 16)));
  run.expect(tasks);
  withReal(x.type, [&](auto zeroOf) {
    using T = decltype(zeroOf);
    run.each(tasks, 1 + (size_t(1) << 16) / work, [&](size_t begin, size_t end) {
      const Scratch state(s.keys * kDeltaTile * sizeof(T));
      for (size_t task = begin; task < end; task++) {
        const size_t column = task % tiles * kDeltaTile, head = task / tiles % s.heads, item = task / tiles / s.heads;
        DeltaRuleJob job = deltaJob(s, x, item, head, column, 0, s.length);
        const size_t where = (item * s.heads + head) * s.keys * s.values + column;
        takeTile<T>(at(initialState.data, x.type, where), s.keys, s.values, job.n, state.as<void>());
        job.state = state.as<void>();
        job.out = at(out.data, x.type, (item * s.length * s.heads + head) * s.values + column);
        kernels().delta_rule(job);
        giveTile<T>(state.as<void>(), s.keys, s.values, job.n, at(lastState.data, x.type, where));
      }
      run.advance(end - begin);
    });
  });
}

void deltaRuleRecurrenceBackward(Run& run, In<Any> q, In<Any> k, In<Any> v, In<Any> beta, Maybe<In<Any>> alpha,
                                 Maybe<In<Any>> initialState, In<Any> gout, Maybe<In<Any>> glast, Out<Any> dq,
                                 Out<Any> dk, Out<Any> dv, Out<Any> dbeta, Maybe<Out<Any>> dalpha,
                                 Maybe<Out<Any>> dInitialState, In<double> sizes, size_t threads) {
  const DeltaShape s(sizes);
  const DeltaArrays x{realOf(q.element), q.data, k.data, v.data, beta.data, alpha.data};
  requireDelta(s, x, q, k, v, beta, alpha, initialState);
  requireShape("gout", gout, x.type, s.gates() * double(s.values));
  requireIfGiven("glast", glast, x.type, s.states());
  requireShape("dq", dq, x.type, s.gates() * double(s.keys));
  requireShape("dk", dk, x.type, s.gates() * double(s.keys));
  requireShape("dv", dv, x.type, s.gates() * double(s.values));
  requireShape("dbeta", dbeta, x.type, s.gates());
  requireIfGiven("dalpha", dalpha, x.type, s.gates());
  requireIfGiven("dInitialState", dInitialState, x.type, s.states());
  const size_t chunks = (s.length + kDeltaChunk - 1) / kDeltaChunk, tile = s.keys * kDeltaTile;
  run.useThreads(threads);
  run.expect(s.batch * s.heads);
  withReal(x.type, [&](auto zeroOf) {
    using T = decltype(zeroOf);
    zero<T>(dq.data, dq.length);
    zero<T>(dk.data, dk.length);
    zero<T>(dbeta.data, dbeta.length);
    zero<T>(dalpha.data, dalpha.length);
    run.each(s.batch * s.heads, 1, [&](size_t begin, size_t end) {
      const Scratch memory((2 + chunks + kDeltaChunk) * tile * sizeof(T));
      T *state = memory.as<T>(), *dState = state + tile, *kept = dState + tile, *states = kept + chunks * tile;
      for (size_t task = begin; task < end; task++)
        for (size_t column = 0; column < s.values && !run.stopped(); column += kDeltaTile) {
          const size_t head = task % s.heads, item = task / s.heads;
          const size_t where = task * s.keys * s.values + column, n = std::min(kDeltaTile, s.values - column);
          const auto chunkJob = [&](size_t chunk) {
            const size_t first = chunk * kDeltaChunk;
            DeltaRuleJob job = deltaJob(s, x, item, head, column, first, std::min(kDeltaChunk, s.length - first));
            job.state = state;
            return job;
          };
          takeTile<T>(at(initialState.data, x.type, where), s.keys, s.values, n, state);
          for (size_t chunk = 0; chunk < chunks; chunk++) {
            std::copy_n(state, tile, kept + chunk * tile);
            if (chunk + 1 < chunks) kernels().delta_rule(chunkJob(chunk));
          }
          takeTile<T>(at(glast.data, x.type, where), s.keys, s.values, n, dState);
          for (size_t chunk = chunks; chunk-- > 0;) {
            std::copy_n(kept + chunk * tile, tile, state);
            DeltaRuleJob job = chunkJob(chunk);
            job.states = states;
            kernels().delta_rule(job);
            const size_t step = (item * s.length + chunk * kDeltaChunk) * s.heads + head;
            const size_t keys = step * s.keys, values = step * s.values + column;
            kernels().delta_rule_backward({job, at(gout.data, x.type, values), dState, at(dq.data, x.type, keys),
                                           at(dk.data, x.type, keys), at(dv.data, x.type, values),
                                           at(dbeta.data, x.type, step), at(dalpha.data, x.type, step)});
          }
          giveTile<T>(dState, s.keys, s.values, n, at(dInitialState.data, x.type, where));
        }
      run.advance(end - begin);
    });
  });
}

}  // namespace ops
}  // namespace softlane
#endif
