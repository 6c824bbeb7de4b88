import { badCalls, type GoodCall, refuses, wrong } from '../helpers/bad-calls.js';
import { detach, resizable } from '../helpers/errors.js';

// Two sequences of up to 6 tokens, 4 query heads on 2, heads of 8. What a refused call must not have written to:
const out = new Float32Array(2 * 4 * 8);
const buffer = new Float32Array(512);
const large = new Float32Array(5 * 2 * 2 * 4 * 8);
const lengths = (...values: number[]): Int32Array => Int32Array.from(values);

const decode: GoodCall = {
  name: 'decodeAttention',
  arrays: () => ({ q: new Float32Array(64), keys: new Float32Array(192), values: new Float32Array(192) }),
  options: () => ({
    batch: 2,
    queryHeads: 4,
    kvHeads: 2,
    headDim: 8,
    maxLength: 6,
    lengths: lengths(6, 3),
    softmax: 'unified',
    out,
  }),
};

const sizes = [0, -1, 1.5, NaN, Infinity, 2 ** 53];

/** What every form of attention refuses alike. */
const common = [
  ...wrong('q', 'type', [undefined, null, [1], new Float64Array(64), new Uint16Array(64)]),
  ...wrong('q', 'range', [new Float32Array(63)], ['q', 'batch', 'queryHeads', 'headDim']),
  {
    what: 'q is detached',
    kind: 'range',
    blames: 'q',
    change: { q: () => detach(new Float32Array(64)) },
  } as const,
  {
    what: 'q is resizable',
    kind: 'range',
    blames: 'q',
    change: { q: () => new Float32Array(resizable(256)) },
  } as const,
  ...wrong('batch', 'range', sizes, ['batch', 'q', 'lengths', 'pageTable']),
  ...wrong('queryHeads', 'range', [...sizes, 5, 3], ['queryHeads', 'kvHeads', 'q']),
  ...wrong('kvHeads', 'range', [...sizes, 3, 8], ['kvHeads', 'queryHeads', 'keys', 'pages']),
  ...wrong('headDim', 'range', sizes, ['headDim', 'q']),
  ...wrong('batch', 'type', ['2', null]),
  ...wrong('queryTokens', 'range', [...sizes, 2], ['queryTokens', 'q']),
  ...wrong('scale', 'range', [NaN, Infinity, -Infinity]),
  ...wrong('scale', 'type', ['1', null]),
  ...wrong('window', 'range', [-1, 0.5, NaN]),
  ...wrong('sinkTokens', 'range', [-1, 0.5, NaN]),
  ...wrong('softCap', 'range', [-1, NaN, Infinity]),
  ...wrong(
    'splits',
    'range',
    [0, -1, 1.5, NaN, { chunk: 0 }, { chunk: 1.5 }, { chunk: -1 }],
    ['splits', 'splits.chunk', 'chunk'],
  ),
  ...wrong('splits', 'type', ['many', null, true]),
  ...wrong('softmax', 'range', ['flash', '', 'constructor']),
  ...wrong('phi', 'range', [NaN, Infinity, -Infinity]),
  ...wrong('phi', 'type', ['0', null]),
  ...wrong('rule', 'range', ['paper', '']),
  ...['element', 'row'].map((rule) => ({
    what: `range is upside down, rule ${rule}`,
    kind: 'range' as const,
    blames: 'range',
    change: { rule, range: [3, -3] },
  })),
  ...wrong('range', 'range', [
    [1, 1],
    [NaN, 3],
    [1, NaN],
  ]),
  ...wrong('range', 'type', [5, 'ab']),
  ...wrong('kvType', 'range', ['f64', 'f8', '']),
  ...wrong('threads', 'range', [0, 1.5, NaN]),
  ...wrong('threads', 'type', ['2']),
  ...wrong('alibiSlopes', 'type', [5, 'abcd', null, new Int32Array(4)]),
  ...wrong('alibiSlopes', 'range', [new Float32Array(3)]),
  ...wrong('sinks', 'type', [5, 'abcd', {}]),
  ...wrong('sinks', 'range', [new Float32Array(2)]),
  ...wrong('out', 'type', [[], new Float64Array(64), null]),
  ...wrong('out', 'range', [out.subarray(1)]),
];

