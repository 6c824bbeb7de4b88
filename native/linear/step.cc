// Linear attention token by token, and Taylor features by themselves.
#ifdef SOFTLANE_OPERATIONS
#include <atomic>

#include "shape.h"

namespace softlane {
namespace {

/// Heads whose features are made together, in lanes.
constexpr size_t kGroup = 16;

struct StepArrays {
  const void *q, *k, *v;
  void *kv, *sums, *out;
};

template <class S>
size_t step(const LinearShape& n, const StepArrays& to, size_t begin, size_t end) {
  const LinearBlocks<S> b(n);
  const size_t rows = n.blockRows(true);
  const Scratch memory(2 * rows * b.stride * sizeof(S));
  S *queries = memory.as<S>(), *keys = queries + rows * b.stride;
  const S *q = static_cast<const S*>(to.q), *k = static_cast<const S*>(to.k), *v = static_cast<const S*>(to.v);
  S *kv = static_cast<S*>(to.kv), *sums = static_cast<S*>(to.sums), *out = static_cast<S*>(to.out);
  size_t zeros = 0;
  for (size_t first = begin; first < end; first += kGroup) {
    const size_t count = std::min(kGroup, end - first);
    b.features(q + first * n.dim, count, nullptr, n.queryScale(), queries, true);
    b.features(k + first * n.dim, count, nullptr, n.keyScale(), keys, true);
    for (size_t i = 0; i < count; i++) {
      const size_t head = first + i;
      S* y = out + head * n.valueDim;
      const S sum = S(kernels().linear_step({n.type, queries + i, keys + i, n.features, b.stride, v + head * n.valueDim,
                                             n.valueDim, kv + head * n.features * n.valueDim, n.valueDim,
                                             sums ? sums + head * n.features : nullptr, y}));
      if (!n.normalize) continue;
      kernels().linear_divide({n.type, y, &sum, n.eps, 1, n.valueDim, n.valueDim, nullptr, nullptr, nullptr});
      zeros += sum == 0;
    }
  }
  return zeros;
}

/// Features of some vectors, turned back so that those of a vector lie together.
template <class S>
void expand(const FeatureTable& table, const LinearShape& n, const S* x, S* out, size_t begin, size_t end) {
  const LinearBlocks<S> b(n);
  const Scratch memory(n.blockRows(true) * b.stride * sizeof(S));
  S* phi = memory.as<S>();
  for (size_t first = begin; first < end; first += n.chunk) {
    const size_t count = std::min(n.chunk, end - first);
    b.features(x + first * n.dim, count, nullptr, n.queryScale(), phi, true);
    // The way back of a load without a map is a turn.
    kernels().linear_pull({n.type, LinearKind::taylor, nullptr, count, table.count, nullptr, false, 1, phi, b.stride,
                           out + first * table.count});
  }
}

}  // namespace

namespace ops {

double linearAttentionStep(Run& run, In<Any> q, In<Any> k, In<Any> v, Out<Any> stateKv, Maybe<Out<Any>> stateK,
                           Out<Any> out, In<double> sizes, LinearKind kind, size_t threads) {
  const Dtype type = q.element == Element::float64 ? Dtype::f64 : Dtype::f32;
  LinearShape n(sizes, kind, LinearAlgorithm::recurrent, type, true);
  n.chunk = kGroup;
  const size_t heads = n.batch * n.heads;
  requireReal("q", q, type, heads * n.dim);
  requireReal("k", k, type, heads * n.dim);
  requireReal("v", v, type, heads * n.valueDim);
  requireReal("out", out, type, heads * n.valueDim);
  requireReal("stateKv", stateKv, type, heads * n.features * n.valueDim);
  requireReal("stateK", stateK, type, heads * n.features);
  const StepArrays to{q.data, k.data, v.data, stateKv.data, stateK.data, out.data};
  run.useThreads(std::min(threads, 1 + heads * n.features * n.valueDim / (size_t(1) << 17)));
  const size_t grain = std::max<size_t>(1, std::min(kGroup, (heads + run.threads() - 1) / run.threads()));
  std::atomic<size_t> zeros{0};
  run.expect(heads);
  run.each(heads, grain, [&](size_t begin, size_t end) {
    zeros += type == Dtype::f64 ? step<double>(n, to, begin, end) : step<float>(n, to, begin, end);
    run.advance(end - begin);
  });
  return double(zeros.load());
}

void taylorFeatures(Run& run, In<Any> x, Out<Any> out, size_t rows, size_t dim, size_t order, double scale,
                    bool symmetric, size_t threads) {
  const Dtype type = x.element == Element::float64 ? Dtype::f64 : Dtype::f32;
  const double numbers[15] = {1, 1, double(rows),      0, double(dim), 1, double(order), scale, 0,
                              0, 0, double(symmetric), 0, 0,           1};
  const LinearShape n({numbers, 15}, LinearKind::taylor, LinearAlgorithm::chunk, type, true);
  requireReal("x", x, type, rows * dim);
  requireReal("out", out, type, rows * n.features);
  run.useThreads(std::min(threads, 1 + rows * n.features / (size_t(1) << 17)));
  run.expect(rows);
  run.each(rows, std::max<size_t>(1, n.chunk), [&](size_t begin, size_t end) {
    if (type == Dtype::f64)
      expand(n.table, n, static_cast<const double*>(x.data), static_cast<double*>(out.data), begin, end);
    else expand(n.table, n, static_cast<const float*>(x.data), static_cast<float*>(out.data), begin, end);
    run.advance(end - begin);
  });
}

}  // namespace ops
}  // namespace softlane
#endif
