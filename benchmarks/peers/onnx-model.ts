/**
 * Builds small ONNX models. ONNX files are protocol buffers; of that format a model needs two kinds of field, varints and
 * length-delimited ones, and the field numbers below from onnx.proto3.
 */

/** Element types of ONNX tensors (TensorProto.DataType). */
const ELEMENT_TYPE = { float32: 1, float64: 11 } as const;
/** Attribute types INT and INTS (AttributeProto.AttributeType). */
const ATTRIBUTE = { int: 2, ints: 7 } as const;
const IR_VERSION = 8;
const OPSET = 13;

/** A non-negative or negative integer as a varint of up to 64 bits, two's complement. */
export function varint(value: number): number[] {
  let rest = BigInt.asUintN(64, BigInt(value));
  const bytes: number[] = [];
  do {
    const low = Number(rest & 0x7fn);
    rest >>= 7n;
    bytes.push(rest > 0n ? low | 0x80 : low);
  } while (rest > 0n);
  return bytes;
}

/** Field of wire type 0: an integer. */
function integer(field: number, value: number): number[] {
  return [...varint(field << 3), ...varint(value)];
}

/** Field of wire type 2: a string or a nested message. */
function delimited(field: number, content: string | number[]): number[] {
  const bytes = typeof content === 'string' ? [...Buffer.from(content, 'utf8')] : content;
  return [...varint((field << 3) | 2), ...varint(bytes.length), ...bytes];
}

/** A named tensor of fixed shape. */
interface TensorInfo {
  name: string;
  shape: readonly number[];
}

/** A constant of the model. */
interface Initializer extends TensorInfo {
  data: Float32Array;
}

/** One operator. */
interface Node {
  operator: string;
  inputs: readonly string[];
  output: string;
  attributes?: Record<string, number | readonly number[]>;
}

/** What a model computes. */
interface Graph {
  name: string;
  nodes: readonly Node[];
  inputs: readonly TensorInfo[];
  output: TensorInfo;
  initializers?: readonly Initializer[];
  dtype?: keyof typeof ELEMENT_TYPE;
}

/** ValueInfoProto. */
function tensorInfo({ name, shape }: TensorInfo, elementType: number): number[] {
  const dimensions = shape.flatMap((size) => delimited(1, integer(1, size)));
  const tensor = [...integer(1, elementType), ...delimited(2, dimensions)];
  return [...delimited(1, name), ...delimited(2, delimited(1, tensor))];
}

/** AttributeProto of one integer or of a list of them. */
function attribute(name: string, value: number | readonly number[]): number[] {
  const content =
    typeof value === 'number'
      ? [...integer(3, value), ...integer(20, ATTRIBUTE.int)]
      : [...value.flatMap((each) => integer(8, each)), ...integer(20, ATTRIBUTE.ints)];
  return [...delimited(1, name), ...content];
}

/** NodeProto. */
function nodeOf({ operator, inputs, output, attributes = {} }: Node): number[] {
  return [
    ...inputs.flatMap((input) => delimited(1, input)),
    ...delimited(2, output),
    ...delimited(4, operator),
    ...Object.entries(attributes).flatMap(([name, value]) => delimited(5, attribute(name, value))),
  ];
}

/** Field 5 of GraphProto, a TensorProto, as its head and its data, which may be too large for lists of numbers. */
function initializerOf({ name, shape, data }: Initializer): Uint8Array[] {
  const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  const head = [
    ...shape.flatMap((size) => integer(1, size)),
    ...integer(2, ELEMENT_TYPE.float32),
    ...delimited(8, name),
    ...varint((9 << 3) | 2),
    ...varint(bytes.length),
  ];
  const length = head.length + bytes.length;
  return [Uint8Array.from([...varint((5 << 3) | 2), ...varint(length), ...head]), bytes];
}

