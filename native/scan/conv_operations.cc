// causalConv1d, its gradient and its decode step. Where a sum reaches before the sequence (or, backward, past its end), the
// few moments concerned are copied to a line of their own with what stands there; everything else is read where it lies.
#ifdef SOFTLANE_OPERATIONS
#include <vector>

#include "arguments.h"

namespace softlane {
namespace {

constexpr size_t kTimes = 64;     ///< moments of a task, channels beside each other
constexpr size_t kChannels = 64;  ///< channels of a task where their sums over time are wanted

struct ConvShape {
  size_t batch, dim, length, width;
  bool timeFirst;
  ConvShape(In<double> sizes, bool timeFirstGiven) : timeFirst(timeFirstGiven) {
    requireSizes(sizes, 4);
    batch = size_t(sizes.data[0]);
    dim = size_t(sizes.data[1]);
    length = size_t(sizes.data[2]);
    width = size_t(sizes.data[3]);
    if (width < 2 || width > kConvWidest) throw rangeError("width", "in [2, 8]", std::to_string(width));
  }
  double all() const { return double(batch) * double(dim) * double(length); }
  double states() const { return double(batch) * double(dim) * double(width - 1); }
};

/// An array (batch, dim, length) in either layout, as seen by moment and channel.
template <class T>
struct Series {
  T* data;
  size_t dim, length;
  bool timeFirst;
  T* at(size_t item, size_t t, size_t d) const {
    return data + (timeFirst ? (item * length + t) * dim + d : (item * dim + d) * length + t);
  }
};

/// Copies moments [t0, t0 + count) of channels [d, d + n) to a line [count][n] (timeFirst) or [n][count]. Moments before 0
/// come from the state (width - 1 moments), or are zero without one, as are those past the end.
template <class T>
void copyLine(const ConvShape& s, const Series<const T>& x, const Series<const T>* state, size_t item, ptrdiff_t t0,
              size_t count, size_t d, size_t n, T* line) {
  for (size_t j = 0; j < count; j++) {
    const ptrdiff_t t = t0 + ptrdiff_t(j);
    for (size_t i = 0; i < n; i++) {
      T value = 0;
      if (t >= ptrdiff_t(s.length)) value = 0;
      else if (t >= 0) value = *x.at(item, size_t(t), d + i);
      else if (state && state->data) value = *state->at(item, size_t(t + ptrdiff_t(s.width - 1)), d + i);
      line[s.timeFirst ? j * n + i : i * count + j] = value;
    }
  }
}

/// The weights (dim, width) with the lanes of a tap beside each other, and in the other order of taps where wanted.
template <class T>
std::vector<T> turned(const T* w, size_t dim, size_t width, bool lanes, bool backward) {
  std::vector<T> result(dim * width);
  for (size_t d = 0; d < dim; d++)
    for (size_t k = 0; k < width; k++) {
      const size_t from = backward ? width - 1 - k : k;
      result[lanes ? k * dim + d : d * width + k] = w[d * width + from];
    }
  return result;
}

/// One convolution of a whole array: y(t) = f(sum_k w_k x(t + k - lead)), t in [from, to).
template <class T>
struct Convolution {
  const ConvShape& shape;
  Dtype type;
  const T *weights, *bias;  ///< as turned
  bool silu;
  Series<const T> x, state, gout;  ///< gout.data: null, or what is multiplied by the derivative
  Series<T> y;
  size_t lead;

  /// Moments [t0, t1) of channels [d, d + n), read from where they are or from a line made for them.
  void run(size_t item, size_t t0, size_t t1, size_t d, size_t n, std::vector<T>& line) const {
    const size_t width = shape.width;
    // Those that see only what exists lie in [lead, length - (width - 1 - lead)).
    const size_t after = width - 1 - lead, inEnd = shape.length > after ? shape.length - after : 0;
    const size_t a = std::min(std::max(t0, lead), t1), b = std::max(a, std::min(t1, inEnd));
    const size_t ranges[3][2] = {{t0, a}, {a, b}, {b, t1}};
    for (size_t part = 0; part < 3; part++) {
      const size_t first = ranges[part][0], count = ranges[part][1] - first;
      if (count == 0) continue;
      const T* from = x.data;
      size_t step = shape.timeFirst ? x.dim : x.length;
      if (part == 1) {
        from = x.at(item, first - lead, d);
      } else {
        const size_t moments = count + width - 1;
        line.resize(moments * n);
        copyLine(shape, x, &state, item, ptrdiff_t(first) - ptrdiff_t(lead), moments, d, n, line.data());
        from = line.data();
        step = shape.timeFirst ? n : moments;
      }
      ConvJob job{};
      job.type = type;
      job.width = width;
      job.silu = silu;
      job.each = shape.timeFirst;
      if (shape.timeFirst) {
        job.rows = count;
        job.n = n;
        job.x = from;
        job.xStep = job.tap = step;
        job.weights = weights + d;
        job.weightTap = shape.dim;
        job.bias = bias ? bias + d : nullptr;
        job.gout = gout.data ? gout.at(item, first, d) : nullptr;
        job.y = y.at(item, first, d);
        job.yStep = shape.dim;
        kernels().conv_rows(job);
        continue;
      }
      job.rows = 1;
      job.n = count;
      job.tap = 1;
      job.weightTap = 1;
      for (size_t i = 0; i < n; i++) {
        job.x = from + i * step;
        job.weights = weights + (d + i) * width;
        job.bias = bias ? bias + d + i : nullptr;
        job.gout = gout.data ? gout.at(item, first, d + i) : nullptr;
        job.y = y.at(item, first, d + i);
        kernels().conv_rows(job);
      }
    }
  }

