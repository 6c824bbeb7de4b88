// The attention operation with all options at once, drawn at random, against plain float64: contiguous caches of both
// layouts, lengths that are 0 or shorter than the query, splits, parts and their merging. Arrays have no room to spare, so
// that sanitizers see whoever reads past them.
#include "../../native/ops.h"
#include "check.h"
#include "weights.h"

namespace softlane::test {
namespace {

struct Call {
  size_t batch, tokens, group, kvHeads, dim, maxLength;
  bool hnd, causal, partials;
  size_t window, sinkTokens, chunk, splits;
  float softCap;
  WeightType type;
  SoftmaxForm form;
  std::vector<int32_t> lengths;
  std::vector<float> slopes, sinks;
  size_t heads() const { return group * kvHeads; }
  size_t at(size_t b, size_t j, size_t h) const {
    return hnd ? (b * kvHeads + h) * maxLength + j : (b * maxLength + j) * kvHeads + h;
  }

  explicit Call(std::mt19937& bits) {
    const auto below = [&](size_t n) { return size_t(bits() % n); };
    batch = 1 + below(3), tokens = 1 + below(6), group = 1 + below(9), kvHeads = 1 + below(3), dim = 1 + below(70);
    maxLength = 1 + below(150), hnd = below(2), causal = below(4) > 0;
    window = below(2) ? 1 + below(90) : 0, sinkTokens = below(2) * below(20);
    splits = below(3) ? 0 : 1 + below(9), chunk = splits ? 0 : 1 + below(100);
    partials = splits && tokens == 1 && below(2);
    softCap = below(3) ? 0 : 2 + float(below(20));
    type = kWeightTypes[below(4)];
    form = SoftmaxForm(below(3));
    for (size_t b = 0; b < batch; b++) lengths.push_back(int32_t(below(maxLength + 1)));
    if (below(2)) slopes = normals(heads(), unsigned(bits()));
    for (float& each : slopes) each = std::fabs(each) / 8;
    if (!partials && below(2)) sinks = normals(heads(), unsigned(bits()));
  }
};

template <class A, class T>
A array(std::vector<T>& values) {
  A array;
  array.data = values.data();
  array.length = values.size();
  return array;
}

void compare(const char* isa, std::mt19937& bits, size_t threads) {
  Call c(bits);
  const size_t rows = c.batch * c.tokens * c.heads(), cells = c.batch * c.maxLength * c.kvHeads;
  const size_t parts = c.partials ? c.splits : 1;
  const float scale = float(1 / std::sqrt(double(c.dim)));
  std::vector<float> q = normals(rows * c.dim, unsigned(bits())), keyScales(cells), valueScales(cells);
  Stored keys(c.type, cells * c.dim, unsigned(bits())), values(c.type, cells * c.dim, unsigned(bits()));
  for (size_t i = 0; i < cells; i++) keyScales[i] = 0.01f + 0.001f * float(i % 9), valueScales[i] = 0.015f;
  const bool int8 = c.type == WeightType::int8;
  const auto cache = [&](Stored& stored, auto array) {
    array.data = stored.data();
    array.length = cells * c.dim;
    array.element = c.type == WeightType::f32 ? Element::float32 : int8 ? Element::int8 : Element::uint16;
    return array;
  };
  std::vector<double> sizes;
  for (size_t each : {c.batch, c.tokens, c.heads(), c.kvHeads, c.dim, c.maxLength, size_t(1), size_t(0)})
    sizes.push_back(double(each));
  for (double each : {double(scale), double(c.window), double(c.sinkTokens), double(c.softCap), 0.25, -30.0, 30.0,
                      double(c.chunk), double(c.splits)})
    sizes.push_back(each);
  std::vector<float> out(parts * rows * c.dim, float(kNan)), lse(parts * rows, float(kNan));
  Run run;
  ops::attention(run, array<In<float>>(q), cache(keys, In<Any>{}), cache(values, Maybe<In<Any>>{}),
                 int8 ? array<Maybe<In<float>>>(keyScales) : Maybe<In<float>>{},
                 int8 ? array<Maybe<In<float>>>(valueScales) : Maybe<In<float>>{}, {}, array<In<int32_t>>(c.lengths),
                 array<Maybe<In<float>>>(c.slopes), array<Maybe<In<float>>>(c.sinks), array<Out<float>>(out),
                 array<Out<float>>(lse), array<In<double>>(sizes), c.hnd ? CacheLayout::hnd : CacheLayout::nhd, c.type,
                 c.form, bits() % 2, c.causal, c.partials, threads);
  if (c.partials) {
    std::vector<float> merged(rows * c.dim), mergedLse(rows);
    ops::mergeAttention(run, array<In<float>>(out), array<In<float>>(lse), array<Out<float>>(merged),
                        array<Out<float>>(mergedLse), parts, rows, c.dim);
    out = merged;
    lse = mergedLse;
  }
  for (size_t row = 0; row < rows; row++) {
    const size_t h = row % c.heads(), t = row / c.heads() % c.tokens, b = row / c.heads() / c.tokens;
    const int64_t length = c.lengths[b], to = c.causal ? length - int64_t(c.tokens) + int64_t(t) + 1 : length;
    const double sink = c.sinks.empty() ? -kInfinity : double(c.sinks[h]);
    double top = sink, size = 0, sum = 0, magnitude = 1;
    std::vector<double> s(size_t(std::max<int64_t>(0, to)), -kInfinity), wanted(c.dim);
    for (int64_t j = 0; j < to; j++) {
      if (c.window && j < to - int64_t(c.window) && j >= int64_t(c.sinkTokens)) continue;
      const size_t cell = c.at(b, size_t(j), h / c.group);
      double dot = 0;
      for (size_t d = 0; d < c.dim; d++) dot += double(q[row * c.dim + d]) * keys[cell * c.dim + d];
      dot *= scale * (int8 ? double(keyScales[cell]) : 1);
      if (c.softCap > 0) dot = c.softCap * std::tanh(dot / c.softCap);
      if (!c.slopes.empty()) dot += c.slopes[h] * double(j - (to - 1));
      s[size_t(j)] = dot;
      size = std::fmax(size, std::fabs(dot));
      top = std::fmax(top, dot);
    }
    if (top > -kInfinity) sum = std::exp(sink - top);
    for (size_t j = 0; j < s.size(); j++) {
      if (s[j] == -kInfinity) continue;
      const size_t cell = c.at(b, j, h / c.group);
      sum += std::exp(s[j] - top);
      for (size_t d = 0; d < c.dim; d++) {
        const double value = values[cell * c.dim + d] * (int8 ? double(valueScales[cell]) : 1);
        wanted[d] += std::exp(s[j] - top) * value;
        magnitude = std::fmax(magnitude, std::fabs(value));
      }
    }
    const double logSum = sum > 0 ? top + std::log(sum) : -kInfinity, tolerance = 3e-6 * (1 + size / 8);
    char what[200];
    std::snprintf(what, sizeof what,
                  "%s, %s, %s, dim %zu, batch %zu x %zu of %lld keys, row %zu, chunk %zu, splits %zu", isa,
                  nameOf(c.type), Names<SoftmaxForm>::list[int(c.form)], c.dim, c.batch, c.tokens,
                  static_cast<long long>(length), row, c.chunk, c.splits);
    CHECK(lse[row] == logSum || std::fabs(lse[row] - logSum) <= tolerance, "%s: log sum %.9g, not %.9g", what,
          double(lse[row]), logSum);
    for (size_t d = 0; d < c.dim; d++) {
      const double exact = sum > 0 ? wanted[d] / sum : 0;
      if (!CHECK(std::fabs(out[row * c.dim + d] - exact) <= tolerance * magnitude, "%s: element %zu is %.9g, not %.9g",
                 what, d, double(out[row * c.dim + d]), exact))
        break;
    }
  }
}

}  // namespace

TEST(attention_with_all_options_at_once) {
  onEveryIsa([](const char* isa) {
    std::mt19937 bits(7);
    for (int round = 0; round < 150; round++) compare(isa, bits, 1 + size_t(round) % 3);
  });
}

}  // namespace softlane::test
