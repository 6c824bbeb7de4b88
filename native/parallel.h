// How one call runs: its threads, its cancellation, its progress. Operations cut their work into pieces here, and only
// here, so that every one of them stops within a piece and gives the same bits for any number of threads.
#pragma once
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <utility>

namespace softlane {

/// Shared between a call and whoever may stop it or watch it.
struct Control {
  std::atomic<bool> closing{false};    ///< the environment is being torn down
  const int32_t* abortFlag = nullptr;  ///< set to non-zero by JavaScript's AbortSignal listener
  std::atomic<uint64_t> done{0}, total{0};
  void (*notify)(void* job) = nullptr;  ///< called from any thread when `done` has moved
  void* job = nullptr;

  bool stopped() const {
    return closing.load(std::memory_order_relaxed) || (abortFlag && __atomic_load_n(abortFlag, __ATOMIC_RELAXED));
  }
  void advance(uint64_t units) {
    done.fetch_add(units, std::memory_order_relaxed);
    if (notify) notify(job);
  }
};

class Run {
 public:
  explicit Run(Control* control = nullptr) : control_(control) {}

  bool stopped() const { return control_ && control_->stopped(); }
  size_t threads() const { return threads_; }
  void useThreads(size_t threads) { threads_ = threads; }
  /// The same call seen from inside one of its threads: no further threads.
  Run alone() const {
    Run run(control_);
    return run;
  }
  /// States how many units of work the whole call has, before it starts.
  void expect(uint64_t units) {
    if (control_) control_->total.store(units, std::memory_order_relaxed);
  }
  void advance(uint64_t units) {
    if (control_ && control_->notify) control_->advance(units);
  }

  /// body(begin, end) over [0, count) in pieces of `grain`, on up to threads() threads; stops between pieces when the
  /// call is stopped, and then returns false.
  template <class Body>
  bool each(size_t count, size_t grain, Body&& body) {
    if (count == 0) return !stopped();
    if (!control_ && (threads_ <= 1 || count <= grain)) {  // nobody to listen to: one piece
      body(size_t(0), count);
      return true;
    }
    auto piece = [](void* context, size_t begin, size_t end) { (*static_cast<Body*>(context))(begin, end); };
    return pieces(count, grain, piece, const_cast<void*>(static_cast<const void*>(&body)));
  }

 private:
  bool pieces(size_t count, size_t grain, void (*piece)(void*, size_t, size_t), void* context);
  Control* control_;
  size_t threads_ = 1;
};

/// softlane's own threads: promises run on them, and calls with `threads` > 1 borrow them.
namespace pool {
size_t threads();
void setThreads(size_t count);
/// The largest size, and what is wrong with SOFTLANE_THREADS, if anything.
constexpr size_t kMost = 1024;
std::string complaint();
/// The default size: SOFTLANE_THREADS, else physical cores the process may use, no more than the container's CPU quota.
size_t defaultThreads();
/// Queues a task; throws std::system_error if no thread can be had, and then the task is not queued.
void submit(std::function<void()> task, const void* owner = nullptr);
/// Drops the tasks of an owner that have not started; returns how many.
size_t forget(const void* owner);
}  // namespace pool

/// Scratch memory of a call, counted for memory().
class Scratch {
 public:
  explicit Scratch(size_t bytes);
  ~Scratch();
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  template <class T>
  T* as() const {
    return static_cast<T*>(data_);
  }
  static size_t bytesNow();
  static size_t bytesPeak();

 private:
  void* data_;
  size_t bytes_;
};

}  // namespace softlane
