// Lower bounds of DTW, for the operations that prune with them.
#pragma once
#include "method.h"

namespace softlane {

/// upper[i] = max of y over [i - radius, i + radius], lower[i] the min; O(n). radius < n.
template <class S>
void envelopeOf(const S* y, size_t n, size_t radius, S* upper, S* lower);

/// LB_Keogh(x, y) or LB_Improved(x, y), summed over channels.
double keoghBound(const double* x, const double* y, size_t n, size_t channels, size_t radius, bool improved);

/// Univariate DTW of float64 series under a cutoff (pruned.cc): exact where at most cutoff, else infinity. `rest[i]`
/// bounds from below what rows i.. must still cost; `row` is scratch.
double prunedDtw(const double* x, size_t n, const double* y, size_t m, const Band& band, double cutoff,
                 const double* rest, std::vector<double>& row);

}  // namespace softlane
