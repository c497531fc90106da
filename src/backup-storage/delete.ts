import type { Database, SqlTransaction } from '../database/database.ts';
import { type JobOperation, LeaseLost } from '../job/operation.ts';
import type { Clock } from '../kernel/clock.ts';
import { IngotError } from '../kernel/errors.ts';
import type { Log } from '../kernel/log.ts';
import type { BackupStorages } from './backup-storages.ts';
import type { StorageRow } from './kind.ts';
import type { DeleteBackupStorage } from './messages.ts';
import { requireStorage } from './update.ts';

/** What other folders keep on backup storages, as deleting one has to know it. */
export interface StorageContents {
  /** Throws where something is just being written to it. */
  requireIdle(tx: SqlTransaction, storageUuid: string): Promise<void>;
  /**
   * Deletes the rows of the copies on it, and of what has no other copy. Their bytes go to the trash, so that they are
   * somebody's concern where emptying the storage fails.
   */
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
  enforcing: boolean;
  /** What it was before it was disabled to be emptied. */
  state: StorageRow['state'];
  /** True when no row says any longer that something is on it. */
  takenOut?: boolean;
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
    async admit({ parameters: { uuid, deleteMode } }, tx) {
      const { state } = await requireStorage(tx, uuid);
      const enforcing = deleteMode === 'Enforcing';
      if (!enforcing) await parts.contents.requireIdle(tx, uuid);
      // Nothing new comes to it from here on.
      await setState(tx, uuid, 'Disabled', parts.clock.now());
      return { target: uuid, checkpoint: { uuid, enforcing, state } };
    },

    /** The rows go first, so that none is ever without its bytes; then the bytes; then the storage. */
    async run(job) {
      const { uuid, enforcing } = job.checkpoint;
      if (!job.checkpoint.takenOut) {
        if (!enforcing) await requireReachable(parts, uuid);
        await parts.database.transaction(async (tx) => {
          if (!enforcing) await parts.contents.requireIdle(tx, uuid);
          await parts.contents.takeOut(tx, uuid);
          await tx
            .updateTable('backupStorage')
            .set((row) => ({ availableCapacity: row.ref('totalCapacity'), lastOpDate: parts.clock.now() }))
            .where('uuid', '=', uuid)
            .execute();
        });
        await job.save({ ...job.checkpoint, takenOut: true });
      }
      try {
        const driver = await parts.storages.driver(uuid);
        if (!job.checkpoint.emptied) {
          for await (const object of driver.list('')) await driver.remove(object.path);
          // Before it ceases to be a storage: after a death in between, it could not be looked into again.
          await job.save({ ...job.checkpoint, emptied: true });
        }
        await driver.retire();
      } catch (error) {
        if (!enforcing || error instanceof LeaseLost) throw error;
        parts.storages.noteLeftBehind(uuid, error);
      }
      parts.storages.forget(uuid);
      return async (tx) => {
        await deleteRows(tx, uuid);
        return {};
      };
    },

    /** Where its images are gone already, the storage stays, Disabled, and can be deleted again, if it still is one. */
    async undo(job) {
      const { uuid, state, takenOut, emptied } = job.checkpoint;
      return async (tx) => {
        if (emptied) await deleteRows(tx, uuid);
        else if (!takenOut) await setState(tx, uuid, state, parts.clock.now());
      };
    },
  };
}

/** With its trash: what was to be removed went with the storage, or is left behind with it. */
async function deleteRows(tx: SqlTransaction, uuid: string): Promise<void> {
  await tx.deleteFrom('trash').where('storageUuid', '=', uuid).execute();
  await tx.deleteFrom('backupStorage').where('uuid', '=', uuid).execute();
}

async function setState(tx: SqlTransaction, uuid: string, state: StorageRow['state'], now: number) {
  await tx.updateTable('backupStorage').set({ state, lastOpDate: now }).where('uuid', '=', uuid).execute();
}

async function requireReachable(
  { database, storages }: { database: Database; storages: BackupStorages },
  uuid: string,
): Promise<void> {
  try {
    await (await storages.driver(uuid)).ping();
  } catch (cause) {
    const storage = await requireStorage(database.sql, uuid);
    throw new IngotError(
      'SYS.1004',
      `backup storage '${storage.name}' can't be reached, so that the copies on it can't be removed`,
      {
        cause,
        elaboration:
          'With deleteMode=Enforcing it is forgotten all the same, and the bytes stay where they are.',
      },
    );
  }
}
