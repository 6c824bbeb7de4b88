// The thread pool. It is created on first use and never destroyed: its threads wait on a condition variable when the
// process ends, and the addon is linked so that it is never unloaded under them.
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <deque>
#include <exception>
#include <memory>
#include <mutex>
#include <new>
#include <thread>

#include "../cpu.h"
#include "../parallel.h"

namespace softlane {
namespace pool {
namespace {

/// Waits are timed, and repeated: an untimed std::condition_variable::wait needs the library of a newer compiler.
constexpr std::chrono::hours kLong{1};

struct Pool {
  std::mutex mutex;
  std::condition_variable wake;
  struct Task {
    std::function<void()> run;
    const void* owner;
  };
  std::deque<Task> tasks;
  size_t wanted = 0, running = 0;

  void work() {
    std::unique_lock<std::mutex> lock(mutex);
    for (;;) {
      if (running > wanted) {  // the pool was made smaller
        running--;
        return;
      }
      if (tasks.empty()) {
        wake.wait_for(lock, kLong);
        continue;
      }
      std::function<void()> task = std::move(tasks.front().run);
      tasks.pop_front();
      lock.unlock();
      task();
      task = nullptr;
      lock.lock();
    }
  }

  /// Called with the lock held.
  void start() {
    while (running < wanted) {
      running++;
      try {
        std::thread([this] { work(); }).detach();
      } catch (...) {  // no more threads to be had: those that run will do the work
        running--;
        if (running == 0) throw;
        return;
      }
    }
  }
};

Pool& instance() {
  static Pool* pool = new Pool();
  return *pool;
}

size_t wantedOf(Pool& p) { return p.wanted ? p.wanted : (p.wanted = defaultThreads()); }

}  // namespace

namespace {

/// SOFTLANE_THREADS as a number in [1, kMost], 0 where it is not set, kMost + 1 where it is something else.
size_t wish() {
  const char* text = std::getenv("SOFTLANE_THREADS");
  if (!text || !*text) return 0;
  char* end = nullptr;
  const unsigned long count = std::strtoul(text, &end, 10);
  return *text >= '1' && *text <= '9' && *end == 0 && count <= kMost ? count : kMost + 1;
}

}  // namespace

std::string complaint() {
  if (wish() <= kMost) return "";
  return "environment variable SOFTLANE_THREADS must be an integer in [1, " + std::to_string(kMost) + "], received '" +
         std::getenv("SOFTLANE_THREADS") + "'";
}

size_t defaultThreads() {
  const size_t count = wish();
  return count >= 1 && count <= kMost ? count : cpu::usableCores("/");
}

size_t threads() {
  Pool& p = instance();
  std::lock_guard<std::mutex> lock(p.mutex);
  return wantedOf(p);
}

void setThreads(size_t count) {
  Pool& p = instance();
  std::lock_guard<std::mutex> lock(p.mutex);
  p.wanted = count;
  p.wake.notify_all();
  if (!p.tasks.empty()) p.start();
}

void submit(std::function<void()> task, const void* owner) {
  Pool& p = instance();
  std::lock_guard<std::mutex> lock(p.mutex);
  wantedOf(p);
  p.tasks.push_back({std::move(task), owner});
  try {
    p.start();
  } catch (...) {
    p.tasks.pop_back();  // what the caller is about to free must not stay in the queue
    throw;
  }
  p.wake.notify_one();
}

size_t forget(const void* owner) {
  Pool& p = instance();
  std::lock_guard<std::mutex> lock(p.mutex);
  const size_t before = p.tasks.size();
  std::deque<Pool::Task> kept;
  for (Pool::Task& task : p.tasks)
    if (task.owner != owner) kept.push_back(std::move(task));
  p.tasks.swap(kept);
  return before - p.tasks.size();
}

}  // namespace pool

namespace {

/// One parallel loop. Helpers that come late find no pieces left and never touch the body, which may be gone by then.
struct Loop {
  std::atomic<size_t> next{0};
  std::atomic<size_t> inside{0};
  size_t count, grain;
  void (*piece)(void*, size_t, size_t);
  void* context;
  Control* control;
  Isa isa;
  std::mutex mutex;
  std::condition_variable left;
  std::exception_ptr failure;

  bool stopped() const { return control && control->stopped(); }
  void help() {
    const IsaScope scope(isa);
    inside.fetch_add(1);
    try {
      for (;;) {
        size_t begin = next.fetch_add(grain);
        if (begin >= count) break;
        if (stopped()) {
          next.store(count);
          break;
        }
        piece(context, begin, begin + grain < count ? begin + grain : count);
      }
    } catch (...) {  // rethrown to the caller once everybody has left
      next.store(count);
      std::lock_guard<std::mutex> lock(mutex);
      if (!failure) failure = std::current_exception();
    }
    std::lock_guard<std::mutex> lock(mutex);
    if (inside.fetch_sub(1) == 1) left.notify_all();
  }
};

}  // namespace

bool Run::pieces(size_t count, size_t grain, void (*piece)(void*, size_t, size_t), void* context) {
  if (grain == 0) grain = 1;
  size_t most = (count + grain - 1) / grain;
  size_t threads = threads_ < most ? threads_ : most, limit = threads > 1 ? pool::threads() : 1;
  if (threads > limit) threads = limit;
  if (threads <= 1) {
    for (size_t begin = 0; begin < count; begin += grain) {
      if (stopped()) return false;
      piece(context, begin, begin + grain < count ? begin + grain : count);
    }
    return !stopped();
  }
  auto loop = std::make_shared<Loop>();
  loop->count = count;
  loop->grain = grain;
  loop->piece = piece;
  loop->context = context;
  loop->control = control_;
  loop->isa = currentIsa();
  try {
    for (size_t t = 1; t < threads; t++) pool::submit([loop] { loop->help(); });
  } catch (...) {
    // No thread to be had: the caller does the work, with the helpers that there are.
  }
  loop->help();
  std::unique_lock<std::mutex> lock(loop->mutex);
  while (loop->inside.load() != 0) loop->left.wait_for(lock, pool::kLong);
  if (loop->failure) std::rethrow_exception(loop->failure);
  return !stopped();
}

namespace {
std::atomic<size_t> scratchNow{0}, scratchPeak{0};
}

Scratch::Scratch(size_t bytes) : bytes_((bytes + 63) / 64 * 64) {
  data_ = bytes_ ? std::aligned_alloc(64, bytes_) : nullptr;
  if (bytes_ && !data_) throw std::bad_alloc();
  size_t now = scratchNow.fetch_add(bytes_) + bytes_, peak = scratchPeak.load();
  while (peak < now && !scratchPeak.compare_exchange_weak(peak, now)) {}
}
Scratch::~Scratch() {
  std::free(data_);
  scratchNow.fetch_sub(bytes_);
}
size_t Scratch::bytesNow() { return scratchNow.load(); }
size_t Scratch::bytesPeak() { return scratchPeak.load(); }

}  // namespace softlane
