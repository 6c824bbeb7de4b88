// Scores of a block of keys: dot products of query rows with keys as rows, or with tiles of turned keys. Loop halves only.
#pragma once
#include "../gemm/weights.h"
#include "attention.h"

namespace softlane::ISA {

/// Asks for the `bytes` from p.
SOFTLANE_INLINE void prefetchRow(const void* p, size_t bytes) {
  for (size_t at = 0; at < bytes; at += 64) prefetch(static_cast<const char*>(p) + at);
}

/// R rows and lanes / R keys: as many partial sums as a vector has lanes, added up together at the end.
template <int R, class T>
SOFTLANE_INLINE void dotKeys(const AttentionBlock& b, size_t row, size_t key, bool ahead) {
  constexpr int L = F32::lanes, C = L / R;
  const size_t stride = b.state.stride, dim = b.dim;
  const float* q = b.q + row * stride;
  const T* k[C];
  for (int c = 0; c < C; c++) {
    const size_t j = key + size_t(c) < b.count ? key + size_t(c) : b.count - 1;
    k[c] = static_cast<const T*>(b.keys[j]);
    if (ahead) prefetchRow(b.keys[kKeyBlock + j], dim * sizeof(T));
  }
  F32 sum[L];
  for (F32& s : sum) s = F32::set(0);
  size_t d = 0;
  for (; d + L <= dim; d += L) {
    F32 rows[R];
    for (int r = 0; r < R; r++) rows[r] = F32::load(q + size_t(r) * stride + d);
    for (int c = 0; c < C; c++) {
      const F32 v = F32::load(k[c] + d);
      for (int r = 0; r < R; r++) sum[r * C + c] = mulAdd(rows[r], v, sum[r * C + c]);
    }
  }
  if (d < dim) {
    for (int c = 0; c < C; c++) {
      const F32 v = F32::load(k[c] + d, dim - d, 0);
      for (int r = 0; r < R; r++) sum[r * C + c] = mulAdd(F32::load(q + size_t(r) * stride + d), v, sum[r * C + c]);
    }
  }
  float scores[L];
  sumEach(sum).store(scores);
  for (int r = 0; r < R; r++)
    for (int c = 0; c < C; c++) b.room[(row + size_t(r)) * kKeyBlock + key + size_t(c)] = scores[r * C + c];
}

template <int R, class T>
SOFTLANE_INLINE void dotRows(const AttentionBlock& b, size_t row, bool ahead) {
  constexpr size_t C = F32::lanes / R;
  for (size_t key = 0; key < b.count; key += C) dotKeys<R, T>(b, row, key, ahead);
}

/// Keys as rows. What lies past `count` in room is anything: it is masked.
template <class T>
SOFTLANE_INLINE void scoreRows(const AttentionBlock& b) {
  constexpr int L = F32::lanes;
  constexpr int most = L >= 16 ? 4 : L >= 8 ? 2 : 1;
  size_t row = 0;
  for (; row + most <= b.rows; row += most) dotRows<most, T>(b, row, b.ahead && row == 0);
  if constexpr (most > 2) {
    if (row + 2 <= b.rows) {
      dotRows<2, T>(b, row, b.ahead && row == 0);
      row += 2;
    }
  }
  if constexpr (most > 1) {
    if (row < b.rows) dotRows<1, T>(b, row, b.ahead && row == 0);
  }
}

/// R rows against N vectors of keys from turned tiles: scores come out in lanes.
template <int R, int N, class T>
SOFTLANE_INLINE void dotTiles(const AttentionBlock& b, size_t row, size_t key) {
  constexpr size_t L = F32::lanes;
  const size_t stride = b.state.stride, tiles = (b.count + kTileKeys - 1) / kTileKeys;
  const float* q = b.q + row * stride;
  const T* k[N];
  for (int v = 0; v < N; v++) {
    const size_t j = key + size_t(v) * L, tile = j / kTileKeys < tiles ? j / kTileKeys : tiles - 1;
    k[v] = static_cast<const T*>(b.keys[tile]) + j % kTileKeys;
  }
  F32 sum[R][N];
  for (auto& r : sum)
    for (F32& s : r) s = F32::set(0);
  for (size_t d = 0; d < b.dim; d++) {
    F32 lane[N];
    for (int v = 0; v < N; v++) lane[v] = F32::load(k[v] + d * kTileKeys);
    for (int r = 0; r < R; r++) {
      const F32 s = F32::set(q[size_t(r) * stride + d]);
      for (int v = 0; v < N; v++) sum[r][v] = mulAdd(s, lane[v], sum[r][v]);
    }
  }
  for (int r = 0; r < R; r++)
    for (int v = 0; v < N; v++) sum[r][v].store(b.room + (row + size_t(r)) * kKeyBlock + key + size_t(v) * L);
}

/// Keys as turned tiles.
template <class T>
SOFTLANE_INLINE void scoreTiles(const AttentionBlock& b) {
  constexpr int L = F32::lanes, N = L >= 16 ? 4 : L >= 8 ? 2 : 4, R = L >= 8 ? 4 : 1;
  for (size_t key = 0; key < b.count; key += size_t(N) * L) {
    if (b.ahead)
      for (size_t j = key; j < key + size_t(N) * L && j < b.count; j += kTileKeys)
        prefetchRow(b.keys[kKeyBlock + j / kTileKeys], b.dim * kTileKeys * sizeof(T));
    size_t row = 0;
    for (; row + R <= b.rows; row += R) dotTiles<R, N, T>(b, row, key);
    for (; R > 1 && row < b.rows; row++) dotTiles<1, N, T>(b, row, key);
  }
}

}  // namespace softlane::ISA
