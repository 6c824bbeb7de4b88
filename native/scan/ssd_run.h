// One call of the chunked Mamba-2 form: its shape, its arrays, the scratch of a task. Operations only.
#pragma once
#include "arguments.h"

namespace softlane {

struct SsdShape {
  size_t batch, length, heads, channels, n, groups, chunk;
  double low, high;
  bool softplus, chunked;

  explicit SsdShape(In<double> sizes) {
    requireSizes(sizes, 11);
    const double* p = sizes.data;
    batch = size_t(p[0]);
    length = size_t(p[1]);
    heads = size_t(p[2]);
    channels = size_t(p[3]);
    n = size_t(p[4]);
    groups = size_t(p[5]);
    chunk = size_t(p[6]);
    low = p[7];
    high = p[8];
    softplus = p[9] != 0;
    chunked = p[10] != 0;
    if (!heads || !channels || !n || !groups || heads % groups)
      throw rangeError("groups", "a divisor of the heads, all sizes positive", std::to_string(groups));
    if (chunk < 1 || chunk > 256) throw rangeError("chunk", "in [1, 256]", std::to_string(chunk));
  }
  double steps() const { return double(batch) * double(length); }
  double all() const { return steps() * double(heads) * double(channels); }
  double weights() const { return steps() * double(groups) * double(n); }
  double states() const { return double(batch) * double(heads) * double(channels) * double(n); }
  size_t chunks() const { return (length + chunk - 1) / chunk; }
  size_t stride() const { return ssdStride(chunk); }
  size_t at(size_t chunkIndex) const { return chunkIndex * chunk; }
  size_t steps(size_t chunkIndex) const { return std::min(chunk, length - at(chunkIndex)); }
};

/// The arrays that forward and backward read; those that were not given are null.
struct SsdArrays {
  Dtype type;
  const void *x, *dt, *A, *B, *C, *D, *z, *bias, *initial;
  const int32_t* segments;
  bool dEach;
};

/// Checks the arrays against the shape.
SsdArrays ssdArrays(const SsdShape& s, In<Any> x, In<Any> dt, In<Any> A, In<Any> B, In<Any> C, const Maybe<In<Any>>& D,
                    const Maybe<In<Any>>& z, const Maybe<In<Any>>& dtBias, const Maybe<In<Any>>& initialState,
                    const Maybe<In<int32_t>>& segmentIds);

/// scores[batch][chunk][group] = C B^T within each chunk, rows `stride` apart, padded rows and columns of zeros.
bool ssdScores(Run& run, const SsdShape& s, const SsdArrays& x, void* scores, size_t threads);

/// Where the segment of each step begins within its chunk, -1 where before it: starts[batch][length].
void ssdStarts(const SsdShape& s, const int32_t* segments, int32_t* starts);

/// What belongs to one head in one chunk, and pointers into the arrays of a call.
struct SsdPlace {
  const SsdShape& s;
  const SsdArrays& x;
  size_t item, head, chunk;

  size_t first() const { return item * s.length + s.at(chunk); }
  size_t group() const { return head / (s.heads / s.groups); }
  size_t values() const { return (first() * s.heads + head) * s.channels; }
  size_t valueStep() const { return s.heads * s.channels; }
  size_t steps() const { return first() * s.heads + head; }
  size_t weights() const { return (first() * s.groups + group()) * s.n; }
  size_t weightStep() const { return s.groups * s.n; }
  size_t scores() const { return ((item * s.chunks() + chunk) * s.groups + group()) * s.chunk * s.stride(); }
  size_t skip() const { return x.dEach ? head * s.channels : head; }
};

/// A product of matrices of the call's type.
struct Factor {
  const void* data;
  size_t row, column;
};
inline void product(Dtype type, Factor a, Factor b, void* c, size_t cRow, size_t m, size_t n, size_t k, bool add,
                    void* scratch) {
  kernels().matmul({type, a.data, a.row, a.column, b.data, b.row, b.column, c, cRow, m, n, k, 1, add}, scratch);
}

/// A state [channels][n] of the caller to or from [n][channels], as the products want it; no source gives zeros.
template <class T>
void turnState(const void* source, size_t channels, size_t n, void* target, bool inward) {
  const T* from = static_cast<const T*>(source);
  T* to = static_cast<T*>(target);
  if (!to) return;
  for (size_t p = 0; p < channels; p++)
    for (size_t i = 0; i < n; i++) {
      if (inward) to[i * channels + p] = from ? from[p * n + i] : T(0);
      else to[p * n + i] = from[i * channels + p];
    }
}

}  // namespace softlane
