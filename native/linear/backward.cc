// Gradients of linear attention, one head after the other, in time linear in the length for chunks:
//
//   u = numerators, z = denominators, y = u / (z + eps):    du = g / (z + eps), dz = -<g, y> / (z + eps)
//   forward scan:   dphi(q_t) = S_t du_t + sums_t dz_t;  tiles of the diagonal: ds = w'(s) (du_t . v_i + dz_t)
//   reverse scan:   R = sum over later t of phi(q_t) du_t^T: dphi(k_i) = R v_i + r, dv_i = R^T phi(k_i)
//
// and gradients of features go back to vectors through the Jacobian of phi. The quadratic form has tiles alone.
#ifdef SOFTLANE_OPERATIONS
#include <limits>
#include <utility>

#include "shape.h"

namespace softlane {
namespace {

template <class S>
struct Gradients {
  const S *out, *denominators, *lastKv, *lastK;  ///< of what the call gave; all but the first may be null
  S *q, *k, *v, *kEnc, *vEnc, *stateKv, *stateK;
};

template <class S>
class Backward {
 public:
  Backward(const LinearShape& shape, const LinearArrays<S>& arrays, const Gradients<S>& gradients)
      : n(shape),
        in(arrays),
        d(gradients),
        b(shape),
        quadratic_(shape.algorithm == LinearAlgorithm::quadratic),
        block_(shape.blockRows(!quadratic_) * b.stride),
        base_(std::max<size_t>(1, shape.dim) * b.stride),
        memory_(elements() * sizeof(S)) {
    S* next = memory_.template as<S>();
    const auto take = [&](size_t count) { return std::exchange(next, next + count); };
    for (S** each : {&queries_, &keys_, &gradient_}) *each = take(block_);
    for (S** each : {&tile_, &weights_, &slopes_}) *each = take(n.chunk * b.stride);
    for (S** each : {&kv_, &later_}) *each = take(n.features * n.valueDim);
    for (S** each : {&sums_, &laterSums_}) *each = take(n.features);
    for (S** each : {&den_, &shift_}) *each = take(n.chunk);
    numerators_ = take(n.chunk * n.valueDim);
    keyBase_ = take(blocks(n.causal ? n.length : 0) * base_);
    encoderBase_ = take(quadratic_ ? blocks(n.encoder) * base_ : 0);
    du_ = take(n.normalize ? n.length * n.valueDim : 0);
    dz_ = take(n.normalize ? n.length : 0);
  }

  void head(const Run& run, size_t index) {
    index_ = index;
    begin(in.stateKv, in.stateK, kv_, sums_, carried_);
    std::fill(keyBase_, keyBase_ + blocks(n.causal ? n.length : 0) * base_, S(0));
    if (n.causal) std::fill(d.v + tokens() * n.valueDim, d.v + (tokens() + n.length) * n.valueDim, S(0));
    if (quadratic_) {
      std::fill(encoderBase_, encoderBase_ + blocks(n.encoder) * base_, S(0));
      S* to = n.encoder ? d.vEnc + index_ * n.encoder * n.valueDim : nullptr;
      std::fill(to, to + n.encoder * n.valueDim, S(0));
    } else {
      encode();
    }
    for (size_t at = 0; at < n.length && !run.stopped(); at += n.chunk) ascend(at);
    begin(d.lastKv, d.lastK, later_, laterSums_, hasLater_);
    for (size_t j = blocks(n.length); j-- > 0 && !run.stopped();) descend(j * n.chunk);
    for (size_t at = 0; at < n.encoder && !run.stopped(); at += n.chunk) encoded(at);
    if (d.stateKv) std::copy(later_, later_ + n.features * n.valueDim, d.stateKv + index_ * n.features * n.valueDim);
    if (d.stateK) std::copy(laterSums_, laterSums_ + n.features, d.stateK + index_ * n.features);
  }