describe('decodeAttention', () => {
  refuses(
    badCalls(decode, [
      ...common,
      ...wrong('keys', 'type', [undefined, null, [1], new Float64Array(192)]),
      ...wrong('keys', 'type', [new Uint16Array(192)], ['keys', 'kvType']),
      ...wrong('keys', 'range', [new Int8Array(192)], ['keys', 'values', 'kvType']),
      ...wrong('keys', 'range', [new Float32Array(191)], ['keys', 'maxLength']),
      ...wrong('values', 'type', [undefined, [1], new Uint16Array(192)]),
      ...wrong('values', 'range', [new Float32Array(191)], ['values', 'maxLength']),
      ...wrong('maxLength', 'range', [...sizes, 7], ['maxLength', 'keys', 'lengths']),
      ...wrong('lengths', 'type', [undefined, [6, 3], new Float32Array(2), new Uint32Array(2)]),
      ...wrong('lengths', 'range', [lengths(6), lengths(7, 3), lengths(-1, 3), lengths(3, 2 ** 31 - 1)]),
      ...[192, 192, 2].map((length, i) => {
        const name = ['keys', 'values', 'lengths'][i];
        const kind = name === 'lengths' ? Int32Array : Float32Array;
        const change = { [name]: () => new kind(resizable(4 * length)) };
        return { what: `${name} on resizable memory`, kind: 'range' as const, blames: name, change };
      }),
      ...[192, 192, 2].map((length, i) => {
        const name = ['keys', 'values', 'lengths'][i];
        const kind = name === 'lengths' ? Int32Array : Float32Array;
        const change = { [name]: () => detach(new kind(length)) };
        return { what: `${name} detached`, kind: 'range' as const, blames: name, change };
      }),
      ...wrong('layout', 'range', ['NDH', '', 'nhd']),
      {
        what: 'an int8 cache without scales',
        kind: 'type',
        blames: ['keyScales', 'valueScales'],
        change: { keys: new Int8Array(192), values: new Int8Array(192), kvType: 'int8' },
      },
      {
        what: 'too few scales of an int8 cache',
        kind: 'range',
        blames: ['keyScales', 'valueScales'],
        change: {
          keys: new Int8Array(192),
          values: new Int8Array(192),
          kvType: 'int8',
          keyScales: new Float32Array(24),
          valueScales: new Float32Array(23),
        },
      },
      ...['q', 'keys', 'values'].map((name) => ({
        what: `out overlaps ${name}`,
        kind: 'range' as const,
        blames: 'out',
        change: {
          [name]: () => buffer.subarray(0, name === 'q' ? 64 : 192),
          out: () => buffer.subarray(60, 124),
        },
      })),
    ]),
    [out, buffer],
  );
});

const table = (...pages: number[]): Int32Array => Int32Array.from(pages);

const paged: GoodCall = {
  name: 'pagedDecodeAttention',
  // Five pages of four tokens.
  arrays: () => ({ q: new Float32Array(64), pages: new Float32Array(5 * 2 * 2 * 4 * 8) }),
  options: () => ({
    batch: 2,
    queryHeads: 4,
    kvHeads: 2,
    headDim: 8,
    pageSize: 4,
    lengths: lengths(6, 3),
    pageTable: table(0, 4, 2, -1),
    softmax: 'unified',
    out,
  }),
};

const listed: GoodCall = {
  ...paged,
  options: () => ({
    batch: 2,
    queryHeads: 4,
    kvHeads: 2,
    headDim: 8,
    pageSize: 4,
    indptr: table(0, 2, 3),
    indices: table(0, 4, 2),
    lastPageLength: table(2, 3),
    out,
  }),
};

