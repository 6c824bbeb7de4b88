// Decays of all states from one exponential, where A[n] = (n + 1) A[0]. Loop halves only.
#pragma once
#include "decay.h"

namespace softlane::ISA {

constexpr double kLog2e = 0x1.71547652b82fep+0;
/// States that stay in registers together.
constexpr size_t kHeld = SOFTLANE_RANK == 3 ? 16 : 8;
/// s |A[0]| up to which a - 1 is carried in place of a.
constexpr double kSmall = 0x1p-9;

/// Decays one by one, or as powers of one: as they are, or less 1.
enum class Decay { each, powers, smallPowers };

/// Of a tile and a vector of channels: the same for every sweep over these steps.
template <class V>
Decay formOf(const ScanTile& tile, size_t v) {
  using S = typename V::Scalar;
  if (!tile.powers) return Decay::each;
  const S *s = static_cast<const S*>(tile.s) + v * V::lanes, *a = static_cast<const S*>(tile.a) + v * V::lanes;
  V most = V::set(0);
  for (size_t t = 0; t < tile.steps; t++) most = max(most, abs(V::load(s + t * tile.width)));
  return double(reduceMax(most * abs(V::load(a)))) < kSmall ? Decay::smallPowers : Decay::powers;
}

/// Four neighbouring powers, which go on by the fourth.
template <class V, Decay Form>
struct Powers {
  V chain[4], stride;
  static SOFTLANE_INLINE V product(V p, V q) { return Form == Decay::powers ? p * q : mulAdd(p, q, p + q); }
  /// z = s A[0] log2 e; chain[0] is the decay of state `from`, a multiple of 4.
  SOFTLANE_INLINE void start(const Exp2<V>& exp2, V z, size_t from) {
    chain[0] = Form == Decay::powers ? exp2(z) : exp2.minusOne(z);
    chain[1] = product(chain[0], chain[0]);
    chain[2] = product(chain[1], chain[0]);
    chain[3] = stride = product(chain[1], chain[1]);
    for (; from >= 4; from -= 4) next();
  }
  SOFTLANE_INLINE void next() {
    for (V& each : chain) each = product(each, stride);
  }
};

template <Decay Form, class T>
SOFTLANE_INLINE T advance(T decay, T h, T input) {
  if constexpr (Form == Decay::smallPowers) return h + mulAdd(decay, h, input);
  else return mulAdd(decay, h, input);
}

}  // namespace softlane::ISA
