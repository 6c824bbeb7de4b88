#include "environment.h"

#include <chrono>
#include <new>
#include <system_error>

namespace softlane {
namespace {

/// What travels to the JavaScript thread: either progress of a job, or its end. The queue is first in, first out.
struct Message {
  Job* job;
  bool ended;
};

int64_t milliseconds() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
}
constexpr int64_t kReportEvery = 50;

}  // namespace

napi_value errorFrom(napi_env env, std::exception_ptr failure) {
  napi_value error = nullptr, code, text;
  const auto make = [&](auto create, const char* name, const std::string& message) {
    napi_create_string_utf8(env, name, NAPI_AUTO_LENGTH, &code);
    napi_create_string_utf8(env, message.c_str(), message.size(), &text);
    create(env, code, text, &error);
  };
  try {
    std::rethrow_exception(failure);
  } catch (const Error& e) {
    if (e.isType) make(napi_create_type_error, "ERR_INVALID_ARG_TYPE", e.message);
    else make(napi_create_range_error, "ERR_OUT_OF_RANGE", e.message);
  } catch (const std::bad_alloc&) {
    make(napi_create_error, "ERR_OUT_OF_MEMORY", "softlane could not allocate its scratch memory");
  } catch (const std::system_error& e) {
    make(napi_create_error, "ERR_NO_THREAD", std::string("softlane could not start a thread: ") + e.what());
  } catch (const std::exception& e) {
    make(napi_create_error, "ERR_INTERNAL", e.what());
  }
  return error;
}

Environment* Environment::of(napi_env env) {
  void* data = nullptr;
  napi_get_instance_data(env, &data);
  return static_cast<Environment*>(data);
}

void Environment::create(napi_env env) {
  auto* self = new Environment(env);
  napi_set_instance_data(
      env, self, [](napi_env, void* data, void*) { delete static_cast<Environment*>(data); }, nullptr);
  napi_value name;
  napi_create_string_utf8(env, "softlane", NAPI_AUTO_LENGTH, &name);
  napi_create_threadsafe_function(env, nullptr, nullptr, name, 0, 1, nullptr, nullptr, self, deliver, &self->back_);
  napi_unref_threadsafe_function(env, self->back_);
  // Hooks run in the reverse order of their addition: ours before the thread-safe function closes.
  napi_add_env_cleanup_hook(env, tearDown, self);
}

void Environment::start(napi_env env, Job* job) {
  job->environment = this;
  job->control.job = job;
  if (job->progress) job->control.notify = notify;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    running_++;
  }
  try {
    jobs_.insert(job);
    pool::submit(
        [this, job] {
          try {
            Run run(&job->control);
            const IsaScope scope(job->isa);
            if (!run.stopped()) job->execute(run);
          } catch (...) {
            job->failure = std::current_exception();
          }
          napi_call_threadsafe_function(back_, new Message{job, true}, napi_tsfn_nonblocking);
          std::lock_guard<std::mutex> lock(mutex_);
          if (--running_ == 0) idle_.notify_all();
        },
        this);
  } catch (...) {
    std::lock_guard<std::mutex> lock(mutex_);
    running_--;
    jobs_.erase(job);
    throw;
  }
  if (jobs_.size() == 1) napi_ref_threadsafe_function(env, back_);
}

/// Any thread: at most one report every kReportEvery milliseconds.
void Environment::notify(void* data) {
  Job* job = static_cast<Job*>(data);
  int64_t now = milliseconds(), next = job->nextReport.load(std::memory_order_relaxed);
  if (now < next || !job->nextReport.compare_exchange_strong(next, now + kReportEvery)) return;
  napi_call_threadsafe_function(job->environment->back_, new Message{job, false}, napi_tsfn_nonblocking);
}

void Environment::deliver(napi_env env, napi_value, void* context, void* data) {
  std::unique_ptr<Message> message(static_cast<Message*>(data));
  if (!env) return;  // the environment is gone; tearDown has freed the jobs
  auto* self = static_cast<Environment*>(context);
  Job* job = message->job;
  if (message->ended) return self->finish(env, job);
  napi_value callback, receiver, fraction;
  napi_get_reference_value(env, job->progress, &callback);
  napi_get_undefined(env, &receiver);
  const double total = double(job->control.total.load()), done = double(job->control.done.load());
  napi_create_double(env, total > 0 ? (done < total ? done / total : 1) : 0, &fraction);
  napi_call_function(env, receiver, callback, 1, &fraction, nullptr);  // lib/native.ts catches what onProgress throws
}

void Environment::finish(napi_env env, Job* job) {
  if (job->failure || job->control.stopped()) {
    napi_value error;
    if (job->failure) error = errorFrom(env, job->failure);
    else napi_get_undefined(env, &error);  // aborted: lib/native.ts rejects with the signal's reason
    napi_reject_deferred(env, job->deferred, error);
  } else {
    napi_resolve_deferred(env, job->deferred, job->result(env));
  }
  jobs_.erase(job);
  release(env, job);
  if (jobs_.empty()) napi_unref_threadsafe_function(env, back_);
}

void Environment::release(napi_env env, Job* job) {
  for (napi_ref ref : {job->arguments, job->progress})
    if (ref) napi_delete_reference(env, ref);
  delete job;
}

/// The environment ends (a worker is terminated, the process exits): its arrays will be freed, so every job must have
/// stopped touching them. Jobs stop within a block.
void Environment::tearDown(void* data) {
  auto* self = static_cast<Environment*>(data);
  for (Job* job : self->jobs_) job->control.closing.store(true);
  const size_t unstarted = pool::forget(self);  // do not wait behind the work of other environments
  std::unique_lock<std::mutex> lock(self->mutex_);
  self->running_ -= unstarted;
  while (self->running_ != 0) self->idle_.wait_for(lock, std::chrono::hours(1));
  lock.unlock();
  for (Job* job : self->jobs_) self->release(self->env_, job);
  self->jobs_.clear();
}

}  // namespace softlane
