/**
 * Builds an ONNX model of one Softmax node. ONNX files are protocol buffers; of that format a model needs two kinds of
 * field, varints and length-delimited ones, and the field numbers below from onnx.proto3.
 */

/** Element types of ONNX tensors (TensorProto.DataType). */
const ELEMENT_TYPE = { float32: 1, float64: 11 } as const;
/** Attribute type INT (AttributeProto.AttributeType). */
const ATTRIBUTE_INT = 2;
const IR_VERSION = 8;

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

/** ValueInfoProto: a named tensor of fixed shape. */
function tensorInfo(name: string, elementType: number, shape: readonly number[]): number[] {
  const dimensions = shape.flatMap((size) => delimited(1, integer(1, size)));
  const tensor = [...integer(1, elementType), ...delimited(2, dimensions)];
  return [...delimited(1, name), ...delimited(2, delimited(1, tensor))];
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
  const axis = [...delimited(1, 'axis'), ...integer(3, -1), ...integer(20, ATTRIBUTE_INT)];
  const node = [
    ...delimited(1, 'x'),
    ...delimited(2, 'y'),
    ...delimited(4, 'Softmax'),
    ...delimited(5, axis),
  ];
  const graph = [
    ...delimited(1, node),
    ...delimited(2, 'softmax'),
    ...delimited(11, tensorInfo('x', ELEMENT_TYPE[dtype], shape)),
    ...delimited(12, tensorInfo('y', ELEMENT_TYPE[dtype], shape)),
  ];
  const opset = [...delimited(1, ''), ...integer(2, 13)];
  return Uint8Array.from([
    ...integer(1, IR_VERSION),
    ...delimited(2, 'softlane-benchmark'),
    ...delimited(7, graph),
    ...delimited(8, opset),
  ]);
}
