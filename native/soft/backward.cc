// Gradients of softmax-free attention: with C = Y B, B = K1^T V and H = K1^T G,
//   dY = H B^T, dB = Y^T H, dK1 = G C^T + V dB^T, dV = K1 dB,
// and of a kernel M = g(a, b) with E = dM o M: da_i = sum_j E_ij (b_j - a_i), db_j = sum_i E_ij (a_i - b_j).
// Two passes over blocks of rows of K1: one for B and H, one for everything that a row gets. Shares of landmarks are added in
// the order of blocks.
#ifdef SOFTLANE_OPERATIONS
#include "parts.h"

namespace softlane {
namespace soft {
namespace {

template <class S>
struct Backward {
  Run& run;
  Sizes z;
  NewtonSettings settings;
  bool normalize, unrolled;
  const S *q, *landmarks, *v;
  const double* inverse;
  const S* gradient;
  S *dq, *dLandmarks, *dv;

  /// What the heads of a group share between the passes.
  struct Shared {
    S *kept, *halves, *b, *h, *c, *db, *dt;
    double* own;  ///< of each head: the landmarks' gradient through g(T, T)
  };

  void operator()() {
    const size_t group = z.group<S>(), blocks = blocksOf(z.n), share = z.m * z.dv, points = z.m * z.d;
    const Scratch kept(z.keeps() ? group * z.n * z.m * sizeof(S) : 0), halves(group * z.m * sizeof(S));
    const Scratch sums(2 * group * blocks * share * sizeof(S)), small(2 * group * share * sizeof(S));
    const Scratch turns(group * blocks * points * sizeof(S)), own(group * points * sizeof(double));
    const size_t half = group * blocks * share;
    const Shared at{kept.as<S>(),        halves.as<S>(),  sums.as<S>(),
                    sums.as<S>() + half, small.as<S>(),   small.as<S>() + group * share,
                    turns.as<S>(),       own.as<double>()};
    const size_t grain = grainOf(std::min(kRows, z.n) * z.m * (z.d + z.dv));
    const size_t block = (2 * kRows * z.m + 2 * kRows + z.m) * sizeof(S);
    run.expect(z.count * (2 * blocks + 2));
    for (size_t first = 0; first < z.count; first += group) {
      const size_t heads = std::min(group, z.count - first);
      for (size_t h = 0; h < heads; h++) halfNorms(landmarks + (first + h) * points, z.m, z.d, 1, at.halves + h * z.m);
      const auto pass = [&](size_t tasks, size_t grain, size_t bytes, auto body) {
        return run.each(tasks, grain, [&](size_t begin, size_t end) {
          const Scratch work(bytes), scratch(kMatmulScratch);
          for (size_t task = begin; task < end; task++) body(task, work, scratch.as<void>());
          run.advance(end - begin);
        });
      };
      const bool whole =
          pass(heads * blocks, grain, block,
               [&](size_t task, const Scratch& work, void* s) { gather(first, task, at, work.as<S>(), s); }) &&
          pass(heads, 1, headDoubles() * sizeof(double),
               [&](size_t h, const Scratch& work, void* s) { middle(first + h, h, at, work.as<double>(), s); }) &&
          pass(heads * blocks, grain, block,
               [&](size_t task, const Scratch& work, void* s) { spread(first, task, at, work.as<S>(), s); }) &&
          pass(heads, grainOf(points * blocks), 0, [&](size_t h, const Scratch&, void*) {
            finish(first + h, at.dt + h * blocks * points, at.own + h * points);
          });
      if (!whole) return;
    }
  }

  const S* rowsOfKernel(size_t first, size_t task, bool form, const Shared& at, S* work, void* scratch, size_t* begin,
                        size_t* rows) const {
    const size_t blocks = blocksOf(z.n), h = task / blocks, head = first + h;
    *begin = task % blocks * kRows;
    *rows = std::min(kRows, z.n - *begin);
    S* k = z.keeps() ? at.kept + (h * z.n + *begin) * z.m : work + kRows;
    if (form || !z.keeps()) {
      const Points<S> points{landmarks + head * z.m * z.d, 1, at.halves + h * z.m};
      gaussianRows(q + (head * z.n + *begin) * z.d, z.scale, *rows, points, z.m, z.d, work, k, scratch);
    }
    return k;
  }

