// The pseudo-inverse by Newton's iteration, Y <- 2 Y - Y P Y = Y (2 I - P Y), in float64 throughout: its rounding grows with
// the square of P's condition. Once |I - P Y| is below kSettled the next step leaves rounding alone, and the last is taken.
#ifdef SOFTLANE_OPERATIONS
#include <cmath>
#include <string>

#include "parts.h"

namespace softlane {
namespace soft {
namespace {

constexpr double kSettled = 1e-8;

/// The largest sum of a column's magnitudes; for symmetric matrices also that of a row.
double norm1(const double* x, size_t m) {
  double most = 0;
  for (size_t j = 0; j < m; j++) {
    double sum = 0;
    for (size_t i = 0; i < m; i++) sum += std::fabs(x[i * m + j]);
    if (!(sum <= most)) most = sum;
  }
  return most;
}

/// The largest row sum and its row.
double largestRow(const double* a, size_t m, size_t* at) {
  double most = 0;
  *at = 0;
  for (size_t i = 0; i < m; i++) {
    double sum = 0;
    for (size_t j = 0; j < m; j++) sum += a[i * m + j];
    if (i > 0 && sum <= most) continue;
    most = sum;
    *at = i;
  }
  return most;
}

/// What the largest eigenvalue of P is held against at the start: the largest row sum rho of A, as published, unless the
/// ridge takes the eigenvalues of P = A + ridge I so far beyond it that 1.8 / rho^2 would not converge.
double bound(double rho, const NewtonSettings& settings) {
  const double whole = rho + settings.ridge;
  return settings.halving || 1.8 * whole * whole < 1.98 * rho * rho ? rho : whole;
}

}  // namespace

NewtonSettings NewtonSettings::of(const In<double>& settings) {
  if (settings.length != 4) throw rangeError("settings", "4 numbers", std::to_string(settings.length));
  return {size_t(settings.data[0]), settings.data[1], settings.data[2] != 0, settings.data[3]};
}

NewtonReport newton(const double* a, size_t m, const NewtonSettings& settings, double* y, double* history, double* work,
                    void* scratch) {
  const size_t size = m * m;
  double *p = work, *z = p + size, *next = z + size, *columns = next + size;
  NewtonReport report{};
  size_t row;
  const double sum = largestRow(a, m, &row), rho = bound(sum, settings);
  std::copy(a, a + size, p);
  for (size_t i = 0; i < m; i++) p[i * m + i] += settings.ridge;
  double alpha = settings.alpha;
  if (alpha == 0) {
    alpha = sum > 0 ? (settings.halving ? 2 : 1.8) / (rho * rho) : 0;  // nothing to start from: the residual says so
    if (settings.halving) {  // P P once: z holds alpha P P, halved with alpha, next what its distance from I takes
      multiply(rowsOf<double>(p, m), rowsOf<double>(p, m), z, m, m, m, scratch, false, alpha);
      for (; report.halvings < 10; report.halvings++, alpha *= 0.5) {
        std::copy(z, z + size, next);
        if (!(kernels().soft_newton(next, m, columns) > 1.01)) break;
        for (size_t i = 0; i < size; i++) z[i] *= 0.5;
      }
    }
  }
  report.alpha = alpha;
  double* now = history ? history : y;
  for (size_t i = 0; i < size; i++) now[i] = alpha * p[i];
  const auto residual = [&] {  // leaves z = 2 I - P Y
    multiply(rowsOf<double>(p, m), rowsOf<double>(now, m), z, m, m, m, scratch);
    return kernels().soft_newton(z, m, columns);
  };
  size_t j = 0;
  for (bool settled = false; j < settings.iterations && !settled; j++) {
    settled = residual() < kSettled;
    double* to = history ? now + size : next;
    multiply(rowsOf<double>(now, m), rowsOf<double>(z, m), to, m, m, m, scratch);
    if (history) now = to;
    else std::copy(next, next + size, y);
  }
  if (history && y) std::copy(now, now + size, y);
  report.iterations = double(j);
  report.residual = residual();
  report.condition = norm1(p, m) * norm1(now, m);
  report.penrose = report.residual;  // an upper bound
  if (report.residual < kSettled) return report;
  for (size_t i = 0; i < m; i++) z[i * m + i] -= 1;  // P - P Y P = (I - P Y) P
  multiply(rowsOf<double>(z, m), rowsOf<double>(p, m), next, m, m, m, scratch);
  const double whole = norm1(p, m);
  report.penrose = whole > 0 ? norm1(next, m) / whole : 0;
  return report;
}

void newtonAdjoint(const double* a, const double* y, const double* dy, size_t m, const NewtonSettings& settings,
                   bool unrolled, double* da, double* work, void* scratch) {
  const size_t size = m * m;
  double *t = work, *u = t + size, *p = u + size, *rest = p + size;
  const auto rows = [m](const double* x) { return rowsOf<double>(x, m); };
  if (!unrolled) {
    multiply(rows(y).turn(), rows(dy), t, m, m, m, scratch);
    return multiply(rows(t), rows(y).turn(), da, m, m, m, scratch, false, -1);
  }
  double *bar = rest, *history = bar + size;
  const NewtonReport report =
      newton(a, m, settings, nullptr, history, history + (settings.iterations + 1) * size, scratch);
  std::copy(a, a + size, p);
  for (size_t i = 0; i < m; i++) p[i * m + i] += settings.ridge;
  std::copy(dy, dy + size, bar);
  std::fill(da, da + size, 0);
  for (size_t j = size_t(report.iterations); j-- > 0;) {  // of Y' = 2 Y - Y P Y
    const double* at = history + j * size;
    multiply(rows(at).turn(), rows(bar), t, m, m, m, scratch);           // Y^T bar
    multiply(rows(t), rows(at).turn(), da, m, m, m, scratch, true, -1);  // P: - Y^T bar Y^T
    multiply(rows(bar), rows(at).turn(), u, m, m, m, scratch);           // bar Y^T
    for (size_t i = 0; i < size; i++) bar[i] *= 2;
    multiply(rows(u), rows(p).turn(), bar, m, m, m, scratch, true, -1);  // Y: - bar (P Y)^T
    multiply(rows(p).turn(), rows(t), bar, m, m, m, scratch, true, -1);  // Y: - (Y P)^T bar
  }
  double slope = 0;  // of Y_0 = alpha P
  for (size_t i = 0; i < size; i++) {
    slope += bar[i] * p[i];
    da[i] += report.alpha * bar[i];
  }
  if (settings.alpha != 0 || report.alpha == 0) return;
  size_t row;
  const double rho = bound(largestRow(a, m, &row), settings);
  for (size_t j = 0; j < m; j++) da[row * m + j] -= 2 * report.alpha / rho * slope;
}

void rootSums(const double* a, size_t m, double* s) {
  for (size_t i = 0; i < m; i++) {
    double sum = 0;
    for (size_t j = 0; j < m; j++) sum += a[i * m + j];
    s[i] = 1 / std::sqrt(sum);
  }
}

}  // namespace soft

namespace ops {
using namespace soft;

namespace {

double at(const In<Any>& x, size_t i) {
  return x.element == Element::float64 ? static_cast<const double*>(x.data)[i] : static_cast<const float*>(x.data)[i];
}

void put(const Out<Any>& x, size_t i, double value) {
  if (x.element == Element::float64) static_cast<double*>(x.data)[i] = value;
  else static_cast<float*>(x.data)[i] = float(value);
}

/// body(matrix of A, work, scratch) for each of the matrices, in float64 whatever their type.
template <class Body>
void eachMatrix(Run& run, size_t count, size_t threads, size_t doubles, Body body) {
  run.useThreads(threads);
  run.expect(count);
  run.each(count, 1, [&](size_t begin, size_t end) {
    const Scratch work(doubles * sizeof(double)), scratch(kMatmulScratch);
    for (size_t i = begin; i < end; i++) body(i, work.as<double>(), scratch.as<void>());
    run.advance(end - begin);
  });
}

}  // namespace

void newtonInverse(Run& run, In<Any> a, Out<Any> inverse, Out<double> report, In<double> settings, size_t m,
                   size_t threads) {
  const NewtonSettings how = NewtonSettings::of(settings);
  const size_t size = m * m, count = report.length / kReport;
  requireMatrix("A", a.length, count, size, size);
  requireMatrix("out", inverse.length, count, size, size);
  eachMatrix(run, count, threads, 2 * size + newtonScratch(m), [&](size_t i, double* x, void* scratch) {
    double* y = x + size;
    for (size_t j = 0; j < size; j++) x[j] = at(a, i * size + j);
    const NewtonReport r = newton(x, m, how, y, nullptr, y + size, scratch);
    for (size_t j = 0; j < size; j++) put(inverse, i * size + j, y[j]);
    const double numbers[] = {r.residual, r.penrose, r.condition, r.alpha, r.iterations, r.halvings};
    std::copy(numbers, numbers + kReport, report.data + i * kReport);
  });
}

void newtonInverseBackward(Run& run, In<Any> a, In<Any> inverse, In<Any> gradient, Out<Any> out, In<double> settings,
                           size_t m, bool unrolled, size_t threads) {
  const NewtonSettings how = NewtonSettings::of(settings);
  const size_t size = m * m, count = size ? out.length / size : 0;
  requireMatrix("A", a.length, count, size, size);
  requireMatrix("inverse", inverse.length, count, size, size);
  requireMatrix("gradient", gradient.length, count, size, size);
  eachMatrix(run, count, threads, 4 * size + adjointScratch(m, how, unrolled), [&](size_t i, double* x, void* scratch) {
    double *y = x + size, *dy = y + size, *da = dy + size;
    for (size_t j = 0; j < size; j++) {
      x[j] = at(a, i * size + j);
      y[j] = at(inverse, i * size + j);
      dy[j] = at(gradient, i * size + j);
    }
    newtonAdjoint(x, y, dy, m, how, unrolled, da, da + size, scratch);
    for (size_t j = 0; j < size; j++) put(out, i * size + j, da[j]);
  });
}

}  // namespace ops
}  // namespace softlane
#endif
