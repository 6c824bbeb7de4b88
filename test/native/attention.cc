// Attention: blocks of keys against plain float64 for every storage type, layout and form; sums of each row of vectors and
// masks by exact integers; chunks folded; exponentials by a unified maximum; the operations over caches of a decoder.
#include "../../native/ops.h"
#include "check.h"
#include "weights.h"

namespace softlane::test {
namespace {

constexpr SoftmaxForm kForms[] = {SoftmaxForm::online, SoftmaxForm::unified, SoftmaxForm::pair};
const char* formName(SoftmaxForm form) { return Names<SoftmaxForm>::list[int(form)]; }

size_t strideOf(size_t dim) { return (dim + 15) / 16 * 16; }

/// What a row has summed up.
struct State {
  std::vector<float> sums, tops, values;
  AttentionState at;
  State(size_t rows, size_t dim, SoftmaxForm form)
      : sums(rows, 0.0f),
        tops(rows, form == SoftmaxForm::pair ? -0x1p18f : float(-kInfinity)),
        values(rows * strideOf(dim), 0.0f),
        at{sums.data(), tops.data(), values.data(), strideOf(dim)} {}
  State(const State&) = delete;

  double logSum(size_t r, SoftmaxForm form) const {
    return (form == SoftmaxForm::pair ? tops[r] * std::log(2.0) : tops[r]) + std::log(double(sums[r]));
  }
  double out(size_t r, size_t d) const { return double(values[r * at.stride + d]) / sums[r]; }
};

/// Queries and keys of one head; the keys stand as rows and as turned tiles.
struct Head {
  size_t rows, dim, count;
  WeightType type;
  Stored keys, values, turned;
  std::vector<float> q, keyScales, valueScales;

  Head(size_t rows, size_t dim, size_t count, WeightType type, unsigned seed)
      : rows(rows),
        dim(dim),
        count(count),
        type(type),
        keys(type, count * dim, seed),
        values(type, count * dim, seed + 1),
        turned(type, (count + 15) / 16 * 16 * dim),
        q(rows * strideOf(dim)) {
    const std::vector<float> some = normals(rows * dim, seed + 2);
    for (size_t i = 0; i < rows * dim; i++) q[i / dim * strideOf(dim) + i % dim] = some[i];
    turn();
    if (type != WeightType::int8) return;
    for (size_t j = 0; j < (count + 63) / 64 * 64; j++) {
      keyScales.push_back(0.01f + 0.0001f * float(j % 7));
      valueScales.push_back(0.02f - 0.0001f * float(j % 5));
    }
  }
  void turn() {
    for (size_t j = 0; j < count; j++)
      for (size_t d = 0; d < dim; d++) turned.set((j / 16 * dim + d) * 16 + j % 16, keys[j * dim + d]);
  }
  double key(size_t j, size_t d) const { return keys[j * dim + d] * (keyScales.empty() ? 1 : double(keyScales[j])); }
  double value(size_t j, size_t d) const {
    return values[j * dim + d] * (valueScales.empty() ? 1 : double(valueScales[j]));
  }
};

/// What masks and changes scores.
struct Scores {
  std::vector<Sight> sight;  ///< of each row, relative to key 0
  float scale = 1, softCap = 0;
  std::vector<float> slopes;
  std::vector<int32_t> distance;
  float phi = 0.5f, low = -1e30f, high = 1e30f;

