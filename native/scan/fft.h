// Fourier transforms of lanes: complex numbers of vectors, so that no butterfly crosses lanes. Loop halves only.
#pragma once
#include "../isa.h"

namespace softlane::ISA {

/// A real transform of 2 H numbers is one of H complex numbers x_{2k} + i x_{2k+1}; `at` is a position in bit-reversed order.
inline size_t bitReversed(size_t i, size_t size) {
  size_t r = 0;
  for (size_t bit = 1; bit < size; bit <<= 1) {
    r = r << 1 | (i & 1);
    i >>= 1;
  }
  return r;
}

/// Numbers [first, first + n) of a transform of `size` lines of `width` elements, halves first, so that what fits a cache is
/// finished there. W_n^k = e^(-2 pi i k / n) is entry 2 k size / n of a table of size half-turns.
template <class V, bool Inverse, class S>
void transformLanes(S* re, S* im, size_t n, size_t size, size_t width, const S* cosines, const S* sines) {
  if (n < 2) return;
  const size_t half = n / 2, stride = 2 * (size / n);
  if constexpr (Inverse) {
    transformLanes<V, Inverse>(re, im, half, size, width, cosines, sines);
    transformLanes<V, Inverse>(re + half * width, im + half * width, half, size, width, cosines, sines);
  }
  for (size_t k = 0; k < half; k++) {
    const V c = V::set(cosines[k * stride]), s = V::set(Inverse ? sines[k * stride] : -sines[k * stride]);
    S *ar = re + k * width, *ai = im + k * width, *br = ar + half * width, *bi = ai + half * width;
    for (size_t i = 0; i < width; i += V::lanes) {
      const V xr = V::load(ar + i), xi = V::load(ai + i), yr = V::load(br + i), yi = V::load(bi + i);
      if constexpr (Inverse) {
        const V tr = yr * c - yi * s, ti = yr * s + yi * c;
        (xr + tr).store(ar + i);
        (xi + ti).store(ai + i);
        (xr - tr).store(br + i);
        (xi - ti).store(bi + i);
      } else {
        const V tr = xr - yr, ti = xi - yi;
        (xr + yr).store(ar + i);
        (xi + yi).store(ai + i);
        (tr * c - ti * s).store(br + i);
        (tr * s + ti * c).store(bi + i);
      }
    }
  }
  if constexpr (!Inverse) {
    transformLanes<V, Inverse>(re, im, half, size, width, cosines, sines);
    transformLanes<V, Inverse>(re + half * width, im + half * width, half, size, width, cosines, sines);
  }
}

/// Spectra of two real sequences of 2 H numbers, given as transforms of H complex ones, become that of their circular
/// convolution, likewise packed and ready for the inverse, the factor 1 / H included. With Z = transform, the spectrum is
/// X_k = (Z_k + conj Z_{H-k}) / 2 - i W^k (Z_k - conj Z_{H-k}) / 2, W = e^(-i pi / H).
template <class V, class S>
void multiplyPacked(S* re, S* im, const S* kernelRe, const S* kernelIm, size_t size, size_t width, const S* cosines,
                    const S* sines) {
  const V half = V::set(S(0.5)), scale = V::set(S(1.0 / double(size)));
  for (size_t k = 0; k <= size / 2; k++) {
    const size_t a = bitReversed(k, size) * width, b = bitReversed((size - k) % size, size) * width;
    const V c = V::set(cosines[k]), s = V::set(sines[k]);
    for (size_t i = 0; i < width; i += V::lanes) {
      V x[2][4];  // of u and of the kernel: X_k and X_{H-k}, re and im
      for (int which = 0; which < 2; which++) {
        const S *r = which ? kernelRe : re, *m = which ? kernelIm : im;
        const V ar = V::load(r + a + i), ai = V::load(m + a + i), br = V::load(r + b + i), bi = V::load(m + b + i);
        const V er = (ar + br) * half, ei = (ai - bi) * half, dr = (ar - br) * half, di = (ai + bi) * half;
        // -i W^k (dr + i di), W^k = c - i s
        const V pr = di * c - dr * s, pi = V::set(0) - (dr * c + di * s);
        x[which][0] = er + pr;
        x[which][1] = ei + pi;
        x[which][2] = er - pr;  // X_{H-k} = conj(E - P)
        x[which][3] = pi - ei;
      }
      const V yr = x[0][0] * x[1][0] - x[0][1] * x[1][1], yi = x[0][0] * x[1][1] + x[0][1] * x[1][0];
      const V wr = x[0][2] * x[1][2] - x[0][3] * x[1][3], wi = x[0][2] * x[1][3] + x[0][3] * x[1][2];
      // Back: E = (Y_k + conj Y_{H-k}) / 2, P = (Y_k - conj Y_{H-k}) / 2, Z_k = E + i W^-k P.
      const V er = (yr + wr) * half, ei = (yi - wi) * half, pr = (yr - wr) * half, pi = (yi + wi) * half;
      const V qr = V::set(0) - (pr * s + pi * c), qi = pr * c - pi * s;
      ((er + qr) * scale).store(re + a + i);
      ((ei + qi) * scale).store(im + a + i);
      if (a == b) continue;
      ((er - qr) * scale).store(re + b + i);  // Z_{H-k} = conj(E - i W^-k P)
      ((qi - ei) * scale).store(im + b + i);
    }
  }
}

}  // namespace softlane::ISA
