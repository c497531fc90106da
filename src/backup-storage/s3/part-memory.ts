import { SMALLEST_PART } from './part-size.ts';

/** Bytes that all writers of this process share for parts under way, beyond the one part that each is filling. */
const SHARED_BYTES = 4 * SMALLEST_PART;
/** Buffers kept for the next part. */
const KEPT = 5;

/**
 * The memory of parts. A part is held whole until the server has it, since it may have to be sent again. Every
 * writer may hold one at any time, so that none waits for another's slow source; more come from a fixed share.
 */
class PartMemory {
  #shared = 0;
  readonly #kept: Buffer[] = [];

  /** Undefined while the share is used up. `entitled`: the caller holds none. */
  take(bytes: number, entitled: boolean): PartBuffer | undefined {
    if (!entitled) {
      if (this.#shared + bytes > SHARED_BYTES) return undefined;
      this.#shared += bytes;
    }
    const kept = bytes === SMALLEST_PART ? this.#kept.pop() : undefined;
    return { bytes: kept ?? Buffer.allocUnsafeSlow(bytes), shared: !entitled };
  }

  give({ bytes, shared }: PartBuffer): void {
    if (shared) this.#shared -= bytes.length;
    if (bytes.length === SMALLEST_PART && this.#kept.length < KEPT) this.#kept.push(bytes);
  }
}

export interface PartBuffer {
  readonly bytes: Buffer;
  readonly shared: boolean;
}

export const partMemory = new PartMemory();
