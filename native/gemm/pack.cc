// Packing weights into panels (gemm.h), converting on the way, and reading rows back.
#ifdef SOFTLANE_OPERATIONS
#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "run.h"

namespace softlane {
namespace {

/// k of a panel that are turned at once: 32 rows of them stay in the first-level cache.
constexpr size_t kStretch = 128;

Dtype storageOf(WeightType type) {
  return type == WeightType::bf16 ? Dtype::bf16 : type == WeightType::f16 ? Dtype::f16 : Dtype::f32;
}

void widen(const void* from, WeightType type, size_t n, float* to) {
  if (type == WeightType::int8) std::copy_n(static_cast<const int8_t*>(from), n, to);
  else kernels().convert(from, storageOf(type), to, Dtype::f32, n);
}

/// Where rows come from: converted to the packed type, a stretch at a time.
struct Source {
  const void* w;
  const float* wScales;
  size_t k;
  WeightType type, to;

  const char* at(size_t row, size_t kk) const { return static_cast<const char*>(w) + (row * k + kk) * sizeOf(type); }

  /// The scale of a row of int8: given, or the largest magnitude over 127.
  float scaleOf(size_t row, float* room) const {
    if (type == WeightType::int8) return wScales[row];
    float most = 0;
    for (size_t kk = 0; kk < k; kk += kStretch) {
      const size_t n = std::min(kStretch, k - kk);
      widen(at(row, kk), type, n, room);
      for (size_t i = 0; i < n; i++) most = std::max(most, std::fabs(room[i]));
    }
    return most / 127;
  }

