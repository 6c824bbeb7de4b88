// What a layer of softmax-free attention does beside attention: its heads and windows apart, norm and GELU of its landmarks,
// the convolution of its values.
#ifdef SOFTLANE_OPERATIONS
#include <atomic>
#include <cmath>
#include <cstring>

#include "parts.h"

namespace softlane {
namespace soft {
namespace {

constexpr double kRootHalf = 0.70710678118654752440, kRootTwoPi = 2.50662827463100050242;

/// GELU of a layer norm of rows, in float64 whatever the type, and its gradient.
template <class S>
void normGelu(const S* x, const S* weight, const S* bias, S* out, const S* gradient, S* dx, size_t rows, size_t d,
              double eps) {
  const Scratch work(4 * d * sizeof(double));
  double *dWeight = work.as<double>(), *dBias = dWeight + d, *normal = dBias + d, *slope = normal + d;
  std::fill(dWeight, dWeight + 2 * d, 0);
  for (size_t i = 0; i < rows; i++, x += d) {
    double mean = 0, square = 0;
    for (size_t j = 0; j < d; j++) mean += x[j];
    mean /= double(d);
    for (size_t j = 0; j < d; j++) square += (x[j] - mean) * (x[j] - mean);
    const double inverse = 1 / std::sqrt(square / double(d) + eps);
    double sum = 0, along = 0;
    for (size_t j = 0; j < d; j++) {
      normal[j] = (x[j] - mean) * inverse;
      const double z = normal[j] * weight[j] + bias[j], half = 0.5 * (1 + std::erf(z * kRootHalf));
      if (!gradient) {
        out[i * d + j] = S(z * half);
        continue;
      }
      const double dz = gradient[i * d + j] * (half + z * std::exp(-0.5 * z * z) / kRootTwoPi);
      dWeight[j] += dz * normal[j];
      dBias[j] += dz;
      slope[j] = dz * weight[j];
      sum += slope[j];
      along += slope[j] * normal[j];
    }
    if (!gradient) continue;
    for (size_t j = 0; j < d; j++)
      dx[i * d + j] = S(inverse * (slope[j] - sum / double(d) - normal[j] * along / double(d)));
  }
  if (gradient)
    for (size_t j = 0; j < 2 * d; j++) out[j] = S(dWeight[j]);
}

/// A convolution of each head's values with one kernel for all of its channels. Values are [images, heads, height, width, d].
struct Convolution {
  size_t images, heads, height, width, d, size;
  static Convolution of(const In<double>& sizes) {
    if (sizes.length != 6) throw rangeError("sizes", "6 numbers", std::to_string(sizes.length));
    const double* x = sizes.data;
    return {size_t(x[0]), size_t(x[1]), size_t(x[2]), size_t(x[3]), size_t(x[4]), size_t(x[5])};
  }
  size_t plane() const { return height * width * d; }

