// Linear attention, forward: one head, or a tile of the columns of its values, after the other.
//
//   chunk       out = phi(Q) S + W V for a chunk of tokens, W the weights of its own lower triangle; then S += phi(K)^T V
//   quadratic   W V for all tiles of the triangle; no features beside those that scores are products of
//   recurrent   token by token, as a decoder goes
#ifdef SOFTLANE_OPERATIONS
#include <atomic>
#include <limits>
#include <utility>

#include "shape.h"

namespace softlane {
namespace {

/// Rows of a tile of the triangle: what lies beyond its last row is not computed.
constexpr size_t kTriangle = 32;

template <class S>
class Forward {
 public:
  struct Results {
    S *out, *denominators, *lastKv, *lastK;
  };

  Forward(const LinearShape& shape, const LinearArrays<S>& arrays, const Results& results, bool whole, size_t width)
      : n(shape),
        in(arrays),
        to(results),
        b(shape),
        memory_((2 * shape.blockRows(whole) * b.stride + shape.chunk * b.stride + (width + 1) * shape.features +
                 2 * shape.chunk) *
                sizeof(S)) {
    S* next = memory_.template as<S>();
    const auto take = [&](size_t count) { return std::exchange(next, next + count); };
    queries_ = take(n.blockRows(whole) * b.stride);
    keys_ = take(n.blockRows(whole) * b.stride);
    tile_ = take(n.chunk * b.stride);
    kv_ = take(width * n.features);
    sums_ = take(n.features);
    den_ = take(n.chunk);
    shift_ = take(n.chunk);
  }

  /// Columns first to first + columns - 1 of the values of a head. Returns the rows whose denominator is 0.
  size_t head(const Run& run, size_t index, size_t first, size_t columns) {
    index_ = index;
    first_ = first;
    columns_ = columns;
    const bool quadratic = n.algorithm == LinearAlgorithm::quadratic;
    const bool wantsSums = n.normalize || to.denominators || to.lastK;
    size_t zeros = 0;
    carried_ = begin();
    if (!quadratic) encode();
    for (size_t at = 0; at < n.length && !run.stopped(); at += n.chunk) {
      const size_t rows = std::min(n.chunk, n.length - at);
      b.features(query(at), rows, nullptr, n.queryScale(), queries_, carried_ || !quadratic);
      std::fill(den_, den_ + rows, S(0));
      if (n.algorithm == LinearAlgorithm::recurrent && n.causal) recur(at, rows, wantsSums);
      else products(at, rows, quadratic);
      zeros += finish(at, rows);
      if (n.causal && n.algorithm == LinearAlgorithm::chunk && (at + rows < n.length || to.lastKv)) {
        b.accumulate(keys_, rows, value(at), n.valueDim, columns_, kv_, wantsSums ? sums_ : nullptr);
        carried_ = true;
      }
    }
    if (quadratic && to.lastKv) {
      encode();
      for (size_t at = 0; n.causal && at < n.length; at += n.chunk) {
        const size_t rows = std::min(n.chunk, n.length - at);
        b.features(key(at), rows, factor(at), n.keyScale(), keys_, true);
        b.accumulate(keys_, rows, value(at), n.valueDim, columns_, kv_, sums_);
      }
    }
    if (to.lastKv) end();
    return first == 0 ? zeros : 0;
  }

 private:
  size_t tokens() const { return index_ * n.length; }
  const S* query(size_t at) const { return in.q + (tokens() + at) * n.dim; }
  const S* key(size_t at) const { return in.k + (tokens() + at) * n.dim; }
  const S* value(size_t at) const { return in.v + (tokens() + at) * n.valueDim + first_; }
  const S* factor(size_t at) const { return in.factor ? in.factor + index_ / n.heads * n.length + at : nullptr; }
  S* result(size_t at) const { return to.out + (tokens() + at) * n.valueDim + first_; }

  /// The state before the first token; whether there is one.
  bool begin() {
    if (!in.stateKv) {
      std::fill(kv_, kv_ + n.features * columns_, S(0));
      std::fill(sums_, sums_ + n.features, S(0));
      return false;
    }
    for (size_t f = 0; f < n.features; f++) {
      const S* from = in.stateKv + (index_ * n.features + f) * n.valueDim + first_;
      std::copy(from, from + columns_, kv_ + f * columns_);
      sums_[f] = in.stateK ? in.stateK[index_ * n.features + f] : S(0);
    }
    return true;
  }

