// The memory of a Pairs: kept from one pair to the next, as large as the largest needed.
#pragma once
#include <limits>

#include "method.h"

namespace softlane {

/// Scratch that grows.
template <class T>
class Room {
 public:
  T* of(size_t count) {
    if (count > size_) {
      scratch_.reset();
      scratch_ = std::make_unique<Scratch>(count * sizeof(T));
      size_ = count;
    }
    return scratch_ ? scratch_->as<T>() : nullptr;
  }

 private:
  std::unique_ptr<Scratch> scratch_;
  size_t size_ = 0;
};

template <class S>
constexpr S kInfinite = std::numeric_limits<S>::infinity();

/// Border cells of EDR: D[0][j] for `top`, else D[i][0], `stride` apart.
template <class S>
void edrBorder(const Method& method, const Band& band, size_t n, size_t m, bool top, S* out, size_t stride);
/// Of the recursions with weights, by the difference of indices, for a pair whose longer series has `longer` points.
template <class S>
S weightOf(const Method& method, size_t away, size_t longer);

template <class S>
struct Pairs<S>::Buffers {
  // lanes
  Room<S> x, y, xAux, yAux, xBorder, yBorder, row, threshold, cutoff, shares, dx, dy, leftFlow;
  std::vector<size_t> xs, ys;
  size_t n = 0, m = 0;
  // one pair
  Room<S> waveX, waveY, waveXAux, waveYAux, even, odd, top, left, diagonals, table, history, waveDx, waveDy;
  std::vector<size_t> historyAt;
  // weights of the last shape
  std::vector<S> weights;
  size_t weightsN = 0, weightsM = 0;
};

}  // namespace softlane
