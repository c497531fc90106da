/** CleanUpImageCacheOnPrimaryStorage and PrefetchImageToPrimaryStorage: the cache by hand (zstack-api.md 5.5). */
import type { Database, SqlTransaction } from '../database/database.ts';
import type { JobOperation } from '../job/operation.ts';
import type { Clock } from '../kernel/clock.ts';
import { requireInventory } from '../query/find.ts';
import { toInventories } from '../query/query.ts';
import type { ImageCaches } from './image-cache.ts';
import type { CleanUpImageCacheOnPrimaryStorage, PrefetchImageToPrimaryStorage } from './messages.ts';
import { ImageCache, PrimaryStorage } from './primary-storage.ts';
import type { PrimaryStorages } from './primary-storages.ts';
import { requireReachable } from './usable.ts';

interface Parts {
  database: Database;
  primaryStorages: PrimaryStorages;
  caches: ImageCaches;
  clock: Clock;
}

interface Checkpoint {
  uuid: string;
  entries: { id: number; path: string }[];
}

export function cleanUpImageCacheOnPrimaryStorage(
  parts: Parts,
): JobOperation<typeof CleanUpImageCacheOnPrimaryStorage, Checkpoint> {
  return {
    /** From here on no new volume stands on the entries: one that wants to waits, and fetches the image anew. */
    async admit({ id, parameters: { uuid, force } }, tx) {
      await requireReachable(tx, uuid);
      let unused = tx
        .updateTable('imageCache')
        .set({ state: 'deleting', jobUuid: id, lastOpDate: parts.clock.now() })
        .where('primaryStorageUuid', '=', uuid)
        .where('state', '=', 'ready')
        .where('imageUuid', 'not in', (volumes) =>
          volumes
            .selectFrom('volume')
            .select('baseImageUuid')
            .where('primaryStorageUuid', '=', uuid)
            .where('baseImageUuid', 'is not', null)
            .$narrowType<{ baseImageUuid: string }>(),
        )
        .where('imageUuid', 'not in', (drives) =>
          drives
            .selectFrom('vmCdRom')
            .select('isoUuid')
            .where('primaryStorageUuid', '=', uuid)
            .where('isoUuid', 'is not', null)
            .$narrowType<{ isoUuid: string }>(),
        );
      if (!force)
        unused = unused.where('imageUuid', 'not in', (images) => images.selectFrom('image').select('uuid'));
      const entries = await unused.returning(['id', 'path']).execute();
      return { target: uuid, checkpoint: { uuid, entries } };
    },

    async run(job) {
      const { uuid, entries } = job.checkpoint;
      const driver = await parts.primaryStorages.driver(uuid);
      for (const { id, path } of entries) {
        if (await stillOurs(parts.database, id, job.call.id)) await driver.remove(path);
      }
      return async (tx) => {
        await forget(tx, job.call.id);
        return {};
      };
    },

    /** What could not be removed is removed next time; its digest is looked at before it is used again. */
    async undo(job) {
      const { uuid, entries } = job.checkpoint;
      const driver = await parts.primaryStorages.driver(uuid);
      const gone: number[] = [];
      for (const { id, path } of entries) {
        const usage = await driver.usage(path).catch(() => 0);
        if (usage === undefined) gone.push(id);
      }
      return async (tx) => {
        const ours = { jobUuid: job.call.id, state: 'deleting' as const };
        await tx
          .deleteFrom('imageCache')
          .where((row) => row.and(ours))
          .where('id', 'in', [...gone, -1])
          .execute();
        await tx
          .updateTable('imageCache')
          .set({ state: 'ready', jobUuid: null, fingerprint: null })
          .where((row) => row.and(ours))
          .execute();
      };
    },
  };
}

async function stillOurs(database: Database, id: number, job: string): Promise<boolean> {
  const entry = await database.sql
    .selectFrom('imageCache')
    .select('id')
    .where('id', '=', id)
    .where('state', '=', 'deleting')
    .where('jobUuid', '=', job)
    .executeTakeFirst();
  return entry !== undefined;
}

async function forget(tx: SqlTransaction, job: string): Promise<void> {
  await tx.deleteFrom('imageCache').where('jobUuid', '=', job).where('state', '=', 'deleting').execute();
}

export function prefetchImageToPrimaryStorage(
  parts: Parts,
): JobOperation<typeof PrefetchImageToPrimaryStorage, { uuid: string; imageUuid: string }> {
  return {
    async admit({ parameters: { uuid, imageUuid } }, tx) {
      await requireInventory(tx, PrimaryStorage, uuid);
      await requireReachable(tx, uuid);
      return { target: uuid, checkpoint: { uuid, imageUuid } };
    },
    async run(job) {
      const { uuid, imageUuid } = job.checkpoint;
      await parts.caches.require(uuid, imageUuid, {
        id: job.call.id,
        signal: job.signal,
        report: job.report,
      });
      return async (tx) => {
        const rows = await tx
          .selectFrom('imageCache')
          .select(Object.keys(ImageCache.fields) as (keyof typeof ImageCache.fields)[])
          .where('primaryStorageUuid', '=', uuid)
          .where('imageUuid', '=', imageUuid)
          .execute();
        const [inventory] = await toInventories(tx, ImageCache, rows);
        return { inventory } as never;
      };
    },
    async undo() {
      return async () => {};
    },
  };
}