  double of(const Head& head, size_t r, size_t j) const {
    double s = 0;
    for (size_t d = 0; d < head.dim; d++) s += head.q[r * strideOf(head.dim) + d] * head.key(j, d);
    s *= scale;
    if (softCap > 0) s = softCap * std::tanh(s / softCap);
    return slopes.empty() ? s : s + slopes[r] * (double(distance[r]) + double(j));
  }
};

/// All keys of a head in blocks, from the first on; returns which rows left the range.
std::vector<uint8_t> run(Head& head, const Scores& scores, SoftmaxForm form, bool tiled, bool careful, State& state) {
  std::vector<uint8_t> left(head.rows, 0);
  std::vector<float> room(head.rows * kKeyBlock, float(kNan));
  for (size_t first = 0; first < head.count; first += kKeyBlock) {
    AttentionBlock b{};
    b.q = head.q.data();
    b.rows = head.rows;
    b.dim = head.dim;
    b.count = std::min(kKeyBlock, head.count - first);
    b.type = head.type;
    b.tiled = tiled;
    const void *keys[kKeyBlock / kTileKeys + kAheadTiles], *values[kKeyBlock / kTileKeys + kAheadTiles];
    size_t tiles = 0;
    for (size_t j = first; j < first + b.count; j += kTileKeys, tiles++) {
      keys[tiles] = (tiled ? head.turned : head.keys).at(j * head.dim);
      values[tiles] = head.values.at(j * head.dim);
    }
    for (size_t t = 0; t < kAheadTiles; t++) keys[tiles + t] = values[tiles + t] = nowhere();
    b.keys = keys;
    b.values = values;
    b.step = head.dim * sizeOf(head.type);
    b.ahead = true;
    if (head.type == WeightType::int8) {
      b.keyScales = head.keyScales.data() + first;
      b.valueScales = head.valueScales.data() + first;
    }
    std::vector<Sight> sight = scores.sight;
    std::vector<int32_t> distance(head.rows, 0);
    for (size_t r = 0; r < head.rows; r++) {
      sight[r].from -= int32_t(first), sight[r].to -= int32_t(first), sight[r].sink -= int32_t(first);
      if (!scores.distance.empty()) distance[r] = scores.distance[r] + int32_t(first);
    }
    b.sight = sight.data();
    b.scale = scores.scale;
    b.softCap = scores.softCap;
    b.slopes = scores.slopes.empty() ? nullptr : scores.slopes.data();
    b.distance = distance.data();
    b.form = form;
    b.phi = scores.phi;
    b.low = scores.low;
    b.high = scores.high;
    b.state = state.at;
    b.left = left.data();
    b.room = room.data();
    b.careful = careful;
    kernels().attention_block(b);
  }
  return left;
}

void compare(const char* isa, const Head& head, const Scores& scores, SoftmaxForm form, bool tiled,
             const State& state) {
  for (size_t r = 0; r < head.rows; r++) {
    double top = -kInfinity, sum = 0, size = 0;
    std::vector<double> s(head.count, -kInfinity), out(head.dim);
    for (size_t j = 0; j < head.count; j++) {
      if (!scores.sight[r].sees(int32_t(j))) continue;
      s[j] = scores.of(head, r, j);
      top = std::fmax(top, s[j]);
      size = std::fmax(size, std::fabs(s[j]));
    }
    char what[160];
    std::snprintf(what, sizeof what, "%s, %s, %s, %s, row %zu of %zu, dim %zu, %zu keys", isa, nameOf(head.type),
                  formName(form), tiled ? "tiles" : "rows", r, head.rows, head.dim, head.count);
    if (top == -kInfinity) {
      CHECK(state.sums[r] == 0, "%s: nothing is seen, the sum is %g", what, double(state.sums[r]));
      continue;
    }
    double magnitude = 0;
    for (size_t j = 0; j < head.count; j++) {
      if (s[j] == -kInfinity) continue;
      const double weight = std::exp(s[j] - top);
      sum += weight;
      for (size_t d = 0; d < head.dim; d++) {
        out[d] += weight * head.value(j, d);
        magnitude = std::fmax(magnitude, std::fabs(head.value(j, d)));
      }
    }
    const double tolerance = 2e-6 * (1 + std::fmax(0, size - 8) / 4);
    CHECK(std::fabs(state.logSum(r, form) - (top + std::log(sum))) <= tolerance, "%s: log sum %.9g, not %.9g", what,
          state.logSum(r, form), top + std::log(sum));
    for (size_t d = 0; d < head.dim; d++)
      CHECK(std::fabs(state.out(r, d) - out[d] / sum) <= tolerance * std::fmax(1, magnitude),
            "%s: element %zu is %.9g, not %.9g", what, d, state.out(r, d), out[d] / sum);
  }
}

/// Rows that see all, a window, a window and sinks, one key, none.
std::vector<Sight> sights(size_t rows, size_t count) {
  const int32_t n = int32_t(count),
                list[][3] = {{0, n, 0}, {n / 3, n, 0}, {n - 1, n, 2}, {n / 2, n / 2 + 1, 0}, {0, 0, 0}};
  std::vector<Sight> out;
  for (size_t r = 0; r < rows; r++) out.push_back({list[r % 5][0], list[r % 5][1], list[r % 5][2]});
  return out;
}

}  // namespace

TEST(attention_of_blocks) {
  onEveryIsa([](const char* isa) {
    unsigned seed = 1;
    for (WeightType type : kWeightTypes)
      for (size_t dim : {1, 7, 8, 16, 17, 31, 33, 64, 130})
        for (size_t rows : {1, 2, 3, 4, 5, 8, 11})
          for (size_t count : {1, 15, 16, 17, 64, 65, 150}) {
            Head head(rows, dim, count, type, seed++);
            Scores scores;
            scores.scale = float(1 / std::sqrt(double(dim)));
            scores.sight = sights(rows, count);
            if (seed % 2) scores.softCap = 3;
            if (seed % 3 == 0) {
              for (size_t r = 0; r < rows; r++) {
                scores.slopes.push_back(0.01f * float(r));
                scores.distance.push_back(-int32_t(count));
              }
            }
            for (bool tiled : {false, true}) {
              const SoftmaxForm form = kForms[(seed + tiled) % 3];
              State state(rows, dim, form);
              const std::vector<uint8_t> left = run(head, scores, form, tiled, rows == 1 && seed % 4 == 0, state);
              compare(isa, head, scores, form, tiled, state);
              for (size_t r = 0; r < rows; r++) CHECK(!left[r], "%s: row %zu left the range", isa, r);
            }
          }
  });
}

TEST(each_key_has_its_own_score) {
  onEveryIsa([](const char* isa) {
    for (WeightType type : kWeightTypes)
      for (size_t dim : {1, 5, 8, 16, 19, 32})
        for (size_t rows : {1, 2, 3, 4, 7, 8}) {
          Head head(rows, dim, kKeyBlock, type, 3);
          head.keyScales.assign(head.keyScales.size(), 1.0f);
          for (size_t i = 0; i < rows * dim; i++)
            head.q[i / dim * strideOf(dim) + i % dim] = float(int(i * 7 % 17) - 8);
          for (size_t i = 0; i < kKeyBlock * dim; i++) head.keys.set(i, double(int(i * 5 % 13) - 6));
          head.turn();
          for (bool tiled : {false, true})
            for (size_t j = 0; j < kKeyBlock; j++) {
              Scores scores;
              scores.sight.assign(rows, Sight{int32_t(j), int32_t(j) + 1, 0});
              State state(rows, dim, SoftmaxForm::online);
              run(head, scores, SoftmaxForm::online, tiled, false, state);
              for (size_t r = 0; r < rows; r++)
                CHECK(double(state.tops[r]) == scores.of(head, r, j) && state.sums[r] == 1,
                      "%s, %s, %s, dim %zu, row %zu of %zu, key %zu: %g, not %g", isa, nameOf(type),
                      tiled ? "tiles" : "rows", dim, r, rows, j, double(state.tops[r]), scores.of(head, r, j));
            }
        }
  });
}

TEST(a_careful_row_leaves_out_what_it_does_not_see) {
  onEveryIsa([](const char* isa) {
    for (WeightType type : {WeightType::f32, WeightType::bf16, WeightType::f16})
      for (bool tiled : {false, true})
        for (SoftmaxForm form : kForms) {
          Head head(1, 20, 40, type, 5);
          for (size_t d = 0; d < 20; d++) head.values.set(7 * 20 + d, d % 2 ? kNan : kInfinity);
          Scores scores;
          scores.scale = 0.2f;
          scores.sight = {Sight{8, 40, 3}};
          State state(1, 20, form);
          run(head, scores, form, tiled, true, state);
          for (size_t d = 0; d < 20; d++) head.values.set(7 * 20 + d, 0);
          compare(isa, head, scores, form, tiled, state);
        }
  });
}

TEST(rows_that_leave_the_range_say_so) {
  onEveryIsa([](const char* isa) {
    Head head(3, 16, 20, WeightType::f32, 6);
    Scores scores;
    scores.sight = sights(3, 20);
    scores.phi = 1;
    for (size_t r = 0; r < 3; r++) {
      double least = kInfinity, most = -kInfinity;
      for (size_t j = 0; j < 20; j++) {
        if (!scores.sight[r].sees(int32_t(j))) continue;
        least = std::fmin(least, scores.of(head, r, j));
        most = std::fmax(most, scores.of(head, r, j));
      }
      const float inside[] = {float(least - 1 - 0.001), float(most - 1 + 0.001)};
      const float outside[] = {float(least - 1 + 0.001), float(most - 1 - 0.001)};
      for (int side = -1; side < 2; side++) {
        scores.low = side == 0 ? outside[0] : inside[0];
        scores.high = side == 1 ? outside[1] : inside[1];
        State state(3, 16, SoftmaxForm::unified);
        const std::vector<uint8_t> left = run(head, scores, SoftmaxForm::unified, false, false, state);
        CHECK(left[r] == (side >= 0), "%s: row %zu, side %d", isa, r, side);
      }
    }
  });
}

TEST(chunks_fold_and_merge) {
  onEveryIsa([](const char* isa) {
    for (SoftmaxForm form : kForms)
      for (size_t dim : {1, 16, 21, 64})
        for (size_t rows : {1, 3}) {
          Head head(rows, dim, 130, WeightType::f32, unsigned(dim));
          Scores all;
          all.scale = 0.3f;
          all.sight.assign(rows, Sight{0, 130, 0});
          State total(rows, dim, form);
          std::vector<float> outs(3 * rows * dim), merged(rows * dim, 0.0f);
          std::vector<double> sums(3 * rows);
          for (size_t part = 0; part < 3; part++) {
            Scores some = all;
            some.sight.assign(rows, Sight{int32_t(part) * 50, std::min(130, int32_t(part) * 50 + 50), 0});
            State state(rows, dim, form);
            run(head, some, form, false, false, state);
            kernels().attention_fold(total.at, state.at, rows, form);
            State nothing(rows, dim, form);
            kernels().attention_fold(total.at, nothing.at, rows, form);
            for (size_t r = 0; r < rows; r++) {
              sums[part * rows + r] = state.logSum(r, form);
              for (size_t d = 0; d < dim; d++) outs[(part * rows + r) * dim + d] = float(state.out(r, d));
            }
          }
          compare(isa, head, all, form, false, total);
          for (size_t part = 0; part < 3; part++) {
            std::vector<float> weights(rows);
            for (size_t r = 0; r < rows; r++)
              weights[r] = float(std::exp(sums[part * rows + r] - total.logSum(r, form)));
            kernels().attention_merge(merged.data(), &outs[part * rows * dim], weights.data(), rows, dim);
          }
          for (size_t r = 0; r < rows; r++)
            for (size_t d = 0; d < dim; d++)
              CHECK(std::fabs(merged[r * dim + d] - total.out(r, d)) < 4e-6, "%s, %s: merged %.9g, folded %.9g", isa,
                    formName(form), double(merged[r * dim + d]), total.out(r, d));
        }
  });
}

TEST(exponentials_by_a_unified_maximum) {
  onEveryIsa([](const char* isa) {
    for (size_t n : lengths()) {
      Elements x = uniform(Dtype::f32, n, -20, 20, unsigned(n), 1);
      std::vector<float> y(n + 1, 7);
      double sum = -1, exact = 0;
      const bool inside = kernels().unified_exp(x.as<float>(), y.data(), n, 3, -24, 18, &sum);
      CHECK(inside && y[n] == 7, "%s, %zu", isa, n);
      for (size_t i = 0; i < n; i++) {
        const double wanted = std::exp(x[i] - 3);
        exact += wanted;
        CHECK(std::fabs(y[i] - wanted) <= 4e-6 * wanted, "%s: e^%g is %.9g, not %.9g", isa, x[i] - 3, double(y[i]),
              wanted);
      }
      CHECK(std::fabs(sum - exact) <= 2e-6 * exact, "%s, %zu: sum %.9g, not %.9g", isa, n, sum, exact);
      if (n == 0) continue;
      for (double bad : {-21.5, 21.5, kInfinity}) {  // outside by itself, wherever it stands; a mask is not
        const size_t at = n * 2 / 3;
        const double before = x[at];
        x.set(at, bad);
        CHECK(!kernels().unified_exp(x.as<float>(), y.data(), n, 3, -24, 18, &sum), "%s: %g at %zu of %zu", isa, bad,
              at, n);
        x.set(at, -kInfinity);
        CHECK(kernels().unified_exp(x.as<float>(), y.data(), n, 3, -24, 18, &sum) && y[at] == 0, "%s: a mask", isa);
        x.set(at, before);
      }
    }
  });
}

}  // namespace softlane::test
