/** CreateDataVolumeFromVolumeSnapshot: what the snapshot's volume had above its image goes into one layer over the same image. */
import { letGo } from '../job/holds.ts';
import type { JobOperation } from '../job/operation.ts';
import { newUuid } from '../kernel/uuid.ts';
import type { Base, PrimaryStorageDriver } from '../primary-storage/driver.ts';
import { throwAway } from '../primary-storage/trash.ts';
import { requireReachable, requireUsable } from '../primary-storage/usable.ts';
import { requireFreeUuid, requireInventory } from '../query/find.ts';
import { Volume } from '../volume/volume.ts';
import { forgetVolume, insertVolume, makeVolumeReady, newLayerPath, takeVolume } from '../volume/volumes.ts';
import type { SnapshotParts } from './create.ts';
import type { CreateDataVolumeFromVolumeSnapshot } from './messages.ts';
import { lowestBase, requireUsableSnapshot } from './snapshots.ts';

interface Checkpoint {
  uuid: string;
  on: { storageUuid: string; path: string };
  size: number;
  from: { storageUuid: string; path: string; layers: number; base?: Base };
}

const COPY_BYTES = 4 * 1024 * 1024;

export function createDataVolumeFromVolumeSnapshot(
  parts: SnapshotParts,
): JobOperation<typeof CreateDataVolumeFromVolumeSnapshot, Checkpoint> {
  return {
    async admit({ id, parameters }, tx) {
      const { name, description, resourceUuid, volumeSnapshotUuid } = parameters;
      if (resourceUuid) await requireFreeUuid(tx, Volume, resourceUuid);
      const snapshot = await requireUsableSnapshot(tx, volumeSnapshotUuid);
      const source = await takeVolume(tx, snapshot.volumeUuid, { job: id, mode: 'read' });
      await requireReachable(tx, source.primaryStorageUuid);
      const storage = await requireUsable(tx, parameters.primaryStorageUuid ?? source.primaryStorageUuid);
      const sameStorage = storage.uuid === source.primaryStorageUuid;
      const uuid = resourceUuid ?? newUuid();
      const on = { storageUuid: storage.uuid, path: newLayerPath(uuid) };
      const size = snapshot.virtualSize;
      const base = await lowestBase(tx, source);
      await insertVolume(
        tx,
        {
          uuid,
          name,
          description,
          type: 'Data',
          size,
          baseImageUuid: sameStorage ? source.baseImageUuid : null,
          on: { ...on, driver: parts.primaryStorages.driverOf(storage) },
        },
        parts.clock.now(),
      );
      const from = {
        storageUuid: source.primaryStorageUuid,
        path: snapshot.path,
        layers: snapshot.distance,
        ...(base && { base }),
      };
      return { target: uuid, checkpoint: { uuid, on, size, from } };
    },

    async run(job) {
      const { uuid, on, size, from } = job.checkpoint;
      const driver = await parts.primaryStorages.driver(on.storageUuid);
      const onPercent = (percent: number) =>
        job.report({ bytesDone: Math.round((size * percent) / 100), bytesTotal: size });
      const work = { signal: job.signal, onPercent };
      if (on.storageUuid === from.storageUuid) {
        await driver.flatten(from.path, from.layers, from.base, on.path, size, work);
      } else {
        await copyAcross(await parts.primaryStorages.driver(from.storageUuid), driver, job.checkpoint, work);
      }
      const usage = (await driver.usage(on.path)) ?? 0;
      return async (tx) => {
        await letGo(tx, job.call.id);
        await makeVolumeReady(tx, uuid, usage, parts.clock.now());
        return { inventory: await requireInventory(tx, Volume, uuid) };
      };
    },

    async undo(job) {
      const { uuid, on } = job.checkpoint;
      return async (tx) => {
        await letGo(tx, job.call.id);
        await forgetVolume(tx, uuid);
        await throwAway(tx, 'primary', on.storageUuid, [on.path]);
      };
    },

    ended: () => void parts.trash.empty(),
  };
}

/** To another storage, where the image need not be: the disk stands alone there. */
async function copyAcross(
  source: PrimaryStorageDriver,
  target: PrimaryStorageDriver,
  { on, size, from }: Checkpoint,
  work: { signal: AbortSignal; onPercent: (percent: number) => void },
): Promise<void> {
  const bytes = await source.export(from.path, size, work.signal);
  try {
    const writer = await target.cacheImage(on.path, { expectedSize: bytes.size });
    try {
      const buffer = new Uint8Array(COPY_BYTES);
      for (let at = 0; at < bytes.size; at += COPY_BYTES) {
        work.signal.throwIfAborted();
        const part = buffer.subarray(0, bytes.size - at);
        await bytes.read(part, at, work.signal);
        await writer.write(part);
        work.onPercent((at / bytes.size) * 100);
      }
      await writer.commit();
    } catch (error) {
      await writer.abort();
      throw error;
    }
    await target.thaw(on.path);
  } finally {
    bytes.close();
  }
}
