/**
 * The machine and the process: instruction sets, threads, memory, ceilings.
 */
import * as check from './check.js';
import { largeArray } from './large-array.js';
import { addonPath, isaList, native, packageVersion } from './native.js';
import { tuningPath } from './tuning.js';

/** An instruction set that kernels are built for. */
export type Isa = 'scalar' | 'avx2' | 'avx512';

/** The instruction set in use. */
export function isa(): Isa {
  return native('isa')() as Isa;
}

/** The instruction sets that CPU and operating system support, best first. */
export function availableIsas(): Isa[] {
  return [...isaList] as Isa[];
}

/**
 * Uses another instruction set from the next call on, in the whole process. The environment variable SOFTLANE_ISA does
 * the same at load. Results of one instruction set may differ from another's in the last bits.
 * @throws RangeError ERR_OUT_OF_RANGE for a name that is unknown or unavailable; it lists what is available
 */
export function setIsa(name: Isa): void {
  if (typeof name !== 'string') throw check.typeError('isa', 'a string', name);
  native('setIsa')(name);
}

/** Threads in softlane's pool. */
export function threads(): number {
  return native('threads')() as number;
}

/**
 * Sets the size of softlane's pool, which the whole process shares: how many promises run at once, and how many threads
 * a call with `threads` may use. Default: the environment variable SOFTLANE_THREADS, else the physical cores that the
 * process may use, no more than the container's CPU quota.
 * @throws TypeError or RangeError unless count is an integer in [1, 1024]
 */
export function setThreads(count: number): void {
  check.positiveInteger('threads', count);
  if (count > 1024) throw check.rangeError('threads', 'at most 1024', count);
  native('setThreads')(count);
}

/** What `info` tells. */
export interface Info {
  version: string;
  cpu: string;
  /** Instruction set in use. */
  isa: Isa;
  /** Those available, best first. */
  isas: Isa[];
  /** Size of the pool. */
  threads: number;
  /** Cache sizes in bytes as the system reports them; 0 where unknown. */
  caches: { l1d: number; l2: number; l3: number };
  /** Physical cores of the machine. */
  cores: number;
  /** Physical cores that the process may use: affinity and the container's CPU quota count. */
  usableCores: number;
  node: string;
  platform: string;
  libc: 'glibc' | 'musl' | null;
  /** The addon's file. */
  addon: string;
  /** The calibration that `auto` goes by, or null for the built-in defaults. */
  tuning: string | null;
}

function libcOf(): Info['libc'] {
  if (process.platform !== 'linux') return null;
  const report = process.report.getReport() as { header?: { glibcVersionRuntime?: string } };
  return report.header?.glibcVersionRuntime ? 'glibc' : 'musl';
}

/** What runs here: version, CPU, instruction sets, threads, caches, the addon's file. */
export function info(): Info {
  const machine = native('machine')() as Pick<Info, 'cpu' | 'caches' | 'cores' | 'usableCores'>;
  return {
    version: packageVersion,
    cpu: machine.cpu,
    isa: isa(),
    isas: availableIsas(),
    threads: threads(),
    caches: machine.caches,
    cores: machine.cores,
    usableCores: machine.usableCores,
    node: process.versions.node,
    platform: `${process.platform}-${process.arch}`,
    libc: libcOf(),
    addon: addonPath,
    tuning: tuningPath(),
  };
}

/** Native memory that softlane holds besides the caller's arrays. */
export interface Memory {
  /** Scratch of calls under way, in bytes; 0 when none is. */
  scratchBytes: number;
  /** The most that scratch has been since the process started. */
  scratchPeakBytes: number;
  /** Promises of this thread that have not settled. */
  pendingCalls: number;
}

/** How much native memory softlane holds now. Arrays belong to JavaScript: there is nothing to dispose of. */
export function memory(): Memory {
  return native('memory')() as Memory;
}

/** What one core of this machine can do at most. */
export interface Ceilings {
  /** Bytes read per nanosecond by streaming loads over memory far larger than the caches. */
  readGBps: number;
  /** The same where the memory lies on large pages, as packed weights and KV caches do (see largeArray). */
  readLargeGBps: number;
  /** Bytes read plus bytes written by a copy with ordinary stores. */
  copyGBps: number;
  /** The same with non-temporal stores. */
  streamCopyGBps: number;
  /** 10^9 float32 operations a second in fused multiply-adds (two each). */
  fmaGflops: number;
}

/** Options of `ceilings`. */
export interface CeilingsOptions {
  /** Instruction set; default the one in use. */
  isa?: Isa;
  /** Bytes read by a measurement of memory; default 256 MiB. Three times as many are allocated. */
  bytes?: number;
  /** Measurements of which the best counts; default 7. */
  repeats?: number;
}

const LANES: Record<Isa, number> = { scalar: 1, avx2: 8, avx512: 16 };

/**
 * Measures what one core can do at most, natively: the ceilings that benchmarks hold kernels against. Takes about a
 * second. The best of the repeats counts: a ceiling is what the machine can do when nobody disturbs it.
 */
export function ceilings(options: CeilingsOptions = {}): Ceilings {
  const before = isa();
  const wanted = options.isa ?? before;
  const length = Math.floor(check.positiveInteger('bytes', options.bytes ?? 2 ** 28) / 4);
  const repeats = check.positiveInteger('repeats', options.repeats ?? 7);
  const best = (measure: () => number) => {
    let least = Infinity;
    for (let i = 0; i < repeats; i++) least = Math.min(least, measure());
    return least;
  };
  setIsa(wanted);
  try {
    const x = new Float32Array(length).fill(1);
    const y = new Float32Array(length).fill(1);
    const large = largeArray(Float32Array, length).fill(1);
    const measured = (name: string, ...args: unknown[]) => native(name)(...args) as number;
    const rounds = 2_000_000 / LANES[wanted];
    return {
      readGBps: (length * 4) / best(() => measured('measureRead', x)),
      readLargeGBps: (length * 4) / best(() => measured('measureRead', large)),
      copyGBps: (length * 8) / best(() => measured('measureCopy', x, y, false)),
      streamCopyGBps: (length * 8) / best(() => measured('measureCopy', x, y, true)),
      fmaGflops: (rounds * 24 * LANES[wanted]) / best(() => measured('measureFma', rounds)),
    };
  } finally {
    setIsa(before);
  }
}
