/**
 * Images on primary storages, which volumes stand on. An entry is fetched when the first volume needs it, once
 * however many ask at the same time, and never changed while it is there.
 */
import { createHash } from 'node:crypto';
import type { BackupStorages } from '../backup-storage/backup-storages.ts';
import type { Database } from '../database/database.ts';
import { noReadableCopy, readableImage } from '../image/ready-copies.ts';
import { type Progress, ServiceStopping } from '../job/operation.ts';
import { type Clock, sleep } from '../kernel/clock.ts';
import { IngotError } from '../kernel/errors.ts';
import type { Log } from '../kernel/log.ts';
import { bornAt } from '../kernel/properties.ts';
import { fetchImage } from './fetch-image.ts';
import type { PrimaryStorageRow } from './primary-storage.ts';
import type { PrimaryStorages } from './primary-storages.ts';

/** What a volume can stand on. */
export interface CachedImage {
  path: string;
  format: 'qcow2' | 'raw';
  virtualSize: number;
}

/** Who asks: a job, which owns the fetching if it is the first. */
interface Asking {
  id: string;
  signal: AbortSignal;
  report?: (progress: Progress) => void;
}

interface Work {
  done: Promise<void>;
  stop: AbortController;
  asking: Set<Asking>;
}

interface Parts {
  database: Database;
  storages: BackupStorages;
  primaryStorages: PrimaryStorages;
  clock: Clock;
  log: Log;
}

/** How often an entry is looked at that another process works on. Milliseconds. */
const LOOK = 100;

/** Where in the storage an image's entry is. */
export function cachePath(imageUuid: string): string {
  return `imagecache/${imageUuid}/${imageUuid}.template`;
}

export class ImageCaches {
  readonly #parts: Parts;
  /** What this process is doing, by storage and image. */
  readonly #works = new Map<string, Work>();

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /**
   * The image's entry in the storage's cache, whole and right; fetched first where it isn't there.
   * @throws IngotError saying why none of the image's copies can be had
   */
  async require(storageUuid: string, imageUuid: string, asking: Asking): Promise<CachedImage> {
    const key = `${storageUuid}/${imageUuid}`;
    for (;;) {
      asking.signal.throwIfAborted();
      const entry = await this.#entry(storageUuid, imageUuid);
      if (entry?.state === 'ready' && !this.#works.has(key)) {
        const driver = await this.#parts.primaryStorages.driver(storageUuid);
        if ((await driver.fingerprint(entry.path)) === entry.fingerprint) return entry;
      }
      let work = this.#works.get(key);
      if (!work) {
        work = this.#begin(storageUuid, imageUuid, asking);
        this.#works.set(key, work);
        const forget = () => this.#works.delete(key);
        work.done.then(forget, forget);
      }
      await this.#join(work, storageUuid, imageUuid, asking);
    }
  }

