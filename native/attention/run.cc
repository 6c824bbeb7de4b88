// Tasks over chunks of keys. Each chunk is summed from nothing and folded into the row's total in order, whether one
// thread goes over all chunks of a task or several share them: the same bits either way ("Flash-Decoding": split keys,
// so that a long context of one sequence uses all threads).
#ifdef SOFTLANE_OPERATIONS
#include <memory>

#include "worker.h"

namespace softlane {

const char* HeadCache::keyAt(size_t position) const {
  if (!pages) return keys + position * step;
  const char* page = pages[position / pageTokens] + keyOffset;
  return tiled ? page : page + position % pageTokens * step;
}

const char* HeadCache::valueAt(size_t position) const {
  if (!pages) return values + position * step;
  return pages[position / pageTokens] + valueOffset + position % pageTokens * step;
}

void HeadCache::scales(size_t position, size_t count, float* keyScale, float* valueScale) const {
  for (size_t j = 0; j < count; j++) {
    const size_t i = position + j;
    if (!scalePages) {
      keyScale[j] = keyScales[i * scaleStep];
      valueScale[j] = valueScales[i * scaleStep];
    } else {
      const char* page = scalePages[i / pageTokens];
      std::memcpy(&keyScale[j], page + keyScaleOffset + i % pageTokens * sizeof(float), sizeof(float));
      std::memcpy(&valueScale[j], page + valueScaleOffset + i % pageTokens * sizeof(float), sizeof(float));
    }
  }
}

namespace {

/// Tasks that go over their chunks side by side: the heads of one token range, whose keys are neighbours in memory.
class Group {
 public:
  Group(const AttentionForm& form, const AttentionTask* tasks, size_t count)
      : form_(form), memory_((count * tasks->tokens + tasks->tokens) * States::bytes(form.group, form.dim)) {
    const size_t rows = tasks->tokens * form.group, floats = States::bytes(rows, form.dim) / sizeof(float);
    for (size_t i = 0; i < count; i++) {
      workers_.push_back(std::make_unique<Worker>(form, tasks[i]));
      totals_.push_back(States(memory_.as<float>() + (i + 1) * floats, rows, form.dim));
      totals_[i].clear(form.softmax);
    }
  }

  void sum(const Run& run) {
    const States part(memory_.as<float>(), totals_[0].rows, form_.dim);
    for (size_t c = 0; c < workers_[0]->chunks() && !run.stopped(); c++)
      for (size_t i = 0; i < workers_.size(); i++) {
        workers_[i]->sum(c, 0, part.rows, form_.softmax, part);
        kernels().attention_fold(totals_[i].at, part.at, part.rows, form_.softmax);
      }
  }
  size_t finish() {
    size_t redone = 0;
    for (size_t i = 0; i < workers_.size(); i++) redone += workers_[i]->finish(totals_[i]);
    return redone;
  }

 private:
  const AttentionForm& form_;
  Scratch memory_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::vector<States> totals_;
};

/// Threads share the chunks of few tasks: parts first, then each task's total from its parts in order.
size_t shareChunks(Run& run, const AttentionForm& form, const std::vector<AttentionTask>& tasks, size_t chunks) {
  size_t rows = 0;
  for (const AttentionTask& task : tasks) rows = std::max(rows, task.tokens * form.group);
  const size_t floats = States::bytes(rows, form.dim) / sizeof(float), heads = form.heads;
  const Scratch memory(tasks.size() * chunks * floats * sizeof(float));
  std::vector<std::vector<uint8_t>> left(tasks.size() * chunks);
  const auto partOf = [&](size_t t, size_t c, size_t count) {
    return States(memory.as<float>() + (t * chunks + c) * floats, count, form.dim);
  };
  const bool complete = run.each(tasks.size() / heads * chunks, 1, [&](size_t begin, size_t end) {
    for (size_t i = begin; i < end; i++)
      for (size_t t = i / chunks * heads; t < (i / chunks + 1) * heads; t++) {
        const size_t c = i % chunks;
        Worker worker(form, tasks[t]);
        if (c >= worker.chunks()) continue;
        worker.sum(c, 0, worker.rows(), form.softmax, partOf(t, c, worker.rows()));
        left[t * chunks + c] = worker.left();
      }
  });
  if (!complete) return 0;
  std::atomic<size_t> redone{0};
  run.each(tasks.size(), 1, [&](size_t begin, size_t end) {
    for (size_t t = begin; t < end; t++) {
      Worker worker(form, tasks[t]);
      const Scratch totals(States::bytes(worker.rows(), form.dim));
      const States total(totals.as<float>(), worker.rows(), form.dim);
      total.clear(form.softmax);
      for (size_t c = 0; c < worker.chunks(); c++) {
        kernels().attention_fold(total.at, partOf(t, c, worker.rows()).at, worker.rows(), form.softmax);
        worker.leave(left[t * chunks + c]);
      }
      redone += worker.finish(total);
    }
    run.advance(end - begin);
  });
  return redone;
}

}  // namespace

size_t attend(Run& run, const AttentionForm& form, const std::vector<AttentionTask>& tasks) {
  size_t chunks = 0;
  for (const AttentionTask& task : tasks) chunks = std::max(chunks, (lengthOf(task) + form.chunk - 1) / form.chunk);
  const size_t threads = run.threads(), groups = tasks.size() / form.heads;
  if (threads > 1 && groups < 4 * threads && chunks > 1) return shareChunks(run, form, tasks, chunks);
  const size_t together = threads > 1 && groups < 4 * threads ? 1 : form.heads;
  std::atomic<size_t> redone{0};
  run.each(tasks.size() / together, 1, [&](size_t begin, size_t end) {
    for (size_t i = begin; i < end; i++) {
      Group group(form, &tasks[i * together], together);
      group.sum(run);
      if (run.stopped()) return;
      redone += group.finish();
    }
    run.advance((end - begin) * together);
  });
  return redone;
}

size_t attendPartials(Run& run, const AttentionForm& form, const std::vector<AttentionTask>& tasks, size_t chunks,
                      size_t outStride, size_t valueStride) {
  std::atomic<size_t> redone{0};
  run.each(tasks.size() * chunks, 1, [&](size_t begin, size_t end) {
    for (size_t i = begin; i < end; i++) {
      AttentionTask task = tasks[i / chunks];
      const size_t c = i % chunks;
      task.out += c * outStride;
      task.logSumExp += c * valueStride;
      Worker worker(form, task);
      const Scratch memory(States::bytes(worker.rows(), form.dim));
      const States part(memory.as<float>(), worker.rows(), form.dim);
      if (c < worker.chunks()) worker.sum(c, 0, worker.rows(), form.softmax, part);
      else part.clear(form.softmax);
      for (size_t r = 0; r < worker.rows(); r++) redone += worker.finishPart(r, c, part);
    }
    run.advance(end - begin);
  });
  return redone;
}

}  // namespace softlane
#endif
