// Products: kernels and operations on small integers, whose sums are exact in whatever order they are added, against plain
// C++. Every weight type, path, tile and depth; the same bits for any path, number of threads and company.
#include "../../native/ops.h"
#include "check.h"
#include "weights.h"

namespace softlane::test {
namespace {

/// Integers in [-8, 8]: exact in every weight type, products and sums of 1000 of them in float32.
std::vector<float> integers(size_t n, unsigned seed) {
  std::mt19937 bits(seed);
  std::vector<float> list(n);
  for (float& each : list) each = float(int(bits() % 17) - 8);
  return list;
}

/// Rows of a as the micro-kernel wants them.
std::vector<float> tiled(const std::vector<float>& a, const Tiles& tiles, size_t k) {
  std::vector<float> out(a.size());
  for (size_t t = 0; t < tiles.count; t++) {
    const size_t begin = tiles.begin(t), rows = tiles.begin(t + 1) - begin;
    for (size_t kk = 0; kk < k; kk++)
      for (size_t r = 0; r < rows; r++) out[begin * k + kk * rows + r] = a[(begin + r) * k + kk];
  }
  return out;
}

double dot(const float* a, const float* w, size_t k) {
  double sum = 0;
  for (size_t kk = 0; kk < k; kk++) sum += double(a[kk]) * w[kk];
  return sum;
}

/// A product by the operations: packed or as rows, with everything around it.
struct Product {
  size_t m, n, k;
  WeightType type;
  std::vector<float> a, w, scales, bias, residual;
  Stored rows, packed;

  Product(size_t m, size_t n, size_t k, WeightType type)
      : m(m),
        n(n),
        k(k),
        type(type),
        a(integers(m * k, 1)),
        w(integers(n * k, 2)),
        scales(n, 0.5f),
        bias(integers(n, 3)),
        residual(integers(m * n, 4)),
        rows(type, n * k),
        packed(type, panelsOf(n) * kPanelRows * k) {
    for (size_t i = 0; i < n * k; i++) rows.set(i, w[i]);
    Run run;
    Maybe<In<float>> given;
    Maybe<Out<float>> kept;
    std::vector<float> copied(n, -1);
    if (type == WeightType::int8) {
      given.data = scales.data();
      kept.data = copied.data();
      given.length = kept.length = n;
    }
    ops::packWeightRows(run, array<In<Any>>(rows, n * k), given, array<Out<Any>>(packed, panelsOf(n) * kPanelRows * k),
                        kept, 0, n, n, k, type, type, 2);
    if (type == WeightType::int8) CHECK(copied == scales, "the scales are kept");
  }

  Element element() const {
    return type == WeightType::f32 ? Element::float32 : type == WeightType::int8 ? Element::int8 : Element::uint16;
  }
  template <class A>
  A array(Stored& from, size_t length) const {
    A array;
    array.data = from.data();
    array.length = length;
    array.element = element();
    return array;
  }

