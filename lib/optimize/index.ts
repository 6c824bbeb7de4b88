/** Minimisation of smooth functions: what the methods of softlane that learn by gradients stand on. */
export { lbfgs, lbfgsAsync, lbfgsSteps } from './lbfgs.js';
export type { Evaluation, Iteration, LbfgsOptions, LbfgsReason, LbfgsResult } from './lbfgs.js';
export { lineSearch } from './line-search.js';
export type { LineSearchOptions, LineSearchResult, Probe } from './line-search.js';
