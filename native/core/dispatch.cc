#include <atomic>
#include <cstdlib>
#include <mutex>

#include "../cpu.h"

namespace softlane {
namespace {

const Kernels kTables[] = {
    {
#define KERNEL(name, ret, args) &scalar::name,
#include "../catalogue.def"
    },
#ifdef SOFTLANE_X86_KERNELS
    {
#define KERNEL(name, ret, args) &avx2::name,
#include "../catalogue.def"
    },
    {
#define KERNEL(name, ret, args) &avx512::name,
#include "../catalogue.def"
    },
#endif
};

std::atomic<Isa> current{Isa::scalar};

}  // namespace

thread_local int scoped = -1;

const Kernels& kernels() { return kTables[int(currentIsa())]; }
Isa currentIsa() { return scoped >= 0 ? Isa(scoped) : current.load(std::memory_order_relaxed); }
IsaScope::IsaScope(Isa isa) : before_(scoped) { scoped = int(isa); }
IsaScope::~IsaScope() { scoped = before_; }
void selectIsa(Isa isa) { current.store(isa); }

std::string chooseIsa() {
  const char* wish = std::getenv("SOFTLANE_ISA");
  static std::mutex mutex;
  static bool chosen = false;  // workers load the module again: what setIsa has set since then stays
  const std::lock_guard<std::mutex> lock(mutex);
  if (chosen) return "";
  Isa isa = cpu::available().front();
  if (wish && *wish && !cpu::find(wish, isa)) {
    return std::string("environment variable SOFTLANE_ISA must be ") + cpu::choices() + ", received '" + wish + "'";
  }
  selectIsa(isa);
  chosen = true;
  return "";
}

// The defaults that `softlane tune` replaces, from benchmarks/README.md. Two passes win where a row and its result no
// longer fit the last-level cache (AVX-512: already from two thirds of it); without vectors the exponential always binds.
// 16-bit results: the blocked form keeps float32 exponentials aside, so two passes win earlier. Non-temporal stores are a
// loss on some CPUs and a gain on others: only calibration turns them on.
Tuning& tuning() {
  static Tuning& table = []() -> Tuning& {
    const size_t last = cpu::caches().l3 ? cpu::caches().l3 : size_t(32) << 20, never = ~size_t(0);
    static Tuning t;
    for (Isa isa : {Isa::scalar, Isa::avx2, Isa::avx512}) {
      const size_t from = isa == Isa::avx512 ? last / 3 * 2 : isa == Isa::avx2 ? last : never;
      for (auto& bytes : t.streamFrom[int(isa)]) bytes = never;
      for (Dtype dtype : {Dtype::f32, Dtype::f64}) t.twoPassFrom[int(isa)][int(dtype)] = from;
      for (Dtype dtype : {Dtype::bf16, Dtype::f16}) t.twoPassFrom[int(isa)][int(dtype)] = last / 2;
    }
    return t;
  }();
  return table;
}

}  // namespace softlane
