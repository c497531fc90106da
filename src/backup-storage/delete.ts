import type { Database, SqlTransaction } from '../database/database.ts';
import type { JobOperation } from '../job/operation.ts';
import type { Clock } from '../kernel/clock.ts';
import { IngotError } from '../kernel/errors.ts';
import type { Log } from '../kernel/log.ts';
import type { BackupStorages } from './backup-storages.ts';
import { retireLocalBackupStorage } from './local/marker.ts';
import type { DeleteBackupStorage } from './messages.ts';

/** What other folders keep on backup storages, as deleting one has to know it. */
export interface StorageContents {
  /** Throws where something is just being written to it. */
  requireIdle(tx: SqlTransaction, storageUuid: string): Promise<void>;
  /** Deletes the rows of the copies on it, and of what has no other copy. */
  takeOut(tx: SqlTransaction, storageUuid: string): Promise<void>;
}

/** Several folders' as one. */
export function contentsOfAll(all: readonly StorageContents[]): StorageContents {
  return {
    async requireIdle(tx, uuid) {
      for (const contents of all) await contents.requireIdle(tx, uuid);
    },
    async takeOut(tx, uuid) {
      for (const contents of all) await contents.takeOut(tx, uuid);
    },
  };
}

interface Checkpoint {
  uuid: string;
  type: 'LocalBackupStorage';
  url: string;
  enforcing: boolean;
  /** True when nothing is left on it, and it may be a storage no longer. */
  emptied?: boolean;
}

export function deleteBackupStorage(parts: {
  database: Database;
  storages: BackupStorages;
  contents: StorageContents;
  clock: Clock;
  log: Log;
}): JobOperation<typeof DeleteBackupStorage, Checkpoint> {
  return {
    /** The rows go first, so that none is ever without its bytes; then the bytes. */
    async admit({ parameters: { uuid, deleteMode } }, tx) {
      const storage = await tx
        .selectFrom('backupStorage')
        .select(['uuid', 'name', 'type', 'url'])
        .where('uuid', '=', uuid)
        .executeTakeFirst();
      if (!storage) throw new IngotError('SYS.1003', `there is no BackupStorage with the uuid ${uuid}`);
      const enforcing = deleteMode === 'Enforcing';
      if (!enforcing) {
        await parts.contents.requireIdle(tx, uuid);
        await reachable(storage.name, () => parts.storages.driverOf(storage).ping());
      }
      await parts.contents.takeOut(tx, uuid);
      await tx
        .updateTable('backupStorage')
        .set((row) => ({
          state: 'Disabled' as const,
          availableCapacity: row.ref('totalCapacity'),
          lastOpDate: parts.clock.now(),
        }))
        .where('uuid', '=', uuid)
        .execute();
      return { target: uuid, checkpoint: { uuid, type: storage.type, url: storage.url, enforcing } };
    },

    async run(job) {
      const { uuid, url, enforcing, emptied } = job.checkpoint;
      const driver = parts.storages.driverOf(job.checkpoint);
      try {
        if (!emptied) {
          for await (const object of driver.list('')) await driver.remove(object.path);
          // Before it ceases to be a storage: after a death in between, it could not be looked into again.
          await job.save({ ...job.checkpoint, emptied: true });
        }
        await parts.storages.forget(uuid);
        await retireLocalBackupStorage({ root: url, uuid });
      } catch (error) {
        if (!enforcing) throw error;
        parts.log.warn(
          { storage: uuid, err: error },
          'bytes were left behind on a backup storage deleted by force',
        );
        await parts.storages.forget(uuid);
      }
      return async (tx) => {
        await tx.deleteFrom('backupStorage').where('uuid', '=', uuid).execute();
        return {};
      };
    },

    /** Its images are gone already; the storage stays, Disabled, and can be deleted again, if it still is one. */
    async undo(job) {
      const { uuid, emptied } = job.checkpoint;
      return async (tx) => {
        if (emptied) await tx.deleteFrom('backupStorage').where('uuid', '=', uuid).execute();
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
      `backup storage '${name}' can't be reached, so that the copies on it can't be removed`,
      {
        cause,
        elaboration:
          'With deleteMode=Enforcing it is forgotten all the same, and the bytes stay where they are.',
      },
    );
  }
}
