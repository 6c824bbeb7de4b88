// Vector operations of each instruction set (load, store, rounding, product, maximum, the pair exponential) against
// plain C++, on strided bit patterns: every 16-bit pattern, and float32 patterns at an odd stride, which meets every
// exponent, subnormals, infinities and NaN in every lane.
#include "check.h"
#include "weights.h"

namespace softlane::test {
namespace {

/// float32 patterns at a stride that is prime, so that lanes and patterns do not keep step.
std::vector<float> patterns(uint32_t stride) {
  std::vector<float> list;
  for (uint64_t bits = 0; bits <= 0xffffffffu; bits += stride) list.push_back(floatOf(uint32_t(bits)));
  for (uint32_t bits : {0x477fefffu, 0x477ff000u, 0x33000000u, 0x33000001u, 0x387fffffu, 0x7f7f8000u, 0x7f800001u,
                        0xff800001u, 0x3f808000u, 0x3f818000u})  // ties and ends of the 16-bit ranges
    list.push_back(floatOf(bits));
  return list;
}

bool same(double a, double b) { return std::isnan(a) ? std::isnan(b) : a == b && std::signbit(a) == std::signbit(b); }

}  // namespace

TEST(conversions_from_every_16_bit_pattern) {
  onEveryIsa([](const char* isa) {
    for (Dtype in : {Dtype::bf16, Dtype::f16}) {
      for (Dtype out : {Dtype::f32, Dtype::bf16, Dtype::f16}) {
        Elements x(in, 65536, 1), y(out, 65536, 3);
        for (uint32_t bits = 0; bits < 65536; bits++) x.as<uint16_t>()[bits] = uint16_t(bits);
        kernels().convert(x.data(), in, y.data(), out, 65536);
        for (uint32_t bits = 0; bits < 65536; bits++) {
          Elements wanted(out, 1);
          wanted.set(0, x[bits]);
          CHECK(same(y[bits], wanted[0]), "%s %s to %s of %04x: %g, not %g", isa, nameOf(in), nameOf(out), bits,
                y[bits], wanted[0]);
        }
      }
    }
  });
}

TEST(conversions_of_strided_float32_patterns) {
  const std::vector<float> x = patterns(16381);
  onEveryIsa([&](const char* isa) {
    for (Dtype out : {Dtype::f32, Dtype::bf16, Dtype::f16}) {
      Elements y(out, x.size(), 1);
      kernels().convert(x.data(), Dtype::f32, y.data(), out, x.size());
      for (size_t i = 0; i < x.size(); i++) {
        Elements wanted(out, 1);
        wanted.set(0, x[i]);
        CHECK(same(y[i], wanted[0]), "%s to %s of %08x: %g, not %g", isa, nameOf(out), bitsOf(x[i]), y[i], wanted[0]);
      }
    }
  });
}

TEST(products_of_strided_patterns) {
  const std::vector<float> x = patterns(65521);
  const float factor = 0x1.23456p-3f;
  onEveryIsa([&](const char* isa) {
    Elements y(Dtype::f32, x.size(), 1);
    kernels().scale(x.data(), y.data(), Dtype::f32, x.size(), {factor, 0, false});
    for (size_t i = 0; i < x.size(); i++)
      CHECK(same(y[i], x[i] * factor), "%s: %08x * %a is %a", isa, bitsOf(x[i]), factor, y[i]);
  });
}

TEST(copies_keep_every_bit) {
  const std::vector<float> x = patterns(65521);
  onEveryIsa([&](const char* isa) {
    for (bool stream : {false, true}) {
      Elements y(Dtype::f32, x.size(), 1);
      kernels().stream_copy(x.data(), y.as<float>(), x.size(), stream);
      CHECK(std::memcmp(x.data(), y.data(), 4 * x.size()) == 0, "%s%s", isa, stream ? ", streaming" : "");
    }
  });
}

TEST(maxima_of_strided_patterns) {
  const std::vector<float> all = patterns(4091);
  onEveryIsa([&](const char* isa) {
    for (size_t n = 1; n < 300; n++) {
      const float* x = all.data() + (n * 7919) % (all.size() - 300);
      double wanted = -kInfinity;
      for (size_t i = 0; i < n; i++) wanted = x[i] > wanted ? x[i] : wanted;  // NaN leaves the maximum alone
      const double got = kernels().span_max(x, Dtype::f32, n);
      CHECK(got == wanted, "%s, %zu elements: %g, not %g", isa, n, got, wanted);
    }
  });
}

TEST(pair_exponential_of_strided_patterns) {
  std::vector<float> x;
  for (float v : patterns(4091))
    if (std::fabs(v) <= 87) x.push_back(v);
  onEveryIsa([&](const char* isa) {
    std::vector<float> m(x.size()), e(x.size());
    kernels().ext_exp(x.data(), m.data(), e.data(), x.size());
    double worst = 0;
    for (size_t i = 0; i < x.size(); i++) {
      const double exact = std::exp(double(x[i])), got = std::ldexp(double(m[i]), int(e[i]));
      const double ulp = std::ldexp(1.0, std::ilogb(exact) - 23);
      worst = std::fmax(worst, std::fabs(got - exact) / ulp);
      CHECK(m[i] >= 0.7071f && m[i] <= 1.41422f && e[i] == std::nearbyint(e[i]), "%s: exp(%a) = %a * 2^%a", isa, x[i],
            m[i], e[i]);
    }
    CHECK(worst < 2, "%s: %g ULP", isa, worst);
    std::printf("       pair exponential, %s: at most %.3f ULP over %zu arguments\n", isa, worst, x.size());
  });
}

TEST(lines_of_weights_widen_every_pattern) {  // bf16 in pairs, the others as they stand
  onEveryIsa([](const char* isa) {
    for (WeightType type : {WeightType::bf16, WeightType::f16, WeightType::int8}) {
      const size_t count = type == WeightType::int8 ? 256 : 65536;
      Stored lines(type, count);
      for (size_t bits = 0; bits < count; bits++) std::memcpy(lines.at(bits), &bits, sizeOf(type));  // little-endian
      std::vector<float> block(count);
      kernels().gemm_widen(lines.data(), type, count / kPanelRows, block.data());
      for (size_t i = 0; i < count; i++) {
        const size_t from = i / kPanelRows * kPanelRows + placeInLine(type, i % kPanelRows);
        CHECK(same(block[i], lines[from]), "%s, %s: column %zu is %g, not %g", isa, nameOf(type), i % kPanelRows,
              double(block[i]), lines[from]);
      }
    }
  });
}

TEST(parts_of_a_vector_of_weights) {  // every number of elements, each of every byte
  onEveryIsa([](const char* isa) {
    for (WeightType type : kWeightTypes)
      for (size_t depth = 1; depth <= 33; depth++)
        for (int shift = 0; shift < 256; shift += 8) {
          Stored rows(type, kPanelRows * depth);
          for (size_t i = 0; i < kPanelRows * depth; i++) rows.set(i, double(int8_t(int(i) + shift)));
          std::vector<float> block(kPanelRows * depth);
          kernels().gemm_turn(rows.data(), type, kPanelRows, depth, depth, block.data(), false);
          for (size_t j = 0; j < kPanelRows; j++)
            for (size_t kk = 0; kk < depth; kk++)
              CHECK(double(block[kk * kPanelRows + j]) == rows[j * depth + kk], "%s, %s, %zu of %zu: %g, not %g", isa,
                    nameOf(type), kk, depth, double(block[kk * kPanelRows + j]), rows[j * depth + kk]);
        }
  });
}

TEST(any_address_may_be_prefetched) {
  onEveryIsa([](const char* isa) {
    const std::vector<float> a(64, 1), w(64 * kPanelRows, 2);
    for (uintptr_t address : {uintptr_t(1), uintptr_t(4096), uintptr_t(0x7fffffff0000), uintptr_t(0x900000000001),
                              uintptr_t(-1) / 2, ~uintptr_t(0) - 70000})
      for (bool near : {false, true}) {
        std::vector<float> c(kPanelRows);
        PanelJob job{};
        job.a = a.data();
        job.m = 1;
        job.tileRows = kernels().gemm_tile_rows();
        job.k = job.depth = 64;
        job.panel = w.data();
        job.type = WeightType::f32;
        job.c = c.data();
        job.ahead = reinterpret_cast<const char*>(address);
        job.near = near;
        kernels().gemm_panel(job);
        CHECK(c[0] == 128 && c[31] == 128, "%s", isa);
      }
  });
}

}  // namespace softlane::test
