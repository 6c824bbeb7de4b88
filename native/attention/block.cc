// One block of keys against the rows of a task: scores, terms, weighted values. The cache is read once for all the rows
// that share a head of it, and the next block is prefetched meanwhile.
// "Flash-Decoding", T. Dao et al., 2023 (split keys); "FlashDecoding++", K. Hong et al., MLSys 2024, section 3 (unified
// maximum); the pair form is that of "The Two-Pass Softmax Algorithm", M. Dukhan and A. Ablavatski, 2020.
#include "../dispatch.h"
#include "scores.h"
#include "terms.h"

namespace softlane::ISA {
namespace {

constexpr int L = F32::lanes;

/// values[row + r][d ...] += sum_j p_rj V_j over tiles [from, to), for R rows and N vectors of the head, n elements of which
/// count.
template <int R, int N, class T>
SOFTLANE_INLINE void addValues(const AttentionBlock& b, const RowGroup& group, size_t from, size_t to, size_t d,
                               size_t n) {
  const size_t stride = b.state.stride;
  float* out = b.state.values + group.row * stride + d;
  const float* p = b.room + group.row * kKeyBlock;
  F32 sum[R][N];
  for (int r = 0; r < R; r++)
    for (int v = 0; v < N; v++) sum[r][v] = F32::load(out + size_t(r) * stride + v * L);
  for (size_t tile = from; tile < to; tile++) {
    const size_t first = tile * kTileKeys, keys = b.count - first < kTileKeys ? b.count - first : kTileKeys;
    const char* values = static_cast<const char*>(b.values[tile]);
    const char* next = b.ahead && d == 0 ? static_cast<const char*>(b.values[tile + kAheadTiles]) : nullptr;
    for (size_t j = 0; j < keys; j++) {
      if (R == 1 && b.careful && !b.sight[group.row].sees(int32_t(first + j))) continue;
      const T* value = reinterpret_cast<const T*>(values + j * b.step) + d;
      if (next && group.asks(j)) prefetchRow(next + j * b.step, b.dim * sizeof(T));
      F32 part[N];
      for (int v = 0; v < N; v++) part[v] = N > 1 || n >= L ? F32::load(value + v * L) : F32::load(value + v * L, n, 0);
      for (int r = 0; r < R; r++) {
        const F32 weight = F32::set(p[size_t(r) * kKeyBlock + first + j]);
        for (int v = 0; v < N; v++) sum[r][v] = mulAdd(weight, part[v], sum[r][v]);
      }
    }
  }
  for (int r = 0; r < R; r++)
    for (int v = 0; v < N; v++) sum[r][v].store(out + size_t(r) * stride + v * L);
}

/// One group of rows, all of the head: in as wide pieces as the registers hold, so that rows of memory are read whole.
template <int R, class T>
SOFTLANE_INLINE void addHead(const AttentionBlock& b, const RowGroup& group, size_t from, size_t to) {
  constexpr int wide = L >= 16 ? 8 : L >= 8 ? (R == 1 ? 8 : 4) : 8, narrow = wide / 4;
  size_t d = 0;
  for (; d + wide * L <= b.dim; d += wide * L) addValues<R, wide, T>(b, group, from, to, d, wide * L);
  for (; d + narrow * L <= b.dim; d += narrow * L) addValues<R, narrow, T>(b, group, from, to, d, narrow * L);
  for (; d < b.dim; d += L) addValues<R, 1, T>(b, group, from, to, d, b.dim - d);
}

template <class T>
SOFTLANE_INLINE void addAll(const AttentionBlock& b) {
  constexpr int most = L >= 8 ? 2 : 1;
  const size_t tiles = (b.count + kTileKeys - 1) / kTileKeys;
  // One group keeps its sums in registers over the whole block; several share each tile while it is in the cache.
  const size_t together = b.rows <= size_t(most) ? tiles : 1;
  for (size_t tile = 0; tile < tiles; tile += together)
    eachRowGroup<most>(b.rows, [&](auto rows, const RowGroup& group) {
      addHead<decltype(rows)::value, T>(b, group, tile, tile + together);
    });
}

template <class Form>
SOFTLANE_INLINE void formTerms(const AttentionBlock& b, const Form& form) {
  const SoftCap soft;
  const F32 zero = F32::set(0);
  for (size_t r = 0; r < b.rows; r++) {
    float* room = b.room + r * kKeyBlock;
    if (b.sight[r].none(int32_t(b.count))) {
      for (int v = 0; v < kScoreVectors; v++) zero.store(room + v * L);
      continue;
    }
    F32 s[kScoreVectors];
    finishScores(b, r, soft, s);
    form(b, r, s);
    F32 sum = s[0];
    for (int v = 1; v < kScoreVectors; v++) sum = sum + s[v];
    b.state.sums[r] += reduceAdd(sum);
    for (int v = 0; v < kScoreVectors; v++) {
      if (b.valueScales) s[v] = s[v] * F32::load(b.valueScales + v * L);
      s[v].store(room + v * L);
    }
  }
}

}  // namespace

void attention_block(const AttentionBlock& b) {
  withWeights(b.type, [&](auto storage) {
    using T = decltype(storage);
    if (b.tiled) scoreTiles<T>(b);
    else scoreRows<T>(b);
  });
  switch (b.form) {
    case SoftmaxForm::online: formTerms(b, Online{}); break;
    case SoftmaxForm::unified: formTerms(b, Unified(b.phi, b.low, b.high)); break;
    case SoftmaxForm::pair: formTerms(b, PairForm{}); break;
  }
  withWeights(b.type, [&](auto storage) { addAll<decltype(storage)>(b); });
}

/// y_i = e^(x_i - phi), and their sum; false where one lies outside low < x_i - phi < high.
bool unified_exp(const float* x, float* y, size_t n, float phi, float low, float high, double* sum) {
  const Unified unified(phi, low, high);
  F32 outside = F32::set(0);
  *sum = 0;
  for (size_t i = 0; i < n; i += kBlock) {
    const size_t end = n - i < kBlock ? n : i + kBlock;
    F32 part = F32::set(0);
    size_t j = i;
    for (; j + L <= end; j += L) {
      const F32 term = unified.term(F32::load(x + j), outside);
      term.store(y + j);
      part = part + term;
    }
    if (j < end) {
      const F32 term = unified.term(F32::load(x + j, end - j, -__builtin_inff()), outside);
      term.store(y + j, end - j);
      part = part + term;
    }
    *sum += double(reduceAdd(part));
  }
  return !(reduceMax(outside) > 0);
}

/// out [rows][dim] += weights[row] * part [rows][dim]
void attention_merge(float* out, const float* part, const float* weights, size_t rows, size_t dim) {
  for (size_t r = 0; r < rows; r++) {
    const F32 weight = F32::set(weights[r]);
    float* to = out + r * dim;
    const float* from = part + r * dim;
    size_t d = 0;
    for (; d + L <= dim; d += L) mulAdd(weight, F32::load(from + d), F32::load(to + d)).store(to + d);
    if (d < dim) mulAdd(weight, F32::load(from + d, dim - d, 0), F32::load(to + d, dim - d, 0)).store(to + d, dim - d);
  }
}

/// total <- total joined with part, row by row: the same for any number of chunks, in their order.
void attention_fold(const AttentionState& total, const AttentionState& part, size_t rows, SoftmaxForm form) {
  const Online online;
  for (size_t r = 0; r < rows; r++) {
    if (part.sums[r] == 0) continue;  // nothing seen (NaN is not 0)
    float mine = 1, theirs = 1;
    if (form == SoftmaxForm::unified) {
      total.tops[r] = part.tops[r];
    } else {
      const float top = part.tops[r] > total.tops[r] ? part.tops[r] : total.tops[r];
      if (form == SoftmaxForm::online) {
        mine = total.sums[r] == 0 ? 0 : online.exp(total.tops[r] - top);
        theirs = online.exp(part.tops[r] - top);
      } else {
        mine = reduceMax(scalePow2(F32::set(1), F32::set(total.tops[r] - top)));
        theirs = reduceMax(scalePow2(F32::set(1), F32::set(part.tops[r] - top)));
      }
      total.tops[r] = top;
    }
    total.sums[r] = total.sums[r] * mine + part.sums[r] * theirs;
    float* to = total.values + r * total.stride;
    const float* from = part.values + r * part.stride;
    for (size_t d = 0; d < total.stride; d += L)
      mulAdd(F32::load(to + d), F32::set(mine), F32::load(from + d) * F32::set(theirs)).store(to + d);
  }
}

}  // namespace softlane::ISA
