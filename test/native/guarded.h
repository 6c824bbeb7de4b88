// Guard pages: spans that end exactly at a page nobody may touch, or start right after one. Reading or writing one byte
// too far ends the process; the handler says where. Bytes beside a span that lie on its own pages must keep their value.
#pragma once
#include "check.h"
#include "storage.h"
#include "weights.h"

#if defined(__unix__) || defined(__APPLE__)
#include <csignal>
#include <set>
#include <sys/mman.h>
#include <unistd.h>

namespace softlane::test {

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
inline char now[256];

inline void onFault(int) {
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

/// The kernels that have had a case.
inline std::set<std::string> covered;

/// Spans of the case under way: inputs filled with values of their type, outputs watched.
struct Spans {
  bool atEnd;
  Guarded pages[24];
  int used = 0;

  const void* in(Dtype dtype, size_t n) {
    void* p = pages[used++].span(n * sizeOf(dtype), atEnd);
    for (size_t i = 0; i < n; i++) put(p, dtype, i, double(int(i * 7 % 23)) - 11);
    return p;
  }
  const void* in(WeightType type, size_t n) {
    void* p = pages[used++].span(n * sizeOf(type), atEnd);
    for (size_t i = 0; i < n; i++) put(p, type, i, double(int(i * 7 % 23)) - 11);
    return p;
  }
  const float* floats(size_t n) { return static_cast<const float*>(in(Dtype::f32, n)); }
  /// n times the same value.
  template <class T>
  T* filled(size_t n, T value) {
    T* p = out<T>(n);
    for (size_t i = 0; i < n; i++) p[i] = value;
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
void guarded(Spans& spans, const char* isa, const char* kernel, const std::string& what, Body body) {
  covered.insert(kernel);
  for (bool atEnd : {true, false}) {
    spans.atEnd = atEnd;
    spans.used = 0;
    std::snprintf(now, sizeof now, "%s on %s, %s, %s", kernel, isa, what.c_str(),
                  atEnd ? "ending at the guard" : "starting after the guard");
    body(spans);
    CHECK(spans.intact(), "%s", now);
  }
}
template <class Body>
void guarded(Spans& spans, const char* isa, const char* kernel, Dtype in, Dtype out, size_t n, Body body) {
  guarded(spans, isa, kernel, std::string(nameOf(in)) + " to " + nameOf(out) + ", " + std::to_string(n) + " elements",
          body);
}

/// Cases of the elastic family, of products and of attention, in guard_elastic.cc, guard_gemm.cc, guard_attention.cc and so
/// on.
void guardElastic(Spans& spans, const char* isa);
void guardGemm(Spans& spans, const char* isa);
void guardAttention(Spans& spans, const char* isa);
void guardLinear(Spans& spans, const char* isa);
void guardScan(Spans& spans, const char* isa);
void guardTensor(Spans& spans, const char* isa);
void guardSoft(Spans& spans, const char* isa);
void guardSelective(Spans& spans, const char* isa);
void guardMatmul(Spans& spans, const char* isa);

}  // namespace softlane::test
#endif
