// The exported operations of attention over arrays of the caller: contiguous caches and pages.
#ifdef SOFTLANE_OPERATIONS
#include <algorithm>
#include <cmath>
#include <cstring>

#include "../rows.h"
#include "run.h"

namespace softlane {
namespace {

/// The numbers of a call, in the order of lib/kernels/attention.ts.
struct Sizes {
  size_t batch, tokens, queryHeads, kvHeads, dim, maxLength, pageSize, maxPages;
  double scale;
  size_t window, sinkTokens;
  double softCap, phi, low, high;
  size_t chunk, splits;

  explicit Sizes(In<double> n) {
    if (n.length != 17) throw rangeError("sizes", "17 numbers", std::to_string(n.length));
    const double* p = n.data;
    for (size_t* each : {&batch, &tokens, &queryHeads, &kvHeads, &dim, &maxLength, &pageSize, &maxPages})
      *each = size_t(*p++);
    scale = *p++;
    window = size_t(*p++);
    sinkTokens = size_t(*p++);
    for (double* each : {&softCap, &phi, &low, &high}) *each = *p++;
    chunk = size_t(*p++);
    splits = size_t(*p++);
    if (!queryHeads || !kvHeads || queryHeads % kvHeads)
      throw rangeError("kvHeads", "a divisor of queryHeads", std::to_string(kvHeads));
    if (!dim || !tokens || (!chunk && !splits)) throw rangeError("headDim", "positive", std::to_string(dim));
  }
};

void requireElements(const char* argument, size_t length, size_t least) {
  if (length < least)
    throw rangeError(argument, "at least " + std::to_string(least) + " elements long", std::to_string(length));
}

/// Checks the pages of a sequence and finds where they are.
void findPages(const Sizes& n, const In<int32_t>& table, size_t b, size_t length, size_t pageCount, const char* base,
               size_t bytes, std::vector<char*>& out) {
  for (size_t p = 0; p * n.pageSize < length; p++) {
    const int32_t page = p < n.maxPages ? table.data[b * n.maxPages + p] : -1;
    if (page < 0 || size_t(page) >= pageCount)
      throw rangeError("pageTable", "pages in [0, " + std::to_string(pageCount) + ") for every position of a sequence",
                       std::to_string(page) + " for page " + std::to_string(p) + " of sequence " + std::to_string(b));
    out.push_back(const_cast<char*>(base) + size_t(page) * bytes);  // only read
  }
}

}  // namespace

namespace ops {

double attention(Run& run, In<float> q, In<Any> keys, Maybe<In<Any>> values, Maybe<In<float>> keyScales,
                 Maybe<In<float>> valueScales, Maybe<In<int32_t>> pageTable, In<int32_t> lengths,
                 Maybe<In<float>> alibiSlopes, Maybe<In<float>> sinks, Out<float> out, Out<float> logSumExp,
                 In<double> sizes, CacheLayout layout, CacheType kvType, SoftmaxForm softmax, bool elementRule,
                 bool causal, bool partials, size_t threads) {
  const Sizes n(sizes);
  const bool paged = layout == CacheLayout::paged;
  const size_t group = n.queryHeads / n.kvHeads, rows = n.batch * n.tokens * n.queryHeads, size = sizeOf(kvType);
  requireWeights("keys", keys.element, kvType);
  requireElements("q", q.length, rows * n.dim);
  requireElements("lengths", lengths.length, n.batch);
  if (alibiSlopes.data) requireElements("alibiSlopes", alibiSlopes.length, n.queryHeads);
  if (sinks.data) requireElements("sinks", sinks.length, n.queryHeads);
  // A copy: what is checked here must be what is used below, whatever JavaScript does to its array meanwhile.
  const std::vector<int32_t> lengthOfSequence(lengths.data, lengths.data + n.batch);
  size_t longest = 0;
  for (size_t b = 0; b < n.batch; b++) {
    if (lengthOfSequence[b] < 0 || size_t(lengthOfSequence[b]) > n.maxLength)
      throw rangeError("lengths", "in [0, " + std::to_string(n.maxLength) + "]",
                       std::to_string(lengthOfSequence[b]) + " at index " + std::to_string(b));
    longest = std::max(longest, size_t(lengthOfSequence[b]));
  }
  const size_t all = n.batch * n.maxLength * n.kvHeads, pageRows = 2 * n.kvHeads * n.pageSize;
  const size_t pageCount = paged ? keys.length / (pageRows * n.dim) : 0;
  if (!paged) {
    requireElements("keys", keys.length, all * n.dim);
    requireWeights("values", values.element, kvType);
    requireElements("values", values.length, all * n.dim);
  } else {
    requireElements("pageTable", pageTable.data ? pageTable.length : 0, n.batch * n.maxPages);
  }
  if (kvType == CacheType::int8) {
    requireElements("keyScales", keyScales.data ? keyScales.length : 0, paged ? pageCount * pageRows : all);
    if (!paged) requireElements("valueScales", valueScales.data ? valueScales.length : 0, all);
  }
  const size_t chunks = partials ? n.splits : 1;
  requireElements("out", out.length, chunks * rows * n.dim);
  requireElements("logSumExp", logSumExp.length, chunks * rows);

  AttentionForm form{n.dim,   group,       n.kvHeads,    float(n.scale), float(n.softCap), n.window, n.sinkTokens,
                     softmax, elementRule, float(n.phi), float(n.low),   float(n.high),    n.chunk};
  std::vector<std::vector<char*>> pages(n.batch), scalePages(n.batch);
  if (paged) {
    for (size_t b = 0; b < n.batch; b++) {
      findPages(n, pageTable, b, size_t(lengthOfSequence[b]), pageCount, static_cast<const char*>(keys.data),
                pageRows * n.dim * size, pages[b]);
      if (kvType == CacheType::int8)
        findPages(n, pageTable, b, size_t(lengthOfSequence[b]), pageCount,
                  reinterpret_cast<const char*>(keyScales.data), pageRows * sizeof(float), scalePages[b]);
    }
  }
  // A fixed number of splits cuts each sequence by its own length: then each is a call of its own.
  size_t redone = 0;
  run.useThreads(std::min(threads, 1 + rows * longest * n.dim / (size_t(1) << 18)));
  run.expect(n.batch * n.kvHeads);
  const size_t atOnce = tokensAtOnce(group);
  const auto cacheOf = [&](size_t b, size_t h) {
    HeadCache cache;
    cache.type = kvType;
    if (paged) {
      cache.pages = pages[b].data();
      cache.pageTokens = n.pageSize;
      cache.step = n.dim * size;
      cache.keyOffset = h * n.pageSize * n.dim * size;
      cache.valueOffset = (n.kvHeads + h) * n.pageSize * n.dim * size;
      cache.scalePages = kvType == CacheType::int8 ? scalePages[b].data() : nullptr;
      cache.keyScaleOffset = h * n.pageSize * sizeof(float);
      cache.valueScaleOffset = (n.kvHeads + h) * n.pageSize * sizeof(float);
      return cache;
    }
    const bool nhd = layout == CacheLayout::nhd;
    const size_t start = b * n.maxLength * n.kvHeads + (nhd ? h : h * n.maxLength);
    cache.step = (nhd ? n.kvHeads : 1) * n.dim * size;
    cache.keys = static_cast<const char*>(keys.data) + start * n.dim * size;
    cache.values = static_cast<const char*>(values.data) + start * n.dim * size;
    cache.scaleStep = nhd ? n.kvHeads : 1;
    if (keyScales.data) cache.keyScales = keyScales.data + start;
    if (valueScales.data) cache.valueScales = valueScales.data + start;
    return cache;
  };
  for (size_t first = 0; first < n.batch; first += n.splits ? 1 : n.batch) {
    std::vector<AttentionTask> tasks;
    for (size_t b = first; b < (n.splits ? first + 1 : n.batch); b++) {
      const size_t length = size_t(lengthOfSequence[b]);
      for (size_t t = 0; t < n.tokens; t += atOnce)
        for (size_t h = 0; h < n.kvHeads; h++) {
          const size_t head = (b * n.tokens + t) * n.queryHeads + h * group;
          AttentionTask task{};
          task.cache = cacheOf(b, h);
          task.q = q.data + head * n.dim;
          task.out = out.data + head * n.dim;
          task.logSumExp = logSumExp.data + head;
          task.queryStride = task.tokenStride = n.queryHeads * n.dim;
          task.valueStride = n.queryHeads;
          task.slopes = alibiSlopes.data ? alibiSlopes.data + h * group : nullptr;
          task.sinks = sinks.data && !partials ? sinks.data + h * group : nullptr;
          task.causal = causal;
          task.tokens = std::min(atOnce, n.tokens - t);
          // Without the mask every token sees what the last one does.
          task.position = int64_t(length) - int64_t(causal ? n.tokens - t : task.tokens);
          tasks.push_back(task);
        }
      if (n.splits) form.chunk = std::max<size_t>(1, (length + n.splits - 1) / n.splits);
    }
    if (partials) redone += attendPartials(run, form, tasks, n.splits, rows * n.dim, rows);
    else redone += attend(run, form, tasks);
  }
  return double(redone);
}

void appendPaged(Run&, In<float> k, In<float> v, Out<Any> pages, Maybe<Out<float>> scales, In<int32_t> slots,
                 size_t kvHeads, size_t headDim, size_t pageSize, CacheType kvType) {
  const size_t row = kvHeads * headDim, pageRows = 2 * kvHeads * pageSize;
  requireWeights("pages", pages.element, kvType);
  requireElements("k", k.length, slots.length * row);
  requireElements("v", v.length, slots.length * row);
  const size_t pageCount = pageRows && headDim ? pages.length / (pageRows * headDim) : 0;
  if (kvType == CacheType::int8) requireElements("scales", scales.data ? scales.length : 0, pageCount * pageRows);
  for (size_t i = 0; i < slots.length; i++)  // the binding's blocking form alone is used: nobody writes meanwhile
    if (slots.data[i] < 0 || size_t(slots.data[i]) >= pageCount * pageSize)
      throw rangeError("pageTable", "pages in [0, " + std::to_string(pageCount) + ")",
                       "slot " + std::to_string(slots.data[i]));
  for (size_t i = 0; i < slots.length; i++) {
    const size_t page = size_t(slots.data[i]) / pageSize, within = size_t(slots.data[i]) % pageSize;
    for (size_t part = 0; part < 2; part++)
      for (size_t h = 0; h < kvHeads; h++) {
        const float* from = (part ? v : k).data + (i * kvHeads + h) * headDim;
        const size_t to = page * pageRows + (part * kvHeads + h) * pageSize + within;
        storeCached(from, headDim, kvType, static_cast<char*>(pages.data) + to * headDim * sizeOf(kvType), 1,
                    scales.data ? scales.data + to : nullptr);
      }
  }
}

void mergeAttention(Run& run, In<float> outs, In<float> logSumExps, Out<float> out, Out<float> logSumExp, size_t count,
                    size_t rows, size_t headDim) {
  requireElements("outs", outs.length, count * rows * headDim);
  requireElements("logSumExps", logSumExps.length, count * rows);
  requireElements("out", out.length, rows * headDim);
  requireElements("logSumExp", logSumExp.length, rows);
  run.expect(rows);
  run.each(rows, 256, [&](size_t begin, size_t end) {
    std::fill_n(out.data + begin * headDim, (end - begin) * headDim, 0.0f);
    std::vector<double> top(end - begin, -kInfinity), sum(end - begin);
    std::vector<float> weights(end - begin);
    const auto lseOf = [&](size_t c, size_t r) { return double(logSumExps.data[c * rows + r]); };
    for (size_t r = begin; r < end; r++) {
      double& m = top[r - begin];
      for (size_t c = 0; c < count; c++) m = std::isnan(lseOf(c, r)) ? kNan : std::max(m, lseOf(c, r));
      // Infinity minus infinity never happens: a row without anything has no weights.
      for (size_t c = 0; c < count; c++) sum[r - begin] += m == -kInfinity ? 0 : std::exp(lseOf(c, r) - m);
      logSumExp.data[r] = m == -kInfinity ? float(-kInfinity) : float(m + std::log(sum[r - begin]));
    }
    for (size_t c = 0; c < count; c++) {
      for (size_t r = begin; r < end; r++) {
        const double m = top[r - begin];
        weights[r - begin] = m == -kInfinity ? 0 : float(std::exp(lseOf(c, r) - m) / sum[r - begin]);
      }
      for (size_t r = begin; r < end; r++) {
        if (weights[r - begin] == 0) continue;  // what an empty part holds does not matter
        kernels().attention_merge(out.data + r * headDim, outs.data + (c * rows + r) * headDim, &weights[r - begin], 1,
                                  headDim);
      }
    }
    run.advance(end - begin);
  });
}

double unifiedSoftmax(Run& run, In<float> scores, Out<float> weights, Out<float> logSumExp, Out<uint8_t> fallback,
                      size_t rows, size_t cols, double phi, bool elementRule, double low, double high) {
  requireElements("scores", scores.length, rows * cols);
  requireElements("weights", weights.length, rows * cols);
  requireElements("logSumExp", logSumExp.length, rows);
  requireElements("fallback", fallback.length, rows);
  const ExpForm form = formOf(1, Dtype::f32);
  size_t redone = 0;
  run.expect(rows * cols);
  run.useThreads(1);
  for (size_t r = 0; r < rows && !run.stopped(); r++) {
    const float* x = scores.data + r * cols;
    float* y = weights.data + r * cols;
    double sum = 0;
    const bool inside = kernels().unified_exp(x, y, cols, float(phi), elementRule ? float(low) : float(-kInfinity),
                                              elementRule ? float(high) : float(kInfinity), &sum);
    const bool good = inside && float(sum) >= 0x1p-60f && std::isfinite(float(sum));
    fallback.data[r] = cols > 0 && !good;
    if (good) {
      kernels().scale(y, y, Dtype::f32, cols, Affine{1 / sum, 0, false});
      logSumExp.data[r] = float(phi + std::log(sum));
    } else if (cols > 0) {
      redone++;
      const Row row{x, Dtype::f32, cols};
      const Normaliser normaliser = normalise(run, row, Algorithm::recompute, form);
      logSumExp.data[r] = float(normaliser.logSumExp(form));
      if (normaliser.isNan() || normaliser.isEmpty()) fillRow(y, Dtype::f32, cols, normaliser.isNan() ? kNan : 0);
      else writeProbabilities(run, row, normaliser, y, Dtype::f32, form, {1, 0, false});
    } else {
      logSumExp.data[r] = float(-kInfinity);
    }
    run.advance(cols);
  }
  return double(redone);
}

}  // namespace ops
}  // namespace softlane
#endif
