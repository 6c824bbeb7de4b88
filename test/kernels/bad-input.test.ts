import { type BadCall, detach, expectRefused, resizable } from '../helpers/errors.js';
import { POISON } from '../helpers/rows.js';

// Outputs that a refused call must not have written to. They are filled anew before each test.
const out = new Float32Array(12);
const buffer = new Float32Array(40);

const x = (): Float32Array => Float32Array.from({ length: 12 }, (_, i) => i);
const half = (): Uint16Array => new Uint16Array(12);

/** Wrong values of one option of the row functions. */
function badOption(option: string, kind: BadCall['kind'], values: readonly unknown[]): BadCall[] {
  return values.map((value) => ({
    what: `${option}: ${typeof value === 'string' ? `'${value}'` : String(value)}`,
    name: 'softmax',
    kind,
    // A shape may be blamed on the array that is too short for it.
    blames: kind === 'range' && /rows|cols|Stride/.test(option) ? [option, 'x', 'out'] : option,
    args: () => [x(), { rows: 3, cols: 4, out, [option]: value }],
  }));
}

const options: BadCall[] = [
  ...badOption('rows', 'range', [0, -1, 1.5, NaN, Infinity, 5, 2 ** 53]),
  ...badOption('rows', 'type', ['3', null, {}]),
  ...badOption('cols', 'range', [-1, 2.5, NaN, 5, 2 ** 53]),
  ...badOption('cols', 'type', ['4']),
  ...badOption('rowStride', 'range', [3, 0, -4, 4.5, NaN, 100, 2 ** 53]),
  ...badOption('rowStride', 'type', ['4']),
  ...badOption('outRowStride', 'range', [3, 0, -4, 4.5, NaN, 2 ** 53]),
  ...badOption('outRowStride', 'type', ['4']),
  ...badOption('temperature', 'range', [0, -0, -1, NaN, Infinity, -Infinity, 1e-31, 1.1e30]),
  ...badOption('temperature', 'type', ['1', null, [1]]),
  ...badOption('algorithm', 'range', ['fast', '', 'Two-Pass', 'constructor', 'toString']),
  ...badOption('dtype', 'range', ['f8', 'float32', 'F32']),
  ...badOption('outDtype', 'range', ['f8', 'float32']),
  ...badOption('emptyRow', 'range', ['one', '']),
  ...badOption('threads', 'range', [0, -1, 1.5, NaN, Infinity]),
  ...badOption('threads', 'type', ['2']),
  ...badOption('streamingStores', 'type', ['yes', 1]),
];

/** Values that no array argument takes. */
const notArrays: [string, () => unknown][] = [
  ['undefined', () => undefined],
  ['null', () => null],
  ['a number', () => 5],
  ['a plain array', () => [1, 2, 3]],
  ['an Int32Array', () => new Int32Array(12)],
  ['a Uint8Array', () => new Uint8Array(12)],
  ['a BigInt64Array', () => new BigInt64Array(12)],
  ['a DataView', () => new DataView(new ArrayBuffer(48))],
  ['an ArrayBuffer', () => new ArrayBuffer(48)],
  ['an object like an array', () => ({ length: 12, 0: 1, buffer: new ArrayBuffer(48) })],
];

const rowFunctions = ['softmax', 'logSoftmax', 'logSumExp', 'entropy'];

const inputs: BadCall[] = rowFunctions.flatMap((name) => [
  ...notArrays.map(([what, make]): BadCall => ({
    what,
    name,
    kind: 'type',
    blames: 'x',
    args: () => [make()],
  })),
  { what: '16 bits without dtype', name, kind: 'type', blames: ['x', 'dtype'], args: () => [half()] },
  {
    what: 'float32 with dtype bf16',
    name,
    kind: 'range',
    blames: 'dtype',
    args: () => [x(), { dtype: 'bf16' }],
  },
  {
    what: '16 bits with dtype f32',
    name,
    kind: 'type',
    blames: ['x', 'dtype'],
    args: () => [half(), { dtype: 'f32' }],
  },
  { what: 'a detached array', name, kind: 'range', blames: 'x', args: () => [detach(x())] },
  {
    what: 'a detached array with its shape',
    name,
    kind: 'range',
    blames: 'x',
    args: () => [detach(x()), { rows: 3, cols: 4 }],
  },
  {
    what: 'a resizable buffer',
    name,
    kind: 'range',
    blames: 'x',
    args: () => [new Float32Array(resizable(48))],
  },
  { what: 'options that are no object', name, kind: 'type', blames: 'options', args: () => [x(), 5] },
]);

const outputs: BadCall[] = ['softmax', 'logSoftmax'].flatMap((name): BadCall[] => {
  const call = (
    what: string,
    kind: BadCall['kind'],
    blames: BadCall['blames'],
    args: () => readonly unknown[],
  ): BadCall => ({
    what,
    name,
    kind,
    blames,
    args,
  });
  return [
    ...notArrays
      .filter(([what]) => what !== 'undefined')
      .map(([what, make]) => call(`out is ${what}`, 'type', 'out', () => [x(), { out: make() }])),
    call('out is float64 for float32', 'type', ['out', 'outDtype'], () => [
      x(),
      { out: new Float64Array(12) },
    ]),
    call('out is float32 for outDtype bf16', 'range', ['out', 'outDtype'], () => [
      x(),
      { out, outDtype: 'bf16' },
    ]),
    call('out is 16 bits for outDtype f32', 'type', ['out', 'outDtype'], () => [
      x(),
      { out: half(), outDtype: 'f32' },
    ]),
    call('out is too short', 'range', 'out', () => [x(), { out: out.subarray(0, 11) }]),
    call('out is too short for its stride', 'range', ['out', 'outRowStride'], () => [
      x(),
      { rows: 3, out, outRowStride: 5 },
    ]),
    call('out overlaps x from behind', 'range', 'out', () => [
      buffer.subarray(0, 12),
      { out: buffer.subarray(1, 13) },
    ]),
    call('out overlaps x from before', 'range', 'out', () => [
      buffer.subarray(11, 23),
      { out: buffer.subarray(0, 12) },
    ]),
    call('out is x at another stride', 'range', ['out', 'outRowStride'], () => [
      buffer,
      { rows: 3, cols: 4, rowStride: 6, out: buffer, outRowStride: 5 },
    ]),
    call('out is x in another type', 'range', ['out', 'outDtype'], () => [
      buffer.subarray(0, 12),
      { out: new Uint16Array(buffer.buffer, 0, 12), outDtype: 'f16' },
    ]),
    call('out is detached', 'range', 'out', () => [x(), { out: detach(new Float32Array(12)) }]),
    call('out is resizable', 'range', 'out', () => [x(), { out: new Float32Array(resizable(48)) }]),
    call('streaming stores in place', 'range', ['streamingStores', 'out'], () => [
      buffer,
      { out: buffer, streamingStores: true },
    ]),
  ];
});

const calls: [string, BadCall[]][] = [
  ['options', options],
  ['inputs', inputs],
  ['outputs', outputs],
];

describe.each(calls)('wrong %s', (_topic, list) => {
  beforeEach(() => {
    out.fill(POISON);
    buffer.fill(POISON);
  });

  it.each(list)('$name: $what', async (call) => {
    await expectRefused(call);
    const poison = Math.fround(POISON);
    expect(out.every((value) => value === poison)).toBe(true);
    expect(buffer.every((value) => value === poison)).toBe(true);
  });
});
