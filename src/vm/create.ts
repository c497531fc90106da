/** CreateVmInstance: rows at once, then the disks, then the start; or nothing of it. */
import { randomBytes } from 'node:crypto';
import { own } from '../account/ownership.ts';
import type { SqlTransaction } from '../database/database.ts';
import { hold, letGo } from '../job/holds.ts';
import type { Job, JobOperation } from '../job/operation.ts';
import { IngotError } from '../kernel/errors.ts';
import type { ParametersOf } from '../kernel/message.ts';
import { bornAt } from '../kernel/properties.ts';
import { newUuid } from '../kernel/uuid.ts';
import type { PrimaryStorageRow } from '../primary-storage/primary-storage.ts';
import { throwAway } from '../primary-storage/trash.ts';
import { requireFreeUuid, requireInventory } from '../query/find.ts';
import { makeDisk, sizeAsked } from '../volume/create.ts';
import { storageFor } from '../volume/image-source.ts';
import { Volume } from '../volume/volume.ts';
import {
  forgetVolume,
  insertVolume,
  makeVolumeReady,
  newLayerPath,
  wholeSectors,
} from '../volume/volumes.ts';
import { requireRoom, requireSuitable } from './hosts.ts';
import type { CreateVmInstance } from './messages.ts';
import { devicesFor, type ImageRow, requireBootable, rootSize } from './rules.ts';
import { VmInstance } from './vm-instance.ts';
import { machineOf, requireVm, setState, type VmParts } from './vms.ts';

type Parameters = ParametersOf<typeof CreateVmInstance>;

interface NewDisk {
  uuid: string;
  size: number;
  on: { storageUuid: string; path: string };
  imageUuid?: string;
}

interface Checkpoint {
  uuid: string;
  disks: NewDisk[];
  iso?: { imageUuid: string; storageUuid: string };
  start: boolean;
  /** Set once the disks are there: from then on a guest may have written to them. */
  made?: true;
}

export function createVmInstance(parts: VmParts): JobOperation<typeof CreateVmInstance, Checkpoint> {
  return {
    async admit({ id, parameters, caller }, tx) {
      const { resourceUuid, name, description, bridge, type } = parameters;
      if (resourceUuid) await requireFreeUuid(tx, VmInstance, resourceUuid);
      if (bridge !== undefined && !caller.admin) {
        throw new IngotError(
          'ID.1002',
          "only administrators may connect a virtual machine to a 'bridge' of the host",
        );
      }
      const { image, from } = await requireBootable(tx, parameters.imageUuid, {
        type,
        hypervisorType: 'KVM',
      });
      const uuid = resourceUuid ?? newUuid();
      const size = await machineSize(tx, parameters);
      const architecture = parameters.architecture ?? image.architecture;
      requireSuitable(await parts.hypervisor.size(), { ...size, architecture });
      const root = wholeSectors(rootSize(image, from, await rootAsked(tx, parameters)));
      const data = await dataAsked(tx, parameters);
      const storage = await storageOf(tx, parameters, image, [root, ...data]);
      const start = parameters.strategy === 'InstantStart';
      const platform = parameters.platform ?? image.platform;
      const now = parts.clock.now();

      const disks = [root, ...data].map((bytes): NewDisk => {
        const volume = newUuid();
        return { uuid: volume, size: bytes, on: { storageUuid: storage.uuid, path: newLayerPath(volume) } };
      });
      const first = disks[0] as NewDisk;
      if (from === 'template') first.imageUuid = image.uuid;
      await tx
        .insertInto('vmInstance')
        .values({
          uuid,
          name,
          description: description ?? null,
          zoneUuid: storage.zoneUuid,
          imageUuid: image.uuid,
          hostUuid: null,
          lastHostUuid: null,
          instanceOfferingUuid: parameters.instanceOfferingUuid ?? null,
          rootVolumeUuid: first.uuid,
          platform,
          architecture,
          guestOsType: parameters.guestOsType ?? image.guestOsType,
          type,
          hypervisorType: 'KVM',
          allocatorStrategy: 'DefaultHostAllocatorStrategy',
          cpuSpeed: 0,
          ...size,
          state: 'Created',
          stateReason: null,
          ...bornAt(now),
        })
        .execute();
      await hold(tx, { table: 'vmInstance', uuid, mode: 'change', job: id });
      for (const [deviceId, disk] of disks.entries()) {
        await insertDisk(parts, tx, { name, uuid, image }, disk, deviceId, storage);
        await own(tx, Volume, disk.uuid, caller.accountUuid, now);
        await hold(tx, { table: 'volume', uuid: disk.uuid, mode: 'change', job: id });
      }
      await insertDevices(tx, uuid, { platform, bridge, now });
      if (start) {
        await requireRoom(tx, parts.host.uuid, { uuid, ...size });
        await setState(tx, parts, uuid, { state: 'Starting', hostUuid: parts.host.uuid });
      }
      const iso = from === 'iso' ? { imageUuid: image.uuid, storageUuid: storage.uuid } : undefined;
      return { target: uuid, checkpoint: { uuid, disks, start, ...(iso && { iso }) } };
    },

    async run(job) {
      const { uuid, start } = job.checkpoint;
      if (!job.checkpoint.made) await makeDisks(parts, job);
      if (start) {
        const machine = await machineOf(parts, parts.database.sql, await requireVm(parts.database.sql, uuid));
        await parts.hypervisor.start(machine, job.signal);
      }
      return async (tx) => {
        await letGo(tx, job.call.id);
        if (start) await setState(tx, parts, uuid, { state: 'Running', lastHostUuid: parts.host.uuid });
        return { inventory: await requireInventory(tx, VmInstance, uuid) };
      };
    },

    async undo(job) {
      const { uuid, disks } = job.checkpoint;
      await parts.hypervisor.forget(uuid);
      return async (tx) => {
        await letGo(tx, job.call.id);
        for (const disk of disks) {
          await forgetVolume(tx, disk.uuid);
          await throwAway(tx, 'primary', disk.on.storageUuid, [disk.on.path]);
        }
        await setState(tx, parts, uuid, { state: 'Destroyed' });
        await tx.deleteFrom('vmInstance').where('uuid', '=', uuid).execute();
      };
    },

    ended: () => void parts.trash.empty(),
  };
}

