/** RevertVolumeFromSnapshot: the volume goes on in a new layer over the snapshot's. */
import { letGo } from '../job/holds.ts';
import type { JobOperation } from '../job/operation.ts';
import { takeRoom } from '../primary-storage/capacity.ts';
import { throwAway } from '../primary-storage/trash.ts';
import { requireReachable } from '../primary-storage/usable.ts';
import { requireNoGuest } from '../vm/use.ts';
import { newLayerPath, takeVolume } from '../volume/volumes.ts';
import type { SnapshotParts } from './create.ts';
import type { RevertVolumeFromSnapshot } from './messages.ts';
import { requireUsableSnapshot, standOn } from './snapshots.ts';

interface Checkpoint {
  volumeUuid: string;
  storageUuid: string;
  snapshot: { uuid: string; treeUuid: string; path: string };
  /** The volume's layer and size, before and after. */
  old: string;
  next: string;
  from: number;
  to: number;
}

export function revertVolumeFromSnapshot(
  parts: SnapshotParts,
): JobOperation<typeof RevertVolumeFromSnapshot, Checkpoint> {
  return {
    async admit({ id, parameters: { uuid } }, tx) {
      const { volumeUuid, treeUuid, path, virtualSize: to } = await requireUsableSnapshot(tx, uuid);
      const volume = await takeVolume(tx, volumeUuid, { job: id, mode: 'change' });
      await requireNoGuest(tx, volume, 'be reverted');
      await requireReachable(tx, volume.primaryStorageUuid);
      await takeRoom(tx, volume.primaryStorageUuid, to - volume.size);
      return {
        target: uuid,
        checkpoint: {
          volumeUuid,
          storageUuid: volume.primaryStorageUuid,
          snapshot: { uuid, treeUuid, path },
          old: volume.path,
          next: newLayerPath(volumeUuid),
          from: volume.size,
          to,
        },
      };
    },

    async run(job) {
      const { volumeUuid, storageUuid, snapshot, old, next, to } = job.checkpoint;
      const driver = await parts.primaryStorages.driver(storageUuid);
      await driver.clone({ path: snapshot.path, format: 'qcow2' }, next, to);
      const usage = (await driver.usage(next)) ?? 0;
      return async (tx) => {
        await letGo(tx, job.call.id);
        await tx
          .updateTable('volume')
          .set({
            path: next,
            installPath: driver.location(next),
            size: to,
            actualSize: usage,
            lastOpDate: parts.clock.now(),
          })
          .where('uuid', '=', volumeUuid)
          .execute();
        await standOn(tx, volumeUuid, snapshot);
        await throwAway(tx, 'primary', storageUuid, [old]);
        return {};
      };
    },

    async undo(job) {
      const { storageUuid, next, from, to } = job.checkpoint;
      return async (tx) => {
        await letGo(tx, job.call.id);
        await takeRoom(tx, storageUuid, from - to);
        await throwAway(tx, 'primary', storageUuid, [next]);
      };
    },

    ended: () => void parts.trash.empty(),
  };
}
