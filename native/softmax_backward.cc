// Gradients of softmax, log-softmax and log-sum-exp with respect to their input, from their output.
//
//   p = softmax(x / T):        dx_i = p_i (dp_i - sum_k p_k dp_k) / T
//   l = log softmax(x / T):    dx_i = (dl_i - e^l_i sum_k dl_k) / T
//   s = log sum exp(x / T):    dx_i = p_i ds / T        (softmax scaled by ds / T: see the operation)
#include "dispatch.h"
#include "span.h"

namespace softlane::ISA {

/// In float64 throughout: the sum of logits stands beside a log-sum-exp, and offsets of 1e5 must cancel.
void sum(const void* x, Dtype in, size_t n, double* sums) {
  withStorage(in, [&](auto from) {
    eachBlock(n, [&](size_t start, size_t length, size_t b) {
      using V = F64;
      const decltype(from)* p = static_cast<const decltype(from)*>(x) + start;
      sums[b] = reduceAdd(sumSpan<V>(
          length, [&](size_t i) { return V::load(p + i); },
          [&](size_t i, size_t rest) { return V::load(p + i, rest, 0); }));
    });
  });
}

/// float32 or float64, as the two gradients below.
template <class Body>
SOFTLANE_INLINE void withFloat(Dtype in, Body body) {
  if (in == Dtype::f64) body(double{});
  else body(float{});
}

void dot(const void* a, const void* b, Dtype in, size_t n, double* sums) {
  withFloat(in, [&](auto from) {
    using T = decltype(from);
    using V = Compute<T>;
    eachBlock(n, [&](size_t start, size_t length, size_t block) {
      const T *p = static_cast<const T*>(a) + start, *q = static_cast<const T*>(b) + start;
      sums[block] = reduceAdd(sumSpan<V>(
          length, [&](size_t i) { return V::load(p + i) * V::load(q + i); },
          [&](size_t i, size_t rest) { return V::load(p + i, rest, 0) * V::load(q + i, rest, 0); }));
    });
  });
}

void softmax_grad(const void* p, const void* dp, void* dx, Dtype in, size_t n, double dot, double inverse) {
  withFloat(in, [&](auto from) {
    using T = decltype(from);
    using V = Compute<T>;
    const V d = V::set(T(dot)), scale = V::set(T(inverse));
    mapSpan2<V>(static_cast<const T*>(p), static_cast<const T*>(dp), static_cast<T*>(dx), n,
                [&](V a, V b) { return a * (b - d) * scale; });
  });
}

void log_softmax_grad(const void* logp, const void* dl, void* dx, Dtype in, size_t n, double sum, double inverse) {
  withFloat(in, [&](auto from) {
    using T = decltype(from);
    using V = Compute<T>;
    const Exponential<V, sizeof(T) == 8 ? Dtype::f64 : Dtype::f32> e;
    const V s = V::set(T(sum)), scale = V::set(T(inverse));
    mapSpan2<V>(static_cast<const T*>(logp), static_cast<const T*>(dl), static_cast<T*>(dx), n,
                [&](V l, V d) { return (d - e.template expNonPositive<true>(l) * s) * scale; });
  });
}

}  // namespace softlane::ISA

#ifdef SOFTLANE_OPERATIONS
#include "rows.h"

#include <algorithm>

namespace softlane {
namespace {

/// Both gradients: a sum over the row, then a map over it.
template <class Sum, class Map>
void backward(Run& run, const char* name, In<Any> p, In<Any> d, InPlace<Any> out, size_t rows, size_t cols,
              double temperature, size_t threads, Sum sum, Map map) {
  const Dtype dtype = p.element == Element::float64 ? Dtype::f64 : Dtype::f32;
  requireStorage(name, p.element, dtype);
  requireStorage("upstream", d.element, dtype);
  requireStorage("out", out.element, dtype);
  requireMatrix(name, p.length, rows, cols, cols);
  requireMatrix("upstream", d.length, rows, cols, cols);
  requireMatrix("out", out.length, rows, cols, cols);
  requireTemperature(temperature);
  eachRow(run, rows, cols, threads, 2, [&](Run& inner, size_t r) {
    PerBlock<double> sums(cols);
    const auto eachPiece = [&](auto body) {
      inner.each(blocksOf(cols), kPiece / kBlock, [&](size_t begin, size_t end) {
        const size_t start = r * cols + begin * kBlock, n = std::min(end * kBlock, cols) - begin * kBlock;
        inner.advance(n);
        body(at(p.data, dtype, start), at(d.data, dtype, start), at(out.data, dtype, start), n, begin);
      });
    };
    eachPiece([&](const void* a, const void* b, void*, size_t n, size_t block) { sum(a, b, dtype, n, &sums[block]); });
    double total = 0;
    for (size_t b = 0; b < blocksOf(cols); b++) total += sums[b];
    eachPiece([&](const void* a, const void* b, void* y, size_t n, size_t) { map(a, b, y, dtype, n, total); });
  });
}

}  // namespace

namespace ops {

void softmaxBackward(Run& run, In<Any> p, In<Any> dp, InPlace<Any> out, size_t rows, size_t cols, double temperature,
                     size_t threads) {
  backward(
      run, "p", p, dp, out, rows, cols, temperature, threads,
      [](const void* a, const void* b, Dtype dtype, size_t n, double* sums) { kernels().dot(a, b, dtype, n, sums); },
      [&](const void* a, const void* b, void* y, Dtype dtype, size_t n, double total) {
        kernels().softmax_grad(a, b, y, dtype, n, total, 1 / temperature);
      });
}

void logSoftmaxBackward(Run& run, In<Any> logp, In<Any> dl, InPlace<Any> out, size_t rows, size_t cols,
                        double temperature, size_t threads) {
  backward(
      run, "logp", logp, dl, out, rows, cols, temperature, threads,
      [](const void*, const void* b, Dtype dtype, size_t n, double* sums) { kernels().sum(b, dtype, n, sums); },
      [&](const void* a, const void* b, void* y, Dtype dtype, size_t n, double total) {
        kernels().log_softmax_grad(a, b, y, dtype, n, total, 1 / temperature);
      });
}

void logSumExpBackward(Run& run, In<Any> x, In<double> d, InPlace<Any> out, size_t rows, size_t cols, size_t rowStride,
                       Dtype dtype, double temperature, Algorithm algorithm, size_t threads) {
  const Dtype compute = computeOf(dtype);
  requireStorage("x", x.element, dtype);
  requireStorage("out", out.element, compute);
  requireMatrix("x", x.length, rows, cols, rowStride);
  requireMatrix("d", d.length, rows, 1, 1);
  requireMatrix("out", out.length, rows, cols, cols);
  requireTemperature(temperature);
  if (out.data == x.data && rowStride != cols)
    throw rangeError("out", "apart from x when the rows of x are not dense", "x itself");
  const ExpForm form = formOf(temperature, compute);
  algorithm = chosen(algorithm, cols, dtype, dtype, true);
  eachRow(run, rows, cols, threads, 1 + readsOf(algorithm), [&](Run& inner, size_t r) {
    const Row row{at(x.data, dtype, r * rowStride), dtype, cols};
    const Normaliser sum = normalise(inner, row, algorithm, form);
    if (inner.stopped()) return;
    void* y = at(out.data, compute, r * cols);
    if (sum.isNan() || sum.isEmpty()) fillRow(y, compute, cols, sum.isNan() ? kNan : 0);
    else writeProbabilities(inner, row, sum, y, compute, form, {d.data[r] / temperature, 0, false});
  });
}

}  // namespace ops
}  // namespace softlane
#endif
