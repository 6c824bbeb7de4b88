// State of one JavaScript environment (the main thread, or a worker): the jobs of its promises, and the one
// thread-safe function through which they come back. Nothing here is shared between environments.
#pragma once
#include <node_api.h>

#include <condition_variable>
#include <exception>
#include <memory>
#include <mutex>
#include <set>

#include "../native/cpu.h"
#include "../native/ops.h"

namespace softlane {

/// One promise under way. Call<&op> derives from it to hold the arguments.
class Job {
 public:
  virtual ~Job() = default;
  virtual void execute(Run& run) = 0;           ///< on a pool thread
  virtual napi_value result(napi_env env) = 0;  ///< on the JavaScript thread, after success

  napi_deferred deferred = nullptr;
  napi_ref arguments = nullptr;  ///< an array holding every typed array of the call: keeps them from collection
  napi_ref progress = nullptr;   ///< onProgress, or none
  Control control;
  std::exception_ptr failure;
  std::atomic<int64_t> nextReport{0};
  class Environment* environment = nullptr;
  Isa isa = currentIsa();  ///< of the moment of the call
};

class Environment {
 public:
  static Environment* of(napi_env env);
  static void create(napi_env env);

  /// Takes the job and runs it on the pool.
  /// Runs the job on the pool and owns it from then on. Throws if it cannot; the caller still owns it then.
  void start(napi_env env, Job* job);
  size_t pending() const { return jobs_.size(); }

 private:
  explicit Environment(napi_env env) : env_(env) {}
  void finish(napi_env env, Job* job);
  void release(napi_env env, Job* job);
  static void notify(void* job);
  static void deliver(napi_env env, napi_value, void* context, void* data);
  static void tearDown(void* self);

  napi_env env_;
  napi_threadsafe_function back_ = nullptr;
  std::set<Job*> jobs_;
  std::mutex mutex_;
  std::condition_variable idle_;
  size_t running_ = 0;  ///< jobs that the pool has not let go of
};

/// The JavaScript error that an operation's exception stands for.
napi_value errorFrom(napi_env env, std::exception_ptr failure);

}  // namespace softlane