describe('pagedDecodeAttention', () => {
  refuses(
    [
      ...badCalls(paged, [
        ...common,
        ...wrong('pages', 'type', [undefined, null, [1], new Float64Array(640)]),
        ...wrong('pages', 'type', [new Uint16Array(640)], ['pages', 'kvType']),
        ...wrong('pages', 'range', [new Float32Array(639)], ['pages', 'pageSize']),
        {
          what: 'pages on resizable memory',
          kind: 'range',
          blames: 'pages',
          change: { pages: () => new Float32Array(resizable(4 * 640)) },
        },
        {
          what: 'a page table on resizable memory',
          kind: 'range',
          blames: 'pageTable',
          change: { pageTable: () => new Int32Array(resizable(16)) },
        },
        {
          what: 'pages detached',
          kind: 'range',
          blames: ['pages', 'pageTable'],
          change: { pages: () => detach(new Float32Array(640)) },
        },
        ...wrong('pageSize', 'range', sizes, ['pageSize', 'pages']),
        ...wrong('pageTable', 'type', [[0, 4, 2, -1], new Float32Array(4)]),
        ...wrong('pageTable', 'range', [
          table(0, 5, 2, -1),
          table(0, -1, 2, -1),
          table(0, -2, 2, -1),
          table(0, 2 ** 31 - 1, 2, -1),
          table(0, 4, -1, -1),
        ]),
        ...wrong('pageTable', 'range', [table(0, 4, 2)], ['pageTable', 'batch']),
        ...wrong('lengths', 'type', [undefined, [6, 3], new Float32Array(2)]),
        ...wrong(
          'lengths',
          'range',
          [lengths(6), lengths(-1, 3), lengths(9, 3), lengths(2 ** 31 - 1, 3)],
          ['lengths', 'pageTable'],
        ),
        {
          what: 'out overlaps pages',
          kind: 'range',
          blames: 'out',
          change: { pages: () => large, out: () => large.subarray(100, 164) },
        },
      ]),
      ...badCalls(listed, [
        ...wrong('indptr', 'type', [[0, 2, 3], new Float32Array(3)]),
        ...wrong('indptr', 'range', [
          table(0, 2),
          table(0, 3, 2),
          table(0, 2, 4),
          table(-1, 2, 3),
          table(0, 2, 2 ** 31 - 1),
        ]),
        ...wrong('indices', 'type', [[0, 4, 2]]),
        ...wrong('indices', 'range', [table(0, 5, 2), table(0, -1, 2)]),
        ...wrong('lastPageLength', 'type', [[2, 3]]),
        ...wrong('lastPageLength', 'range', [table(2), table(0, 3), table(5, 3), table(-1, 3)]),
      ]),
    ],
    [out, large],
  );
});

describe('unifiedSoftmax', () => {
  const good: GoodCall = {
    name: 'unifiedSoftmax',
    arrays: () => ({ scores: new Float32Array(12) }),
    options: () => ({ rows: 3, cols: 4, phi: 0 }),
  };
  refuses(
    badCalls(good, [
      ...wrong('scores', 'type', [undefined, [1], new Float64Array(12)]),
      ...wrong('scores', 'range', [new Float32Array(11)], ['scores', 'rows', 'cols']),
      ...wrong('rows', 'range', [0, -1, 1.5, NaN], ['rows', 'scores']),
      ...wrong('phi', 'range', [NaN, Infinity, -Infinity]),
      ...wrong('phi', 'type', ['0']),
      ...wrong('rule', 'range', ['paper']),
      ...wrong('range', 'range', [
        [3, -3],
        [1, 1],
        [NaN, 1],
      ]),
    ]),
    [],
  );
});

describe('mergeAttention', () => {
  const good: GoodCall = {
    name: 'mergeAttention',
    arrays: () => ({ outs: new Float32Array(2 * 3 * 4), logSumExps: new Float32Array(6) }),
    options: () => ({ count: 2, rows: 3, headDim: 4 }),
  };
  refuses(
    badCalls(good, [
      ...wrong('outs', 'type', [undefined, [1], new Float64Array(24)]),
      ...wrong('outs', 'range', [new Float32Array(23)], ['outs', 'count', 'rows', 'headDim']),
      ...wrong('logSumExps', 'type', [undefined, [1], new Float64Array(6)]),
      ...wrong('logSumExps', 'range', [new Float32Array(5)], ['logSumExps', 'count', 'rows']),
      ...wrong('count', 'range', [0, 1.5, 3, NaN], ['count', 'outs', 'logSumExps']),
      ...wrong('rows', 'range', [0, 1.5, 4, NaN], ['rows', 'outs', 'logSumExps']),
      ...wrong('headDim', 'range', [0, 1.5, 5, NaN], ['headDim', 'outs']),
    ]),
    [],
  );
});

const prefill: GoodCall = {
  name: 'prefillAttention',
  arrays: () => ({ q: new Float32Array(96), k: new Float32Array(96), v: new Float32Array(96) }),
  options: () => ({ batch: 2, queryHeads: 2, kvHeads: 2, headDim: 8, length: 3 }),
};

describe('sizes that no memory holds are refused by name, without out too', () => {
  refuses(
    [
      ...[decode, paged].flatMap((good) =>
        badCalls(good, [
          {
            what: '2^50 partial results',
            kind: 'range',
            blames: ['out', 'splits'],
            change: { splits: 2 ** 50, partials: true, out: undefined },
          },
          {
            what: '2^40 sequences',
            kind: 'range',
            blames: ['batch', 'q', 'keys', 'pageTable', 'lengths'],
            change: { batch: 2 ** 40, out: undefined },
          },
        ]),
      ),
      ...badCalls(prefill, [
        ...wrong('batch', 'range', [2 ** 40, 2 ** 52], ['q', 'batch']),
        ...wrong('length', 'range', [2 ** 31, 2 ** 52], ['q', 'length']),
      ]),
    ],
    [out],
  );
});
