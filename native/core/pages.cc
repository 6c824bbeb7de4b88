#include "pages.h"

#include <cstdint>

#ifdef __linux__
#include <sys/mman.h>
#endif

namespace softlane::pages {

size_t advise(void* p, size_t bytes) {
#if defined(__linux__) && defined(MADV_HUGEPAGE)
  const size_t offset = (kPage - uintptr_t(p) % kPage) % kPage;
  if (bytes < offset + kPage) return 0;
  const size_t whole = (bytes - offset) / kPage * kPage;
  madvise(static_cast<char*>(p) + offset, whole, MADV_HUGEPAGE);  // a wish: without it the pages are small
  return offset;
#else
  (void)p;
  (void)bytes;
  return 0;
#endif
}

}  // namespace softlane::pages
