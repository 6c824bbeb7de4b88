// The addon: every operation of the catalogue in both forms, and what the process as a whole offers. The instruction
// set is chosen here, inside module initialisation, so that a bad SOFTLANE_ISA becomes a JavaScript error.
#include <napi.h>

#include "../native/core/pages.h"
#include "../native/cpu.h"
#include "call.h"

namespace softlane {
namespace {

Napi::Array namesOf(Napi::Env env, const std::vector<Isa>& isas) {
  auto list = Napi::Array::New(env, isas.size());
  for (size_t i = 0; i < isas.size(); i++) list.Set(uint32_t(i), kIsaNames[int(isas[i])]);
  return list;
}

[[noreturn]] void throwRange(Napi::Env env, const std::string& message) {
  auto error = Napi::RangeError::New(env, message);
  error.Set("code", "ERR_OUT_OF_RANGE");
  throw error;
}

void setIsa(const Napi::CallbackInfo& info) {
  const std::string name = info[0].ToString();
  Isa isa;
  if (!cpu::find(name, isa)) throwRange(info.Env(), "\"isa\" must be " + cpu::choices() + ", received '" + name + "'");
  selectIsa(isa);
}

Napi::Value machine(const Napi::CallbackInfo& info) {
  auto result = Napi::Object::New(info.Env()), caches = Napi::Object::New(info.Env());
  const cpu::Caches bytes = cpu::caches();
  caches.Set("l1d", double(bytes.l1d));
  caches.Set("l2", double(bytes.l2));
  caches.Set("l3", double(bytes.l3));
  result.Set("cpu", cpu::name());
  result.Set("caches", caches);
  result.Set("cores", double(cpu::physicalCores()));
  result.Set("usableCores", double(cpu::usableCores("/")));
  return result;
}

Napi::Value memory(const Napi::CallbackInfo& info) {
  auto result = Napi::Object::New(info.Env());
  result.Set("scratchBytes", double(Scratch::bytesNow()));
  result.Set("scratchPeakBytes", double(Scratch::bytesPeak()));
  result.Set("pendingCalls", double(Environment::of(info.Env())->pending()));
  return result;
}

/// adviseLargePages(buffer): the offset in a fresh ArrayBuffer from which on it lies on large pages (pages.h).
Napi::Value adviseLargePages(const Napi::CallbackInfo& info) {
  if (!info[0].IsArrayBuffer()) throwRange(info.Env(), "\"buffer\" must be an ArrayBuffer");
  Napi::ArrayBuffer buffer = info[0].As<Napi::ArrayBuffer>();
  return Napi::Number::New(info.Env(), double(pages::advise(buffer.Data(), buffer.ByteLength())));
}

/// setTuning(name of the table, isa index, dtype index, bytes): see Tuning.
void setTuning(const Napi::CallbackInfo& info) {
  const bool stream = info[0].ToString().Utf8Value() == "streamFrom";
  const uint32_t isa = info[1].As<Napi::Number>(), dtype = info[2].As<Napi::Number>();
  const double bytes = info[3].As<Napi::Number>();
  if (isa >= 3 || dtype >= 4) return;
  auto& table = stream ? tuning().streamFrom : tuning().twoPassFrom;
  table[isa][dtype] = bytes >= 0 && bytes < 9e15 ? size_t(bytes) : ~size_t(0);
}

template <auto op>
void add(Napi::Env env, Napi::Object exports, const char* name, const char* arguments) {
  static Signature signature(name, arguments);
  napi_value function;
  napi_create_function(env, name, NAPI_AUTO_LENGTH, Call<op>::blocking, &signature, &function);
  exports.Set(name, Napi::Value(env, function));
  const std::string promised = std::string(name) + "Async";
  napi_create_function(env, promised.c_str(), promised.size(), Call<op>::promise, &signature, &function);
  exports.Set(promised, Napi::Value(env, function));
}

Napi::Object init(Napi::Env env, Napi::Object exports) {
  for (const std::string& complaint : {pool::complaint(), chooseIsa()})
    if (!complaint.empty()) throwRange(env, complaint);
  Environment::create(env);
#define OP(name, ret, args) add<&ops::name>(env, exports, #name, #args);
#include "../native/catalogue.def"
  const auto function = [&](const char* name, auto call) { exports.Set(name, Napi::Function::New(env, call, name)); };
  exports.Set("isas", namesOf(env, cpu::available()));
  function("isa", [](const Napi::CallbackInfo& info) -> Napi::Value {
    return Napi::String::New(info.Env(), kIsaNames[int(currentIsa())]);
  });
  function("setIsa", setIsa);
  function("threads", [](const Napi::CallbackInfo& info) -> Napi::Value {
    return Napi::Number::New(info.Env(), double(pool::threads()));
  });
  function("setThreads", [](const Napi::CallbackInfo& info) {
    try {
      pool::setThreads(info[0].As<Napi::Number>().Uint32Value());
    } catch (const std::exception& e) {
      throw Napi::Error::New(info.Env(), std::string("softlane could not start a thread: ") + e.what());
    }
  });
  function("machine", machine);
  function("memory", memory);
  function("adviseLargePages", adviseLargePages);
  function("setTuning", setTuning);
  return exports;
}

}  // namespace
}  // namespace softlane

static Napi::Object Init(Napi::Env env, Napi::Object exports) { return softlane::init(env, exports); }
NODE_API_MODULE(softlane, Init)
