import { formatHeader, locateHeader, parseHeader } from '../../lib/io/npy-header.js';
import { parseNpy } from '../../lib/io/npy.js';
import { parseLiteral } from '../../lib/io/python-literal.js';

/** An .npy file with any header text. */
function file(text: string, data: Uint8Array = new Uint8Array(0), version = 1): Uint8Array {
  const header = Buffer.from(text, version === 3 ? 'utf8' : 'latin1');
  const start = version === 1 ? 10 : 12;
  const bytes = Buffer.alloc(start + header.length + data.length);
  bytes.write('\x93NUMPY', 'latin1');
  bytes[6] = version;
  if (version === 1) bytes.writeUInt16LE(header.length, 8);
  else bytes.writeUInt32LE(header.length, 8);
  header.copy(bytes, start);
  bytes.set(data, start + header.length);
  return bytes;
}

describe('a header', () => {
  it.each([
    [`{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }`],
    [`{'shape':(2,),'fortran_order':False,'descr':'<f4'}`],
    [`  {"shape": (2L,) , "descr": u'<f4' ,\n "fortran_order": False}\n\n`],
    [`{'descr': '=f4', 'fortran_order': False, 'shape': [2]}`],
    [`{b'descr': 'f4', 'fortran_order': False, 'shape': (+2,)}`],
  ])('may be spaced and ordered as it likes: %s', (text) => {
    const data = new Uint8Array(Float32Array.of(1, 2).buffer);
    for (const version of [1, 2, 3]) {
      expect(parseNpy(file(text, data, version))).toMatchObject({ shape: [2], dtype: 'f32' });
    }
  });

  it.each([
    ['  ', 'an early end at character 2'],
    ['{  ', 'an early end at character 3'],
    [`{'descr': '<f4'`, `a missing ',' or '}' at character 15`],
    [`{'descr': '<f4', 'fortran_order': False, 'shape': (2,)} x`, `an unexpected 'x'`],
    [`{'descr': '<f4', 'fortran_order': False, 'shape': (2 3)}`, `a missing ',' or ')'`],
    [`{'descr': '<f4', 'fortran_order': False, 'shape': (2.5,)}`, `an unexpected '2'`],
    [`{'descr': '<f4', 'fortran_order': Falsey, 'shape': (2,)}`, `an unexpected 'F'`],
    [`{'descr': '<f4', 'descr': '<f8', 'fortran_order': False, 'shape': (2,)}`, `the key 'descr' twice`],
    [`{'descr': '<f4`, 'an unfinished string'],
    [`{'descr': '\\x41', 'fortran_order': False, 'shape': ()}`, 'an unknown escape'],
    [`{1: 2}`, 'a key that is not a string'],
    [`{'descr' '<f4'}`, `a missing ':'`],
    [`${'('.repeat(100)}`, 'too many nested brackets'],
    [`__import__('os').system('true')`, `an unexpected '_'`],
  ])('is refused where it is not a literal: %s', (text, problem) => {
    expect(() => parseNpy(file(text), { source: 'h.npy' })).toThrow(
      expect.objectContaining({
        code: 'ERR_NPY_FORMAT',
        message: expect.stringMatching(
          /^h\.npy: expected a header that is a Python dictionary, received one with /,
        ),
      }),
    );
    expect(() => parseNpy(file(text))).toThrow(problem);
  });

  it.each([
    ['(1, 2)', 'ERR_NPY_FORMAT', 'received ["1","2"]'],
    ['{}', 'ERR_NPY_FORMAT', 'received none'],
    [`{'descr': '<f4', 'shape': ()}`, 'ERR_NPY_FORMAT', 'received descr, shape'],
    [
      `{'descr': '<f4', 'fortran_order': False, 'shape': (), 'more': 1}`,
      'ERR_NPY_FORMAT',
      'received descr, fortran_order, more, shape',
    ],
    [`{'descr': 4, 'fortran_order': False, 'shape': ()}`, 'ERR_NPY_FORMAT', `'descr' to be a string`],
    [
      `{'descr': '<f4', 'fortran_order': 0, 'shape': ()}`,
      'ERR_NPY_FORMAT',
      `to be True or False, received "0"`,
    ],
    [`{'descr': '<f4', 'fortran_order': False, 'shape': 3}`, 'ERR_NPY_FORMAT', `'shape' to be a tuple`],
    [`{'descr': '<f4', 'fortran_order': False, 'shape': (3)}`, 'ERR_NPY_FORMAT', `'shape' to be a tuple`],
    [`{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}`, 'ERR_NPY_FORMAT', `received ["-1"]`],
    [`{'descr': '<f4', 'fortran_order': False, 'shape': (True,)}`, 'ERR_NPY_FORMAT', `received [true]`],
    [
      `{'descr': '<f4', 'fortran_order': False, 'shape': (${'1, '.repeat(65)})}`,
      'ERR_NPY_FORMAT',
      'at most 64 integers',
    ],
    [
      `{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296)}`,
      'ERR_NPY_TOO_LARGE',
      'received the shape (4294967296, 4294967296)',
    ],
    [
      `{'descr': '<f4', 'fortran_order': False, 'shape': (0, 99999999999999999999)}`,
      'ERR_NPY_TOO_LARGE',
      '99999999999999999999',
    ],
    [`{'descr': '<f3', 'fortran_order': False, 'shape': ()}`, 'ERR_NPY_UNSUPPORTED', `'<f3'`],
    [`{'descr': '>V2', 'fortran_order': False, 'shape': ()}`, 'ERR_NPY_UNSUPPORTED', `'>V2'`],
    [`{'descr': '', 'fortran_order': False, 'shape': ()}`, 'ERR_NPY_UNSUPPORTED', `''`],
    [
      `{'descr': ('<f4', (2,)), 'fortran_order': False, 'shape': ()}`,
      'ERR_NPY_UNSUPPORTED',
      'a structured type',
    ],
  ])('is refused where it makes no sense: %s', (text, code, problem) => {
    expect(() => parseNpy(file(text))).toThrow(
      expect.objectContaining({ code, message: expect.stringContaining(problem) }),
    );
  });

  it('that claims more than the file or the limit holds is refused before it is read', () => {
    const claim = (length: number): Uint8Array => {
      const bytes = Buffer.from(file(`{'descr': '<f4', 'fortran_order': False, 'shape': ()}`, undefined, 2));
      bytes.writeUInt32LE(length, 8);
      return bytes;
    };
    expect(() => parseNpy(claim(500))).toThrow(
      /expected a header that ends at byte 512, received only 65 bytes/,
    );
    expect(() => parseNpy(claim(0xffffffff))).toThrow(
      /at most 1048576 bytes, received a length of 4294967295/,
    );
  });

  it('that implies more memory than there is is an error, not a crash', () => {
    const text = `{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000,)}`;
    expect(() => parseNpy(file(text))).toThrow(expect.objectContaining({ code: 'ERR_NPY_TRUNCATED' }));
  });
});

