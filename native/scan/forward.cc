// The sweep over a staged tile: h[n] = a[n] h[n] + s B[n] u, y = sum_n C[n] h[n], one vector of channels at a time.
//
// States of the usual scan stand in registers, kHeld at a time; what is left over, and the forms that are not in a hurry,
// keep them in the first-level cache.
//
// Powers: where A[n] = (n + 1) A[0] (S4D-real, the start of every Mamba), a[n] = r^(n + 1) with one exponential r. Four
// chains r^n, r^(n+1), ... are carried on by r^4: one multiplication a state. While s |A[0]| is small throughout the tile
// the same with m = a - 1 (m_{i+j} = m_i m_j + m_i + m_j, h += m h + b), whose error does not grow with the memory of
// slow states; its additions run beside the multiplications.
//
// Ladder (Zen 4, AVX-512, float32, 2,048 channels x 16 states x 4,096 steps, the sweep alone; an exponential each / powers):
// states in the cache 24.2 / 15.4 ms, bound by the stores; held in registers 23.8 / 22.2, as the compiler left the loop over
// states rolled; unrolled 22.1 / 11.0. The whole call: pieces of rows prefetched a row of tiles ahead 28.5 (misses of the
// TLB), the next tile of the same rows 24, from inside the sweep 22.9 (powers).
#include "powers.h"

