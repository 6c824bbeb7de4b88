#include <atomic>
#include <cstdlib>

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

const Kernels& kernels() { return kTables[int(current.load(std::memory_order_relaxed))]; }
Isa currentIsa() { return current.load(); }
void selectIsa(Isa isa) { current.store(isa); }

std::string chooseIsa() {
  const char* wish = std::getenv("SOFTLANE_ISA");
  static std::atomic<bool> chosen{false};  // workers load the module again: what setIsa has set since then stays
  if (chosen.exchange(true)) return "";
  Isa isa = cpu::available().front();
  if (wish && *wish && !cpu::find(wish, isa))
    {
    chosen = false;
    return std::string("environment variable SOFTLANE_ISA must be ") + cpu::choices() + ", received '" + wish + "'";
  }
  selectIsa(isa);
  return "";
}

// Measured on Zen 5 and Zen 4 (benchmarks/README.md): the defaults that `softlane tune` replaces.
Tuning& tuning() {
  static Tuning table = [] {
    Tuning t;
    for (auto& isa : t.twoPassFrom)
      for (size_t& from : isa) from = ~size_t(0);
    return t;
  }();
  return table;
}

}  // namespace softlane
