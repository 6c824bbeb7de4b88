// From an operation's C++ signature, R op(Run&, A...): the blocking form and the promise form.
//
//   name(args...)                                     runs on the calling thread
//   nameAsync(args..., control | undefined, onProgress | undefined) -> Promise
//                                                     runs on the pool; control[0] != 0 (an Int32Array) stops it
//
// In both, every argument is checked before the operation starts: kind and element type, detached buffers, overlap of
// what is written with anything else. The operation checks lengths and ranges before its first store.
#pragma once
#include <node_api.h>

#include <cstdio>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "environment.h"

namespace softlane {

/// A line of the catalogue as the binding needs it: the names of the arguments after `Run& run`.
struct Signature {
  const char* name;
  std::vector<std::string> arguments;

  Signature(const char* opName, const char* text) : name(opName) {
    std::string word;  // "(Run& run, In<Any> x, size_t rows)": the last word before each comma
    for (const char* c = text + 1; *c; c++) {
      if (*c == ',' || *c == ')') {
        arguments.push_back(word);
        word.clear();
      } else if (*c == ' ') {
        word.clear();
      } else {
        word += *c;
      }
    }
    arguments.erase(arguments.begin());
  }
};

/// The memory of one array argument, for the overlap check.
struct Span {
  const char *begin, *end;
  Element element;
  bool written, inPlace;
  bool principal;  ///< an In<Any>: the operand whose place an InPlace may take
  const char* argument;
};

/// Reads the arguments of one call.
class Reader {
 public:
  Reader(napi_env env, const napi_value* values, const Signature& signature, bool promise)
      : env_(env), values_(values), signature_(signature), promise_(promise) {}

  template <class T>
  T next() {
    const char* name = signature_.arguments[index_].c_str();
    napi_value value = values_[index_++];
    T result{};
    read(value, name, result);
    return result;
  }

  /// Throws if an array that is written shares memory with another.
  void checkOverlap() const;
  /// The arrays, for a promise to hold on to.
  napi_value arrays() const;

 private:
  struct View {
    void* data = nullptr;
    size_t length = 0;
    Element element = Element::other;
  };

  void read(napi_value value, const char* name, double& out);
  void read(napi_value value, const char* name, size_t& out);
  void read(napi_value value, const char* name, int32_t& out);
  void read(napi_value value, const char* name, bool& out);
  template <class E>
  std::enable_if_t<std::is_enum_v<E>> read(napi_value value, const char* name, E& out) {
    constexpr size_t count = sizeof(Names<E>::list) / sizeof(Names<E>::list[0]);
    out = E(indexOf(value, name, Names<E>::list, count));
  }
  template <class T>
  void read(napi_value value, const char* name, In<T>& out) {
    take(value, name, out, false, false);
  }
  template <class T>
  void read(napi_value value, const char* name, Out<T>& out) {
    take(value, name, out, true, false);
  }
  template <class T>
  void read(napi_value value, const char* name, InPlace<T>& out) {
    take(value, name, static_cast<Out<T>&>(out), true, true);
  }
  template <template <class> class A>
  void read(napi_value value, const char* name, Many<A>& out) {
    const uint32_t length = lengthOfList(value, name);
    out.items.resize(length);
    for (uint32_t i = 0; i < length; i++) {
      napi_value item;
      napi_get_element(env_, value, i, &item);
      read(item, name, out.items[i]);
    }
  }
  template <class A>
  void read(napi_value value, const char* name, Maybe<A>& out) {
    napi_valuetype type;
    napi_typeof(env_, value, &type);
    if (type != napi_undefined && type != napi_null) read(value, name, static_cast<A&>(out));
  }

  template <class T>
  static constexpr Element elementOf() {
    if constexpr (std::is_same_v<T, float>) return Element::float32;
    else if constexpr (std::is_same_v<T, double>) return Element::float64;
    else if constexpr (std::is_same_v<T, int32_t>) return Element::int32;
    else if constexpr (std::is_same_v<T, uint8_t>) return Element::uint8;
    else return Element::other;
  }
  template <template <class> class A, class T>
  void take(napi_value value, const char* name, A<T>& out, bool written, bool inPlace) {
    View view = array(value, name, written, inPlace, !written && std::is_same_v<T, Any>);
    if constexpr (std::is_same_v<T, Any>) {
      out.element = view.element;
    } else if (view.element != elementOf<T>()) {
      throw typeError(name, std::string("a ") + nameOf(elementOf<T>()), describe(value));
    }
    out.data = static_cast<decltype(out.data)>(view.data);
    out.length = view.length;
  }

