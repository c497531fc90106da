import { setTimeout as delay } from 'node:timers/promises';
import { IngotError } from '../../kernel/errors.ts';
import type { S3Bucket } from './bucket.ts';
import { asS3Error } from './error.ts';

export interface ByteRange {
  start?: number;
  end?: number;
}

/** How often a body may break without a new byte. */
const TRIES = 5;
/** Milliseconds before the first of them; doubles with each. */
const BASE_DELAY = 100;

/**
 * The bytes [start, end) of an object. A body that breaks is taken up where it broke, as long as the object is the
 * one it was. @param known its ETag, where it is to be no other
 */
export async function* readObject(
  bucket: S3Bucket,
  key: string,
  { start = 0, end = Number.POSITIVE_INFINITY }: ByteRange = {},
  known?: string,
): AsyncGenerator<Uint8Array> {
  let position = start;
  let etag = known;
  for (let tries = 0; position < end; ) {
    const opened = await bucket.get(key, { start: position, end }, etag);
    if (!opened) return;
    etag = opened.etag;
    const last = position + opened.size;
    try {
      for await (const chunk of opened.body as AsyncIterable<Uint8Array>) {
        yield chunk;
        position += chunk.length;
        tries = 0;
      }
      if (position === last) return;
      throw new Error(`the body ended ${last - position} bytes before what the server had announced`);
    } catch (thrown) {
      if (position >= last) return;
      if (tries >= TRIES) {
        const { code, details } = asS3Error(thrown, bucket.where(key));
        throw new IngotError(code, `${details} The bytes from ${position} on can't be read.`, {
          retryable: true,
        });
      }
      await delay(BASE_DELAY * 2 ** tries);
      tries++;
    } finally {
      opened.body.destroy();
    }
  }
}
