import { IngotError } from '../../kernel/errors.ts';
import type { BackupStorageDriver, StoreObject } from '../driver.ts';
import { S3Bucket } from './bucket.ts';
import type { S3Address } from './client.ts';
import { checkMarker, removeMarker, writeMarker } from './marker.ts';
import { Keys } from './object-key.ts';
import { readObject } from './reading.ts';
import { beginAnew, beginWith } from './resume.ts';
import { openS3Writer } from './s3-writer.ts';
import { SalvagedObjects } from './salvaged.ts';
import { discard, isUncommitted, salvage, sizeOf, unbroken } from './unfinished.ts';

export interface S3StorageOptions extends S3Address {
  /** The storage's own. */
  uuid: string;
  /** Below which all its keys lie; empty for the whole bucket. */
  prefix: string;
  /** Bytes that the storage may take. */
  quota?: number;
}

/** A bucket knows no end of its room; without a quota the storage says that it has 1 PiB. */
const DEFAULT_QUOTA = 2 ** 50;
/** Milliseconds. */
const PING_TIMEOUT = 15_000;

/**
 * A backup storage below a prefix of a bucket that `initialise` has made one, on any server that
 * speaks S3. Each object is a plain object of the bucket under its own path.
 */
export function s3BackupStorage(options: S3StorageOptions): BackupStorageDriver {
  const bucket = new S3Bucket(options);
  const keys = new Keys(options.prefix);
  const quota = options.quota ?? DEFAULT_QUOTA;
  const salvaged = new SalvagedObjects(bucket, keys);
  const requireStorage = () => checkMarker(bucket, keys, options.uuid);
  return {
    initialise: () => writeMarker(bucket, keys, options.uuid),
    retire: () => removeMarker(bucket, keys, options.uuid),
    ping: () => checkMarker(bucket, keys, options.uuid, AbortSignal.timeout(PING_TIMEOUT)),
    async capacity() {
      return { total: quota, available: quota };
    },
    async create(path, { resumeAt = 0, expectedSize } = {}) {
      salvaged.forget(path);
      const place = { bucket, keys, path, expectedSize };
      const common = {
        bucket,
        key: keys.of(path),
        expectedSize,
        offset: resumeAt,
        discard: () => discard(bucket, keys, path),
      };
      await requireStorage();
      if (resumeAt === 0) {
        return openS3Writer({ ...common, begin: () => beginAnew(place), lazy: false });
      }
      const size = (await salvage(bucket, keys, path))?.size ?? 0;
      if (size < resumeAt) {
        throw new IngotError(
          'SYS.1016',
          `of ${bucket.where(common.key)} ${size} bytes were written, so it can not be continued at ${resumeAt}.`,
        );
      }
      return openS3Writer({
        ...common,
        begin: () => beginWith(place, resumeAt),
        // All of it may be there already, and only the commit is missing.
        lazy: size === resumeAt,
        commitAsItIs: () => bucket.delete(keys.uncommitted(path)),
      });
    },
    async *read(path, range) {
      const key = keys.of(path);
      if (await isUncommitted(bucket, keys, path)) throw absent(bucket.where(key));
      yield* readObject(bucket, key, range);
    },
    readPartial: (path, range = {}) => salvaged.read(path, range),
    async size(path) {
      const [object, uncommitted] = await Promise.all([
        bucket.head(keys.of(path)),
        isUncommitted(bucket, keys, path),
      ]);
      if (object && !uncommitted) return object.size;
      await requireStorage();
      return undefined;
    },
    async remove(path) {
      salvaged.forget(path);
      const key = keys.of(path);
      await requireStorage();
      await discard(bucket, keys, path);
      await bucket.delete(key);
    },
    async *list(prefix) {
      await requireStorage();
      yield* list(bucket, keys, prefix);
    },
    location: (path) => bucket.location(keys.of(path)),
    async close() {
      bucket.close();
    },
  };
}

async function* list(bucket: S3Bucket, keys: Keys, prefix: string): AsyncGenerator<StoreObject> {
  const flagged = new Set<string>();
  for await (const { key } of bucket.objects(keys.uncommittedRoot + prefix)) {
    flagged.add(key.slice(keys.uncommittedRoot.length));
  }
  const partial = new Set<string>();
  for await (const { key, size } of bucket.objects(keys.root + prefix)) {
    const path = keys.pathOf(key);
    if (path === undefined) continue;
    if (flagged.delete(path)) partial.add(path);
    yield { path, size, partial: partial.has(path) };
  }
  for await (const upload of bucket.uploads(keys.root + prefix)) {
    const path = keys.pathOf(upload.key);
    if (path === undefined || partial.has(path)) continue;
    partial.add(path);
    const size = sizeOf(unbroken((await bucket.parts(upload)) ?? []));
    yield { path, size, partial: true };
  }
  // Nothing but a flag: a death between an object's removal and its own.
  for (const path of flagged) if (!partial.has(path)) yield { path, size: 0, partial: true };
}

function absent(what: string): IngotError {
  return new IngotError('SYS.1003', `${what} does not exist.`);
}
