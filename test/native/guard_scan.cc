// The kernels of recurrences between guard pages: widths around a vector and a tile, one step and several, every form, with
// and without what may be absent.
#include "../../native/scan/scan.h"

#include "guarded.h"

#if defined(__unix__) || defined(__APPLE__)

namespace softlane::test {
namespace {

constexpr Dtype kReal[] = {Dtype::f32, Dtype::f64};
constexpr size_t kWidths[] = {1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 63, 64, 65, 80};
constexpr size_t kTimes[] = {1, 2, 5};

std::string shapeOf(Dtype type, size_t length, size_t n) {
  return std::string(nameOf(type)) + ", " + std::to_string(length) + " steps of " + std::to_string(n);
}

/// An output that a kernel adds to.
void* zeros(Spans& s, Dtype type, size_t n) {
  void* p = s.out(type, n);
  std::memset(p, 0, n * sizeOf(type));
  return p;
}

void recurrences(Spans& spans, const char* isa, Dtype type, size_t length, size_t n) {
  for (RecurrenceForm form : {RecurrenceForm::diagonal, RecurrenceForm::scalar, RecurrenceForm::gated})
    for (bool reverse : {false, true})
      for (bool initial : {false, true}) {
        const size_t step = n + 3, all = (length - 1) * step + n, gates = form == RecurrenceForm::scalar ? length : all;
        const auto job = [&](Spans& s, void* h) {
          const void *a = s.in(type, gates), *b = s.in(type, all);
          return RecurrenceJob{type,    form,
                               reverse, a,
                               b,       initial ? s.in(type, n) : nullptr,
                               h,       length,
                               n,       form == RecurrenceForm::scalar ? 1 : step,
                               step};
        };
        guarded(spans, isa, "linear_recurrence", shapeOf(type, length, n),
                [&](Spans& s) { kernels().linear_recurrence(job(s, s.out(type, all))); });
        guarded(spans, isa, "linear_recurrence_backward", shapeOf(type, length, n), [&](Spans& s) {
          RecurrenceBackward back{};
          back.forward = job(s, const_cast<void*>(s.in(type, all)));
          back.gout = s.in(type, all);
          back.da = zeros(s, type, gates);
          back.db = s.out(type, all);
          back.dInitial = initial ? s.out(type, n) : nullptr;
          kernels().linear_recurrence_backward(back);
        });
      }
}

void deltaRules(Spans& spans, const char* isa, Dtype type, size_t length, size_t keys, size_t n) {
  const size_t keyStep = keys + 1, valueStep = n + 2, tile = keys * kDeltaTile;
  for (bool gate : {false, true}) {
    const auto job = [&](Spans& s) {
      DeltaRuleJob job{};
      job.type = type;
      job.length = length;
      job.keys = keys;
      job.n = n;
      job.q = s.in(type, (length - 1) * keyStep + keys);
      job.k = s.in(type, (length - 1) * keyStep + keys);
      job.keyStep = keyStep;
      job.v = s.in(type, (length - 1) * valueStep + n);
      job.valueStep = valueStep;
      job.beta = s.in(type, length);
      job.alpha = gate ? s.in(type, length) : nullptr;
      job.gateStep = 1;
      job.state = zeros(s, type, tile);
      job.states = s.out(type, length * tile);
      return job;
    };
    guarded(spans, isa, "delta_rule", shapeOf(type, length, n), [&](Spans& s) {
      DeltaRuleJob each = job(s);
      each.out = s.out(type, (length - 1) * valueStep + n);
      kernels().delta_rule(each);
    });
    guarded(spans, isa, "delta_rule_backward", shapeOf(type, length, n), [&](Spans& s) {
      DeltaRuleBackward back{};
      back.forward = job(s);
      kernels().delta_rule(back.forward);
      back.gout = s.in(type, (length - 1) * valueStep + n);
      back.dState = zeros(s, type, tile);
      back.dq = zeros(s, type, (length - 1) * keyStep + keys);
      back.dk = zeros(s, type, (length - 1) * keyStep + keys);
      back.dv = s.out(type, (length - 1) * valueStep + n);
      back.dbeta = zeros(s, type, length);
      back.dalpha = gate ? zeros(s, type, length) : nullptr;
      kernels().delta_rule_backward(back);
    });
  }
}

void steps(Spans& spans, const char* isa, Dtype type, size_t channels, size_t n) {
  for (bool each : {false, true})
    for (bool all : {false, true})
      guarded(spans, isa, "scan_step", shapeOf(type, channels, n), [&](Spans& s) {
        const size_t some = each ? channels : 1;
        StepJob job{};
        job.type = type;
        job.channels = channels;
        job.n = n;
        job.state = zeros(s, type, channels * n);
        job.x = s.in(type, channels);
        job.dt = s.in(type, some);
        job.A = s.in(type, each ? channels * n : 1);
        job.B = s.in(type, n);
        job.C = s.in(type, n);
        job.D = all ? s.in(type, some) : nullptr;
        job.z = all ? s.in(type, channels) : nullptr;
        job.bias = all ? s.in(type, some) : nullptr;
        job.out = s.out(type, channels);
        job.dtEach = job.biasEach = job.aEach = job.dEach = each;
        job.softplus = all;
        kernels().scan_step(job);
      });
}

void convolutions(Spans& spans, const char* isa, Dtype type, size_t rows, size_t n, size_t width) {
  for (bool each : {false, true})
    for (bool gradient : {false, true}) {
      const size_t tap = each ? n : 1, xStep = each ? n : n + width;
      const size_t inputs = (rows - 1) * xStep + (width - 1) * tap + n, weights = each ? width * n : width;
      guarded(spans, isa, "conv_rows", shapeOf(type, rows, n), [&](Spans& s) {
        const void *x = s.in(type, inputs), *w = s.in(type, weights),
                   *bias = gradient ? s.in(type, each ? n : 1) : nullptr;
        const void* g = gradient ? s.in(type, rows * n) : nullptr;
        kernels().conv_rows(
            {type, rows, n, width, x, xStep, tap, w, bias, each ? n : 1, each, true, g, s.out(type, rows * n), n});
      });
      guarded(spans, isa, "conv_weights", shapeOf(type, rows, n), [&](Spans& s) {
        const void *g = s.in(type, rows * n), *x = s.in(type, inputs);
        void* dw = zeros(s, type, weights);
        void* dbias = gradient ? zeros(s, type, each ? n : 1) : nullptr;
        kernels().conv_weights({type, rows, n, width, g, n, x, xStep, tap, each, dw, dbias, each ? n : 1});
      });
    }
}

/// The pieces of a chunk of Mamba-2: `length` steps, rows of n.
void chunks(Spans& spans, const char* isa, Dtype type, size_t length, size_t n) {
  const size_t stride = ssdStride(length), step = n + 5, all = (length - 1) * step + n;
  const std::string what = shapeOf(type, length, n);
  guarded(spans, isa, "ssd_steps", what, [&](Spans& s) {
    const void *dt = s.in(type, (length - 1) * 3 + 1), *bias = s.in(type, 1), *A = s.in(type, 1);
    int32_t* starts = s.filled(length, int32_t(-1));
    void *size = s.out(type, stride), *sums = s.out(type, stride), *enter = s.out(type, stride);
    void *leave = s.out(type, stride), *slope = s.out(type, stride);
    kernels().ssd_steps({type, length, dt, bias, A, 3, true, 0, 1e30, starts, size, sums, enter, leave, slope});
  });
  for (bool backward : {false, true})
    guarded(spans, isa, "ssd_mix", what, [&](Spans& s) {
      int32_t* starts = s.filled(length, int32_t(0));
      SsdMix job{};
      job.type = type;
      job.length = length;
      job.stride = stride;
      job.c = zeros(s, type, stride);
      job.s = s.in(type, stride);
      job.starts = starts;
      job.scores = s.in(type, length * stride);
      job.w = s.out(type, length * stride);
      if (backward) {
        job.t = s.in(type, length * stride);
        job.r = s.out(type, length * stride);
        job.rows = s.out(type, length);
        job.columns = s.out(type, stride);
      }
      kernels().ssd_mix(job);
    });
  guarded(spans, isa, "ssd_scale", what, [&](Spans& s) {
    const void *x = s.in(type, all), *factors = s.in(type, length);
    CHECK(kernels().ssd_scale(type, x, step, factors, 1, length, n, s.out(type, length * n), n), "%s", now);
  });
  guarded(spans, isa, "ssd_dots", what, [&](Spans& s) {
    const void *a = s.in(type, all), *b = s.in(type, length * n);
    kernels().ssd_dots(type, a, step, b, n, length, n, s.out(type, length));
  });
  for (bool each : {false, true}) {
    guarded(spans, isa, "ssd_finish", what, [&](Spans& s) {
      const void *y = s.in(type, all), *more = s.in(type, length * n), *factors = s.in(type, length);
      const void *x = s.in(type, all), *D = s.in(type, each ? n : 1), *z = each ? s.in(type, all) : nullptr;
      kernels().ssd_finish(
          {type, length, n, y, step, more, factors, 1, x, D, step, each, z, step, s.out(type, length * n), n});
    });
    guarded(spans, isa, "ssd_gate", what, [&](Spans& s) {
      const void *gout = s.in(type, all), *x = s.in(type, all), *z = each ? s.in(type, all) : nullptr;
      const void *y = each ? s.in(type, length * n) : nullptr, *D = s.in(type, each ? n : 1);
      void *g = s.out(type, length * n), *dz = each ? zeros(s, type, all) : nullptr, *dD = zeros(s, type, n);
      kernels().ssd_gate({type, length, n, step, gout, x, z, y, D, each, g, dz, dD});
    });
  }
}

/// Lanes of systems with constant coefficients: `rows` of them in use, n states.
void systems(Spans& spans, const char* isa, Dtype type, size_t length, size_t rows, size_t n) {
  const size_t step = length + 3, all = (rows - 1) * step + length, lanes = length * kLtiLanes;
  const std::string what = shapeOf(type, length, rows);
  guarded(spans, isa, "lti_turn", what, [&](Spans& s) {
    const void* x = s.in(type, all);
    kernels().lti_turn(type, x, step, rows, length, s.out(type, lanes));
  });
  guarded(spans, isa, "lti_return", what, [&](Spans& s) {
    const void* x = s.in(type, lanes);
    kernels().lti_return(type, x, rows, length, s.out(type, all), step);
  });
  guarded(spans, isa, "lti_direct", what, [&](Spans& s) {
    const void *kernel = s.in(type, lanes), *u = s.in(type, lanes);
    kernels().lti_direct(type, kernel, u, length, s.out(type, lanes));
  });
  for (bool complex : {false, true}) {
    const size_t size = n * (complex ? 2 : 1) * kLtiLanes;
    const auto tile = [&](Spans& s) {
      LtiTile job{};
      job.type = type;
      job.complex = complex;
      job.rows = rows;
      job.length = length;
      job.n = n;
      job.decay = zeros(s, type, size);
      job.input = s.in(type, size);
      job.weight = s.in(type, size);
      job.skip = s.in(type, kLtiLanes);
      job.state = zeros(s, type, size);
      job.rowStep = step;
      return job;
    };
    for (bool input : {false, true})
      guarded(spans, isa, "lti_tile", what, [&](Spans& s) {
        LtiTile job = tile(s);
        job.u = input ? s.in(type, all) : nullptr;
        job.y = s.out(type, all);
        kernels().lti_tile(job);
      });
    guarded(spans, isa, "lti_tile_backward", what, [&](Spans& s) {
      LtiBackward back{};
      back.forward = tile(s);
      back.forward.u = s.in(type, all);
      back.gout = s.in(type, all);
      back.carry = zeros(s, type, size);
      back.du = s.out(type, all);
      back.dDecay = zeros(s, type, size);
      back.dInput = zeros(s, type, size);
      back.dWeight = zeros(s, type, size);
      back.dSkip = zeros(s, type, kLtiLanes);
      kernels().lti_tile_backward(back);
    });
  }
}

void transforms(Spans& spans, const char* isa, Dtype type, size_t size) {
  const auto job = [&](Spans& s, bool inverse) {
    void *re = zeros(s, type, size * kLtiLanes), *im = zeros(s, type, size * kLtiLanes);
    const void *cosines = s.in(type, size), *sines = s.in(type, size);
    return LtiFft{type, size, re, im, cosines, sines, inverse};
  };
  const std::string what = shapeOf(type, size, kLtiLanes);
  for (bool inverse : {false, true})
    guarded(spans, isa, "lti_fft", what, [&](Spans& s) { kernels().lti_fft(job(s, inverse)); });
  guarded(spans, isa, "lti_multiply", what, [&](Spans& s) {
    const LtiFft u = job(s, false);
    kernels().lti_multiply(u, job(s, false));
  });
}

}  // namespace

void guardScan(Spans& spans, const char* isa) {
  for (Dtype type : kReal)
    for (size_t n : kWidths) {
      for (size_t length : kTimes) {
        recurrences(spans, isa, type, length, n);
        if (n <= kDeltaTile)
          for (size_t keys : {1, 3, 8}) deltaRules(spans, isa, type, length, keys, n);
        for (size_t width : {2, 4, 8}) convolutions(spans, isa, type, length, n, width);
      }
      for (size_t channels : {1, 3, 16, 17, 70}) steps(spans, isa, type, channels, n);
      for (size_t length : {1, 5, 16, 17, 40}) chunks(spans, isa, type, length, n);
      for (size_t rows : {1, 3, 8, 15, 16})
        if (n <= kLtiSteps) systems(spans, isa, type, n, rows, 3);
    }
  for (Dtype type : kReal)
    for (size_t size : {1, 2, 4, 8, 64}) transforms(spans, isa, type, size);
}

}  // namespace softlane::test
#endif
