// A test program of its own: TEST(name) { ... CHECK(condition, "format", ...); }. No framework, so that it builds
// wherever the library does, and runs under sanitizers without Node.
#pragma once
#include <cstdarg>
#include <cstdio>
#include <string>
#include <vector>

#include "../../native/cpu.h"

namespace softlane::test {

struct Case {
  const char* name;
  void (*run)();
};

/// Every TEST of the program, in the order of linking.
std::vector<Case>& cases();

/// Counts a check; prints the first failures of a test, with where they are.
bool record(bool holds, const char* file, int line, const char* condition, const char* format = "", ...);

struct Registration {
  Registration(const char* name, void (*run)()) { cases().push_back({name, run}); }
};

/// Runs the body once for every instruction set of this CPU, scalar last, and restores the one in use.
template <class Body>
void onEveryIsa(Body body) {
  const Isa before = currentIsa();
  for (Isa isa : cpu::available()) {
    selectIsa(isa);
    body(kIsaNames[int(isa)]);
  }
  selectIsa(before);
}

}  // namespace softlane::test

#define TEST(name)                                                                     \
  static void test_##name();                                                           \
  static const ::softlane::test::Registration registration_##name(#name, test_##name); \
  static void test_##name()

/// CHECK(condition) or CHECK(condition, "printf format", ...): returns the condition, so that a loop may stop.
#define CHECK(condition, ...) \
  ::softlane::test::record((condition), __FILE__, __LINE__, #condition __VA_OPT__(, ) __VA_ARGS__)
