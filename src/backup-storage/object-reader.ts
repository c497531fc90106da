/** Opens an object of any storage to be read in order or at any place, into the caller's memory. */
import type { BackupStorageDriver, ObjectReader } from './driver.ts';

/** Reads what comes next; fulfilled with fewer bytes than `target` takes only at the object's end. */
export interface SequentialReader {
  read(target: Uint8Array): Promise<number>;
  close(): Promise<void>;
}

export async function openObject(
  driver: BackupStorageDriver,
  path: string,
  start: number,
): Promise<SequentialReader> {
  if (!driver.openForReading) return piecewise(driver.read(path, { start }));
  const reader: ObjectReader = await driver.openForReading(path);
  let position = start;
  return {
    async read(target) {
      const length = await reader.read(target, position);
      position += length;
      return length;
    },
    close: () => reader.close(),
  };
}

/** @param options.partial what an unfinished writer has left of it @param options.signal asked at each piece that comes */
export async function openAtAnyPlace(
  driver: BackupStorageDriver,
  path: string,
  { partial, signal }: { partial: boolean; signal: AbortSignal },
): Promise<ObjectReader> {
  if (driver.openForReading) return driver.openForReading(path, { partial });
  return {
    async read(target, position) {
      const range = { start: position, end: position + target.length };
      let filled = 0;
      for await (const piece of partial ? driver.readPartial(path, range) : driver.read(path, range)) {
        signal.throwIfAborted();
        const part = piece.subarray(0, target.length - filled);
        target.set(part, filled);
        filled += part.length;
      }
      return filled;
    },
    async close() {},
  };
}

/** A storage that can only be read in its own pieces. */
function piecewise(source: AsyncIterable<Uint8Array>): SequentialReader {
  const pieces = source[Symbol.asyncIterator]();
  let left: Uint8Array = new Uint8Array(0);
  return {
    async read(target) {
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
      await pieces.return?.();
    },
  };
}
