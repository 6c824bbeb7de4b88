// The vector types of the instruction set being compiled (-DISA=scalar, avx2 or avx512): F32 and F64, alike in
// interface, different in `lanes`. Every build of a loop lives in the namespace softlane::ISA, so no two builds share
// a symbol; loop halves include C headers and this file only.
//
//   V::load(p)            lanes elements, no alignment needed; 16-bit storage is widened
//   V::load(p, n, fill)   the first n < lanes elements, `fill` in the other lanes; never reads past p + n
//   v.store(p), v.store(p, n)   rounds to the storage type; never writes past p + n
//   v.stream(p)           non-temporal store to p aligned to lanes * sizeof(*p) (an ordinary store where there is none)
//   fma(a, b, c)          rounded once; mulAdd(a, b, c) once or twice, whatever is fast
//   subtractLn2(z, k, hi, lo)  z + k (hi + lo) for integer k, hi + lo = -ln 2: exact enough that |z| <= 1e5 costs nothing
//   max(a, b), min(a, b)  b if either is NaN (x86 order)
//   round(v)              to the nearest integer, ties to even, |v| < 2^21 (F64: 2^50)
//   scalePow2(m, k)       m * 2^k for integer k <= 127 (F64: 1023); AVX-512 gives subnormals, the others zero below them
//   bitOr                 of the representations
//   select(less(a, b), x, y)    x where a < b; lessEqual likewise; a mask's type is the instruction set's own
//   reduceAdd, reduceMax  by halves: a fixed order
//   sumEach(r)            lane i: the sum of the lanes of r[i], r having as many vectors as lanes; the same tree for each
//   loadPairs(p, lo, hi)  2 * lanes bf16: the even ones into lo, the odd ones into hi
//   prefetch(p)           asks for the cache line of p, which need not be mapped; prefetchFar(p) for the second-level cache
#pragma once
#include <math.h>
#include <string.h>

#include "types.h"

#ifndef ISA
#error "ISA is set by the build: -DISA=scalar, avx2 or avx512"
#endif
#define SOFTLANE_CAT_(a, b) a##b
#define SOFTLANE_CAT(a, b) SOFTLANE_CAT_(a, b)
#define SOFTLANE_RANK_scalar 1
#define SOFTLANE_RANK_avx2 2
#define SOFTLANE_RANK_avx512 3
#define SOFTLANE_RANK SOFTLANE_CAT(SOFTLANE_RANK_, ISA)

#if defined(_MSC_VER)
#define SOFTLANE_INLINE __forceinline
#define SOFTLANE_APART __declspec(noinline)
#else
#define SOFTLANE_APART __attribute__((noinline))
#define SOFTLANE_INLINE inline __attribute__((always_inline))
#endif

/// Before a loop of a few scalar steps beside a vector loop: compilers would write every step out, for nothing.
#if defined(__GNUC__) && !defined(__clang__)
#define SOFTLANE_ROLLED _Pragma("GCC unroll 1")
#elif defined(__clang__)
#define SOFTLANE_ROLLED _Pragma("clang loop unroll(disable)")
#else
#define SOFTLANE_ROLLED
#endif

#if SOFTLANE_RANK == 3
#include "isa/avx512.h"
#elif SOFTLANE_RANK == 2
#include "isa/avx2.h"
#else
#include "isa/scalar.h"
#endif

namespace softlane::ISA {

/// The vector type that computes on a storage type, unless the wide path asks for F64.
template <class Storage>
struct ComputeOf {
  using Type = F32;
};
template <>
struct ComputeOf<double> {
  using Type = F64;
};
template <class Storage>
using Compute = typename ComputeOf<Storage>::Type;

/// Only a hint: the address may be anywhere.
SOFTLANE_INLINE void prefetch(const void* p) {
#if defined(__GNUC__)
  __builtin_prefetch(p, 0, 3);
#endif
}

SOFTLANE_INLINE void prefetchFar(const void* p) {
#if defined(__GNUC__)
  __builtin_prefetch(p, 0, 2);
#endif
}

/// The lowest finite number.
template <class S>
SOFTLANE_INLINE constexpr S lowest() {
  return S(sizeof(S) == 4 ? -3.4028234663852886e38 : -1.7976931348623157e308);
}

/// Calls body(Storage{}) with the C++ type that `dtype` names.
template <class Body>
SOFTLANE_INLINE void withStorage(Dtype dtype, Body body) {
  switch (dtype) {
    case Dtype::f32: return body(float{});
    case Dtype::f64: return body(double{});
    case Dtype::bf16: return body(bf16{});
    case Dtype::f16: return body(f16{});
  }
}

}  // namespace softlane::ISA
