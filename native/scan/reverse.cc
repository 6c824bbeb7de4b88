// The reverse sweep over a tile whose states were kept, one vector of channels at a time:
//
//   lambda[n] = g C[n] + mu[n],  mu[n] = a[n] lambda[n],  p = mu[n] h'[n]   (h' the state before the step)
//   q += lambda B,  dA[n] += s p,  ds += A p,  dB[n] += s u lambda,  dC[n] += g h
//
// mu and the sums of dA stand in registers, kBack states at a time. The sums over channels of dB and dC stay vectors, one
// for each step and state, which the caller reduces once for many vectors of channels.
#include "powers.h"

namespace softlane::ISA {
namespace {

constexpr size_t kBack = SOFTLANE_RANK == 3 ? 8 : 4;

template <class V, size_t R, Decay Form>
void reverse(const ScanReverse& job, size_t from) {
  using S = typename V::Scalar;
  constexpr size_t L = V::lanes;
  const ScanTile& tile = job.tile;
  const size_t w = tile.width;
  const S *s = static_cast<const S*>(tile.s), *u = static_cast<const S*>(tile.u), *g = static_cast<const S*>(job.g);
  const S *first = static_cast<const S*>(tile.a), *kept = static_cast<const S*>(tile.kept) + from * L,
          *decays = static_cast<const S*>(tile.decays) + from * L;
  const S *b = static_cast<const S*>(tile.b.p) + from, *c = static_cast<const S*>(tile.c.p) + from;
  S *mu = static_cast<S*>(job.mu) + from * w, *dA = static_cast<S*>(job.dA) + from * w;
  S *dB = static_cast<S*>(job.dB) + from * L, *dC = static_cast<S*>(job.dC) + from * L;
  S *q = static_cast<S*>(job.q), *ds = static_cast<S*>(job.ds);
  // Copies, since the stores below might otherwise have changed them.
  const bool* const resets = job.resets;
  const size_t line = tile.states * L, bStep = tile.b.step, cStep = tile.c.step;
  const Exp2<V> exp2;
  const V zero = V::set(0), log2e = V::set(S(kLog2e));
  V heldMu[R], heldA[R], A[R];
#pragma GCC unroll 8
  for (size_t n = 0; n < R; n++) {
    heldMu[n] = V::load(mu + n * w);
    heldA[n] = V::load(dA + n * w);
    A[n] = V::load(first + (from + n) * w);
  }
  for (size_t t = tile.steps; t-- > 0;) {
    const V step = V::load(s + t * w), x = V::load(u + t * w), su = step * x, out = V::load(g + t * w);
    const S *bAt = b + t * bStep, *cAt = c + t * cStep, *before = kept + t * line, *after = before + line;
    const S* decay = decays + t * line;
    S *toB = dB + t * line, *toC = dC + t * line;
    const bool reset = resets && resets[t];
    Powers<V, Form> powers;
    if constexpr (Form != Decay::each) powers.start(exp2, step * log2e * V::load(first), from);
    V sum = zero, slope = zero;
#pragma GCC unroll 8
    for (size_t n = 0; n < R; n++) {
      V each;
      if constexpr (Form == Decay::each) {
        each = V::load(decay + n * L);
      } else {
        if (n > 0 && n % 4 == 0) powers.next();
        each = powers.chain[n % 4];
        if constexpr (Form == Decay::smallPowers) each = each + V::set(1);
      }
      const V lambda = mulAdd(out, V::set(cAt[n]), heldMu[n]);
      V p = zero;
      heldMu[n] = zero;
      if (!reset) {  // there nothing comes from before, whatever it was
        heldMu[n] = each * lambda;
        p = heldMu[n] * V::load(before + n * L);
      }
      sum = mulAdd(lambda, V::set(bAt[n]), sum);
      slope = mulAdd(p, A[n], slope);
      heldA[n] = mulAdd(step, p, heldA[n]);
      mulAdd(lambda, su, V::load(toB + n * L)).store(toB + n * L);
      mulAdd(out, V::load(after + n * L), V::load(toC + n * L)).store(toC + n * L);
    }
    const V fromU = step * sum, fromS = mulAdd(x, sum, slope);
    (from ? V::load(q + t * w) + fromU : fromU).store(q + t * w);
    (from ? V::load(ds + t * w) + fromS : fromS).store(ds + t * w);
  }
#pragma GCC unroll 8
  for (size_t n = 0; n < R; n++) heldMu[n].store(mu + n * w), heldA[n].store(dA + n * w);
}

template <class V, Decay Form>
void reverseStates(const ScanReverse& job) {
  size_t n = 0;
  for (; n + kBack <= job.tile.states; n += kBack) reverse<V, kBack, Form>(job, n);
  if constexpr (Form == Decay::each) {
    for (; n < job.tile.states; n++) reverse<V, 1, Form>(job, n);
  } else {
    for (; n + 4 <= job.tile.states; n += 4) reverse<V, 4, Form>(job, n);
    if (job.tile.states - n == 3) reverse<V, 3, Form>(job, n);
    else if (job.tile.states - n == 2) reverse<V, 2, Form>(job, n);
    else if (job.tile.states - n == 1) reverse<V, 1, Form>(job, n);
  }
}

/// Any discretisation, real or complex, B and C one for each channel or not.
template <class T>
void reverseAny(const ScanReverse& job) {
  using N = Number<T>;
  using V = typename N::V;
  using S = typename V::Scalar;
  constexpr size_t L = V::lanes;
  const ScanTile& tile = job.tile;
  const size_t w = tile.width, row = N::parts * w, keptRow = N::parts * L;
  const S *s = static_cast<const S*>(tile.s), *u = static_cast<const S*>(tile.u), *g = static_cast<const S*>(job.g);
  const S *a = static_cast<const S*>(tile.a), *kept = static_cast<const S*>(tile.kept);
  const S *bs = static_cast<const S*>(tile.b.p), *cs = static_cast<const S*>(tile.c.p);
  S *mus = static_cast<S*>(job.mu), *dA = static_cast<S*>(job.dA), *dB = static_cast<S*>(job.dB),
    *dC = static_cast<S*>(job.dC);
  const size_t bNext = tile.b.vector ? w : L, cNext = tile.c.vector ? w : L;
  const Exp2<V> exp2;
  const T nothing = N::set(0);
  for (size_t t = tile.steps; t-- > 0;) {
    const V step = V::load(s + t * w), x = V::load(u + t * w), out = V::load(g + t * w);
    const bool reset = job.resets && job.resets[t];
    V fromU = V::set(0), fromS = V::set(0);
    for (size_t n = 0; n < tile.states; n++) {
      const T A = N::load(a + n * row, w), B = N::load(bs + t * tile.b.step + n * tile.b.state, bNext),
              C = N::load(cs + t * tile.c.step + n * tile.c.state, cNext);
      const T after = N::load(kept + ((t + 1) * tile.states + n) * keptRow, L);
      const T before = reset ? nothing : N::load(kept + (t * tile.states + n) * keptRow, L);
      const Discrete<T> d(exp2, tile.rule, step, A, true);
      S* mu = mus + n * row;
      const T lambda = mulConj(times(out, N::set(1)), C) + N::load(mu, w);
      N::store(reset ? nothing : mulConj(lambda, d.a), mu, w);
      fromU = addRealConj(lambda, d.w * B, fromU);
      const T input = times(x, B);
      T bySlope = mulAdd(input, d.dwds, nothing), byA = mulAdd(input, d.dwdA, nothing);
      if (!reset) bySlope = mulAdd(before, d.dads, bySlope), byA = mulAdd(before, d.dadA, byA);
      fromS = addRealConj(lambda, bySlope, fromS);
      S *toA = dA + n * row, *toB = dB + ((job.constantB ? 0 : t) * tile.states + n) * keptRow,
        *toC = dC + ((job.constantC ? 0 : t) * tile.states + n) * keptRow;
      N::store(mulConj(lambda, byA) + N::load(toA, w), toA, w);
      N::store(times(x, mulConj(lambda, d.w)) + N::load(toB, L), toB, L);
      N::store(mulConj(times(out, N::set(1)), after) + N::load(toC, L), toC, L);
    }
    fromU.store(static_cast<S*>(job.q) + t * w);
    fromS.store(static_cast<S*>(job.ds) + t * w);
  }
}

template <class V>
void reverseOf(const ScanReverse& job) {
  if (job.tile.complex) return reverseAny<Complex<V>>(job);
  if (job.tile.wide) return reverseAny<V>(job);
  if constexpr (sizeof(typename V::Scalar) == 4) {
    switch (formOf<V>(job.tile, 0)) {
      case Decay::powers: return reverseStates<V, Decay::powers>(job);
      case Decay::smallPowers: return reverseStates<V, Decay::smallPowers>(job);
      case Decay::each: break;
    }
  }
  reverseStates<V, Decay::each>(job);
}

}  // namespace

void scan_reverse(const ScanReverse& job) {
  if (job.tile.type == Dtype::f64) reverseOf<F64>(job);
  else reverseOf<F32>(job);
}

/// sums[i] = the sum of the lanes of vector i, added to what is there, narrowed to a number.
void scan_lane_sums(Dtype type, const void* vectors, void* sums, size_t count) {
  const auto each = [&](auto zero) {
    using V = decltype(zero);
    using S = typename V::Scalar;
    for (size_t i = 0; i < count; i++)
      static_cast<S*>(sums)[i] += reduceAdd(V::load(static_cast<const S*>(vectors) + i * V::lanes));
  };
  if (type == Dtype::f64) each(F64::set(0));
  else each(F32::set(0));
}

}  // namespace softlane::ISA