  /// Adds the keys and values that every query sees.
  void encode() {
    for (size_t at = 0; at < n.encoder; at += n.chunk) {
      const size_t rows = std::min(n.chunk, n.encoder - at), from = index_ * n.encoder + at;
      b.features(in.kEnc + from * n.dim, rows, factor(at), n.keyScale(), keys_, true);
      b.accumulate(keys_, rows, in.vEnc + from * n.valueDim + first_, n.valueDim, columns_, kv_, sums_);
      carried_ = true;
    }
  }

  void end() const {
    for (size_t f = 0; f < n.features; f++) {
      const S* from = kv_ + f * columns_;
      std::copy(from, from + columns_, to.lastKv + (index_ * n.features + f) * n.valueDim + first_);
    }
    if (to.lastK && first_ == 0) std::copy(sums_, sums_ + n.features, to.lastK + index_ * n.features);
  }

  void recur(size_t at, size_t rows, bool wantsSums) {
    b.features(key(at), rows, factor(at), n.keyScale(), keys_, true);
    for (size_t t = 0; t < rows; t++)
      den_[t] = S(kernels().linear_step({n.type, queries_ + t, keys_ + t, n.features, b.stride, value(at + t), columns_,
                                         kv_, columns_, wantsSums ? sums_ : nullptr, result(at + t)}));
  }

  /// What a chunk of queries sees of the state and of tiles of keys.
  void products(size_t at, size_t rows, bool quadratic) {
    bool add = carried_;
    if (carried_) {
      b.multiply(queries_, 1, b.stride, kv_, columns_, 1, result(at), n.valueDim, rows, columns_, n.features, false);
      if (n.normalize || to.denominators)
        b.multiply(sums_, n.features, 1, queries_, b.stride, 1, den_, rows, 1, rows, n.features, false);
    }
    const bool shifts = n.kind == LinearKind::exponential && std::isinf(n.clamp);
    if (shifts) {
      std::fill(shift_, shift_ + rows, std::numeric_limits<S>::lowest());
      eachTile(at, rows, quadratic, [&](const S*, size_t columns, bool diagonal, const S* keep) {
        b.scores(queries_, rows, keys_, columns, tile_);
        kernels().linear_most({n.type, tile_, b.stride, rows, columns, diagonal ? size_t(0) : columns, keep, shift_});
      });
    }
    eachTile(at, rows, quadratic, [&](const S* values, size_t columns, bool diagonal, const S* keep) {
      const size_t step = diagonal ? std::min(rows, kTriangle) : rows;
      for (size_t r = 0; r < rows; r += step) {
        const size_t some = std::min(step, rows - r), seen = diagonal ? std::min(columns, r + some) : columns;
        b.scores(queries_ + r, some, keys_, seen, tile_);
        LinearTile job{};
        job.type = n.type;
        job.kind = n.kind;
        job.order = n.order;
        job.clamp = n.clamp;
        job.most = std::exp(n.clamp);
        job.shift = shifts ? shift_ + r : nullptr;
        job.scores = job.weights = tile_;
        job.stride = b.stride;
        job.rows = some;
        job.columns = seen;
        job.diagonal = diagonal ? r : seen;
        job.factor = keep;
        job.sums = den_ + r;
        kernels().linear_tile(job);
        b.multiply(tile_, b.stride, 1, values, n.valueDim, 1, result(at + r), n.valueDim, some, columns_, seen, add);
      }
      add = true;
    });
    if (!add)
      for (size_t r = 0; r < rows; r++) std::fill(result(at + r), result(at + r) + columns_, S(0));
  }

  /// body(values, columns, on the diagonal, factors), the keys' features in keys_.
  template <class Body>
  void eachTile(size_t at, size_t rows, bool quadratic, Body body) {
    for (size_t j = 0; quadratic && j < n.encoder; j += n.chunk) {
      const size_t columns = std::min(n.chunk, n.encoder - j), from = index_ * n.encoder + j;
      b.features(in.kEnc + from * n.dim, columns, factor(j), n.keyScale(), keys_, false);
      body(in.vEnc + from * n.valueDim + first_, columns, false, keep(j));
    }
    for (size_t j = quadratic ? 0 : at; n.causal && j <= at; j += n.chunk) {
      const size_t columns = j == at ? rows : n.chunk;
      b.features(key(j), columns, factor(j), n.keyScale(), keys_, !quadratic);
      body(value(j), columns, j == at, keep(j));
    }
  }
  const S* keep(size_t at) const { return n.masksInput ? nullptr : factor(at); }

