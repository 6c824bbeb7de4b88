// Softmax attention for training: blocks of queries against all keys that they see, scores in the cache, probabilities
// formed again in the backward pass from two numbers a row: the largest score, and what makes exponentials a softmax.
//
//   S = scale Q K^T, P = softmax(S), O = P V
//   D_i = sum_d dO_id O_id,  dS = P (dO V^T - D),  dV = P^T dO,  dQ = scale dS K,  dK = scale dS^T Q
//
// Query i sees keys 0 to i + keys - queries where causal: the last query sees them all.
#ifdef SOFTLANE_OPERATIONS
#include "operations.h"

namespace softlane::ops {
using namespace softlane::tensor;
namespace {

/// Queries of a block: few enough that a causal block computes few scores in vain.
constexpr size_t kQueries = 32;

/// An array with axes [batch, heads, length, dim], dim dense.
struct View {
  size_t start, batch, head, row;
};

struct Shape {
  size_t batch, heads, queries, keys, dim, valueDim;
  View q, k, v, out;
  double scale;
  bool causal;
  Dtype type;

  Shape(In<double> sizes, double scaleOf, bool causalOf, Dtype typeOf)
      : scale(scaleOf), causal(causalOf), type(typeOf) {
    if (sizes.length != 22) throw rangeError("sizes", "22 numbers", std::to_string(sizes.length));
    size_t n[22];
    for (size_t i = 0; i < 22; i++) n[i] = size_t(sizes.data[i]);
    batch = n[0], heads = n[1], queries = n[2], keys = n[3], dim = n[4], valueDim = n[5];
    View* views[] = {&q, &k, &v, &out};
    for (size_t i = 0; i < 4; i++) *views[i] = {n[6 + 4 * i], n[7 + 4 * i], n[8 + 4 * i], n[9 + 4 * i]};
  }

  void check(const char* name, size_t length, const View& view, size_t rows, size_t width) const {
    if (batch * heads * rows * width == 0) return;
    if (view.start + (batch - 1) * view.batch + (heads - 1) * view.head + (rows - 1) * view.row + width > length)
      throw rangeError(name, "as large as its axes say", std::to_string(length) + " elements");
  }
  size_t offset(const View& view, size_t item) const {
    return view.start + item / heads * view.batch + item % heads * view.head;
  }
  /// Keys that the queries up to `end` see.
  size_t seen(size_t end) const {
    return !causal ? keys : keys + end > queries ? std::min(keys, keys + end - queries) : 0;
  }
  size_t total() const { return batch * heads * queries; }
  /// Scores of a block.
  size_t block() const { return std::min(kQueries, queries) * keys; }

