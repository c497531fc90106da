import { letGo } from '../job/holds.ts';
import type { ChangeOperation, JobOperation } from '../job/operation.ts';
import type { Clock } from '../kernel/clock.ts';
import type { PrimaryStorages } from '../primary-storage/primary-storages.ts';
import { requireInventory } from '../query/find.ts';
import { takeVolume } from '../volume/volumes.ts';
import type { ChangeVolumeSnapshotState, GetVolumeSnapshotSize, UpdateVolumeSnapshot } from './messages.ts';
import { VolumeSnapshot } from './snapshot.ts';
import { requireSnapshot } from './snapshots.ts';

export function changeVolumeSnapshotState(parts: {
  clock: Clock;
}): ChangeOperation<typeof ChangeVolumeSnapshotState> {
  return async ({ parameters: { uuid, stateEvent } }, tx) => {
    await requireSnapshot(tx, uuid);
    await tx
      .updateTable('volumeSnapshot')
      .set({ state: stateEvent === 'enable' ? 'Enabled' : 'Disabled', lastOpDate: parts.clock.now() })
      .where('uuid', '=', uuid)
      .execute();
    return { inventory: await requireInventory(tx, VolumeSnapshot, uuid) };
  };
}

export function updateVolumeSnapshot(parts: { clock: Clock }): ChangeOperation<typeof UpdateVolumeSnapshot> {
  return async ({ parameters: { uuid, ...changes } }, tx) => {
    await requireSnapshot(tx, uuid);
    await tx
      .updateTable('volumeSnapshot')
      .set({ ...changes, lastOpDate: parts.clock.now() })
      .where('uuid', '=', uuid)
      .execute();
    return { inventory: await requireInventory(tx, VolumeSnapshot, uuid) };
  };
}

export function getVolumeSnapshotSize(parts: {
  primaryStorages: PrimaryStorages;
  clock: Clock;
}): JobOperation<
  typeof GetVolumeSnapshotSize,
  { uuid: string; storageUuid: string; path: string; size: number }
> {
  return {
    async admit({ id, parameters: { uuid } }, tx) {
      const snapshot = await requireSnapshot(tx, uuid);
      await takeVolume(tx, snapshot.volumeUuid, { job: id, mode: 'read' });
      const { primaryStorageUuid: storageUuid, path, virtualSize: size } = snapshot;
      return { target: uuid, checkpoint: { uuid, storageUuid, path, size } };
    },
    async run(job) {
      const { uuid, storageUuid, path, size } = job.checkpoint;
      const actualSize = (await (await parts.primaryStorages.driver(storageUuid)).usage(path)) ?? 0;
      return async (tx) => {
        await letGo(tx, job.call.id);
        await tx
          .updateTable('volumeSnapshot')
          .set({ size: actualSize, lastOpDate: parts.clock.now() })
          .where('uuid', '=', uuid)
          .execute();
        return { size, actualSize };
      };
    },
    async undo(job) {
      return (tx) => letGo(tx, job.call.id);
    },
  };
}
