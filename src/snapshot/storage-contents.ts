/** Copies of snapshots as the contents of backup storages: what deleting a storage has to know. */
import type { StorageContents } from '../backup-storage/delete.ts';
import { IngotError } from '../kernel/errors.ts';
import { throwAway } from '../primary-storage/trash.ts';

export const snapshotsOnBackupStorages: StorageContents = {
  async requireIdle(tx, storageUuid) {
    const busy = await tx
      .selectFrom('volumeSnapshotBackupStorageRef')
      .select('volumeSnapshotUuid')
      .where('backupStorageUuid', '=', storageUuid)
      .where('status', '!=', 'Ready')
      .executeTakeFirst();
    if (!busy) return;
    throw new IngotError(
      'SYS.1006',
      `snapshot ${busy.volumeSnapshotUuid} is just being written to the backup storage; wait, or cancel it`,
      { retryable: true },
    );
  },

  /** The snapshots themselves stay where they are. */
  async takeOut(tx, storageUuid) {
    const copies = await tx
      .deleteFrom('volumeSnapshotBackupStorageRef')
      .where('backupStorageUuid', '=', storageUuid)
      .returning('path')
      .execute();
    const paths = copies.map(({ path }) => path);
    await throwAway(tx, 'backup', storageUuid, paths);
  },
};
