/** Volumes from images, thinly over the cache, and empty ones. */
import type { SqlTransaction } from '../database/database.ts';
import type { Job, JobOperation } from '../job/operation.ts';
import type { Clock } from '../kernel/clock.ts';
import { IngotError } from '../kernel/errors.ts';
import type { Message } from '../kernel/message.ts';
import { newUuid } from '../kernel/uuid.ts';
import type { ImageCaches } from '../primary-storage/image-cache.ts';
import type { PrimaryStorageRow } from '../primary-storage/primary-storage.ts';
import type { PrimaryStorages } from '../primary-storage/primary-storages.ts';
import { type Trash, throwAway } from '../primary-storage/trash.ts';
import { requireUsable } from '../primary-storage/usable.ts';
import { requireFreeUuid, requireInventory } from '../query/find.ts';
import { requireSource, storageFor } from './image-source.ts';
import type {
  CreateDataVolume,
  CreateDataVolumeFromVolumeTemplate,
  CreateRootVolumeFromImage,
} from './messages.ts';
import { Volume } from './volume.ts';
import { forgetVolume, insertVolume, makeVolumeReady, newLayerPath, wholeSectors } from './volumes.ts';

export interface VolumeParts {
  primaryStorages: PrimaryStorages;
  caches: ImageCaches;
  trash: Trash;
  clock: Clock;
}

interface Checkpoint {
  uuid: string;
  size: number;
  /** Absent while it is a promise. */
  on?: { storageUuid: string; path: string };
  imageUuid?: string;
}

/** What all of them do once their row stands. */
function making(parts: VolumeParts): Pick<JobOperation<Message, Checkpoint>, 'run' | 'undo' | 'ended'> {
  return {
    async run(job: Job<Message, Checkpoint>) {
      const { uuid, on } = job.checkpoint;
      if (!on) return async (tx) => ({ inventory: await requireInventory(tx, Volume, uuid) }) as never;
      await makeDisk(parts, { ...job.checkpoint, on }, { id: job.call.id, ...pick(job) });
      const usage = (await (await parts.primaryStorages.driver(on.storageUuid)).usage(on.path)) ?? 0;
      return async (tx) => {
        await makeVolumeReady(tx, uuid, usage, parts.clock.now());
        return { inventory: await requireInventory(tx, Volume, uuid) } as never;
      };
    },
    async undo(job) {
      const { uuid, on } = job.checkpoint;
      return async (tx) => {
        await forgetVolume(tx, uuid);
        if (on) await throwAway(tx, 'primary', on.storageUuid, [on.path]);
      };
    },
    ended: () => void parts.trash.empty(),
  };
}

const pick = ({ signal, report }: Pick<Job, 'signal' | 'report'>) => ({ signal, report });

/** A new disk, thinly over the image where there is one, which is fetched if need be. */
export async function makeDisk(
  parts: Pick<VolumeParts, 'primaryStorages' | 'caches'>,
  disk: { imageUuid?: string; size: number; on: { storageUuid: string; path: string } },
  asking: { id: string; signal: AbortSignal; report: Job['report'] },
): Promise<void> {
  const { imageUuid, size, on } = disk;
  const driver = await parts.primaryStorages.driver(on.storageUuid);
  if (imageUuid === undefined) return driver.blank(on.path, size);
  await driver.clone(await parts.caches.require(on.storageUuid, imageUuid, asking), on.path, size);
}

export function createRootVolumeFromImage(
  parts: VolumeParts,
): JobOperation<typeof CreateRootVolumeFromImage, Checkpoint> {
  return {
    ...making(parts),
    async admit({ parameters }, tx) {
      const { imageUuid, primaryStorageUuid, size } = parameters;
      const image = await requireSource(tx, imageUuid, 'RootVolumeTemplate');
      if (size !== undefined && size < image.size) {
        throw new IngotError(
          'SYS.1007',
          `'size' ${size} is smaller than image '${image.name}', which has ${image.size} bytes`,
          { opaque: { parameter: 'size' } },
        );
      }
      const bytes = wholeSectors(size ?? image.size);
      const storage = await storageFor(tx, image, bytes, primaryStorageUuid);
      return fromImage(parts, tx, { parameters, type: 'Root', imageUuid, storage, size: bytes });
    },
  };
}

