/**
 * Images on primary storages, which volumes stand on. An entry is fetched when the first volume needs it, once
 * however many ask at the same time, and never changed while it is there.
 */
import { createHash } from 'node:crypto';
import type { BackupStorages } from '../backup-storage/backup-storages.ts';
import type { Database } from '../database/database.ts';
import { noReadableCopy, type ReadableImage, readableImage } from '../image/ready-copies.ts';
import { type Progress, ServiceStopping } from '../job/operation.ts';
import { type Clock, sleep } from '../kernel/clock.ts';
import { IngotError } from '../kernel/errors.ts';
import type { Log } from '../kernel/log.ts';
import { fetchImage } from './fetch-image.ts';
import { type CacheKey, ImageCacheRows } from './image-cache-rows.ts';
import type { ImageCacheRow, PrimaryStorageRow } from './primary-storage.ts';
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
  readonly #rows: ImageCacheRows;
  /** What this process is doing, by storage and image. */
  readonly #works = new Map<string, Work>();

  constructor(parts: Parts) {
    this.#parts = parts;
    this.#rows = new ImageCacheRows(parts);
  }

  /**
   * The image's entry in the storage's cache, whole and right; fetched first where it isn't there.
   * @throws IngotError saying why none of the image's copies can be had
   */
  async require(storageUuid: string, imageUuid: string, asking: Asking): Promise<CachedImage> {
    const key = { primaryStorageUuid: storageUuid, imageUuid };
    const name = `${storageUuid}/${imageUuid}`;
    for (;;) {
      asking.signal.throwIfAborted();
      const entry = await this.#rows.find(key);
      if (entry?.state === 'ready' && !this.#works.has(name)) {
        const driver = await this.#parts.primaryStorages.driver(storageUuid);
        if ((await driver.fingerprint(entry.path)) === entry.fingerprint) return entry;
      }
      let work = this.#works.get(name);
      if (!work) {
        work = this.#begin(key, asking);
        this.#works.set(name, work);
        const forget = () => this.#works.delete(name);
        work.done.then(forget, forget);
      }
      await this.#join(work, key, asking);
    }
  }

  #begin(key: CacheKey, asking: Asking): Work {
    const stop = new AbortController();
    const crowd = new Set<Asking>([asking]);
    const report = (progress: Progress) => {
      for (const each of crowd) each.report?.(progress);
    };
    const done = this.#provide(key, crowd, stop.signal, report);
    return { done, stop, asking: crowd };
  }

  /** Waits with others; whoever is cancelled leaves, and the last one to leave stops the work. */
  async #join(work: Work, key: CacheKey, asking: Asking): Promise<void> {
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
      } else await this.#rows.handOver(key, asking.id, next.id);
      throw signal.reason;
    } finally {
      if (leave) signal.removeEventListener('abort', leave);
      work.asking.delete(asking);
    }
  }

  /** Fulfilled when the entry is ready, by our doing or another process's. */
  async #provide(
    key: CacheKey,
    crowd: ReadonlySet<Asking>,
    signal: AbortSignal,
    report: (progress: Progress) => void,
  ): Promise<void> {
    const { primaryStorageUuid: storage, imageUuid: image } = key;
    for (;;) {
      signal.throwIfAborted();
      const entry = await this.#rows.find(key);
      // Whoever is here still: one that leaves hands over what is its.
      const [{ id: job } = { id: '' }] = crowd;
      if (entry?.state === 'ready') {
        if (await this.#isIntact(entry)) return;
        this.#parts.log.warn({ storage, image }, 'an image in the cache was damaged; fetching it anew');
        if (await this.#rows.claim(entry, job)) {
          return this.#fetch(key, { signal, report, keepEntry: true });
        }
      } else if (!entry) {
        if (await this.#insert(key, job)) {
          return this.#fetch(key, { signal, report, keepEntry: false });
        }
      } else if (isOneOf(crowd, entry.jobUuid) || !(await this.#rows.isWorkedOn(entry.jobUuid))) {
        if (await this.#rows.claim(entry, job)) {
          return this.#fetch(key, { signal, report, keepEntry: await this.#rows.isNeeded(key) });
        }
      } else await sleep(LOOK, signal);
    }
  }

  async #fetch(
    key: CacheKey,
    {
      signal,
      report,
      keepEntry,
    }: { signal: AbortSignal; report: (progress: Progress) => void; keepEntry: boolean },
  ): Promise<void> {
    const { imageUuid } = key;
    const driver = await this.#parts.primaryStorages.driver(key.primaryStorageUuid);
    try {
      const { storage, readable } = await this.#readable(key);
      const entry = await this.#rows.find(key);
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
      const fingerprint = (await driver.fingerprint(cachePath(imageUuid))) ?? null;
      await this.#rows.setFetched(key, readable.image, fingerprint);
    } catch (error) {
      // The jobs that wait for it go on at the next start, and with them this.
      if (signal.reason instanceof ServiceStopping) throw error;
      // Volumes stand on an entry that is kept.
      if (keepEntry) await this.#rows.setUncertain(key);
      else {
        await driver.remove(cachePath(imageUuid));
        await this.#rows.delete(key);
      }
      throw error;
    }
  }

  async #insert(key: CacheKey, job: string): Promise<boolean> {
    const { readable } = await this.#readable(key);
    const driver = await this.#parts.primaryStorages.driver(key.primaryStorageUuid);
    const path = cachePath(key.imageUuid);
    return this.#rows.insert(key, readable.image, { path, installUrl: driver.location(path), job });
  }

  /** The image with its copies, of which there is at least one, and the storage that is to have it. */
  async #readable({ primaryStorageUuid, imageUuid }: CacheKey): Promise<{
    storage: Pick<PrimaryStorageRow, 'name' | 'zoneUuid'>;
    readable: ReadableImage;
  }> {
    const { sql } = this.#parts.database;
    const storage = await sql
      .selectFrom('primaryStorage')
      .select(['name', 'zoneUuid'])
      .where('uuid', '=', primaryStorageUuid)
      .executeTakeFirstOrThrow();
    const readable = await readableImage(sql, imageUuid, storage.zoneUuid);
    if (readable.copies.length === 0) throw noReadableCopy(readable);
    return { storage, readable };
  }

  /** A file that was touched may still be right: its digest tells. */
  async #isIntact(entry: ImageCacheRow): Promise<boolean> {
    const driver = await this.#parts.primaryStorages.driver(entry.primaryStorageUuid);
    const fingerprint = await driver.fingerprint(entry.path);
    if (fingerprint === undefined) return false;
    if (fingerprint === entry.fingerprint) return true;
    const hash = createHash('sha256');
    for await (const chunk of driver.read(entry.path)) hash.update(chunk);
    if (hash.digest('hex') !== entry.sha256sum) return false;
    await this.#rows.setFingerprint(entry.id, fingerprint);
    return true;
  }
}

/** After a death, the job that was fetching it may come second, and wait here for the first: then nobody else does. */
function isOneOf(crowd: ReadonlySet<Asking>, job: string | null): boolean {
  return [...crowd].some(({ id }) => id === job);
}
