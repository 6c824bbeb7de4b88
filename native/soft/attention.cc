// Softmax-free attention: O = K1 (Y (K1^T V)), K1 = g(Q, T) of n tokens against m landmarks, Y the pseudo-inverse of g(T, T).
// Three passes: blocks of rows give K1 and its share of K1^T V, beside them each head's inverse; each head's m x dv product;
// blocks of rows of O. Shares are added in the order of blocks, so bits do not depend on threads.
#ifdef SOFTLANE_OPERATIONS
#include "parts.h"

namespace softlane {
namespace soft {
namespace {

template <class S>
struct Forward {
  Run& run;
  Sizes z;
  NewtonSettings settings;
  bool normalize;
  const S *q, *landmarks, *v;
  S* out;
  double* inverse;
  double* report;

  void operator()() {
    const size_t group = z.group<S>(), blocks = blocksOf(z.n), share = z.m * z.dv;
    const Scratch kept(z.keeps() ? group * z.n * z.m * sizeof(S) : 0), shares(group * blocks * share * sizeof(S));
    const Scratch halves(group * z.m * sizeof(S)), products(group * share * sizeof(S));
    const size_t grain = grainOf(std::min(kRows, z.n) * z.m * (z.d + z.dv));
    run.expect(z.count * (2 * blocks + 2));
    for (size_t first = 0; first < z.count; first += group) {
      const size_t heads = std::min(group, z.count - first);
      for (size_t h = 0; h < heads; h++)
        halfNorms(landmarks + (first + h) * z.m * z.d, z.m, z.d, 1, halves.as<S>() + h * z.m);
      // Inverses first: they are the longest tasks.
      const bool whole = run.each(heads + heads * blocks, grain, [&](size_t begin, size_t end) {
        const size_t block = kRows * z.m + kRows, inverting = 2 * z.m * z.m + newtonScratch(z.m) + z.m * z.d;
        const Scratch work(std::max(block * sizeof(S), inverting * sizeof(double))), scratch(kMatmulScratch);
        for (size_t task = begin; task < end; task++) {
          if (task < heads) invert(first + task, work.as<double>(), scratch.as<void>());
          else
            gather(first, task - heads, kept.as<S>(), halves.as<S>(), shares.as<S>(), work.as<S>(), scratch.as<void>());
        }
        run.advance(end - begin);
      });
      if (!whole) return;
      if (!run.each(heads, grainOf(z.m * z.m * z.dv), [&](size_t begin, size_t end) {
            const Scratch work((2 * z.m * z.m + 2 * share + z.m) * sizeof(double)), scratch(kMatmulScratch);
            for (size_t h = begin; h < end; h++)
              weigh(first + h, shares.as<S>() + h * blocks * share, products.as<S>() + h * share, work.as<double>(),
                    scratch.as<void>());
            run.advance(end - begin);
          }))
        return;
      if (!run.each(heads * blocks, grain, [&](size_t begin, size_t end) {
            const Scratch work((kRows * z.m + kRows) * sizeof(S)), scratch(kMatmulScratch);
            for (size_t task = begin; task < end; task++)
              spread(first, task, kept.as<S>(), halves.as<S>(), products.as<S>(), work.as<S>(), scratch.as<void>());
            run.advance(end - begin);
          }))
        return;
    }
  }

  void invert(size_t head, double* a, void* scratch) {
    double* work = a + z.m * z.m;
    landmarkKernel(landmarks + head * z.m * z.d, z.m, z.d, a, work, scratch);
    const NewtonReport r = newton(a, z.m, settings, inverse + head * z.m * z.m, nullptr, work, scratch);
    const double numbers[] = {r.residual, r.penrose, r.condition, r.alpha, r.iterations, r.halvings};
    std::copy(numbers, numbers + kReport, report + head * kReport);
  }

  /// The rows of K1 that belong to a task: those kept, or formed in `work` (again).
  const S* rowsOfKernel(size_t first, size_t task, bool form, S* kept, const S* halves, S* work, void* scratch,
                        size_t* begin, size_t* rows) const {
    const size_t blocks = blocksOf(z.n), h = task / blocks;
    *begin = task % blocks * kRows;
    *rows = std::min(kRows, z.n - *begin);
    S* k = z.keeps() ? kept + (h * z.n + *begin) * z.m : work + kRows;
    if (form || !z.keeps()) {
      const size_t head = first + h;
      const Points<S> points{landmarks + head * z.m * z.d, 1, halves + h * z.m};
      gaussianRows(q + (head * z.n + *begin) * z.d, z.scale, *rows, points, z.m, z.d, work, k, scratch);
    }
    return k;
  }