export function createDataVolumeFromVolumeTemplate(
  parts: VolumeParts,
): JobOperation<typeof CreateDataVolumeFromVolumeTemplate, Checkpoint> {
  return {
    ...making(parts),
    async admit({ parameters }, tx) {
      const { imageUuid, primaryStorageUuid } = parameters;
      const image = await requireSource(tx, imageUuid, 'DataVolumeTemplate');
      const size = wholeSectors(image.size);
      const storage = await storageFor(tx, image, size, primaryStorageUuid);
      return fromImage(parts, tx, { parameters, type: 'Data', imageUuid, storage, size });
    },
  };
}

async function fromImage(
  parts: VolumeParts,
  tx: SqlTransaction,
  volume: {
    parameters: { name: string; description?: string; resourceUuid?: string };
    type: 'Root' | 'Data';
    imageUuid: string;
    storage: PrimaryStorageRow;
    size: number;
  },
): Promise<{ target: string; checkpoint: Checkpoint }> {
  const { parameters, type, imageUuid, storage, size } = volume;
  if (parameters.resourceUuid) await requireFreeUuid(tx, Volume, parameters.resourceUuid);
  const uuid = parameters.resourceUuid ?? newUuid();
  const on = { storageUuid: storage.uuid, path: newLayerPath(uuid) };
  const { name, description } = parameters;
  const driver = parts.primaryStorages.driverOf(storage);
  await insertVolume(
    tx,
    {
      uuid,
      name,
      description,
      type,
      size,
      rootImageUuid: imageUuid,
      baseImageUuid: imageUuid,
      on: { ...on, driver },
    },
    parts.clock.now(),
  );
  return { target: uuid, checkpoint: { uuid, size, on, imageUuid } };
}

export function createDataVolume(parts: VolumeParts): JobOperation<typeof CreateDataVolume, Checkpoint> {
  return {
    ...making(parts),
    async admit({ parameters }, tx) {
      const { resourceUuid, name, description, diskOfferingUuid, primaryStorageUuid } = parameters;
      if (resourceUuid) await requireFreeUuid(tx, Volume, resourceUuid);
      const uuid = resourceUuid ?? newUuid();
      const size = wholeSectors(await sizeAsked(tx, parameters));
      const storage =
        primaryStorageUuid === undefined ? undefined : await requireUsable(tx, primaryStorageUuid);
      const on = storage && { storageUuid: storage.uuid, path: newLayerPath(uuid) };
      const place = storage && on && { ...on, driver: parts.primaryStorages.driverOf(storage) };
      await insertVolume(
        tx,
        { uuid, name, description, type: 'Data', size, diskOfferingUuid, ...(place && { on: place }) },
        parts.clock.now(),
      );
      return { target: uuid, checkpoint: { uuid, size, ...(on && { on }) } };
    },
  };
}

/** The size of a volume that a call describes by an offering or by itself. */
export async function sizeAsked(
  tx: SqlTransaction,
  { diskOfferingUuid, diskSize }: { diskOfferingUuid?: string; diskSize?: number },
): Promise<number> {
  if ((diskOfferingUuid === undefined) === (diskSize === undefined)) {
    throw new IngotError('SYS.1007', "give either 'diskOfferingUuid' or 'diskSize'");
  }
  if (diskOfferingUuid === undefined) return diskSize ?? 0;
  const offering = await tx
    .selectFrom('diskOffering')
    .select(['name', 'diskSize', 'state'])
    .where('uuid', '=', diskOfferingUuid)
    .executeTakeFirst();
  if (!offering)
    throw new IngotError('SYS.1003', `there is no DiskOffering with the uuid ${diskOfferingUuid}`);
  if (offering.state !== 'Enabled') {
    throw new IngotError(
      'SYS.1006',
      `disk offering '${offering.name}' (${diskOfferingUuid}) is ${offering.state}`,
    );
  }
  return offering.diskSize;
}
