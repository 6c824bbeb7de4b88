import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** An array as the fixtures hold it. */
interface Stored {
  shape: number[];
  data: number[];
}

type Outputs<T> = Record<'out' | 'grad_q' | 'grad_landmarks' | 'grad_v', T>;

interface Case<T> extends Record<
  | 'q'
  | 'landmarks'
  | 'v'
  | 'grad_out'
  | 'K1'
  | 'A'
  | 'newton_main'
  | 'newton_halving'
  | 'grad_inv'
  | 'grad_A',
  T
> {
  inv_reg: T;
  soft: Outputs<T>;
  softpp: Outputs<T>;
  n: number;
  d: number;
  m: number;
  dv: number;
  iters: number;
  alpha_main: number;
  alpha_halving: number;
  halvings: number;
  newton_main_residual: number;
}

/** A case of test/fixtures/soft-linear-attention: one head, with outputs of the exact inverse of A + 0.01 I. */
export type SoftCase = Case<Float64Array>;

/** All of them. */
export const SOFT_CASES: readonly SoftCase[] = [0, 1, 2, 3].map((index) => {
  const path = join(__dirname, '..', 'fixtures', 'soft-linear-attention', `case${index}.json`);
  return JSON.parse(readFileSync(path, 'utf8'), (_, value: unknown) =>
    typeof value === 'object' && value !== null && 'data' in value
      ? Float64Array.from((value as Stored).data)
      : value,
  ) as SoftCase;
});
