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
export { parseTs, readTs, writeTs, type TsFile, type TsInput } from './ts-file.js';
export { parseTable, readTable, type LabelColumn, type TableFile, type TableOptions } from './table.js';
export { readSeries, type SeriesFile, type SeriesFileOptions } from './series-file.js';
export { SeriesFileError, type SeriesFileErrorCode } from './series-error.js';
export type { SeriesDtype, SeriesReadOptions } from './series-text.js';
export { openSafetensors, type SafetensorsFile, type TensorInfo } from './safetensors.js';
export {
  writeSafetensors,
  type SafetensorsWriteOptions,
  type TensorInput,
  type TensorSource,
} from './safetensors-writer.js';
export type { ReadableDtype, SafetensorsData, SafetensorsDtype } from './safetensors-dtype.js';
export { CheckpointError, type CheckpointProblem } from './checkpoint-error.js';