  void gather(size_t first, size_t task, const Shared& at, S* work, void* scratch) const {
    size_t begin, rows;
    const S* k = rowsOfKernel(first, task, true, at, work, scratch, &begin, &rows);
    const size_t row = (first + task / blocksOf(z.n)) * z.n + begin, share = z.m * z.dv;
    const Factor<S> turned = rowsOf(k, z.m).turn();
    multiply(turned, rowsOf(v + row * z.dv, z.dv), at.b + task * share, z.m, z.dv, rows, scratch);
    multiply(turned, rowsOf(gradient + row * z.dv, z.dv), at.h + task * share, z.m, z.dv, rows, scratch);
  }

  size_t headDoubles() const {
    return 4 * z.m * z.m + 3 * z.m * z.dv + z.m * z.d + 4 * z.m + adjointScratch(z.m, settings, unrolled);
  }

  /// What is of a head alone: C, dB, and the landmarks' gradient through g(T, T), in float64.
  void middle(size_t head, size_t h, const Shared& at, double* a, void* scratch) const {
    const size_t m = z.m, size = m * m, share = m * z.dv, blocks = blocksOf(z.n);
    addShares(at.b + h * blocks * share, blocks, share);
    addShares(at.h + h * blocks * share, blocks, share);
    double *y = a + size, *dy = y + size, *da = dy + size, *b = da + size, *hh = b + share, *c = hh + share;
    double *points = c + share, *s = points + m * z.d + m, *sums = s + m, *work = sums + 2 * m;
    landmarkKernel(landmarks + head * m * z.d, m, z.d, a, points, scratch);  // leaves the landmarks in `points`
    if (normalize) rootSums(a, m, s);
    const double* inverted = inverse + head * size;
    effective(inverted, normalize ? s : nullptr, m, y);
    for (size_t i = 0; i < share; i++) {
      b[i] = at.b[h * blocks * share + i];
      hh[i] = at.h[h * blocks * share + i];
    }
    multiply(rowsOf<double>(y, m), rowsOf<double>(b, z.dv), c, m, z.dv, m, scratch);
    for (size_t i = 0; i < share; i++) at.c[h * share + i] = S(c[i]);
    multiply(rowsOf<double>(y, m).turn(), rowsOf<double>(hh, z.dv), c, m, z.dv, m, scratch);
    for (size_t i = 0; i < share; i++) at.db[h * share + i] = S(c[i]);
    multiply(rowsOf<double>(hh, z.dv), rowsOf<double>(b, z.dv).turn(), dy, m, m, z.dv, scratch);
    if (normalize) scaled(inverted, s, dy, sums);
    newtonAdjoint(a, inverted, dy, m, settings, unrolled, da, work, scratch);
    if (normalize)
      for (size_t i = 0; i < m; i++)  // through the row sums
        for (size_t j = 0; j < m; j++) da[i * m + j] += sums[i];
    // Both arguments of g(T, T) are landmarks: E + E^T takes both.
    for (size_t i = 0; i < m; i++)
      for (size_t j = 0; j <= i; j++) {
        const double e = (da[i * m + j] + da[j * m + i]) * a[i * m + j];
        y[i * m + j] = y[j * m + i] = e;
      }
    double* turn = at.own + h * m * z.d;
    multiply(rowsOf<double>(y, m), rowsOf<double>(points, z.d), turn, m, z.d, m, scratch);
    for (size_t i = 0; i < m; i++) {
      sums[i] = 0;
      for (size_t j = 0; j < m; j++) sums[i] += y[i * m + j];
    }
    kernels().soft_add_rows(points, sums, Dtype::f64, -1, turn, m, z.d);
  }

  /// dy of s s^T o Y becomes that of Y; sums[i] what a row sum of A gets.
  void scaled(const double* y, const double* s, double* dy, double* sums) const {
    const size_t m = z.m;
    for (size_t i = 0; i < m; i++) {
      double ds = 0;
      for (size_t j = 0; j < m; j++) ds += (dy[i * m + j] * y[i * m + j] + dy[j * m + i] * y[j * m + i]) * s[j];
      sums[i] = -0.5 * s[i] * s[i] * s[i] * ds;
    }
    for (size_t i = 0; i < m; i++)
      for (size_t j = 0; j < m; j++) dy[i * m + j] *= s[i] * s[j];
  }

