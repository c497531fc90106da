/** An object of a backup storage as the source of a transfer. */
import { IngotError, toIngotError } from '../kernel/errors.ts';
import { type Body, type Source, SourceBreak } from '../transfer/source.ts';
import type { BackupStorageDriver } from './driver.ts';
import { openObject, type SequentialReader } from './object-reader.ts';

export function storedSource(driver: BackupStorageDriver, path: string, size: number): Source {
  return {
    label: driver.location(path),
    retry: { tries: 3, baseDelay: 200, maxDelay: 5000 },
    async open({ offset, signal }) {
      signal.throwIfAborted();
      const reader = await openObject(driver, path, offset).catch((thrown) => {
        throw asBreak(thrown);
      });
      return { offset, facts: { totalSize: size }, body: new StoredBody(reader, signal) };
    },
  };
}

class StoredBody implements Body {
  readonly #reader: SequentialReader;
  readonly #signal: AbortSignal;

  constructor(reader: SequentialReader, signal: AbortSignal) {
    this.#reader = reader;
    this.#signal = signal;
  }

  async fill(target: Uint8Array, arrived: (bytes: number) => boolean): Promise<'more' | 'end'> {
    this.#signal.throwIfAborted();
    const length = await this.#reader.read(target).catch((thrown) => {
      throw asBreak(thrown);
    });
    if (length > 0) arrived(length);
    return length < target.length ? 'end' : 'more';
  }

  close(): void {
    void this.#reader.close().catch(() => {});
  }
}

function asBreak(thrown: unknown): Error {
  const error = toIngotError(thrown);
  return error.retryable
    ? new SourceBreak(error)
    : new IngotError(error.code, error.details, { cause: error });
}
