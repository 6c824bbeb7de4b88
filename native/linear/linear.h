// Linear attention and its family: what operations and per-ISA kernels share. C headers only.
//
// Everything works on blocks of tokens, turned: a block of features is [features][tokens], rows `stride` elements apart.
// Row 0 of Taylor features is 1 and rows 1 to dim are the vector itself; those of the other maps are the features alone.
#pragma once
#include "../types.h"

namespace softlane {

/// How a weight comes from a query and a key: <phi(q), phi(k)> with phi = x, max(x, 0) or elu(x) + 1; the Taylor polynomial
/// of exp, or exp itself, of a scaled inner product.
enum class LinearKind : uint8_t { identity, relu, elu, taylor, exponential };

/// y[j][i] = map(x[i][j]) scale factor[i]; the factor goes inside the map where `masksInput`.
struct LinearLoad {
  Dtype type;
  LinearKind kind;  ///< taylor and exponential: no map
  const void* x;    ///< [rows][dim]
  size_t rows, dim;
  const void* factor;  ///< one number a row, or null
  bool masksInput;
  double scale;
  void* y;
  size_t stride;
};

/// dx[i][j] = dy[j][i] scale factor[i] map'(x[i][j]): the way back of LinearLoad.
struct LinearPull {
  Dtype type;
  LinearKind kind;
  const void* x;  ///< [rows][dim]; not read where there is no map
  size_t rows, dim;
  const void* factor;
  bool masksInput;
  double scale;
  const void* dy;
  size_t stride;
  void* dx;
};

/// Features first .. first + count - 1 are feature `parent` times variables variable .. variable + count - 1 of the vector,
/// times `ratio` (the first of them) or `rest`.
struct LinearRun {
  uint32_t parent, variable, first, count;
  double ratio, rest;
};

/// Features of order 2 and above from those below, for `columns` tokens.
struct LinearExpand {
  Dtype type;
  const LinearRun* runs;
  size_t count;
  void* features;
  size_t columns, stride;
};

/// Adds the gradients of features of order 2 and above to those that they were made of.
struct LinearContract {
  Dtype type;
  const LinearRun* runs;
  size_t count;
  const void* features;
  void* gradients;
  size_t columns, stride;
};

/// Scores [rows][columns] to weights. Row i sees columns j <= i + diagonal; the others become 0.
struct LinearTile {
  Dtype type;
  LinearKind kind;
  size_t order;        ///< of the polynomial
  double clamp, most;  ///< exponential: scores above `clamp` count as this, whose exponential is `most`
  const void* shift;   ///< exponential: subtracted from the scores of a row, or null
  const void* scores;  ///< rows `stride` apart
  void* weights;       ///< likewise; may be the scores
  size_t stride, rows, columns, diagonal;
  const void* factor;  ///< one number a column, or null
  void* sums;          ///< the weights of a row are added to its sum; or null
  /// The way back: gradients of the weights, less `offsets`, become those of the scores. Null on the way forward.
  void* gradients;
  const void* offsets;  ///< added to the gradients of a row; or null
};

/// sums[f] += sum_i a[f][i] x[i] (x null: of a[f][i]).
struct LinearSums {
  Dtype type;
  const void* a;
  size_t rows, columns, stride;
  const void* x;
  void* sums;
};

/// Rows of y, each divided by its denominator plus eps; a denominator of 0 gives a row of 0. With gradients g, y stays
/// and du = g / (denominator + eps), dz = -<g, y> / (denominator + eps).
struct LinearDivide {
  Dtype type;
  void* y;
  const void* denominators;
  double eps;
  size_t rows, columns, stride;
  const void* g;
  void *du, *dz;
};

/// One token: state[f] += key[f] value, sums[f] += key[f], y = sum_f query[f] state[f]; returns sum_f query[f] sums[f].
struct LinearStep {
  Dtype type;
  const void *query, *key;
  size_t features, stride;  ///< of query and key, from one feature to the next
  const void* value;
  size_t columns;
  void* state;
  size_t row;  ///< elements from one row of the state to the next
  void* sums;  ///< or null
  void* y;
};

/// The largest score of each row among those it sees, and what stands in `most`.
struct LinearMost {
  Dtype type;
  const void* scores;
  size_t stride, rows, columns, diagonal;
  const void* factor;  ///< columns of factor 0 are not seen
  void* most;
};

}  // namespace softlane
