// softlane_test [SUBSTRING]: runs every test whose name holds the substring. Exits with 1 when one fails.
#include <cstring>

#include "check.h"

namespace softlane::test {
namespace {
size_t checks, failures;
constexpr size_t kShown = 5;
}  // namespace

std::vector<Case>& cases() {
  static std::vector<Case> list;
  return list;
}

bool record(bool holds, const char* file, int line, const char* condition, const char* format, ...) {
  checks++;
  if (holds) return true;
  if (++failures <= kShown) {
    std::fprintf(stderr, "  %s:%d: %s does not hold: ", file, line, condition);
    va_list arguments;
    va_start(arguments, format);
    std::vfprintf(stderr, format, arguments);
    va_end(arguments);
    std::fputc('\n', stderr);
  }
  return false;
}

}  // namespace softlane::test

int main(int argc, char** argv) {
  using namespace softlane;
  using namespace softlane::test;
  const std::string complaint = chooseIsa();
  if (!complaint.empty()) {
    std::fprintf(stderr, "%s\n", complaint.c_str());
    return 2;
  }
  int passed = 0, failed = 0;
  for (const Case& each : cases()) {
    if (argc > 1 && !std::strstr(each.name, argv[1])) continue;
    checks = failures = 0;
    each.run();
    CHECK(checks > 0, "a test that checks nothing");
    std::printf("%s %s (%zu checks)\n", failures ? "FAIL" : "ok  ", each.name, checks);
    if (failures > kShown) std::fprintf(stderr, "  and %zu failures more\n", failures - kShown);
    (failures ? failed : passed)++;
  }
  std::printf("%d passed, %d failed\n", passed, failed);
  return failed || !passed ? 1 : 0;
}