  void gather(size_t first, size_t task, S* kept, const S* halves, S* shares, S* work, void* scratch) const {
    size_t begin, rows;
    const S* k = rowsOfKernel(first, task, true, kept, halves, work, scratch, &begin, &rows);
    const size_t head = first + task / blocksOf(z.n);
    const S* values = v + (head * z.n + begin) * z.dv;
    multiply(rowsOf(k, z.m).turn(), rowsOf(values, z.dv), shares + task * z.m * z.dv, z.m, z.dv, rows, scratch);
  }

  /// Y (K1^T V), in float64.
  void weigh(size_t head, S* shares, S* product, double* work, void* scratch) const {
    const size_t size = z.m * z.m, share = z.m * z.dv;
    addShares(shares, blocksOf(z.n), share);
    double *y = work, *b = y + size, *c = b + share, *a = c + share, *s = a + size;
    if (normalize) {
      const Scratch points((z.m * z.d + z.m) * sizeof(double));
      landmarkKernel(landmarks + head * z.m * z.d, z.m, z.d, a, points.as<double>(), scratch);
      rootSums(a, z.m, s);
    }
    effective(inverse + head * size, normalize ? s : nullptr, z.m, y);
    for (size_t i = 0; i < share; i++) b[i] = shares[i];
    multiply(rowsOf<double>(y, z.m), rowsOf<double>(b, z.dv), c, z.m, z.dv, z.m, scratch);
    for (size_t i = 0; i < share; i++) product[i] = S(c[i]);
  }

  void spread(size_t first, size_t task, S* kept, const S* halves, const S* products, S* work, void* scratch) const {
    size_t begin, rows;
    const S* k = rowsOfKernel(first, task, false, kept, halves, work, scratch, &begin, &rows);
    const size_t h = task / blocksOf(z.n);
    S* to = out + ((first + h) * z.n + begin) * z.dv;
    multiply(rowsOf(k, z.m), rowsOf(products + h * z.m * z.dv, z.dv), to, rows, z.dv, z.m, scratch);
  }
};

}  // namespace

void requireAll(std::initializer_list<Operand> operands, Dtype type, size_t count) {
  for (const Operand& each : operands) {
    requireStorage(each.name, each.element, type);
    requireMatrix(each.name, each.length, count, each.each, each.each);
  }
}

void effective(const double* y, const double* s, size_t m, double* to) {
  for (size_t i = 0; i < m; i++)
    for (size_t j = 0; j < m; j++) to[i * m + j] = s ? y[i * m + j] * s[i] * s[j] : y[i * m + j];
}

Sizes sizesOf(const In<double>& sizes) {
  if (sizes.length != 6) throw rangeError("sizes", "6 numbers", std::to_string(sizes.length));
  const double* x = sizes.data;
  return {size_t(x[0]), size_t(x[1]), size_t(x[2]), size_t(x[3]), size_t(x[4]), x[5]};
}

}  // namespace soft

namespace ops {

void softAttention(Run& run, In<Any> q, In<Any> landmarks, In<Any> v, Out<Any> out, Out<double> inverse,
                   Out<double> report, In<double> sizes, In<double> settings, bool normalize, size_t threads) {
  const soft::Sizes z = soft::sizesOf(sizes);
  const soft::NewtonSettings how = soft::NewtonSettings::of(settings);
  const Dtype type = q.element == Element::float64 ? Dtype::f64 : Dtype::f32;
  soft::requireAll({{"q", q.element, q.length, z.n * z.d},
                    {"landmarks", landmarks.element, landmarks.length, z.m * z.d},
                    {"v", v.element, v.length, z.n * z.dv},
                    {"out", out.element, out.length, z.n * z.dv}},
                   type, z.count);
  requireMatrix("inverse", inverse.length, z.count, z.m * z.m, z.m * z.m);
  requireMatrix("report", report.length, z.count, soft::kReport, soft::kReport);
  run.useThreads(threads);
  const auto go = [&](auto tag) {
    using S = decltype(tag);
    soft::Forward<S>{run,
                     z,
                     how,
                     normalize,
                     static_cast<const S*>(q.data),
                     static_cast<const S*>(landmarks.data),
                     static_cast<const S*>(v.data),
                     static_cast<S*>(out.data),
                     inverse.data,
                     report.data}();
  };
  if (type == Dtype::f64) go(double{});
  else go(float{});
}

}  // namespace ops
}  // namespace softlane
#endif
