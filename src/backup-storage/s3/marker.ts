import { IngotError } from '../../kernel/errors.ts';
import type { S3Bucket } from './bucket.ts';
import { type Keys, MARKER_NAME } from './object-key.ts';

/**
 * Makes a prefix of a bucket a backup storage. Done twice for the same storage is success; refused are a prefix that
 * is another storage's or lies inside of one, and one that holds anything, since deleting the storage would delete it.
 */
export async function writeMarker(bucket: S3Bucket, keys: Keys, uuid: string): Promise<void> {
  const found = await markedUuid(bucket, keys.marker);
  if (found === uuid) return;
  const place = bucket.location(keys.root);
  if (found !== undefined) throw refused(place, `it is the backup storage ${found} already`);
  for (const root of rootsAbove(keys.root)) {
    const above = await markedUuid(bucket, root + MARKER_NAME);
    if (above !== undefined)
      throw refused(
        place,
        `it lies inside of ${bucket.location(root)}, which is the backup storage ${above}`,
      );
  }
  for await (const { key } of bucket.objects(keys.root, 1)) {
    throw refused(place, `it is not empty (it holds '${key}')`);
  }
  const text = `${JSON.stringify({ uuid })}\n`;
  await bucket.putNew(keys.marker, Buffer.from(text));
  // Where the server knows no conditional put, two at once both think that they were first: the marker decides.
  const winner = await markedUuid(bucket, keys.marker);
  if (winner !== uuid) throw refused(place, `it is the backup storage ${winner} already`);
}

/** Makes the prefix a plain one again, if it is this storage's; what else lies there stays. */
export async function removeMarker(bucket: S3Bucket, keys: Keys, uuid: string): Promise<void> {
  if ((await markedUuid(bucket, keys.marker)) === uuid) await bucket.delete(keys.marker);
}

/** Rejects when the prefix is not that of this storage. */
export async function checkMarker(
  bucket: S3Bucket,
  keys: Keys,
  uuid: string,
  signal?: AbortSignal,
): Promise<void> {
  const found = await markedUuid(bucket, keys.marker, signal);
  if (found === uuid) return;
  const what = found === undefined ? 'holds no backup storage' : `is the backup storage ${found}`;
  throw new IngotError(
    'BS.1005',
    `${bucket.where(keys.root)} ${what}, but ${uuid} was expected. Check endpoint, bucket and prefix.`,
    { retryable: true },
  );
}

async function markedUuid(
  bucket: S3Bucket,
  marker: string,
  signal?: AbortSignal,
): Promise<string | undefined> {
  const text = await bucket.text(marker, signal);
  if (text === undefined) return undefined;
  try {
    return String(JSON.parse(text).uuid);
  } catch {
    throw new IngotError(
      'BS.1005',
      `${bucket.where(marker)} can not be understood: ${text.slice(0, 80)}. Check that 'endpoint' is that of an S3 service.`,
    );
  }
}

/** `a/b/` lies in `a/` and in the bucket itself. */
function rootsAbove(root: string): string[] {
  const names = root.split('/').slice(0, -1);
  return names.map((_, index) =>
    names
      .slice(0, index)
      .map((name) => `${name}/`)
      .join(''),
  );
}

function refused(place: string, why: string): IngotError {
  return new IngotError(
    'SYS.1007',
    `${place} can't be a backup storage: ${why}. Choose another prefix or bucket.`,
    {
      opaque: { parameter: 'prefix' },
    },
  );
}