async function makeDisks(parts: VmParts, job: Job<typeof CreateVmInstance, Checkpoint>): Promise<void> {
  const { disks, iso, uuid } = job.checkpoint;
  const asking = { id: job.call.id, signal: job.signal, report: job.report };
  const usages = new Map<string, number>();
  for (const disk of disks) {
    await makeDisk(parts, disk, asking);
    const driver = await parts.primaryStorages.driver(disk.on.storageUuid);
    usages.set(disk.uuid, (await driver.usage(disk.on.path)) ?? 0);
  }
  const medium = iso && {
    ...iso,
    path: (await parts.caches.require(iso.storageUuid, iso.imageUuid, asking)).path,
  };
  await parts.database.transaction(async (tx) => {
    const now = parts.clock.now();
    for (const [volume, usage] of usages) await makeVolumeReady(tx, volume, usage, now);
    if (medium) {
      const driver = await parts.primaryStorages.driver(medium.storageUuid);
      await tx
        .updateTable('vmCdRom')
        .set({
          isoUuid: medium.imageUuid,
          isoInstallPath: driver.location(medium.path),
          primaryStorageUuid: medium.storageUuid,
        })
        .where('vmInstanceUuid', '=', uuid)
        .execute();
    }
  });
  await job.save({ ...job.checkpoint, made: true });
}

/** By an offering or by itself. */
async function machineSize(
  tx: SqlTransaction,
  { instanceOfferingUuid, cpuNum, memorySize }: Parameters,
): Promise<{ cpuNum: number; memorySize: number }> {
  if (instanceOfferingUuid === undefined) {
    if (cpuNum !== undefined && memorySize !== undefined) return { cpuNum, memorySize };
    throw new IngotError('SYS.1007', "give either 'instanceOfferingUuid', or 'cpuNum' and 'memorySize'");
  }
  if (cpuNum !== undefined || memorySize !== undefined) {
    throw new IngotError(
      'SYS.1007',
      "'instanceOfferingUuid' says how large it is; leave out 'cpuNum' and 'memorySize'",
    );
  }
  const offering = await tx
    .selectFrom('instanceOffering')
    .select(['name', 'cpuNum', 'memorySize', 'state'])
    .where('uuid', '=', instanceOfferingUuid)
    .executeTakeFirst();
  if (!offering) {
    throw new IngotError('SYS.1003', `there is no InstanceOffering with the uuid ${instanceOfferingUuid}`);
  }
  if (offering.state !== 'Enabled') {
    throw new IngotError(
      'SYS.1006',
      `instance offering '${offering.name}' (${instanceOfferingUuid}) is ${offering.state}`,
    );
  }
  return { cpuNum: offering.cpuNum, memorySize: offering.memorySize };
}

