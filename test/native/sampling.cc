// Sampling against a plain sort in float64: what top-k, top-p and min-p leave, the token that a number draws, the best ids.
// Arrays have no room to spare, so that sanitizers see whoever reads past them.
#include <algorithm>
#include <numeric>

#include "../../native/ops.h"
#include "check.h"
#include "storage.h"

namespace softlane::test {
namespace {

struct Settings {
  double temperature, topK, topP, minP, penalty, uniform;
};

/// Rows of logits that lie apart, so that no rounding decides what is kept.
std::vector<float> logitsOf(size_t vocab, unsigned seed) {
  std::vector<float> x(vocab);
  for (size_t i = 0; i < vocab; i++) x[i] = float(i) * (12.0f / float(vocab)) - 6;
  std::shuffle(x.begin(), x.end(), std::mt19937(seed));
  return x;
}

std::vector<double> probabilitiesOf(const std::vector<double>& y, const Settings& s) {
  std::vector<size_t> order(y.size());
  std::iota(order.begin(), order.end(), size_t(0));
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return y[a] > y[b]; });
  std::vector<double> p(y.size(), 0.0);
  const auto weight = [&](size_t i) { return std::exp((y[i] - y[order[0]]) / s.temperature); };
  size_t kept = s.topK > 0 ? std::min(y.size(), size_t(s.topK)) : y.size();
  double all = 0, part = 0;
  for (size_t i = 0; i < kept; i++) all += weight(order[i]);
  size_t least = 0;
  while (least < kept && (least == 0 || part < s.topP * all)) part += weight(order[least++]);
  kept = least;
  while (kept > 1 && weight(order[kept - 1]) < s.minP) kept--;
  double total = 0;
  for (size_t i = 0; i < kept; i++) total += weight(order[i]);
  for (size_t i = 0; i < kept; i++) p[order[i]] = weight(order[i]) / total;
  return p;
}

template <class A, class T>
A array(std::vector<T>& values) {
  A array;
  array.data = values.data();
  array.length = values.size();
  return array;
}

}  // namespace

TEST(sampling_is_that_of_a_sorted_row) {
  const Settings list[] = {{1, 0, 1, 0, 1, 0.5},    {0.7, 5, 1, 0, 1, 0.999},      {1.5, 0, 0.83, 0, 1.2, 0.25},
                           {1, 0, 1, 0.11, 1, 0.7}, {0.9, 40, 0.91, 0.05, 1.1, 0}, {2, 1, 0.5, 0, 1, 0.3}};
  const size_t rows = std::size(list);
  onEveryIsa([&](const char* isa) {
    for (size_t vocab : {1, 2, 5, 127, 128, 129, 1000, 5003})
      for (size_t threads : {1, 3}) {
        const size_t best = std::min<size_t>(vocab, 7);
        std::vector<float> logits;
        std::vector<double> settings, bias, results(2 * rows), bestLogs(rows * best), probabilities(rows * vocab);
        std::vector<int32_t> seen, seenAt = {0}, biased, biasAt = {0}, tokens(rows), bestTokens(rows * best);
        std::vector<std::vector<double>> changed;
        for (size_t r = 0; r < rows; r++) {
          const std::vector<float> row = logitsOf(vocab, unsigned(r + vocab));
          logits.insert(logits.end(), row.begin(), row.end());
          const Settings& s = list[r];
          for (double each : {s.temperature, s.topK, s.topP, s.minP, s.penalty, s.uniform}) settings.push_back(each);
          std::vector<double> y(row.begin(), row.end());
          if (r % 2) {
            seen.push_back(int32_t(vocab / 2));
            double& at = y[vocab / 2];
            at = at > 0 ? double(float(at / s.penalty)) : double(float(at * s.penalty));
            biased.push_back(int32_t(vocab - 1));
            bias.push_back(0.6125);
            y[vocab - 1] += 0.6125;
          }
          seenAt.push_back(int32_t(seen.size()));
          biasAt.push_back(int32_t(biased.size()));
          changed.push_back(y);
        }
        Run run;
        In<Any> from;
        from.data = logits.data();
        from.length = logits.size();
        from.element = Element::float32;
        ops::sampleRows(run, from, rows, vocab, Dtype::f32, array<In<double>>(settings), array<In<int32_t>>(seen),
                        array<In<int32_t>>(seenAt), array<In<int32_t>>(biased), array<In<double>>(bias),
                        array<In<int32_t>>(biasAt), array<Out<int32_t>>(tokens), array<Out<double>>(results),
                        array<Maybe<Out<int32_t>>>(bestTokens), array<Maybe<Out<double>>>(bestLogs), best,
                        array<Maybe<Out<double>>>(probabilities), threads);
        for (size_t r = 0; r < rows; r++) {
          const std::vector<double> p = probabilitiesOf(changed[r], list[r]);
          double before = 0, all = 0, top = *std::max_element(changed[r].begin(), changed[r].end());
          for (double each : changed[r]) all += std::exp(each - top);
          const size_t token = size_t(tokens[r]);
          if (!CHECK(token < vocab, "%s, %zu ids, row %zu: token %d", isa, vocab, r, tokens[r])) continue;
          for (size_t i = 0; i < vocab; i++) {
            CHECK(std::fabs(probabilities[r * vocab + i] - p[i]) <= 3e-6 * p[i],
                  "%s, %zu ids, row %zu: p[%zu] is %g, not %g", isa, vocab, r, i, probabilities[r * vocab + i], p[i]);
            if (i < token) before += p[i];
          }
          CHECK(before <= list[r].uniform + 1e-6 && before + p[token] >= list[r].uniform - 1e-6,
                "%s, %zu ids, row %zu: token %zu of %g", isa, vocab, r, token, list[r].uniform);
          CHECK(std::fabs(results[2 * r] - p[token]) <= 3e-6 * p[token], "%s: probability %g", isa, results[2 * r]);
          CHECK(std::fabs(results[2 * r + 1] - (changed[r][token] - top - std::log(all))) <= 3e-6, "%s: log %g", isa,
                results[2 * r + 1]);
          for (size_t i = 0; i < best; i++) {
            const double own = changed[r][size_t(bestTokens[r * best + i])];
            size_t above = 0;
            for (double each : changed[r]) above += each > own;
            CHECK(above == i, "%s, %zu ids, row %zu: id %d is not number %zu", isa, vocab, r, bestTokens[r * best + i],
                  i);
            CHECK(std::fabs(bestLogs[r * best + i] - (own - top - std::log(all))) <= 3e-6, "%s: log of best %zu", isa,
                  i);
          }
        }
      }
  });
}

}  // namespace softlane::test
