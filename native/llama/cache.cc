#ifdef SOFTLANE_OPERATIONS
#include "cache.h"

#include <algorithm>

namespace softlane {

CacheRows::CacheRows(const PageShape& shape, const std::vector<Out<Any>>& slabs, In<int32_t> sequences,
                     In<int32_t> positions, In<int32_t> pageTable, size_t maxPages) {
  const size_t bytes = shape.bytes(), count = sequences.length;
  if (positions.length != count)
    throw rangeError("positions", "as many as sequences, " + std::to_string(count), std::to_string(positions.length));
  if (maxPages == 0 || pageTable.length % maxPages)
    throw rangeError("pageTable", "whole rows of " + std::to_string(maxPages) + " pages",
                     std::to_string(pageTable.length));
  const size_t perSlab = slabs.empty() ? 0 : slabs[0].length / bytes;
  for (const Out<Any>& slab : slabs) {
    if (slab.element != Element::uint8) throw typeError("slabs", "Uint8Arrays", nameOf(slab.element));
    if (slab.length != perSlab * bytes || perSlab == 0)
      throw rangeError("slabs", "of whole pages of " + std::to_string(bytes) + " bytes, each of the same number",
                       std::to_string(slab.length) + " bytes");
  }
  const size_t known = pageTable.length / maxPages, available = perSlab * slabs.size();
  pages.resize(known);
  for (size_t i = 0; i < count; i++) {
    const int32_t sequence = sequences.data[i], position = positions.data[i];
    const std::string which = " at index " + std::to_string(i);
    if (sequence < 0 || size_t(sequence) >= known)
      throw rangeError("sequences", "rows of the page table, in [0, " + std::to_string(known) + ")",
                       std::to_string(sequence) + which);
    if (position < 0 || size_t(position) >= maxPages * kPageTokens)
      throw rangeError("positions", "in [0, " + std::to_string(maxPages * kPageTokens) + ")",
                       std::to_string(position) + which);
    std::vector<char*>& of = pages[size_t(sequence)];
    for (size_t p = of.size(); p <= size_t(position) / kPageTokens; p++) {
      const int32_t page = pageTable.data[size_t(sequence) * maxPages + p];
      if (page < 0 || size_t(page) >= available)
        throw rangeError(
            "pageTable", "pages in [0, " + std::to_string(available) + ") for every position of a sequence",
            std::to_string(page) + " for page " + std::to_string(p) + " of sequence " + std::to_string(sequence));
      of.push_back(static_cast<char*>(slabs[size_t(page) / perSlab].data) + size_t(page) % perSlab * bytes);
    }
    const bool follows = !runs.empty() && runs.back().sequence == size_t(sequence) &&
                         runs.back().position + int64_t(runs.back().count) == position;
    if (follows) runs.back().count++;
    else runs.push_back({i, 1, size_t(sequence), position});
  }
}

void CacheRows::append(softlane::Run& run, const PageShape& shape, size_t layer, const float* k, const float* v,
                       size_t stride) const {
  const size_t size = sizeOf(shape.type), dim = shape.headDim;
  run.each(runs.size() * shape.kvHeads, 16, [&](size_t begin, size_t end) {
    for (size_t i = begin; i < end; i++) {
      const CacheRows::Run& rows = runs[i / shape.kvHeads];
      const size_t head = i % shape.kvHeads;
      for (size_t r = 0; r < rows.count; r++) {
        const size_t position = size_t(rows.position) + r, slot = position % kPageTokens;
        char* at = pages[rows.sequence][position / kPageTokens] + shape.offsetOf(layer, head);
        float* scales = reinterpret_cast<float*>(at + 2 * shape.tileBytes());
        const size_t from = (rows.first + r) * stride + head * dim;
        storeCached(k + from, dim, shape.type, at + slot * size, kPageTokens, scales + slot);
        storeCached(v + from, dim, shape.type, at + shape.tileBytes() + slot * dim * size, 1,
                    scales + kPageTokens + slot);
      }
    }
  });
}

HeadCache CacheRows::at(const PageShape& shape, size_t sequence, size_t layer, size_t head) const {
  HeadCache cache;
  cache.type = shape.type;
  cache.tiled = true;
  cache.pages = pages[sequence].data();
  cache.pageTokens = kPageTokens;
  cache.step = shape.headDim * sizeOf(shape.type);
  cache.keyOffset = shape.offsetOf(layer, head);
  cache.valueOffset = cache.keyOffset + shape.tileBytes();
  if (shape.type == CacheType::int8) {
    cache.scalePages = cache.pages;
    cache.keyScaleOffset = cache.keyOffset + 2 * shape.tileBytes();
    cache.valueScaleOffset = cache.keyScaleOffset + shape.scaleBytes();
  }
  return cache;
}

std::vector<AttentionTask> CacheRows::tasks(const PageShape& shape, size_t layer, size_t group, const float* q,
                                            size_t qStride, float* out, size_t outStride, float* logSumExp,
                                            float* top) const {
  std::vector<AttentionTask> result;
  const size_t heads = shape.kvHeads * group, atOnce = tokensAtOnce(group);
  for (const CacheRows::Run& rows : runs)
    for (size_t t = 0; t < rows.count; t += atOnce)
      for (size_t h = 0; h < shape.kvHeads; h++) {
        AttentionTask task{};
        const size_t row = rows.first + t, head = h * group;
        task.cache = at(shape, rows.sequence, layer, h);
        task.q = q + row * qStride + head * shape.headDim;
        task.out = out + row * outStride + head * shape.headDim;
        task.queryStride = qStride;
        task.tokenStride = outStride;
        task.valueStride = heads;
        task.logSumExp = logSumExp ? logSumExp + row * heads + head : nullptr;
        task.top = top ? top + row * heads + head : nullptr;
        task.position = rows.position + int64_t(t);
        task.tokens = std::min(atOnce, rows.count - t);
        task.causal = true;
        result.push_back(task);
      }
  return result;
}

}  // namespace softlane
#endif
