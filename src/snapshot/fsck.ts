import type { Database } from '../database/database.ts';
import type { Expecting } from '../primary-storage/fsck.ts';
import { dropSnapshots } from './drop.ts';

/** The frozen layers. */
export const snapshotLayers: Expecting = async (database, storageUuid) => {
  const snapshots = await database.sql
    .selectFrom('volumeSnapshot as snapshot')
    .innerJoin('volume', 'volume.uuid', 'snapshot.volumeUuid')
    .leftJoin('volumeSnapshot as parent', 'parent.uuid', 'snapshot.parentUuid')
    .leftJoin('imageCache as entry', (join) =>
      join
        .onRef('entry.imageUuid', '=', 'volume.baseImageUuid')
        .onRef('entry.primaryStorageUuid', '=', 'volume.primaryStorageUuid'),
    )
    .select([
      'snapshot.uuid',
      'snapshot.name',
      'snapshot.path',
      'snapshot.status',
      'snapshot.volumeUuid',
      'parent.path as parentPath',
      'entry.path as entryPath',
    ])
    .where('snapshot.primaryStorageUuid', '=', storageUuid)
    .execute();
  return snapshots.map(({ uuid, name, path, status, volumeUuid, parentPath, entryPath }) => ({
    path,
    what: `snapshot '${name}' (${uuid})`,
    owners: [uuid, volumeUuid],
    ...(status !== 'Ready' && { unready: status }),
    base: { path: parentPath ?? entryPath ?? undefined },
    // One that was being deleted has its layer still; one that was being made has the volume's.
    keepsFile: status !== 'Ready',
    mend: async () => {
      if (status === 'Deleting') {
        await database.sql
          .updateTable('volumeSnapshot')
          .set({ status: 'Ready' })
          .where('uuid', '=', uuid)
          .execute();
      } else if (status === 'Creating') {
        await database.sql.deleteFrom('volumeSnapshot').where('uuid', '=', uuid).execute();
      } else await database.transaction((tx) => dropSnapshots(tx, volumeUuid, [uuid]));
    },
  }));
};

/** Copies of snapshots on a backup storage. */
export async function snapshotCopies(
  database: Database,
  storageUuid: string,
): Promise<{ path: string; size: number; ready: boolean; snapshotUuid: string }[]> {
  const copies = await database.sql
    .selectFrom('volumeSnapshotBackupStorageRef')
    .select(['path', 'size', 'status', 'volumeSnapshotUuid as snapshotUuid'])
    .where('backupStorageUuid', '=', storageUuid)
    .execute();
  return copies.map(({ status, ...copy }) => ({ ...copy, ready: status === 'Ready' }));
}
