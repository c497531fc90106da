/** ResizeRootVolume, ResizeDataVolume, SyncVolumeSize. */
import { letGo } from '../job/holds.ts';
import type { JobOperation } from '../job/operation.ts';
import type { Clock } from '../kernel/clock.ts';
import { IngotError } from '../kernel/errors.ts';
import { takeRoom } from '../primary-storage/capacity.ts';
import type { PrimaryStorages } from '../primary-storage/primary-storages.ts';
import { requireReachable } from '../primary-storage/usable.ts';
import { requireInventory } from '../query/find.ts';
import { requireNoGuest } from '../vm/use.ts';
import type { ResizeDataVolume, ResizeRootVolume, SyncVolumeSize } from './messages.ts';
import { Volume } from './volume.ts';
import { takeVolume, wholeSectors } from './volumes.ts';

interface Parts {
  primaryStorages: PrimaryStorages;
  clock: Clock;
}

interface Checkpoint {
  uuid: string;
  storageUuid: string;
  path: string;
  from: number;
  to: number;
}

export function resizeVolume(
  parts: Parts,
  type: 'Root' | 'Data',
): JobOperation<typeof ResizeDataVolume | typeof ResizeRootVolume, Checkpoint> {
  return {
    async admit({ id, parameters: { uuid, size } }, tx) {
      const volume = await takeVolume(tx, uuid, { job: id, mode: 'change' });
      if (volume.type !== type) {
        throw new IngotError(
          'SYS.1006',
          `volume '${volume.name}' (${uuid}) is not a ${type.toLowerCase()} volume; use Resize${volume.type}Volume`,
        );
      }
      await requireNoGuest(tx, volume, 'be resized');
      await requireReachable(tx, volume.primaryStorageUuid);
      const to = wholeSectors(size);
      if (to < volume.size) {
        throw new IngotError(
          'SYS.1007',
          `'size' ${size} is smaller than volume '${volume.name}', which has ${volume.size} bytes; volumes only grow`,
          { opaque: { parameter: 'size' } },
        );
      }
      await takeRoom(tx, volume.primaryStorageUuid, to - volume.size);
      const { primaryStorageUuid: storageUuid, path, size: from } = volume;
      return { target: uuid, checkpoint: { uuid, storageUuid, path, from, to } };
    },

    async run(job) {
      const { uuid, storageUuid, path, to } = job.checkpoint;
      await (await parts.primaryStorages.driver(storageUuid)).resize(path, to);
      return async (tx) => {
        await letGo(tx, job.call.id);
        await tx
          .updateTable('volume')
          .set({ size: to, lastOpDate: parts.clock.now() })
          .where('uuid', '=', uuid)
          .execute();
        return { inventory: await requireInventory(tx, Volume, uuid) };
      };
    },

    async undo(job) {
      const { storageUuid, path, from, to } = job.checkpoint;
      // Nobody has written behind the old end: the volume was held all the time.
      await (await parts.primaryStorages.driver(storageUuid)).resize(path, from, { shrink: true });
      return async (tx) => {
        await letGo(tx, job.call.id);
        await takeRoom(tx, storageUuid, from - to);
      };
    },
  };
}

export function syncVolumeSize(
  parts: Parts,
): JobOperation<typeof SyncVolumeSize, { uuid: string; storageUuid: string; path: string }> {
  return {
    async admit({ id, parameters: { uuid } }, tx) {
      const { primaryStorageUuid, path } = await takeVolume(tx, uuid, { job: id, mode: 'read' });
      return { target: uuid, checkpoint: { uuid, storageUuid: primaryStorageUuid, path } };
    },
    async run(job) {
      const { uuid, storageUuid, path } = job.checkpoint;
      const actualSize = (await (await parts.primaryStorages.driver(storageUuid)).usage(path)) ?? 0;
      return async (tx) => {
        await letGo(tx, job.call.id);
        await tx
          .updateTable('volume')
          .set({ actualSize, lastOpDate: parts.clock.now() })
          .where('uuid', '=', uuid)
          .execute();
        return { inventory: await requireInventory(tx, Volume, uuid) };
      };
    },
    async undo(job) {
      return (tx) => letGo(tx, job.call.id);
    },
  };
}
