import { IngotError } from '../../kernel/errors.ts';
import type { S3Bucket } from './bucket.ts';
import type { Keys } from './object-key.ts';
import { type ByteRange, readObject } from './reading.ts';
import { salvage } from './unfinished.ts';

/**
 * Reads what unfinished writers have left. It may be read in many thousands of small parts, so an object that was made
 * readable once is known by its ETag, and not asked about again as long as it has that one.
 */
export class SalvagedObjects {
  readonly #bucket: S3Bucket;
  readonly #keys: Keys;
  readonly #etags = new Map<string, string>();

  constructor(bucket: S3Bucket, keys: Keys) {
    this.#bucket = bucket;
    this.#keys = keys;
  }

  /** Before the object is continued, replaced or removed. */
  forget(path: string): void {
    this.#etags.delete(path);
  }

  async *read(path: string, range: ByteRange): AsyncGenerator<Uint8Array> {
    const key = this.#keys.of(path);
    const known = this.#etags.get(path);
    if (known !== undefined) {
      let begun = false;
      try {
        for await (const chunk of readObject(this.#bucket, key, range, known)) {
          begun = true;
          yield chunk;
        }
        return;
      } catch (error) {
        if (begun) throw error;
        // Another process has changed it, or it can't be had: what it is now, the questions tell.
        this.forget(path);
      }
    }
    const found = await salvage(this.#bucket, this.#keys, path);
    if (!found) {
      throw new IngotError('SYS.1003', `what was written of ${this.#bucket.where(key)} does not exist.`);
    }
    if (found.size === 0) return;
    this.#etags.set(path, found.etag);
    yield* readObject(this.#bucket, key, range, found.etag);
  }
}
