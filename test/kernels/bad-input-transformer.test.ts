import { badCalls, type GoodCall, refuses, wrong } from '../helpers/bad-calls.js';
import { detach, resizable } from '../helpers/errors.js';

// What a refused call must not have written to.
const out = new Float32Array(12);
const residual = new Float32Array(12);
const buffer = new Float32Array(40);

const x = (): Float32Array => new Float32Array(12);
const cols = (): Float32Array => new Float32Array(4);

const arrays = (name: string): ReturnType<typeof wrong> => [
  ...wrong(name, 'type', [undefined, null, [1], new Float64Array(12), new Uint16Array(12)]),
  {
    what: `${name} is detached`,
    kind: 'range',
    blames: [name, 'w', 'rows', 'up', 'positions'],
    change: { [name]: () => detach(x()) },
  },
  {
    what: `${name} is resizable`,
    kind: 'range',
    blames: name,
    change: { [name]: () => new Float32Array(resizable(48)) },
  },
];

const outputs = (first: string): ReturnType<typeof wrong> => [
  ...wrong('out', 'type', [[], new Float64Array(12), null]),
  ...wrong('out', 'range', [out.subarray(1)]),
  {
    what: `out overlaps ${first}`,
    kind: 'range',
    blames: 'out',
    change: { [first]: () => buffer.subarray(0, 12), out: () => buffer.subarray(3, 15) },
  },
];

const rms: GoodCall = {
  name: 'rmsNorm',
  arrays: () => ({ x: x(), w: cols() }),
  options: () => ({ rows: 3, eps: 1e-5, out }),
};
const layer: GoodCall = {
  name: 'layerNorm',
  arrays: () => ({ x: x(), w: cols(), b: cols() }),
  options: () => ({ rows: 3, eps: 1e-5, out }),
};
const norms = [
  ...arrays('x'),
  ...outputs('x'),
  ...wrong('w', 'type', [undefined, [1], new Float64Array(4)]),
  ...wrong('w', 'range', [new Float32Array(3), new Float32Array(5)], ['w', 'x', 'rows']),
  ...wrong('rows', 'range', [0, -1, 1.5, NaN, 5], ['rows', 'x', 'w']),
  ...wrong('rows', 'type', ['3']),
  ...wrong('eps', 'range', [-1, NaN, Infinity]),
  ...wrong('eps', 'type', ['1e-5', null]),
];

const gates: GoodCall = {
  name: 'swiglu',
  arrays: () => ({ gate: x(), up: x() }),
  options: () => ({ out }),
};

// Three positions, one head of four.
const turn: GoodCall = {
  name: 'applyRope',
  arrays: () => ({ x: x(), positions: Int32Array.of(0, 1, 2) }),
  options: () => ({ headDim: 4, heads: 1, out }),
};

describe('what surrounds attention', () => {
  refuses(
    [
      ...badCalls(rms, [
        ...norms,
        ...wrong('residual', 'type', [[1], new Float64Array(12)]),
        ...wrong('residual', 'range', [residual.subarray(1)]),
      ]),
      ...badCalls(layer, [
        ...norms,
        ...wrong('b', 'type', [null, [1], new Float64Array(4)]),
        ...wrong('b', 'range', [new Float32Array(3)]),
      ]),
      ...badCalls(gates, [
        ...arrays('gate'),
        ...outputs('gate'),
        ...wrong('up', 'type', [undefined, [1], new Float64Array(12)]),
        ...wrong('up', 'range', [new Float32Array(11)]),
      ]),
      ...badCalls(turn, [
        ...arrays('x'),
        ...outputs('x'),
        ...wrong('positions', 'type', [undefined, [0, 1, 2], new Float32Array(3)]),
        ...wrong('positions', 'range', [Int32Array.of(0, 1)], ['positions', 'x']),
        ...wrong('headDim', 'range', [0, 3, 2.5, NaN, 8], ['headDim', 'x']),
        ...wrong('heads', 'range', [0, 1.5, 2, NaN], ['heads', 'x']),
        ...wrong('theta', 'range', [0, -1, NaN, Infinity]),
        ...wrong('theta', 'type', ['10000']),
        ...wrong('style', 'range', ['whole', '']),
        ...wrong('inverseFrequencies', 'type', [[1, 2], new Float32Array(2)]),
        ...wrong('inverseFrequencies', 'range', [new Float64Array(3)]),
        ...wrong('scaling', 'range', [{ type: 'yarn', factor: 2 }], 'scaling.type'),
        ...wrong('scaling', 'range', [{ type: 'linear', factor: 0 }], 'scaling.factor'),
      ]),
    ],
    [out, residual, buffer],
  );
});
