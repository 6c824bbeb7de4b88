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
