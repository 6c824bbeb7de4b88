// The thread pool: every piece of every loop exactly once, for any number of threads, while the pool changes its size,
// from several callers at once, and stopped half-way.
#include <atomic>
#include <thread>

#include "../../native/cpu.h"
#include "../../native/parallel.h"
#include "check.h"

namespace softlane::test {
namespace {

/// Runs one loop and returns whether each of its indices was visited exactly once, in pieces of at most `grain`.
bool visitsAll(size_t count, size_t grain, size_t threads) {
  std::vector<std::atomic<int>> visits(count);
  std::atomic<bool> pieceTooLong{false};
  Control control;
  Run run(&control);
  run.useThreads(threads);
  const bool finished = run.each(count, grain, [&](size_t begin, size_t end) {
    if (end - begin > grain) pieceTooLong = true;
    for (size_t i = begin; i < end; i++) visits[i]++;
  });
  for (auto& each : visits)
    if (each != 1) return false;
  return finished && !pieceTooLong;
}

}  // namespace

TEST(an_exception_in_a_piece_reaches_the_caller_after_everybody_has_left) {
  const size_t before = pool::threads();
  pool::setThreads(4);
  for (int round = 0; round < 200; round++) {
    std::atomic<int> inside{0};
    bool caught = false;
    try {
      Run run;
      run.useThreads(4);
      run.each(64, 1, [&](size_t begin, size_t) {
        inside++;
        std::this_thread::yield();
        inside--;
        if (begin == size_t(round % 64)) throw 7;
      });
    } catch (int number) {
      caught = number == 7;
    }
    CHECK(caught && inside == 0, "round %d: caught %d, %d still inside", round, caught, inside.load());
  }
  pool::setThreads(before);
}

TEST(a_call_keeps_the_instruction_set_it_began_with) {
  const Isa before = currentIsa();
  for (Isa isa : cpu::available()) {
    const IsaScope scope(isa);
    selectIsa(Isa::scalar);
    CHECK(currentIsa() == isa, "%s", kIsaNames[int(isa)]);
    Run run;
    run.useThreads(3);
    std::atomic<int> strange{0};
    run.each(100, 1, [&](size_t, size_t) { strange += currentIsa() != isa; });
    CHECK(strange == 0, "%d pieces in another instruction set than %s", strange.load(), kIsaNames[int(isa)]);
  }
  selectIsa(before);
}

TEST(loops_visit_every_index_once) {
  const size_t before = pool::threads();
  for (size_t size : {1, 2, 3, 8}) {
    pool::setThreads(size);
    CHECK(pool::threads() == size, "%zu, not %zu", pool::threads(), size);
    for (size_t threads : {1, 2, 3, 8, 100})
      for (size_t count : {0, 1, 2, 3, 7, 64, 1000, 4099})
        for (size_t grain : {1, 2, 3, 64, 5000})
          CHECK(visitsAll(count, grain, threads), "pool of %zu, %zu threads, %zu indices, pieces of %zu", size, threads,
                count, grain);
  }
  pool::setThreads(before);
}

TEST(the_pool_may_change_its_size_while_loops_run) {
  const size_t before = pool::threads();
  std::atomic<bool> done{false};
  std::thread changing([&] {
    for (size_t size = 1; !done; size = size % 7 + 1) {
      pool::setThreads(size);
      std::this_thread::yield();
    }
  });
  for (int round = 0; round < 2000; round++)
    if (!CHECK(visitsAll(round % 97, 1 + round % 3, 1 + round % 8), "round %d", round)) break;
  done = true;
  changing.join();
  pool::setThreads(before);
}

TEST(loops_of_several_callers_share_the_pool) {
  const size_t before = pool::threads();
  pool::setThreads(3);
  std::atomic<int> wrong{0};
  std::vector<std::thread> callers;
  for (int c = 0; c < 4; c++)
    callers.emplace_back([&wrong, c] {
      for (int round = 0; round < 300; round++) wrong += !visitsAll(50 + c, 1 + c, 4);
    });
  for (std::thread& caller : callers) caller.join();
  CHECK(wrong == 0, "%d loops went wrong", wrong.load());
  pool::setThreads(before);
}

TEST(a_loop_inside_a_task_of_the_pool_ends) {
  const size_t before = pool::threads();
  pool::setThreads(2);
  std::atomic<int> left{8}, wrong{0};
  for (int t = 0; t < 8; t++)
    pool::submit([&] {
      wrong += !visitsAll(100, 1, 4);
      left--;
    });
  while (left) std::this_thread::yield();
  CHECK(wrong == 0, "%d loops went wrong", wrong.load());
  pool::setThreads(before);
}

TEST(a_stopped_loop_starts_no_further_piece) {
  for (size_t threads : {1, 4}) {
    int32_t flag = 0;
    std::atomic<size_t> pieces{0};
    Control control;
    control.abortFlag = &flag;
    Run run(&control);
    run.useThreads(threads);
    const bool finished = run.each(100000, 1, [&](size_t, size_t) {
      if (++pieces == 10) __atomic_store_n(&flag, 1, __ATOMIC_RELAXED);
    });
    CHECK(!finished && run.stopped(), "%zu threads", threads);
    CHECK(pieces >= 10 && pieces < 10 + 64 * threads, "%zu threads: %zu pieces", threads, pieces.load());
    pieces = 0;
    CHECK(!run.each(10, 1, [&](size_t, size_t) { pieces++; }) && pieces == 0, "a stopped call starts nothing");
  }
}

TEST(progress_adds_up) {
  static std::atomic<int> notices;
  notices = 0;
  Control control;
  control.notify = [](void*) { notices++; };
  Run run(&control);
  run.useThreads(4);
  run.expect(5000);
  run.each(5000, 7, [&](size_t begin, size_t end) { run.advance(end - begin); });
  CHECK(control.done == 5000 && control.total == 5000, "%lu of %lu", (unsigned long)control.done,
        (unsigned long)control.total);
  CHECK(notices == (5000 + 6) / 7, "%d notices", notices.load());
}

TEST(scratch_is_counted) {
  const size_t before = Scratch::bytesNow();
  {
    Scratch scratch(1000);
    CHECK(Scratch::bytesNow() - before >= 1000 && Scratch::bytesPeak() >= Scratch::bytesNow(), "%zu",
          Scratch::bytesNow());
    CHECK(reinterpret_cast<uintptr_t>(scratch.as<void>()) % 64 == 0, "aligned to a cache line");
  }
  CHECK(Scratch::bytesNow() == before, "%zu bytes left", Scratch::bytesNow() - before);
}

}  // namespace softlane::test