async function rootAsked(
  tx: SqlTransaction,
  { rootDiskOfferingUuid, rootDiskSize }: Parameters,
): Promise<number | undefined> {
  if (rootDiskOfferingUuid === undefined) return rootDiskSize;
  return sizeAsked(tx, {
    diskOfferingUuid: rootDiskOfferingUuid,
    ...(rootDiskSize !== undefined && { diskSize: rootDiskSize }),
  });
}

async function dataAsked(
  tx: SqlTransaction,
  { dataDiskOfferingUuids = [], dataDiskSizes = [] }: Parameters,
): Promise<number[]> {
  const sizes: number[] = [];
  for (const diskOfferingUuid of dataDiskOfferingUuids) sizes.push(await sizeAsked(tx, { diskOfferingUuid }));
  return [...sizes, ...dataDiskSizes].map(wholeSectors);
}

async function storageOf(
  tx: SqlTransaction,
  { primaryStorageUuidForRootVolume, zoneUuid }: Parameters,
  image: ImageRow,
  sizes: number[],
): Promise<PrimaryStorageRow> {
  const bytes = sizes.reduce((sum, size) => sum + size, 0);
  const storage = await storageFor(tx, image, bytes, primaryStorageUuidForRootVolume);
  if (zoneUuid === undefined || storage.zoneUuid === zoneUuid) return storage;
  throw new IngotError(
    'SYS.1006',
    `primary storage '${storage.name}' (${storage.uuid}) is in zone ${storage.zoneUuid}, and the virtual machine shall be in ${zoneUuid}`,
    { elaboration: "Name one of that zone with 'primaryStorageUuidForRootVolume'." },
  );
}

async function insertDisk(
  parts: VmParts,
  tx: SqlTransaction,
  vm: { name: string; uuid: string; image: ImageRow },
  disk: NewDisk,
  deviceId: number,
  storage: PrimaryStorageRow,
): Promise<void> {
  const type = deviceId === 0 ? 'Root' : 'Data';
  await insertVolume(
    tx,
    {
      uuid: disk.uuid,
      name: `${type.toUpperCase()}-for-${vm.name}`.slice(0, 255),
      description: undefined,
      type,
      size: disk.size,
      ...(type === 'Root' && { rootImageUuid: vm.image.uuid }),
      ...(disk.imageUuid !== undefined && { baseImageUuid: disk.imageUuid }),
      on: { ...disk.on, driver: parts.primaryStorages.driverOf(storage) },
      of: { vmInstanceUuid: vm.uuid, deviceId },
    },
    parts.clock.now(),
  );
}

async function insertDevices(
  tx: SqlTransaction,
  vmInstanceUuid: string,
  { platform, bridge, now }: { platform: ImageRow['platform']; bridge: string | undefined; now: number },
): Promise<void> {
  await tx
    .insertInto('vmNic')
    .values({
      uuid: newUuid(),
      vmInstanceUuid,
      deviceId: 0,
      mac: newMac(),
      driverType: devicesFor(platform).nic,
      type: bridge === undefined ? 'user' : 'bridge',
      bridge: bridge ?? null,
      hypervisorType: 'KVM',
      state: 'enable',
      ...bornAt(now),
    })
    .execute();
  await tx
    .insertInto('vmCdRom')
    .values({
      uuid: newUuid(),
      vmInstanceUuid,
      deviceId: 0,
      name: 'cdrom',
      description: null,
      isoUuid: null,
      isoInstallPath: null,
      primaryStorageUuid: null,
      ...bornAt(now),
    })
    .execute();
}

/** Locally administered, and of no maker's. */
function newMac(): string {
  return ['fa', ...Array.from(randomBytes(5), (byte) => byte.toString(16).padStart(2, '0'))].join(':');
}
