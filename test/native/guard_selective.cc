// The kernels of the selective scan between guard pages: real and complex, every discretisation, any number of states,
// tiles of one to several vectors, matrices in either layout.
#include "guarded.h"

#if defined(__unix__) || defined(__APPLE__)

namespace softlane::test {
namespace {

struct Case {
  Dtype type;
  bool complex, wide, powers, halves, vectorWeights;
  Discretization rule;
  size_t states, vectors, steps;

  size_t lanes() const { return kernels().scan_lanes(type); }
  size_t parts() const { return complex ? 2 : 1; }
  size_t width() const { return vectors * lanes(); }
  size_t numbers() const { return states * parts(); }
  std::string name() const {
    return std::to_string(states) + " states, " + std::to_string(vectors) + " vectors, " + std::to_string(steps) +
           " steps, rule " + std::to_string(int(rule)) + (complex ? ", complex" : "") + (wide ? ", wide" : "") +
           (powers ? ", powers" : "") + (halves ? ", halves" : "") + (type == Dtype::f64 ? ", float64" : "");
  }

  ScanWeights weights(Spans& s) const {
    if (!wide) return {s.in(type, steps * states), states, 1, 0};
    if (vectorWeights) return {s.in(type, numbers() * width()), 0, parts() * width(), lanes()};
    return {s.in(type, steps * numbers() * lanes()), numbers() * lanes(), parts() * lanes(), 0};
  }
  /// A span of zeros that a kernel adds to.
  void* zeros(Spans& s, size_t n) const {
    void* p = s.out(type, n);
    std::memset(p, 0, n * sizeOf(type));
    return p;
  }
  ScanTile tile(Spans& s, ScanMode mode) const {
    ScanTile t{};
    t.type = type;
    t.complex = complex;
    t.wide = wide;
    t.rule = rule;
    t.mode = mode;
    t.halves = halves;
    t.powers = powers;
    t.width = width();
    t.vectors = mode == ScanMode::keep ? 1 : vectors;
    t.steps = steps;
    t.states = states;
    t.s = s.in(type, steps * width());
    t.u = s.in(type, steps * width());
    t.a = s.in(type, numbers() * width());
    t.b = weights(s);
    t.c = weights(s);
    t.h = zeros(s, numbers() * width());
    if (mode == ScanMode::both) t.other = zeros(s, numbers() * width());
    if (mode == ScanMode::keep) {
      t.kept = zeros(s, (steps + 1) * numbers() * lanes());
      t.decays = zeros(s, steps * numbers() * lanes());
    }
    t.y = s.out(type, steps * width());
    return t;
  }
};

void sweeps(Spans& spans, const char* isa, const Case& c) {
  for (ScanMode mode : {ScanMode::plain, ScanMode::both, ScanMode::keep})
    guarded(spans, isa, "scan_sweep", c.name() + ", mode " + std::to_string(int(mode)),
            [&](Spans& s) { kernels().scan_sweep(c.tile(s, mode)); });
  for (bool resets : {false, true})
    guarded(spans, isa, "scan_reverse", c.name() + (resets ? ", resets" : ""), [&](Spans& s) {
      ScanReverse job{};
      job.tile = c.tile(s, ScanMode::keep);
      kernels().scan_sweep(job.tile);
      bool* starts = s.out<bool>(c.steps);
      for (size_t t = 0; t < c.steps; t++) starts[t] = t % 3 == 2;
      job.resets = resets ? starts : nullptr;
      job.g = s.in(c.type, c.steps * c.width());
      job.mu = c.zeros(s, c.numbers() * c.width());
      job.dA = c.zeros(s, c.numbers() * c.width());
      job.constantB = c.vectorWeights;
      job.dB = c.zeros(s, (job.constantB ? 1 : c.steps) * c.numbers() * c.lanes());
      job.dC = c.zeros(s, c.steps * c.numbers() * c.lanes());
      job.q = s.out(c.type, c.steps * c.width());
      job.ds = s.out(c.type, c.steps * c.width());
      kernels().scan_reverse(job);
    });
  guarded(spans, isa, "scan_carry", c.name(), [&](Spans& s) {
    const size_t n = c.numbers() * c.width();
    ScanCarry carry{c.type,          c.complex,       c.width(),
                    c.states,        s.in(c.type, n), s.in(c.type, c.width()),
                    s.in(c.type, n), s.in(c.type, n), s.out(c.type, n)};
    kernels().scan_carry(carry);
  });
}

void staging(Spans& spans, const char* isa) {
  for (Dtype type : {Dtype::f32, Dtype::f64, Dtype::bf16, Dtype::f16}) {
    const Dtype real = type == Dtype::f64 ? Dtype::f64 : Dtype::f32;
    const size_t lanes = kernels().scan_lanes(real);
    for (size_t rows : {1, 2, 7, 16, 17})
      for (size_t columns : {1, 3, 8, 15, 16, 17, 33})
        for (int layout = 0; layout < 3; layout++) {
          const size_t width = (columns + lanes - 1) / lanes * lanes;
          const size_t rowStride = layout == 0   ? columns
                                   : layout == 1 ? 1
                                                 : 2 * columns,
                       columnStride = layout == 0   ? 1
                                      : layout == 1 ? rows
                                                    : 2;
          const size_t span = (rows - 1) * rowStride + (columns - 1) * columnStride + 1;
          const std::string what = std::to_string(rows) + " x " + std::to_string(columns) + ", layout " +
                                   std::to_string(layout) + ", type " + nameOf(type);
          guarded(spans, isa, "scan_gather", what, [&](Spans& s) {
            kernels().scan_gather(
                {s.in(type, span), type, rows, columns, rowStride, columnStride, s.out(real, rows * width), width});
          });
          guarded(spans, isa, "scan_scatter", what, [&](Spans& s) {
            void* tile = const_cast<void*>(s.in(real, rows * width));
            kernels().scan_scatter({s.out(type, span), type, rows, columns, rowStride, columnStride, tile, width});
          });
        }
  }
}

void edges(Spans& spans, const char* isa) {
  for (Dtype type : {Dtype::f32, Dtype::f64})
    for (size_t vectors : {1, 3})
      for (size_t steps : {1, 5})
        for (bool all : {false, true}) {
          const size_t width = vectors * kernels().scan_lanes(type), n = width * steps;
          const auto edge = [&](Spans& s) {
            ScanEdge e{};
            e.type = type;
            e.width = width;
            e.steps = steps;
            e.bias = all ? s.in(type, width) : nullptr;
            e.d = all ? s.in(type, width) : nullptr;
            e.softplus = all;
            for (void** each : {&e.delta, &e.u, &e.y}) *each = const_cast<void*>(s.in(type, n));
            if (all) e.z = const_cast<void*>(s.in(type, n));
            e.gout = s.in(type, n);
            e.q = s.in(type, n);
            e.ds = s.in(type, n);
            e.g = const_cast<void*>(s.in(type, n));
            for (void** each : {&e.du, &e.ddelta, &e.dz}) *each = s.out(type, n);
            for (void** each : {&e.dD, &e.dBias}) *each = const_cast<void*>(s.in(type, width));
            return e;
          };
          const std::string what = std::to_string(vectors) + " vectors, " + std::to_string(steps) + " steps" +
                                   (all ? ", all" : "") + (type == Dtype::f64 ? ", float64" : "");
          guarded(spans, isa, "scan_steps", what, [&](Spans& s) { kernels().scan_steps(edge(s)); });
          guarded(spans, isa, "scan_finish", what, [&](Spans& s) { kernels().scan_finish(edge(s)); });
          guarded(spans, isa, "scan_open", what, [&](Spans& s) { kernels().scan_open(edge(s)); });
          guarded(spans, isa, "scan_close", what, [&](Spans& s) { kernels().scan_close(edge(s)); });
          guarded(spans, isa, "scan_add_steps", what, [&](Spans& s) {
            const void* tile = s.in(type, n);
            kernels().scan_add_steps(type, tile, width, steps, const_cast<void*>(s.in(type, width)));
          });
          guarded(spans, isa, "scan_lane_sums", what, [&](Spans& s) {
            const void* tile = s.in(type, n);
            kernels().scan_lane_sums(type, tile, const_cast<void*>(s.in(type, vectors * steps)), vectors * steps);
          });
        }
  covered.insert("scan_lanes");  // reads nothing
}

}  // namespace

void guardSelective(Spans& spans, const char* isa) {
  staging(spans, isa);
  edges(spans, isa);
  for (Dtype type : {Dtype::f32, Dtype::f64})
    for (size_t states : {1, 2, 3, 4, 5, 7, 8, 9, 16, 17, 23, 33})
      for (size_t vectors : {1, 3})
        for (size_t steps : {1, 6}) {
          for (bool powers : {false, true})
            for (bool halves : {false, true})
              sweeps(spans, isa,
                     {type, false, false, powers, halves, false, Discretization::euler, states, vectors, steps});
          for (bool complex : {false, true})
            for (bool constant : {false, true})
              for (Discretization rule : {Discretization::euler, Discretization::zoh, Discretization::bilinear})
                if (states < 10)
                  sweeps(spans, isa, {type, complex, true, false, false, constant, rule, states, vectors, steps});
        }
}

}  // namespace softlane::test
#endif