describe('foreign files', () => {
  it.each([
    [
      'PK\x03\x04..............',
      /received 50 4b 03 04 2e 2e \(a zip archive: \.npz files must be unpacked first\)/,
    ],
    ['\x89HDF\r\n\x1a\n..........', /received 89 48 44 46 0d 0a$/],
    ['\x93NUMPY\x04\x00............', /expected \.npy version 1\.0, 2\.0 or 3\.0, received 4\.0/],
    ['\x93NUMPY\x01\x01............', /received 1\.1/],
    ['\x93NUM', /expected at least 12 bytes, received 4/],
    ['x', /received 78$/],
    ['', /expected at least 12 bytes, received 0/],
  ])('%j', (text, message) => {
    expect(() => parseNpy(Buffer.from(text, 'latin1'))).toThrow(message);
  });
});

describe('formatHeader', () => {
  it.each([
    [[], '()'],
    [[3], '(3,)'],
    [[3, 4], '(3, 4)'],
    [[0], '(0,)'],
  ])('writes the shape %j as numpy does, and reads it back', (shape, tuple) => {
    for (const fortranOrder of [false, true]) {
      const bytes = formatHeader('f32', shape, fortranOrder);
      const { start, end, encoding } = locateHeader(bytes.subarray(0, 12), 'x');
      expect(end).toBe(bytes.length);
      expect(end % 64).toBe(0);
      const text = Buffer.from(bytes.subarray(start, end)).toString(encoding);
      expect(text).toContain(`'shape': ${tuple}, }`);
      expect(text.endsWith('\n')).toBe(true);
      expect(parseHeader(text, end, 'x')).toMatchObject({
        shape,
        fortranOrder,
        dtype: 'f32',
        dataOffset: end,
      });
    }
  });
});

describe('parseLiteral', () => {
  it('reads nested values', () => {
    expect(parseLiteral(`{'a': [('x', '<i4'), ()], "b": None, 'c': (1,), 'd': 'it\\'s'}`)).toEqual(
      new Map<string, unknown>([
        ['a', [['x', '<i4'], []]],
        ['b', null],
        ['c', [1n]],
        ['d', "it's"],
      ]),
    );
  });
});
