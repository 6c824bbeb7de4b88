// What moves elements: copies in any strides, gathering, scattering, extremes, the largest k, running sums.
#ifdef SOFTLANE_OPERATIONS
#include "operations.h"

namespace softlane::ops {
using namespace softlane::tensor;
namespace {

template <class S>
void copyLine(const S* from, size_t fromStep, S* to, size_t toStep, size_t n) {
  if (fromStep == 1 && toStep == 1) {
    std::memcpy(to, from, n * sizeof(S));
  } else if (fromStep == 0 && toStep == 1) {
    std::fill(to, to + n, *from);
  } else {
    for (size_t i = 0; i < n; i++) to[i * toStep] = from[i * fromStep];
  }
}

void requireIndices(In<int32_t> indices, size_t count, size_t below) {
  if (indices.length != count)
    throw rangeError("indices", std::to_string(count) + " numbers", std::to_string(indices.length));
  for (size_t i = 0; i < count; i++)
    if (indices.data[i] < 0 || size_t(indices.data[i]) >= below)
      throw rangeError("indices", "in [0, " + std::to_string(below) + ")",
                       std::to_string(indices.data[i]) + " at " + std::to_string(i));
}

}  // namespace

void tensorCopy(Run& run, In<Any> x, Out<Any> out, In<double> axes, size_t from, size_t to, size_t threads) {
  const Dtype type = typeOf("x", x);
  requireStorage("out", out.element, type);
  const Axes loop(axes);
  if (loop.elements() == 0) return;
  if (from + loop.last(loop.first) >= x.length)
    throw rangeError("x", "as large as its axes say", std::to_string(x.length));
  if (to + loop.last(loop.second) >= out.length)
    throw rangeError("out", "as large as its axes say", std::to_string(out.length));
  const size_t last = loop.rank - 1, inner = loop.inner();
  withType(type, [&](auto zero) {
    using S = decltype(zero);
    const S* source = static_cast<const S*>(x.data) + from;
    S* target = static_cast<S*>(out.data) + to;
    // A turned matrix, in tiles that the first-level cache holds on both sides.
    if (loop.rank >= 2 && loop.first[last] != 1 && loop.first[last - 1] == 1 && loop.second[last] == 1) {
      const size_t rows = loop.sizes[last - 1], tile = 16, bands = (rows + tile - 1) / tile;
      const size_t count = loop.lines() / rows;
      share(run, count * bands, tile * inner, threads, [&](size_t begin, size_t end) {
        for (size_t task = begin; task < end; task++) {
          const size_t row = task % bands * tile, height = std::min(tile, rows - row);
          loop.each(task / bands * rows, task / bands * rows + 1, [&](size_t a, size_t b, size_t) {
            for (size_t j = 0; j < inner; j += tile)
              for (size_t i = row; i < row + height; i++)
                for (size_t k = j; k < std::min(j + tile, inner); k++)
                  target[b + i * loop.second[last - 1] + k] = source[a + i + k * loop.first[last]];
          });
        }
      });
      return;
    }
    share(run, loop.lines(), inner, threads, [&](size_t begin, size_t end) {
      loop.each(begin, end, [&](size_t a, size_t b, size_t) {
        copyLine(source + a, loop.first[last], target + b, loop.second[last], inner);
      });
    });
  });
}

void tensorGather(Run& run, In<Any> x, In<int32_t> indices, Out<Any> out, size_t outer, size_t n, size_t inner,
                  size_t count, bool each, size_t threads) {
  const Dtype type = typeOf("x", x);
  require("x", x, type, outer * n * inner);
  require("out", out, type, outer * count * inner);
  requireIndices(indices, each ? outer * count : count, n);
  const size_t bytes = inner * sizeOf(type);
  share(run, outer * count, inner, threads, [&](size_t begin, size_t end) {
    for (size_t task = begin; task < end; task++) {
      const size_t o = task / count, index = size_t(indices.data[each ? task : task % count]);
      std::memcpy(at(out.data, type, task * inner), at(x.data, type, (o * n + index) * inner), bytes);
    }
  });
}

void tensorScatterAdd(Run& run, In<Any> source, In<int32_t> indices, Out<Any> out, size_t outer, size_t n, size_t inner,
                      size_t count, bool each, size_t threads) {
  const Dtype type = typeOf("source", source);
  require("source", source, type, outer * count * inner);
  require("out", out, type, outer * n * inner);
  requireIndices(indices, each ? outer * count : count, n);
  share(run, outer, count * inner, threads, [&](size_t begin, size_t end) {
    for (size_t o = begin; o < end; o++)
      for (size_t j = 0; j < count; j++) {
        const size_t index = size_t(indices.data[each ? o * count + j : j]);
        void* to = at(out.data, type, (o * n + index) * inner);
        const void* from = at(source.data, type, (o * count + j) * inner);
        if (inner < 8)
          withType(type, [&](auto zero) {
            using S = decltype(zero);
            for (size_t i = 0; i < inner; i++) static_cast<S*>(to)[i] += static_cast<const S*>(from)[i];
          });
        else kernels().tensor_binary({type, TensorBinary::add, to, from, 1, 1, to, inner, 1, 0, 0, 0});
      }
  });
}

void tensorExtreme(Run& run, In<Any> x, Out<Any> out, Out<int32_t> indices, size_t outer, size_t n, size_t inner,
                   bool least, size_t threads) {
  const Dtype type = typeOf("x", x);
  require("x", x, type, outer * n * inner);
  require("out", out, type, outer * inner);
  if (indices.length != outer * inner) throw rangeError("indices", "as long as out", std::to_string(indices.length));
  if (n == 0 && outer > 0 && inner > 0) throw rangeError("n", "at least 1: nothing has no extreme", "0");
  withType(type, [&](auto zero) {
    using S = decltype(zero);
    share(run, outer * inner, n, threads, [&](size_t begin, size_t end) {
      for (size_t task = begin; task < end; task++) {
        const S* line = static_cast<const S*>(x.data) + task / inner * n * inner + task % inner;
        size_t best = 0;
        for (size_t i = 1; i < n; i++) {  // the first of equals; NaN wins, and stays
          const S v = line[i * inner], b = line[best * inner];
          if (b == b && ((least ? v < b : v > b) || v != v)) best = i;
        }
        static_cast<S*>(out.data)[task] = line[best * inner];
        indices.data[task] = int32_t(best);
      }
    });
  });
}

void tensorTopK(Run& run, In<Any> x, Out<Any> out, Out<int32_t> indices, size_t rows, size_t cols, size_t k,
                size_t threads) {
  const Dtype type = typeOf("x", x);
  require("x", x, type, rows * cols);
  require("out", out, type, rows * k);
  if (indices.length != rows * k) throw rangeError("indices", "as long as out", std::to_string(indices.length));
  if (k > cols) throw rangeError("k", "at most " + std::to_string(cols), std::to_string(k));
  if (k == 0) return;
  withType(type, [&](auto zero) {
    using S = decltype(zero);
    // A heap of the k best so far, the worst on top; in the end it is emptied from the worst to the best.
    share(run, rows, cols, threads, [&](size_t begin, size_t end) {
      for (size_t r = begin; r < end; r++) {
        const S* row = static_cast<const S*>(x.data) + r * cols;
        int32_t* heap = indices.data + r * k;
        const auto before = [&](int32_t i, int32_t j) {  // larger first, then the lower index; NaN comes first
          const S a = row[i], b = row[j];
          if (a != a || b != b) return a != a && (b == b || i < j);
          return a > b || (a == b && i < j);
        };
        for (size_t i = 0; i < k; i++) heap[i] = int32_t(i);
        std::make_heap(heap, heap + k, before);
        for (size_t i = k; i < cols; i++) {
          if (!before(int32_t(i), heap[0])) continue;
          std::pop_heap(heap, heap + k, before);
          heap[k - 1] = int32_t(i);
          std::push_heap(heap, heap + k, before);
        }
        std::sort_heap(heap, heap + k, before);
        for (size_t i = 0; i < k; i++) static_cast<S*>(out.data)[r * k + i] = row[heap[i]];
      }
    });
  });
}

void tensorCumsum(Run& run, In<Any> x, Out<Any> out, size_t outer, size_t n, size_t inner, bool reverse,
                  size_t threads) {
  const Dtype type = typeOf("x", x);
  require("x", x, type, outer * n * inner);
  require("out", out, type, outer * n * inner);
  withType(type, [&](auto zero) {
    using S = decltype(zero);
    share(run, outer * inner, n, threads, [&](size_t begin, size_t end) {
      for (size_t task = begin; task < end; task++) {
        const size_t start = task / inner * n * inner + task % inner;
        double total = 0;
        for (size_t i = 0; i < n; i++) {
          const size_t where = start + (reverse ? n - 1 - i : i) * inner;
          total += double(static_cast<const S*>(x.data)[where]);
          static_cast<S*>(out.data)[where] = S(total);
        }
      }
    });
  });
}

}  // namespace softlane::ops
#endif
