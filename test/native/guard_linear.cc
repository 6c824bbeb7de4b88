// The kernels of linear attention between guard pages: both types, sizes around vectors and blocks, rows with a stride.
#include "guarded.h"

#if defined(__unix__) || defined(__APPLE__)

namespace softlane::test {
namespace {

constexpr size_t kTokens[] = {1, 2, 7, 8, 9, 15, 16, 17, 31, 33};
constexpr size_t kDims[] = {1, 3, 4, 8, 15, 16, 17, 20};

struct Sizes {
  const char* isa;
  Dtype type;
  size_t tokens, dim;
};

/// A matrix that is written, all of it set: rows `stride` apart, the last of `columns` elements.
void* matrix(Spans& s, Dtype type, size_t rows, size_t columns, size_t stride) {
  const size_t count = (rows - 1) * stride + columns;
  if (type == Dtype::f64) return s.filled(count, 0.5);
  return s.filled(count, 0.5f);
}

template <class Body>
void with(Spans& spans, const Sizes& n, const char* kernel, Body body) {
  guarded(spans, n.isa, kernel,
          std::string(n.type == Dtype::f64 ? "f64" : "f32") + ", " + std::to_string(n.tokens) + " tokens, dim " +
              std::to_string(n.dim),
          body);
}

void featuresOf(Spans& spans, const Sizes& n) {
  const size_t stride = n.tokens + 3;
  for (LinearKind kind : {LinearKind::identity, LinearKind::relu, LinearKind::elu, LinearKind::taylor})
    for (bool masked : {false, true}) {
      with(spans, n, "linear_load", [&](Spans& s) {
        const void *x = s.in(n.type, n.tokens * n.dim), *factor = masked ? s.in(n.type, n.tokens) : nullptr;
        kernels().linear_load({n.type, kind, x, n.tokens, n.dim, factor, kind == LinearKind::elu, 0.5,
                               matrix(s, n.type, n.dim, n.tokens, stride), stride});
      });
      with(spans, n, "linear_pull", [&](Spans& s) {
        const void *x = s.in(n.type, n.tokens * n.dim), *factor = masked ? s.in(n.type, n.tokens) : nullptr;
        const void* dy = s.in(n.type, (n.dim - 1) * stride + n.tokens);
        kernels().linear_pull({n.type, kind, x, n.tokens, n.dim, factor, kind == LinearKind::elu, 0.5, dy, stride,
                               matrix(s, n.type, n.tokens, n.dim, n.dim)});
      });
    }
  // Order 2: each variable times those from it on.
  std::vector<LinearRun> runs;
  uint32_t count = uint32_t(1 + n.dim);
  for (uint32_t j = 0; j < n.dim; j++) {
    runs.push_back({1 + j, j, count, uint32_t(n.dim) - j, 0.7, 1});
    count += uint32_t(n.dim) - j;
  }
  if ((count - 1) * stride + n.tokens > Guarded::kLargest) return;
  with(spans, n, "linear_expand", [&](Spans& s) {
    kernels().linear_expand(
        {n.type, runs.data(), runs.size(), matrix(s, n.type, count, n.tokens, stride), n.tokens, stride});
  });
  with(spans, n, "linear_contract", [&](Spans& s) {
    const void* phi = s.in(n.type, (count - 1) * stride + n.tokens);
    kernels().linear_contract(
        {n.type, runs.data(), runs.size(), phi, matrix(s, n.type, count, n.tokens, stride), n.tokens, stride});
  });
  with(spans, n, "linear_sums", [&](Spans& s) {
    const void *a = s.in(n.type, (n.dim - 1) * stride + n.tokens), *x = s.in(n.type, n.tokens);
    void* sums = matrix(s, n.type, 1, n.dim, n.dim);
    kernels().linear_sums({n.type, a, n.dim, n.tokens, stride, x, sums});
    kernels().linear_sums({n.type, a, n.dim, n.tokens, stride, nullptr, sums});
  });
}

/// Tiles of n.tokens queries and n.dim keys.
void tilesOf(Spans& spans, const Sizes& n) {
  const size_t stride = n.dim + 5, last = (n.tokens - 1) * stride + n.dim;
  for (LinearKind kind : {LinearKind::identity, LinearKind::taylor, LinearKind::exponential})
    for (size_t diagonal : {size_t(0), size_t(3), n.dim})
      for (bool whole : {false, true})
        with(spans, n, "linear_tile", [&](Spans& s) {
          LinearTile job{};
          job.type = n.type;
          job.kind = kind;
          job.order = 3;
          job.clamp = 5;
          job.most = 148.4131591025766;
          job.scores = s.in(n.type, last);
          job.weights = matrix(s, n.type, n.tokens, n.dim, stride);
          job.stride = stride;
          job.rows = n.tokens;
          job.columns = n.dim;
          job.diagonal = diagonal;
          if (whole) {
            job.factor = s.in(n.type, n.dim);
            job.shift = s.in(n.type, n.tokens);
            job.offsets = s.in(n.type, n.tokens);
            job.sums = matrix(s, n.type, 1, n.tokens, n.tokens);
            job.gradients = matrix(s, n.type, n.tokens, n.dim, stride);
          }
          kernels().linear_tile(job);
        });
  with(spans, n, "linear_most", [&](Spans& s) {
    const void *scores = s.in(n.type, last), *factor = s.in(n.type, n.dim);
    kernels().linear_most(
        {n.type, scores, stride, n.tokens, n.dim, 1, factor, matrix(s, n.type, 1, n.tokens, n.tokens)});
  });
  with(spans, n, "linear_divide", [&](Spans& s) {
    void* y = matrix(s, n.type, n.tokens, n.dim, stride);
    const void *z = s.in(n.type, n.tokens), *g = s.in(n.type, n.tokens * n.dim);
    void *du = matrix(s, n.type, n.tokens, n.dim, n.dim), *dz = matrix(s, n.type, 1, n.tokens, n.tokens);
    kernels().linear_divide({n.type, y, z, 1e-6, n.tokens, n.dim, stride, nullptr, nullptr, nullptr});
    kernels().linear_divide({n.type, y, z, 1e-6, n.tokens, n.dim, stride, g, du, dz});
  });
  with(spans, n, "linear_step", [&](Spans& s) {
    const size_t apart = 2, elements = (n.tokens - 1) * apart + 1;
    const void *q = s.in(n.type, elements), *k = s.in(n.type, elements), *v = s.in(n.type, n.dim);
    void *state = matrix(s, n.type, n.tokens, n.dim, stride), *sums = matrix(s, n.type, 1, n.tokens, n.tokens);
    void* y = matrix(s, n.type, 1, n.dim, n.dim);
    kernels().linear_step({n.type, q, k, n.tokens, apart, v, n.dim, state, stride, sums, y});
    kernels().linear_step({n.type, q, k, n.tokens, apart, v, n.dim, state, stride, nullptr, y});
  });
}

}  // namespace

void guardLinear(Spans& spans, const char* isa) {
  for (Dtype type : {Dtype::f32, Dtype::f64})
    for (size_t tokens : kTokens)
      for (size_t dim : kDims) {
        featuresOf(spans, {isa, type, tokens, dim});
        tilesOf(spans, {isa, type, tokens, dim});
      }
  for (size_t columns : {63, 64, 65, 130}) tilesOf(spans, {isa, Dtype::f32, 3, columns});
}

}  // namespace softlane::test
#endif
