// The container's CPU quota, read from a pretended file system: cgroup v2 and v1.
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <thread>

#include "check.h"

namespace softlane::test {
namespace {

namespace fs = std::filesystem;

/// A root folder with the given files; removed afterwards.
class Root {
 public:
  Root() {
    std::string pattern = (fs::temp_directory_path() / "softlane-XXXXXX").string();
    path_ = mkdtemp(pattern.data());
  }
  ~Root() { fs::remove_all(path_); }
  Root& with(const std::string& file, const std::string& text) {
    const fs::path path = fs::path(path_) / "sys/fs/cgroup" / file;
    fs::create_directories(path.parent_path());
    std::ofstream(path) << text;
    return *this;
  }
  std::string path() const { return path_ + "/"; }

 private:
  std::string path_;
};

}  // namespace

TEST(quota_of_cgroup_v2) {
  const std::pair<const char*, double> files[] = {
      {"max 100000\n", 0}, {"150000 100000\n", 1.5}, {"400000 100000\n", 4}, {"50000 100000\n", 0.5}, {"", 0},
      {"nonsense\n", 0},   {"100000 0\n", 0},        {"100000\n", 0}};
  for (const auto& [text, wanted] : files) {
    Root root;
    root.with("cpu.max", text);
    CHECK(cpu::quota(root.path()) == wanted, "cpu.max \"%s\": %g, not %g", text, cpu::quota(root.path()), wanted);
  }
}

TEST(quota_of_cgroup_v1) {
  const std::tuple<const char*, const char*, double> files[] = {{"-1\n", "100000\n", 0},
                                                                {"250000\n", "100000\n", 2.5},
                                                                {"100000\n", "50000\n", 2},
                                                                {"100000\n", "0\n", 0},
                                                                {"", "", 0}};
  for (const auto& [quota, period, wanted] : files) {
    Root root;
    root.with("cpu/cpu.cfs_quota_us", quota).with("cpu/cpu.cfs_period_us", period);
    CHECK(cpu::quota(root.path()) == wanted, "%s / %s: %g, not %g", quota, period, cpu::quota(root.path()), wanted);
  }
}

TEST(no_cgroup_means_no_quota) {
  Root root;
  CHECK(cpu::quota(root.path()) == 0, "%g", cpu::quota(root.path()));
}

TEST(usable_cores_respect_the_quota) {
  Root free;
  const size_t all = cpu::usableCores(free.path());
  CHECK(all >= 1 && all <= std::thread::hardware_concurrency(), "%zu cores", all);
  for (const auto& [text, most] : {std::pair<const char*, size_t>{"100000 100000", 1},
                                   {"10000 100000", 1},
                                   {"199999 100000", 1},
                                   {"200000 100000", 2},
                                   {"99900000 100000", all}}) {
    Root root;
    root.with("cpu.max", text);
    const size_t wanted = most < all ? most : all;
    CHECK(cpu::usableCores(root.path()) == wanted, "%s: %zu cores, not %zu", text, cpu::usableCores(root.path()),
          wanted);
  }
}

TEST(instruction_sets_are_named) {
  Isa isa;
  CHECK(cpu::find("scalar", isa) && isa == Isa::scalar, "scalar is always there");
  CHECK(!cpu::find("sse9", isa) && !cpu::find("", isa) && !cpu::find("AVX2", isa), "unknown names are refused");
  CHECK(cpu::choices().find("scalar") != std::string::npos, "%s", cpu::choices().c_str());
  for (Isa each : cpu::available())
    CHECK(cpu::find(kIsaNames[int(each)], isa) && isa == each, "%s", kIsaNames[int(each)]);
}

}  // namespace softlane::test
