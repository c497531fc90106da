import type { Database, SqlTransaction } from '../database/database.ts';
import type { JobOperation } from '../job/operation.ts';
import type { Clock } from '../kernel/clock.ts';
import { bornAt } from '../kernel/properties.ts';
import type { Resource } from '../kernel/resource.ts';
import { newUuid } from '../kernel/uuid.ts';
import { requireFreeUuid, requireInventory } from '../query/find.ts';
import { BackupStorage } from './backup-storage.ts';
import type { BackupStorages } from './backup-storages.ts';
import { usableDirectory } from './local/directory.ts';
import { initialiseLocalBackupStorage, retireLocalBackupStorage } from './local/marker.ts';
import type { AddLocalBackupStorage } from './messages.ts';

interface Checkpoint {
  uuid: string;
  directory: string;
}

export function addLocalBackupStorage(parts: {
  database: Database;
  storages: BackupStorages;
  clock: Clock;
  resources: ReadonlyMap<string, Resource>;
  /** Directories of the service's own, which no storage may contain. */
  reserved: readonly string[];
}): JobOperation<typeof AddLocalBackupStorage, Checkpoint> {
  return {
    async admit({ parameters }, tx) {
      if (parameters.resourceUuid)
        await requireFreeUuid(tx, parts.resources.values(), parameters.resourceUuid);
      const others = await tx
        .selectFrom('backupStorage')
        .select(['name', 'url'])
        .where('type', '=', 'LocalBackupStorage')
        .execute();
      const directory = await usableDirectory(parameters.url, others, parts.reserved);
      const uuid = parameters.resourceUuid ?? newUuid();
      await tx
        .insertInto('backupStorage')
        .values({
          uuid,
          name: parameters.name,
          description: parameters.description ?? null,
          url: directory,
          totalCapacity: 0,
          availableCapacity: 0,
          type: 'LocalBackupStorage',
          state: 'Enabled',
          status: 'Connecting',
          ...bornAt(parts.clock.now()),
        })
        .execute();
      return { target: uuid, checkpoint: { uuid, directory } };
    },

    async run(job) {
      const { uuid, directory } = job.checkpoint;
      await initialiseLocalBackupStorage({ root: directory, uuid });
      const driver = await parts.storages.driver(uuid);
      await driver.ping();
      const { total } = await driver.capacity();
      return async (tx) => {
        await tx
          .updateTable('backupStorage')
          .set({
            status: 'Connected',
            totalCapacity: total,
            availableCapacity: total,
            lastOpDate: parts.clock.now(),
          })
          .where('uuid', '=', uuid)
          .execute();
        await attachToDefaultZone(tx, uuid, parts.clock.now());
        return { inventory: await requireInventory(tx, BackupStorage, uuid) };
      };
    },

    async undo(job) {
      const { uuid, directory } = job.checkpoint;
      await parts.storages.forget(uuid);
      await retireLocalBackupStorage({ root: directory, uuid });
      return async (tx) => {
        await tx.deleteFrom('backupStorage').where('uuid', '=', uuid).execute();
      };
    },
  };
}

/** One that is attached to no zone would never be chosen for an image that names none. */
async function attachToDefaultZone(tx: SqlTransaction, uuid: string, now: number): Promise<void> {
  const zone = await tx
    .selectFrom('zone')
    .select('uuid')
    .where('isDefault', '=', true)
    .orderBy('createDate')
    .limit(1)
    .executeTakeFirst();
  if (!zone) return;
  await tx
    .insertInto('backupStorageZoneRef')
    .values({ backupStorageUuid: uuid, zoneUuid: zone.uuid, ...bornAt(now) })
    .execute();
}
