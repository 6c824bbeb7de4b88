// What operations are written against: arrays as JavaScript hands them over, enumerations, errors, and the run of a call.
#pragma once
#include <string>
#include <vector>

#include "attention/attention.h"
#include "cpu.h"
#include "elastic/elastic.h"
#include "gemm/gemm.h"
#include "linear/linear.h"
#include "parallel.h"
#include "scan/scan.h"
#include "tensor/tensor.h"
#include "types.h"

namespace softlane {

enum class Element : uint8_t { float32, float64, int32, uint16, int8, uint8, other };

struct Any {};

/// A typed array that is read. In<Any> takes any kind: the operation checks which.
template <class T>
struct In {
  const T* data = nullptr;
  size_t length = 0;
};
template <>
struct In<Any> {
  const void* data = nullptr;
  size_t length = 0;
  Element element = Element::other;
};

/// A typed array that is written. The binding refuses it if it overlaps any other array of the call.
template <class T>
struct Out {
  T* data = nullptr;
  size_t length = 0;
};
template <>
struct Out<Any> {
  void* data = nullptr;
  size_t length = 0;
  Element element = Element::other;
};

/// An Out that may be the very same memory as an In<Any> of the same element type, from the same start.
template <class T>
struct InPlace : Out<T> {};

/// Many<In> or Many<Out>: a list of arrays of any kind; the operation checks which.
template <template <class> class A>
struct Many {
  std::vector<A<Any>> items;
};

/// An array that may be undefined: then data is null.
template <class A>
struct Maybe : A {};

enum class Algorithm : uint8_t { automatic, twoPass, online, blocked, recompute, reload };
enum class EmptyRow : uint8_t { zero, nan };
enum class Reduction : uint8_t { none, sum, mean };
enum class CacheLayout : uint8_t { nhd, hnd, paged };
enum class GemmPath : uint8_t { gemv, flat, blocked };
enum class LinearAlgorithm : uint8_t { automatic, quadratic, chunk, recurrent };
enum class Stores : uint8_t { automatic, ordinary, streaming };

/// The strings that stand for an enumeration in JavaScript, in its order.
template <class E>
struct Names;
template <>
struct Names<Dtype> {
  static constexpr const char* list[] = {"f32", "f64", "bf16", "f16"};
};
template <>
struct Names<Isa> {
  static constexpr const char* list[] = {"scalar", "avx2", "avx512"};
};
template <>
struct Names<Algorithm> {
  static constexpr const char* list[] = {
      "auto", "two-pass", "online", "blocked", "three-pass-recompute", "three-pass-reload"};
};
template <>
struct Names<EmptyRow> {
  static constexpr const char* list[] = {"zero", "nan"};
};
template <>
struct Names<Stores> {
  static constexpr const char* list[] = {"auto", "ordinary", "streaming"};
};
template <>
struct Names<Reduction> {
  static constexpr const char* list[] = {"none", "sum", "mean"};
};

template <>
struct Names<WeightType> {
  static constexpr const char* list[] = {"f32", "bf16", "f16", "int8"};
};
template <>
struct Names<SoftmaxForm> {
  static constexpr const char* list[] = {"online", "unified", "pair"};
};
template <>
struct Names<CacheLayout> {
  static constexpr const char* list[] = {"NHD", "HND", "paged"};
};
template <>
struct Names<Activation> {
  static constexpr const char* list[] = {"none", "silu", "gelu", "gelu-tanh", "relu"};
};
template <>
struct Names<RecurrenceForm> {
  static constexpr const char* list[] = {"diagonal", "scalar", "gated"};
};
template <>
struct Names<TensorMap> {
  static constexpr const char* list[] = {"exp",      "log",  "sqrt",     "square", "abs",     "sign",
                                         "relu",     "gelu", "geluTanh", "silu",   "sigmoid", "tanh",
                                         "softplus", "elu",  "pow",      "clamp",  "affine"};
};
template <>
struct Names<TensorBinary> {
  static constexpr const char* list[] = {"add", "sub", "mul", "div", "maximum", "minimum", "keep", "drop", "notLess"};
};
template <>
struct Names<GemmPath> {
  static constexpr const char* list[] = {"gemv", "flat", "blocked"};
};
template <>
struct Names<LinearKind> {
  static constexpr const char* list[] = {"identity", "relu", "elu", "taylor", "exponential"};
};
template <>
struct Names<LinearAlgorithm> {
  static constexpr const char* list[] = {"auto", "quadratic", "chunk", "recurrent"};
};
template <>
struct Names<Discretization> {
  static constexpr const char* list[] = {"euler", "zoh", "bilinear"};
};
template <>
struct Names<ScanLayout> {
  static constexpr const char* list[] = {"channels-first", "time-first"};
};
template <>
struct Names<Metric> {
  static constexpr const char* list[] = {"squared", "euclidean", "dtw",  "ddtw", "wdtw", "wddtw", "adtw",   "shapeDtw",
                                         "erp",     "edr",       "lcss", "twe",  "msm",  "sbd",   "softMsm"};
};
template <>
struct Names<BandKind> {
  static constexpr const char* list[] = {"none", "window", "windowAbs", "itakuraMaxSlope"};
};

/// What an operation throws: becomes a TypeError or RangeError with a code in JavaScript. `argument` is quoted by the
/// binding in front of the message: "temperature" must be ..., received ...
struct Error {
  bool isType;
  std::string message;
};
inline Error rangeError(const char* argument, const std::string& expected, const std::string& received) {
  return {false, std::string("\"") + argument + "\" must be " + expected + ", received " + received};
}
inline Error typeError(const char* argument, const std::string& expected, const std::string& received) {
  return {true, std::string("\"") + argument + "\" must be " + expected + ", received " + received};
}

const char* nameOf(Element element);

/// Throws unless an array of this element type can hold `dtype`.
void requireStorage(const char* argument, Element element, Dtype dtype);
/// Throws unless an array of this element type can hold weights of the type.
void requireWeights(const char* argument, Element element, WeightType type);
/// Throws unless `length` elements hold `rows` rows of `cols` elements whose starts are `stride` apart.
void requireMatrix(const char* argument, size_t length, size_t rows, size_t cols, size_t stride);
/// Throws unless 1e-30 <= temperature <= 1e30.
void requireTemperature(double temperature);

namespace ops {
#define OP(name, ret, args) ret name args;
#include "catalogue.def"
}  // namespace ops

}  // namespace softlane
