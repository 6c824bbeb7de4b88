// The Gaussian kernel itself, and attention with all of it: O = g(Q, Q) V, block of rows by block of rows.
#ifdef SOFTLANE_OPERATIONS
#include "parts.h"

namespace softlane {
namespace soft {
namespace {

template <class S>
struct Exact {
  Run& run;
  Sizes z;
  const S *q, *v, *gradient;
  S *out, *dq, *dv;

  void operator()() {
    const size_t blocks = blocksOf(z.n);
    const Scratch halves(z.count * z.n * sizeof(S));
    halfNorms(q, z.count * z.n, z.d, z.scale, halves.as<S>());
    run.expect(z.count * blocks);
    run.each(z.count * blocks, 1, [&](size_t begin, size_t end) {
      const Scratch work((2 * kRows * z.n + 2 * kRows + z.n) * sizeof(S)), scratch(kMatmulScratch);
      for (size_t task = begin; task < end; task++) {
        const size_t head = task / blocks, row = task % blocks * kRows;
        block(head, row, std::min(kRows, z.n - row), halves.as<S>() + head * z.n, work.as<S>(), scratch.as<void>());
      }
      run.advance(end - begin);
    });
  }

  void block(size_t head, size_t row, size_t rows, const S* halves, S* work, void* scratch) const {
    S *k = work + kRows, *e = k + kRows * z.n, *rowSums = e + kRows * z.n, *colSums = rowSums + kRows;
    const S *points = q + head * z.n * z.d, *values = v + head * z.n * z.dv, *own = points + row * z.d;
    const size_t at = head * z.n + row;
    gaussianRows(own, z.scale, rows, {points, z.scale, halves}, z.n, z.d, work, k, scratch);
    if (out) return multiply(rowsOf(k, z.n), rowsOf(values, z.dv), out + at * z.dv, rows, z.dv, z.n, scratch);
    // K is symmetric, and both of its arguments are Q: a row gets what its column gets too.
    const S *g = gradient + head * z.n * z.dv, *mine = g + row * z.dv, *kept = values + row * z.dv;
    multiply(rowsOf(mine, z.dv), rowsOf(values, z.dv).turn(), e, rows, z.n, z.dv, scratch);
    multiply(rowsOf(kept, z.dv), rowsOf(g, z.dv).turn(), e, rows, z.n, z.dv, scratch, true);
    std::fill(colSums, colSums + z.n, S(0));
    kernels().soft_gradient({typeOf<S>, e, k, z.n, rows, z.n, rowSums, colSums});
    const double square = z.scale * z.scale;
    multiply(rowsOf(e, z.n), rowsOf(points, z.d), dq + at * z.d, rows, z.d, z.n, scratch, false, square);
    kernels().soft_add_rows(own, rowSums, typeOf<S>, -square, dq + at * z.d, rows, z.d);
    multiply(rowsOf(k, z.n), rowsOf(g, z.dv), dv + at * z.dv, rows, z.dv, z.n, scratch);
  }
};

template <class S>
void kernelOf(Run& run, const S* a, const S* b, S* out, const Sizes& z) {
  const size_t blocks = blocksOf(z.n);
  const Scratch halves(z.count * z.m * sizeof(S));
  halfNorms(b, z.count * z.m, z.d, z.scale, halves.as<S>());
  run.expect(z.count * blocks);
  run.each(z.count * blocks, grainOf(std::min(kRows, z.n) * z.m * z.d), [&](size_t begin, size_t end) {
    const Scratch work(kRows * sizeof(S)), scratch(kMatmulScratch);
    for (size_t task = begin; task < end; task++) {
      const size_t head = task / blocks, row = task % blocks * kRows;
      const Points<S> points{b + head * z.m * z.d, z.scale, halves.as<S>() + head * z.m};
      gaussianRows(a + (head * z.n + row) * z.d, z.scale, std::min(kRows, z.n - row), points, z.m, z.d, work.as<S>(),
                   out + (head * z.n + row) * z.m, scratch.as<void>());
    }
    run.advance(end - begin);
  });
}

template <class S>
const S* read(const In<Any>& x) {
  return static_cast<const S*>(x.data);
}
template <class S>
S* written(const Out<Any>& x) {
  return static_cast<S*>(x.data);
}

}  // namespace
}  // namespace soft

namespace ops {

void gaussianKernel(Run& run, In<Any> a, In<Any> b, Out<Any> out, In<double> sizes, double scale, size_t threads) {
  if (sizes.length != 4) throw rangeError("sizes", "4 numbers", std::to_string(sizes.length));
  const double* x = sizes.data;
  const soft::Sizes z{size_t(x[0]), size_t(x[1]), size_t(x[2]), size_t(x[3]), 0, scale};
  const Dtype type = a.element == Element::float64 ? Dtype::f64 : Dtype::f32;
  soft::requireAll({{"a", a.element, a.length, z.n * z.d},
                    {"b", b.element, b.length, z.m * z.d},
                    {"out", out.element, out.length, z.n * z.m}},
                   type, z.count);
  run.useThreads(threads);
  if (type == Dtype::f64)
    soft::kernelOf(run, soft::read<double>(a), soft::read<double>(b), soft::written<double>(out), z);
  else soft::kernelOf(run, soft::read<float>(a), soft::read<float>(b), soft::written<float>(out), z);
}

void gaussianAttention(Run& run, In<Any> q, In<Any> v, Out<Any> out, In<double> sizes, size_t threads) {
  const soft::Sizes z = soft::sizesOf(sizes);
  const Dtype type = q.element == Element::float64 ? Dtype::f64 : Dtype::f32;
  soft::requireAll({{"q", q.element, q.length, z.n * z.d},
                    {"v", v.element, v.length, z.n * z.dv},
                    {"out", out.element, out.length, z.n * z.dv}},
                   type, z.count);
  run.useThreads(threads);
  const auto go = [&](auto tag) {
    using S = decltype(tag);
    soft::Exact<S>{run, z, soft::read<S>(q), soft::read<S>(v), nullptr, soft::written<S>(out), nullptr, nullptr}();
  };
  if (type == Dtype::f64) go(double{});
  else go(float{});
}

void gaussianAttentionBackward(Run& run, In<Any> q, In<Any> v, In<Any> gradOut, Out<Any> dq, Out<Any> dv,
                               In<double> sizes, size_t threads) {
  const soft::Sizes z = soft::sizesOf(sizes);
  const Dtype type = q.element == Element::float64 ? Dtype::f64 : Dtype::f32;
  soft::requireAll({{"q", q.element, q.length, z.n * z.d},
                    {"v", v.element, v.length, z.n * z.dv},
                    {"gradOut", gradOut.element, gradOut.length, z.n * z.dv},
                    {"dq", dq.element, dq.length, z.n * z.d},
                    {"dv", dv.element, dv.length, z.n * z.dv}},
                   type, z.count);
  run.useThreads(threads);
  const auto go = [&](auto tag) {
    using S = decltype(tag);
    soft::Exact<S>{run,
                   z,
                   soft::read<S>(q),
                   soft::read<S>(v),
                   soft::read<S>(gradOut),
                   nullptr,
                   soft::written<S>(dq),
                   soft::written<S>(dv)}();
  };
  if (type == Dtype::f64) go(double{});
  else go(float{});
}

}  // namespace ops
}  // namespace softlane
#endif
