// Products as operations ask for them.
#pragma once
#include "../parallel.h"
#include "matmul.h"

namespace softlane {

/// `count` products of one shape; that of index i starts at aOffsets[i] and bOffsets[i] (in elements), and its result after
/// those of the others. Results depend neither on threads nor on count.
void multiplyAll(Run& run, const MatmulJob& shape, size_t count, const double* aOffsets, const double* bOffsets,
                 size_t threads);

}  // namespace softlane
