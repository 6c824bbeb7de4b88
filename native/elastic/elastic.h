// Elastic distances: what crosses the border between operations and loops. C headers only: loop halves include this.
//
// Every distance here is a dynamic programme over a table of (n + 1) x (m + 1) cells whose first row and column are
// borders: D[i+1][j+1] = cell(D[i][j], D[i][j+1], D[i+1][j]) for x_i against y_j. A metric (cell.h) says what a cell is;
// a loop (lanes.cc: many pairs at once; wave.cc: one pair along anti-diagonals; pruned.cc: one pair under a cutoff)
// says in which order cells are visited. All loops do the same operations on a cell in the same order, without fused
// multiply-adds in the hard forms: the same pair gives the same bits by any of them.
#pragma once
#include "../types.h"

namespace softlane {

/// The distances by their names in JavaScript, and Soft-MSM, which is only a loss.
enum class Metric : uint8_t {
  squared,
  euclidean,
  dtw,
  ddtw,
  wdtw,
  wddtw,
  adtw,
  shapeDtw,
  erp,
  edr,
  lcss,
  twe,
  msm,
  sbd,
  softMsm
};
enum class BandKind : uint8_t { none, fraction, radius, itakura };

/// The recursions. Derivative forms are recursions on derivatives, shapeDTW is DTW on descriptors.
enum class Recursion : uint8_t { dtw, wdtw, adtw, erp, edr, lcss, twe, msm, msmDependent, softMsm };

/// What a recursion is told besides the series.
struct CellForm {
  Recursion recursion;
  double gamma;       ///< of the soft minimum; 0: the hard minimum
  double penalty;     ///< ADTW: on vertical and horizontal steps
  double cost;        ///< MSM: c
  bool relativeGate;  ///< Soft-MSM
  const double* gap;  ///< ERP with gradients: the gap value of each channel
};

/// Whether the recursion reads a weight for each |i - j| (WDTW, TWE), a number for each point (ERP: distance to the
/// gap; TWE: what a step to it costs), the points before the present ones, a threshold for each pair (EDR, LCSS).
static inline bool usesWeights(Recursion r) { return r == Recursion::wdtw || r == Recursion::twe; }
static inline bool usesAux(Recursion r) { return r == Recursion::erp || r == Recursion::twe; }
static inline bool usesThreshold(Recursion r) { return r == Recursion::edr || r == Recursion::lcss; }
/// Whether border cells besides the corner are reachable.
static inline bool hasBorder(Recursion r) { return r == Recursion::erp || r == Recursion::edr || r == Recursion::lcss; }

/// Asked now and then by a loop that may take long, with the cells since the last time: whether to go on.
struct Watch {
  bool (*proceed)(void* context, size_t cells);  ///< null: nobody asks
  void* context;
  bool operator()(size_t cells) const { return !proceed || proceed(context, cells); }
};

/// `lanes` pairs of one shape, or of one n and several m where there is no band and no weight. S is float or double.
/// Interleaved arrays hold element (i, c) of all pairs side by side: [(i * channels + c) * lanes + lane].
struct LanesJob {
  CellForm form;
  Dtype dtype;
  size_t n, m, channels;
  const void *x, *y;          ///< interleaved, with one readable row before the first (zeros: what TWE pads with)
  const void *xAux, *yAux;    ///< [n][lanes], [m][lanes]
  const void* weights;        ///< weights[n + (j - i)], n + m scalars
  const void* threshold;      ///< [lanes]
  const int32_t *low, *high;  ///< columns of each row inside the band, null for all; high < low: none
  void* row;                  ///< [(m + 1)][lanes]: at the end the last row
  bool hasTop;                ///< row holds the top border at the start; otherwise only the corner is reachable
  const void* left;           ///< [(n + 1)][lanes]: the left border; null where only the corner is reachable
  const void* cutoff;         ///< [lanes]: stop as soon as no pair can end at or below its cutoff; null: never
  Watch watch;
  void* shares;  ///< soft forms: [n][m][3][lanes], the shares of diagonal, up and left; null: not kept
};

/// The way back through a soft table: `row` holds 0 except row[m][lanes] = upstream gradient; at the end row[j] is the
/// occupancy of the top border. `shares` is what the way forth kept. Gradients are added to, one spare row before each.
struct LanesBackward {
  LanesJob forth;
  void *dx, *dy;        ///< interleaved as x and y
  void* leftOccupancy;  ///< [(n + 1)][lanes] or null
};

/// One pair along anti-diagonals. x is channels x n, y channels x m, both with `kWavePad` readable elements before and
/// after every channel; y is reversed in time. Strides are the distances between channels.
struct WaveJob {
  CellForm form;
  Dtype dtype;
  size_t n, m, channels, strideX, strideY;
  const void *x, *yReversed;
  const void *xAux, *yAuxReversed;       ///< padded alike
  const void *weightsEven, *weightsOdd;  ///< weightsEven[k] = W(|2k|), weightsOdd[k] = W(|2k - 1|); k from -m/2 to n/2
  double threshold;
  const int32_t *first, *last;  ///< rows of each anti-diagonal inside the band: i with i + j = d, d in [0, n + m - 1)
  const int32_t *low, *high;    ///< columns of each row, given only for irregular bands: some row has no cell
  const void *top, *left;       ///< borders, [m + 1] and [n + 1]; null where only the corner is reachable
  void* diagonals;              ///< 3 x (n + 1 + 2 kWavePad)
  void* table;                  ///< n x m of S, row-major, or null: every cell; out-of-band cells are left alone
  void* history;                ///< or null: all anti-diagonals one after the other, [historyAt[d] + (i - first[d])]
  const size_t* historyAt;
  Watch watch;
};
constexpr size_t kWavePad = 64;

struct WaveBackward {
  WaveJob forth;                       ///< `history` is read, `diagonals` overwritten
  void *dx, *dyReversed;               ///< padded and strided as x and y; added to
  void *topOccupancy, *leftOccupancy;  ///< [m + 1], [n + 1] or null
  double* occupancy;                   ///< n x m or null: of every node
  double* alignment;                   ///< n x m or null: of the diagonal step into it
  double upstream;
};

}  // namespace softlane
