// Every kernel between guard pages, at all lengths up to 130 and around a block.
#include "guarded.h"

#if defined(__unix__) || defined(__APPLE__)

namespace softlane::test {
namespace {

std::vector<size_t> guardedLengths() {
  std::vector<size_t> list;
  for (size_t n = 0; n <= 130; n++) list.push_back(n);
  for (size_t n : {4095, 4096, 4097}) list.push_back(n);
  return list;
}

void fromInToOut(Spans& s, const char* isa, Dtype in, Dtype out, const ExpForm& form, size_t n) {
  const Kernels& k = kernels();
  const auto with = [&](const char* kernel, auto body) { guarded(s, isa, kernel, in, out, n, body); };
  for (bool stream : {false, true}) {
    const Affine affine{0.5, stream ? 0.0 : 0.25, stream};
    with("scale_ext", [&](Spans& s) {
      const void* x = s.in(in, n);
      k.scale_ext(x, in, s.out(out, n), out, n, form, 3, affine);
    });
    with("exp_scale", [&](Spans& s) {
      const void* x = s.in(in, n);
      k.exp_scale(x, in, s.out(out, n), out, n, form, 12, affine);
    });
    with("scale", [&](Spans& s) {
      const void* x = s.in(computeOf(out), n);
      k.scale(x, s.out(out, n), out, n, affine);
    });
  }
  with("log_scale_ext", [&](Spans& s) {
    const void* x = s.in(in, n);
    k.log_scale_ext(x, in, s.out(out, n), out, n, form, 12.5, true);
  });
  with("log_scale", [&](Spans& s) {
    const void* x = s.in(in, n);
    k.log_scale(x, in, s.out(out, n), out, n, form, 12, 0.5, true);
  });
  with("convert", [&](Spans& s) {
    const void* x = s.in(in, n);
    k.convert(x, in, s.out(out, n), out, n);
  });
  if (n == 0 || n > kBlock) return;
  for (bool log : {false, true}) {
    with("softmax_rows", [&](Spans& s) {
      const void* x = s.in(in, n);
      k.softmax_rows({x, s.out(out, n), 1, n, n, n, in, out}, form, log, 0, false, true);
    });
    if (n > kTransposed) continue;
    for (size_t rows : {1, 2, 15, 17})
      with("softmax_rows", [&](Spans& s) {
        const void* x = s.in(in, rows * n);
        k.softmax_rows({x, s.out(out, rows * n), rows, n, n, n, in, out}, form, log, 0, true, false);
      });
  }
}

void fromIn(Spans& s, const char* isa, Dtype in, const ExpForm& form, size_t n) {
  const Kernels& k = kernels();
  const size_t blocks = blocksOf(n);
  const auto with = [&](const char* kernel, auto body) { guarded(s, isa, kernel, in, in, n, body); };
  with("reduce_ext", [&](Spans& s) {
    const void* x = s.in(in, n);
    k.reduce_ext(x, in, n, form, s.out<Pair>(blocks));
  });
  with("exp_sum", [&](Spans& s) {
    const void* x = s.in(in, n);
    k.exp_sum(x, in, n, form, 12, nullptr, s.out<double>(blocks));
  });
  with("exp_sum", [&](Spans& s) {
    const void* x = s.in(in, n);
    double* tops = s.out<double>(blocks);
    k.exp_sum(x, in, n, form, 0, tops, s.out<double>(blocks));
  });
  with("exp_moments", [&](Spans& s) {
    const void* x = s.in(in, n);
    double *tops = s.out<double>(blocks), *sums = s.out<double>(blocks);
    k.exp_moments(x, in, n, form, tops, sums, s.out<double>(blocks));
  });
  with("exp_store_sum", [&](Spans& s) {
    const void* x = s.in(in, n);
    void* y = s.out(computeOf(in), n);
    k.exp_store_sum(x, in, y, n, expForm(form.temperature, form.precision), 12, nullptr, s.out<double>(blocks));
  });
  with("exp_store_sum", [&](Spans& s) {
    const void* x = s.in(in, n);
    void* y = s.out(computeOf(in), n);
    double* tops = s.out<double>(blocks);
    k.exp_store_sum(x, in, y, n, expForm(form.temperature, form.precision), 0, tops, s.out<double>(blocks));
  });
  with("span_max", [&](Spans& s) { CHECK(k.span_max(s.in(in, n), in, n) <= 11, "%s", now); });
  with("sum", [&](Spans& s) {
    const void* x = s.in(in, n);
    k.sum(x, in, n, s.out<double>(blocks));
  });
  if (in != Dtype::f32 && in != Dtype::f64) return;
  with("dot", [&](Spans& s) {
    const void *a = s.in(in, n), *b = s.in(in, n);
    k.dot(a, b, in, n, s.out<double>(blocks));
  });
  with("softmax_grad", [&](Spans& s) {
    const void *a = s.in(in, n), *b = s.in(in, n);
    k.softmax_grad(a, b, s.out(in, n), in, n, 0.5, 1);
  });
  with("log_softmax_grad", [&](Spans& s) {
    const void *a = s.in(in, n), *b = s.in(in, n);
    k.log_softmax_grad(a, b, s.out(in, n), in, n, 0.5, 1);
  });
}

void ofFloats(Spans& s, const char* isa, size_t n) {
  const Kernels& k = kernels();
  const auto with = [&](const char* kernel, auto body) { guarded(s, isa, kernel, Dtype::f32, Dtype::f32, n, body); };
  const auto floats = [n](Spans& s) { return static_cast<const float*>(s.in(Dtype::f32, n)); };
  with("ext_exp", [&](Spans& s) {
    const float* x = floats(s);
    float* m = s.out<float>(n);
    k.ext_exp(x, m, s.out<float>(n), n);
  });
  with("ext_add", [&](Spans& s) {
    const float *ma = floats(s), *ea = floats(s), *mb = floats(s), *eb = floats(s);
    float* m = s.out<float>(n);
    k.ext_add(ma, ea, mb, eb, m, s.out<float>(n), n);
  });
  with("stream_read", [&](Spans& s) { CHECK(k.stream_read(floats(s), n) <= 11, "%s", now); });
  for (bool stream : {false, true})
    with("stream_copy", [&](Spans& s) {
      const float* x = floats(s);
      k.stream_copy(x, s.out<float>(n), n, stream);
    });
  if (n < 40)  // steps of 64 channels, 16 states
    with("scan_ceiling", [&](Spans& s) {
      const float *u = s.floats(n * 64), *delta = s.floats(n * 64), *b = s.floats(n * 16), *c = s.floats(n * 16);
      float* out = s.out<float>(n * 64);
      k.scan_ceiling(u, delta, b, c, out, 64, n, 0.5f, s.out<float>(3072));
    });
}

/// The steps of a decoder; in place too, as the forward pass calls them.
void ofDecoder(Spans& s, const char* isa, size_t n) {
  const Kernels& k = kernels();
  const auto with = [&](const char* kernel, auto body) { guarded(s, isa, kernel, Dtype::f32, Dtype::f32, n, body); };
  with("rms_norm", [&](Spans& s) {
    const float *x = s.floats(n), *w = s.floats(n);
    k.rms_norm(x, w, s.out<float>(n), n, 1e-5f);
  });
  for (bool bias : {false, true})
    with("layer_norm", [&](Spans& s) {
      const float *x = s.floats(n), *w = s.floats(n), *b = bias ? s.floats(n) : nullptr;
      k.layer_norm(x, w, b, s.out<float>(n), n, 1e-5f);
    });
  with("add_rows", [&](Spans& s) {
    const float* x = s.floats(n);
    float* y = s.filled(n, 1.0f);
    k.add_rows(x, y, y, n);
  });
  with("swiglu", [&](Spans& s) {
    const float *gate = s.floats(n), *up = s.floats(n);
    k.swiglu(gate, up, s.out<float>(n), n);
  });
  for (bool interleaved : {false, true})
    with("rotate", [&](Spans& s) {
      const float *x = s.floats(2 * n), *cosines = s.floats(n), *sines = s.floats(n);
      k.rotate(x, cosines, sines, s.out<float>(2 * n), 2 * n, interleaved);
    });
  with("unified_exp", [&](Spans& s) {
    const float* x = s.floats(n);
    float* y = s.out<float>(n);
    double* sum = s.out<double>(1);
    CHECK(k.unified_exp(x, y, n, 0, -30, 30, sum) && *sum >= 0, "%s", now);
  });
}

}  // namespace

TEST(no_kernel_leaves_its_spans) {
  Handler handler;
  Spans spans;
  onEveryIsa([&](const char* isa) {
    guardElastic(spans, isa);
    guardGemm(spans, isa);
    guardAttention(spans, isa);
    guardLinear(spans, isa);
    guardScan(spans, isa);
    guardSelective(spans, isa);
    guardMatmul(spans, isa);
    guardTensor(spans, isa);
    guardSoft(spans, isa);
    for (size_t n : guardedLengths()) {
      ofFloats(spans, isa, n);
      if (n > 0) ofDecoder(spans, isa, n);
      for (Dtype in : kDtypes) {
        for (double temperature : {1.0, 0.7})
          for (bool wide : {false, true}) {
            fromIn(spans, isa, in, expForm(temperature, computeOf(in), wide), n);
            for (Dtype out : kDtypes)
              if (compatible(in, out)) fromInToOut(spans, isa, in, out, expForm(temperature, out, wide), n);
          }
      }
    }
  });
  covered.insert("fma_chain");  // touches no memory
#define KERNEL(name, ret, args) CHECK(covered.count(#name), "guard.cc has no case for the kernel %s", #name);
#include "../../native/catalogue.def"
}

}  // namespace softlane::test
#endif
