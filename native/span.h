// Loops over a contiguous span that kernels share: tails, unrolling and streaming stores in one place.
#pragma once
#include "isa.h"
#include "math.h"

namespace softlane::ISA {

/// y[i] = f(x[i]) for i < n. In place is allowed. `stream` peels a head so that stores are aligned.
template <class V, class In, class Out, class F>
SOFTLANE_INLINE void mapSpan(const In* x, Out* y, size_t n, bool stream, F f) {
  constexpr size_t L = V::lanes;
  size_t i = 0;
  if (stream) {
    const uintptr_t width = L * sizeof(Out), head = (width - uintptr_t(y) % width) % width / sizeof(Out);
    if (n > head && uintptr_t(y) % sizeof(Out) == 0) {
      if (head) f(V::load(x, head, 0)).store(y, head);
      for (i = head; i + L <= n; i += L) f(V::load(x + i)).stream(y + i);
      streamFence();
    }
  }
  for (; i + 4 * L <= n; i += 4 * L) {
    V a = f(V::load(x + i)), b = f(V::load(x + i + L)), c = f(V::load(x + i + 2 * L)), d = f(V::load(x + i + 3 * L));
    a.store(y + i);
    b.store(y + i + L);
    c.store(y + i + 2 * L);
    d.store(y + i + 3 * L);
  }
  for (; i + L <= n; i += L) f(V::load(x + i)).store(y + i);
  if (i < n) f(V::load(x + i, n - i, 0)).store(y + i, n - i);
}

/// y[i] = f(a[i], b[i]) for i < n.
template <class V, class T, class F>
SOFTLANE_INLINE void mapSpan2(const T* a, const T* b, T* y, size_t n, F f) {
  constexpr size_t L = V::lanes;
  size_t i = 0;
  for (; i + 2 * L <= n; i += 2 * L) {
    V first = f(V::load(a + i), V::load(b + i)), second = f(V::load(a + i + L), V::load(b + i + L));
    first.store(y + i);
    second.store(y + i + L);
  }
  for (; i + L <= n; i += L) f(V::load(a + i), V::load(b + i)).store(y + i);
  if (i < n) f(V::load(a + i, n - i, 0), V::load(b + i, n - i, 0)).store(y + i, n - i);
}

/// Sums of f(i-th vector) in four accumulators (an addition's latency times the adders, over the cost of f, is below
/// four), joined in a fixed order. After 64 additions each they are flushed: narrow vectors would otherwise sum a block
/// in so long a chain that its rounding shows. `at(i)` reads a whole vector, `tail(i, n)` the last n lanes with a
/// neutral filling.
template <class V, class At, class Tail>
SOFTLANE_INLINE V sumSpan(size_t n, At at, Tail tail) {
  constexpr size_t L = V::lanes, kChunk = 64 * 4 * L;
  V total = V::set(0);
  size_t i = 0;
  do {
    const size_t end = n - i < kChunk ? n : i + kChunk;
    V s0 = V::set(0), s1 = s0, s2 = s0, s3 = s0;
    for (; i + 4 * L <= end; i += 4 * L) {
      s0 = s0 + at(i);
      s1 = s1 + at(i + L);
      s2 = s2 + at(i + 2 * L);
      s3 = s3 + at(i + 3 * L);
    }
    for (; i + L <= end; i += L) s0 = s0 + at(i);
    if (i < end) {
      s1 = s1 + tail(i, end - i);
      i = end;
    }
    total = total + ((s0 + s1) + (s2 + s3));
  } while (i < n);
  return total;
}

/// body(first element of the block, its length, its index) for each block of the span.
template <class Body>
SOFTLANE_INLINE void eachBlock(size_t n, Body body) {
  for (size_t i = 0, b = 0; i < n; i += kBlock, b++) body(i, n - i < kBlock ? n - i : kBlock, b);
}

template <class V>
SOFTLANE_INLINE V negativeInfinity() {
  return V::set(-__builtin_inff());
}

/// Calls body with a constant that says whether the flag is set, so that the loop inside is compiled for each.
template <bool Value>
struct Flag {
  static constexpr bool value = Value;
};
template <class Body>
SOFTLANE_INLINE void withFlag(bool flag, Body body) {
  if (flag) body(Flag<true>{});
  else body(Flag<false>{});
}

/// Calls body(V{}, precision tag) for the storage, computing width and precision that a form asks for.
template <Dtype P>
struct PrecisionTag {
  static constexpr Dtype value = P;
};
template <class In, class Body>
SOFTLANE_INLINE void withPrecision(const ExpForm& form, Body body) {
  if constexpr (sizeof(In) == 8) {
    body(F64{}, PrecisionTag<Dtype::f64>{});
  } else {
    if (form.precision == Dtype::bf16) body(F32{}, PrecisionTag<Dtype::bf16>{});
    else if (form.precision == Dtype::f16) body(F32{}, PrecisionTag<Dtype::f16>{});
    else body(F32{}, PrecisionTag<Dtype::f32>{});
  }
}

/// Calls body(V{}, In{}, Out{}, precision tag). float64 is read and written only by float64. Cross: with code for reading one
/// 16-bit type and writing the other; without it, such calls must have been staged (staged.h).
template <bool Cross, class Body>
SOFTLANE_INLINE void withInOut(Dtype in, Dtype out, Body body) {
  withStorage(in, [&](auto from) {
    using In = decltype(from);
    if constexpr (sizeof(In) == 8) {
      body(F64{}, from, double{}, PrecisionTag<Dtype::f64>{});
    } else {
      withStorage(out, [&](auto to) {
        using Out = decltype(to);
        if constexpr (sizeof(Out) == 4) body(F32{}, from, to, PrecisionTag<Dtype::f32>{});
        else if constexpr (sizeof(Out) == 2 && (Cross || sizeof(In) == 4 || __is_same(In, Out)))
          body(F32{}, from, to, PrecisionTag < __is_same(Out, bf16) ? Dtype::bf16 : Dtype::f16 > {});
      });
    }
  });
}

}  // namespace softlane::ISA
