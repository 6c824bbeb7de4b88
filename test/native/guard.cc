// Guard pages: every kernel on spans that end exactly at a page nobody may touch, and on spans that start right after
// one, at all lengths up to 130 and around a block. Reading or writing one byte too far ends the process; the handler
// says where. Bytes beside the output that lie on the span's own page must keep their value.
#include "check.h"
#include "storage.h"

#if defined(__unix__) || defined(__APPLE__)
#include <csignal>
#include <set>
#include <sys/mman.h>
#include <unistd.h>

namespace softlane::test {
namespace {

constexpr unsigned char kCanary = 0xa5;

/// Memory between two pages without access.
class Guarded {
 public:
  Guarded() {
    const size_t page = size_t(sysconf(_SC_PAGESIZE));
    bytes_ = (kLargest * 8 / page + 2) * page;
    mapping_ = static_cast<char*>(mmap(nullptr, bytes_ + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    begin_ = mapping_ + page;
    mprotect(begin_, bytes_, PROT_READ | PROT_WRITE);
  }
  ~Guarded() { munmap(mapping_, bytes_ + 2 * size_t(sysconf(_SC_PAGESIZE))); }
  Guarded(const Guarded&) = delete;

  /// A span of `bytes` that ends at the upper guard, or starts at the lower one; canaries around it.
  void* span(size_t bytes, bool atEnd) {
    size_ = bytes;
    span_ = atEnd ? begin_ + bytes_ - bytes : begin_;
    if (atEnd) std::memset(span_ - kMargin, kCanary, kMargin);
    else std::memset(span_ + bytes, kCanary, kMargin);
    atEnd_ = atEnd;
    return span_;
  }
  bool intact() const {
    const unsigned char* margin = reinterpret_cast<unsigned char*>(atEnd_ ? span_ - kMargin : span_ + size_);
    for (size_t i = 0; i < kMargin; i++)
      if (margin[i] != kCanary) return false;
    return true;
  }

  static constexpr size_t kLargest = 2 * 4097;

 private:
  static constexpr size_t kMargin = 256;
  char *mapping_, *begin_, *span_ = nullptr;
  size_t bytes_, size_ = 0;
  bool atEnd_ = false;
};

/// What runs at the moment, for the handler.
char now[256];

void onFault(int) {
  const char text[] = "\n  a kernel touched memory outside its span: ";
  (void)!write(2, text, sizeof text - 1);
  (void)!write(2, now, std::strlen(now));
  (void)!write(2, "\n", 1);
  _exit(1);
}

struct Handler {
  struct sigaction segv, bus;
  Handler() {
    struct sigaction mine {};
    mine.sa_handler = onFault;
    sigaction(SIGSEGV, &mine, &segv);
    sigaction(SIGBUS, &mine, &bus);
  }
  ~Handler() {
    sigaction(SIGSEGV, &segv, nullptr);
    sigaction(SIGBUS, &bus, nullptr);
  }
};

std::set<std::string> covered;

/// Spans of the case under way: inputs filled with values of their type, outputs watched.
struct Spans {
  bool atEnd;
  Guarded pages[6];
  int used = 0;

  const void* in(Dtype dtype, size_t n) {
    void* p = pages[used++].span(n * sizeOf(dtype), atEnd);
    for (size_t i = 0; i < n; i++) put(p, dtype, i, double(int(i * 7 % 23)) - 11);
    return p;
  }
  template <class T>
  T* out(size_t n) {
    return static_cast<T*>(pages[used++].span(n * sizeof(T), atEnd));
  }
  void* out(Dtype dtype, size_t n) { return pages[used++].span(n * sizeOf(dtype), atEnd); }
  bool intact() const {
    for (int i = 0; i < used; i++)
      if (!pages[i].intact()) return false;
    return true;
  }
};

/// Calls body(spans) for both placements and checks the canaries.
template <class Body>
void guarded(Spans& spans, const char* isa, const char* kernel, Dtype in, Dtype out, size_t n, Body body) {
  covered.insert(kernel);
  for (bool atEnd : {true, false}) {
    spans.atEnd = atEnd;
    spans.used = 0;
    std::snprintf(now, sizeof now, "%s on %s, %s to %s, %zu elements, %s", kernel, isa, nameOf(in), nameOf(out), n,
                  atEnd ? "ending at the guard" : "starting after the guard");
    body(spans);
    CHECK(spans.intact(), "%s", now);
  }
}

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
}

}  // namespace

TEST(no_kernel_leaves_its_spans) {
  Handler handler;
  Spans spans;
  onEveryIsa([&](const char* isa) {
    for (size_t n : guardedLengths()) {
      ofFloats(spans, isa, n);
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
