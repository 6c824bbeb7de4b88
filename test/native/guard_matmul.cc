// The general product between guard pages: strides of plain and transposed factors, sizes around tiles, panels and blocks.
#include "guarded.h"

#if defined(__unix__) || defined(__APPLE__)

namespace softlane::test {

void guardMatmul(Spans& spans, const char* isa) {
  std::vector<char> scratch(kMatmulScratch);
  for (Dtype type : {Dtype::f32, Dtype::f64})
    for (size_t m : {1, 2, 7, 8, 9, 17})
      for (size_t n : {1, 3, 4, 8, 15, 16, 17, 31, 32, 33})
        for (size_t k : {0, 1, 3, 8, 17, 33, 129})
          for (int form = 0; form < 4; form++)
            guarded(spans, isa, "matmul",
                    std::to_string(m) + " x " + std::to_string(n) + " x " + std::to_string(k) + ", form " +
                        std::to_string(form) + (type == Dtype::f64 ? ", float64" : ", float32"),
                    [&](Spans& s) {
                      const bool ta = form & 1, tb = form & 2;
                      MatmulJob job{};
                      job.type = type;
                      job.a = s.in(type, m * k);
                      job.aRow = ta ? 1 : k;
                      job.aCol = ta ? m : 1;
                      job.b = s.in(type, k * n);
                      job.bRow = tb ? 1 : n;
                      job.bCol = tb ? k : 1;
                      job.c = s.out(type, m * n);
                      job.cRow = n;
                      job.m = m;
                      job.n = n;
                      job.k = k;
                      job.alpha = 0.5;
                      job.add = false;
                      kernels().matmul(job, scratch.data());
                      job.add = true;
                      kernels().matmul(job, scratch.data());
                    });
}

}  // namespace softlane::test
#endif
