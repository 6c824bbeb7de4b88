#include "../cpu.h"

#include <cstdio>
#include <cstring>
#include <fstream>
#include <set>
#include <sstream>
#include <thread>

#if defined(__x86_64__) || defined(_M_X64)
#define SOFTLANE_X86 1
#include <cpuid.h>
#endif
#if defined(__linux__)
#include <sched.h>
#include <unistd.h>
#endif

namespace softlane::cpu {
namespace {

#ifdef SOFTLANE_X86
struct Registers {
  unsigned a, b, c, d;
};
Registers cpuid(unsigned leaf, unsigned sub = 0) {
  Registers r{};
  __get_cpuid_count(leaf, sub, &r.a, &r.b, &r.c, &r.d);
  return r;
}
/// The wide registers that the operating system saves: CPUID alone does not say.
unsigned savedState() {
  unsigned low, high;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return low;
}
bool hasAvx2() {
  Registers one = cpuid(1), seven = cpuid(7);
  bool osxsave = one.c >> 27 & 1, fma = one.c >> 12 & 1, f16c = one.c >> 29 & 1, avx2 = seven.b >> 5 & 1;
  return osxsave && fma && f16c && avx2 && (savedState() & 0x6) == 0x6;
}
bool hasAvx512() {
  unsigned b = cpuid(7).b;
  bool f = b >> 16 & 1, dq = b >> 17 & 1, bw = b >> 30 & 1, vl = b >> 31 & 1;
  return hasAvx2() && f && dq && bw && vl && (savedState() & 0xe6) == 0xe6;
}
#else
bool hasAvx2() { return false; }
bool hasAvx512() { return false; }
#endif

std::string firstLine(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

/// From the kernel rather than sysconf, which in virtual machines has been seen to multiply the third level by ten, and
/// which musl does not have.
size_t cacheBytes(int level) {
#if defined(__linux__)
  for (int index = 0; index < 8; index++) {
    std::string base = "/sys/devices/system/cpu/cpu0/cache/index" + std::to_string(index) + "/";
    if (firstLine(base + "level") != std::to_string(level) || firstLine(base + "type") == "Instruction") continue;
    std::istringstream size(firstLine(base + "size"));
    size_t number = 0;
    char unit = 0;
    size >> number >> unit;
    return unit == 'K' ? number << 10 : unit == 'M' ? number << 20 : number;
  }
#endif
  (void)level;
  return 0;
}

/// Distinct (package, core) pairs among the CPUs that `allowed` admits.
template <class Allowed>
size_t coresWhere(Allowed allowed) {
  std::set<std::string> cores;
  size_t cpus = std::thread::hardware_concurrency();
#if defined(__linux__)
  long configured = sysconf(_SC_NPROCESSORS_CONF);
  for (long cpu = 0; cpu < configured; cpu++) {
    if (!allowed(cpu)) continue;
    std::string base = "/sys/devices/system/cpu/cpu" + std::to_string(cpu) + "/topology/";
    std::string core = firstLine(base + "core_id");
    if (!core.empty()) cores.insert(firstLine(base + "physical_package_id") + ":" + core);
  }
#else
  (void)allowed;
#endif
  return cores.empty() ? (cpus ? cpus : 1) : cores.size();
}

}  // namespace

std::string name() {
#ifdef SOFTLANE_X86
  char text[49] = {};
  if (cpuid(0x80000000).a >= 0x80000004) {
    for (unsigned i = 0; i < 3; i++) {
      Registers r = cpuid(0x80000002 + i);
      std::memcpy(text + 16 * i, &r, 16);
    }
    std::string trimmed(text);
    trimmed.erase(0, trimmed.find_first_not_of(' '));
    trimmed.erase(trimmed.find_last_not_of(' ') + 1);
    return trimmed;
  }
#endif
  return "unknown";
}

Caches caches() { return {cacheBytes(1), cacheBytes(2), cacheBytes(3)}; }

size_t physicalCores() {
  return coresWhere([](long) { return true; });
}

double quota(const std::string& root) {
  std::istringstream two(firstLine(root + "sys/fs/cgroup/cpu.max"));  // "max 100000" or "150000 100000"
  double limit = 0, period = 0;
  if (two >> limit >> period && period > 0) return limit / period;
  std::istringstream ofQuota(firstLine(root + "sys/fs/cgroup/cpu/cpu.cfs_quota_us"));
  std::istringstream ofPeriod(firstLine(root + "sys/fs/cgroup/cpu/cpu.cfs_period_us"));
  if (ofQuota >> limit && ofPeriod >> period && limit > 0 && period > 0) return limit / period;
  return 0;
}

size_t usableCores(const std::string& root) {
#if defined(__linux__)
  cpu_set_t set;
  bool known = sched_getaffinity(0, sizeof(set), &set) == 0;
  size_t cores = coresWhere([&](long cpu) { return !known || (cpu < CPU_SETSIZE && CPU_ISSET(cpu, &set)); });
#else
  size_t cores = physicalCores();
#endif
  double limit = quota(root);
  if (limit > 0 && limit < double(cores)) cores = limit < 1 ? 1 : size_t(limit);
  return cores ? cores : 1;
}

std::vector<Isa> available() {
  std::vector<Isa> list;
  if (hasAvx512()) list.push_back(Isa::avx512);
  if (hasAvx2()) list.push_back(Isa::avx2);
  list.push_back(Isa::scalar);
  return list;
}

bool find(const std::string& name, Isa& isa) {
  for (Isa each : available()) {
    if (name != kIsaNames[int(each)]) continue;
    isa = each;
    return true;
  }
  return false;
}

std::string choices() {
  std::string list;
  for (Isa each : available()) list += (list.empty() ? "" : ", ") + std::string(kIsaNames[int(each)]);
  return "one of " + list + " (what this CPU and operating system support)";
}

}  // namespace softlane::cpu
