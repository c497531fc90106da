/** An object of a backup storage as the source of a transfer. */
import { IngotError, toIngotError } from '../kernel/errors.ts';
import { type Body, type Source, SourceBreak } from '../transfer/source.ts';
import type { BackupStorageDriver, ObjectReader } from './driver.ts';

export function storedSource(driver: BackupStorageDriver, path: string, size: number): Source {
  return {
    label: driver.location(path),
    retry: { tries: 3, baseDelay: 200, maxDelay: 5000 },
    async open({ offset, signal }) {
      signal.throwIfAborted();
      const reader = await (driver.openForReading ?? openByPieces.bind(undefined, driver))(path).catch(
        (thrown) => {
          throw asBreak(thrown);
        },
      );
      return { offset, facts: { totalSize: size }, body: new StoredBody(reader, offset, signal) };
    },
  };
}

class StoredBody implements Body {
  readonly #reader: ObjectReader;
  readonly #signal: AbortSignal;
  #position: number;

  constructor(reader: ObjectReader, position: number, signal: AbortSignal) {
    this.#reader = reader;
    this.#position = position;
    this.#signal = signal;
  }

  async fill(target: Uint8Array, arrived: (bytes: number) => boolean): Promise<'more' | 'end'> {
    this.#signal.throwIfAborted();
    const length = await this.#reader.read(target, this.#position).catch((thrown) => {
      throw asBreak(thrown);
    });
    this.#position += length;
    if (length > 0) arrived(length);
    return length < target.length ? 'end' : 'more';
  }

  close(): void {
    void this.#reader.close().catch(() => {});
  }
}

/** A store that can only be read in its own pieces; they are asked for in order. */
async function openByPieces(driver: BackupStorageDriver, path: string): Promise<ObjectReader> {
  let pieces: AsyncIterator<Uint8Array> | undefined;
  let left: Uint8Array = new Uint8Array(0);
  return {
    async read(target, position) {
      pieces ??= driver.read(path, { start: position })[Symbol.asyncIterator]();
      let filled = 0;
      while (filled < target.length) {
        if (left.length === 0) {
          const next = await pieces.next();
          if (next.done) break;
          left = next.value;
        }
        const part = left.subarray(0, target.length - filled);
        target.set(part, filled);
        filled += part.length;
        left = left.subarray(part.length);
      }
      return filled;
    },
    async close() {
      await pieces?.return?.();
    },
  };
}

function asBreak(thrown: unknown): Error {
  const error = toIngotError(thrown);
  return error.retryable
    ? new SourceBreak(error)
    : new IngotError(error.code, error.details, { cause: error });
}