  size_t finish(size_t at, size_t rows) const {
    if (to.denominators && first_ == 0) std::copy(den_, den_ + rows, to.denominators + tokens() + at);
    if (!n.normalize) return 0;
    kernels().linear_divide({n.type, result(at), den_, n.eps, rows, columns_, n.valueDim, nullptr, nullptr, nullptr});
    return size_t(std::count(den_, den_ + rows, S(0)));
  }

  const LinearShape& n;
  const LinearArrays<S>& in;
  const Results to;
  const LinearBlocks<S> b;
  const Scratch memory_;
  S *queries_, *keys_, *tile_, *kv_, *sums_, *den_, *shift_;
  size_t index_ = 0, first_ = 0, columns_ = 0;
  bool carried_ = false;
};

template <class S>
double forward(Run& run, const LinearShape& n, const LinearArrays<S>& in, const typename Forward<S>::Results& to,
               bool stateful, size_t threads) {
  const size_t heads = n.batch * n.heads;
  const bool whole = stateful || n.algorithm != LinearAlgorithm::quadratic;
  run.useThreads(threads);
  // Fewer heads than threads: tiles of the columns of values, each with weights of its own. Sums do not depend on them.
  const size_t lanes = 128 / sizeof(S), most = (n.valueDim + lanes - 1) / lanes;
  const size_t wanted = heads == 0 || heads >= threads ? 1 : std::min(most, (threads + heads - 1) / heads);
  const size_t width = wanted <= 1 ? n.valueDim : (most + wanted - 1) / wanted * lanes;
  const size_t tiles = (n.valueDim + width - 1) / width;
  std::atomic<size_t> zeros{0};
  run.expect(heads * tiles);
  run.each(heads * tiles, 1, [&](size_t begin, size_t end) {
    Forward<S> worker(n, in, to, whole, width);
    for (size_t task = begin; task < end && !run.stopped(); task++) {
      const size_t first = task % tiles * width;
      zeros += worker.head(run, task / tiles, first, std::min(width, n.valueDim - first));
      run.advance(1);
    }
  });
  return double(zeros.load());
}

}  // namespace

namespace ops {

double linearAttention(Run& run, In<Any> q, Maybe<In<Any>> k, Maybe<In<Any>> v, Maybe<In<Any>> kEnc,
                       Maybe<In<Any>> vEnc, Maybe<In<uint8_t>> mask, Maybe<In<Any>> stateKv, Maybe<In<Any>> stateK,
                       Out<Any> out, Maybe<Out<Any>> denominators, Maybe<Out<Any>> lastKv, Maybe<Out<Any>> lastK,
                       In<double> sizes, LinearKind kind, LinearAlgorithm algorithm, size_t threads) {
  const Dtype type = q.element == Element::float64 ? Dtype::f64 : Dtype::f32;
  const bool stateful = stateKv.data || lastKv.data;
  const LinearShape n(sizes, kind, algorithm, type, stateful);
  requireLinear(n, q, k, v, kEnc, vEnc, mask, stateKv, stateK);
  const size_t heads = n.batch * n.heads;
  requireReal("out", out, type, heads * n.length * n.valueDim);
  requireReal("denominators", denominators, type, heads * n.length);
  requireReal("lastKv", lastKv, type, heads * n.features * n.valueDim);
  requireReal("lastK", lastK, type, heads * n.features);
  const auto call = [&](auto s) {
    using S = decltype(s);
    const auto read = [](const void* data) { return static_cast<const S*>(data); };
    const auto write = [](void* data) { return static_cast<S*>(data); };
    const std::vector<S> factors = factorsOf<S>(mask);
    const LinearArrays<S> in{
        read(q.data),    read(k.data),       read(v.data),      read(kEnc.data),
        read(vEnc.data), read(stateKv.data), read(stateK.data), factors.empty() ? nullptr : factors.data()};
    return forward<S>(run, n, in, {write(out.data), write(denominators.data), write(lastKv.data), write(lastK.data)},
                      stateful, threads);
  };
  return type == Dtype::f64 ? call(double{}) : call(float{});
}

}  // namespace ops
}  // namespace softlane
#endif
