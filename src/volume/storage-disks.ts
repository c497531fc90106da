/** Volumes and snapshots as what is on primary storages: what deleting a storage has to know. */
import { requireFree } from '../job/holds.ts';
import { IngotError } from '../kernel/errors.ts';
import type { StorageDisks } from '../primary-storage/delete.ts';
import { dropVolume } from './delete.ts';
import { requireDetached } from './volumes.ts';

export const disksOnStorages: StorageDisks = {
  async requireIdle(tx, storageUuid) {
    const volumes = await tx
      .selectFrom('volume')
      .selectAll()
      .where('primaryStorageUuid', '=', storageUuid)
      .execute();
    for (const volume of volumes) {
      if (volume.status === 'Creating') {
        throw new IngotError(
          'SYS.1006',
          `volume '${volume.name}' (${volume.uuid}) is just being made on the primary storage; wait, or cancel it`,
          { retryable: true },
        );
      }
      await requireFree(tx, { table: 'volume', uuid: volume.uuid, mode: 'change' });
      requireDetached(volume);
    }
    const fetching = await tx
      .selectFrom('imageCache')
      .innerJoin('longJob', 'longJob.uuid', 'imageCache.jobUuid')
      .select(['imageCache.imageUuid', 'longJob.uuid', 'longJob.name'])
      .where('primaryStorageUuid', '=', storageUuid)
      .where('longJob.state', 'in', ['Waiting', 'Running', 'Canceling'])
      .executeTakeFirst();
    if (!fetching) return;
    throw new IngotError(
      'SYS.1006',
      `${fetching.name} (job ${fetching.uuid}) works on image ${fetching.imageUuid} in the cache of the primary storage; wait, or cancel it`,
      { retryable: true },
    );
  },

  async takeOut(tx, storageUuid) {
    const volumes = await tx
      .selectFrom('volume')
      .select('uuid')
      .where('primaryStorageUuid', '=', storageUuid)
      .execute();
    for (const { uuid } of volumes) await dropVolume(tx, uuid);
  },
};
