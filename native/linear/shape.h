// What a call of linear attention is about: sizes, features, and blocks of tokens. Operations only.
#pragma once
#include <algorithm>
#include <cmath>
#include <vector>

#include "../cpu.h"
#include "../ops.h"

namespace softlane {

/// How the features of order 2 and above are made of those below, and how many there are in all.
struct FeatureTable {
  std::vector<LinearRun> runs;
  size_t count = 0;  ///< 1 + dim + ...

  FeatureTable() = default;
  /// @param symmetric one feature for each multiset of variables, else one for each sequence
  FeatureTable(size_t dim, size_t order, bool symmetric);
};

/// The number of Taylor features of all orders up to `order`; 2^53 stands for anything larger.
double taylorFeatureCount(size_t dim, size_t order, bool symmetric);

/// The numbers of a call, in the order of lib/kernels/linear-attention-options.ts.
struct LinearShape {
  Dtype type;
  LinearKind kind;
  LinearAlgorithm algorithm;
  size_t batch, heads, length, encoder, dim, valueDim, order;
  double scale, eps;
  size_t chunk;
  bool normalize, symmetric, masksInput;
  double clamp;  ///< exponential: infinity subtracts the largest score of each row instead
  bool causal;   ///< there are keys that a query sees in part
  FeatureTable table;
  size_t features;  ///< rows of the state

  /// Chooses the algorithm and the chunk. @param stateful a state goes in or comes out
  LinearShape(In<double> sizes, LinearKind kind, LinearAlgorithm algorithm, Dtype type, bool stateful);

  bool polynomial() const { return kind == LinearKind::taylor || kind == LinearKind::exponential; }
  /// Rows of a block of features that the scores are products of, and the first of them.
  size_t baseRows() const { return kind == LinearKind::taylor && order == 0 ? 0 : dim; }
  size_t baseFirst() const { return polynomial() ? 1 : 0; }
  /// Rows that a block of features needs.
  size_t blockRows(bool whole) const { return std::max(whole ? features : 0, baseFirst() + dim); }
  /// Elements from one row of a block to the next: no multiple of 4 KiB, so that columns do not meet in a cache set.
  size_t stride() const { return (chunk + 15) / 16 * 16 + 16; }
  double queryScale() const { return polynomial() ? std::sqrt(scale) : scale; }
  double keyScale() const { return polynomial() ? std::sqrt(scale) : 1; }
};

/// Arrays of a call as their elements; null where absent.
template <class S>
struct LinearArrays {
  const S *q, *k, *v, *kEnc, *vEnc, *stateKv, *stateK;
  const S* factor;  ///< [batch][length], or null
};

/// Throws unless the arrays that there are have the lengths of the shape.
void requireLinear(const LinearShape& n, In<Any> q, Maybe<In<Any>> k, Maybe<In<Any>> v, Maybe<In<Any>> kEnc,
                   Maybe<In<Any>> vEnc, Maybe<In<uint8_t>> mask, Maybe<In<Any>> stateKv, Maybe<In<Any>> stateK);
/// Throws unless an array, where there is one, has the type and the length.
template <class A>
void requireReal(const char* name, const A& array, Dtype type, size_t length) {
  if (!array.data) return;
  requireStorage(name, array.element, type);
  if (array.length != length)
    throw rangeError(name, std::to_string(length) + " elements long", std::to_string(array.length));
}

template <class S>
std::vector<S> factorsOf(Maybe<In<uint8_t>> mask) {
  return mask.data ? std::vector<S>(mask.data, mask.data + mask.length) : std::vector<S>();
}

/// A worker's own memory: blocks of features and tiles, and what is done with them. S is float or double.
template <class S>
class LinearBlocks {
 public:
  explicit LinearBlocks(const LinearShape& shape) : n(shape), stride(shape.stride()), panel_(kMatmulScratch) {}

  const LinearShape& n;
  const size_t stride;

  void multiply(const S* a, size_t aRow, size_t aCol, const S* b, size_t bRow, size_t bCol, S* c, size_t cRow, size_t m,
                size_t columns, size_t k, bool add) const {
    kernels().matmul({n.type, a, aRow, aCol, b, bRow, bCol, c, cRow, m, columns, k, 1.0, add}, panel_.as<void>());
  }

  /// Features of `rows` vectors; only those that scores are made of unless `whole`.
  void features(const S* x, size_t rows, const S* factor, double scale, S* phi, bool whole) const {
    if (n.polynomial())
      for (size_t i = 0; i < rows; i++) phi[i] = factor && !n.masksInput ? factor[i] : S(1);
    if (n.baseRows())
      kernels().linear_load(
          {n.type, n.kind, x, rows, n.dim, factor, n.masksInput, scale, phi + n.baseFirst() * stride, stride});
    if (whole && !n.table.runs.empty())
      kernels().linear_expand({n.type, n.table.runs.data(), n.table.runs.size(), phi, rows, stride});
  }

  /// The gradients of features back to the vectors.
  void pull(const S* x, size_t rows, const S* factor, double scale, const S* gradients, S* dx) const {
    if (!n.baseRows()) {
      std::fill(dx, dx + rows * n.dim, S(0));
      return;
    }
    kernels().linear_pull(
        {n.type, n.kind, x, rows, n.dim, factor, n.masksInput, scale, gradients + n.baseFirst() * stride, stride, dx});
  }

  void contract(const S* phi, S* gradients, size_t rows) const {
    if (!n.table.runs.empty())
      kernels().linear_contract({n.type, n.table.runs.data(), n.table.runs.size(), phi, gradients, rows, stride});
  }

  /// Scores of `rows` queries with `columns` keys.
  void scores(const S* queries, size_t rows, const S* keys, size_t columns, S* tile) const {
    const size_t first = n.baseFirst() * stride;
    multiply(queries + first, 1, stride, keys + first, stride, 1, tile, stride, rows, columns, n.baseRows(), false);
  }

  /// kv += phi(keys) values, sums += phi(keys) 1.
  void accumulate(const S* keys, size_t rows, const S* values, size_t valueRow, size_t width, S* kv, S* sums) const {
    multiply(keys, stride, 1, values, valueRow, 1, kv, width, n.features, width, rows, true);
    if (sums) kernels().linear_sums({n.type, keys, n.features, rows, stride, nullptr, sums});
  }

 private:
  Scratch panel_;
};

}  // namespace softlane
