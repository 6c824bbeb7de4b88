// The steps of softmax-free attention between guard pages: both types, lengths around a vector, with and without row factors.
#include "guarded.h"

#if defined(__unix__) || defined(__APPLE__)

namespace softlane::test {

void guardSoft(Spans& spans, const char* isa) {
  const Kernels& k = kernels();
  for (Dtype type : {Dtype::f32, Dtype::f64})
    for (size_t rows : {1, 2, 5})
      for (size_t cols = 1; cols <= 35; cols++) {
        const auto with = [&](const char* kernel, auto body) {
          guarded(spans, isa, kernel,
                  std::string(nameOf(type)) + ", " + std::to_string(rows) + " rows of " + std::to_string(cols), body);
        };
        with("soft_norms", [&](Spans& s) {
          const void* x = s.in(type, rows * cols);
          k.soft_norms(x, type, rows, cols, 0.5, s.out(type, rows));
        });
        with("soft_gaussian", [&](Spans& s) {
          const size_t stride = cols + 3, elements = (rows - 1) * stride + cols;
          void* c = s.out(type, elements);
          for (size_t i = 0; i < elements; i++) put(c, type, i, double(i % 7) - 3);
          const void *left = s.in(type, rows), *right = s.in(type, cols);
          k.soft_gaussian({type, c, stride, rows, cols, left, right});
          for (size_t i = 0; i < rows; i++)
            for (size_t j = 0; j < cols; j++) {
              const double value =
                  type == Dtype::f64 ? static_cast<double*>(c)[i * stride + j] : static_cast<float*>(c)[i * stride + j];
              CHECK(value >= 0 && value <= 1, "%s", now);
            }
        });
        with("soft_gradient", [&](Spans& s) {
          void* e = s.out(type, rows * cols);
          for (size_t i = 0; i < rows * cols; i++) put(e, type, i, 1);
          const void* kernel = s.in(type, rows * cols);
          void* colSums = s.out(type, cols);
          for (size_t j = 0; j < cols; j++) put(colSums, type, j, 0);
          k.soft_gradient({type, e, kernel, cols, rows, cols, s.out(type, rows), colSums});
        });
        for (bool factors : {false, true})
          with("soft_add_rows", [&](Spans& s) {
            const void *x = s.in(type, rows * cols), *r = factors ? s.in(type, rows) : nullptr;
            void* y = s.out(type, rows * cols);
            for (size_t i = 0; i < rows * cols; i++) put(y, type, i, 1);
            k.soft_add_rows(x, r, type, 0.5, y, rows, cols);
          });
        if (type == Dtype::f64 && rows == 1)
          with("soft_newton", [&](Spans& s) {
            double* z = s.filled(cols * cols, 0.0);
            for (size_t i = 0; i < cols; i++) z[i * cols + i] = 0.75;
            CHECK(k.soft_newton(z, cols, s.out<double>(cols)) == 0.25 && z[0] == 1.25, "%s", now);
          });
      }
}

}  // namespace softlane::test
#endif
