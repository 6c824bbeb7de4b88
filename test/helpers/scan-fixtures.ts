/** The fixtures of the selective scan (test/fixtures/selective-scan, README there). */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ScanInput, ScanShape } from '../reference/selective-scan.js';

interface Shaped {
  shape: number[];
  complex?: boolean;
  data: number[];
}

interface Stored {
  name?: string;
  deltaSoftplus?: boolean | number;
  discretization?: ScanShape['discretization'];
  inputs: Record<string, Shaped>;
  segmentIds?: Shaped;
  upstream?: { out: Shaped; lastState: Shaped };
  out: Shaped;
  lastState: Shaped;
  segmentStates?: Shaped[][];
  gradients?: Record<string, Shaped>;
}

/** Names of gradients, by that of the array in the fixtures. */
export const GRADIENTS = {
  u: 'du',
  delta: 'ddelta',
  A: 'dA',
  B: 'dB',
  C: 'dC',
  D: 'dD',
  z: 'dz',
  deltaBias: 'ddeltaBias',
  initialState: 'dInitialState',
} as const;

/** One case: arrays channels-first, what comes of them, and where given the gradients. */
export interface ScanFixture {
  name: string;
  input: ScanInput;
  shape: ScanShape & { groups: number };
  out: number[];
  lastState: number[];
  segmentStates?: number[];
  upstream?: { out: number[]; lastState: number[] };
  gradients: [keyof typeof GRADIENTS, number[]][];
}

function caseOf(name: string, stored: Stored): ScanFixture {
  const { inputs, upstream, gradients = {} } = stored;
  const [batch, dim, length] = inputs.u.shape;
  const state = inputs.A.shape[1];
  const varies = (x: Shaped): boolean => x.shape.length > 2;
  const groups = inputs.B.shape.length === 4 ? inputs.B.shape[1] : 1;
  const input = Object.fromEntries(
    Object.entries(inputs).map(([key, { data }]) => [key, data]),
  ) as unknown as ScanInput;
  if (stored.segmentIds) input.segmentIds = stored.segmentIds.data;
  return {
    name: stored.name ? `${name}: ${stored.name}` : name,
    input,
    shape: {
      batch,
      dim,
      length,
      state,
      groups,
      variableB: varies(inputs.B),
      variableC: varies(inputs.C),
      complex: inputs.A.complex ?? false,
      deltaSoftplus: Boolean(stored.deltaSoftplus),
      discretization: stored.discretization ?? 'euler',
    },
    out: stored.out.data,
    lastState: stored.lastState.data,
    segmentStates: stored.segmentStates?.flat().flatMap(({ data }) => data),
    upstream: upstream && { out: upstream.out.data, lastState: upstream.lastState.data },
    gradients: Object.entries(gradients).map(([key, { data }]) => [key as keyof typeof GRADIENTS, data]),
  };
}

const FILES = [
  ...['full', 'groups', 'plain', 'mixed', 'state', 'length1', 'long', 'wide-delta', 's4d-real', 'constant-b'],
  ...['chunks', 'extremes', 'segments', 'discretization', 'complex', 'complex-gradients'],
];

/** The cases of one file, scan-NAME.json. */
export function scanFixture(name: string): ScanFixture[] {
  const path = join(__dirname, '..', 'fixtures', 'selective-scan', `scan-${name}.json`);
  const stored = JSON.parse(readFileSync(path, 'utf8')) as Stored | Stored[];
  const list = [stored].flat();
  return list.map((each, i) => caseOf(list.length > 1 ? `${name} ${i}` : name, each));
}

/** All cases of all files. */
export const scanFixtures = (): ScanFixture[] => FILES.flatMap(scanFixture);

/** A tolerance relative to the largest magnitude, at least 1. */
export function scaledTolerance(expected: ArrayLike<number>, relative: number): () => number {
  let largest = 1;
  for (let i = 0; i < expected.length; i += 1) largest = Math.max(largest, Math.abs(expected[i]));
  return () => relative * largest;
}
