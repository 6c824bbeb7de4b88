// The steps of a decoder against plain float64, the cache of a decoder against a contiguous one, and a whole forward pass:
// the same bits however prompts are cut. Under sanitizers this walks native/llama.
#include "../../native/llama/cache.h"
#include "check.h"
#include "weights.h"

namespace softlane::test {
namespace {

template <class A, class T>
A array(std::vector<T>& values) {
  A array;
  array.data = values.data();
  array.length = values.size();
  return array;
}
template <class A, class T>
A any(std::vector<T>& values, Element element) {
  A item = array<A>(values);
  item.element = element;
  return item;
}

Element elementOf(WeightType type) {
  return type == WeightType::f32 ? Element::float32 : type == WeightType::int8 ? Element::int8 : Element::uint16;
}

/// A tiny model: 2 layers, 4 query heads on 2, weights of one type.
struct Model {
  static constexpr size_t hidden = 24, layers = 2, queryHeads = 4, kvHeads = 2, dim = 6, feed = 40, vocab = 50;
  WeightType type;
  std::vector<std::vector<float>> vectors;
  std::vector<Stored> matrices;
  Many<In> weights;
  std::vector<double> frequencies = {1, 0.1, 0.01}, sizes;

  explicit Model(WeightType type) : type(type) {
    vectors.reserve(100);
    matrices.reserve(100);
    for (size_t i = 0; i < layers; i++) {
      norm();
      matrix((queryHeads + 2 * kvHeads) * dim, hidden);
      bias((queryHeads + 2 * kvHeads) * dim);
      matrix(hidden, queryHeads * dim);
      bias(0);
      norm();
      matrix(2 * feed, hidden);
      matrix(hidden, feed);
    }
    norm();
    matrix(vocab, hidden);
    matrix(vocab, hidden);
    sizes = {hidden, layers, queryHeads, kvHeads, dim, feed, vocab, 1e-5, 0, 8};
    for (int i = 0; i < 6; i++) sizes.push_back(double(type));
    for (int i = 0; i < 5; i++) {
      sizes.push_back(2);
      sizes.push_back(6);
    }
  }
  void vector(std::vector<float> values) {
    vectors.push_back(std::move(values));
    weights.items.push_back(any<In<Any>>(vectors.back(), Element::float32));
  }
  void norm() { vector(std::vector<float>(hidden, 1.25f)); }
  void bias(size_t n) { vector(std::vector<float>(n, 0.125f)); }
  void matrix(size_t n, size_t k) {
    matrices.emplace_back(type, panelsOf(n) * kPanelRows * k, unsigned(weights.items.size()));
    In<Any> item;
    item.data = matrices.back().data();
    item.length = panelsOf(n) * kPanelRows * k;
    item.element = elementOf(type);
    weights.items.push_back(item);
    vector(std::vector<float>(type == WeightType::int8 ? n : 0, 0.01f));
  }
};

/// Two sequences on scattered pages of two slabs.
struct Cache {
  WeightType type;
  std::vector<std::vector<uint8_t>> memory;
  std::vector<int32_t> table;
  Cache(WeightType type, size_t pageBytes) : type(type), table(16, -1) {
    for (int s = 0; s < 2; s++) memory.emplace_back(3 * pageBytes);
    const int32_t first[] = {4, 0, 3}, second[] = {1, 5};
    for (size_t p = 0; p < 3; p++) table[p] = first[p];
    for (size_t p = 0; p < 2; p++) table[8 + p] = second[p];
  }
  template <template <class> class A>
  Many<A> slabs() {
    Many<A> list;
    for (auto& slab : memory) list.items.push_back(any<A<Any>>(slab, Element::uint8));
    return list;
  }
};

/// Rows of the two sequences: (sequence, position).
struct Rows {
  std::vector<int32_t> sequences, positions;
  void add(int32_t sequence, int32_t from, int32_t to) {
    for (int32_t p = from; p < to; p++) {
      sequences.push_back(sequence);
      positions.push_back(p);
    }
  }
};

/// Logits of all rows, in the order of the rows.
std::vector<float> forward(Model& model, Cache& cache, Rows rows, SoftmaxForm softmax, size_t threads) {
  std::vector<int32_t> tokens, wanted;
  for (size_t i = 0; i < rows.positions.size(); i++) {
    tokens.push_back((rows.positions[i] * 7 + rows.sequences[i] * 3) % int32_t(Model::vocab));
    wanted.push_back(int32_t(i));
  }
  std::vector<float> logits(tokens.size() * Model::vocab, float(kNan));
  std::vector<double> phi(Model::layers, 0.5), maxima(Model::layers, 0.0);
  Run run;
  ops::llamaForward(run, model.weights, cache.slabs<Out>(), array<In<double>>(model.sizes),
                    array<In<double>>(model.frequencies), array<In<int32_t>>(tokens),
                    array<In<int32_t>>(rows.sequences), array<In<int32_t>>(rows.positions),
                    array<In<int32_t>>(cache.table), array<In<int32_t>>(wanted), array<In<double>>(phi),
                    array<Maybe<Out<double>>>(maxima), array<Out<float>>(logits), cache.type, softmax, threads);
  return logits;
}

}  // namespace

TEST(steps_of_a_decoder) {
  onEveryIsa([](const char* isa) {
    for (size_t n : lengths()) {
      if (n == 0) continue;
      const std::vector<float> x = normals(n, 1), w = normals(n, 2), b = normals(n, 3);
      std::vector<float> rms(n + 1, 7), layer = rms, plain = rms, sum = rms, gated = rms;
      kernels().rms_norm(x.data(), w.data(), rms.data(), n, 1e-5f);
      kernels().layer_norm(x.data(), w.data(), b.data(), layer.data(), n, 1e-5f);
      kernels().layer_norm(x.data(), w.data(), nullptr, plain.data(), n, 1e-5f);
      kernels().add_rows(x.data(), b.data(), sum.data(), n);
      kernels().swiglu(x.data(), w.data(), gated.data(), n);
      double square = 0, mean = 0, variance = 0;
      for (float v : x) square += double(v) * v / double(n), mean += v / double(n);
      for (float v : x) variance += (v - mean) * (v - mean) / double(n);
      const double scale = 1 / std::sqrt(square + 1e-5), inverse = 1 / std::sqrt(variance + 1e-5);
      for (size_t i = 0; i < n; i++) {
        const double normed = (x[i] - mean) * inverse * w[i], gate = x[i] / (1 + std::exp(-double(x[i]))) * w[i];
        CHECK(std::fabs(rms[i] - x[i] * scale * w[i]) <= 1e-6 * std::fabs(x[i] * scale * w[i]), "%s, rms, %zu of %zu",
              isa, i, n);
        // One element is its own mean: what is left is rounding times 1 / sqrt(eps).
        const double tolerance = 1e-6 * (1 + std::fabs(normed)) * std::fmax(1, 0.1 * inverse);
        CHECK(std::fabs(plain[i] - normed) <= tolerance, "%s, layer, %zu of %zu: %g, not %g", isa, i, n,
              double(plain[i]), normed);
        CHECK(std::fabs(layer[i] - (normed + b[i])) <= tolerance + 2e-7 * std::fabs(b[i]), "%s, layer, %zu of %zu", isa,
              i, n);
        CHECK(sum[i] == x[i] + b[i], "%s, sum, %zu of %zu", isa, i, n);
        CHECK(std::fabs(gated[i] - gate) <= 1e-6 * std::fabs(gate) + 1e-37, "%s, swiglu, %zu of %zu: %g, not %g", isa,
              i, n, double(gated[i]), gate);
      }
      for (const auto& each : {rms, layer, plain, sum, gated}) CHECK(each[n] == 7, "%s, %zu: one too many", isa, n);
      const std::vector<float> pairs = normals(2 * n, 4);
      for (bool interleaved : {false, true}) {
        std::vector<float> y(2 * n), same = pairs;
        kernels().rotate(pairs.data(), w.data(), b.data(), y.data(), 2 * n, interleaved);
        kernels().rotate(same.data(), w.data(), b.data(), same.data(), 2 * n, interleaved);
        CHECK(y == same, "%s, %zu: in place", isa, n);
        for (size_t i = 0; i < n; i++) {
          const size_t one = interleaved ? 2 * i : i, two = interleaved ? 2 * i + 1 : n + i;
          const double a = double(pairs[one]) * w[i] - double(pairs[two]) * b[i],
                       c = double(pairs[two]) * w[i] + double(pairs[one]) * b[i];
          CHECK(std::fabs(y[one] - a) < 2e-6 && std::fabs(y[two] - c) < 2e-6, "%s, pair %zu of %zu", isa, i, n);
        }
      }
    }
  });
}

TEST(a_cache_in_tiles_gives_what_a_contiguous_one_gives) {
  onEveryIsa([](const char* isa) {
    for (WeightType type : kWeightTypes)
      for (size_t dim : {4, 15, 32})
        for (size_t group : {1, 3, 9}) {
          const size_t kvHeads = 2, heads = kvHeads * group, length = 37;
          const PageShape shape{1, kvHeads, dim, type};
          Cache cache(type, shape.bytes());
          Rows rows;
          rows.add(0, 0, int32_t(length));
          std::vector<float> k = normals(length * kvHeads * dim, 1), v = normals(length * kvHeads * dim, 2),
                             q = normals(length * heads * dim, 3);
          std::vector<double> sizes = {1, double(kvHeads), double(dim), 0, double(heads), 8, 0.3, 0, 0, 0, 0.5, 0, 0};
          std::vector<float> out(q.size()), lse(length * heads), slopes(heads, 0.01f), sinks(heads, -1.0f);
          Run run;
          ops::cacheAppend(run, cache.slabs<Out>(), array<In<float>>(k), array<In<float>>(v),
                           array<In<int32_t>>(rows.sequences), array<In<int32_t>>(rows.positions),
                           array<In<int32_t>>(cache.table), array<In<double>>(sizes), type);
          // Pages of the other layout hold the same elements: [page][2][kvHeads][length][dim], one page.
          Stored pages(type, 2 * kvHeads * length * dim);
          std::vector<float> scales(2 * kvHeads * length);
          std::vector<int32_t> slots, one = {0}, lengths = {int32_t(length)};
          for (size_t i = 0; i < length; i++) slots.push_back(int32_t(i));
          const auto paged = [&](auto array) {
            array.data = pages.data();
            array.length = 2 * kvHeads * length * dim;
            array.element = elementOf(type);
            return array;
          };
          ops::appendPaged(run, array<In<float>>(k), array<In<float>>(v), paged(Out<Any>{}),
                           array<Maybe<Out<float>>>(scales), array<In<int32_t>>(slots), kvHeads, dim, length, type);
          for (SoftmaxForm form : {SoftmaxForm::online, SoftmaxForm::unified, SoftmaxForm::pair}) {
            ops::cacheAttention(run, array<In<float>>(q), cache.slabs<In>(), array<In<int32_t>>(rows.sequences),
                                array<In<int32_t>>(rows.positions), array<In<int32_t>>(cache.table),
                                array<Maybe<In<float>>>(slopes), array<Maybe<In<float>>>(sinks), array<Out<float>>(out),
                                array<Out<float>>(lse), array<In<double>>(sizes), type, form, false, 2);
            std::vector<double> other = {1,
                                         double(length),
                                         double(heads),
                                         double(kvHeads),
                                         double(dim),
                                         double(length),
                                         double(length),
                                         1,
                                         0.3,
                                         0,
                                         0,
                                         0,
                                         0.5,
                                         0,
                                         0,
                                         512,
                                         0};
            std::vector<float> out2(q.size()), lse2(length * heads);
            ops::attention(run, array<In<float>>(q), paged(In<Any>{}), {}, array<Maybe<In<float>>>(scales), {},
                           array<Maybe<In<int32_t>>>(one), array<In<int32_t>>(lengths), array<Maybe<In<float>>>(slopes),
                           array<Maybe<In<float>>>(sinks), array<Out<float>>(out2), array<Out<float>>(lse2),
                           array<In<double>>(other), CacheLayout::paged, type, form, false, true, false, 2);
            for (size_t i = 0; i < out.size(); i++)
              CHECK(std::fabs(out[i] - out2[i]) < 4e-6, "%s, %s, dim %zu, group %zu, element %zu: %.9g and %.9g", isa,
                    nameOf(type), dim, group, i, double(out[i]), double(out2[i]));
            for (size_t i = 0; i < lse.size(); i++)
              CHECK(std::fabs(lse[i] - lse2[i]) < 4e-6, "%s, log sum %zu: %.9g and %.9g", isa, i, double(lse[i]),
                    double(lse2[i]));
          }
        }
  });
}

TEST(a_forward_pass_has_the_same_bits_however_prompts_are_cut) {
  onEveryIsa([](const char* isa) {
    for (WeightType type : kWeightTypes) {
      Model model(type);
      for (WeightType cacheType : kWeightTypes)
        for (SoftmaxForm form : {SoftmaxForm::online, SoftmaxForm::unified, SoftmaxForm::pair}) {
          const PageShape shape{Model::layers, Model::kvHeads, Model::dim, cacheType};
          Cache together(cacheType, shape.bytes()), apart(cacheType, shape.bytes());
          Rows all;
          all.add(0, 0, 35);
          all.add(1, 0, 18);
          const std::vector<float> whole = forward(model, together, all, form, 3);
          for (float each : whole) CHECK(std::isfinite(each), "%s, %s", isa, nameOf(type));
          for (int32_t sequence : {1, 0}) {
            const int32_t length = sequence ? 18 : 35;
            for (int32_t from = 0; from < length; from += 7) {
              Rows some;
              some.add(sequence, from, std::min(from + 7, length));
              const std::vector<float> part = forward(model, apart, some, form, 1);
              const size_t first = (sequence ? 35 + size_t(from) : size_t(from)) * Model::vocab;
              CHECK(std::memcmp(part.data(), &whole[first], part.size() * sizeof(float)) == 0,
                    "%s, weights %s, cache %s, sequence %d from %d", isa, nameOf(type), nameOf(cacheType), sequence,
                    from);
            }
          }
        }
    }
  });
}

}  // namespace softlane::test
