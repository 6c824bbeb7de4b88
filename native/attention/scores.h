// Scores of a block of keys: dot products of query rows with keys as rows, or with tiles of turned keys. Loop halves only.
//
// Tile by tile of 16 keys, all rows for each: a tile stays in the first-level cache while every row uses it, and the one after
// the next is prefetched in shares between the rows. Rows of keys are first touched in the order of memory: streams side by side, a
// row each, halve the bandwidth, since no prefetcher of the hardware sees them (27 ms against 15 for 268 MB).
#pragma once
#include "../gemm/weights.h"
#include "attention.h"

namespace softlane::ISA {

/// Asks for the `bytes` from p, into the second-level cache: the first holds the tile at work.
SOFTLANE_INLINE void prefetchRow(const char* p, size_t bytes) {
  for (size_t at = 0; at < bytes; at += 64) prefetchFar(p + at);
}

/// Rows of a call are cut into groups of at most Most rows, the last ones smaller; each asks for its share of what comes next.
struct RowGroup {
  size_t row, index, count, mask;
  /// Group by group in turn (a power of two of them, the last taking what is over): a division would cost more than it saves.
  SOFTLANE_INLINE bool asks(size_t j) const {
    const size_t turn = j & mask;
    return turn == index || (turn > index && index + 1 == count);
  }
};

/// body(rows as a constant, group) for each group of at most Most rows.
template <int Rows>
struct RowCount {
  static constexpr int value = Rows;
};
template <int Most, class Body>
SOFTLANE_INLINE void eachRowGroup(size_t rows, Body body) {
  constexpr size_t most = Most;
  const size_t rest = rows % most, count = rows / most + (Most > 2 ? rest / 2 + rest % 2 : rest);
  RowGroup group{0, 0, count, 0};
  while (group.mask + 1 < count) group.mask = 2 * group.mask + 1;
  for (; group.row + most <= rows; group.row += most, group.index++) body(RowCount<Most>{}, group);
  if constexpr (Most > 2)
    for (; group.row + 2 <= rows; group.row += 2, group.index++) body(RowCount<2>{}, group);
  if constexpr (Most > 1)
    for (; group.row < rows; group.row++, group.index++) body(RowCount<1>{}, group);
}

/// R rows and lanes / R keys of a tile: as many partial sums as a vector has lanes, added up together at the end.
template <int R, class T>
SOFTLANE_INLINE void dotKeys(const AttentionBlock& b, const RowGroup& group, size_t tile, size_t first) {
  constexpr int L = F32::lanes, C = L / R, together = R == 1 ? 1 : C;
  const size_t stride = b.state.stride, dim = b.dim, last = b.count - 1 - tile * kTileKeys;
  const float* q = b.q + group.row * stride;
  const char* keys = static_cast<const char*>(b.keys[tile]);
  F32 sum[L];
  for (int c = 0; c < C; c += together) {
    const T* k[together];
    for (int i = 0; i < together; i++) {
      const size_t j = first + size_t(c + i), present = j < last ? j : last;
      k[i] = reinterpret_cast<const T*>(keys + present * b.step);
      if (b.ahead && group.asks(j))
        prefetchRow(static_cast<const char*>(b.keys[tile + kAheadTiles]) + j * b.step, dim * sizeof(T));
    }
    F32 part[R][together];
    for (auto& row : part)
      for (F32& each : row) each = F32::set(0);
    const auto add = [&](size_t d, auto load) {
      F32 key[together];
      for (int i = 0; i < together; i++) key[i] = load(k[i] + d);
      for (int r = 0; r < R; r++) {
        const F32 query = F32::load(q + size_t(r) * stride + d);
        for (int i = 0; i < together; i++) part[r][i] = mulAdd(query, key[i], part[r][i]);
      }
    };
    size_t d = 0;
    for (; d + L <= dim; d += L) add(d, [](const T* p) { return F32::load(p); });
    if (d < dim) add(d, [&](const T* p) { return F32::load(p, dim - d, 0); });
    for (int r = 0; r < R; r++)
      for (int i = 0; i < together; i++) sum[r * C + c + i] = part[r][i];
  }
  float scores[L];
  sumEach(sum).store(scores);
  float* room = b.room + group.row * kKeyBlock + tile * kTileKeys + first;
  for (int r = 0; r < R; r++) memcpy(room + size_t(r) * kKeyBlock, scores + r * C, C * sizeof(float));
}

/// Keys as rows. What lies past `count` in room is anything: it is masked.
template <class T>
SOFTLANE_INLINE void scoreRows(const AttentionBlock& b) {
  constexpr int L = F32::lanes, most = L >= 16 ? 4 : L >= 8 ? 2 : 1;
  for (size_t tile = 0; tile * kTileKeys < b.count; tile++) {
    const size_t rest = b.count - tile * kTileKeys, keys = rest < kTileKeys ? rest : kTileKeys;
    eachRowGroup<most>(b.rows, [&](auto rows, const RowGroup& group) {
      constexpr int R = decltype(rows)::value;
      for (size_t j = 0; j < keys; j += size_t(L) / R) dotKeys<R, T>(b, group, tile, j);
    });
  }
}

/// R rows against N vectors of turned keys from `key` on: scores come out in lanes.
template <int R, int N, class T>
SOFTLANE_INLINE void dotTiles(const AttentionBlock& b, const RowGroup& group, size_t key) {
  constexpr size_t L = F32::lanes;
  const size_t stride = b.state.stride, tiles = (b.count + kTileKeys - 1) / kTileKeys;
  const float* q = b.q + group.row * stride;
  const T *k[N], *next = nullptr;
  for (int v = 0; v < N; v++) {
    const size_t j = key + size_t(v) * L, tile = j / kTileKeys < tiles ? j / kTileKeys : tiles - 1;
    k[v] = static_cast<const T*>(b.keys[tile]) + j % kTileKeys;
  }
  // Several tiles side by side are streams of their own; one tile asks for the next, a line for each step in turn.
  constexpr bool single = size_t(N) * L <= kTileKeys;
  if (single && b.ahead) next = static_cast<const T*>(b.keys[key / kTileKeys + kAheadTiles]);
  F32 sum[R][N];
  for (auto& r : sum)
    for (F32& s : r) s = F32::set(0);
  for (size_t d = 0; d < b.dim; d++) {
    if (single && next && group.asks(d) && key % kTileKeys == 0) prefetchFar(next + d * kTileKeys);
    F32 lane[N];
    for (int v = 0; v < N; v++) lane[v] = F32::load(k[v] + d * kTileKeys);
    for (int r = 0; r < R; r++) {
      const F32 s = F32::set(q[size_t(r) * stride + d]);
      for (int v = 0; v < N; v++) sum[r][v] = mulAdd(s, lane[v], sum[r][v]);
    }
  }
  for (int r = 0; r < R; r++)
    for (int v = 0; v < N; v++) sum[r][v].store(b.room + (group.row + size_t(r)) * kKeyBlock + key + size_t(v) * L);
}

/// Keys as turned tiles: many rows take one tile after another; few need several at once for chains enough.
template <class T>
SOFTLANE_INLINE void scoreTiles(const AttentionBlock& b) {
  constexpr int L = F32::lanes, perTile = L >= 16 ? 1 : L >= 8 ? 2 : 4, many = L >= 16 ? 8 : L >= 8 ? 4 : 1;
  if (b.rows >= size_t(many) && L > 1) {
    for (size_t key = 0; key < b.count; key += kTileKeys)
      eachRowGroup<many>(b.rows, [&](auto rows, const RowGroup& group) {
        dotTiles<decltype(rows)::value, perTile, T>(b, group, key);
      });
  } else {
    for (size_t key = 0; key < b.count; key += 4 * L)
      eachRowGroup<(L >= 16  ? 4
                    : L >= 8 ? 2
                             : 1)>(
          b.rows, [&](auto rows, const RowGroup& group) { dotTiles<decltype(rows)::value, 4, T>(b, group, key); });
  }
}

}  // namespace softlane::ISA
