/** The rows of images in caches: what is known of an entry, and which job answers for it. */
import type { Database } from '../database/database.ts';
import type { ReadableImage } from '../image/ready-copies.ts';
import type { Clock } from '../kernel/clock.ts';
import { bornAt } from '../kernel/properties.ts';
import type { ImageCacheRow } from './primary-storage.ts';

/** The one entry that an image has in a storage's cache. */
export interface CacheKey {
  primaryStorageUuid: string;
  imageUuid: string;
}

export class ImageCacheRows {
  readonly #database: Database;
  readonly #clock: Clock;

  constructor({ database, clock }: { database: Database; clock: Clock }) {
    this.#database = database;
    this.#clock = clock;
  }

  find(key: CacheKey): Promise<ImageCacheRow | undefined> {
    return this.#database.sql
      .selectFrom('imageCache')
      .selectAll()
      .where('primaryStorageUuid', '=', key.primaryStorageUuid)
      .where('imageUuid', '=', key.imageUuid)
      .executeTakeFirst();
  }

  /** A new entry that the job fetches; false where there is one already. */
  async insert(
    key: CacheKey,
    image: ReadableImage['image'],
    { path, installUrl, job }: { path: string; installUrl: string; job: string },
  ): Promise<boolean> {
    const inserted = await this.#database.sql
      .insertInto('imageCache')
      .values({
        ...key,
        installUrl,
        mediaType: image.mediaType,
        size: image.actualSize,
        md5sum: image.md5Sum,
        sha256sum: image.sha256Sum,
        state: 'downloading',
        path,
        format: image.format,
        virtualSize: image.size,
        fingerprint: null,
        jobUuid: job,
        ...bornAt(this.#clock.now()),
      })
      .onConflict((conflict) => conflict.columns(['primaryStorageUuid', 'imageUuid']).doNothing())
      .executeTakeFirst();
    return inserted.numInsertedOrUpdatedRows !== 0n;
  }

  /** Takes the entry for the job, if it still is as it was seen. */
  async claim({ id, state, jobUuid }: ImageCacheRow, job: string): Promise<boolean> {
    const { numUpdatedRows } = await this.#database.sql
      .updateTable('imageCache')
      .set({ state: 'downloading', jobUuid: job })
      .where('id', '=', id)
      .where('state', '=', state)
      .where('jobUuid', jobUuid === null ? 'is' : '=', jobUuid)
      .executeTakeFirst();
    return numUpdatedRows > 0n;
  }

  /** Another job answers for the fetching, now that the one that began it ends. */
  async handOver(key: CacheKey, from: string, to: string): Promise<void> {
    await this.#database.sql
      .updateTable('imageCache')
      .set({ jobUuid: to })
      .where((row) => row.and(key))
      .where('jobUuid', '=', from)
      .execute();
  }

  /** The image is there, whole, as the fingerprint tells it. */
  async setFetched(key: CacheKey, image: ReadableImage['image'], fingerprint: string | null): Promise<void> {
    await this.#database.sql
      .updateTable('imageCache')
      .set({
        state: 'ready',
        jobUuid: null,
        size: image.actualSize,
        virtualSize: image.size,
        format: image.format,
        md5sum: image.md5Sum,
        sha256sum: image.sha256Sum,
        fingerprint,
        lastOpDate: this.#clock.now(),
      })
      .where((row) => row.and(key))
      .execute();
  }

  /** The entry stays without anybody knowing whether it is right: it is looked at, and fetched, again at the next use. */
  async setUncertain(key: CacheKey): Promise<void> {
    await this.#database.sql
      .updateTable('imageCache')
      .set({ state: 'ready', jobUuid: null, fingerprint: null })
      .where((row) => row.and(key))
      .execute();
  }

  /** The entry has been found right as the fingerprint tells it. */
  async setFingerprint(id: number, fingerprint: string): Promise<void> {
    await this.#database.sql
      .updateTable('imageCache')
      .set({ fingerprint })
      .where('id', '=', id)
      .where('state', '=', 'ready')
      .execute();
  }

  async delete(key: CacheKey): Promise<void> {
    await this.#database.sql
      .deleteFrom('imageCache')
      .where((row) => row.and(key))
      .execute();
  }

  /** Whether a process works on the job now. */
  async isWorkedOn(job: string | null): Promise<boolean> {
    if (job === null) return false;
    const row = await this.#database.sql
      .selectFrom('longJob')
      .select('uuid')
      .where('uuid', '=', job)
      .where('state', 'in', ['Waiting', 'Running', 'Canceling'])
      .where('leaseUntil', '>', this.#database.syntax.now)
      .executeTakeFirst();
    return row !== undefined;
  }

  /** Whether a volume stands on the entry, or it is in a drive. */
  async isNeeded({ primaryStorageUuid, imageUuid }: CacheKey): Promise<boolean> {
    const volume = await this.#database.sql
      .selectFrom('volume')
      .select('uuid')
      .where('primaryStorageUuid', '=', primaryStorageUuid)
      .where('baseImageUuid', '=', imageUuid)
      .where('status', '!=', 'Creating')
      .limit(1)
      .executeTakeFirst();
    if (volume) return true;
    const drive = await this.#database.sql
      .selectFrom('vmCdRom')
      .select('uuid')
      .where('primaryStorageUuid', '=', primaryStorageUuid)
      .where('isoUuid', '=', imageUuid)
      .limit(1)
      .executeTakeFirst();
    return drive !== undefined;
  }
}