  void read(size_t row, size_t kk, size_t n, float scale, void* out, float* room) const {
    if (type == to) {
      std::memcpy(out, at(row, kk), n * sizeOf(type));
    } else if (to == WeightType::int8) {
      widen(at(row, kk), type, n, room);
      const float inverse = scale > 0 && std::isfinite(1 / scale) ? 1 / scale : 0;  // below 3e-39 all are zeros
      for (size_t i = 0; i < n; i++)
        static_cast<int8_t*>(out)[i] = int8_t(std::max(-127.0f, std::min(127.0f, std::nearbyintf(room[i] * inverse))));
    } else {
      widen(at(row, kk), type, n, room);
      if (type == WeightType::int8)
        for (size_t i = 0; i < n; i++) room[i] *= scale;
      kernels().convert(room, Dtype::f32, out, storageOf(to), n);
    }
  }
};

/// Rows [begin, end) of one panel, T being as wide as an element; the source's rows start at `shift`.
template <class T>
void packPanel(const Source& source, size_t panel, size_t begin, size_t end, size_t shift, T* out, float* scales) {
  T rows[kPanelRows][kStretch];
  float room[kStretch], scale[kPanelRows] = {};
  size_t place[kPanelRows];
  const size_t count = end - begin;
  for (size_t i = 0; i < count; i++) {
    const size_t row = begin + i;
    place[i] = placeInLine(source.to, row % kPanelRows);
    if (source.to == WeightType::int8) scale[i] = scales[row] = source.scaleOf(row - shift, room);
    else if (source.type == WeightType::int8) scale[i] = source.wScales[row - shift];
  }
  for (size_t kk = 0; kk < source.k; kk += kStretch) {
    const size_t n = std::min(kStretch, source.k - kk);
    for (size_t i = 0; i < count; i++) source.read(begin + i - shift, kk, n, scale[i], rows[i], room);
    T* line = out + (panel * source.k + kk) * kPanelRows;
    for (size_t j = 0; j < n; j++, line += kPanelRows)
      for (size_t i = 0; i < count; i++) line[place[i]] = rows[i][j];
  }
}

void requireFinite(const Source& source, size_t rows) {
  std::vector<float> room(source.k);
  for (size_t row = 0; row < rows; row++) {
    widen(source.at(row, 0), source.type, source.k, room.data());
    for (size_t kk = 0; kk < source.k; kk++)
      if (!std::isfinite(room[kk]))
        throw rangeError("w", "finite where it is quantised to int8",
                         std::to_string(room[kk]) + " in row " + std::to_string(row));
  }
}

}  // namespace

void gather(const Weights& w, const int32_t* rows, size_t count, float* out) {
  for (size_t i = 0; i < count; i++, out += w.k) {
    const size_t row = size_t(rows[i]);
    if (!w.packed) {
      widen(static_cast<const char*>(w.data) + row * w.k * sizeOf(w.type), w.type, w.k, out);
    } else {
      const size_t first = row / kPanelRows * w.k * kPanelRows + placeInLine(w.type, row % kPanelRows);
      char stretch[kStretch * 4];
      const size_t size = sizeOf(w.type);
      for (size_t kk = 0; kk < w.k; kk += kStretch) {
        const size_t n = std::min(kStretch, w.k - kk);
        const char* from = static_cast<const char*>(w.data) + (first + kk * kPanelRows) * size;
        for (size_t j = 0; j < n; j++) std::memcpy(stretch + j * size, from + j * kPanelRows * size, size);
        widen(stretch, w.type, n, out + kk);
      }
    }
    if (w.scales)
      for (size_t kk = 0; kk < w.k; kk++) out[kk] *= w.scales[row];
  }
}

namespace ops {

void packWeightRows(Run& run, In<Any> w, Maybe<In<float>> wScales, Out<Any> out, Maybe<Out<float>> scales, size_t row,
                    size_t rows, size_t n, size_t k, WeightType type, WeightType outType, size_t threads) {
  requireWeights("w", w.element, type);
  requireWeights("out", out.element, outType);
  requireMatrix("w", w.length, rows, k, k);
  requireMatrix("out", out.length, panelsOf(n) * kPanelRows, k, k);
  if (row > n || rows > n - row)
    throw rangeError("rows", "within the " + std::to_string(n) + " rows of the packed matrix",
                     std::to_string(rows) + " from row " + std::to_string(row));
  if (type == WeightType::int8 && !wScales.data) throw typeError("wScales", "given for int8 weights", "undefined");
  if (wScales.data) requireMatrix("wScales", wScales.length, 1, rows, rows);
  if (outType == WeightType::int8) {
    if (!scales.data) throw typeError("scales", "given for int8 weights", "undefined");
    requireMatrix("scales", scales.length, 1, n, n);
  }
  const Source source{w.data, wScales.data, k, type, outType};
  if (outType == WeightType::int8 && type != WeightType::int8) requireFinite(source, rows);
  if (rows == 0) return;
  const size_t first = row / kPanelRows, last = (row + rows - 1) / kPanelRows + 1;
  run.useThreads(std::min(threads, 1 + rows * k / (size_t(1) << 18)));
  run.expect(rows);
  run.each(last - first, std::max<size_t>(1, (size_t(1) << 18) / (kPanelRows * k + 1)), [&](size_t from, size_t to) {
    for (size_t panel = first + from; panel < first + to; panel++) {
      const size_t begin = std::max(row, panel * kPanelRows), end = std::min(row + rows, (panel + 1) * kPanelRows);
      switch (sizeOf(outType)) {
        case 4: packPanel(source, panel, begin, end, row, static_cast<uint32_t*>(out.data), scales.data); break;
        case 2: packPanel(source, panel, begin, end, row, static_cast<uint16_t*>(out.data), scales.data); break;
        default: packPanel(source, panel, begin, end, row, static_cast<uint8_t*>(out.data), scales.data);
      }
      run.advance(end - begin);
    }
  });
}

void gatherRows(Run& run, In<Any> w, Maybe<In<float>> scales, In<int32_t> indices, Out<float> out, size_t n, size_t k,
                WeightType type, bool packed) {
  requireWeights("w", w.element, type);
  requireMatrix("w", w.length, packed ? panelsOf(n) * kPanelRows : n, k, k);
  requireMatrix("out", out.length, indices.length, k, k);
  if (type == WeightType::int8 && !scales.data) throw typeError("scales", "given for int8 weights", "undefined");
  if (scales.data) requireMatrix("scales", scales.length, 1, n, n);
  // A copy: what is checked here must be what is used below, whatever JavaScript does to its array meanwhile.
  const std::vector<int32_t> rows(indices.data, indices.data + indices.length);
  for (size_t i = 0; i < rows.size(); i++)
    if (rows[i] < 0 || size_t(rows[i]) >= n)
      throw rangeError("indices", "in [0, " + std::to_string(n) + ")",
                       std::to_string(rows[i]) + " at index " + std::to_string(i));
  run.expect(indices.length);
  run.each(indices.length, 64, [&](size_t begin, size_t end) {
    gather({w.data, scales.data, type, packed, n, k}, rows.data() + begin, end - begin, out.data + begin * k);
    run.advance(end - begin);
  });
}

}  // namespace ops
}  // namespace softlane
#endif
