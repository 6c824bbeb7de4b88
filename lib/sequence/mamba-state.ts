/** What a Mamba model remembers of a sequence: of constant size, however long the sequence is. */
import type { MambaConfig } from './mamba-config.js';

/** The state of one layer. */
export interface MambaLayerState {
  /** Last inputs of the convolution, [dInner, convWidth - 1], oldest first. */
  readonly conv: Float32Array;
  /** State of the scan, [dInner, stateSize]. */
  readonly scan: Float32Array;
}

/** A call on a state while another is in flight: the second is refused, the first goes on. */
export class StateBusyError extends Error {
  readonly code = 'ERR_STATE_BUSY';
  override readonly name = 'StateBusyError';

  constructor(call: string) {
    super(`${call}: another call on this state has not finished; await it, or clone the state before`);
  }
}

/**
 * A sequence as a model has read it so far; made by `MambaModel.createState`. It belongs to models of the same sizes.
 */
export class MambaState {
  /** @internal */
  readonly layers: readonly MambaLayerState[];
  #busy = false;
  #length = 0;

  /** Zeros: nothing has been read. */
  constructor(config: Pick<MambaConfig, 'numLayers' | 'dInner' | 'convWidth' | 'stateSize'>) {
    const { numLayers, dInner, convWidth, stateSize } = config;
    this.layers = Array.from({ length: numLayers }, () => ({
      conv: new Float32Array(dInner * (convWidth - 1)),
      scan: new Float32Array(dInner * stateSize),
    }));
  }

  /** Tokens that have been read. */
  get length(): number {
    return this.#length;
  }

  /** Bytes of memory: (convWidth - 1 + stateSize) dInner numLayers numbers of 4 bytes. */
  get bytes(): number {
    return this.layers.reduce((sum, { conv, scan }) => sum + conv.byteLength + scan.byteLength, 0);
  }

  /** A second state with the same contents, which goes its own way. @throws StateBusyError ERR_STATE_BUSY */
  clone(): MambaState {
    this.#requireFree('clone');
    const copy = new MambaState({ numLayers: 0, dInner: 0, convWidth: 1, stateSize: 0 });
    Object.assign(copy, {
      layers: this.layers.map(({ conv, scan }) => ({ conv: conv.slice(), scan: scan.slice() })),
    });
    copy.#length = this.#length;
    return copy;
  }

  /** Back to nothing read. @throws StateBusyError ERR_STATE_BUSY */
  reset(): void {
    this.#requireFree('reset');
    for (const { conv, scan } of this.layers) {
      conv.fill(0);
      scan.fill(0);
    }
    this.#length = 0;
  }

  /** @internal So many tokens more have been read. */
  advance(tokens: number): void {
    this.#length += tokens;
  }

  /** @internal A call begins. */
  enter(call: string): void {
    this.#requireFree(call);
    this.#busy = true;
  }

  /** @internal It ends. */
  leave(): void {
    this.#busy = false;
  }

  #requireFree(call: string): void {
    if (this.#busy) throw new StateBusyError(call);
  }
}
