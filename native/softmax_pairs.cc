// The two-pass softmax: exponentials as pairs, so that no maximum is needed.
// "The Two-Pass Softmax Algorithm", M. Dukhan and A. Ablavatski, 2020, arXiv 2001.04438.
//
//   x [n] -> per block of 4096: (m, e) with sum_i exp(x_i / T) = m 2^e            reduce_ext  (reads x once)
//   y_i = exp(x_i / T) * factor * 2^-exponent + offset                            scale_ext   (reads x, writes y)
//
// Pass 1 first tries one exponent for the whole block (reduceBlockPlain): no maximum, no rescaling. Where a block's logits
// spread too far for that, it does as the paper (reduceTiles): one exponent a lane and several mantissa accumulators beside
// it; a tile of vectors takes its joint maximum of exponents, so that the accumulators are rescaled once a tile, by factors
// of at most 1: nothing overflows. What was tried, and what it gained: the ladder in benchmarks/README.md.
// Beyond the paper: lanes are flushed to a float64 pair every block, which holds the error of the sum under 1e-6 at any
// length (the reference errs by 1e-3 to 7e-2 at 64 Mi elements); 1/T is a float32 sum of two terms; -infinity is exact.
#include "dispatch.h"
#include "span.h"
#include "staged.h"

namespace softlane::ISA {

/// Vectors in a tile and accumulators: as many as the registers hold beside the polynomial.
template <class V>
struct Tile {
  static constexpr int vectors = V::hasScalef ? 6 : 4;
  static constexpr int sums = V::hasScalef ? 6 : V::lanes == 1 ? 4 : 2;
  static constexpr size_t elements = size_t(64) * sums * V::lanes;  ///< between flushes: chains of 64 additions
};

/// ext of x / T with the clamp that keeps exponents finite.
template <class V, class E>
struct ExtOf {
  E e;
  Quotient<V> quotient;
  SOFTLANE_INLINE explicit ExtOf(const ExpForm& form) : quotient(form) {}
  template <bool Unit, bool Clamp>
  SOFTLANE_INLINE void at(V x, V& m, V& k) const {
    if constexpr (Clamp) x = quotient.clamped(x);
    if constexpr (Unit) {
      e.ext(x, m, k);
    } else {
      V z, d;
      quotient.divide(x, z, d);
      e.ext(z, d, m, k);
    }
  }
};

template <bool Unit, class V, class E, class In>
SOFTLANE_INLINE Pair reduceTiles(const In* x, size_t n, const ExtOf<V, E>& ext) {
  constexpr int U = Tile<V>::vectors, A = Tile<V>::sums;
  constexpr size_t L = V::lanes;
  V sums[A], top = V::set(-0x1p18f);  // below every clamped exponent, finite: no infinity minus infinity
  for (V& s : sums) s = V::set(0);
  size_t i = 0;
  for (; i + U * L <= n; i += U * L) {
    V m[U], k[U];
    for (int u = 0; u < U; u++) ext.template at<Unit, true>(V::load(x + i + u * L), m[u], k[u]);
    V next = top;
    for (int u = 0; u < U; u++) next = max(next, k[u]);
    V shift = top - next;
    for (V& s : sums) s = scalePow2(s, shift);
    for (int u = 0; u < U; u++) sums[u % A] = sums[u % A] + scalePow2(m[u], k[u] - next);
    top = next;
  }
  for (; i < n; i += L) {  // whole vectors left over, then lanes filled with -infinity, which add nothing
    V m, k;
    ext.template at<Unit, true>(n - i >= L ? V::load(x + i) : V::load(x + i, n - i, -__builtin_inff()), m, k);
    V next = max(top, k), shift = top - next;
    for (V& s : sums) s = scalePow2(s, shift);
    sums[0] = sums[0] + scalePow2(m, k - next);
    top = next;
  }
  for (int step = 1; step < A; step *= 2)
    for (int a = 0; a + step < A; a += 2 * step) sums[a] = sums[a] + sums[a + step];
  auto exponent = reduceMax(top);
  return {double(reduceAdd(scalePow2(sums[0], top - V::set(exponent)))), double(exponent)};
}

/// A block whatever is in it, in stretches short enough that rounding does not show, added in float64.
template <bool Unit, class V, class E, class In>
SOFTLANE_INLINE Pair reduceBlock(const In* x, size_t n, const ExtOf<V, E>& ext) {
  Pair total{0, -0x1p18};
  for (size_t i = 0; i < n; i += Tile<V>::elements) {
    const Pair part = reduceTiles<Unit>(x + i, n - i < Tile<V>::elements ? n - i : Tile<V>::elements, ext);
    const double top = part.exponent > total.exponent ? part.exponent : total.exponent;
    const auto share = [&](const Pair& pair) {  // NaN in the mantissa survives a share of 0
      const double below = pair.exponent - top;
      return pair.mantissa * (below > -1000 ? ldexp(1.0, int(below)) : 0);
    };
    total = {share(total) + share(part), top};
  }
  return total;
}

/// e^(x/T) 2^-base without clamps, base being the same for a whole span, for results below 2^127. With scalef -infinity
/// gives 0 (a factor 2^-infinity is 0 even times NaN); without, what lies 126 binades or more below base is 0.
template <class V, class E, bool Unit>
struct Relative {
  const ExtOf<V, E>& ext;
  V base, centre, low, high;
  SOFTLANE_INLINE Relative(const ExtOf<V, E>& exponential, typename V::Scalar exponent)
      : ext(exponential), base(V::set(exponent)), centre(base), low(base), high(base) {
    if constexpr (!V::hasScalef) ext.e.centreOn(base, centre, low, high);
  }
  /// Without scalef a result of 2^127 or more would be any number: its sign bit is then set in `strange`.
  SOFTLANE_INLINE V at(V x, V& strange) const {
    if constexpr (V::hasScalef) {
      V m, k;
      ext.template at<Unit, false>(x, m, k);
      return scalePow2(m, k - base);
    } else if constexpr (Unit) {
      strange = bitOr(strange, high - x);
      return zeroBelow(ext.e.extRelative(x, centre), x, low);
    } else {
      V z, d;
      ext.quotient.divide(x, z, d);
      strange = bitOr(strange, high - z);
      return zeroBelow(ext.e.extRelative(z, centre, &d), z, low);
    }
  }
  /// For results known to be at most 1.
  SOFTLANE_INLINE V at(V x) const {
    V strange = base;
    V p = at(x, strange);
    if constexpr (V::hasScalef) return abs(p);
    else return p;
  }
};

/// Whether the sign bit is set in any lane.
template <class V>
SOFTLANE_INLINE bool anySign(V v) {
  typename V::Scalar lane[V::lanes];
  v.store(lane);
  bool any = false;
  for (int i = 0; i < V::lanes; i++) any |= bool(signbit(lane[i]));
  return any;
}

/// The whole block relative to one exponent, the largest of its first vectors. float32 spans 250 binades, so unless a block's
/// logits differ by more than 80, nothing is lost: no maximum, no rescaling, no clamp. Overflow, NaN, with scalef masks
/// below -1e15, and a sum that underflows all show; the caller then takes reduceBlock.
template <bool Unit, class V, class E, class In>
SOFTLANE_INLINE bool reduceBlockPlain(const In* x, size_t n, const ExtOf<V, E>& ext, Pair& result) {
  constexpr size_t L = V::lanes;
  const auto minusInfinity = -__builtin_inff();
  // The largest of the first vectors: eight, so that even logits spread over thousands rarely leave the range.
  V top = V::set(minusInfinity);
  size_t seen = 0;
  for (; seen + L <= n && seen < 8 * L; seen += L) top = max(V::load(x + seen), top);
  if (seen < n && seen < 8 * L) top = max(V::load(x + seen, n - seen, minusInfinity), top);
  auto base = reduceMax(round((Unit ? top : top * ext.quotient.hi) * ext.e.log2e));
  if (!(base > -0x1p17f && base < 0x1p17f)) base = 0;
  const Relative<V, E, Unit> relative(ext, base);
  V strange = V::set(0);
  const auto term = [&](V v) { return relative.at(v, strange); };
  const auto sum = reduceAdd(sumSpan<V>(
      n, [&](size_t i) { return term(V::load(x + i)); },
      [&](size_t i, size_t rest) { return term(V::load(x + i, rest, minusInfinity)); }));
  result = {double(sum), double(base)};
  return sum > 0x1p-60f && sum < 0x1p120f && (V::hasScalef || !anySign(strange));
}

bool reduce_ext(const void* x, Dtype in, size_t n, const ExpForm& form, Pair* blocks) {
  bool plain = true;
  withStorage(in, [&](auto storage) {
    using In = decltype(storage);
    withPrecision<In>(form, [&](auto vector, auto precision) {
      using V = decltype(vector);
      const ExtOf<V, Exponential<V, decltype(precision)::value>> ext(form);
      const In* p = static_cast<const In*>(x);
      withFlag(form.unit, [&](auto unit) {
        constexpr bool Unit = decltype(unit)::value;
        eachBlock(n, [&](size_t i, size_t length, size_t b) {
          if (reduceBlockPlain<Unit>(p + i, length, ext, blocks[b])) return;
          plain = false;
          blocks[b] = reduceBlock<Unit>(p + i, length, ext);
        });
      });
    });
  });
  return plain;
}

void scale_ext(const void* x, Dtype in, void* y, Dtype out, size_t n, const ExpForm& form, double exponent,
               const Affine& affine) {
  if (isCross(in, out))
    return stage(x, in, y, out, n, false, [&](const void* p, Dtype from, void* q, Dtype to, size_t count) {
      scale_ext(p, from, q, to, count, form, exponent, affine);
    });
  withInOut<false>(in, out, [&](auto vector, auto from, auto to, auto precision) {
    using V = decltype(vector);
    using S = typename V::Scalar;
    ExtOf<V, Exponential<V, decltype(precision)::value>> ext(form);
    ext.e.multiply(V::set(S(affine.factor)));
    // Adding -0 changes nothing, no sign either.
    const V offset = V::set(affine.offset != 0 ? S(affine.offset) : S(-0.0)), top = V::set(S(exponent));
    const auto run = [&](auto one) {
      mapSpan<V>(static_cast<const decltype(from)*>(x), static_cast<decltype(to)*>(y), n, affine.stream, one);
    };
    withFlag(form.unit, [&](auto unit) {
      constexpr bool Unit = decltype(unit)::value;
      const Relative<V, Exponential<V, decltype(precision)::value>, Unit> relative(ext, S(exponent));
      const auto careful = [&](V v) {
        V m, k;
        ext.template at<Unit, true>(v, m, k);
        return scalePow2(m, k - top);
      };
      // A negative factor cannot take the plain path, which drops signs.
      if (affine.offset != 0 || (V::hasScalef && (form.clamp || affine.factor < 0)))
        run([&](V v) { return careful(v) + offset; });
      else run([&](V v) { return relative.at(v); });
    });
  });
}

void log_scale_ext(const void* x, Dtype in, void* y, Dtype out, size_t n, const ExpForm& form, double logSum,
                   bool stream) {
  if (isCross(in, out))
    return stage(x, in, y, out, n, false, [&](const void* p, Dtype from, void* q, Dtype to, size_t count) {
      log_scale_ext(p, from, q, to, count, form, logSum, stream);
    });
  withInOut<false>(in, out, [&](auto vector, auto from, auto to, auto) {
    using V = decltype(vector);
    using S = typename V::Scalar;
    const Quotient<V> quotient(form);
    const S high = S(logSum);
    const V h = V::set(high), l = V::set(S(logSum - double(high)));
    const V least = V::set(lowest<S>());
    withFlag(form.unit, [&](auto unit) {
      mapSpan<V>(static_cast<const decltype(from)*>(x), static_cast<decltype(to)*>(y), n, stream, [&](V v) {
        if constexpr (decltype(unit)::value) return (v - h) - l;
        V z, d;
        quotient.divide(v, z, d);
        // Where z is -infinity, d is NaN; max(NaN, least) is least, and the sum stays -infinity.
        return ((z - h) + max(d, least)) - l;
      });
    });
  });
}

void ext_exp(const float* x, float* mantissa, float* exponent, size_t n) {
  constexpr size_t L = F32::lanes;
  const Exponential<F32, Dtype::f32> e;
  for (size_t i = 0; i < n; i += L) {
    F32 m, k;
    if (n - i >= L) {
      e.ext(F32::load(x + i), m, k);
      m.store(mantissa + i);
      k.store(exponent + i);
    } else {
      e.ext(F32::load(x + i, n - i, 0), m, k);
      m.store(mantissa + i, n - i);
      k.store(exponent + i, n - i);
    }
  }
}

void ext_add(const float* ma, const float* ea, const float* mb, const float* eb, float* m, float* e, size_t n) {
  constexpr size_t L = F32::lanes;
  for (size_t i = 0; i < n; i += L) {
    const size_t rest = n - i;
    auto at = [&](const float* p) { return rest >= L ? F32::load(p + i) : F32::load(p + i, rest, 0); };
    F32 a = at(ea), b = at(eb), top = max(a, b);
    // The identity has exponent -infinity: infinity minus infinity is NaN, and max(NaN, -300) is -300, a factor of 0.
    F32 low = F32::set(-300);
    F32 sum = scalePow2(at(ma), max(a - top, low)) + scalePow2(at(mb), max(b - top, low));
    if (rest >= L) {
      sum.store(m + i);
      top.store(e + i);
    } else {
      sum.store(m + i, rest);
      top.store(e + i, rest);
    }
  }
}

}  // namespace softlane::ISA

