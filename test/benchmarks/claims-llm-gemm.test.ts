import { verdictOf } from '../../benchmarks/claims/claim.js';
import {
  ceilingClaims,
  dataflowClaims,
  gemmClaims,
  peerClaims,
  prefetchClaims,
  rowClaims,
  rowsBy,
  typeClaims,
  worstLoss,
} from '../../benchmarks/claims/llm-gemm.js';
import { MAIN_SHAPES, ROWS, type Weights } from '../../benchmarks/gemm/cases.js';
import type { ResultRow } from '../../benchmarks/harness/results.js';
import { availableIsas } from '../../lib/index.js';
import type { DataflowTable } from '../../lib/kernels/dataflow.js';
import { machineKey } from '../../lib/tuning-file.js';

const [isa] = availableIsas();
const stated = { n: 4096, k: 4096 };

/** A row of a contender that takes `ms`, of which the ceilings allow `floorMs`. */
const row = (
  contender: string,
  m: number,
  ms: number,
  floorMs: number,
  shape: Weights = stated,
): ResultRow => ({
  question: 'gemm',
  contender,
  case: { m, ...shape, dtype: 'f32', isa, threads: 1 },
  medianNs: ms * 1e6,
  spread: 0,
  samples: 15,
  ofCeiling: floorMs / ms,
});
const everywhere = (contender: string, ms: (m: number) => number) =>
  MAIN_SHAPES.flatMap((shape) => ROWS.map((m) => row(contender, m, ms(m), 1, shape)));

describe('the claims about products', () => {
  it('are all listed, once each, and not measured where the run was stopped before', async () => {
    const ceilings = {
      readGBps: 39,
      readLargeGBps: 46,
      copyGBps: 38,
      streamCopyGBps: 44,
      fmaGflops: { [isa]: 250 },
    };
    const claims = await gemmClaims(() => undefined, AbortSignal.abort(), ceilings);
    // Four shapes in two types; four ratios to the peer; four of types; rows; two choices; two of prefetching.
    expect(claims).toHaveLength(4 * 2 + 4 + 4 + 1 + 2 + 2);
    expect(new Set(claims.map(({ text }) => text)).size).toBe(claims.length);
    for (const claim of claims) {
      expect(claim.atLeast ?? claim.atMost).toBeDefined();
      expect(verdictOf(claim)).toBe('not measured');
    }
  });
});

describe('ceilingClaims', () => {
  it('take the worst number of rows of a shape, and need all of them', () => {
    const rows = ROWS.map((m) => row('packed f32', m, m === 8 ? 1.3 : 1.1, 1));
    const [claim] = ceilingClaims(rowsBy(rows)).filter(({ text }) => text.includes('[4096, 4096] f32'));
    expect(claim.measured).toBeCloseTo(1.3, 12);
    expect(verdictOf(claim)).toBe('miss');
    const [missing] = ceilingClaims(rowsBy(rows.slice(1))).filter(({ text }) =>
      text.includes('[4096, 4096] f32'),
    );
    expect(verdictOf(missing)).toBe('not measured');
  });
});

describe('peerClaims', () => {
  it('are the stated ratios, expected where the ceilings allow them', () => {
    const rows = [
      row('packed f32', 4, 2, 1.8),
      row('onnxruntime-node', 4, 8.4, 1.8),
      row('packed f32', 8, 2, 1.9),
      row('onnxruntime-node', 8, 5, 1.9),
    ];
    const claims = peerClaims(rowsBy(rows));
    expect(claims.map(({ stated: text }) => text)).toEqual(['>= 1.3 x', '>= 3.5 x', '>= 3.5 x', '>= 2.8 x']);
    expect(claims.map(verdictOf)).toEqual(['not measured', 'pass', 'not expected here', 'not measured']);
    expect(claims[1].measured).toBeCloseTo(4.2, 12);
    expect(claims[2].notExpected).toBe('the ceilings of this machine allow 2.63 x');
  });
});

describe('typeClaims', () => {
  it('expect two times where memory binds both', () => {
    const rows = [
      row('packed f32', 1, 2, 1.8),
      row('packed bf16', 1, 1.1, 0.9),
      row('packed f32', 8, 2.5, 2.2),
      row('packed bf16', 8, 2.4, 2.2),
    ];
    const claims = typeClaims(rowsBy(rows));
    expect(claims.map(verdictOf)).toEqual(['miss', 'not measured', 'not measured', 'not expected here']);
    expect(claims[0].measured).toBeCloseTo(2 / 1.1, 12);
  });
});

describe('rowClaims', () => {
  it('compare four rows with one', () => {
    const [claim] = rowClaims(rowsBy([row('packed f32', 1, 2, 1.8), row('packed f32', 4, 2.2, 1.8)]));
    expect(verdictOf(claim)).toBe('pass');
    const [bound] = rowClaims(rowsBy([row('packed f32', 1, 2, 1), row('packed f32', 4, 4, 3.9)]));
    expect(bound.notExpected).toBe('the ceilings of this machine allow 3.90 x at best');
  });
});

describe('dataflowClaims', () => {
  const find = rowsBy([
    ...everywhere('gemv f32', (m) => m),
    ...everywhere('flat f32', (m) => 1.5 + m / 16),
    ...everywhere('blocked f32', (m) => 3 + m / 32),
  ]);

  it('hold choices against the best of the three kernels', () => {
    expect(worstLoss(find, () => 'flat')).toBeCloseTo((1.5 + 1 / 16) / 1, 12);
    expect(worstLoss(find, (m) => (m < 2 ? 'gemv' : m < 48 ? 'flat' : 'blocked'))).toBeLessThan(1.0001);
    expect(worstLoss(rowsBy([]), () => 'flat')).toBeNaN();
    const entries = MAIN_SHAPES.map((shape) => {
      return { ...shape, type: 'f32', isa, packed: true, threads: 1, m1: 2, m2: 64 } as const;
    });
    const table: DataflowTable = { device: machineKey(), entries };
    expect(verdictOf(dataflowClaims(find, table)[0])).toBe('pass');
    expect(verdictOf(dataflowClaims(find, null)[0])).toBe('not measured');
  });

  it('tell the built-in choice from that of a table', () => {
    // No built-in choice is the blocked product at so few rows.
    const blockedWins = rowsBy([
      ...everywhere('gemv f32', () => 3),
      ...everywhere('flat f32', () => 3),
      ...everywhere('blocked f32', () => 2),
    ]);
    const [tuned, builtIn] = dataflowClaims(blockedWins, {
      device: machineKey(),
      entries: [{ ...stated, type: 'f32', isa, packed: true, threads: 1, m1: 1, m2: 1 }],
    });
    expect([tuned, builtIn].map(({ measured }) => measured)).toEqual([1, 1.5]);
    expect([tuned, builtIn].map(verdictOf)).toEqual(['pass', 'miss']);
  });
});

describe('prefetchClaims', () => {
  it('are geometric means over rows and shapes', () => {
    const rows = [
      ...everywhere('packed f32', () => 1),
      ...everywhere('no-prefetch f32', (m) => (m === 1 ? 2 : 1)),
      ...everywhere('packed bf16', () => 1),
      ...everywhere('no-prefetch bf16', () => 0.9),
    ];
    const [wide, half] = prefetchClaims(rowsBy(rows));
    expect(wide.measured).toBeCloseTo(2 ** (1 / 7), 12);
    expect([wide, half].map(verdictOf)).toEqual(['pass', 'miss']);
  });
});