  View array(napi_value value, const char* name, bool written, bool inPlace, bool principal);
  /// Throws unless the value is a JavaScript array.
  uint32_t lengthOfList(napi_value value, const char* name);
  size_t indexOf(napi_value value, const char* name, const char* const* list, size_t count);
  std::string describe(napi_value value) const;

  napi_env env_;
  const napi_value* values_;
  const Signature& signature_;
  bool promise_;
  size_t index_ = 0;
  /// The spans of a call: most have a handful of arrays, a model's forward pass hundreds.
  static constexpr size_t kFewArrays = 12;
  Span few_[kFewArrays];
  size_t count_ = 0;
  std::vector<Span> many_;
  const Span* spans() const { return many_.empty() ? few_ : many_.data(); }
  void remember(const Span& span) {
    if (count_ == kFewArrays && many_.empty()) many_.assign(few_, few_ + kFewArrays);
    if (many_.empty()) few_[count_] = span;
    else many_.push_back(span);
    count_++;
  }
  std::vector<napi_value> kept_;
};

inline napi_value toValue(napi_env env, double number) {
  napi_value value;
  napi_create_double(env, number, &value);
  return value;
}

/// Refuses the call with the error that the current exception stands for.
inline napi_value throwCurrent(napi_env env) {
  napi_throw(env, errorFrom(env, std::current_exception()));
  return nullptr;
}

template <auto op>
struct Call;

template <class R, class... A, R (*op)(Run&, A...)>
struct Call<op> {
  static constexpr size_t kCount = sizeof...(A);
  using Arguments = std::tuple<A...>;
  static_assert(kCount <= 36, "an operation this wide wants a struct");

  struct Promised : Job {
    Arguments values;
    double number = 0;
    void execute(Run& run) override {
      std::apply(
          [&](auto&... each) {
            if constexpr (std::is_void_v<R>) op(run, each...);
            else number = op(run, each...);
          },
          values);
    }
    napi_value result(napi_env env) override {
      if constexpr (!std::is_void_v<R>) return toValue(env, number);
      napi_value undefined;
      napi_get_undefined(env, &undefined);
      return undefined;
    }
  };

  static Arguments readAll(Reader& reader) {
    Arguments arguments{reader.next<A>()...};  // braces: evaluated left to right
    reader.checkOverlap();
    return arguments;
  }

  static napi_value blocking(napi_env env, napi_callback_info info) {
    napi_value values[kCount + 1];
    size_t count = kCount;
    void* data;
    napi_get_cb_info(env, info, &count, values, nullptr, &data);
    try {
      Reader reader(env, values, *static_cast<Signature*>(data), false);
      Arguments arguments = readAll(reader);
      Run run;
      const IsaScope scope(currentIsa());
      return std::apply(
          [&](auto&... each) -> napi_value {
            if constexpr (!std::is_void_v<R>) return toValue(env, op(run, each...));
            op(run, each...);
            return nullptr;
          },
          arguments);
    } catch (...) {
      return throwCurrent(env);
    }
  }

  static napi_value promise(napi_env env, napi_callback_info info) {
    napi_value values[kCount + 2];
    size_t count = kCount + 2;
    void* data;
    napi_get_cb_info(env, info, &count, values, nullptr, &data);
    try {
      Reader reader(env, values, *static_cast<Signature*>(data), true);
      auto job = std::make_unique<Promised>();
      job->values = readAll(reader);
      napi_value kept = reader.arrays(), control = values[kCount], progress = values[kCount + 1], promised;
      bool isArray = false;
      napi_is_typedarray(env, control, &isArray);
      if (isArray) {
        void* flag;
        napi_get_typedarray_info(env, control, nullptr, nullptr, &flag, nullptr, nullptr);
        job->control.abortFlag = static_cast<int32_t*>(flag);
        uint32_t length;
        napi_get_array_length(env, kept, &length);
        napi_set_element(env, kept, length, control);
      }
      napi_valuetype type;
      napi_typeof(env, progress, &type);
      if (type == napi_function) napi_create_reference(env, progress, 1, &job->progress);
      napi_create_reference(env, kept, 1, &job->arguments);
      napi_create_promise(env, &job->deferred, &promised);
      try {
        Environment::of(env)->start(env, job.get());
        job.release();
      } catch (...) {
        for (napi_ref ref : {job->arguments, job->progress})
          if (ref) napi_delete_reference(env, ref);
        napi_reject_deferred(env, job->deferred, errorFrom(env, std::current_exception()));
      }
      return promised;
    } catch (...) {
      return throwCurrent(env);
    }
  }
};

}  // namespace softlane