namespace softlane::ISA {
namespace {

template <class T, bool Wide>
SOFTLANE_INLINE T weight(const typename Number<T>::V::Scalar* p, size_t next) {
  using V = typename Number<T>::V;
  if constexpr (Wide) return Number<T>::load(p, next);
  else return V::set(*p);
}

/// States [from, states) of one vector of channels, each read and written at every step.
template <class V, class T, bool Wide, ScanMode Mode, Decay Form>
void sweepInCache(const ScanTile& tile, size_t v, size_t from) {
  using N = Number<T>;
  using S = typename V::Scalar;
  constexpr size_t L = V::lanes, kChains = Wide ? 1 : 4;  // code that is not in a hurry stays short
  const size_t w = tile.width, row = N::parts * w, keptRow = N::parts * L;
  const S *s = static_cast<const S*>(tile.s) + v * L, *u = static_cast<const S*>(tile.u) + v * L,
          *a = static_cast<const S*>(tile.a) + v * L;
  const S *bAt = static_cast<const S*>(tile.b.p) + v * tile.b.vector,
          *cAt = static_cast<const S*>(tile.c.p) + v * tile.c.vector;
  S *h = static_cast<S*>(tile.h) + v * L, *other = static_cast<S*>(tile.other) + v * L,
    *kept = static_cast<S*>(tile.kept), *decays = static_cast<S*>(tile.decays), *y = static_cast<S*>(tile.y) + v * L;
  const size_t bNext = tile.b.vector ? w : L, cNext = tile.c.vector ? w : L;
  const ScanMode mode = Wide ? tile.mode : Mode;  // one copy of the code that is not in a hurry
  const Exp2<V> exp2;
  const V log2e = V::set(S(kLog2e));
  for (size_t t = 0; t < tile.steps; t++) {
    const V step = V::load(s + t * w), x = V::load(u + t * w), su = step * x, scaled = step * log2e;
    V sums[kChains];
    for (V& each : sums) each = V::set(0);
    Powers<V, Form> powers;
    if constexpr (Form != Decay::each) powers.start(exp2, scaled * V::load(a), from);
    const S *b = bAt + t * tile.b.step, *c = cAt + t * tile.c.step;
    const auto state = [&](size_t n, size_t k) {
      T decay, input;
      if constexpr (Form != Decay::each) {
        decay = powers.chain[k];
        input = su * weight<T, Wide>(b + n * tile.b.state, bNext);
      } else if constexpr (N::parts == 1 && !Wide) {  // always euler
        decay = exp2(scaled * V::load(a + n * row));
        input = su * weight<T, Wide>(b + n * tile.b.state, bNext);
      } else {
        const Discrete<T> d(exp2, tile.rule, step, N::load(a + n * row, w), false);
        decay = d.a;
        input = times(x, d.w * weight<T, Wide>(b + n * tile.b.state, bNext));
      }
      const T next = advance<Form>(decay, N::load(h + n * row, w), input);
      N::store(next, h + n * row, w);
      if (mode == ScanMode::both)
        N::store(advance<Form>(decay, N::load(other + n * row, w), input), other + n * row, w);
      if (mode == ScanMode::keep) {
        N::store(next, kept + ((t + 1) * tile.states + n) * keptRow, L);
        if constexpr (Form == Decay::each) N::store(decay, decays + (t * tile.states + n) * keptRow, L);
      }
      sums[k] = addReal(next, weight<T, Wide>(c + n * tile.c.state, cNext), sums[k]);
    };
    size_t n = from;
    for (; n + kChains <= tile.states; n += kChains) {
      for (size_t k = 0; k < kChains; k++) state(n + k, k);
      if constexpr (Form != Decay::each) powers.next();
    }
    for (size_t k = 0; n + k < tile.states; k++) state(n + k, k);
    if (!tile.y) continue;
    V sum = sums[0];
    if constexpr (kChains == 4) sum = (sums[0] + sums[1]) + (sums[2] + sums[3]);
    (from ? V::load(y + t * w) + sum : sum).store(y + t * w);
  }
}

/// R states from `from` on, which stay in registers over the steps of the tile.
template <class V, size_t R, ScanMode Mode, Decay Form>
void sweepHeld(const ScanTile& tile, size_t v, size_t from) {
  using S = typename V::Scalar;
  constexpr size_t L = V::lanes;
  const size_t w = tile.width;
  const S *s = static_cast<const S*>(tile.s) + v * L, *u = static_cast<const S*>(tile.u) + v * L,
          *first = static_cast<const S*>(tile.a) + v * L, *a = first + from * w;
  const S *b = static_cast<const S*>(tile.b.p) + from, *c = static_cast<const S*>(tile.c.p) + from;
  S *h = static_cast<S*>(tile.h) + v * L + from * w, *y = static_cast<S*>(tile.y) + v * L;
  S *kept = static_cast<S*>(tile.kept) + from * L, *decays = static_cast<S*>(tile.decays) + from * L;
  const Exp2<V> exp2;
  const V log2e = V::set(S(kLog2e));
  S* other = static_cast<S*>(tile.other) + v * L + from * w;
  const size_t aheads = from ? 0 : tile.aheads, aheadStep = tile.aheadStep;
  const char* ahead[4];
  for (size_t i = 0; i < aheads; i++) ahead[i] = tile.ahead[i] + v * tile.aheadVector;
  V held[R], others[R];
#pragma GCC unroll 16
  for (size_t n = 0; n < R; n++) {
    held[n] = V::load(h + n * w);
    if constexpr (Mode == ScanMode::both) others[n] = V::load(other + n * w);
  }
  for (size_t t = 0; t < tile.steps; t++, b += tile.b.step, c += tile.c.step) {
    for (size_t i = 0; i < aheads; i++) prefetch(ahead[i] + t * aheadStep);
    const V step = V::load(s + t * w), su = step * V::load(u + t * w), scaled = step * log2e;
    V sums[2] = {V::set(0), V::set(0)};
    Powers<V, Form> powers;
    if constexpr (Form != Decay::each) powers.start(exp2, scaled * V::load(first), from);
#pragma GCC unroll 16
    for (size_t n = 0; n < R; n++) {
      V decay;
      if constexpr (Form == Decay::each) {
        decay = exp2(scaled * V::load(a + n * w));
        if constexpr (Mode == ScanMode::keep) decay.store(decays + (t * tile.states + n) * L);
      } else {
        if (n > 0 && n % 4 == 0) powers.next();
        decay = powers.chain[n % 4];
      }
      const V input = su * V::set(b[n]);
      held[n] = advance<Form>(decay, held[n], input);
      if constexpr (Mode == ScanMode::both) others[n] = advance<Form>(decay, others[n], input);
      if constexpr (Mode == ScanMode::keep) held[n].store(kept + ((t + 1) * tile.states + n) * L);
      sums[n % 2] = mulAdd(held[n], V::set(c[n]), sums[n % 2]);
    }
    const V sum = sums[0] + sums[1];
    if (tile.y) (from ? V::load(y + t * w) + sum : sum).store(y + t * w);
  }
#pragma GCC unroll 16
  for (size_t n = 0; n < R; n++) {
    held[n].store(h + n * w);
    if constexpr (Mode == ScanMode::both) others[n].store(other + n * w);
  }
}

template <class V, ScanMode Mode, Decay Form>
SOFTLANE_INLINE void sweepStates(const ScanTile& tile, size_t v) {
  // With a second state only half as many fit; the order of the sum over states must not depend on whether there is one.
  size_t n = 0;
  if constexpr (V::lanes > 1) {
    if constexpr (Mode == ScanMode::plain)
      if (!tile.halves)
        for (; n + kHeld <= tile.states; n += kHeld) sweepHeld<V, kHeld, Mode, Form>(tile, v, n);
    constexpr size_t R = Mode == ScanMode::keep ? kHeld : kHeld / 2;
    if (Mode != ScanMode::plain || tile.halves)
      for (; n + R <= tile.states; n += R) sweepHeld<V, R, Mode, Form>(tile, v, n);
  }
  if (n < tile.states || tile.states == 0) sweepInCache<V, V, false, Mode, Form>(tile, v, n);
}

template <class V, ScanMode Mode>
void sweepAll(const ScanTile& tile) {
  for (size_t v = 0; v < tile.vectors; v++) {
    if (tile.complex) {
      sweepInCache<V, Complex<V>, true, ScanMode::plain, Decay::each>(tile, v, 0);
    } else if (tile.wide) {
      sweepInCache<V, V, true, ScanMode::plain, Decay::each>(tile, v, 0);
    } else if constexpr (sizeof(typename V::Scalar) == 4) {
      switch (formOf<V>(tile, v)) {
        case Decay::each: sweepStates<V, Mode, Decay::each>(tile, v); break;
        case Decay::powers: sweepStates<V, Mode, Decay::powers>(tile, v); break;
        case Decay::smallPowers: sweepStates<V, Mode, Decay::smallPowers>(tile, v); break;
      }
    } else {
      sweepStates<V, Mode, Decay::each>(tile, v);
    }
  }
}

template <class V>
void sweepMode(const ScanTile& tile) {
  switch (tile.mode) {
    case ScanMode::plain: return sweepAll<V, ScanMode::plain>(tile);
    case ScanMode::both: return sweepAll<V, ScanMode::both>(tile);
    case ScanMode::keep: return sweepAll<V, ScanMode::keep>(tile);
  }
}

}  // namespace

void scan_sweep(const ScanTile& tile) {
  if (tile.type == Dtype::f64) sweepMode<F64>(tile);
  else sweepMode<F32>(tile);
}

size_t scan_lanes(Dtype type) { return type == Dtype::f64 ? F64::lanes : F32::lanes; }

}  // namespace softlane::ISA
