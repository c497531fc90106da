import { retireLocalBackupStorage } from '../backup-storage/local/marker.ts';
import type { Database, SqlTransaction } from '../database/database.ts';
import { hold, letGo } from '../job/holds.ts';
import type { JobOperation } from '../job/operation.ts';
import type { Clock } from '../kernel/clock.ts';
import { IngotError } from '../kernel/errors.ts';
import type { Log } from '../kernel/log.ts';
import type { DeletePrimaryStorage } from './messages.ts';
import { unmountNfs } from './nfs/mount.ts';
import { NFS_URL } from './nfs/url.ts';
import type { PrimaryStorageRow } from './primary-storage.ts';
import type { PrimaryStorages } from './primary-storages.ts';

/** What other folders keep on primary storages, as deleting one has to know it. */
export interface StorageDisks {
  /** Throws where a job is at work on something on it, or a virtual machine has it. */
  requireIdle(tx: SqlTransaction, storageUuid: string): Promise<void>;
  /** Deletes the rows of all that is on it. */
  takeOut(tx: SqlTransaction, storageUuid: string): Promise<void>;
}

type Checkpoint = Pick<PrimaryStorageRow, 'uuid' | 'type' | 'url' | 'mountPath'> & { enforcing: boolean };

export function deletePrimaryStorage(parts: {
  database: Database;
  primaryStorages: PrimaryStorages;
  disks: StorageDisks;
  clock: Clock;
  log: Log;
}): JobOperation<typeof DeletePrimaryStorage, Checkpoint> {
  return {
    /** The rows go first, so that none is ever without its bytes; then the bytes. */
    async admit({ id, parameters: { uuid, deleteMode } }, tx) {
      await hold(tx, { table: 'primaryStorage', uuid, job: id, mode: 'change' });
      const storage = await tx
        .selectFrom('primaryStorage')
        .select(['uuid', 'name', 'type', 'url', 'mountPath'])
        .where('uuid', '=', uuid)
        .executeTakeFirstOrThrow();
      const { name, ...rest } = storage;
      const enforcing = deleteMode === 'Enforcing';
      // Jobs at work on it would write to what is being removed, however much in a hurry the caller is.
      await parts.disks.requireIdle(tx, uuid);
      if (!enforcing) await reachable(name, () => parts.primaryStorages.driverOf(storage).ping());
      await parts.disks.takeOut(tx, uuid);
      await tx.deleteFrom('imageCache').where('primaryStorageUuid', '=', uuid).execute();
      await tx.deleteFrom('trash').where('storageUuid', '=', uuid).execute();
      await tx
        .updateTable('primaryStorage')
        .set({ state: 'Deleting', lastOpDate: parts.clock.now() })
        .where('uuid', '=', uuid)
        .execute();
      return { target: uuid, checkpoint: { ...rest, enforcing } };
    },

    async run(job) {
      const { uuid, type, url, mountPath, enforcing } = job.checkpoint;
      const driver = parts.primaryStorages.driverOf(job.checkpoint);
      try {
        for await (const { path } of driver.list('')) await driver.remove(path);
        await retireLocalBackupStorage({ root: mountPath, uuid, kind: 'primary' });
        await parts.primaryStorages.forget(uuid);
        if (type === 'NFS' && NFS_URL.test(url)) await unmountNfs(mountPath);
      } catch (error) {
        await parts.primaryStorages.forget(uuid);
        if (!enforcing) throw error;
        parts.log.warn(
          { storage: uuid, err: error },
          'bytes were left behind on a primary storage deleted by force',
        );
      }
      return async (tx) => {
        await letGo(tx, job.call.id);
        await tx.deleteFrom('primaryStorage').where('uuid', '=', uuid).execute();
        return {};
      };
    },

    /** What was on it is gone already; the storage stays, Disabled, and can be deleted again. */
    async undo(job) {
      const { uuid } = job.checkpoint;
      return async (tx) => {
        await letGo(tx, job.call.id);
        const { totalCapacity, overProvisioning } = await tx
          .selectFrom('primaryStorage')
          .select(['totalCapacity', 'overProvisioning'])
          .where('uuid', '=', uuid)
          .executeTakeFirstOrThrow();
        await tx
          .updateTable('primaryStorage')
          .set({ state: 'Disabled', availableCapacity: Math.floor((totalCapacity * overProvisioning) / 100) })
          .where('uuid', '=', uuid)
          .execute();
      };
    },
  };
}

async function reachable(name: string, ping: () => Promise<void>): Promise<void> {
  try {
    await ping();
  } catch (cause) {
    throw new IngotError(
      'SYS.1004',
      `primary storage '${name}' can't be reached, so that what is on it can't be removed`,
      {
        cause,
        elaboration:
          'With deleteMode=Enforcing it is forgotten all the same, and the bytes stay where they are.',
      },
    );
  }
}
