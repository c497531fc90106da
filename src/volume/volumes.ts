/** Volumes as other operations need them: rows that come and go with their room, and volumes that nobody else is at. */
import type { SqlTransaction } from '../database/database.ts';
import { type HoldMode, hold, requireFree } from '../job/holds.ts';
import { IngotError } from '../kernel/errors.ts';
import { bornAt } from '../kernel/properties.ts';
import { newUuid } from '../kernel/uuid.ts';
import { takeRoom } from '../primary-storage/capacity.ts';
import type { PrimaryStorageDriver } from '../primary-storage/driver.ts';
import type { VolumeRow } from './volume.ts';

/** A volume that has a disk on a storage. */
export type VolumeOnStorage = VolumeRow & { primaryStorageUuid: string; path: string };

/** Sectors are what disks are made of; QEMU would round up by itself. */
export function wholeSectors(bytes: number): number {
  return Math.ceil(bytes / 512) * 512;
}

/** A place for a new layer of the volume; never used before, so that what is thrown away can't be mixed up with it. */
export function newLayerPath(volumeUuid: string): string {
  return `volumes/${volumeUuid}/${newUuid()}.qcow2`;
}

interface NewVolume {
  uuid: string;
  name: string;
  description: string | undefined;
  type: VolumeRow['type'];
  size: number;
  rootImageUuid?: string;
  baseImageUuid?: string | null;
  diskOfferingUuid?: string | undefined;
  on?: { storageUuid: string; path: string; driver: PrimaryStorageDriver };
  /** The virtual machine that it comes with. */
  of?: { vmInstanceUuid: string; deviceId: number };
}

/** The row of a volume to be, with its room taken. */
export async function insertVolume(tx: SqlTransaction, volume: NewVolume, now: number): Promise<void> {
  const { on } = volume;
  if (on) await takeRoom(tx, on.storageUuid, volume.size);
  await tx
    .insertInto('volume')
    .values({
      uuid: volume.uuid,
      name: volume.name,
      description: volume.description ?? null,
      primaryStorageUuid: on?.storageUuid ?? null,
      vmInstanceUuid: volume.of?.vmInstanceUuid ?? null,
      diskOfferingUuid: volume.diskOfferingUuid ?? null,
      rootImageUuid: volume.rootImageUuid ?? null,
      installPath: on ? on.driver.location(on.path) : null,
      type: volume.type,
      format: 'qcow2',
      size: volume.size,
      actualSize: 0,
      deviceId: volume.of?.deviceId ?? (volume.type === 'Root' ? 0 : null),
      state: 'Enabled',
      status: on ? 'Creating' : 'NotInstantiated',
      isShareable: false,
      lastDetachDate: null,
      lastAttachDate: null,
      path: on?.path ?? null,
      baseImageUuid: volume.baseImageUuid ?? null,
      baseSnapshotUuid: null,
      ...bornAt(now),
    })
    .execute();
}

/** Deletes the row and gives its room back. */
export async function forgetVolume(tx: SqlTransaction, uuid: string): Promise<void> {
  const volume = await tx
    .deleteFrom('volume')
    .where('uuid', '=', uuid)
    .returning(['primaryStorageUuid', 'size'])
    .executeTakeFirst();
  if (volume?.primaryStorageUuid) await takeRoom(tx, volume.primaryStorageUuid, -volume.size);
}

/** A new volume's disk is there. */
export async function makeVolumeReady(
  tx: SqlTransaction,
  uuid: string,
  actualSize: number,
  now: number,
): Promise<void> {
  await tx
    .updateTable('volume')
    .set({ status: 'Ready', actualSize, lastOpDate: now })
    .where('uuid', '=', uuid)
    .execute();
}

/**
 * The volume, Ready and held for the job (for the rest of the transaction, without one).
 * @throws IngotError SYS.1003, VOLUME.1000, or SYS.1006 while it is in use
 */
export async function takeVolume(
  tx: SqlTransaction,
  uuid: string,
  { job, mode }: { job?: string; mode: HoldMode },
): Promise<VolumeOnStorage> {
  const held = { table: 'volume', uuid, mode } as const;
  if (job === undefined) await requireFree(tx, held);
  else await hold(tx, { ...held, job });
  const volume = await tx.selectFrom('volume').selectAll().where('uuid', '=', uuid).executeTakeFirstOrThrow();
  if (volume.status !== 'Ready' || volume.primaryStorageUuid === null || volume.path === null) {
    throw new IngotError('VOLUME.1000', `volume '${volume.name}' (${uuid}) is ${volume.status}, not Ready`);
  }
  return volume as VolumeOnStorage;
}

/** Throws while a virtual machine has the volume, whether that runs or not; see also `vm/use.ts`. */
export function requireDetached(volume: VolumeRow): void {
  if (volume.vmInstanceUuid === null) return;
  throw new IngotError(
    'SYS.1006',
    `volume '${volume.name}' (${volume.uuid}) is in use by the virtual machine ${volume.vmInstanceUuid}; stop it, or detach the volume`,
  );
}