  #begin(storageUuid: string, imageUuid: string, asking: Asking): Work {
    const stop = new AbortController();
    const crowd = new Set<Asking>([asking]);
    const report = (progress: Progress) => {
      for (const each of crowd) each.report?.(progress);
    };
    const done = this.#provide(storageUuid, imageUuid, asking.id, stop.signal, report);
    return { done, stop, asking: crowd };
  }

  /** Waits with others; whoever is cancelled leaves, and the last one to leave stops the work. */
  async #join(work: Work, storageUuid: string, imageUuid: string, asking: Asking): Promise<void> {
    work.asking.add(asking);
    const { signal } = asking;
    let leave: (() => void) | undefined;
    const left = new Promise<never>((_, reject) => {
      leave = () => reject(signal.reason);
      signal.addEventListener('abort', leave, { once: true });
      if (signal.aborted) leave();
    });
    try {
      await Promise.race([work.done, left]);
    } catch (error) {
      if (!signal.aborted) throw error;
      work.asking.delete(asking);
      const [next] = work.asking;
      if (!next) {
        work.stop.abort(signal.reason);
        await work.done.catch(() => {});
      } else await this.#handOver(storageUuid, imageUuid, asking.id, next.id);
      throw signal.reason;
    } finally {
      if (leave) signal.removeEventListener('abort', leave);
      work.asking.delete(asking);
    }
  }

  /** Another job answers for the fetching, now that the one that began it ends. */
  async #handOver(storageUuid: string, imageUuid: string, from: string, to: string): Promise<void> {
    await this.#parts.database.sql
      .updateTable('imageCache')
      .set({ jobUuid: to })
      .where('primaryStorageUuid', '=', storageUuid)
      .where('imageUuid', '=', imageUuid)
      .where('jobUuid', '=', from)
      .execute();
  }

  /** Fulfilled when the entry is ready, by our doing or another process's. */
  async #provide(
    storageUuid: string,
    imageUuid: string,
    job: string,
    signal: AbortSignal,
    report: (progress: Progress) => void,
  ): Promise<void> {
    const { log } = this.#parts;
    for (;;) {
      signal.throwIfAborted();
      const entry = await this.#entry(storageUuid, imageUuid);
      if (entry?.state === 'ready') {
        if (await this.#isIntact(storageUuid, entry)) return;
        log.warn(
          { storage: storageUuid, image: imageUuid },
          'an image in the cache was damaged; fetching it anew',
        );
        if (await this.#claim(entry.id, 'ready', entry.jobUuid, job)) {
          return this.#fetch(storageUuid, imageUuid, { signal, report, keepEntry: true });
        }
      } else if (!entry) {
        if (await this.#insert(storageUuid, imageUuid, job)) {
          return this.#fetch(storageUuid, imageUuid, { signal, report, keepEntry: false });
        }
      } else if (entry.jobUuid === job || !(await this.#isWorkedOn(entry.jobUuid))) {
        if (await this.#claim(entry.id, entry.state, entry.jobUuid, job)) {
          return this.#fetch(storageUuid, imageUuid, {
            signal,
            report,
            keepEntry: await this.#isNeeded(storageUuid, imageUuid),
          });
        }
      } else await sleep(LOOK, signal);
    }
  }

  async #fetch(
    storageUuid: string,
    imageUuid: string,
    {
      signal,
      report,
      keepEntry,
    }: { signal: AbortSignal; report: (progress: Progress) => void; keepEntry: boolean },
  ): Promise<void> {
    const { database, primaryStorages, clock } = this.#parts;
    const where = { primaryStorageUuid: storageUuid, imageUuid };
    const driver = await primaryStorages.driver(storageUuid);
    try {
      const storage = await this.#storage(storageUuid);
      const readable = await readableImage(database.sql, imageUuid, storage.zoneUuid);
      if (readable.copies.length === 0) throw noReadableCopy(readable);
      const entry = await this.#entry(storageUuid, imageUuid);
      if (entry && entry.sha256sum !== readable.image.sha256Sum && keepEntry) {
        throw new IngotError(
          'SYS.1006',
          `primary storage '${storage.name}' still has volumes of an earlier image with the uuid ${imageUuid}; images made anew with a used uuid can't be mixed with them`,
        );
      }
      await fetchImage(
        { ...this.#parts, driver, storageName: storage.name, path: cachePath(imageUuid) },
        readable,
        { signal, report },
      );
      await database.sql
        .updateTable('imageCache')
        .set({
          state: 'ready',
          jobUuid: null,
          size: readable.image.actualSize,
          virtualSize: readable.image.size,
          format: readable.image.format,
          md5sum: readable.image.md5Sum,
          sha256sum: readable.image.sha256Sum,
          fingerprint: (await driver.fingerprint(cachePath(imageUuid))) ?? null,
          lastOpDate: clock.now(),
        })
        .where((row) => row.and(where))
        .execute();
    } catch (error) {
      // The jobs that wait for it go on at the next start, and with them this.
      if (signal.reason instanceof ServiceStopping) throw error;
      if (keepEntry) {
        // Volumes stand on it: it is looked at, and fetched, again at the next use.
        await database.sql
          .updateTable('imageCache')
          .set({ state: 'ready', jobUuid: null, fingerprint: null })
          .where((row) => row.and(where))
          .execute();
      } else {
        await driver.remove(cachePath(imageUuid));
        await database.sql
          .deleteFrom('imageCache')
          .where((row) => row.and(where))
          .execute();
      }
      throw error;
    }
  }

  async #insert(storageUuid: string, imageUuid: string, job: string): Promise<boolean> {
    const { database, clock, primaryStorages } = this.#parts;
    const storage = await this.#storage(storageUuid);
    const readable = await readableImage(database.sql, imageUuid, storage.zoneUuid);
    if (readable.copies.length === 0) throw noReadableCopy(readable);
    const { image } = readable;
    const path = cachePath(imageUuid);
    const inserted = await database.sql
      .insertInto('imageCache')
      .values({
        primaryStorageUuid: storageUuid,
        imageUuid,
        installUrl: (await primaryStorages.driver(storageUuid)).location(path),
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
        ...bornAt(clock.now()),
      })
      .onConflict((conflict) => conflict.columns(['primaryStorageUuid', 'imageUuid']).doNothing())
      .executeTakeFirst();
    return inserted.numInsertedOrUpdatedRows !== 0n;
  }

  /** Takes the entry for the job, if it still is as it was seen. */
  async #claim(
    id: number,
    state: 'downloading' | 'ready' | 'deleting',
    owner: string | null,
    job: string,
  ): Promise<boolean> {
    const { numUpdatedRows } = await this.#parts.database.sql
      .updateTable('imageCache')
      .set({ state: 'downloading', jobUuid: job })
      .where('id', '=', id)
      .where('state', '=', state)
      .where('jobUuid', owner === null ? 'is' : '=', owner)
      .executeTakeFirst();
    return numUpdatedRows > 0n;
  }

  /** Whether a process works on the job now. */
  async #isWorkedOn(job: string | null): Promise<boolean> {
    if (job === null) return false;
    const { database } = this.#parts;
    const row = await database.sql
      .selectFrom('longJob')
      .select('uuid')
      .where('uuid', '=', job)
      .where('state', 'in', ['Waiting', 'Running', 'Canceling'])
      .where('leaseUntil', '>', database.syntax.now)
      .executeTakeFirst();
    return row !== undefined;
  }

  async #isNeeded(storageUuid: string, imageUuid: string): Promise<boolean> {
    const volume = await this.#parts.database.sql
      .selectFrom('volume')
      .select('uuid')
      .where('primaryStorageUuid', '=', storageUuid)
      .where('baseImageUuid', '=', imageUuid)
      .where('status', '!=', 'Creating')
      .limit(1)
      .executeTakeFirst();
    if (volume) return true;
    const drive = await this.#parts.database.sql
      .selectFrom('vmCdRom')
      .select('uuid')
      .where('primaryStorageUuid', '=', storageUuid)
      .where('isoUuid', '=', imageUuid)
      .limit(1)
      .executeTakeFirst();
    return drive !== undefined;
  }

  /** A file that was touched may still be right: its digest tells. */
  async #isIntact(
    storageUuid: string,
    entry: { id: number; path: string; fingerprint: string | null; sha256sum: string },
  ): Promise<boolean> {
    const driver = await this.#parts.primaryStorages.driver(storageUuid);
    const fingerprint = await driver.fingerprint(entry.path);
    if (fingerprint === undefined) return false;
    if (fingerprint === entry.fingerprint) return true;
    const hash = createHash('sha256');
    for await (const chunk of driver.read(entry.path)) hash.update(chunk);
    if (hash.digest('hex') !== entry.sha256sum) return false;
    await this.#parts.database.sql
      .updateTable('imageCache')
      .set({ fingerprint })
      .where('id', '=', entry.id)
      .where('state', '=', 'ready')
      .execute();
    return true;
  }

  #entry(storageUuid: string, imageUuid: string) {
    return this.#parts.database.sql
      .selectFrom('imageCache')
      .selectAll()
      .where('primaryStorageUuid', '=', storageUuid)
      .where('imageUuid', '=', imageUuid)
      .executeTakeFirst();
  }

  async #storage(uuid: string): Promise<Pick<PrimaryStorageRow, 'name' | 'zoneUuid'>> {
    return this.#parts.database.sql
      .selectFrom('primaryStorage')
      .select(['name', 'zoneUuid'])
      .where('uuid', '=', uuid)
      .executeTakeFirstOrThrow();
  }
}