#ifdef SOFTLANE_OPERATIONS
#include "rows.h"

namespace softlane::ops {

void extendedExp(Run& run, In<float> x, Out<float> mantissa, Out<float> exponent) {
  requireMatrix("mantissa", mantissa.length, 1, x.length, x.length);
  requireMatrix("exponent", exponent.length, 1, x.length, x.length);
  run.expect(x.length);
  run.each(x.length, kPiece, [&](size_t begin, size_t end) {
    kernels().ext_exp(x.data + begin, mantissa.data + begin, exponent.data + begin, end - begin);
    run.advance(end - begin);
  });
}

void addExtended(Run& run, In<float> aMantissa, In<float> aExponent, In<float> bMantissa, In<float> bExponent,
                 Out<float> mantissa, Out<float> exponent) {
  const size_t n = aMantissa.length;
  const std::pair<const char*, size_t> lengths[] = {{"a.exponent", aExponent.length},
                                                    {"b.mantissa", bMantissa.length},
                                                    {"b.exponent", bExponent.length},
                                                    {"mantissa", mantissa.length},
                                                    {"exponent", exponent.length}};
  for (const auto& [name, length] : lengths)
    if (length != n)
      throw rangeError(name, "as long as a.mantissa (" + std::to_string(n) + ")", std::to_string(length));
  run.expect(n);
  run.each(n, kPiece, [&](size_t i, size_t end) {
    kernels().ext_add(aMantissa.data + i, aExponent.data + i, bMantissa.data + i, bExponent.data + i, mantissa.data + i,
                      exponent.data + i, end - i);
    run.advance(end - i);
  });
}

}  // namespace softlane::ops
#endif
