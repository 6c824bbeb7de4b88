// The table of kernels of one instruction set, and the prototypes of every build, from catalogue.def. C headers only.
#pragma once
#include "attention/attention.h"
#include "elastic/elastic.h"
#include "gemm/gemm.h"
#include "types.h"

namespace softlane {

struct Kernels {
#define KERNEL(name, ret, args) ret(*name) args;
#include "catalogue.def"
};

namespace scalar {
#define KERNEL(name, ret, args) ret name args;
#include "catalogue.def"
}  // namespace scalar
namespace avx2 {
#define KERNEL(name, ret, args) ret name args;
#include "catalogue.def"
}  // namespace avx2
namespace avx512 {
#define KERNEL(name, ret, args) ret name args;
#include "catalogue.def"
}  // namespace avx512

/// The table in use: chosen when the module is loaded, changed by selectIsa.
const Kernels& kernels();

}  // namespace softlane