  /// body(first element of a row of the result, of the row of values under it, elements) for row y and a place of the kernel.
  template <class Body>
  void overlap(size_t y, size_t ky, size_t kx, Body body) const {
    const size_t pad = size / 2;
    if (y + ky < pad || y + ky - pad >= height) return;
    const size_t from = kx < pad ? pad - kx : 0, shift = kx > pad ? kx - pad : 0;
    if (width <= from + shift) return;
    body((y * width + from) * d, ((y + ky - pad) * width + shift) * d, (width - from - shift) * d);
  }
};

template <class S>
void convolve(Run& run, const Convolution& c, const S* x, const S* kernel, S* out, bool transposed) {
  const size_t rows = c.images * c.heads * c.height, taps = c.size * c.size;
  run.expect(rows);
  run.each(rows, grainOf(taps * c.width * c.d), [&](size_t begin, size_t end) {
    for (size_t row = begin; row < end; row++) {
      const size_t plane = row / c.height, head = plane % c.heads;
      const S* weights = kernel + head * taps;
      for (size_t tap = 0; tap < taps; tap++)
        c.overlap(row % c.height, tap / c.size, tap % c.size, [&](size_t to, size_t from, size_t n) {
          kernels().soft_add_rows(x + plane * c.plane() + from, nullptr, typeOf<S>,
                                  weights[transposed ? taps - 1 - tap : tap], out + plane * c.plane() + to, 1, n);
        });
    }
    run.advance(end - begin);
  });
}

template <class S>
void convolveWeights(Run& run, const Convolution& c, const S* x, const S* gradient, double* out) {
  const size_t taps = c.size * c.size;
  run.expect(c.heads * taps);
  run.each(c.heads * taps, 1, [&](size_t begin, size_t end) {
    const Scratch sums(softlane::blocksOf(c.width * c.d) * sizeof(double));
    for (size_t task = begin; task < end; task++) {
      const size_t head = task / taps, tap = task % taps;
      double total = 0;
      for (size_t image = 0; image < c.images; image++) {
        const size_t plane = (image * c.heads + head) * c.plane();
        for (size_t y = 0; y < c.height; y++)
          c.overlap(y, tap / c.size, tap % c.size, [&](size_t to, size_t from, size_t n) {
            kernels().dot(gradient + plane + to, x + plane + from, typeOf<S>, n, sums.as<double>());
            for (size_t b = 0; b < softlane::blocksOf(n); b++) total += sums.as<double>()[b];
          });
      }
      out[task] = total;
    }
    run.advance(end - begin);
  });
}

}  // namespace
}  // namespace soft

namespace ops {

void swapAxes(Run& run, In<Any> x, Out<Any> out, size_t outer, size_t first, size_t second, size_t inner,
              size_t threads) {
  const size_t bytes = x.element == Element::float64 ? 8 : 4, span = inner * bytes;
  soft::requireAll(
      {{"x", x.element, x.length, first * second * inner}, {"out", out.element, out.length, first * second * inner}},
      bytes == 8 ? Dtype::f64 : Dtype::f32, outer);
  run.useThreads(threads);
  run.expect(outer * second);
  run.each(outer * second, soft::grainOf(8 * first * inner), [&](size_t begin, size_t end) {
    for (size_t task = begin; task < end; task++) {
      const size_t o = task / second, j = task % second;
      char* to = static_cast<char*>(out.data) + task * first * span;
      const char* from = static_cast<const char*>(x.data) + (o * first * second + j) * span;
      for (size_t i = 0; i < first; i++, to += span, from += second * span) std::memcpy(to, from, span);
    }
    run.advance(end - begin);
  });
}

void normGelu(Run& run, In<Any> x, In<Any> weight, In<Any> bias, Out<Any> out, Maybe<In<Any>> gradient,
              Maybe<Out<Any>> dx, size_t rows, double eps) {
  (void)run;
  const size_t d = weight.length;
  const Dtype type = x.element == Element::float64 ? Dtype::f64 : Dtype::f32;
  const bool back = gradient.data != nullptr;
  soft::requireAll({{"x", x.element, x.length, rows * d},
                    {"weight", weight.element, d, d},
                    {"bias", bias.element, bias.length, d},
                    {"out", out.element, out.length, back ? 2 * d : rows * d}},
                   type, 1);
  if (back)
    soft::requireAll(
        {{"gradient", gradient.element, gradient.length, rows * d}, {"dx", dx.element, dx.length, rows * d}}, type, 1);
  const auto go = [&](auto tag) {
    using S = decltype(tag);
    const auto in = [](const In<Any>& a) { return static_cast<const S*>(a.data); };
    soft::normGelu(in(x), in(weight), in(bias), static_cast<S*>(out.data), in(gradient), static_cast<S*>(dx.data), rows,
                   d, eps);
  };
  if (type == Dtype::f64) go(double{});
  else go(float{});
}

double allFinite(Run& run, In<Any> x, size_t threads) {
  const Dtype type = x.element == Element::float64 ? Dtype::f64 : Dtype::f32;
  requireStorage("x", x.element, type);
  const size_t blocks = softlane::blocksOf(x.length);
  std::atomic<size_t> found{x.length};
  run.useThreads(threads);
  run.each(blocks, 16, [&](size_t begin, size_t end) {
    for (size_t b = begin; b < end; b++) {
      const size_t from = b * kBlock, n = std::min(kBlock, x.length - from);
      const char* p = static_cast<const char*>(x.data) + from * sizeOf(type);
      double sum;
      kernels().sum(p, type, n, &sum);
      if (std::isfinite(sum)) continue;  // else it may only be a sum too large
      for (size_t i = 0; i < n; i++) {
        const double value =
            type == Dtype::f64 ? reinterpret_cast<const double*>(p)[i] : reinterpret_cast<const float*>(p)[i];
        if (std::isfinite(value)) continue;
        for (size_t seen = found; from + i < seen && !found.compare_exchange_weak(seen, from + i);) {}
        break;
      }
    }
  });
  return found == x.length ? -1 : double(found);
}

void headConvolution(Run& run, In<Any> x, In<Any> kernel, Out<Any> out, In<double> sizes, bool transposed,
                     size_t threads) {
  const soft::Convolution c = soft::Convolution::of(sizes);
  const Dtype type = x.element == Element::float64 ? Dtype::f64 : Dtype::f32;
  soft::requireAll({{"x", x.element, x.length, c.images * c.heads * c.plane()},
                    {"kernel", kernel.element, kernel.length, c.heads * c.size * c.size},
                    {"out", out.element, out.length, c.images * c.heads * c.plane()}},
                   type, 1);
  run.useThreads(threads);
  const auto go = [&](auto tag) {
    using S = decltype(tag);
    soft::convolve(run, c, static_cast<const S*>(x.data), static_cast<const S*>(kernel.data), static_cast<S*>(out.data),
                   transposed);
  };
  if (type == Dtype::f64) go(double{});
  else go(float{});
}

void headConvolutionWeights(Run& run, In<Any> x, In<Any> gradient, Out<double> out, In<double> sizes, size_t threads) {
  const soft::Convolution c = soft::Convolution::of(sizes);
  const Dtype type = x.element == Element::float64 ? Dtype::f64 : Dtype::f32;
  soft::requireAll({{"x", x.element, x.length, c.images * c.heads * c.plane()},
                    {"gradient", gradient.element, gradient.length, c.images * c.heads * c.plane()}},
                   type, 1);
  const size_t weights = c.heads * c.size * c.size;
  requireMatrix("out", out.length, 1, weights, weights);
  run.useThreads(threads);
  const auto go = [&](auto tag) {
    using S = decltype(tag);
    soft::convolveWeights(run, c, static_cast<const S*>(x.data), static_cast<const S*>(gradient.data), out.data);
  };
  if (type == Dtype::f64) go(double{});
  else go(float{});
}

}  // namespace ops
}  // namespace softlane
#endif
