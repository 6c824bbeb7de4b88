import fc from 'fast-check';

import { SeriesSet } from '../../lib/elastic/index.js';
import { expectNear } from '../helpers/compare.js';
import { deviation, mean } from '../reference/elastic/points.js';

it('cuts one array into series of one length or of many', () => {
  const data = Float64Array.from({ length: 12 }, (_, i) => i);
  const equal = new SeriesSet(data, { lengths: 3, channels: 2 });
  expect([equal.count, equal.length, equal.channels]).toEqual([2, 3, 2]);
  expect(Array.from(equal.offsets)).toEqual([0, 6, 12]);
  expect(equal.series(1)).toEqual(data.subarray(6));
  expect(equal.series(1).buffer).toBe(data.buffer);
  const ragged = new SeriesSet(data, { lengths: Int32Array.of(2, 7, 3) });
  expect([ragged.count, ragged.length, ragged.channels]).toEqual([3, null, 1]);
  expect(Array.from(ragged.lengths)).toEqual([2, 7, 3]);
  expect(ragged.series(1)).toEqual(data.subarray(2, 9));
  // A list of lengths that happen to be equal is a set of equal lengths.
  expect(new SeriesSet(data, { lengths: [4, 4, 4] }).length).toBe(4);
});

it('is made of series, and of some of its own', () => {
  const list = [Float32Array.of(1, 2), Float32Array.of(3, 4, 5, 6), Float32Array.of(7, 8)];
  const set = SeriesSet.from(list, { channels: 2 });
  expect(Array.from(set.lengths)).toEqual([1, 2, 1]);
  expect(set.data).toBeInstanceOf(Float32Array);
  const some = set.subset([2, 1, 2]);
  expect(Array.from(some.data)).toEqual([7, 8, 3, 4, 5, 6, 7, 8]);
  expect(some.channels).toBe(2);
});

it('changes its type where it has another', () => {
  const wide = new SeriesSet(Float64Array.of(0.1, 0.2), { lengths: 1 });
  const narrow = wide.toFloat32();
  expect(narrow.data).toEqual(Float32Array.of(0.1, 0.2));
  expect(narrow.toFloat32()).toBe(narrow);
  expect(wide.toFloat64()).toBe(wide);
  expect(Array.from(narrow.toFloat64().data)).toEqual([Math.fround(0.1), Math.fround(0.2)]);
});

it('brings every channel of every series to mean 0 and deviation 1, and constant ones to 0', () => {
  const channel = fc.array(fc.integer({ min: -1000, max: 1000 }), { minLength: 4, maxLength: 4 });
  fc.assert(
    fc.property(fc.array(channel, { minLength: 2, maxLength: 8 }), (channels) => {
      if (channels.length % 2 !== 0) channels.pop();
      const data = Float64Array.from(channels.flat(), (value) => value / 7);
      const before = data.slice();
      const set = new SeriesSet(data, { lengths: 4, channels: 2 }).zNormalized();
      expect(data).toEqual(before);
      channels.forEach((values, c) => {
        const scaled = Array.from(set.data.subarray(4 * c, 4 * c + 4));
        if (values.every((value) => value === values[0])) expect(scaled).toEqual([0, 0, 0, 0]);
        else {
          expectNear(mean(scaled), 0, 1e-12);
          expectNear(deviation(scaled), 1, 1e-12);
        }
      });
    }),
  );
  const level = new SeriesSet(new Float64Array(9).fill(0.1), { lengths: 9 });
  expect(Array.from(level.zNormalized().data)).toEqual(new Array(9).fill(0));
});
