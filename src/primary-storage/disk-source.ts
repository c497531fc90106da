/** A disk with all that it stands on as the source of a transfer: one qcow2 that stands alone. */
import { IngotError, toIngotError } from '../kernel/errors.ts';
import { type Body, type Source, SourceBreak } from '../transfer/source.ts';
import type { DiskBytes, PrimaryStorageDriver } from './driver.ts';

/** What is read at once: a part of the taker's memory, so that there is something to write while the rest is read. */
const READ_BYTES = 1024 * 1024;

/** Nobody may write to the disk meanwhile: a transfer that breaks goes on where it broke. */
export function diskSource(driver: PrimaryStorageDriver, path: string, virtualSize: number): Source {
  return {
    label: driver.location(path),
    retry: { tries: 3, baseDelay: 200, maxDelay: 2000 },
    async open({ offset, facts, signal }) {
      let bytes: DiskBytes;
      try {
        bytes = await driver.export(path, virtualSize, signal);
      } catch (thrown) {
        throw asBreak(thrown, signal);
      }
      // The same disk gives the same bytes; another length shows that it isn't.
      const same = facts?.totalSize === undefined || facts.totalSize === bytes.size;
      const from = same ? offset : 0;
      return { offset: from, facts: { totalSize: bytes.size }, body: new DiskBody(bytes, from, signal) };
    },
  };
}

class DiskBody implements Body {
  readonly #bytes: DiskBytes;
  readonly #signal: AbortSignal;
  #position: number;

  constructor(bytes: DiskBytes, position: number, signal: AbortSignal) {
    this.#bytes = bytes;
    this.#position = position;
    this.#signal = signal;
  }

  async fill(target: Uint8Array, arrived: (bytes: number) => boolean): Promise<'more' | 'end'> {
    for (let filled = 0; filled < target.length && this.#position < this.#bytes.size; ) {
      const length = Math.min(READ_BYTES, target.length - filled, this.#bytes.size - this.#position);
      try {
        await this.#bytes.read(target.subarray(filled, filled + length), this.#position, this.#signal);
      } catch (thrown) {
        throw asBreak(thrown, this.#signal);
      }
      filled += length;
      this.#position += length;
      if (!arrived(length)) break;
    }
    return this.#position < this.#bytes.size ? 'more' : 'end';
  }

  close(): void {
    this.#bytes.close();
  }
}

function asBreak(thrown: unknown, signal: AbortSignal): unknown {
  if (signal.aborted) return signal.reason;
  const error = toIngotError(thrown);
  return error.retryable
    ? new SourceBreak(error)
    : new IngotError(error.code, error.details, { cause: error });
}
