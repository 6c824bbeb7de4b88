// The forward pass of a Llama-family decoder over rows of tokens, of any number of sequences:
//
//   x = embedding[token]
//   each layer:  y = rms(x);  q, k, v = y Wqkv^T (+ bias), q and k rotated, k and v into the cache
//                x = x + attention(q, cache) Wo^T;  y = rms(x);  x = x + (silu(y Wgate^T) * (y Wup^T)) Wdown^T
//   logits = rms(x) Whead^T of the rows that want them
//
// A row's numbers come from its own sequence alone: products are chains that do not depend on m, attention is cut into
// chunks at fixed positions. So prompts may be cut anywhere, and sequences share a pass, without a bit of difference.
#ifdef SOFTLANE_OPERATIONS
#include <algorithm>
#include <cmath>
#include <cstring>

#include "../gemm/run.h"
#include "../rows.h"
#include "cache.h"

namespace softlane {

void angles(double position, const double* inverseFrequencies, size_t half, float* out) {
  for (size_t i = 0; i < half; i++) {
    out[i] = float(std::cos(position * inverseFrequencies[i]));
    out[half + i] = float(std::sin(position * inverseFrequencies[i]));
  }
}

namespace {

/// Products of a layer, then the logits; and the embedding, which is gathered.
enum Matrix { kQkv, kOutput, kGateUp, kDown, kHead, kEmbedding, kMatrices };

/// The numbers of a call, in the order of lib/llm/forward.ts.
struct Model {
  size_t hidden, layers, queryHeads, kvHeads, dim, intermediate, vocab;
  double eps;
  size_t window, maxPages;
  WeightType types[kMatrices];
  size_t m1[kEmbedding], m2[kEmbedding];

  explicit Model(In<double> sizes) {
    if (sizes.length != 10 + kMatrices + 2 * kEmbedding)
      throw rangeError("sizes", "26 numbers", std::to_string(sizes.length));
    const double* p = sizes.data;
    for (size_t* each : {&hidden, &layers, &queryHeads, &kvHeads, &dim, &intermediate, &vocab}) *each = size_t(*p++);
    eps = *p++;
    window = size_t(*p++);
    maxPages = size_t(*p++);
    for (WeightType& type : types) type = WeightType(uint8_t(*p++) % 4);
    for (size_t i = 0; i < kEmbedding; i++) {
      m1[i] = size_t(*p++);
      m2[i] = size_t(*p++);
    }
    if (!hidden || !layers || !queryHeads || !kvHeads || !dim || !intermediate || !vocab || queryHeads % kvHeads ||
        dim % 2)
      throw rangeError("shape", "positive, kvHeads a divisor of queryHeads, headDim even", "another");
  }
  size_t qkvRows() const { return (queryHeads + 2 * kvHeads) * dim; }
};

/// Hands out the arrays of the weights in order, each checked.
class Arrays {
 public:
  Arrays(const Model& model, const std::vector<In<Any>>& items) : model_(model), items_(items) {}
  const float* vector(size_t n, bool optional = false) {
    const In<Any>& item = next();
    if (optional && item.length == 0) return nullptr;
    requireStorage("weights", item.element, Dtype::f32);
    requireMatrix("weights", item.length, 1, n, n);
    return static_cast<const float*>(item.data);
  }
  Weights matrix(Matrix which, size_t n, size_t k) {
    const WeightType type = model_.types[which];
    const In<Any>& data = next();
    requireWeights("weights", data.element, type);
    requireMatrix("weights", data.length, 1, elementsOf(n, k, true), elementsOf(n, k, true));
    const float* scales = vector(n, type != WeightType::int8);
    return {data.data, type == WeightType::int8 ? scales : nullptr, type, true, n, k};
  }
  bool finished() const { return at_ == items_.size(); }

 private:
  const In<Any>& next() {
    if (at_ >= items_.size()) throw rangeError("weights", "the arrays of all layers", std::to_string(items_.size()));
    return items_[at_++];
  }
  const Model& model_;
  const std::vector<In<Any>>& items_;
  size_t at_ = 0;
};

struct Layer {
  const float* inputNorm;
  Weights qkv;
  const float* qkvBias;
  Weights output;
  const float *outputBias, *postNorm;
  Weights gateUp, down;
};

struct LlamaArrays {
  std::vector<Layer> layers;
  const float* finalNorm;
  Weights head, embedding;

