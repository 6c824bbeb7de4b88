import { normalRow64 } from '../../helpers/rows.js';
import { expectClose, expectNear } from '../../helpers/compare.js';
import { flat, softCases, spelled } from '../../helpers/elastic-fixtures.js';
import { distance } from './distances.js';
import { SOFT_LOSSES, softLoss, softLossGrad, softMin, type SoftOptions } from './soft.js';
import { transition } from './soft-steps.js';

const relative =
  (error: number, floor = 1e-300) =>
  (_: number, value: number): number =>
    error * Math.abs(value) + floor;

/** Gradient by central differences. */
function differences(f: (x: Float64Array) => number, x: Float64Array, h = 1e-6): Float64Array {
  return x.map((value, i) => {
    const at = (v: number): number => f(x.map((old, k) => (k === i ? v : old)));
    return (at(value + h) - at(value - h)) / (2 * h);
  });
}

describe.each(softCases().map((c, index) => ({ ...c, index })))(
  'case $index: $channels x $n and $m, window $window, gamma $gamma',
  (c) => {
    const [x, y] = [flat(c.x), flat(c.y)];
    const shared: SoftOptions = {
      channels: c.channels,
      window: c.window ?? undefined,
      gamma: c.gamma,
      c: c.c,
    };
    const dtw: SoftOptions = { ...shared, loss: 'dtw' };
    const msm: SoftOptions = { ...shared, loss: 'msm' };

    it('has the values of the fixtures', () => {
      // Self terms at a small gamma are sums of what is left of the costs that cancel.
      const close = (actual: number, expected: number, name: string): void => {
        expectClose([actual], [expected], relative(1e-10, 1e-13), name);
      };
      close(softLoss(x, y, dtw), c.soft_dtw, 'soft-DTW');
      close(softLoss(x, x, dtw), c.soft_dtw_xx, 'soft-DTW of x with itself');
      close(softLoss(y, y, dtw), c.soft_dtw_yy, 'soft-DTW of y with itself');
      close(softLoss(x, y, { ...dtw, divergence: true }), c.soft_dtw_divergence, 'soft-DTW divergence');
      close(softLoss(x, y, msm), c.soft_msm, 'soft-MSM');
      close(softLoss(y, x, msm), c.soft_msm_yx, 'soft-MSM the other way');
      close(softLoss(x, x, msm), c.soft_msm_xx, 'soft-MSM of x with itself');
      close(softLoss(y, y, msm), c.soft_msm_yy, 'soft-MSM of y with itself');
      close(softLoss(x, y, { ...msm, divergence: true }), c.soft_msm_divergence, 'soft-MSM divergence');
    });

    it('has the gradients and tables of the fixtures', () => {
      const [d, s] = [softLossGrad(x, y, dtw), softLossGrad(x, y, msm)];
      const byDifferences = c.soft_dtw_grad_fd_gap === null;
      expectClose(d.dx, flat(c.soft_dtw_grad_x), byDifferences ? () => 1e-6 : relative(1e-8, 1e-12), 'dx');
      expectClose(s.dx, flat(c.soft_msm_grad_x), relative(1e-8, 1e-12), 'soft-MSM dx');
      expectClose(s.dy, flat(c.soft_msm_grad_y), relative(1e-8, 1e-12), 'soft-MSM dy');
      const rows = (name: string, actual: readonly Float64Array[], expected?: (number | null)[][]): void =>
        expected?.forEach((row, i) =>
          expectClose(actual[i], row.map(spelled), relative(1e-10, 1e-13), `${name} row ${i}`),
        );
      rows('soft-DTW', d.costs, c.soft_dtw_cost_matrix);
      rows('soft-MSM', s.costs, c.soft_msm_cost_matrix);
    });
  },
);