  std::vector<float> multiply(bool isPacked, GemmPath path, bool prefetch, size_t threads) {
    std::vector<float> y(m * n, -1);
    Run run;
    In<float> from;
    from.data = a.data();
    from.length = a.size();
    Maybe<In<float>> scale, offset;
    Maybe<In<Any>> rest;
    InPlace<float> out;
    if (type == WeightType::int8) {
      scale.data = scales.data();
      scale.length = n;
    }
    offset.data = bias.data();
    offset.length = n;
    rest.data = residual.data();
    rest.length = m * n;
    rest.element = Element::float32;
    out.data = y.data();
    out.length = m * n;
    Stored& weights = isPacked ? packed : rows;
    ops::gemm(run, from, array<In<Any>>(weights, (isPacked ? panelsOf(n) * kPanelRows : n) * k), scale, offset, rest,
              out, m, n, k, k, type, isPacked, Activation::none, path, prefetch, threads);
    return y;
  }
};

}  // namespace

TEST(panels_multiply_exactly) {
  onEveryIsa([](const char* isa) {
    for (WeightType type : kWeightTypes)
      for (bool pair : {false, true})
        for (size_t m : {1, 2, 3, 4, 5, 6, 7, 8, 9, 13, 17})
          for (size_t k : {1, 7, 8, 9, 100, 256}) {
            const size_t together = pair ? 2 : 1, n = together * kPanelRows, half = k / 2;
            const std::vector<float> a = integers(m * k, unsigned(k)), w = integers(n * k, unsigned(m));
            Stored panels(type, n * k);
            for (size_t j = 0; j < n; j++)
              for (size_t kk = 0; kk < k; kk++)
                panels.set((j / kPanelRows * k + kk) * kPanelRows + placeInLine(type, j % kPanelRows), w[j * k + kk]);
            std::vector<float> c(n * m, 7);
            const size_t most = pair ? kernels().gemm_pair_rows() : kernels().gemm_tile_rows();
            const std::vector<float> tiles = tiled(a, Tiles(m, most), k);
            // In two blocks of k: the second is added to the first.
            for (size_t from = 0; from < k; from = from < half ? half : k) {
              const size_t depth = (from < half ? half : k) - from;
              PanelJob job{
                  tiles.data(), m,        most,     k,         from,      depth, panels.at(from * kPanelRows), 0,
                  type,         c.data(), from > 0, nowhere(), m % 2 == 0};
              if (pair) job.nextPanel = k * kPanelRows * sizeOf(type);
              kernels().gemm_panel(job);
            }
            for (size_t j = 0; j < n; j++)
              for (size_t r = 0; r < m; r++) {
                const float got = c[(j / kPanelRows * m + r) * kPanelRows + j % kPanelRows];
                const double wanted = dot(&a[r * k], &w[j * k], k);
                CHECK(double(got) == wanted, "%s, %s, %zu rows, k = %zu, [%zu, %zu]: %g, not %g", isa, nameOf(type), m,
                      k, r, j, double(got), wanted);
              }
          }
  });
}

TEST(dots_and_turned_rows_are_exact) {
  onEveryIsa([](const char* isa) {
    for (WeightType type : kWeightTypes)
      for (size_t columns : {1, 3, 4, 7, 16, 31, 32})
        for (size_t k : {1, 2, 7, 8, 9, 15, 16, 17, 33, 100}) {
          const std::vector<float> a = integers(4 * k, 5), w = integers(columns * k, 6);
          Stored rows(type, columns * k);
          for (size_t i = 0; i < columns * k; i++) rows.set(i, w[i]);
          for (size_t m : {1, 2, 3, 4}) {
            std::vector<float> c(m * kPanelRows, 7);
            kernels().gemm_dots({a.data(), m, k, rows.data(), columns, k, type, c.data(), true});
            for (size_t r = 0; r < m; r++)
              for (size_t j = 0; j < kPanelRows; j++) {
                const double wanted = j < columns ? dot(&a[r * k], &w[j * k], k) : 7;
                CHECK(double(c[r * kPanelRows + j]) == wanted, "%s, %s, k = %zu, [%zu, %zu]: %g, not %g", isa,
                      nameOf(type), k, r, j, double(c[r * kPanelRows + j]), wanted);
              }
          }
          std::vector<float> block(k * kPanelRows, 7);
          kernels().gemm_turn(rows.data(), type, columns, k, k, block.data(), true);
          for (size_t kk = 0; kk < k; kk++)
            for (size_t j = 0; j < kPanelRows; j++)
              CHECK(block[kk * kPanelRows + j] == (j < columns ? w[j * k + kk] : 0), "%s, %s, turned [%zu, %zu]", isa,
                    nameOf(type), kk, j);
        }
  });
}

TEST(products_end_with_activations) {
  const auto exact = [](Activation activation, double x) {
    switch (activation) {
      case Activation::none: return x;
      case Activation::relu: return std::fmax(0, x);
      case Activation::silu: return x / (1 + std::exp(-x));
      case Activation::gelu: return x * std::erfc(-x / std::sqrt(2.0)) / 2;
      default: return x * (1 + std::tanh(std::sqrt(2 / 3.14159265358979) * (x + 0.044715 * x * x * x))) / 2;
    }
  };
  onEveryIsa([&](const char* isa) {
    for (Activation activation :
         {Activation::none, Activation::silu, Activation::gelu, Activation::geluTanh, Activation::relu})
      for (size_t columns : {1, 5, 16, 31, 32}) {
        const size_t m = 3, stride = columns + 2;
        std::vector<float> c = normals(m * kPanelRows, 1), scales = normals(columns, 2), bias = normals(columns, 3);
        for (float& each : c) each *= 4;
        std::vector<float> y = normals(m * stride, 4), before = y;
        kernels().gemm_finish(
            {c.data(), m, columns, scales.data(), bias.data(), y.data(), y.data(), stride, activation});
        for (size_t r = 0; r < m; r++)
          for (size_t j = 0; j < stride; j++) {
            const size_t i = r * stride + j;
            const double x = j < columns ? double(c[r * kPanelRows + j]) * scales[j] + bias[j] : 0;
            const double wanted = j < columns ? exact(activation, x) + before[i] : before[i];
            CHECK(std::fabs(y[i] - wanted) <= (j < columns ? 6e-7 * (1 + std::fabs(x)) : 0),
                  "%s, %s of %g: %.9g, not %.9g", isa, Names<Activation>::list[int(activation)], x, double(y[i]),
                  wanted);
          }
      }
  });
}

TEST(products_by_every_path) {
  constexpr size_t shapes[][3] = {{1, 1, 1},    {1, 100, 257}, {2, 33, 15},  {3, 64, 256},
                                  {5, 31, 600}, {9, 65, 40},   {33, 97, 33}, {300, 40, 270}};
  onEveryIsa([&](const char* isa) {
    for (WeightType type : kWeightTypes)
      for (const auto& [m, n, k] : shapes) {
        Product product(m, n, k, type);
        const double scale = type == WeightType::int8 ? 0.5 : 1;
        for (bool packed : {false, true})
          for (GemmPath path : {GemmPath::gemv, GemmPath::flat, GemmPath::blocked})
            for (size_t threads : {1, 3}) {
              const std::vector<float> y = product.multiply(packed, path, threads == 3, threads);
              for (size_t i = 0; i < m * n; i++) {
                const size_t r = i / n, j = i % n;
                const double wanted =
                    dot(&product.a[r * k], &product.w[j * k], k) * scale + product.bias[j] + product.residual[i];
                if (!CHECK(double(y[i]) == wanted,
                           "%s, %s, %s, %s, [%zu, %zu, %zu], %zu threads, [%zu, %zu]: %g, not %g", isa, nameOf(type),
                           packed ? "packed" : "rows", Names<GemmPath>::list[int(path)], m, n, k, threads, r, j,
                           double(y[i]), wanted))
                  break;
              }
            }
        std::vector<int32_t> indices = {int32_t(n) - 1, 0, int32_t(n / 2)};
        std::vector<float> gathered(3 * k);
        for (bool packed : {false, true}) {
          Run run;
          In<int32_t> at;
          at.data = indices.data();
          at.length = 3;
          Out<float> out;
          out.data = gathered.data();
          out.length = 3 * k;
          Maybe<In<float>> scales;
          if (type == WeightType::int8) {
            scales.data = product.scales.data();
            scales.length = n;
          }
          Stored& from = packed ? product.packed : product.rows;
          ops::gatherRows(run, product.array<In<Any>>(from, (packed ? panelsOf(n) * kPanelRows : n) * k), scales, at,
                          out, n, k, type, packed);
          for (size_t i = 0; i < 3 * k; i++)
            CHECK(gathered[i] == product.w[size_t(indices[i / k]) * k + i % k] * float(scale),
                  "%s, %s: row %d of %zu, element %zu", isa, nameOf(type), indices[i / k], n, i % k);
        }
      }
  });
}

TEST(packing_converts_and_quantises) {
  onEveryIsa([](const char* isa) {
    const size_t n = 37, k = 150;
    const std::vector<float> w = normals(n * k, 9);
    for (WeightType type : kWeightTypes) {
      Stored packed(type, panelsOf(n) * kPanelRows * k);
      std::vector<float> scales(n, -1);
      Run run;
      Product shape(1, 1, 1, type);
      Maybe<Out<float>> kept;
      kept.data = scales.data();
      kept.length = n;
      // In two pieces that meet inside a panel.
      for (size_t row : {size_t(0), size_t(20)}) {
        const size_t rows = row == 0 ? 20 : n - 20;
        In<Any> from;
        from.data = &w[row * k];
        from.length = rows * k;
        from.element = Element::float32;
        ops::packWeightRows(run, from, {}, shape.array<Out<Any>>(packed, panelsOf(n) * kPanelRows * k), kept, row, rows,
                            n, k, WeightType::f32, type, 1);
      }
      for (size_t j = 0; j < panelsOf(n) * kPanelRows; j++) {
        double most = 0;
        for (size_t kk = 0; kk < k && j < n; kk++) most = std::fmax(most, std::fabs(w[j * k + kk]));
        for (size_t kk = 0; kk < k; kk++) {
          const double got = packed[(j / kPanelRows * k + kk) * kPanelRows + placeInLine(type, j % kPanelRows)];
          if (j >= n) {
            CHECK(got == 0, "%s, %s: row %zu is past the end", isa, nameOf(type), j);
          } else if (type == WeightType::int8) {
            CHECK(std::fabs(scales[j] - most / 127) <= 1e-7 * most, "%s: scale %g", isa, double(scales[j]));
            CHECK(std::fabs(got * scales[j] - w[j * k + kk]) <= 0.5001 * scales[j], "%s: %g for %g", isa,
                  got * scales[j], double(w[j * k + kk]));
          } else {
            Stored one(type, 1);
            one.set(0, w[j * k + kk]);
            CHECK(got == one[0], "%s, %s: %g, not %g", isa, nameOf(type), got, one[0]);
          }
        }
      }
    }
  });
}

}  // namespace softlane::test
