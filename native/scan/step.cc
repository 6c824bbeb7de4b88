// One step of a selective state: state = state exp(s A) + s x B, out = state C + D x, times silu(z), for one head. Lanes are
// neighbouring states; the sums of as many channels as there are lanes are joined in one tree. With one decay for a head or
// a channel (Mamba-2) its exponential is computed once, with all of them (Mamba) in place.
#include "loops.h"
#include "softplus.h"
#include "state.h"

namespace softlane::ISA {
namespace {

constexpr size_t kBlock = 64;

/// n numbers from one for each, or the one for all.
template <class V, class S>
SOFTLANE_INLINE V eachOrAll(const S* p, bool each, size_t i, size_t n) {
  return each ? someOf<V>(p + i, n) : V::set(*p);
}

/// lane i: the sum of the lanes of r[i]
SOFTLANE_INLINE F32 sums(const F32 (&r)[F32::lanes]) { return sumEach(r); }
SOFTLANE_INLINE F64 sums(const F64 (&r)[F64::lanes]) {
  double each[F64::lanes];
  for (int i = 0; i < F64::lanes; i++) each[i] = reduceAdd(r[i]);
  return F64::load(each);
}

template <class V, bool Each, class S>
SOFTLANE_INLINE V updateChannel(const StepJob& job, const AnyExp<V>& exp, S* h, const S* A, S s, S decay, S input) {
  constexpr size_t L = V::lanes;
  const S *B = static_cast<const S*>(job.B), *C = static_cast<const S*>(job.C);
  const V scale = V::set(s), x = V::set(input);
  V a = V::set(decay), sum = V::set(0), other = V::set(0);
  size_t i = 0;
  for (; i + L <= job.n; i += L) {
    if constexpr (Each) a = exp(scale * V::load(A + i));
    const V state = mulAdd(a, V::load(h + i), x * V::load(B + i));
    state.store(h + i);
    const V next = mulAdd(state, V::load(C + i), other);
    other = sum;
    sum = next;
  }
  if (i < job.n) {
    const size_t rest = job.n - i;
    if constexpr (Each) a = exp(scale * V::load(A + i, rest, 0));
    const V state = mulAdd(a, V::load(h + i, rest, 0), x * V::load(B + i, rest, 0));
    state.store(h + i, rest);
    // Read again: past the end an infinite step has made NaN of zeros.
    sum = mulAdd(V::load(h + i, rest, 0), V::load(C + i, rest, 0), sum);
  }
  return sum + other;
}

template <class V, bool Each>
void stepOf(const StepJob& job) {
  using S = typename V::Scalar;
  constexpr size_t L = V::lanes;
  const AnyExp<V> exp;
  const Softplus<V> softplus{exp};
  const AnySigmoid<V> sigmoid{exp};
  const S *x = static_cast<const S*>(job.x), *dt = static_cast<const S*>(job.dt), *A = static_cast<const S*>(job.A);
  const S *D = static_cast<const S*>(job.D), *z = static_cast<const S*>(job.z), *bias = static_cast<const S*>(job.bias);
  S *state = static_cast<S*>(job.state), *out = static_cast<S*>(job.out);
  S s[kBlock], decay[kBlock], input[kBlock];
  for (size_t from = 0; from < job.channels; from += kBlock) {
    const size_t n = job.channels - from < kBlock ? job.channels - from : kBlock;
    for (size_t i = 0; i < n; i += L) {
      const size_t at = from + i, rest = n - i;
      V r = eachOrAll<V>(dt, job.dtEach, at, rest);
      if (bias) r = r + eachOrAll<V>(bias, job.biasEach, at, rest);
      if (job.softplus) r = softplus(r);
      putSome(r, s + i, kBlock - i);
      putSome(r * someOf<V>(x + at, rest), input + i, kBlock - i);
      if constexpr (!Each) putSome(exp(r * V::set(*A)), decay + i, kBlock - i);
    }
    for (size_t i = 0; i < n; i += L) {
      const size_t at = from + i, rest = n - i < L ? n - i : L;
      V partial[L];
      for (size_t p = 0; p < L; p++) {
        const size_t row = at + p;
        partial[p] = p < rest ? updateChannel<V, Each>(job, exp, state + row * job.n, Each ? A + row * job.n : A,
                                                       s[i + p], Each ? S(0) : decay[i + p], input[i + p])
                              : V::set(0);
      }
      V y = sums(partial);
      if (D) y = mulAdd(eachOrAll<V>(D, job.dEach, at, rest), someOf<V>(x + at, rest), y);
      if (z) {
        const V gate = someOf<V>(z + at, rest);
        y = y * (gate * sigmoid(gate));
      }
      putSome(y, out + at, rest);
    }
  }
}

}  // namespace

void scan_step(const StepJob& job) {
  if (job.type == Dtype::f64) {
    if (job.aEach) stepOf<F64, true>(job);
    else stepOf<F64, false>(job);
  } else {
    if (job.aEach) stepOf<F32, true>(job);
    else stepOf<F32, false>(job);
  }
}

}  // namespace softlane::ISA
