// ssdScanBackward. A task is a block of heads of one group, one after the other; blocks are cut by the shape alone and have
// sums of dB and dC of their own, which are added in order. Each head goes forward once for the states before its chunks,
// then through the chunks in reverse. With G the gradient of y, dH that of the state after the chunk, all [n][channels],
//
//   dx = w^T G + s o (leave o B) dH + D G,   dB += r^T C + (leave s x) dH^T,   dC += r B + (enter G) H^T,
//   dH = decay dH + C^T (enter G),
//
// and what reaches the sums c_l of s A: the rows and columns of m, w_l = C_l . (enter G H^T)_l and v_j = s_j x_j . U_j.
#ifdef SOFTLANE_OPERATIONS
#include <vector>

#include "ssd_run.h"

namespace softlane {
namespace {

/// At most so many blocks of heads a group: each has its own dB and dC.
constexpr size_t kBlocks = 8;

/// What a backward call writes, dB and dC and the sums over the batch aside.
struct SsdOutputs {
  const void *gout, *gfinal;
  void *dx, *ddt, *dz, *dInitial;
};

template <class T>
struct BackwardHead {
  std::vector<T> memory;
  Scratch products{kMatmulScratch};
  T *s, *c, *enter, *leave, *slope, *factors, *rows, *columns, *v, *cross, *w, *r, *t, *g, *u, *fed, *y, *wide, *other,
      *dH;
  std::vector<T> states;  ///< before each chunk

