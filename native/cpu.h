// What the machine is: instruction sets, caches, cores. Choice of the kernel table.
#pragma once
#include <atomic>
#include <string>
#include <vector>

#include "dispatch.h"

namespace softlane {

enum class Isa { scalar, avx2, avx512 };
constexpr const char* kIsaNames[] = {"scalar", "avx2", "avx512"};

namespace cpu {

struct Caches {
  size_t l1d, l2, l3;  ///< bytes; 0 where unknown
};

std::string name();
Caches caches();
/// Physical cores of the machine (not hyper-threads).
size_t physicalCores();
/// Physical cores the process may use: affinity and the container's CPU quota count. `root` is "/" but for tests.
size_t usableCores(const std::string& root);
/// The container's CPU quota in CPUs under `root`, cgroup v2 or v1; 0 where there is none.
double quota(const std::string& root);

/// What CPU and operating system both support, best first.
std::vector<Isa> available();
/// Finds an available instruction set by its name.
bool find(const std::string& name, Isa& isa);
/// "one of avx512, avx2, scalar (what this CPU and operating system support)"
std::string choices();

}  // namespace cpu

/// The instruction set of the call that runs on this thread (IsaScope), else of the process.
Isa currentIsa();
/// Holds a call to the instruction set it began with, whatever setIsa does meanwhile.
class IsaScope {
 public:
  explicit IsaScope(Isa isa);
  ~IsaScope();
  IsaScope(const IsaScope&) = delete;
  IsaScope& operator=(const IsaScope&) = delete;

 private:
  int before_;
};
/// The caller has checked that the CPU has it.
void selectIsa(Isa isa);
/// Takes SOFTLANE_ISA or the best there is. Returns a complaint about an unknown or unavailable name, or nothing.
std::string chooseIsa();

/// What `auto` needs to know of the machine; set by calibration.
struct Tuning {
  /// Bytes of a row of x and y together from which two passes beat the blocked form, per ISA and dtype (in = out);
  /// ~0 for never.
  std::atomic<size_t> twoPassFrom[3][4];
  /// Bytes of a call's x and y together from which non-temporal stores pay; ~0 for never.
  std::atomic<size_t> streamFrom[3][4];
};
Tuning& tuning();

}  // namespace softlane