 private:
  size_t blocks(size_t length) const { return (length + n.chunk - 1) / n.chunk; }
  size_t elements() const {
    return 3 * block_ + 3 * n.chunk * b.stride + 2 * n.features * (n.valueDim + 1) + 2 * n.chunk +
           n.chunk * n.valueDim + (blocks(n.causal ? n.length : 0) + (quadratic_ ? blocks(n.encoder) : 0)) * base_ +
           (n.normalize ? n.length * (n.valueDim + 1) : 0);
  }
  size_t tokens() const { return index_ * n.length; }
  const S* query(size_t at) const { return in.q + (tokens() + at) * n.dim; }
  const S* key(size_t at) const { return in.k + (tokens() + at) * n.dim; }
  const S* value(size_t at) const { return in.v + (tokens() + at) * n.valueDim; }
  const S* encoderKey(size_t at) const { return in.kEnc + (index_ * n.encoder + at) * n.dim; }
  const S* encoderValue(size_t at) const { return in.vEnc + (index_ * n.encoder + at) * n.valueDim; }
  const S* factor(size_t at) const { return in.factor ? in.factor + index_ / n.heads * n.length + at : nullptr; }
  const S* du(size_t at) const { return n.normalize ? du_ + at * n.valueDim : d.out + (tokens() + at) * n.valueDim; }
  const S* dz(size_t at) const {
    if (n.normalize) return dz_ + at;
    return d.denominators ? d.denominators + tokens() + at : nullptr;
  }

  void begin(const S* kv, const S* sums, S* toKv, S* toSums, bool& carried) const {
    const size_t size = n.features * n.valueDim;
    if (kv) std::copy(kv + index_ * size, kv + (index_ + 1) * size, toKv);
    else std::fill(toKv, toKv + size, S(0));
    if (sums) std::copy(sums + index_ * n.features, sums + (index_ + 1) * n.features, toSums);
    else std::fill(toSums, toSums + n.features, S(0));
    carried = kv || sums;
  }

  void encode() {
    for (size_t at = 0; at < n.encoder; at += n.chunk) {
      const size_t rows = std::min(n.chunk, n.encoder - at);
      b.features(encoderKey(at), rows, factor(at), n.keyScale(), keys_, true);
      b.accumulate(keys_, rows, encoderValue(at), n.valueDim, n.valueDim, kv_, sums_);
      carried_ = true;
    }
  }

  /// A chunk of queries, first to last: their gradients, and those of the keys and values of its tiles.
  void ascend(size_t at) {
    const size_t rows = std::min(n.chunk, n.length - at), first = n.baseFirst() * b.stride;
    b.features(query(at), rows, nullptr, n.queryScale(), queries_, !quadratic_);
    if (n.kind == LinearKind::exponential && std::isinf(n.clamp)) {
      std::fill(shift_, shift_ + rows, std::numeric_limits<S>::lowest());
      eachTile(at, rows, [&](const Tile& t) {
        kernels().linear_most({n.type, tile_, b.stride, rows, t.columns, t.diagonal, t.keep, shift_});
      });
    }
    if (n.normalize) denominators(at, rows);
    if (carried_) {  // dphi(q) = S du + sums dz
      b.multiply(kv_, n.valueDim, 1, du(at), 1, n.valueDim, gradient_, b.stride, n.features, rows, n.valueDim, false);
      if (dz(at)) b.multiply(sums_, 1, 1, dz(at), rows, 1, gradient_, b.stride, n.features, rows, 1, true);
      b.contract(queries_, gradient_, rows);
    } else {
      std::fill(gradient_, gradient_ + (n.baseFirst() + n.dim) * b.stride, S(0));
    }
    eachTile(at, rows, [&](const Tile& t) {
      b.multiply(du(at), n.valueDim, 1, t.values, 1, n.valueDim, slopes_, b.stride, rows, t.columns, n.valueDim, false);
      weigh(t, rows, slopes_, dz(at), nullptr);
      b.multiply(weights_, 1, b.stride, du(at), n.valueDim, 1, t.dValues, n.valueDim, t.columns, n.valueDim, rows,
                 true);
      if (!n.baseRows()) return;
      b.multiply(keys_ + first, b.stride, 1, slopes_, 1, b.stride, gradient_ + first, b.stride, n.dim, rows, t.columns,
                 true);
      b.multiply(queries_ + first, b.stride, 1, slopes_, b.stride, 1, t.dKeys, b.stride, n.dim, t.columns, rows, true);
    });
    b.pull(query(at), rows, nullptr, n.queryScale(), gradient_, d.q + (tokens() + at) * n.dim);
    if (n.causal && !quadratic_ && at + rows < n.length) {
      b.accumulate(keys_, rows, value(at), n.valueDim, n.valueDim, kv_, sums_);
      carried_ = true;
    }
  }

