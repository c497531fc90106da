/** An image's bytes from whichever copy can give them: where one breaks, the next goes on at the same byte. */
import type { BackupStorages } from '../backup-storage/backup-storages.ts';
import { openObject, type SequentialReader } from '../backup-storage/object-reader.ts';
import type { Database } from '../database/database.ts';
import type { Clock } from '../kernel/clock.ts';
import { IngotError, toIngotError } from '../kernel/errors.ts';
import { formatDuration } from '../kernel/format.ts';
import type { Log } from '../kernel/log.ts';
import type { AnsweredBytes } from '../kernel/message.ts';
import { noteDamage } from './damage.ts';
import type { ImageWithCopies, ReadyCopy } from './ready-copies.ts';

export interface ReadingParts {
  database: Database;
  storages: BackupStorages;
  clock: Clock;
  log: Log;
  transfer: { stallTimeout: number };
}

/** Opens the bytes from `start` on, or rejects with what was wrong with each copy. */
export async function openCopies(
  parts: ReadingParts,
  { image, copies }: ImageWithCopies,
  start: number,
  signal: AbortSignal,
): Promise<AnsweredBytes> {
  const reading = new Reading(parts, image, copies, start, signal);
  await reading.begin();
  return reading;
}

interface Current {
  copy: ReadyCopy;
  reader: SequentialReader;
  /** Of its own: a read that was given up may still end, and must not end in the caller's memory. */
  memory: Uint8Array;
}

class Reading implements AnsweredBytes {
  readonly #parts: ReadingParts;
  readonly #image: ImageWithCopies['image'];
  /** Not tried yet, best first. */
  readonly #left: ReadyCopy[];
  readonly #failures: IngotError[] = [];
  readonly #signal: AbortSignal;
  #position: number;
  #current: Current | undefined;

  constructor(
    parts: ReadingParts,
    image: ImageWithCopies['image'],
    copies: readonly ReadyCopy[],
    start: number,
    signal: AbortSignal,
  ) {
    this.#parts = parts;
    this.#image = image;
    this.#left = [...copies];
    this.#position = start;
    this.#signal = signal;
  }

  async begin(): Promise<void> {
    for (;;) {
      this.#signal.throwIfAborted();
      const copy = this.#left.shift();
      if (!copy) throw this.#exhausted();
      try {
        const reader = await this.#inTime(this.#open(copy));
        this.#current = { copy, reader, memory: new Uint8Array(0) };
        return;
      } catch (error) {
        await this.#giveUp(copy, error);
      }
    }
  }

  async read(target: Uint8Array): Promise<number> {
    for (;;) {
      this.#signal.throwIfAborted();
      if (!this.#current) await this.begin();
      const current = this.#current as Current;
      const { copy, reader } = current;
      if (current.memory.length < target.length) current.memory = Buffer.allocUnsafeSlow(target.length);
      try {
        const memory = current.memory.subarray(0, target.length);
        const length = await this.#inTime(reader.read(memory));
        target.set(memory.subarray(0, length));
        const due = Math.min(target.length, copy.size - this.#position);
        if (length < due) throw new Damaged(`it ends after ${this.#position + length} bytes`);
        this.#position += length;
        return length;
      } catch (error) {
        this.#current = undefined;
        // One that hangs may hang in this too.
        void reader.close().catch(() => {});
        await this.#giveUp(copy, error);
      }
    }
  }

  async close(): Promise<void> {
    const reader = this.#current?.reader;
    this.#current = undefined;
    await reader?.close();
  }

  /** Its size is looked at first: a file that is gone or cut off is no copy. */
  async #open({ storageUuid, path, size }: ReadyCopy): Promise<SequentialReader> {
    const driver = await this.#parts.storages.driver(storageUuid);
    const found = await driver.size(path);
    if (found === undefined) throw new Damaged('it is gone');
    if (found !== size) throw new Damaged(`it has ${found} bytes, not ${size}`);
    return openObject(driver, path, this.#position);
  }

  async #giveUp(copy: ReadyCopy, thrown: unknown): Promise<void> {
    this.#signal.throwIfAborted();
    const { log } = this.#parts;
    const place = { imageUuid: this.#image.uuid, storageUuid: copy.storageUuid };
    if (thrown instanceof Damaged) await noteDamage(this.#parts, place, thrown.message);
    const error = thrown instanceof Damaged ? damagedCopy(copy, thrown.message) : toIngotError(thrown);
    this.#failures.push(error);
    const left = this.#left.length;
    log.warn({ ...place, position: this.#position, left, err: error }, 'a copy could not be read');
  }

  /** A storage that accepts a call and then hangs is as good as gone. */
  async #inTime<T>(work: Promise<T>): Promise<T> {
    const { stallTimeout } = this.#parts.transfer;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<never>((_resolve, reject) => {
      timer = setTimeout(() => reject(stalled(stallTimeout)), stallTimeout);
    });
    try {
      return await Promise.race([work, late]);
    } finally {
      clearTimeout(timer);
    }
  }

  #exhausted(): IngotError {
    const { name, uuid } = this.#image;
    const each = this.#failures.map((failure) => failure.details).join('; ');
    return new IngotError('SYS.1006', `no copy of image '${name}' (${uuid}) can be read: ${each}`, {
      causes: this.#failures,
      retryable: this.#failures.some((failure) => failure.retryable),
    });
  }
}

/** What the copy itself has, and not the way to it. */
class Damaged extends Error {}

export function damagedCopy(copy: Pick<ReadyCopy, 'storageName'>, damage: string): IngotError {
  return new IngotError('SYS.1016', `the copy on backup storage '${copy.storageName}' is damaged: ${damage}`);
}

function stalled(milliseconds: number): IngotError {
  return new IngotError('SYS.1016', `the storage gave no byte for ${formatDuration(milliseconds)}`, {
    retryable: true,
  });
}