  /// All of it: pieces of time with channels beside each other, else pieces of channels with all of their time.
  void all(Run& call, size_t threads) const {
    const size_t pieces =
        shape.timeFirst ? (shape.length + kTimes - 1) / kTimes : (shape.dim + kChannels - 1) / kChannels;
    const size_t work = 1 + shape.width * (shape.timeFirst ? std::min(shape.length, kTimes) * shape.dim
                                                           : shape.length * std::min(shape.dim, kChannels));
    const size_t tasks = shape.batch * pieces;
    call.useThreads(std::min(threads, 1 + tasks * work / (size_t(1) << 16)));
    call.each(tasks, 1 + (size_t(1) << 16) / work, [&](size_t begin, size_t end) {
      std::vector<T> line;
      for (size_t task = begin; task < end; task++) {
        const size_t item = task / pieces, piece = task % pieces;
        if (shape.timeFirst) {
          run(item, piece * kTimes, std::min(shape.length, (piece + 1) * kTimes), 0, shape.dim, line);
        } else {
          const size_t d = piece * kChannels;
          run(item, 0, shape.length, d, std::min(kChannels, shape.dim - d), line);
        }
      }
      call.advance(end - begin);
    });
  }
  size_t tasks() const {
    return shape.batch *
           (shape.timeFirst ? (shape.length + kTimes - 1) / kTimes : (shape.dim + kChannels - 1) / kChannels);
  }
};

/// The last width - 1 inputs of each sequence, for the steps that follow. States are (batch, dim, width - 1) in any layout.
template <class T>
void keepLast(const ConvShape& s, const Series<const T>& x, const Series<const T>& state, const Series<T>& last) {
  for (size_t item = 0; item < s.batch; item++)
    for (size_t j = 0; j + 1 < s.width; j++)
      for (size_t d = 0; d < s.dim; d++) {
        const size_t t = s.length + j;  // counted from the state's first moment
        *last.at(item, j, d) = t >= s.width - 1 ? *x.at(item, t - (s.width - 1), d)
                               : state.data     ? *state.at(item, t, d)
                                                : T(0);
      }
}

/// Sums over batch and time for channels [d, d + n): in the order of batch and time.
template <class T>
void weightSums(const ConvShape& s, Dtype type, const Series<const T>& g, const Series<const T>& x,
                const Series<const T>& state, size_t d, size_t n, T* dweight, T* dbias, std::vector<T>& line) {
  std::vector<T> sums((s.width + 1) * n);
  const size_t lead = s.width - 1, head = std::min(lead, s.length);
  const bool lanes = s.timeFirst;
  for (size_t item = 0; item < s.batch; item++)
    for (int part = 0; part < 2; part++) {
      const size_t first = part ? head : 0, count = part ? s.length - head : head;
      if (count == 0) continue;
      const T* from;
      size_t step;
      if (part) {
        from = x.at(item, first - lead, d);
        step = lanes ? s.dim : s.length;
      } else {
        const size_t moments = count + lead;
        line.resize(moments * n);
        copyLine(s, x, &state, item, -ptrdiff_t(lead), moments, d, n, line.data());
        from = line.data();
        step = lanes ? n : moments;
      }
      ConvWeights job{};
      job.type = type;
      job.width = s.width;
      job.each = lanes;
      if (lanes) {
        job.rows = count;
        job.n = n;
        job.g = g.at(item, first, d);
        job.gStep = s.dim;
        job.x = from;
        job.xStep = job.tap = step;
        job.dw = sums.data();
        job.weightTap = n;
        job.dbias = sums.data() + s.width * n;
        kernels().conv_weights(job);
        continue;
      }
      job.rows = 1;
      job.n = count;
      job.tap = 1;
      job.weightTap = n;
      for (size_t i = 0; i < n; i++) {
        job.g = g.at(item, first, d + i);
        job.x = from + i * step;
        job.dw = sums.data() + i;
        job.dbias = sums.data() + s.width * n + i;
        kernels().conv_weights(job);
      }
    }
  for (size_t i = 0; i < n; i++) {
    for (size_t k = 0; k < s.width; k++) dweight[(d + i) * s.width + k] = sums[k * n + i];
    if (dbias) dbias[d + i] = sums[s.width * n + i];
  }
}

/// Adds what reaches the moments before the sequence, and the gradient of the state after it.
template <class T>
void stateGradients(const ConvShape& s, const T* weights, const Series<const T>& g, const Series<const T>& glast,
                    const Series<T>& dx, const Series<T>& dState) {
  const size_t lead = s.width - 1;
  for (size_t item = 0; item < s.batch; item++)
    for (size_t j = 0; j < lead; j++)
      for (size_t d = 0; d < s.dim; d++) {
        if (dState.data) {  // moment j - lead is tap k of output t = j - k
          T sum = 0;
          for (size_t k = 0; k <= j; k++)
            if (j - k < s.length) sum += weights[d * s.width + k] * *g.at(item, j - k, d);
          *dState.at(item, j, d) = sum;
        }
      }
  if (!glast.data) return;
  for (size_t item = 0; item < s.batch; item++)
    for (size_t j = 0; j < lead; j++)
      for (size_t d = 0; d < s.dim; d++) {
        const size_t t = s.length + j;
        const T value = *glast.at(item, j, d);
        if (t >= lead) *dx.at(item, t - lead, d) += value;
        else if (dState.data) *dState.at(item, t, d) += value;
      }
}

}  // namespace

namespace ops {

void causalConv1d(Run& run, In<Any> x, In<Any> weight, Maybe<In<Any>> bias, Maybe<In<Any>> initialState, Out<Any> out,
                  Maybe<Out<Any>> lastState, In<double> sizes, bool timeFirst, bool silu, size_t threads) {
  const ConvShape s(sizes, timeFirst);
  const Dtype type = realOf(x.element);
  requireShape("x", x, type, s.all());
  requireShape("weight", weight, type, double(s.dim) * double(s.width));
  requireIfGiven("bias", bias, type, double(s.dim));
  requireIfGiven("initialState", initialState, type, s.states());
  requireShape("out", out, type, s.all());
  requireIfGiven("lastState", lastState, type, s.states());
  withReal(type, [&](auto zeroOf) {
    using T = decltype(zeroOf);
    const auto weights = turned(static_cast<const T*>(weight.data), s.dim, s.width, timeFirst, false);
    const Series<const T> from{static_cast<const T*>(x.data), s.dim, s.length, timeFirst};
    const Series<const T> state{static_cast<const T*>(initialState.data), s.dim, s.width - 1, false};
    const Convolution<T> convolution{s,
                                     type,
                                     weights.data(),
                                     static_cast<const T*>(bias.data),
                                     silu,
                                     from,
                                     state,
                                     {nullptr, s.dim, s.length, timeFirst},
                                     {static_cast<T*>(out.data), s.dim, s.length, timeFirst},
                                     s.width - 1};
    run.expect(convolution.tasks());
    convolution.all(run, threads);
    if (lastState.data) keepLast<T>(s, from, state, {static_cast<T*>(lastState.data), s.dim, s.width - 1, false});
  });
}

void causalConv1dBackward(Run& run, In<Any> x, In<Any> weight, Maybe<In<Any>> bias, Maybe<In<Any>> initialState,
                          In<Any> gout, Maybe<In<Any>> glast, Out<Any> dx, Out<Any> dweight, Maybe<Out<Any>> dbias,
                          Maybe<Out<Any>> dInitialState, In<double> sizes, bool timeFirst, bool silu, size_t threads) {
  const ConvShape s(sizes, timeFirst);
  const Dtype type = realOf(x.element);
  requireShape("x", x, type, s.all());
  requireShape("weight", weight, type, double(s.dim) * double(s.width));
  requireIfGiven("bias", bias, type, double(s.dim));
  requireIfGiven("initialState", initialState, type, s.states());
  requireShape("gout", gout, type, s.all());
  requireIfGiven("glast", glast, type, s.states());
  requireShape("dx", dx, type, s.all());
  requireShape("dweight", dweight, type, double(s.dim) * double(s.width));
  requireIfGiven("dbias", dbias, type, double(s.dim));
  requireIfGiven("dInitialState", dInitialState, type, s.states());
  withReal(type, [&](auto zeroOf) {
    using T = decltype(zeroOf);
    const size_t lead = s.width - 1;
    const T* w = static_cast<const T*>(weight.data);
    const auto series = [&](const void* p) {
      return Series<const T>{static_cast<const T*>(p), s.dim, s.length, timeFirst};
    };
    const auto written = [&](void* p) { return Series<T>{static_cast<T*>(p), s.dim, s.length, timeFirst}; };
    const Series<const T> from = series(x.data), state{static_cast<const T*>(initialState.data), s.dim, lead, false};
    const Scratch gates(silu ? size_t(s.all()) * sizeof(T) : 0);
    Series<const T> g = series(gout.data);
    const size_t blocks = (s.dim + kChannels - 1) / kChannels;
    const auto weights = turned(w, s.dim, s.width, timeFirst, true);
    const Convolution<T> back{s,  type, weights.data(),   nullptr, false, series(silu ? gates.as<T>() : gout.data),
                              {}, {},   written(dx.data), 0};
    run.expect(back.tasks() * (silu ? 2 : 1) + blocks);
    if (silu) {
      const auto forward = turned(w, s.dim, s.width, timeFirst, false);
      const Convolution<T> before{
          s,   type, forward.data(), static_cast<const T*>(bias.data), true, from, state, g, written(gates.as<void>()),
          lead};
      before.all(run, threads);
      g = series(gates.as<void>());
    }
    if (run.stopped()) return;
    back.all(run, threads);
    run.each(blocks, 1, [&](size_t begin, size_t end) {
      std::vector<T> line;
      for (size_t block = begin; block < end; block++)
        weightSums(s, type, g, from, state, block * kChannels, std::min(kChannels, s.dim - block * kChannels),
                   static_cast<T*>(dweight.data), static_cast<T*>(dbias.data), line);
      run.advance(end - begin);
    });
    if (!run.stopped())
      stateGradients<T>(s, w, g, {static_cast<const T*>(glast.data), s.dim, lead, false}, written(dx.data),
                        {static_cast<T*>(dInitialState.data), s.dim, lead, false});
  });
}

void causalConv1dUpdate(Run& run, Out<Any> state, In<Any> x, In<Any> weight, Maybe<In<Any>> bias, Out<Any> out,
                        In<double> sizes, bool silu, size_t threads) {
  const ConvShape s(sizes, true);  // of length 1
  const Dtype type = realOf(x.element);
  if (s.length != 1) throw rangeError("length", "1", std::to_string(s.length));
  requireShape("state", state, type, s.states());
  requireShape("x", x, type, s.all());
  requireShape("weight", weight, type, double(s.dim) * double(s.width));
  requireIfGiven("bias", bias, type, double(s.dim));
  requireShape("out", out, type, s.all());
  run.useThreads(std::min(threads, 1 + s.batch * s.dim * s.width / (size_t(1) << 15)));
  run.expect(s.batch);
  withReal(type, [&](auto zeroOf) {
    using T = decltype(zeroOf);
    const size_t width = s.width, dim = s.dim;
    const auto weights = turned(static_cast<const T*>(weight.data), dim, width, true, false);
    run.each(s.batch, 1 + (size_t(1) << 14) / (dim * width + 1), [&](size_t begin, size_t end) {
      std::vector<T> line(width * dim);  // [width][dim]: the state and then x
      for (size_t item = begin; item < end; item++) {
        const Series<T> past{static_cast<T*>(state.data), dim, width - 1, false};
        for (size_t j = 0; j + 1 < width; j++)
          for (size_t d = 0; d < dim; d++) line[j * dim + d] = *past.at(item, j, d);
        std::copy_n(static_cast<const T*>(x.data) + item * dim, dim, line.data() + (width - 1) * dim);
        kernels().conv_rows({type, 1, dim, width, line.data(), dim, dim, weights.data(), bias.data, dim, true, silu,
                             nullptr, at(out.data, type, item * dim), dim});
        for (size_t j = 0; j + 1 < width; j++)
          for (size_t d = 0; d < dim; d++) *past.at(item, j, d) = line[(j + 1) * dim + d];
      }
      run.advance(end - begin);
    });
  });
}

}  // namespace ops
}  // namespace softlane
#endif