  LlamaArrays(const Model& n, const std::vector<In<Any>>& items) {
    Arrays arrays(n, items);
    for (size_t i = 0; i < n.layers; i++) {  // braces: in order
      layers.push_back(Layer{arrays.vector(n.hidden), arrays.matrix(kQkv, n.qkvRows(), n.hidden),
                             arrays.vector(n.qkvRows(), true), arrays.matrix(kOutput, n.hidden, n.queryHeads * n.dim),
                             arrays.vector(n.hidden, true), arrays.vector(n.hidden),
                             arrays.matrix(kGateUp, 2 * n.intermediate, n.hidden),
                             arrays.matrix(kDown, n.hidden, n.intermediate)});
    }
    finalNorm = arrays.vector(n.hidden);
    head = arrays.matrix(kHead, n.vocab, n.hidden);
    embedding = arrays.matrix(kEmbedding, n.vocab, n.hidden);
    if (!arrays.finished())
      throw rangeError("weights", "the arrays of all layers and no more", std::to_string(items.size()));
  }
};

/// One pass: scratch for all rows, and the steps of a layer.
class Pass {
 public:
  Pass(Run& run, const Model& model, const CacheRows& rows, const PageShape& pages, size_t m, size_t threads)
      : run_(run),
        n_(model),
        rows_(rows),
        pages_(pages),
        m_(m),
        threads_(threads),
        memory_(m * (2 * n_.hidden + n_.qkvRows() + n_.queryHeads * n_.dim + 3 * n_.intermediate + n_.dim) *
                sizeof(float)) {
    float* at = memory_.as<float>();
    const auto take = [&](size_t perRow) {
      float* mine = at;
      at += m * perRow;
      return mine;
    };
    x = take(n_.hidden);
    y = take(n_.hidden);
    qkv = take(n_.qkvRows());
    attended = take(n_.queryHeads * n_.dim);
    gateUp = take(2 * n_.intermediate);
    gated = take(n_.intermediate);
    turns = take(n_.dim);
  }

  void prepareTurns(In<int32_t> positions, const double* inverseFrequencies) const {
    each(m_, n_.dim * 16,
         [&](size_t r) { angles(double(positions.data[r]), inverseFrequencies, n_.dim / 2, turns + r * n_.dim); });
  }

  void norm(const float* from, const float* w, float* to, size_t rows) const {
    each(rows, n_.hidden,
         [&](size_t r) { kernels().rms_norm(from + r * n_.hidden, w, to + r * n_.hidden, n_.hidden, float(n_.eps)); });
  }

  void product(Matrix which, const float* a, size_t m, const Weights& w, const float* bias, const float* residual,
               float* to) const {
    const GemmPath path = m < n_.m1[which] ? GemmPath::gemv : m < n_.m2[which] ? GemmPath::flat : GemmPath::blocked;
    run_.useThreads(threadsFor(w.n, w.k, m, threads_));
    multiply(run_, {a, m, w.k, w, bias, residual, to, Activation::none, path, true});
  }

  void rotateHeads() const {
    each(m_, n_.qkvRows(), [&](size_t r) {
      const float* turn = turns + r * n_.dim;
      for (size_t h = 0; h < n_.queryHeads + n_.kvHeads; h++) {
        float* head = qkv + r * n_.qkvRows() + h * n_.dim;
        kernels().rotate(head, turn, turn + n_.dim / 2, head, n_.dim, false);
      }
    });
  }

  size_t attention(size_t layer, SoftmaxForm softmax, double phi, float* tops) const {
    const size_t stride = n_.qkvRows(), group = n_.queryHeads / n_.kvHeads;
    const float *k = qkv + n_.queryHeads * n_.dim, *v = k + n_.kvHeads * n_.dim;
    run_.useThreads(std::min(threads_, 1 + m_ * n_.kvHeads * n_.dim / 4096));
    rows_.append(run_, pages_, layer, k, v, stride);
    size_t keys = 0;
    for (const CacheRows::Run& each : rows_.runs) keys += each.count * (size_t(each.position) + each.count);
    const AttentionForm form{
        n_.dim, group, n_.kvHeads, float(1 / std::sqrt(double(n_.dim))), 0, n_.window, 0, softmax, false, float(phi),
        0,      0,     kChunk};
    run_.useThreads(std::min(threads_, 1 + keys * n_.queryHeads * n_.dim / (size_t(1) << 17)));
    return attend(run_, form,
                  rows_.tasks(pages_, layer, group, qkv, stride, attended, n_.queryHeads * n_.dim, nullptr, tops));
  }

  void gate() const {
    const size_t f = n_.intermediate;
    each(m_, f, [&](size_t r) { kernels().swiglu(gateUp + 2 * r * f, gateUp + (2 * r + 1) * f, gated + r * f, f); });
  }

  float *x, *y, *qkv, *attended, *gateUp, *gated, *turns;