  /// Works out the forward pass of a chunk again, for du and dz.
  void denominators(size_t at, size_t rows) {
    std::fill(den_, den_ + rows, S(0));
    bool add = carried_;
    if (carried_) {
      b.multiply(queries_, 1, b.stride, kv_, n.valueDim, 1, numerators_, n.valueDim, rows, n.valueDim, n.features,
                 false);
      b.multiply(sums_, n.features, 1, queries_, b.stride, 1, den_, rows, 1, rows, n.features, false);
    }
    eachTile(at, rows, [&](const Tile& t) {
      weigh(t, rows, nullptr, nullptr, den_);
      b.multiply(weights_, b.stride, 1, t.values, n.valueDim, 1, numerators_, n.valueDim, rows, n.valueDim, t.columns,
                 add);
      add = true;
    });
    if (!add) std::fill(numerators_, numerators_ + rows * n.valueDim, S(0));
    kernels().linear_divide({n.type, numerators_, den_, n.eps, rows, n.valueDim, n.valueDim,
                             d.out + (tokens() + at) * n.valueDim, du_ + at * n.valueDim, dz_ + at});
  }

  struct Tile {
    const S* values;
    size_t columns, diagonal;
    const S* keep;
    S *dValues, *dKeys;
  };

  /// body(tile) with the keys' features in keys_ and their scores in tile_.
  template <class Body>
  void eachTile(size_t at, size_t rows, Body body) {
    const auto scored = [&](const Tile& t) {
      b.scores(queries_, rows, keys_, t.columns, tile_);
      body(t);
    };
    for (size_t j = 0; quadratic_ && j < n.encoder; j += n.chunk) {
      const size_t columns = std::min(n.chunk, n.encoder - j);
      b.features(encoderKey(j), columns, factor(j), n.keyScale(), keys_, false);
      scored({encoderValue(j), columns, columns, keep(j), d.vEnc + (index_ * n.encoder + j) * n.valueDim,
              encoderBase_ + j / n.chunk * base_});
    }
    for (size_t j = quadratic_ ? 0 : at; n.causal && j <= at; j += n.chunk) {
      const size_t columns = j == at ? rows : n.chunk;
      b.features(key(j), columns, factor(j), n.keyScale(), keys_, !quadratic_);
      scored({value(j), columns, j == at ? 0 : columns, keep(j), d.v + (tokens() + j) * n.valueDim,
              keyBase_ + j / n.chunk * base_});
    }
  }
  const S* keep(size_t at) const { return n.masksInput ? nullptr : factor(at); }

  void weigh(const Tile& t, size_t rows, S* gradients, const S* offsets, S* sums) const {
    LinearTile job{};
    job.type = n.type;
    job.kind = n.kind;
    job.order = n.order;
    job.clamp = n.clamp;
    job.most = std::exp(n.clamp);
    job.shift = n.kind == LinearKind::exponential && std::isinf(n.clamp) ? shift_ : nullptr;
    job.scores = tile_;
    job.weights = weights_;
    job.stride = b.stride;
    job.rows = rows;
    job.columns = t.columns;
    job.diagonal = t.diagonal;
    job.factor = t.keep;
    job.sums = sums;
    job.gradients = gradients;
    job.offsets = offsets;
    kernels().linear_tile(job);
  }

