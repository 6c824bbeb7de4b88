// The algebra of linear recurrences: associative, with an identity, and folded in any grouping the state of the steps one by
// one.
#include "../../native/algebra/recurrence.h"

#include <cmath>
#include <vector>

#include "check.h"

namespace softlane::test {
namespace {

using Step = algebra::LinearStep<double>;

/// Numbers in [-1, 1) from a congruence.
struct Numbers {
  uint64_t state = 88172645463325252u;
  double next() {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return double(int64_t(state) >> 11) * 0x1p-52;
  }
  Step step() {
    const double a = next(), b = next();
    return Step::init(a, b);
  }
};

bool near(const Step& x, const Step& y) { return std::fabs(x.a - y.a) < 1e-15 && std::fabs(x.b - y.b) < 1e-15; }

/// The element of steps [begin, end), folded as a tree that is cut at random places.
Step fold(const std::vector<Step>& steps, size_t begin, size_t end, Numbers& numbers) {
  if (begin == end) return Step::identity(1, 0);
  if (end - begin == 1) return steps[begin];
  const size_t cut = begin + size_t((numbers.next() + 1) / 2 * double(end - begin + 1));
  if (cut <= begin || cut >= end)
    return Step::combine(fold(steps, begin, begin + 1, numbers), fold(steps, begin + 1, end, numbers));
  return Step::combine(fold(steps, begin, cut, numbers), fold(steps, cut, end, numbers));
}

}  // namespace

TEST(recurrence_elements_are_a_monoid) {
  Numbers numbers;
  const Step one = Step::identity(1, 0);
  for (int i = 0; i < 2000; i++) {
    const Step x = numbers.step(), y = numbers.step(), z = numbers.step();
    CHECK(near(Step::combine(Step::combine(x, y), z), Step::combine(x, Step::combine(y, z))), "element %d", i);
    const Step left = Step::combine(one, x), right = Step::combine(x, one);
    CHECK(left.a == x.a && left.b == x.b && right.a == x.a && right.b == x.b, "element %d", i);
  }
}

TEST(recurrence_elements_in_any_grouping_are_the_steps_one_by_one) {
  Numbers numbers;
  for (size_t n : {0, 1, 2, 3, 7, 16, 61, 200}) {
    std::vector<Step> steps(n);
    for (Step& each : steps) each = numbers.step();
    const double first = numbers.next();
    double state = first;
    for (const Step& each : steps) state = each.a * state + each.b;
    for (int repeat = 0; repeat < 20; repeat++) {
      const double folded = fold(steps, 0, n, numbers).apply(first);
      CHECK(std::fabs(folded - state) < 1e-14, "%zu steps: %.17g, one by one %.17g", n, folded, state);
    }
  }
}

}  // namespace softlane::test
