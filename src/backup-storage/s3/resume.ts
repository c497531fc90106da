/** Beginning an upload, anew or with what an earlier one had brought. */
import { randomUUID } from 'node:crypto';
import { IngotError } from '../../kernel/errors.ts';
import type { S3Bucket } from './bucket.ts';
import type { Keys } from './object-key.ts';
import { partBytes } from './part-size.ts';
import { readObject } from './reading.ts';
import type { Begun } from './s3-writer.ts';
import type { Upload } from './stored.ts';
import { discard, removeUncommitted, uploadsAt } from './unfinished.ts';

interface Place {
  bucket: S3Bucket;
  keys: Keys;
  path: string;
  expectedSize: number | undefined;
}

/** Parts that the server copies at once. */
const PARALLEL = 4;

export async function beginAnew({ bucket, keys, path }: Place): Promise<Begun> {
  await discard(bucket, keys, path);
  return begin(bucket, keys.of(path));
}

/** Begins with the first `resumeAt` bytes of the object that `salvage` has made, which is gone afterwards. */
export async function beginWith(
  { bucket, keys, path, expectedSize }: Place,
  resumeAt: number,
): Promise<Begun> {
  const key = keys.of(path);
  for (const dead of await Array.fromAsync(uploadsAt(bucket, key))) await bucket.abortUpload(dead);
  const begun = await begin(bucket, key);
  try {
    const parts = partsUpTo(resumeAt, expectedSize);
    const waiting = [...parts];
    const copySome = async () => {
      for (let part = waiting.shift(); part; part = waiting.shift()) {
        begun.etags[part.number - 1] = await copy(bucket, begun.upload, part);
      }
    };
    await Promise.all(Array.from({ length: PARALLEL }, copySome));
    const last = parts.at(-1);
    if (last && last.end - last.start < partBytes(last.number, expectedSize)) {
      begun.tail = Buffer.concat(await Array.fromAsync(readObject(bucket, key, last)));
    }
    await removeUncommitted(bucket, keys, path);
    return begun;
  } catch (thrown) {
    await bucket.abortUpload(begun.upload).catch(() => {});
    throw thrown;
  }
}

async function begin(bucket: S3Bucket, key: string): Promise<Begun> {
  const tag = randomUUID();
  const id = await bucket.createUpload(key, tag);
  return { upload: { key, id }, tag, etags: [] };
}

interface PartRange {
  number: number;
  start: number;
  end: number;
}

function partsUpTo(end: number, expectedSize: number | undefined): PartRange[] {
  const parts: PartRange[] = [];
  for (let start = 0, number = 1; start < end; number++) {
    const next = Math.min(end, start + partBytes(number, expectedSize));
    parts.push({ number, start, end: next });
    start = next;
  }
  return parts;
}

/** Fulfilled with the part's ETag. The server copies; one that can't gets the bytes again from here. */
async function copy(bucket: S3Bucket, upload: Upload, { number, start, end }: PartRange): Promise<string> {
  const { signal } = new AbortController();
  const copied = await bucket.copyPart(upload, number, { key: upload.key, start, end }, signal);
  if (copied !== undefined) return copied;
  const bytes = Buffer.concat(await Array.fromAsync(readObject(bucket, upload.key, { start, end })));
  if (bytes.length !== end - start) {
    throw new IngotError('SYS.1016', `${bucket.where(upload.key)} ended before ${end} bytes.`);
  }
  return bucket.uploadPart(upload, number, bytes, signal);
}
