/** `softlane/io`: reading and writing the files that arrays come in. */
export {
  encodeNpy,
  NpyError,
  NpyFile,
  NpyWriter,
  openNpy,
  parseNpy,
  readNpy,
  writeNpy,
  type NpyArray,
  type NpyData,
  type NpyDtype,
  type NpyErrorCode,
  type NpyInput,
  type NpyReadOptions,
  type NpyWriterOptions,
  type TwoByteFloat,
} from './npy.js';