  /// dphi(k) = R v + r into gradient_, dv += R^T phi(k), and back through the Jacobian.
  void fromLater(const S* values, size_t rows, S* dValues) {
    b.multiply(later_, n.valueDim, 1, values, 1, n.valueDim, gradient_, b.stride, n.features, rows, n.valueDim, false);
    for (size_t f = 0; f < n.features; f++)
      for (size_t i = 0; laterSums_[f] != 0 && i < rows; i++) gradient_[f * b.stride + i] += laterSums_[f];
    b.multiply(keys_, 1, b.stride, later_, n.valueDim, 1, dValues, n.valueDim, rows, n.valueDim, n.features, true);
    b.contract(keys_, gradient_, rows);
  }

  /// A chunk of keys, last to first: what later chunks of queries give to their gradients.
  void descend(size_t at) {
    const size_t rows = std::min(n.chunk, n.length - at), first = n.baseFirst() * b.stride;
    if (n.causal) {
      if (hasLater_) {
        b.features(key(at), rows, factor(at), n.keyScale(), keys_, true);
        fromLater(value(at), rows, d.v + (tokens() + at) * n.valueDim);
      } else {
        std::fill(gradient_, gradient_ + (n.baseFirst() + n.dim) * b.stride, S(0));
      }
      const S* base = keyBase_ + at / n.chunk * base_;
      for (size_t j = 0; j < n.dim; j++)
        for (size_t i = 0; i < rows; i++) gradient_[first + j * b.stride + i] += base[j * b.stride + i];
      b.pull(key(at), rows, factor(at), n.keyScale(), gradient_, d.k + (tokens() + at) * n.dim);
    }
    if (quadratic_ || (at == 0 && !n.encoder && !d.stateKv && !d.stateK)) return;
    b.features(query(at), rows, nullptr, n.queryScale(), queries_, true);
    b.multiply(queries_, b.stride, 1, du(at), n.valueDim, 1, later_, n.valueDim, n.features, n.valueDim, rows, true);
    if (dz(at)) kernels().linear_sums({n.type, queries_, n.features, rows, b.stride, dz(at), laterSums_});
    hasLater_ = true;
  }

  void encoded(size_t at) {
    const size_t rows = std::min(n.chunk, n.encoder - at), from = index_ * n.encoder + at;
    const S* base = encoderBase_ + at / n.chunk * base_ - n.baseFirst() * b.stride;
    if (!quadratic_) {
      S* dValues = d.vEnc + from * n.valueDim;
      std::fill(dValues, dValues + rows * n.valueDim, S(0));
      b.features(encoderKey(at), rows, factor(at), n.keyScale(), keys_, true);
      fromLater(encoderValue(at), rows, dValues);
      base = gradient_;
    }
    b.pull(encoderKey(at), rows, factor(at), n.keyScale(), base, d.kEnc + from * n.dim);
  }