 private:
  /// body(row), on several threads where the rows are worth it.
  template <class Body>
  void each(size_t rows, size_t work, Body body) const {
    run_.useThreads(std::min(threads_, 1 + rows * work / (2 * kPiece)));
    run_.each(rows, 1 + kPiece / (work + 1), [&](size_t begin, size_t end) {
      for (size_t r = begin; r < end; r++) body(r);
    });
  }

  Run& run_;
  const Model& n_;
  const CacheRows& rows_;
  const PageShape& pages_;
  size_t m_, threads_;
  Scratch memory_;
};

/// A copy of an index array, checked: what is used later is what was checked, whatever JavaScript does to it meanwhile.
std::vector<int32_t> checkedIndices(const char* argument, In<int32_t> given, size_t limit) {
  std::vector<int32_t> copy(given.data, given.data + given.length);
  for (size_t i = 0; i < copy.size(); i++)
    if (copy[i] < 0 || size_t(copy[i]) >= limit)
      throw rangeError(argument, "in [0, " + std::to_string(limit) + ")",
                       std::to_string(copy[i]) + " at index " + std::to_string(i));
  return copy;
}

}  // namespace

namespace ops {

double llamaForward(Run& run, Many<In> weights, Many<Out> slabs, In<double> sizes, In<double> inverseFrequencies,
                    In<int32_t> tokens, In<int32_t> sequences, In<int32_t> positions, In<int32_t> pageTable,
                    In<int32_t> logitRows, In<double> phi, Maybe<Out<double>> scoreMaxima, Out<float> logits,
                    CacheType cacheType, SoftmaxForm softmax, size_t threads) {
  const Model n(sizes);
  const LlamaArrays arrays(n, weights.items);
  const size_t m = tokens.length, wanted = logitRows.length;
  const std::vector<int32_t> ids = checkedIndices("tokens", tokens, n.vocab);
  requireMatrix("inverseFrequencies", inverseFrequencies.length, 1, n.dim / 2, n.dim / 2);
  if (sequences.length != m)
    throw rangeError("sequences", std::to_string(m) + " elements long", std::to_string(sequences.length));
  requireMatrix("phi", phi.length, 1, n.layers, n.layers);
  if (scoreMaxima.data) requireMatrix("scoreMaxima", scoreMaxima.length, 1, n.layers, n.layers);
  requireMatrix("logits", logits.length, wanted, n.vocab, n.vocab);
  if (wanted > m) throw rangeError("logitRows", "at most the " + std::to_string(m) + " rows", std::to_string(wanted));
  const std::vector<int32_t> logitsOf = checkedIndices("logitRows", logitRows, m);
  const PageShape pages{n.layers, n.kvHeads, n.dim, cacheType};
  const CacheRows rows(pages, slabs.items, sequences, positions, pageTable, n.maxPages);
  if (m == 0) return 0;

  const Pass pass(run, n, rows, pages, m, threads);
  std::vector<float> tops(scoreMaxima.data ? m * n.queryHeads : 0);
  size_t redone = 0;
  run.expect(n.layers + 1);
  gather(arrays.embedding, ids.data(), m, pass.x);
  pass.prepareTurns(positions, inverseFrequencies.data);
  for (size_t i = 0; i < n.layers && !run.stopped(); i++) {
    const Layer& layer = arrays.layers[i];
    pass.norm(pass.x, layer.inputNorm, pass.y, m);
    pass.product(kQkv, pass.y, m, layer.qkv, layer.qkvBias, nullptr, pass.qkv);
    pass.rotateHeads();
    redone += pass.attention(i, softmax, phi.data[i], tops.empty() ? nullptr : tops.data());
    for (const float top : tops) scoreMaxima.data[i] += top;
    pass.product(kOutput, pass.attended, m, layer.output, layer.outputBias, pass.x, pass.x);
    pass.norm(pass.x, layer.postNorm, pass.y, m);
    pass.product(kGateUp, pass.y, m, layer.gateUp, nullptr, nullptr, pass.gateUp);
    pass.gate();
    pass.product(kDown, pass.gated, m, layer.down, nullptr, pass.x, pass.x);
    run.advance(1);
  }
  if (run.stopped()) return 0;
  for (size_t i = 0; i < wanted; i++)
    std::memmove(pass.y + i * n.hidden, pass.x + size_t(logitsOf[i]) * n.hidden, n.hidden * sizeof(float));
  pass.norm(pass.y, arrays.finalNorm, pass.x, wanted);
  pass.product(kHead, pass.x, wanted, arrays.head, nullptr, nullptr, logits.data);
  run.advance(1);
  return double(redone);
}

}  // namespace ops
}  // namespace softlane
#endif
