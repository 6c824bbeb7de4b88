#include "pages.h"

#include <cstdint>
#include <cstdlib>
#include <cstring>

#ifdef __linux__
#include <sys/mman.h>
#endif

namespace softlane::pages {
namespace {

constexpr size_t kLine = 64;
size_t rounded(size_t bytes, size_t unit) { return (bytes + unit - 1) / unit * unit; }

}  // namespace

#ifdef __linux__
constexpr size_t kPage = size_t(2) << 20;

static void* mapped(size_t bytes) {
  const size_t size = rounded(bytes, kPage);
  void* at = mmap(nullptr, size + kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (at == MAP_FAILED) return nullptr;
  char* begin = static_cast<char*>(at);
  char* aligned = reinterpret_cast<char*>(rounded(uintptr_t(begin), kPage));
  if (aligned > begin) munmap(begin, size_t(aligned - begin));
  const size_t after = size_t(begin + size + kPage - (aligned + size));
  if (after) munmap(aligned + size, after);
#ifdef MADV_HUGEPAGE
  madvise(aligned, size, MADV_HUGEPAGE);  // a wish: without it the pages are small
#endif
  return aligned;
}
#endif

void* allocate(size_t bytes) {
#ifdef __linux__
  if (bytes >= kLarge) return mapped(bytes);
#endif
  void* p = std::aligned_alloc(kLine, rounded(bytes ? bytes : 1, kLine));
  if (p) std::memset(p, 0, bytes);
  return p;
}

void release(void* p, size_t bytes) {
#ifdef __linux__
  if (bytes >= kLarge) {
    munmap(p, rounded(bytes, kPage));
    return;
  }
#endif
  (void)bytes;
  std::free(p);
}

}  // namespace softlane::pages
