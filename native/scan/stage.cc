// Tiles in and out of scratch: a matrix in any strides to rows of vectors and back, widened or narrowed on the way, and the
// elementwise steps on either side of the sweep.
#include "decay.h"

namespace softlane::ISA {
namespace {

template <class V, class T>
SOFTLANE_INLINE V some(const T* p, size_t n) {
  return n < size_t(V::lanes) ? V::load(p, n, 0) : V::load(p);
}
template <class V, class T>
SOFTLANE_INLINE void put(V v, T* p, size_t n) {
  if (n < size_t(V::lanes)) v.store(p, n);
  else v.store(p);
}

/// One element, widened or narrowed.
template <class V, class T>
SOFTLANE_INLINE typename V::Scalar one(const T* p) {
  typename V::Scalar line[V::lanes];
  some<V>(p, 1).store(line);
  return line[0];
}
template <class V, class T>
SOFTLANE_INLINE void putOne(typename V::Scalar value, T* p) {
  put(V::set(value), p, 1);
}

template <class V, class T>
void gather(const StageJob& job) {
  using S = typename V::Scalar;
  constexpr size_t L = V::lanes;
  const T* from = static_cast<const T*>(job.data);
  S* tile = static_cast<S*>(job.tile);
  for (size_t j = 0; j < job.columns; j += L) {
    const size_t columns = job.columns - j;
    if (job.columnStride == 1 || L == 1) {
      // Copies: the stores might otherwise have changed them.
      const size_t rows = job.rows, width = job.width, rowStride = job.rowStride, columnStride = job.columnStride;
      for (size_t i = 0; i < rows; i++) {
        const T* p = from + i * rowStride + j * columnStride;
        some<V>(p, columns).store(tile + i * width + j);
      }
    } else if (job.rowStride == 1) {
      for (size_t i = 0; i < job.rows; i += L) {
        const size_t rows = job.rows - i;
        V r[L];
        for (size_t k = 0; k < L; k++)
          r[k] = k < columns ? some<V>(from + (j + k) * job.columnStride + i, rows) : V::set(0);
        transpose(r);
        for (size_t k = 0; k < L && k < rows; k++) r[k].store(tile + (i + k) * job.width + j);
      }
    } else {  // parts of complex numbers
      S line[L];
      for (size_t i = 0; i < job.rows; i++) {
        for (size_t k = 0; k < L; k++)
          line[k] = k < columns ? one<V>(from + i * job.rowStride + (j + k) * job.columnStride) : S(0);
        V::load(line).store(tile + i * job.width + j);
      }
    }
  }
}

template <class V, class T>
void scatter(const StageJob& job) {
  using S = typename V::Scalar;
  constexpr size_t L = V::lanes;
  T* to = static_cast<T*>(const_cast<void*>(job.data));
  const S* tile = static_cast<const S*>(job.tile);
  for (size_t j = 0; j < job.columns; j += L) {
    const size_t columns = job.columns - j;
    if (job.columnStride == 1 || L == 1) {
      for (size_t i = 0; i < job.rows; i++)
        put(V::load(tile + i * job.width + j), to + i * job.rowStride + j * job.columnStride, columns);
    } else if (job.rowStride == 1) {
      for (size_t i = 0; i < job.rows; i += L) {
        const size_t rows = job.rows - i;
        V r[L];
        for (size_t k = 0; k < L; k++) r[k] = k < rows ? V::load(tile + (i + k) * job.width + j) : V::set(0);
        transpose(r);
        for (size_t k = 0; k < L && k < columns; k++) put(r[k], to + (j + k) * job.columnStride + i, rows);
      }
    } else {
      S line[L];
      for (size_t i = 0; i < job.rows; i++) {
        V::load(tile + i * job.width + j).store(line);
        for (size_t k = 0; k < L && k < columns; k++)
          putOne<V>(line[k], to + i * job.rowStride + (j + k) * job.columnStride);
      }
    }
  }
}

template <class V, class F>
void edges(size_t width, size_t steps, F f) {
  for (size_t t = 0; t < steps; t++)
    for (size_t j = 0; j < width; j += V::lanes) f(t * width + j, j);
}

/// delta becomes s.
template <class V>
void steps(const ScanEdge& e) {
  using S = typename V::Scalar;
  S* delta = static_cast<S*>(e.delta);
  const S* bias = static_cast<const S*>(e.bias);
  const Softplus<V> softplus{};
  if (!bias && !e.softplus) return;
  edges<V>(e.width, e.steps, [&](size_t i, size_t j) {
    V r = V::load(delta + i);
    if (bias) r = r + V::load(bias + j);
    (e.softplus ? softplus(r) : r).store(delta + i);
  });
}

/// y becomes (y + D u) silu(z).
template <class V>
void finish(const ScanEdge& e) {
  using S = typename V::Scalar;
  const S *u = static_cast<const S*>(e.u), *z = static_cast<const S*>(e.z), *d = static_cast<const S*>(e.d);
  S* y = static_cast<S*>(e.y);
  const AnySigmoid<V> sigmoid{};
  if (!d && !z) return;
  edges<V>(e.width, e.steps, [&](size_t i, size_t j) {
    V o = V::load(y + i);
    if (d) o = mulAdd(V::load(d + j), V::load(u + i), o);
    if (z) {
      const V gate = V::load(z + i);
      o = o * (gate * sigmoid(gate));
    }
    o.store(y + i);
  });
}

/// g = gout silu(z), the gradient of y + D u.
template <class V>
void open(const ScanEdge& e) {
  using S = typename V::Scalar;
  const S *u = static_cast<const S*>(e.u), *z = static_cast<const S*>(e.z), *gout = static_cast<const S*>(e.gout);
  S *g = static_cast<S*>(e.g), *dD = static_cast<S*>(e.dD);
  const AnySigmoid<V> sigmoid{};
  edges<V>(e.width, e.steps, [&](size_t i, size_t j) {
    V out = V::load(gout + i);
    if (z) {
      const V gate = V::load(z + i);
      out = out * (gate * sigmoid(gate));
    }
    out.store(g + i);
    if (e.d) mulAdd(out, V::load(u + i), V::load(dD + j)).store(dD + j);
  });
}

/// du = D g + q; ddelta = ds, through the softplus of the raw step; dz = gout (y + D u) silu'(z).
template <class V>
void close(const ScanEdge& e) {
  using S = typename V::Scalar;
  const S *g = static_cast<const S*>(e.g), *d = static_cast<const S*>(e.d), *q = static_cast<const S*>(e.q),
          *ds = static_cast<const S*>(e.ds), *delta = static_cast<const S*>(e.delta),
          *bias = static_cast<const S*>(e.bias), *z = static_cast<const S*>(e.z), *u = static_cast<const S*>(e.u),
          *y = static_cast<const S*>(e.y), *gout = static_cast<const S*>(e.gout);
  S *du = static_cast<S*>(e.du), *ddelta = static_cast<S*>(e.ddelta), *dz = static_cast<S*>(e.dz),
    *dBias = static_cast<S*>(e.dBias);
  const Softplus<V> softplus{};
  const AnySigmoid<V> sigmoidOf{};
  const V one = V::set(1);
  edges<V>(e.width, e.steps, [&](size_t i, size_t j) {
    V x = V::load(q + i);
    if (d) x = mulAdd(V::load(d + j), V::load(g + i), x);
    x.store(du + i);
    V step = V::load(ds + i);
    if (e.softplus) {
      V r = V::load(delta + i);
      if (bias) r = r + V::load(bias + j);
      step = step * softplus.slope(r);
    }
    step.store(ddelta + i);
    if (bias) (V::load(dBias + j) + step).store(dBias + j);
    if (!z) return;
    V o = V::load(y + i);
    if (d) o = mulAdd(V::load(d + j), V::load(u + i), o);
    const V gate = V::load(z + i), sigmoid = sigmoidOf(gate);
    (V::load(gout + i) * o * (sigmoid * mulAdd(gate, one - sigmoid, one))).store(dz + i);
  });
}

template <class F64Form, class F32Form>
SOFTLANE_INLINE void byType(Dtype type, F64Form f64, F32Form f32) {
  if (type == Dtype::f64) f64();
  else f32();
}

/// next = e^(A sum) h + e: what a chunk of steps, whose steps add up to `sum` and which leaves e when it starts from zero,
/// makes of the state h.
template <class T>
void carry(const ScanCarry& c) {
  using N = Number<T>;
  using V = typename N::V;
  using S = typename V::Scalar;
  const Exp2<V> exp2;
  const size_t row = N::parts * c.width;
  for (size_t n = 0; n < c.states; n++)
    for (size_t j = 0; j < c.width; j += V::lanes) {
      const size_t at = n * row + j;
      const T decay =
          decayOf(exp2, V::load(static_cast<const S*>(c.sum) + j), N::load(static_cast<const S*>(c.a) + at, c.width));
      N::store(mulAdd(decay, N::load(static_cast<const S*>(c.h) + at, c.width),
                      N::load(static_cast<const S*>(c.e) + at, c.width)),
               static_cast<S*>(c.next) + at, c.width);
    }
}

/// sum += the rows of a tile
template <class V>
void addSteps(const void* tile, size_t width, size_t steps, void* sum) {
  using S = typename V::Scalar;
  S* total = static_cast<S*>(sum);
  edges<V>(width, steps, [&](size_t i, size_t j) {
    (V::load(total + j) + V::load(static_cast<const S*>(tile) + i)).store(total + j);
  });
}

}  // namespace

void scan_carry(const ScanCarry& c) {
  if (c.type == Dtype::f64) c.complex ? carry<Complex<F64>>(c) : carry<F64>(c);
  else c.complex ? carry<Complex<F32>>(c) : carry<F32>(c);
}
void scan_add_steps(Dtype type, const void* tile, size_t width, size_t steps, void* sum) {
  byType(
      type, [&] { addSteps<F64>(tile, width, steps, sum); }, [&] { addSteps<F32>(tile, width, steps, sum); });
}
void scan_gather(const StageJob& job) {
  withStorage(job.type, [&](auto storage) { gather<Compute<decltype(storage)>, decltype(storage)>(job); });
}
void scan_scatter(const StageJob& job) {
  withStorage(job.type, [&](auto storage) { scatter<Compute<decltype(storage)>, decltype(storage)>(job); });
}
void scan_steps(const ScanEdge& e) {
  byType(
      e.type, [&] { steps<F64>(e); }, [&] { steps<F32>(e); });
}
void scan_finish(const ScanEdge& e) {
  byType(
      e.type, [&] { finish<F64>(e); }, [&] { finish<F32>(e); });
}
void scan_open(const ScanEdge& e) {
  byType(
      e.type, [&] { open<F64>(e); }, [&] { open<F32>(e); });
}
void scan_close(const ScanEdge& e) {
  byType(
      e.type, [&] { close<F64>(e); }, [&] { close<F32>(e); });
}

}  // namespace softlane::ISA