  void spread(size_t first, size_t task, const Shared& at, S* work, void* scratch) const {
    size_t begin, rows;
    const S* k = rowsOfKernel(first, task, false, at, work, scratch, &begin, &rows);
    const size_t m = z.m, h = task / blocksOf(z.n), head = first + h, row = head * z.n + begin, share = m * z.dv;
    const S *t = landmarks + head * m * z.d, *g = gradient + row * z.dv, *c = at.c + h * share, *db = at.db + h * share;
    S *e = work + kRows + kRows * m, *rowSums = e + kRows * m, *colSums = rowSums + kRows;
    multiply(rowsOf(g, z.dv), rowsOf(c, z.dv).turn(), e, rows, m, z.dv, scratch);
    multiply(rowsOf(v + row * z.dv, z.dv), rowsOf(db, z.dv).turn(), e, rows, m, z.dv, scratch, true);
    std::fill(colSums, colSums + m, S(0));
    kernels().soft_gradient({typeOf<S>, e, k, m, rows, m, rowSums, colSums});
    multiply(rowsOf(e, m), rowsOf(t, z.d), dq + row * z.d, rows, z.d, m, scratch, false, z.scale);
    kernels().soft_add_rows(q + row * z.d, rowSums, typeOf<S>, -z.scale * z.scale, dq + row * z.d, rows, z.d);
    S* turn = at.dt + task * m * z.d;
    multiply(rowsOf(e, m).turn(), rowsOf(q + row * z.d, z.d), turn, m, z.d, rows, scratch, false, z.scale);
    kernels().soft_add_rows(t, colSums, typeOf<S>, -1, turn, m, z.d);
    multiply(rowsOf(k, m), rowsOf(db, z.dv), dv + row * z.dv, rows, z.dv, m, scratch);
  }

  void finish(size_t head, S* shares, const double* own) const {
    const size_t points = z.m * z.d;
    addShares(shares, blocksOf(z.n), points);
    S* to = dLandmarks + head * points;
    for (size_t i = 0; i < points; i++) to[i] = S(shares[i] + own[i]);
  }
};

}  // namespace
}  // namespace soft

namespace ops {

void softAttentionBackward(Run& run, In<Any> q, In<Any> landmarks, In<Any> v, In<double> inverse, In<Any> gradOut,
                           Out<Any> dq, Out<Any> dLandmarks, Out<Any> dv, In<double> sizes, In<double> settings,
                           bool normalize, bool unrolled, size_t threads) {
  const soft::Sizes z = soft::sizesOf(sizes);
  const soft::NewtonSettings how = soft::NewtonSettings::of(settings);
  const Dtype type = q.element == Element::float64 ? Dtype::f64 : Dtype::f32;
  soft::requireAll({{"q", q.element, q.length, z.n * z.d},
                    {"landmarks", landmarks.element, landmarks.length, z.m * z.d},
                    {"v", v.element, v.length, z.n * z.dv},
                    {"gradOut", gradOut.element, gradOut.length, z.n * z.dv},
                    {"dq", dq.element, dq.length, z.n * z.d},
                    {"dLandmarks", dLandmarks.element, dLandmarks.length, z.m * z.d},
                    {"dv", dv.element, dv.length, z.n * z.dv}},
                   type, z.count);
  requireMatrix("inverse", inverse.length, z.count, z.m * z.m, z.m * z.m);
  run.useThreads(threads);
  const auto go = [&](auto tag) {
    using S = decltype(tag);
    const auto in = [](const In<Any>& x) { return static_cast<const S*>(x.data); };
    const auto out = [](const Out<Any>& x) { return static_cast<S*>(x.data); };
    soft::Backward<S>{run,          z,           how,     normalize,       unrolled, in(q), in(landmarks), in(v),
                      inverse.data, in(gradOut), out(dq), out(dLandmarks), out(dv)}();
  };
  if (type == Dtype::f64) go(double{});
  else go(float{});
}

}  // namespace ops
}  // namespace softlane
#endif
