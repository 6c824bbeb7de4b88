/** Errors of a model's files; see lib/io/checkpoint-error.ts. */
export { CheckpointError, type CheckpointProblem } from '../io/checkpoint-error.js';
