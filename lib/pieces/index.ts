/**
 * `softlane/pieces`: long jobs as pieces that a queue, a Slurm array, a shell loop or one process runs, in any order and
 * as often as it takes. `plan` cuts, `runPiece` computes one, `gather` merges, `runAll` does it all in this process.
 */
export { PieceError, type PieceErrorCode } from './error.js';
export { discard, gather, type GatherOptions } from './gather.js';
export type { Json, JsonObject } from './json.js';
export { registerKind, type GatherWork, type Piece, type PieceKind, type PieceWork } from './kinds.js';
export { pieceState, type PieceFile, type PieceState } from './piece-file.js';
export { plan, readPlan, selectPieces, type Plan, type PlanHead, type PlanOptions } from './plan.js';
export {
  runAll,
  runPiece,
  runPieces,
  type PieceResult,
  type RunAllOptions,
  type RunOptions,
  type RunResult,
} from './run.js';
