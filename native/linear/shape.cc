// The shape of a call of linear attention, its checks, and the table of Taylor features.
#ifdef SOFTLANE_OPERATIONS
#include "shape.h"

namespace softlane {

FeatureTable::FeatureTable(size_t dim, size_t order, bool symmetric) : count(1) {
  if (order == 0) return;
  count = 1 + dim;
  // Of each feature of the order before: its last variable, and how often that is in it.
  struct Last {
    uint32_t variable, times;
  };
  std::vector<Last> before, now;
  for (size_t j = 0; j < dim; j++) before.push_back({uint32_t(j), 1});
  size_t begin = 1;
  for (size_t degree = 2; degree <= order; degree++) {
    now.clear();
    const size_t next = count;
    for (size_t p = 0; p < before.size(); p++) {
      const uint32_t from = symmetric ? before[p].variable : 0, children = uint32_t(dim) - from;
      const double all = 1 / std::sqrt(double(degree)), ratio = 1 / std::sqrt(double(before[p].times + 1));
      runs.push_back(
          {uint32_t(begin + p), from, uint32_t(count), children, symmetric ? ratio : all, symmetric ? 1 : all});
      for (uint32_t j = from; j < dim; j++) now.push_back({j, j == from && symmetric ? before[p].times + 1 : 1});
      count += children;
    }
    begin = next;
    before.swap(now);
  }
}

double taylorFeatureCount(size_t dim, size_t order, bool symmetric) {
  double total = 1, term = 1;
  for (size_t degree = 1; degree <= order; degree++) {
    term = symmetric ? term * double(dim + degree - 1) / double(degree) : term * double(dim);
    total += term;
    if (total > 0x1p53) return 0x1p53;
  }
  return std::round(total);
}

LinearShape::LinearShape(In<double> sizes, LinearKind kind, LinearAlgorithm algorithm, Dtype type, bool stateful)
    : type(type), kind(kind), algorithm(algorithm) {
  if (sizes.length != 15) throw rangeError("sizes", "15 numbers", std::to_string(sizes.length));
  const auto size = [&](size_t i) { return size_t(sizes.data[i]); };
  batch = size(0);
  heads = size(1);
  length = size(2);
  encoder = size(3);
  dim = size(4);
  valueDim = size(5);
  order = size(6);
  scale = sizes.data[7];
  eps = sizes.data[8];
  chunk = size(9);
  normalize = sizes.data[10] != 0;
  symmetric = sizes.data[11] != 0;
  masksInput = sizes.data[12] != 0;
  clamp = sizes.data[13];
  causal = sizes.data[14] != 0;
  if (dim == 0 || valueDim == 0) throw rangeError("sizes", "positive", "0");
  if (order > 32) throw rangeError("order", "at most 32", std::to_string(order));
  const double count = kind == LinearKind::taylor ? taylorFeatureCount(dim, order, symmetric) : double(dim);
  const double most = double(kind == LinearKind::exponential ? 0 : count);
  const double tokens = double(std::max(length, encoder));
  if (this->algorithm == LinearAlgorithm::automatic) {
    // Operations of a token: all of its tiles, or those of one chunk and the two products with the state.
    const double pair = double(dim + valueDim), tile = std::min(tokens, 64.0) * pair;
    const bool quadratic = !stateful && tokens * pair <= tile + 4 * count * double(valueDim);
    this->algorithm = quadratic ? LinearAlgorithm::quadratic : LinearAlgorithm::chunk;
  }
  if (kind == LinearKind::exponential) this->algorithm = LinearAlgorithm::quadratic;
  const bool whole = stateful || this->algorithm != LinearAlgorithm::quadratic;
  if (whole && most * double(valueDim) > 0x1p31)
    throw rangeError("order", "small enough for a state of 2^31 elements", std::to_string(order));
  if (whole && kind == LinearKind::taylor) table = FeatureTable(dim, order, symmetric);
  features = kind == LinearKind::taylor ? (whole ? table.count : 1) : dim;
  if (chunk == 0) {
    // A block of features stays within 4 MiB.
    const size_t fits = (size_t(1) << 22) / (blockRows(whole) * sizeOf(type));
    chunk = std::max<size_t>(16, std::min<size_t>(64, fits / 16 * 16));
  }
  chunk = std::max<size_t>(1, std::min(chunk, std::max(length, encoder)));
}

void requireLinear(const LinearShape& n, In<Any> q, Maybe<In<Any>> k, Maybe<In<Any>> v, Maybe<In<Any>> kEnc,
                   Maybe<In<Any>> vEnc, Maybe<In<uint8_t>> mask, Maybe<In<Any>> stateKv, Maybe<In<Any>> stateK) {
  const size_t count = n.batch * n.heads, tokens = count * n.length, encoded = count * n.encoder;
  requireReal("q", q, n.type, tokens * n.dim);
  if (n.causal != (k.data != nullptr || k.length > 0) && n.length > 0)
    throw typeError("k", n.causal ? "given" : "left out", n.causal ? "undefined" : "an array");
  requireReal("k", k, n.type, tokens * n.dim);
  requireReal("v", v, n.type, tokens * n.valueDim);
  if (n.causal && tokens && !v.data) throw typeError("v", "given", "undefined");
  requireReal("kEnc", kEnc, n.type, encoded * n.dim);
  requireReal("vEnc", vEnc, n.type, encoded * n.valueDim);
  if (encoded && (!kEnc.data || !vEnc.data)) throw typeError("kEnc", "given", "undefined");
  if (mask.data && mask.length != n.batch * n.length)
    throw rangeError("mask", std::to_string(n.batch * n.length) + " elements long", std::to_string(mask.length));
  if (mask.data && n.encoder > n.length)
    throw rangeError("encoderLength", "at most the length of the mask", std::to_string(n.encoder));
  requireReal("stateKv", stateKv, n.type, count * n.features * n.valueDim);
  requireReal("stateK", stateK, n.type, count * n.features);
}

}  // namespace softlane
#endif
