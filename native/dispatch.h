// The table of kernels of one instruction set, and the prototypes of every build, from catalogue.def. C headers only. A
// loop half needs none of it, and is not compiled again when another family gets a kernel: the linker compares.
#pragma once
#include "attention/attention.h"
#include "elastic/elastic.h"
#include "gemm/gemm.h"
#include "types.h"

#if defined(SOFTLANE_OPERATIONS) || !defined(ISA)
#include "linear/linear.h"
#include "matmul/matmul.h"
#include "scan/scan.h"
#include "soft/soft.h"
#include "tensor/tensor.h"

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
#endif
