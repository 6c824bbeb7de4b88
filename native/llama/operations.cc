// The exported steps of a decoder, and its cache without one.
#ifdef SOFTLANE_OPERATIONS
#include <algorithm>
#include <cmath>

#include "../rows.h"
#include "cache.h"

namespace softlane {
namespace {

/// The length of a row of x; throws unless x is float32 and out as long.
size_t requireRows(In<Any> x, size_t outLength, size_t rows) {
  requireStorage("x", x.element, Dtype::f32);
  if (rows == 0 || x.length % rows)
    throw rangeError("rows", "a divisor of the " + std::to_string(x.length) + " elements of x", std::to_string(rows));
  requireMatrix("out", outLength, 1, x.length, x.length);
  return x.length / rows;
}

void requireLength(const char* argument, size_t length, size_t wanted) {
  if (length != wanted) throw rangeError(argument, std::to_string(wanted) + " elements long", std::to_string(length));
}

/// body(row) over rows, in pieces.
template <class Body>
void eachOf(Run& run, size_t rows, size_t cols, size_t threads, Body body) {
  run.useThreads(std::min(threads, 1 + rows * cols / (2 * kPiece)));
  run.expect(rows);
  run.each(rows, 1 + kPiece / (cols + 1), [&](size_t begin, size_t end) {
    for (size_t r = begin; r < end; r++) body(r);
    run.advance(end - begin);
  });
}

/// The numbers of cacheAppend and cacheAttention, in the order of lib/llm/attention-cache.ts.
struct CacheSizes {
  PageShape shape;
  size_t layer, queryHeads, maxPages;
  double scale;
  size_t window, sinkTokens;
  double softCap, phi, low, high;

