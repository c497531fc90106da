/**
 * What an unfinished `create` leaves, and how it is read and continued.
 *
 * An object comes by a multipart upload at its own key, so that completing the upload is the commit: atomic, and
 * no byte is moved twice. But S3 never gives back the parts of an unfinished upload, and whoever continues one
 * after a death has to read them: the digests and the inspection of the image begin there, and a part's ETag proves
 * nothing on a server that encrypts. Staging every byte in objects of their own and copying them together at the end
 * could be read at any time, but would cost each upload a second passage through the server.
 *
 * So only what was really interrupted pays. When it is to be read, the upload is completed as it stands, with those
 * parts that lie without a gap at its beginning, after a flag below `.ingot-uncommitted/` has said that the object is
 * not one yet: the driver takes an object that has a flag for absent. To continue, its bytes are copied by the
 * server into a new upload, and the object and then the flag go away. Where nothing is to be added, removing the
 * flag is the commit. At each step a death leaves one of these states:
 *
 *     upload                     being written, or dead
 *     flag, upload               not completed yet, or the object was copied and is gone: the upload counts
 *     flag, object               readable, uncommitted
 *     flag, object, upload       being copied: the object counts
 *     object                     committed
 *     object, upload             committed, and being replaced; the replacement can't be continued, only begun anew
 */
import type { S3Bucket } from './bucket.ts';
import type { Keys } from './object-key.ts';
import type { Head, Part, Upload } from './stored.ts';

/** Whether what lies at the object's key is committed, if anything does. */
export async function isUncommitted(bucket: S3Bucket, keys: Keys, path: string): Promise<boolean> {
  return (await bucket.head(keys.uncommitted(path))) !== undefined;
}

/** Makes what was written readable at the object's key. Undefined where there is nothing to be continued. */
export async function salvage(
  bucket: S3Bucket,
  keys: Keys,
  path: string,
): Promise<Pick<Head, 'size' | 'etag'> | undefined> {
  const key = keys.of(path);
  const flag = keys.uncommitted(path);
  const [flagged, object] = await Promise.all([bucket.head(flag), bucket.head(key)]);
  if (object) return flagged && object;
  let found: { upload: Upload; parts: Part[] } | undefined;
  for await (const upload of uploadsAt(bucket, key)) {
    const parts = unbroken((await bucket.parts(upload)) ?? []);
    if (!found || sizeOf(parts) > sizeOf(found.parts)) found = { upload, parts };
  }
  if (!found) return undefined;
  if (found.parts.length === 0) return { size: 0, etag: '' };
  await bucket.put(flag, Buffer.from(`${JSON.stringify({ upload: found.upload.id })}\n`));
  await bucket.completeUpload(found.upload, found.parts);
  return bucket.head(key);
}

/** Removes what an unfinished `create` left; an object that is committed stays. */
export async function discard(bucket: S3Bucket, keys: Keys, path: string): Promise<void> {
  const [uploads, flagged] = await Promise.all([
    Array.fromAsync(uploadsAt(bucket, keys.of(path))),
    isUncommitted(bucket, keys, path),
  ]);
  for (const upload of uploads) await bucket.abortUpload(upload);
  if (flagged) await removeUncommitted(bucket, keys, path);
}

/** The object goes before its flag: without it, it would be a committed one. */
export async function removeUncommitted(bucket: S3Bucket, keys: Keys, path: string): Promise<void> {
  await bucket.delete(keys.of(path));
  await bucket.delete(keys.uncommitted(path));
}

export async function* uploadsAt(bucket: S3Bucket, key: string): AsyncGenerator<Upload> {
  for await (const upload of bucket.uploads(key)) if (upload.key === key) yield upload;
}

/**
 * The parts from the first on without a gap. A writer begins no part before a shorter state of an earlier one has
 * been replaced, so that all of them but the last are whole.
 */
export function unbroken(parts: readonly Part[]): Part[] {
  const gap = parts.findIndex((part, index) => part.number !== index + 1);
  return parts.slice(0, gap === -1 ? parts.length : gap);
}

export function sizeOf(parts: readonly Part[]): number {
  return parts.reduce((sum, part) => sum + part.size, 0);
}
