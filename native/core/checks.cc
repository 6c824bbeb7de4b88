#include "../ops.h"

#include <cstdio>

namespace softlane {

const char* nameOf(Element element) {
  switch (element) {
    case Element::float32: return "Float32Array";
    case Element::float64: return "Float64Array";
    case Element::int32: return "Int32Array";
    case Element::uint16: return "Uint16Array";
    case Element::int8: return "Int8Array";
    case Element::uint8: return "Uint8Array";
    default: return "another typed array";
  }
}

void requireStorage(const char* argument, Element element, Dtype dtype) {
  const Element wanted = dtype == Dtype::f32   ? Element::float32
                         : dtype == Dtype::f64 ? Element::float64
                                               : Element::uint16;
  if (element != wanted)
    throw typeError(argument, std::string("a ") + nameOf(wanted) + " for dtype " + Names<Dtype>::list[int(dtype)],
                    nameOf(element));
}

void requireWeights(const char* argument, Element element, WeightType type) {
  const Element wanted = type == WeightType::f32    ? Element::float32
                         : type == WeightType::int8 ? Element::int8
                                                    : Element::uint16;
  if (element != wanted)
    throw typeError(argument,
                    std::string("a ") + nameOf(wanted) + " for weights of type " + Names<WeightType>::list[int(type)],
                    nameOf(element));
}

void requireMatrix(const char* argument, size_t length, size_t rows, size_t cols, size_t stride) {
  if (stride < cols)
    throw rangeError(argument, "a matrix whose row stride is at least its " + std::to_string(cols) + " columns",
                     "a stride of " + std::to_string(stride));
  if (rows == 0 || cols == 0) return;
  // (rows - 1) * stride + cols <= length, without overflow
  if (cols > length || (rows > 1 && (length - cols) / (rows - 1) < stride))
    throw rangeError(argument,
                     "long enough for " + std::to_string(rows) + " rows of " + std::to_string(cols) + " elements, " +
                         std::to_string(stride) + " apart",
                     std::to_string(length) + " elements");
}

void requireTemperature(double temperature) {
  if (temperature >= 1e-30 && temperature <= 1e30) return;
  char text[32];
  std::snprintf(text, sizeof text, "%g", temperature);
  throw rangeError("temperature", "a number in [1e-30, 1e30]", text);
}

}  // namespace softlane
