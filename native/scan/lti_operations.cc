// ltiScan, its gradient and ltiKernel. The recurrence takes kLtiLanes neighbouring rows (a row is a channel of a sequence) at
// a time; the convolution as many channels, whose kernel all sequences share. Bits depend on no number of threads: lanes do
// not meet, and sums over the batch are in its order.
#ifdef SOFTLANE_OPERATIONS
#include <cmath>
#include <complex>
#include <vector>

#include "arguments.h"

namespace softlane {
namespace {

constexpr size_t W = kLtiLanes;
/// Up to this length the convolution is a direct sum.
constexpr size_t kDirect = 512;

struct LtiShape {
  size_t batch, dim, length, n, parts;
  LtiShape(In<double> sizes, bool complex) : parts(complex ? 2 : 1) {
    requireSizes(sizes, 4);
    batch = size_t(sizes.data[0]);
    dim = size_t(sizes.data[1]);
    length = size_t(sizes.data[2]);
    n = size_t(sizes.data[3]);
  }
  double all() const { return double(batch) * double(dim) * double(length); }
  double weights() const { return double(dim) * double(n * parts); }
  double states() const { return double(batch) * weights(); }
  size_t rows() const { return batch * dim; }
  size_t size() const { return n * parts; }
  size_t blocks() const { return (length + kLtiSteps - 1) / kLtiSteps; }
};

void requireLength(const char* argument, In<double> array, double wanted) {
  if (double(array.length) != wanted)
    throw rangeError(argument, std::to_string(size_t(wanted)) + " elements long", std::to_string(array.length));
}

/// The coefficients of up to W channels, lanes beside each other.
template <class T>
struct Coefficients {
  std::vector<T> decay, input, weight, skip;

