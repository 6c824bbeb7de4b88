import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import type { MetricOptions } from '../reference/elastic/distances.js';

/** A case of elastic-distances/distances.json; an infinite number is null there. */
export interface DistanceCase {
  channels: number;
  n: number;
  m: number;
  window: number | null;
  /** One array per channel. */
  x: number[][];
  y: number[][];
  distances: Record<string, number | null>;
  dtw_path?: [number, number][];
  msm_c1_independent_path?: [number, number][];
  dtw_cost_matrix?: (number | null)[][];
  msm_c1_cost_matrix?: (number | null)[][];
}

/** elastic-distances/distances.json. */
export interface DistanceFixtures {
  cases: DistanceCase[];
  itakura_masks: { n: number; m: number; slope: number; mask: number[][] }[];
}

/** A case of soft-msm/soft.json. */
export interface SoftCase {
  channels: number;
  n: number;
  m: number;
  window: number | null;
  gamma: number;
  c: number;
  x: number[][];
  y: number[][];
  soft_dtw: number;
  soft_dtw_grad_x: number[][];
  /** null where the gradient itself comes from finite differences. */
  soft_dtw_grad_fd_gap: number | null;
  soft_msm: number;
  soft_msm_grad_x: number[][];
  soft_msm_grad_y: number[][];
  soft_msm_yx: number;
  soft_msm_xx: number;
  soft_msm_yy: number;
  soft_dtw_xx: number;
  soft_dtw_yy: number;
  soft_msm_divergence: number;
  soft_dtw_divergence: number;
  soft_msm_cost_matrix?: (number | null)[][];
  soft_dtw_cost_matrix?: (number | null)[][];
}

/** One entry of elastic-distances/accuracy_NAME.json. */
export interface AccuracyEntry {
  errors: number;
  params: Record<string, number>;
  dist_sum: number;
}

/** elastic-distances/accuracy_NAME.json. */
export interface AccuracyFixture {
  dataset: string;
  n_train: number;
  n_test: number;
  channels: number;
  nn1: Record<string, AccuracyEntry>;
}

function read<T>(folder: string, name: string): T {
  const path = join(__dirname, '..', 'fixtures', folder, `${name}.json`);
  return JSON.parse(readFileSync(path, 'utf8')) as T;
}

/** The hard distances. */
export function distanceFixtures(): DistanceFixtures {
  return read('elastic-distances', 'distances');
}

/** The soft losses. */
export function softCases(): SoftCase[] {
  return read<{ cases: SoftCase[] }>('soft-msm', 'soft').cases;
}

/** Errors of nearest-neighbour classification. */
export function accuracyFixture(name: string): AccuracyFixture {
  return read('elastic-distances', `accuracy_${name}`);
}

/** null is infinite. */
export function spelled(value: number | null): number {
  return value ?? Infinity;
}

/** Options that each key of a distance case stands for; `shape_dtw_reach3_aeon` is information only. */
export const DISTANCE_KEYS: Record<string, MetricOptions> = {
  squared: { metric: 'squared' },
  euclidean: { metric: 'euclidean' },
  dtw: { metric: 'dtw' },
  'wdtw_g0.05': { metric: 'wdtw' },
  adtw_w1: { metric: 'adtw' },
  'adtw_w0.1': { metric: 'adtw', warpPenalty: 0.1 },
  ddtw: { metric: 'ddtw' },
  'wddtw_g0.05': { metric: 'wddtw', g: 0.05 },
  erp_g0_cumulative: { metric: 'erp' },
  erp_g0_aeon: { metric: 'erp', compat: 'aeon' },
  'edr_eps0.3_standard_count': { metric: 'edr', epsilon: 0.3 },
  'edr_eps0.3_aeon': { metric: 'edr', epsilon: 0.3, compat: 'aeon' },
  edr_auto_aeon: { metric: 'edr', compat: 'aeon' },
  'lcss_eps0.3': { metric: 'lcss', epsilon: 0.3 },
  'twe_nu0.001_l1': { metric: 'twe' },
  'twe_nu0.05_l0.5': { metric: 'twe', nu: 0.05, lambda: 0.5 },
  msm_c1_independent: { metric: 'msm' },
  'msm_c0.1_independent': { metric: 'msm', c: 0.1 },
  msm_c1_dependent: { metric: 'msm', independent: false },
  shape_dtw_reach3: { metric: 'shapeDtw', reach: 3 },
  sbd: { metric: 'sbd' },
};

/** Keys that are there to be read by people. */
export const INFORMATION_ONLY: readonly string[] = ['shape_dtw_reach3_aeon'];

/** The series of a case as the package takes them: channels one after the other. */
export function flat(channels: number[][]): Float64Array {
  return Float64Array.from(channels.flat());
}
