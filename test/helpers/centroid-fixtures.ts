import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** One row of soft-msm/nearest_centroid_NAME.json. */
export interface CentroidEntry {
  errors: number;
  params: { gamma?: number; c?: number };
  /** Null where the method has no objective. */
  objective_per_class: (number | null)[];
  total_hard_msm_c1_to_centroid: number;
}

/** soft-msm/nearest_centroid_NAME.json. */
export interface CentroidFixture {
  classes: string[];
  results: Record<string, CentroidEntry>;
}

/** Nearest-centroid results on a data set. */
export function centroidFixture(name: string): CentroidFixture {
  const path = join(__dirname, '..', 'fixtures', 'soft-msm', `nearest_centroid_${name}.json`);
  return JSON.parse(readFileSync(path, 'utf8')) as CentroidFixture;
}
