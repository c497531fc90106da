/** Lets go of snapshots: their rows, the room of their copies, and all their files, which go to the trash. */
import { takeRoom as takeBackupRoom } from '../backup-storage/capacity.ts';
import type { SqlTransaction } from '../database/database.ts';
import { throwAway } from '../primary-storage/trash.ts';

/** Of one volume: the named snapshots, or all. */
export async function dropSnapshots(
  tx: SqlTransaction,
  volumeUuid: string,
  named?: readonly string[],
): Promise<void> {
  let query = tx
    .selectFrom('volumeSnapshot')
    .select(['uuid', 'path', 'primaryStorageUuid'])
    .where('volumeUuid', '=', volumeUuid);
  if (named) query = query.where('uuid', 'in', [...named, '']);
  for (const { uuid, path, primaryStorageUuid } of await query.execute()) {
    const copies = await tx
      .deleteFrom('volumeSnapshotBackupStorageRef')
      .where('volumeSnapshotUuid', '=', uuid)
      .returning(['backupStorageUuid', 'path', 'size'])
      .execute();
    for (const copy of copies) {
      await takeBackupRoom(tx, copy.backupStorageUuid, -copy.size);
      await throwAway(tx, 'backup', copy.backupStorageUuid, [copy.path]);
    }
    await tx.deleteFrom('volumeSnapshot').where('uuid', '=', uuid).execute();
    await throwAway(tx, 'primary', primaryStorageUuid, [path]);
  }
  await tx
    .deleteFrom('volumeSnapshotTree')
    .where('volumeUuid', '=', volumeUuid)
    .where('uuid', 'not in', (inner) =>
      inner.selectFrom('volumeSnapshot').select('treeUuid').where('volumeUuid', '=', volumeUuid),
    )
    .execute();
}
