#include <cstring>

#include "call.h"

namespace softlane {
namespace {

const char* const kTypedArrays[] = {"Int8Array",    "Uint8Array",    "Uint8ClampedArray", "Int16Array",
                                    "Uint16Array",  "Int32Array",    "Uint32Array",       "Float32Array",
                                    "Float64Array", "BigInt64Array", "BigUint64Array"};

Element elementFrom(napi_typedarray_type type) {
  switch (type) {
    case napi_float32_array: return Element::float32;
    case napi_float64_array: return Element::float64;
    case napi_int32_array: return Element::int32;
    case napi_uint16_array: return Element::uint16;
    case napi_int8_array: return Element::int8;
    case napi_uint8_array: return Element::uint8;
    default: return Element::other;
  }
}

/// Bytes of an element; of an unknown kind at least as many as it has.
size_t sizeOf(Element element) {
  switch (element) {
    case Element::int8:
    case Element::uint8: return 1;
    case Element::uint16: return 2;
    case Element::float32:
    case Element::int32: return 4;
    default: return 8;
  }
}

constexpr double kMaxSafeInteger = 9007199254740991.0;

/// What an empty array points at: null stands for an array that was not given.
char nothing;

}  // namespace

std::string Reader::describe(napi_value value) const {
  napi_valuetype type;
  napi_typeof(env_, value, &type);
  bool isTyped = false;
  char text[64];
  switch (type) {
    case napi_undefined: return "undefined";
    case napi_null: return "null";
    case napi_boolean: {
      bool b;
      napi_get_value_bool(env_, value, &b);
      return b ? "true" : "false";
    }
    case napi_number: {
      double number;
      napi_get_value_double(env_, value, &number);
      std::snprintf(text, sizeof text, "%.17g", number);
      return text;
    }
    case napi_string: {
      size_t length;
      napi_get_value_string_utf8(env_, value, text, sizeof text, &length);
      return "'" + std::string(text) + "'";
    }
    case napi_object: {
      napi_is_typedarray(env_, value, &isTyped);
      if (!isTyped) return "an object that is not a typed array";
      napi_typedarray_type kind;
      napi_get_typedarray_info(env_, value, &kind, nullptr, nullptr, nullptr, nullptr);
      return size_t(kind) < sizeof kTypedArrays / sizeof *kTypedArrays ? kTypedArrays[kind] : "another typed array";
    }
    case napi_function: return "a function";
    default: return "another type";
  }
}

void Reader::read(napi_value value, const char* name, double& out) {
  if (napi_get_value_double(env_, value, &out) != napi_ok) throw typeError(name, "a number", describe(value));
}

void Reader::read(napi_value value, const char* name, size_t& out) {
  double number;
  read(value, name, number);
  if (!(number >= 0 && number <= kMaxSafeInteger) || number != double(size_t(number)))
    throw rangeError(name, "a non-negative integer", describe(value));
  out = size_t(number);
}

void Reader::read(napi_value value, const char* name, int32_t& out) {
  double number;
  read(value, name, number);
  if (!(number >= -2147483648.0 && number <= 2147483647.0) || number != double(int32_t(number)))
    throw rangeError(name, "a 32-bit integer", describe(value));
  out = int32_t(number);
}

void Reader::read(napi_value value, const char* name, bool& out) {
  if (napi_get_value_bool(env_, value, &out) != napi_ok) throw typeError(name, "a boolean", describe(value));
}

size_t Reader::indexOf(napi_value value, const char* name, const char* const* list, size_t count) {
  char text[32];
  size_t length = 0;
  std::string all;
  if (napi_get_value_string_latin1(env_, value, text, sizeof text, &length) == napi_ok) {
    for (size_t i = 0; i < count; i++)
      if (std::strlen(list[i]) == length && std::memcmp(list[i], text, length) == 0) return i;
  }
  for (size_t i = 0; i < count; i++) all += (i ? ", '" : "'") + std::string(list[i]) + "'";
  throw rangeError(name, "one of " + all, describe(value));
}

Reader::View Reader::array(napi_value value, const char* name, bool written, bool inPlace, bool principal) {
  View view;
  napi_typedarray_type type;
  napi_value buffer;
  if (napi_get_typedarray_info(env_, value, &type, &view.length, &view.data, &buffer, nullptr) != napi_ok)
    throw typeError(name, "a typed array", describe(value));
  view.element = elementFrom(type);
  bool detached = false;
  if (view.length == 0 && napi_is_detached_arraybuffer(env_, buffer, &detached) == napi_ok && detached)
    throw rangeError(name, "an array whose memory is attached", "a detached one");
  if (promise_) {
    // A reference keeps the memory from collection, not from shrinking. (The blocking form cannot be interleaved.)
    napi_value resizable;
    bool flag = false;
    napi_get_named_property(env_, buffer, "resizable", &resizable);
    if (napi_get_value_bool(env_, resizable, &flag) == napi_ok && flag)
      throw rangeError(name, "an array on memory of fixed length", "one on a resizable ArrayBuffer");
    kept_.push_back(value);
  }
  if (view.length == 0) view.data = &nothing;
  const char* begin = static_cast<const char*>(view.data);
  remember({begin, begin + view.length * sizeOf(view.element), view.element, written, inPlace, principal, name});
  return view;
}

uint32_t Reader::lengthOfList(napi_value value, const char* name) {
  bool isArray = false;
  uint32_t length = 0;
  napi_is_array(env_, value, &isArray);
  if (!isArray || napi_get_array_length(env_, value, &length) != napi_ok)
    throw typeError(name, "an array of typed arrays", describe(value));
  return length;
}

void Reader::checkOverlap() const {
  for (size_t i = 0; i < count_; i++) {
    const Span& out = spans()[i];
    if (!out.written || out.begin == out.end) continue;
    for (size_t j = 0; j < count_; j++) {
      const Span& other = spans()[j];
      if (j == i || other.begin >= out.end || out.begin >= other.end) continue;
      const bool same = other.begin == out.begin && other.element == out.element;
      if (out.inPlace && other.principal && same) continue;
      throw rangeError(
          out.argument,
          std::string("memory apart from \"") + other.argument + "\"" + (out.inPlace ? ", or exactly its own" : ""),
          "an overlapping array");
    }
  }
}

napi_value Reader::arrays() const {
  napi_value list;
  napi_create_array_with_length(env_, kept_.size(), &list);
  for (size_t i = 0; i < kept_.size(); i++) napi_set_element(env_, list, uint32_t(i), kept_[i]);
  return list;
}

}  // namespace softlane