  explicit BackwardHead(const SsdShape& shape) {
    const size_t size = shape.channels * shape.n, q = shape.chunk;
    memory.resize(10 * shape.stride() + q * (3 * shape.stride() + 4 * shape.channels + 2 * shape.n) + size + shape.n);
    states.resize((shape.chunks() + 1) * size);
    T* p = memory.data();
    const auto take = [&](size_t n) {
      T* here = p;
      p += n;
      return here;
    };
    for (T** each : {&s, &c, &enter, &leave, &slope, &factors, &rows, &columns, &v, &cross})
      *each = take(shape.stride());
    for (T** each : {&w, &r, &t}) *each = take(q * shape.stride());
    for (T** each : {&g, &u, &fed, &y}) *each = take(q * shape.channels);
    for (T** each : {&wide, &other}) *each = take(q * shape.n);
    dH = take(size + shape.n);
  }
};

/// The steps of a chunk, and leave o s o x in h.fed.
template <class T>
void prepare(const SsdPlace& p, const int32_t* starts, BackwardHead<T>& h) {
  const SsdShape& s = p.s;
  const SsdArrays& x = p.x;
  const size_t q = s.steps(p.chunk);
  kernels().ssd_steps({x.type, q, at(x.dt, x.type, p.steps()), at(x.bias, x.type, p.head), at(x.A, x.type, p.head),
                       s.heads, s.softplus, s.low, s.high, starts, h.s, h.c, h.enter, h.leave, h.slope});
  for (size_t j = 0; j < q; j++) h.factors[j] = h.leave[j] * h.s[j];
  kernels().ssd_scale(x.type, at(x.x, x.type, p.values()), p.valueStep(), h.factors, 1, q, s.channels, h.fed,
                      s.channels);
}

/// Sums that a head adds to: of A and the bias, and of D for each channel.
template <class T>
struct HeadSums {
  double A = 0, bias = 0;
  T* D;
};

template <class T>
void backOf(const SsdPlace& p, const int32_t* starts, const void* scores, BackwardHead<T>& h, const SsdOutputs& o,
            T* dB, T* dC, HeadSums<T>& sums) {
  const SsdShape& s = p.s;
  const SsdArrays& x = p.x;
  const Dtype type = x.type;
  const Kernels& k = kernels();
  const size_t q = s.steps(p.chunk), P = s.channels, N = s.n, stride = s.stride(), values = p.values();
  void* scratch = h.products.template as<void>();
  T* before = h.states.data() + p.chunk * P * N;
  const void* X = at(x.x, type, values);
  const Factor rowsB{at(x.B, type, p.weights()), p.weightStep(), 1},
      rowsC{at(x.C, type, p.weights()), p.weightStep(), 1};
  const Factor turnedC{rowsC.data, 1, p.weightStep()};
  const void* S = at(scores, type, p.scores());
  const T one = 1;
  prepare(p, starts, h);

  if (x.z) {  // the result before the gate
    k.ssd_mix({type, q, stride, h.c, h.s, starts, S, h.w, nullptr, nullptr, nullptr, nullptr});
    product(type, {h.w, stride, 1}, {X, p.valueStep(), 1}, h.y, P, q, P, q, false, scratch);
    product(type, rowsC, {before, P, 1}, h.u, P, q, P, N, false, scratch);
    k.ssd_finish({type, q, P, h.y, P, h.u, h.enter, 1, nullptr, nullptr, 0, false, nullptr, 0, h.y, P});
  }
  k.ssd_gate({type, q, P, p.valueStep(), at(o.gout, type, values), X, at(x.z, type, values), h.y,
              at(x.D, type, p.skip()), x.dEach, h.g, at(o.dz, type, values), x.D ? sums.D : nullptr});

  std::fill_n(h.t, q * stride, T(0));
  product(type, {h.g, P, 1}, {X, 1, p.valueStep()}, h.t, stride, q, q, P, false, scratch);
  k.ssd_mix({type, q, stride, h.c, h.s, starts, S, h.w, h.t, h.r, h.rows, h.columns});

  // dx, and v_j / s_j.
  void* dx = at(o.dx, type, values);
  product(type, {h.w, 1, stride}, {h.g, P, 1}, dx, p.valueStep(), q, P, q, false, scratch);
  k.ssd_scale(type, rowsB.data, p.weightStep(), h.leave, 1, q, N, h.wide, N);
  product(type, {h.wide, N, 1}, {h.dH, P, 1}, h.u, P, q, P, N, false, scratch);
  k.ssd_dots(type, X, p.valueStep(), h.u, P, q, P, h.v);
  k.ssd_finish({type, q, P, dx, p.valueStep(), h.u, h.s, 1, h.g, at(x.D, type, p.skip()), P, x.dEach, nullptr, 0, dx,
                p.valueStep()});

  // dB, dC and w_l; the gradient of the state before the chunk.
  T *toB = dB + p.weights(), *toC = dC + p.weights();
  product(type, {h.r, 1, stride}, rowsC, toB, p.weightStep(), q, N, q, true, scratch);
  product(type, {h.fed, P, 1}, {h.dH, 1, P}, toB, p.weightStep(), q, N, P, true, scratch);
  product(type, {h.r, stride, 1}, rowsB, toC, p.weightStep(), q, N, q, true, scratch);
  k.ssd_scale(type, h.g, P, h.enter, 1, q, P, h.fed, P);
  product(type, {h.fed, P, 1}, {before, 1, P}, h.other, N, q, N, P, false, scratch);
  k.ssd_finish(
      {type, q, N, toC, p.weightStep(), h.other, &one, 0, nullptr, nullptr, 0, false, nullptr, 0, toC, p.weightStep()});
  k.ssd_dots(type, rowsC.data, p.weightStep(), h.other, N, q, N, h.cross);
  T* products = h.dH + P * N;
  k.ssd_dots(type, before, P, h.dH, P, N, P, products);
  k.ssd_scale(type, h.dH, P, h.enter + q - 1, 0, N, P, h.dH, P);
  product(type, turnedC, {h.fed, P, 1}, h.dH, P, N, P, q, true, scratch);

  // Step sizes: dc, its sums from the end, and the chain to dt.
  double last = 0, a = double(*static_cast<const T*>(at(x.A, type, p.head)));
  for (size_t i = 0; i < N; i++) last += double(products[i]);
  last *= double(h.enter[q - 1]);
  for (size_t j = 0; j < q; j++) last += double(h.v[j]) * double(h.s[j]);
  T* ddt = static_cast<T*>(o.ddt) + p.steps();
  double tail = last;
  for (size_t j = q; j-- > 0;) {
    const double size = double(h.s[j]);
    tail += double(h.rows[j]) - size * double(h.columns[j]) + double(h.cross[j]) - size * double(h.v[j]);
    sums.A += size * tail;
    const double d = (double(h.columns[j]) + double(h.v[j]) + a * tail) * double(h.slope[j]);
    ddt[j * s.heads] = T(d);
    sums.bias += d;
  }
}

/// total[i] = the sum over parts of parts[part][i], in order.
template <class T>
void join(const T* parts, size_t count, size_t n, T* total) {
  for (size_t i = 0; i < n; i++) {
    T sum = parts[i];
    for (size_t part = 1; part < count; part++) sum += parts[part * n + i];
    total[i] = sum;
  }
}

}  // namespace

namespace ops {

void ssdScanBackward(Run& run, In<Any> x, In<Any> dt, In<Any> A, In<Any> B, In<Any> C, Maybe<In<Any>> D,
                     Maybe<In<Any>> z, Maybe<In<Any>> dtBias, Maybe<In<Any>> initialState,
                     Maybe<In<int32_t>> segmentIds, In<Any> gout, Maybe<In<Any>> gfinal, Out<Any> dx, Out<Any> ddt,
                     Out<Any> dA, Out<Any> dB, Out<Any> dC, Maybe<Out<Any>> dD, Maybe<Out<Any>> dz,
                     Maybe<Out<Any>> ddtBias, Maybe<Out<Any>> dInitialState, In<double> sizes, size_t threads) {
  const SsdShape s(sizes);
  const SsdArrays arrays = ssdArrays(s, x, dt, A, B, C, D, z, dtBias, initialState, segmentIds);
  const Dtype type = arrays.type;
  requireShape("gout", gout, type, s.all());
  requireIfGiven("gfinal", gfinal, type, s.states());
  requireShape("dx", dx, type, s.all());
  requireShape("ddt", ddt, type, double(dt.length));
  requireShape("dA", dA, type, double(A.length));
  requireShape("dB", dB, type, s.weights());
  requireShape("dC", dC, type, s.weights());
  if (D.data) requireShape("dD", dD, type, double(D.length));
  if (z.data) requireShape("dz", dz, type, s.all());
  requireIfGiven("ddtBias", ddtBias, type, double(s.heads));
  requireIfGiven("dInitialState", dInitialState, type, s.states());

  const size_t perGroup = s.heads / s.groups, perBlock = (perGroup + kBlocks - 1) / kBlocks;
  const size_t blocks = (perGroup + perBlock - 1) / perBlock, tasks = s.batch * s.groups * blocks;
  const size_t size = s.channels * s.n, weights = size_t(s.weights());
  run.expect(tasks + s.batch * s.chunks() * s.groups);
  withReal(type, [&](auto zeroOf) {
    using T = decltype(zeroOf);
    std::vector<int32_t> starts(segmentIds.data ? s.batch * s.length : 0);
    if (segmentIds.data) ssdStarts(s, segmentIds.data, starts.data());
    const Scratch scores(s.batch * s.chunks() * s.groups * s.chunk * s.stride() * sizeof(T));
    if (!ssdScores(run, s, arrays, scores.as<void>(), threads)) return;
    std::vector<T> sumsB(blocks * weights), sumsC(blocks * weights), skips(s.batch * s.heads * s.channels);
    std::vector<double> decays(s.batch * s.heads), biases(s.batch * s.heads);
    const SsdOutputs outputs{gout.data, gfinal.data, dx.data, ddt.data, dz.data, dInitialState.data};
    run.useThreads(threads);
    const bool whole = run.each(tasks, 1, [&](size_t begin, size_t end) {
      BackwardHead<T> h(s);
      for (size_t task = begin; task < end; task++) {
        const size_t block = task % blocks, group = task / blocks % s.groups, item = task / blocks / s.groups;
        const size_t to = std::min((block + 1) * perBlock, perGroup);
        for (size_t each = block * perBlock; each < to && !run.stopped(); each++) {
          const size_t head = group * perGroup + each, row = item * s.heads + head;
          turnState<T>(at(initialState.data, type, row * size), s.channels, s.n, h.states.data(), true);
          const auto place = [&](size_t chunk) { return SsdPlace{s, arrays, item, head, chunk}; };
          const auto startsOf = [&](size_t chunk) {
            return segmentIds.data ? starts.data() + place(chunk).first() : nullptr;
          };
          for (size_t chunk = 0; chunk + 1 < s.chunks(); chunk++) {
            const SsdPlace p = place(chunk);
            const size_t q = s.steps(chunk), P = s.channels;
            prepare(p, startsOf(chunk), h);
            T *from = h.states.data() + chunk * size, *next = from + size;
            kernels().ssd_scale(type, from, P, h.enter + q - 1, 0, s.n, P, next, P);
            product(type, {at(B.data, type, p.weights()), 1, p.weightStep()}, {h.fed, P, 1}, next, P, s.n, P, q, true,
                    h.products.template as<void>());
          }
          turnState<T>(at(gfinal.data, type, row * size), s.channels, s.n, h.dH, true);
          HeadSums<T> sums;
          sums.D = skips.data() + row * s.channels;
          for (size_t chunk = s.chunks(); chunk-- > 0;)
            backOf<T>(place(chunk), startsOf(chunk), scores.as<void>(), h, outputs, sumsB.data() + block * weights,
                      sumsC.data() + block * weights, sums);
          turnState<T>(h.dH, s.channels, s.n, at(dInitialState.data, type, row * size), false);
          decays[row] = sums.A;
          biases[row] = sums.bias;
        }
      }
      run.advance(end - begin);
    });
    if (!whole) return;
    join(sumsB.data(), blocks, weights, static_cast<T*>(dB.data));
    join(sumsC.data(), blocks, weights, static_cast<T*>(dC.data));
    for (size_t head = 0; head < s.heads; head++) {
      double decay = 0, bias = 0, all = 0;
      for (size_t item = 0; item < s.batch; item++) {
        decay += decays[item * s.heads + head];
        bias += biases[item * s.heads + head];
      }
      static_cast<T*>(dA.data)[head] = T(decay);
      if (ddtBias.data) static_cast<T*>(ddtBias.data)[head] = T(bias);
      if (!D.data) continue;
      for (size_t c = 0; c < s.channels; c++) {
        double sum = 0;
        for (size_t item = 0; item < s.batch; item++) sum += double(skips[(item * s.heads + head) * s.channels + c]);
        if (arrays.dEach) static_cast<T*>(dD.data)[head * s.channels + c] = T(sum);
        all += sum;
      }
      if (!arrays.dEach) static_cast<T*>(dD.data)[head] = T(all);
    }
  });
}

}  // namespace ops
}  // namespace softlane
#endif