it('has the worked numbers', () => {
  const t = (v: number, p: number, o: number, gamma: number): number =>
    transition(v, p, o, { gamma, c: 1, gate: 'absolute' }).cost;
  expectNear(t(1, 0, 2, 1), 1.0000000000767133, 1e-15);
  expectNear(t(3, 1, 2, 1), 1.9514126483667948, 1e-15);
  expectNear(t(3, 1, 2, 0.01), 1.9999999999375, 1e-15);
  const [x, y] = [
    [0, 1, 2],
    [0, 2, 2.5],
  ];
  const expected: [SoftOptions, number][] = [
    [{ loss: 'msm', gamma: 1 }, 0.45372829790305136],
    [{ loss: 'msm', gamma: 0.1 }, 1.2499999985571644],
    [{ loss: 'msm', gamma: 0.001 }, 1.25],
    [{ loss: 'msm', gamma: 1, divergence: true }, 0.9260527677797818],
    [{ loss: 'dtw', gamma: 1 }, -0.12170528976975098],
    [{ loss: 'dtw', gamma: 0.1 }, 1.1401357445113676],
    [{ loss: 'dtw', gamma: 0.001 }, 1.248901387711332],
  ];
  for (const [options, value] of expected) {
    expectNear(softLoss(x, y, options), value, 1e-14, JSON.stringify(options));
  }
});

it('a soft minimum is the minimum at 0 and lower above, and drops what is infinite', () => {
  expect(softMin([3, 1, 2], 0)).toBe(1);
  expectNear(softMin([1, 1], 0.5), 1 - 0.5 * Math.LN2, 1e-15);
  expect(softMin([Infinity, 4], 1)).toBe(4);
  expect(softMin([Infinity, Infinity], 1)).toBe(Infinity);
});

describe.each(SOFT_LOSSES)('%s', (loss) => {
  const shapes: SoftOptions[] = [
    {},
    { gamma: 0.1 },
    { window: 0.4 },
    { windowAbs: 2 },
    { itakuraMaxSlope: 0.6 },
    { channels: 2, gamma: 0.5 },
    { divergence: true },
    { g: 0.3, warpPenalty: 0.2, nu: 0.05, lambda: 0.3, c: 0.4, gate: 'relative' },
    { gate: 'relative', divergence: true, window: 0.5 },
  ];

  it.each(shapes)('has the gradients that central differences find, %j', (shape) => {
    const channels = shape.channels ?? 1;
    for (const [n, m] of [
      [7, 7],
      [6, 8],
      [9, 5],
    ]) {
      const options: SoftOptions = { ...shape, loss };
      const [x, y] = [normalRow64(channels * n, 1, n), normalRow64(channels * m, 1, 100 + m)];
      const { value, dx, dy, occupancy } = softLossGrad(x, y, options);
      if (value === Infinity) continue;
      const tolerance = (_: number, d: number): number => 2e-7 * (1 + Math.abs(d));
      expectClose(
        dx,
        differences((v) => softLoss(v, y, options), x),
        tolerance,
        'dx',
      );
      expectClose(
        dy,
        differences((v) => softLoss(x, v, options), y),
        tolerance,
        'dy',
      );
      const share = loss === 'msm' ? channels : 1;
      // Borders of ERP may take a path away from the first cell.
      if (loss !== 'erp') expectNear(occupancy[0][0], share, 1e-12, 'occupancy of the first cell');
    }
  });

  it('comes near the hard distance as gamma goes to 0', () => {
    const [x, y] = [normalRow64(9, 1, 1), normalRow64(11, 1, 2)];
    const soft = softLoss(x, y, { loss, gamma: 1e-5 });
    // The hard form of Soft-MSM has squared costs and a gate that is smoothed: it has no name of its own.
    if (loss === 'msm') expect(softLoss(x, y, { loss, gamma: 1e-3 })).toBeLessThanOrEqual(soft);
    else {
      expectNear(soft, distance(x, y, { metric: loss }), 1e-3);
      expectNear(softLoss(x, y, { loss, gamma: 0 }), distance(x, y, { metric: loss }), 1e-12);
    }
  });

  it('is the same both ways, and 0 with slope 0 between a series and itself as a divergence', () => {
    const [x, y] = [normalRow64(9, 1, 1), normalRow64(11, 1, 2)];
    expectNear(softLoss(x, y, { loss }), softLoss(y, x, { loss }), 1e-12);
    const self = softLossGrad(x, x, { loss, divergence: true });
    expectNear(self.value, 0, 1e-12);
    expectClose(self.dx, new Float64Array(9), () => 1e-12);
  });
});