/** The bytes of a `.onnx` file. */
function modelOf({ name, nodes, inputs, output, initializers = [], dtype = 'float32' }: Graph): Uint8Array {
  const type = ELEMENT_TYPE[dtype];
  const graph = [
    Uint8Array.from([...nodes.flatMap((node) => delimited(1, nodeOf(node))), ...delimited(2, name)]),
    ...initializers.flatMap(initializerOf),
    Uint8Array.from([
      ...inputs.flatMap((input) => delimited(11, tensorInfo(input, type))),
      ...delimited(12, tensorInfo(output, type)),
    ]),
  ];
  const length = graph.reduce((sum, part) => sum + part.length, 0);
  const head = [
    ...integer(1, IR_VERSION),
    ...delimited(2, 'softlane-benchmark'),
    ...varint((7 << 3) | 2),
    ...varint(length),
  ];
  const opset = [...delimited(1, ''), ...integer(2, OPSET)];
  return new Uint8Array(
    Buffer.concat([Uint8Array.from(head), ...graph, Uint8Array.from(delimited(8, opset))]),
  );
}

/**
 * A model with input `x`, output `y` and one node, `y = Softmax(x)` over the last axis, opset 13.
 *
 * @param shape `[rows, cols]` or any other list of sizes
 * @param dtype type of the elements, default `float32`
 * @returns the bytes of a `.onnx` file
 */
export function softmaxModel(
  shape: readonly number[],
  dtype: keyof typeof ELEMENT_TYPE = 'float32',
): Uint8Array {
  return modelOf({
    name: 'softmax',
    nodes: [{ operator: 'Softmax', inputs: ['x'], output: 'y', attributes: { axis: -1 } }],
    inputs: [{ name: 'x', shape }],
    output: { name: 'y', shape },
    dtype,
  });
}

/**
 * A model with input `x` [m, k], output `y` [m, n] and one node, `y = MatMul(x, w)`, with the weights a constant, as in
 * exported networks: the runtime then packs them once, when the session is made.
 *
 * @param w [k, n], row-major float32: the transpose of what a linear layer stores
 */
export function matMulModel(w: Float32Array, { m, n, k }: { m: number; n: number; k: number }): Uint8Array {
  return modelOf({
    name: 'matmul',
    nodes: [{ operator: 'MatMul', inputs: ['x', 'w'], output: 'y' }],
    inputs: [{ name: 'x', shape: [m, k] }],
    output: { name: 'y', shape: [m, n] },
    initializers: [{ name: 'w', shape: [k, n], data: w }],
  });
}

/**
 * Attention of one query token: input `q` [kvHeads, group, headDim], `keys` and `values` [kvHeads, length, headDim], output
 * `y` like q; y = MatMul(Softmax(MatMul(q / sqrt(headDim), keys^T)), values). Query heads that share keys are rows of one
 * product, so that keys and values are read once; the runtime merges the transpose into the product.
 */
export function attentionModel(shape: {
  kvHeads: number;
  group: number;
  headDim: number;
  length: number;
}): Uint8Array {
  const { kvHeads, group, headDim, length } = shape;
  const query = [kvHeads, group, headDim];
  const cache = [kvHeads, length, headDim];
  return modelOf({
    name: 'attention',
    nodes: [
      { operator: 'Mul', inputs: ['q', 'scale'], output: 'scaled' },
      { operator: 'Transpose', inputs: ['keys'], output: 'columns', attributes: { perm: [0, 2, 1] } },
      { operator: 'MatMul', inputs: ['scaled', 'columns'], output: 'scores' },
      { operator: 'Softmax', inputs: ['scores'], output: 'weights', attributes: { axis: -1 } },
      { operator: 'MatMul', inputs: ['weights', 'values'], output: 'y' },
    ],
    inputs: [
      { name: 'q', shape: query },
      { name: 'keys', shape: cache },
      { name: 'values', shape: cache },
    ],
    output: { name: 'y', shape: query },
    initializers: [{ name: 'scale', shape: [1], data: Float32Array.of(1 / Math.sqrt(headDim)) }],
  });
}
