// The kernels of attention between guard pages: every storage type, keys as rows and as turned tiles, each tile in a span of
// its own, blocks that end inside a tile, rows that see all, some or none of them. What is prefetched lies nowhere.
#include "guarded.h"

#if defined(__unix__) || defined(__APPLE__)

namespace softlane::test {
namespace {

constexpr SoftmaxForm kForms[] = {SoftmaxForm::online, SoftmaxForm::unified, SoftmaxForm::pair};

struct Shape {
  WeightType type;
  bool tiled, careful, extras;
  size_t rows, dim, count, gap;  ///< elements from one row of the cache to the next, beside its own

  std::string text() const {
    return std::string(nameOf(type)) + (tiled ? ", tiles, " : ", rows, ") + std::to_string(rows) + " rows of " +
           std::to_string(dim) + ", " + std::to_string(count) + " keys" + (careful ? ", careful" : "");
  }
};

AttentionState stateOf(Spans& s, size_t rows, size_t dim, SoftmaxForm form, float sum) {
  const size_t stride = (dim + 15) / 16 * 16;
  const float nothing = form == SoftmaxForm::pair ? -0x1p18f : float(-kInfinity);
  AttentionState state{};
  state.sums = s.filled(rows, sum);
  state.tops = s.filled(rows, sum == 0 ? nothing : 3.0f);
  state.values = s.filled(rows * stride, sum);
  state.stride = stride;
  return state;
}

void block(Spans& s, const Shape& shape, SoftmaxForm form) {
  AttentionBlock b{};
  b.state = stateOf(s, shape.rows, shape.dim, form, 0);
  b.q = s.floats(shape.rows * b.state.stride);
  b.rows = shape.rows;
  b.dim = shape.dim;
  b.count = shape.count;
  b.type = shape.type;
  b.tiled = shape.tiled;
  const size_t step = shape.tiled ? shape.dim : shape.dim + shape.gap;
  b.step = step * sizeOf(shape.type);
  const void *keys[kKeyBlock / kTileKeys + kAheadTiles], *values[kKeyBlock / kTileKeys + kAheadTiles];
  size_t tiles = 0;
  for (size_t first = 0; first < shape.count; first += kTileKeys, tiles++) {
    const size_t n = std::min(kTileKeys, shape.count - first), elements = (n - 1) * step + shape.dim;
    keys[tiles] = s.in(shape.type, shape.tiled ? kTileKeys * shape.dim : elements);
    values[tiles] = s.in(shape.type, elements);
  }
  for (size_t t = 0; t < kAheadTiles; t++) keys[tiles + t] = values[tiles + t] = nowhere();
  b.keys = keys;
  b.values = values;
  b.ahead = !shape.careful;
  if (shape.type == WeightType::int8) {
    b.keyScales = s.filled(kKeyBlock, 0.01f);  // whole vectors, whatever the count is
    b.valueScales = s.filled(kKeyBlock, 0.02f);
  }
  const int32_t all = int32_t(kKeyBlock), count = int32_t(shape.count);
  const Sight sights[] = {{0, all, 0}, {count / 3, count, 0}, {-1, 1, 0},
                          {0, 0, 0},   {count - 1, all, 2},   {all, all, 3}};
  Sight* sight = s.out<Sight>(shape.rows);
  for (size_t r = 0; r < shape.rows; r++) sight[r] = sights[(r + shape.count) % 6];
  b.sight = sight;
  b.scale = 0.001f;
  if (shape.extras) {
    b.softCap = 5;
    b.slopes = s.filled(shape.rows, 0.1f);
    b.distance = s.filled(shape.rows, int32_t(-70));
  } else {
    b.distance = s.filled(shape.rows, int32_t(0));
  }
  b.form = form;
  b.low = -30;
  b.high = 30;
  b.left = s.filled(shape.rows, uint8_t(0));
  b.room = s.out<float>(shape.rows * kKeyBlock);
  b.careful = shape.careful;
  kernels().attention_block(b);
}

}  // namespace

void guardAttention(Spans& spans, const char* isa) {
  size_t turn = 0;
  const auto blocks = [&](const Shape& shape) {
    const SoftmaxForm form = kForms[turn++ % 3];
    guarded(spans, isa, "attention_block", shape.text(), [&](Spans& s) { block(s, shape, form); });
  };
  for (WeightType type : kWeightTypes)
    for (bool tiled : {false, true})
      for (size_t dim : {1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 128, 129})
        for (size_t count : {1, 2, 7, 8, 15, 16, 17, 31, 33, 48, 63, 64}) {
          for (size_t rows : {1, 2, 3, 4, 5, 8, 9, 11})
            blocks({type, tiled, false, turn % 2 == 0, rows, dim, count, 0});
          blocks({type, tiled, true, false, 1, dim, count, 0});
          blocks({type, tiled, false, false, 3, dim, count, 5});
        }
  for (size_t rows : {1, 2, 7})
    for (size_t dim : {1, 2, 7, 8, 9, 15, 16, 17, 33, 64, 129}) {
      const std::string what = std::to_string(rows) + " rows of " + std::to_string(dim);
      for (SoftmaxForm form : kForms)
        for (float sum : {0.0f, 1.0f})
          guarded(spans, isa, "attention_fold", what, [&](Spans& s) {
            const AttentionState total = stateOf(s, rows, dim, form, 0);
            kernels().attention_fold(total, stateOf(s, rows, dim, form, sum), rows, form);
          });
      guarded(spans, isa, "attention_merge", what, [&](Spans& s) {
        float* out = s.filled(rows * dim, 1.0f);
        const float *part = s.floats(rows * dim), *weights = s.floats(rows);
        kernels().attention_merge(out, part, weights, rows, dim);
      });
    }
}

}  // namespace softlane::test
#endif