  Coefficients(const LtiShape& s, size_t firstRow, size_t count, const double* decays, const double* inputs, const T* C,
               const T* D)
      : decay(s.size() * W), input(s.size() * W), weight(s.size() * W), skip(W) {
    for (size_t i = 0; i < count; i++) {
      const size_t d = (firstRow + i) % s.dim;
      for (size_t k = 0; k < s.size(); k++) {
        decay[k * W + i] = T(decays[d * s.size() + k]);
        input[k * W + i] = T(inputs[d * s.size() + k]);
        weight[k * W + i] = T(double(s.parts) * double(C[d * s.size() + k]));
      }
      skip[i] = D ? D[d] : T(0);
    }
  }
};

/// States of rows [row, row + count), [row][n][parts], to or from lanes.
template <class T>
void statesToLanes(const LtiShape& s, const void* states, size_t row, size_t count, T* lanes) {
  std::fill_n(lanes, s.size() * W, T(0));
  if (!states) return;
  for (size_t i = 0; i < count; i++)
    for (size_t k = 0; k < s.size(); k++) lanes[k * W + i] = static_cast<const T*>(states)[(row + i) * s.size() + k];
}
template <class T>
void lanesToStates(const LtiShape& s, const T* lanes, size_t row, size_t count, void* states) {
  if (!states) return;
  for (size_t i = 0; i < count; i++)
    for (size_t k = 0; k < s.size(); k++) static_cast<T*>(states)[(row + i) * s.size() + k] = lanes[k * W + i];
}

template <class T>
LtiTile tileOf(const LtiShape& s, Dtype type, const Coefficients<T>& c, size_t count, size_t block) {
  LtiTile job{};
  job.type = type;
  job.complex = s.parts == 2;
  job.rows = count;
  job.length = std::min(kLtiSteps, s.length - block * kLtiSteps);
  job.n = s.n;
  job.decay = c.decay.data();
  job.input = c.input.data();
  job.weight = c.weight.data();
  job.skip = c.skip.data();
  job.rowStep = s.length;
  return job;
}

/// body(first row, number of rows) for tiles of rows, on threads.
template <class Body>
void eachTile(Run& run, size_t rows, size_t work, size_t threads, Body body) {
  const size_t tiles = (rows + W - 1) / W;
  run.useThreads(std::min(threads, 1 + rows * work / (size_t(1) << 16)));
  run.expect(tiles);
  run.each(tiles, 1, [&](size_t begin, size_t end) {
    for (size_t tile = begin; tile < end && !run.stopped(); tile++) body(tile * W, std::min(W, rows - tile * W));
    run.advance(end - begin);
  });
}

/// kernel[channel][length] of channels [first, first + count): each block starts from powers of its own, in float64.
template <class T>
void kernelOf(const LtiShape& s, Dtype type, const Coefficients<T>& c, const double* decays, const double* inputs,
              size_t first, size_t count, T* kernel) {
  std::vector<T> state(s.size() * W);
  for (size_t block = 0; block < s.blocks(); block++) {
    const double power = double(block * kLtiSteps);
    for (size_t i = 0; i < count; i++)
      for (size_t k = 0; k < s.n; k++) {
        const size_t at = ((first + i) * s.n + k) * s.parts;
        if (s.parts == 1) {
          state[k * W + i] = T(inputs[at] * std::pow(decays[at], power));
          continue;
        }
        const std::complex<double> decay(decays[at], decays[at + 1]), input(inputs[at], inputs[at + 1]);
        const std::complex<double> start =
            input * (block == 0 ? 1.0 : std::polar(std::pow(std::abs(decay), power), power * std::arg(decay)));
        state[2 * k * W + i] = T(start.real());
        state[(2 * k + 1) * W + i] = T(start.imag());
      }
    LtiTile job = tileOf(s, type, c, count, block);
    job.state = state.data();
    job.y = kernel + block * kLtiSteps;
    kernels().lti_tile(job);
  }
}

/// cos and sin(pi i / size).
template <class T>
std::vector<T> halfTurns(size_t size) {
  std::vector<T> table(2 * size);
  for (size_t i = 0; i < size; i++) {
    const double angle = 3.14159265358979323846 * double(i) / double(size);
    table[i] = T(std::cos(angle));
    table[size + i] = T(std::sin(angle));
  }
  return table;
}

/// Lines of lanes [length] to or from complex lines [size]: even moments are real parts, odd ones imaginary.
template <class T>
void splitMoments(const T* lanes, size_t length, size_t size, T* re, T* im) {
  for (size_t k = 0; k < size; k++)
    for (size_t i = 0; i < W; i++) {
      re[k * W + i] = 2 * k < length ? lanes[2 * k * W + i] : T(0);
      im[k * W + i] = 2 * k + 1 < length ? lanes[(2 * k + 1) * W + i] : T(0);
    }
}
template <class T>
void joinMoments(const T* re, const T* im, size_t length, T* lanes) {
  for (size_t t = 0; t < length; t++) std::copy_n((t % 2 ? im : re) + t / 2 * W, W, lanes + t * W);
}

/// Convolution of channels [first, first + count) of every sequence with their kernel.
template <class T>
void convolve(Run& run, const LtiShape& s, Dtype type, const T* kernel, const T* table, size_t size, size_t first,
              size_t count, const T* u, T* out) {
  const Kernels& k = kernels();
  std::vector<T> lanes(s.length * W), taps(s.length * W), y(s.length * W), memory(4 * size * W);
  T *re = memory.data(), *im = re + size * W, *kernelRe = im + size * W, *kernelIm = kernelRe + size * W;
  k.lti_turn(type, kernel, s.length, count, s.length, taps.data());
  const auto transform = [&](T* real, T* imaginary, bool inverse) {
    k.lti_fft({type, size, real, imaginary, table, table + size, inverse});
  };
  if (size) {
    splitMoments(taps.data(), s.length, size, kernelRe, kernelIm);
    transform(kernelRe, kernelIm, false);
  }
  for (size_t item = 0; item < s.batch && !run.stopped(); item++) {
    const size_t from = (item * s.dim + first) * s.length;
    k.lti_turn(type, u + from, s.length, count, s.length, lanes.data());
    if (size) {
      splitMoments(lanes.data(), s.length, size, re, im);
      transform(re, im, false);
      k.lti_multiply({type, size, re, im, table, table + size, false},
                     {type, size, kernelRe, kernelIm, table, table + size, false});
      transform(re, im, true);
      joinMoments(re, im, s.length, y.data());
    } else {
      k.lti_direct(type, taps.data(), lanes.data(), s.length, y.data());
    }
    k.lti_return(type, y.data(), count, s.length, out + from, s.length);
  }
}

/// Checks what forward and backward read.
Dtype requireSystem(const LtiShape& s, In<Any> u, In<double> decay, In<double> input, In<Any> C,
                    const Maybe<In<Any>>& D, const Maybe<In<Any>>& initialState) {
  const Dtype type = realOf(u.element);
  requireShape("u", u, type, s.all());
  requireLength("decay", decay, s.weights());
  requireLength("input", input, s.weights());
  requireShape("C", C, type, s.weights());
  requireIfGiven("D", D, type, double(s.dim));
  requireIfGiven("initialState", initialState, type, s.states());
  return type;
}

}  // namespace

namespace ops {

void ltiScan(Run& run, In<Any> u, In<double> decay, In<double> input, In<Any> C, Maybe<In<Any>> D,
             Maybe<In<Any>> initialState, Out<Any> out, Maybe<Out<Any>> lastState, In<double> sizes, bool complex,
             bool convolution, size_t threads) {
  const LtiShape s(sizes, complex);
  const Dtype type = requireSystem(s, u, decay, input, C, D, initialState);
  requireShape("out", out, type, s.all());
  requireIfGiven("lastState", lastState, type, s.states());
  if (convolution && (initialState.data || lastState.data))
    throw rangeError("method", "'recurrence' where states are given or asked for", "'convolution'");
  withReal(type, [&](auto zeroOf) {
    using T = decltype(zeroOf);
    const T *weights = static_cast<const T*>(C.data), *skips = static_cast<const T*>(D.data);
    const T* from = static_cast<const T*>(u.data);
    T* to = static_cast<T*>(out.data);
    if (convolution) {
      if (s.length == 0) return;
      size_t size = 0;
      if (s.length > kDirect)
        for (size = 1; size < s.length;) size *= 2;
      const std::vector<T> table = halfTurns<T>(size);
      return eachTile(run, s.dim, s.length * (s.size() + 40) * s.batch, threads, [&](size_t first, size_t count) {
        const Coefficients<T> c(s, first, count, decay.data, input.data, weights, nullptr);
        std::vector<T> kernel(count * s.length);
        kernelOf(s, type, c, decay.data, input.data, first, count, kernel.data());
        if (skips)
          for (size_t i = 0; i < count; i++) kernel[i * s.length] += skips[first + i];
        convolve(run, s, type, kernel.data(), table.data(), size, first, count, from, to);
      });
    }
    eachTile(run, s.rows(), s.length * s.size(), threads, [&](size_t row, size_t count) {
      const Coefficients<T> c(s, row, count, decay.data, input.data, weights, skips);
      std::vector<T> state(s.size() * W);
      statesToLanes(s, initialState.data, row, count, state.data());
      for (size_t block = 0; block < s.blocks(); block++) {
        LtiTile job = tileOf(s, type, c, count, block);
        job.state = state.data();
        job.u = from + row * s.length + block * kLtiSteps;
        job.y = to + row * s.length + block * kLtiSteps;
        kernels().lti_tile(job);
      }
      lanesToStates(s, state.data(), row, count, lastState.data);
    });
  });
}

void ltiScanBackward(Run& run, In<Any> u, In<double> decay, In<double> input, In<Any> C, Maybe<In<Any>> D,
                     Maybe<In<Any>> initialState, In<Any> gout, Maybe<In<Any>> glast, Out<Any> du, Out<double> dDecay,
                     Out<double> dInput, Out<Any> dC, Maybe<Out<Any>> dD, Maybe<Out<Any>> dInitialState,
                     In<double> sizes, bool complex, size_t threads) {
  const LtiShape s(sizes, complex);
  const Dtype type = requireSystem(s, u, decay, input, C, D, initialState);
  requireShape("gout", gout, type, s.all());
  requireIfGiven("glast", glast, type, s.states());
  requireShape("du", du, type, s.all());
  requireShape("dC", dC, type, s.weights());
  requireIfGiven("dD", dD, type, double(s.dim));
  requireIfGiven("dInitialState", dInitialState, type, s.states());
  requireLength("dDecay", {dDecay.data, dDecay.length}, s.weights());
  requireLength("dInput", {dInput.data, dInput.length}, s.weights());
  withReal(type, [&](auto zeroOf) {
    using T = decltype(zeroOf);
    const size_t size = s.size();
    std::vector<double> sums(s.rows() * (3 * size + 1));  // of each row: dDecay, dInput, dWeight, dSkip
    const T *from = static_cast<const T*>(u.data), *g = static_cast<const T*>(gout.data);
    eachTile(run, s.rows(), 4 * s.length * size, threads, [&](size_t row, size_t count) {
      const Coefficients<T> c(s, row, count, decay.data, input.data, static_cast<const T*>(C.data),
                              static_cast<const T*>(D.data));
      std::vector<T> memory((s.blocks() + 4) * size * W), total(3 * size * W + W);
      T *kept = memory.data(), *state = kept + s.blocks() * size * W, *carry = state + size * W;
      statesToLanes(s, initialState.data, row, count, state);
      const auto job = [&](size_t block) {
        LtiTile tile = tileOf(s, type, c, count, block);
        tile.state = state;
        tile.u = from + row * s.length + block * kLtiSteps;
        return tile;
      };
      for (size_t block = 0; block < s.blocks(); block++) {
        std::copy_n(state, size * W, kept + block * size * W);
        if (block + 1 < s.blocks()) kernels().lti_tile(job(block));
      }
      statesToLanes(s, glast.data, row, count, carry);
      for (size_t block = s.blocks(); block-- > 0;) {
        LtiBackward back{};
        back.forward = job(block);
        back.forward.state = kept + block * size * W;
        back.gout = g + row * s.length + block * kLtiSteps;
        back.carry = carry;
        back.du = static_cast<T*>(du.data) + row * s.length + block * kLtiSteps;
        back.dDecay = total.data();
        back.dInput = total.data() + size * W;
        back.dWeight = total.data() + 2 * size * W;
        back.dSkip = total.data() + 3 * size * W;
        kernels().lti_tile_backward(back);
      }
      lanesToStates(s, carry, row, count, dInitialState.data);
      for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < 3 * size + 1; k++) sums[(row + i) * (3 * size + 1) + k] = double(total[k * W + i]);
    });
    if (run.stopped()) return;
    for (size_t d = 0; d < s.dim; d++)
      for (size_t k = 0; k < 3 * size + 1; k++) {
        double sum = 0;
        for (size_t item = 0; item < s.batch; item++) sum += sums[(item * s.dim + d) * (3 * size + 1) + k];
        const size_t at = d * size + k % size;
        if (k < size) dDecay.data[at] = sum;
        else if (k < 2 * size) dInput.data[at] = sum;
        else if (k < 3 * size) static_cast<T*>(dC.data)[at] = T(double(s.parts) * sum);
        else if (dD.data) static_cast<T*>(dD.data)[d] = T(sum);
      }
  });
}

void ltiKernel(Run& run, In<double> decay, In<double> input, In<Any> C, Out<Any> out, In<double> sizes, bool complex,
               size_t threads) {
  const LtiShape s(sizes, complex);
  const Dtype type = realOf(C.element);
  requireLength("decay", decay, s.weights());
  requireLength("input", input, s.weights());
  requireShape("C", C, type, s.weights());
  requireShape("out", out, type, double(s.dim) * double(s.length));
  withReal(type, [&](auto zeroOf) {
    using T = decltype(zeroOf);
    eachTile(run, s.dim, s.length * s.size(), threads, [&](size_t first, size_t count) {
      const Coefficients<T> c(s, first, count, decay.data, input.data, static_cast<const T*>(C.data), nullptr);
      kernelOf(s, type, c, decay.data, input.data, first, count, static_cast<T*>(out.data) + first * s.length);
    });
  });
}

}  // namespace ops
}  // namespace softlane
#endif