  CacheSizes(In<double> n, CacheType type) {
    if (n.length != 13) throw rangeError("sizes", "13 numbers", std::to_string(n.length));
    const double* p = n.data;
    shape = {size_t(p[0]), size_t(p[1]), size_t(p[2]), type};
    layer = size_t(p[3]);
    queryHeads = size_t(p[4]);
    maxPages = size_t(p[5]);
    scale = p[6];
    window = size_t(p[7]);
    sinkTokens = size_t(p[8]);
    softCap = p[9];
    phi = p[10];
    low = p[11];
    high = p[12];
    if (!shape.layers || !shape.kvHeads || !shape.headDim) throw rangeError("sizes", "positive", "0");
    if (layer >= shape.layers)
      throw rangeError("layer", "in [0, " + std::to_string(shape.layers) + ")", std::to_string(layer));
    if (queryHeads == 0 || queryHeads % shape.kvHeads)
      throw rangeError("queryHeads", "a multiple of kvHeads", std::to_string(queryHeads));
  }
};

}  // namespace

namespace ops {

void rmsNorm(Run& run, In<Any> x, In<float> w, Maybe<InPlace<float>> residual, InPlace<float> out, size_t rows,
             double eps, size_t threads) {
  const size_t n = requireRows(x, out.length, rows);
  requireLength("w", w.length, n);
  if (residual.data) requireLength("residual", residual.length, x.length);
  const float* from = static_cast<const float*>(x.data);
  eachOf(run, rows, n, threads, [&](size_t r) {
    const float* row = from + r * n;
    if (residual.data) {
      kernels().add_rows(row, residual.data + r * n, residual.data + r * n, n);
      row = residual.data + r * n;
    }
    kernels().rms_norm(row, w.data, out.data + r * n, n, float(eps));
  });
}

void layerNorm(Run& run, In<Any> x, In<float> w, Maybe<In<float>> b, InPlace<float> out, size_t rows, double eps,
               size_t threads) {
  const size_t n = requireRows(x, out.length, rows);
  requireLength("w", w.length, n);
  if (b.data) requireLength("b", b.length, n);
  const float* from = static_cast<const float*>(x.data);
  eachOf(run, rows, n, threads,
         [&](size_t r) { kernels().layer_norm(from + r * n, w.data, b.data, out.data + r * n, n, float(eps)); });
}

void swiglu(Run& run, In<Any> gate, In<float> up, InPlace<float> out, size_t threads) {
  requireStorage("gate", gate.element, Dtype::f32);
  requireLength("up", up.length, gate.length);
  requireLength("out", out.length, gate.length);
  const float* from = static_cast<const float*>(gate.data);
  run.useThreads(std::min(threads, 1 + gate.length / (2 * kPiece)));
  run.expect(gate.length);
  run.each(gate.length, kPiece, [&](size_t begin, size_t end) {
    kernels().swiglu(from + begin, up.data + begin, out.data + begin, end - begin);
    run.advance(end - begin);
  });
}

void applyRope(Run& run, In<Any> x, In<int32_t> positions, In<double> inverseFrequencies, InPlace<float> out,
               size_t heads, size_t headDim, bool interleaved, size_t threads) {
  requireStorage("x", x.element, Dtype::f32);
  const size_t rows = positions.length, half = headDim / 2;
  if (headDim % 2) throw rangeError("headDim", "even", std::to_string(headDim));
  requireLength("inverseFrequencies", inverseFrequencies.length, half);
  requireLength("x", x.length, rows * heads * headDim);
  requireLength("out", out.length, x.length);
  const float* from = static_cast<const float*>(x.data);
  eachOf(run, rows, heads * headDim, threads, [&](size_t r) {
    std::vector<float> turn(2 * half);
    angles(double(positions.data[r]), inverseFrequencies.data, half, turn.data());
    for (size_t h = 0; h < heads; h++) {
      const size_t at = (r * heads + h) * headDim;
      kernels().rotate(from + at, turn.data(), turn.data() + half, out.data + at, headDim, interleaved);
    }
  });
}

void cacheAppend(Run& run, Many<Out> slabs, In<float> k, In<float> v, In<int32_t> sequences, In<int32_t> positions,
                 In<int32_t> pageTable, In<double> sizes, CacheType cacheType) {
  const CacheSizes n(sizes, cacheType);
  const size_t row = n.shape.kvHeads * n.shape.headDim;
  requireLength("k", k.length, sequences.length * row);
  requireLength("v", v.length, sequences.length * row);
  const CacheRows rows(n.shape, slabs.items, sequences, positions, pageTable, n.maxPages);
  run.useThreads(1);
  rows.append(run, n.shape, n.layer, k.data, v.data, row);
}

double cacheAttention(Run& run, In<float> q, Many<In> slabs, In<int32_t> sequences, In<int32_t> positions,
                      In<int32_t> pageTable, Maybe<In<float>> alibiSlopes, Maybe<In<float>> sinks, Out<float> out,
                      Out<float> logSumExp, In<double> sizes, CacheType cacheType, SoftmaxForm softmax,
                      bool elementRule, size_t threads) {
  const CacheSizes n(sizes, cacheType);
  const size_t row = n.queryHeads * n.shape.headDim, group = n.queryHeads / n.shape.kvHeads;
  requireLength("q", q.length, sequences.length * row);
  requireLength("out", out.length, q.length);
  requireLength("logSumExp", logSumExp.length, sequences.length * n.queryHeads);
  if (alibiSlopes.data) requireLength("alibiSlopes", alibiSlopes.length, n.queryHeads);
  if (sinks.data) requireLength("sinks", sinks.length, n.queryHeads);
  std::vector<Out<Any>> pages;  // attention only reads them
  for (const In<Any>& slab : slabs.items) pages.push_back({const_cast<void*>(slab.data), slab.length, slab.element});
  const CacheRows rows(n.shape, pages, sequences, positions, pageTable, n.maxPages);
  std::vector<AttentionTask> tasks =
      rows.tasks(n.shape, n.layer, group, q.data, row, out.data, row, logSumExp.data, nullptr);
  for (AttentionTask& task : tasks) {
    const size_t head = size_t(task.q - q.data) % row / n.shape.headDim;
    if (alibiSlopes.data) task.slopes = alibiSlopes.data + head;
    if (sinks.data) task.sinks = sinks.data + head;
  }
  const AttentionForm form{n.shape.headDim, group,         n.shape.kvHeads, float(n.scale), float(n.softCap),
                           n.window,        n.sinkTokens,  softmax,         elementRule,    float(n.phi),
                           float(n.low),    float(n.high), kChunk};
  run.useThreads(threads);
  run.expect(tasks.size());
  return double(attend(run, form, tasks));
}

}  // namespace ops
}  // namespace softlane
#endif
