// Scans: what operations and per-ISA kernels share. C headers only.
#pragma once
#include "../types.h"

namespace softlane {}  // namespace softlane
