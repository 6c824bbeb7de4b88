// ssdScan. Tasks are heads: each goes through its chunks in order. Within a chunk, with H [n][channels] the state before it,
//
//   w = scores o decays (ssd_mix),  y = w x + enter o (C H),  H = decay H + B^T (leave o s o x).
//
// A chunk whose inputs are not finite is done step by step: zeros of w would spread them to earlier steps.
#ifdef SOFTLANE_OPERATIONS
#include <vector>

#include "ssd_run.h"

namespace softlane {
namespace {

constexpr size_t kRows = 32;  ///< rows of w that share a product: those to the right of the block are zeros

/// Scratch of a head, in elements of the type.
template <class T>
struct Head {
  std::vector<T> memory;
  Scratch products{kMatmulScratch};
  T *s, *c, *enter, *leave, *factors, *w, *fed, *y, *more, *state, *plain;

  explicit Head(const SsdShape& shape)
      : memory(5 * shape.stride() + shape.chunk * (shape.stride() + 3 * shape.channels) +
               2 * shape.channels * shape.n) {
    T* p = memory.data();
    const auto take = [&](size_t n) {
      T* here = p;
      p += n;
      return here;
    };
    for (T** each : {&s, &c, &enter, &leave, &factors}) *each = take(shape.stride());
    w = take(shape.chunk * shape.stride());
    for (T** each : {&fed, &y, &more}) *each = take(shape.chunk * shape.channels);
    state = take(shape.channels * shape.n);
    plain = take(shape.channels * shape.n);
  }
};

/// Step by step, with the state as the caller has it: [channels][n] in h.plain.
template <class T>
void recur(const SsdPlace& p, const int32_t* starts, Head<T>& h, void* out) {
  const SsdShape& s = p.s;
  const SsdArrays& x = p.x;
  for (size_t t = 0; t < s.steps(p.chunk); t++) {
    if (starts && starts[t] == int32_t(t)) std::fill_n(h.plain, s.channels * s.n, T(0));
    StepJob job{};
    job.type = x.type;
    job.channels = s.channels;
    job.n = s.n;
    job.state = h.plain;
    job.x = at(x.x, x.type, p.values() + t * p.valueStep());
    job.dt = h.s + t;
    job.A = at(x.A, x.type, p.head);
    job.B = at(x.B, x.type, p.weights() + t * p.weightStep());
    job.C = at(x.C, x.type, p.weights() + t * p.weightStep());
    job.D = at(x.D, x.type, p.skip());
    job.z = at(x.z, x.type, p.values() + t * p.valueStep());
    job.dEach = x.dEach;
    job.out = at(out, x.type, p.values() + t * p.valueStep());
    kernels().scan_step(job);
  }
}

template <class T>
void chunkOf(const SsdPlace& p, const int32_t* starts, const void* scores, Head<T>& h, void* out) {
  const SsdShape& s = p.s;
  const SsdArrays& x = p.x;
  const Dtype type = x.type;
  const Kernels& k = kernels();
  const size_t q = s.steps(p.chunk), P = s.channels, N = s.n;
  void* scratch = h.products.template as<void>();
  k.ssd_steps({type, q, at(x.dt, type, p.steps()), at(x.bias, type, p.head), at(x.A, type, p.head), s.heads, s.softplus,
               s.low, s.high, starts, h.s, h.c, h.enter, h.leave, nullptr});
  if (!s.chunked) return recur(p, starts, h, out);
  const void* values = at(x.x, type, p.values());
  for (size_t j = 0; j < q; j++) h.factors[j] = h.leave[j] * h.s[j];
  if (!k.ssd_scale(type, values, p.valueStep(), h.factors, 1, q, P, h.fed, P)) {
    turnState<T>(h.state, N, P, h.plain, true);
    recur(p, starts, h, out);
    return turnState<T>(h.plain, P, N, h.state, true);
  }
  k.ssd_mix(
      {type, q, s.stride(), h.c, h.s, starts, at(scores, type, p.scores()), h.w, nullptr, nullptr, nullptr, nullptr});
  for (size_t l = 0; l < q; l += kRows) {
    const size_t rows = std::min(kRows, q - l);
    product(type, {h.w + l * s.stride(), s.stride(), 1}, {values, p.valueStep(), 1}, h.y + l * P, P, rows, P, l + rows,
            false, scratch);
  }
  product(type, {at(x.C, type, p.weights()), p.weightStep(), 1}, {h.state, P, 1}, h.more, P, q, P, N, false, scratch);
  k.ssd_scale(type, h.state, P, h.enter + q - 1, 0, N, P, h.state, P);
  product(type, {at(x.B, type, p.weights()), 1, p.weightStep()}, {h.fed, P, 1}, h.state, P, N, P, q, true, scratch);
  k.ssd_finish({type, q, P, h.y, P, h.more, h.enter, 1, values, at(x.D, type, p.skip()), p.valueStep(), x.dEach,
                at(x.z, type, p.values()), p.valueStep(), at(out, type, p.values()), p.valueStep()});
}

}  // namespace

SsdArrays ssdArrays(const SsdShape& s, In<Any> x, In<Any> dt, In<Any> A, In<Any> B, In<Any> C, const Maybe<In<Any>>& D,
                    const Maybe<In<Any>>& z, const Maybe<In<Any>>& dtBias, const Maybe<In<Any>>& initialState,
                    const Maybe<In<int32_t>>& segmentIds) {
  const Dtype type = realOf(x.element);
  const double heads = double(s.heads);
  requireShape("x", x, type, s.all());
  requireShape("dt", dt, type, s.steps() * heads);
  requireShape("A", A, type, heads);
  requireShape("B", B, type, s.weights());
  requireShape("C", C, type, s.weights());
  const bool dEach = D.data && D.length != s.heads;
  requireIfGiven("D", D, type, dEach ? heads * double(s.channels) : heads);
  requireIfGiven("z", z, type, s.all());
  requireIfGiven("dtBias", dtBias, type, heads);
  requireIfGiven("initialState", initialState, type, s.states());
  if (segmentIds.data && double(segmentIds.length) != s.steps())
    throw rangeError("segmentIds", std::to_string(size_t(s.steps())) + " elements long",
                     std::to_string(segmentIds.length));
  return {type,   x.data,      dt.data,           A.data,          B.data, C.data, D.data,
          z.data, dtBias.data, initialState.data, segmentIds.data, dEach};
}

bool ssdScores(Run& run, const SsdShape& s, const SsdArrays& x, void* scores, size_t threads) {
  const size_t tasks = s.batch * s.chunks() * s.groups, size = s.chunk * s.stride();
  run.useThreads(std::min(threads, 1 + tasks * size * s.n / (size_t(1) << 18)));
  return run.each(tasks, 1, [&](size_t begin, size_t end) {
    const Scratch scratch(kMatmulScratch);
    for (size_t task = begin; task < end; task++) {
      const size_t group = task % s.groups, chunk = task / s.groups % s.chunks(), item = task / s.groups / s.chunks();
      const size_t q = s.steps(chunk);
      const SsdPlace place{s, x, item, group * (s.heads / s.groups), chunk};
      void* target = at(scores, x.type, task * size);
      std::memset(target, 0, size * sizeOf(x.type));
      const Factor c{at(x.C, x.type, place.weights()), place.weightStep(), 1};
      const Factor b{at(x.B, x.type, place.weights()), 1, place.weightStep()};
      product(x.type, c, b, target, s.stride(), q, q, s.n, false, scratch.as<void>());
    }
    run.advance(end - begin);
  });
}

void ssdStarts(const SsdShape& s, const int32_t* segments, int32_t* starts) {
  for (size_t item = 0; item < s.batch; item++)
    for (size_t t = 0; t < s.length; t++) {
      const int32_t* id = segments + item * s.length + t;
      int32_t* start = starts + item * s.length + t;
      if (t > 0 && id[0] != id[-1]) *start = int32_t(t % s.chunk);
      else *start = t % s.chunk == 0 ? -1 : start[-1];
    }
}

namespace ops {

void ssdScan(Run& run, In<Any> x, In<Any> dt, In<Any> A, In<Any> B, In<Any> C, Maybe<In<Any>> D, Maybe<In<Any>> z,
             Maybe<In<Any>> dtBias, Maybe<In<Any>> initialState, Maybe<In<int32_t>> segmentIds, Out<Any> out,
             Maybe<Out<Any>> finalState, In<double> sizes, size_t threads) {
  const SsdShape s(sizes);
  const SsdArrays arrays = ssdArrays(s, x, dt, A, B, C, D, z, dtBias, initialState, segmentIds);
  const Dtype type = arrays.type;
  requireShape("out", out, type, s.all());
  requireIfGiven("finalState", finalState, type, s.states());
  const size_t heads = s.batch * s.heads, size = s.channels * s.n;
  run.expect(heads + (s.chunked ? s.batch * s.chunks() * s.groups : 0));
  withReal(type, [&](auto zeroOf) {
    using T = decltype(zeroOf);
    std::vector<int32_t> starts(segmentIds.data ? s.batch * s.length : 0);
    if (segmentIds.data) ssdStarts(s, segmentIds.data, starts.data());
    const Scratch scores(s.chunked ? s.batch * s.chunks() * s.groups * s.chunk * s.stride() * sizeof(T) : 0);
    if (s.chunked && !ssdScores(run, s, arrays, scores.as<void>(), threads)) return;
    run.useThreads(std::min(threads, 1 + heads * s.length * size / (size_t(1) << 16)));
    run.each(heads, 1, [&](size_t begin, size_t end) {
      Head<T> head(s);
      T* state = s.chunked ? head.state : head.plain;
      for (size_t task = begin; task < end; task++) {
        const void* first = at(initialState.data, type, task * size);
        // Step by step the state stays as the caller has it.
        if (s.chunked) turnState<T>(first, s.channels, s.n, state, true);
        else if (first) std::copy_n(static_cast<const T*>(first), size, state);
        else std::fill_n(state, size, T(0));
        for (size_t chunk = 0; chunk < s.chunks() && !run.stopped(); chunk++) {
          const SsdPlace place{s, arrays, task / s.heads, task % s.heads, chunk};
          chunkOf<T>(place, segmentIds.data ? starts.data() + place.first() : nullptr, scores.as<void>(), head,
                     out.data);
        }
        void* last = at(finalState.data, type, task * size);
        if (s.chunked) turnState<T>(state, s.channels, s.n, last, false);
        else if (last) std::copy_n(state, size, static_cast<T*>(last));
      }
      run.advance(end - begin);
    });
  });
}

}  // namespace ops
}  // namespace softlane
#endif
