// Element by element: maps, broadcast arithmetic, sums, optimiser steps.
#ifdef SOFTLANE_OPERATIONS
#include "operations.h"

namespace softlane::ops {
using namespace softlane::tensor;

void tensorMap(Run& run, In<Any> x, Maybe<In<Any>> y, Maybe<In<Any>> g, InPlace<Any> out, TensorMap map, double a,
               double b, size_t threads) {
  const Dtype type = typeOf("x", x);
  require("y", y, type, x.length);
  require("g", g, type, x.length);
  require("out", out, type, x.length);
  share(run, (x.length + 63) / 64, 64, threads, [&](size_t begin, size_t end) {
    const size_t start = begin * 64, n = std::min(end * 64, x.length) - start;
    kernels().tensor_map({type, map, at(x.data, type, start), at(y.data ? y.data : x.data, type, start),
                          at(g.data, type, start), at(out.data, type, start), n, a, b});
  });
}

void tensorBinary(Run& run, In<Any> a, In<Any> b, InPlace<Any> out, In<double> axes, TensorBinary binary,
                  size_t threads) {
  const Dtype type = typeOf("a", a);
  requireStorage("b", b.element, type);
  const Axes loop(axes);
  require("out", out, type, loop.elements());
  if (out.length == 0) return;
  if (loop.last(loop.first) >= a.length) throw rangeError("a", "as large as its axes say", std::to_string(a.length));
  if (loop.last(loop.second) >= b.length) throw rangeError("b", "as large as its axes say", std::to_string(b.length));
  const size_t inner = loop.inner(), aStep = loop.first[loop.rank - 1], bStep = loop.second[loop.rank - 1];
  if (aStep > 1 || bStep > 1) throw rangeError("axes", "dense in the last axis", "a step");
  // A single long line is cut; many lines are handed out as they are.
  const size_t line = loop.lines() == 1 ? 64 : inner, count = (out.length + line - 1) / line;
  share(run, count, line, threads, [&](size_t begin, size_t end) {
    if (loop.lines() == 1) {
      const size_t start = begin * line, n = std::min(end * line, inner) - start;
      kernels().tensor_binary({type, binary, at(a.data, type, start * aStep), at(b.data, type, start * bStep), aStep,
                               bStep, at(out.data, type, start), n, 1, 0, 0, 0});
      return;
    }
    if (loop.rank == 2) {
      kernels().tensor_binary(
          {type, binary, at(a.data, type, begin * loop.first[0]), at(b.data, type, begin * loop.second[0]), aStep,
           bStep, at(out.data, type, begin * inner), inner, end - begin, loop.first[0], loop.second[0], inner});
      return;
    }
    loop.each(begin, end, [&](size_t fromA, size_t fromB, size_t to) {
      kernels().tensor_binary({type, binary, at(a.data, type, fromA), at(b.data, type, fromB), aStep, bStep,
                               at(out.data, type, to * inner), inner, 1, 0, 0, 0});
    });
  });
}

void tensorSum(Run& run, In<Any> x, Out<Any> out, size_t outer, size_t n, size_t inner, double factor, size_t threads) {
  const Dtype type = typeOf("x", x);
  require("x", x, type, outer * n * inner);
  require("out", out, type, outer * inner);
  // Columns are cut in blocks of 256, so that one large reduction has work for several threads.
  const size_t cut = 256, cuts = (inner + cut - 1) / cut;
  share(run, outer * cuts, n * std::min(inner, cut), threads, [&](size_t begin, size_t end) {
    for (size_t task = begin; task < end; task++) {
      const size_t o = task / cuts, j = task % cuts * cut;
      kernels().tensor_sum({type, at(x.data, type, o * n * inner + j), n, std::min(cut, inner - j), inner,
                            at(out.data, type, o * inner + j), factor});
    }
  });
}

double tensorDot(Run& run, In<Any> a, In<Any> b) {
  const Dtype type = typeOf("a", a);
  require("b", b, type, a.length);
  double total = 0;
  for (size_t start = 0; start < a.length && !run.stopped(); start += kBlock) {
    double sum;
    kernels().dot(at(a.data, type, start), at(b.data, type, start), type, std::min(kBlock, a.length - start), &sum);
    total += sum;
  }
  return total;
}

void adamStep(Run& run, Out<Any> p, In<Any> g, Out<Any> m, Out<Any> v, In<double> settings, size_t threads) {
  const Dtype type = typeOf("g", g);
  require("p", p, type, g.length);
  require("m", m, type, g.length);
  require("v", v, type, g.length);
  if (settings.length != 8) throw rangeError("settings", "8 numbers", std::to_string(settings.length));
  const double* s = settings.data;
  share(run, (g.length + 63) / 64, 64, threads, [&](size_t begin, size_t end) {
    const size_t i = begin * 64, n = std::min(end * 64, g.length) - i;
    kernels().tensor_adam({type, at(p.data, type, i), at(m.data, type, i), at(v.data, type, i), at(g.data, type, i), n,
                           s[0], s[1], s[2], s[3], s[4], s[5], s[6], s[7]});
  });
}

void sgdStep(Run& run, Out<Any> p, In<Any> g, Maybe<Out<Any>> velocity, In<double> settings, bool nesterov,
             size_t threads) {
  const Dtype type = typeOf("g", g);
  require("p", p, type, g.length);
  require("velocity", velocity, type, g.length);
  if (settings.length != 7) throw rangeError("settings", "7 numbers", std::to_string(settings.length));
  const double* s = settings.data;
  share(run, (g.length + 63) / 64, 64, threads, [&](size_t begin, size_t end) {
    const size_t i = begin * 64, n = std::min(end * 64, g.length) - i;
    kernels().tensor_sgd({type, at(p.data, type, i), at(velocity.data, type, i), at(g.data, type, i), n, s[0], s[1],
                          s[2], s[3], s[4], s[5], s[6], nesterov});
  });
}

}  // namespace softlane::ops
#endif
