// Scans: what operations and per-ISA kernels share. C headers only.
#pragma once
#include "../types.h"
#include "state.h"

namespace softlane {}  // namespace softlane