  MatmulJob product(const void* a, size_t aRow, size_t aCol, const void* b, size_t bRow, size_t bCol, void* c,
                    size_t cRow, size_t m, size_t n, size_t k, bool add, double alpha = 1) const {
    return {type, a, aRow, aCol, b, bRow, bCol, c, cRow, m, n, k, alpha, add};
  }
};

/// Runs the rows of a block through body(first row, rows, limit of the first, growing): those before the first key apart.
template <class Body>
void causalRows(const Shape& s, size_t first, size_t rows, Body body) {
  if (!s.causal) return body(0, rows, s.keys, false);
  const size_t blind = s.queries > s.keys ? s.queries - s.keys : 0,
               empty = first < blind ? std::min(rows, blind - first) : 0;
  if (empty) body(size_t(0), empty, size_t(0), false);
  if (empty < rows) body(empty, rows - empty, s.keys + first + empty + 1 - s.queries, true);
}

}  // namespace

void tensorAttention(Run& run, In<Any> q, In<Any> k, In<Any> v, Out<Any> out, Out<Any> stats, In<double> sizes,
                     double scale, bool causal, size_t threads) {
  const Shape s(sizes, scale, causal, typeOf("q", q));
  const Dtype type = s.type;
  for (auto each : {k, v}) requireStorage("k and v", each.element, type);
  requireStorage("out", out.element, type);
  s.check("q", q.length, s.q, s.queries, s.dim);
  s.check("k", k.length, s.k, s.keys, s.dim);
  s.check("v", v.length, s.v, s.keys, s.valueDim);
  s.check("out", out.length, s.out, s.queries, s.valueDim);
  require("stats", stats, type, 2 * s.total());
  const size_t blocks = (s.queries + kQueries - 1) / kQueries;
  share(run, s.batch * s.heads * blocks, s.block() * 8, threads, [&](size_t begin, size_t end) {
    const Scratch scratch(kMatmulScratch + s.block() * sizeOf(type));
    char* scores = scratch.as<char>() + kMatmulScratch;
    for (size_t task = begin; task < end; task++) {
      const size_t item = task / blocks, first = task % blocks * kQueries, rows = std::min(kQueries, s.queries - first);
      const size_t keys = s.seen(first + rows);
      const void* query = at(q.data, type, s.offset(s.q, item) + first * s.q.row);
      void* to = at(out.data, type, s.offset(s.out, item) + first * s.out.row);
      kernels().matmul(s.product(query, s.q.row, 1, at(k.data, type, s.offset(s.k, item)), 1, s.k.row, scores, keys,
                                 rows, keys, s.dim, false, s.scale),
                       scratch.as<void>());
      causalRows(s, first, rows, [&](size_t row, size_t count, size_t limit, bool growing) {
        SoftmaxJob job{};
        job.type = type;
        job.x = job.y = at(scores, type, row * keys);
        job.rows = count;
        job.cols = job.stride = keys;
        job.limit = limit;
        job.growing = growing;
        job.tops = at(stats.data, type, item * s.queries + first + row);
        job.factors = at(stats.data, type, s.total() + item * s.queries + first + row);
        kernels().tensor_softmax(job);
      });
      kernels().matmul(s.product(scores, keys, 1, at(v.data, type, s.offset(s.v, item)), s.v.row, 1, to, s.out.row,
                                 rows, s.valueDim, keys, false),
                       scratch.as<void>());
      kernels().tensor_binary({type, TensorBinary::mul, to, at(stats.data, type, s.total() + item * s.queries + first),
                               1, 0, to, s.valueDim, rows, s.out.row, 1, s.out.row});
    }
  });
}

void tensorAttentionGrad(Run& run, In<Any> q, In<Any> k, In<Any> v, In<Any> out, In<Any> stats, In<Any> g, Out<Any> dq,
                         Maybe<Out<Any>> dk, Maybe<Out<Any>> dv, In<double> sizes, double scale, bool causal,
                         size_t threads) {
  const Shape s(sizes, scale, causal, typeOf("q", q));
  const Dtype type = s.type;
  for (auto each : {k, v, out, g}) requireStorage("k, v, out and g", each.element, type);
  requireStorage("dq", dq.element, type);
  if (dk.data) requireStorage("dk", dk.element, type);
  if (dv.data) requireStorage("dv", dv.element, type);
  // Without arrays of their own the gradients of k and v lie in that of q, at their places.
  void *const toQ = dq.data, *const toK = dk.data ? dk.data : dq.data, *const toV = dv.data ? dv.data : dq.data;
  s.check("q", q.length, s.q, s.queries, s.dim);
  s.check("k", k.length, s.k, s.keys, s.dim);
  s.check("v", v.length, s.v, s.keys, s.valueDim);
  s.check("out", out.length, s.out, s.queries, s.valueDim);
  s.check("g", g.length, s.out, s.queries, s.valueDim);
  s.check("dq", dq.length, s.q, s.queries, s.dim);
  s.check("dk", dk.data ? dk.length : dq.length, s.k, s.keys, s.dim);
  s.check("dv", dv.data ? dv.length : dq.length, s.v, s.keys, s.valueDim);
  require("stats", stats, type, 2 * s.total());
  share(run, s.batch * s.heads, s.queries * s.keys * 8, threads, [&](size_t begin, size_t end) {
    const Scratch scratch(kMatmulScratch + 2 * s.block() * sizeOf(type));
    void* spare = scratch.as<void>();
    char* scores = scratch.as<char>() + kMatmulScratch;
    void* slopes = at(scores, type, s.block());
    for (size_t item = begin; item < end; item++) {
      const void *key = at(k.data, type, s.offset(s.k, item)), *value = at(v.data, type, s.offset(s.v, item));
      void *intoK = at(toK, type, s.offset(s.k, item)), *intoV = at(toV, type, s.offset(s.v, item));
      const auto clear = [&](void* to, const View& view, size_t from, size_t rows, size_t width) {
        for (size_t r = from; r < rows; r++) std::memset(at(to, type, r * view.row), 0, width * sizeOf(type));
      };
      // The last block sees all keys: it goes first and sets what the others add to.
      bool add = false;
      for (size_t left = (s.queries + kQueries - 1) / kQueries; left-- > 0; add = true) {
        const size_t first = left * kQueries, rows = std::min(kQueries, s.queries - first), keys = s.seen(first + rows);
        const void* query = at(q.data, type, s.offset(s.q, item) + first * s.q.row);
        const size_t here = s.offset(s.out, item) + first * s.out.row;
        const void* slope = at(g.data, type, here);
        kernels().matmul(s.product(query, s.q.row, 1, key, 1, s.k.row, scores, keys, rows, keys, s.dim, false, s.scale),
                         spare);
        kernels().matmul(s.product(slope, s.out.row, 1, value, 1, s.v.row, slopes, keys, rows, keys, s.valueDim, false),
                         spare);
        causalRows(s, first, rows, [&](size_t row, size_t count, size_t limit, bool growing) {
          const size_t query0 = item * s.queries + first + row, line = here + row * s.out.row;
          kernels().tensor_scores({type, at(scores, type, row * keys), at(slopes, type, row * keys), count, keys, keys,
                                   limit, growing, at(stats.data, type, query0),
                                   at(stats.data, type, s.total() + query0), at(g.data, type, line),
                                   at(out.data, type, line), s.valueDim, s.out.row});
        });
        kernels().matmul(s.product(scores, 1, keys, slope, s.out.row, 1, intoV, s.v.row, keys, s.valueDim, rows, add),
                         spare);
        kernels().matmul(s.product(slopes, 1, keys, query, s.q.row, 1, intoK, s.k.row, keys, s.dim, rows, add, s.scale),
                         spare);
        kernels().matmul(
            s.product(slopes, keys, 1, key, s.k.row, 1, at(toQ, type, s.offset(s.q, item) + first * s.q.row), s.q.row,
                      rows, s.dim, keys, false, s.scale),
            spare);
        if (!add) {
          clear(intoK, s.k, keys, s.keys, s.dim);
          clear(intoV, s.v, keys, s.keys, s.valueDim);
        }
      }
      if (s.queries == 0) {
        clear(intoK, s.k, 0, s.keys, s.dim);
        clear(intoV, s.v, 0, s.keys, s.valueDim);
      }
    }
  });
}

}  // namespace softlane::ops
#endif