  const LinearShape& n;
  const LinearArrays<S>& in;
  const Gradients<S>& d;
  const LinearBlocks<S> b;
  const bool quadratic_;
  const size_t block_, base_;
  const Scratch memory_;
  S *queries_, *keys_, *gradient_, *tile_, *weights_, *slopes_, *kv_, *later_, *sums_, *laterSums_, *den_, *shift_;
  S *numerators_, *keyBase_, *encoderBase_, *du_, *dz_;
  size_t index_ = 0;
  bool carried_ = false, hasLater_ = false;
};

template <class S>
void backward(Run& run, const LinearShape& n, const LinearArrays<S>& in, const Gradients<S>& d, size_t threads) {
  const size_t heads = n.batch * n.heads;
  run.useThreads(threads);
  run.expect(heads);
  run.each(heads, 1, [&](size_t begin, size_t end) {
    Backward<S> worker(n, in, d);
    for (size_t index = begin; index < end && !run.stopped(); index++) {
      worker.head(run, index);
      run.advance(1);
    }
  });
}

}  // namespace

namespace ops {

void linearAttentionBackward(Run& run, In<Any> q, Maybe<In<Any>> k, Maybe<In<Any>> v, Maybe<In<Any>> kEnc,
                             Maybe<In<Any>> vEnc, Maybe<In<uint8_t>> mask, Maybe<In<Any>> stateKv,
                             Maybe<In<Any>> stateK, In<Any> gout, Maybe<In<Any>> gdenominators, Maybe<In<Any>> glastKv,
                             Maybe<In<Any>> glastK, Out<Any> dq, Maybe<Out<Any>> dk, Maybe<Out<Any>> dv,
                             Maybe<Out<Any>> dkEnc, Maybe<Out<Any>> dvEnc, Maybe<Out<Any>> dstateKv,
                             Maybe<Out<Any>> dstateK, In<double> sizes, LinearKind kind, LinearAlgorithm algorithm,
                             size_t threads) {
  const Dtype type = q.element == Element::float64 ? Dtype::f64 : Dtype::f32;
  const bool stateful = stateKv.data || stateK.data || glastKv.data || glastK.data || dstateKv.data || dstateK.data;
  // Gradients of a state come from scans; a scan token by token would only be a slow one by chunks.
  if (stateful || algorithm == LinearAlgorithm::recurrent) algorithm = LinearAlgorithm::chunk;
  const LinearShape n(sizes, kind, algorithm, type, stateful);
  requireLinear(n, q, k, v, kEnc, vEnc, mask, stateKv, stateK);
  const size_t heads = n.batch * n.heads, tokens = heads * n.length, state = heads * n.features;
  requireReal("gout", gout, type, tokens * n.valueDim);
  requireReal("gdenominators", gdenominators, type, tokens);
  requireReal("glastKv", glastKv, type, state * n.valueDim);
  requireReal("glastK", glastK, type, state);
  requireReal("dq", dq, type, tokens * n.dim);
  requireReal("dk", dk, type, tokens * n.dim);
  requireReal("dv", dv, type, tokens * n.valueDim);
  requireReal("dkEnc", dkEnc, type, heads * n.encoder * n.dim);
  requireReal("dvEnc", dvEnc, type, heads * n.encoder * n.valueDim);
  requireReal("dstateKv", dstateKv, type, state * n.valueDim);
  requireReal("dstateK", dstateK, type, state);
  if (n.causal && tokens && (!dk.data || !dv.data)) throw typeError("dk", "given", "undefined");
  if (heads * n.encoder > 0 && (!dkEnc.data || !dvEnc.data)) throw typeError("dkEnc", "given", "undefined");
  const auto call = [&](auto s) {
    using S = decltype(s);
    const auto read = [](const void* data) { return static_cast<const S*>(data); };
    const auto write = [](void* data) { return static_cast<S*>(data); };
    const std::vector<S> factors = factorsOf<S>(mask);
    const LinearArrays<S> in{
        read(q.data),    read(k.data),       read(v.data),      read(kEnc.data),
        read(vEnc.data), read(stateKv.data), read(stateK.data), factors.empty() ? nullptr : factors.data()};
    const Gradients<S> d{read(gout.data),   read(gdenominators.data), read(glastKv.data), read(glastK.data),
                         write(dq.data),    write(dk.data),           write(dv.data),     write(dkEnc.data),
                         write(dvEnc.data), write(dstateKv.data),     write(dstateK.data)};
    backward<S>(run, n, in, d, threads);
  };
  if (type == Dtype::f64) call(double{});
  else call(float{});
}

}  // namespace ops
}  // namespace softlane
#endif
