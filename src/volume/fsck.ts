import type { Expecting } from '../primary-storage/fsck.ts';
import { throwAway } from '../primary-storage/trash.ts';
import { dropVolume } from './delete.ts';

/** The layers that volumes write to. */
export const volumeLayers: Expecting = async (database, storageUuid) => {
  const volumes = await database.sql
    .selectFrom('volume')
    .leftJoin('volumeSnapshot as snapshot', 'snapshot.uuid', 'volume.baseSnapshotUuid')
    .leftJoin('imageCache as entry', (join) =>
      join
        .onRef('entry.imageUuid', '=', 'volume.baseImageUuid')
        .onRef('entry.primaryStorageUuid', '=', 'volume.primaryStorageUuid'),
    )
    .select([
      'volume.uuid',
      'volume.name',
      'volume.path',
      'volume.status',
      'volume.vmInstanceUuid',
      'snapshot.path as snapshotPath',
      'entry.path as entryPath',
    ])
    .where('volume.primaryStorageUuid', '=', storageUuid)
    .execute();
  return volumes.flatMap(({ uuid, name, path, status, vmInstanceUuid, snapshotPath, entryPath }) =>
    path === null
      ? []
      : [
          {
            path,
            what: `volume '${name}' (${uuid})`,
            owners: [uuid],
            ...(status !== 'Ready' && { unready: status }),
            ...(vmInstanceUuid !== null && { vmUuid: vmInstanceUuid }),
            base: { path: snapshotPath ?? entryPath ?? undefined },
            mend: () =>
              database.transaction(async (tx) => {
                await dropVolume(tx, uuid);
                await throwAway(tx, 'primary', storageUuid, [path]);
              }),
          },
        ],
  );
};
