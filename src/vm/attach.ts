/** AttachDataVolumeToVm, DetachDataVolumeFromVm: while the guest runs, and while it doesn't. */
import { sql } from 'kysely';
import type { SqlTransaction } from '../database/database.ts';
import { hold, letGo } from '../job/holds.ts';
import type { JobOperation } from '../job/operation.ts';
import { IngotError } from '../kernel/errors.ts';
import { takeRoom } from '../primary-storage/capacity.ts';
import { throwAway } from '../primary-storage/trash.ts';
import { requireReachable, requireUsable } from '../primary-storage/usable.ts';
import { requireInventory } from '../query/find.ts';
import { Volume, type VolumeRow } from '../volume/volume.ts';
import { newLayerPath } from '../volume/volumes.ts';
import type { AttachDataVolumeToVm, DetachDataVolumeFromVm } from './messages.ts';
import { devicesFor } from './rules.ts';
import type { VmInstanceRow } from './vm-instance.ts';
import { takeVm, type VmParts } from './vms.ts';

interface Checkpoint {
  volumeUuid: string;
  vmUuid: string;
  deviceId: number;
  storageUuid: string;
  path: string;
  running: boolean;
  /** Bytes of a volume that was a promise until now. */
  promised?: number;
}

/** How many disks a virtual machine has at most: IDE has four places with the CD drive; virtio as many as the bus. */
const MOST = { ide: 3, virtio: 24 };

export function attachDataVolumeToVm(parts: VmParts): JobOperation<typeof AttachDataVolumeToVm, Checkpoint> {
  return {
    async admit({ id, parameters: { volumeUuid, vmInstanceUuid } }, tx) {
      const volume = await takeDataVolume(tx, volumeUuid, id, 'attached to a virtual machine');
      if (volume.vmInstanceUuid !== null) {
        throw new IngotError(
          'SYS.1006',
          `volume '${volume.name}' (${volumeUuid}) is attached to virtual machine ${volume.vmInstanceUuid} already`,
          { elaboration: 'Detach it first (DetachDataVolumeFromVm).' },
        );
      }
      if (volume.state !== 'Enabled') {
        throw new IngotError(
          'SYS.1006',
          `volume '${volume.name}' (${volumeUuid}) is ${volume.state}; it may not be attached`,
        );
      }
      const states = ['Running', 'Stopped', 'Created'] as const;
      const vm = await takeVm(tx, vmInstanceUuid, {
        job: id,
        to: 'attach a volume to',
        states,
        host: parts.host,
      });
      const running = vm.state === 'Running';
      const deviceId = await freePlace(tx, vm, running);
      const place = await placeOf(parts, tx, volume, vm);
      return {
        target: volumeUuid,
        checkpoint: { volumeUuid, vmUuid: vm.uuid, deviceId, running, ...place },
      };
    },

    async run(job) {
      const { volumeUuid, vmUuid, deviceId, storageUuid, path, running, promised } = job.checkpoint;
      const driver = await parts.primaryStorages.driver(storageUuid);
      // One that the guest has already is not made anew.
      const there = running && (await parts.hypervisor.layerOf(vmUuid, volumeUuid)) !== undefined;
      if (promised !== undefined && !there) await driver.blank(path, promised);
      if (running) {
        const disk = { uuid: volumeUuid, file: driver.location(path), deviceId };
        await parts.hypervisor.attach(vmUuid, disk);
      }
      const usage = promised === undefined ? undefined : ((await driver.usage(path)) ?? 0);
      return async (tx) => {
        await letGo(tx, job.call.id);
        const now = parts.clock.now();
        await tx
          .updateTable('volume')
          .set({
            vmInstanceUuid: vmUuid,
            deviceId,
            lastAttachDate: now,
            lastOpDate: now,
            ...(usage !== undefined && { status: 'Ready' as const, actualSize: usage }),
          })
          .where('uuid', '=', volumeUuid)
          .execute();
        return { inventory: await requireInventory(tx, Volume, volumeUuid) };
      };
    },

    async undo(job) {
      const { volumeUuid, vmUuid, storageUuid, path, running, promised } = job.checkpoint;
      if (running && (await parts.hypervisor.layerOf(vmUuid, volumeUuid)) !== undefined) {
        await parts.hypervisor.detach(vmUuid, volumeUuid);
      }
      return async (tx) => {
        await letGo(tx, job.call.id);
        if (promised === undefined) return;
        const nowhere = {
          status: 'NotInstantiated' as const,
          primaryStorageUuid: null,
          path: null,
          installPath: null,
        };
        await tx.updateTable('volume').set(nowhere).where('uuid', '=', volumeUuid).execute();
        await takeRoom(tx, storageUuid, -promised);
        await throwAway(tx, 'primary', storageUuid, [path]);
      };
    },

    ended: () => void parts.trash.empty(),
  };
}

export function detachDataVolumeFromVm(
  parts: VmParts,
): JobOperation<typeof DetachDataVolumeFromVm, Checkpoint> {
  return {
    async admit({ id, parameters: { uuid, vmUuid } }, tx) {
      const volume = await takeDataVolume(tx, uuid, id, 'detached');
      const at = volume.vmInstanceUuid;
      if (at === null || (vmUuid !== undefined && vmUuid !== at)) {
        throw new IngotError(
          'SYS.1006',
          `volume '${volume.name}' (${uuid}) is not attached to ${vmUuid ?? 'any virtual machine'}`,
        );
      }
      const states = ['Running', 'Stopped', 'Created'] as const;
      const vm = await takeVm(tx, at, { job: id, to: 'detach a volume from', states, host: parts.host });
      const running = vm.state === 'Running';
      if (running) requireVirtio(vm, 'detached');
      return {
        target: uuid,
        checkpoint: {
          volumeUuid: uuid,
          vmUuid: at,
          deviceId: volume.deviceId ?? 1,
          storageUuid: volume.primaryStorageUuid ?? '',
          path: volume.path ?? '',
          running,
        },
      };
    },

    async run(job) {
      const { volumeUuid, vmUuid, running } = job.checkpoint;
      if (running && (await parts.hypervisor.state(vmUuid)).is !== 'stopped') {
        await parts.hypervisor.detach(vmUuid, volumeUuid, job.signal);
      }
      return async (tx) => {
        await letGo(tx, job.call.id);
        const now = parts.clock.now();
        await tx
          .updateTable('volume')
          .set({ vmInstanceUuid: null, deviceId: null, lastDetachDate: now, lastOpDate: now })
          .where('uuid', '=', volumeUuid)
          .execute();
        return { inventory: await requireInventory(tx, Volume, volumeUuid) };
      };
    },

    /** A guest that has let go of it gets it back. */
    async undo(job) {
      const { volumeUuid, vmUuid, deviceId, storageUuid, path, running } = job.checkpoint;
      if (running && (await parts.hypervisor.state(vmUuid)).is === 'running') {
        const driver = await parts.primaryStorages.driver(storageUuid);
        await parts.hypervisor.attach(vmUuid, { uuid: volumeUuid, file: driver.location(path), deviceId });
      }
      return (tx) => letGo(tx, job.call.id);
    },
  };
}

async function takeDataVolume(
  tx: SqlTransaction,
  uuid: string,
  job: string,
  done: string,
): Promise<VolumeRow> {
  await hold(tx, { table: 'volume', uuid, mode: 'change', job });
  const volume = await tx.selectFrom('volume').selectAll().where('uuid', '=', uuid).executeTakeFirstOrThrow();
  if (volume.type === 'Data') return volume;
  throw new IngotError(
    'SYS.1006',
    `volume '${volume.name}' (${uuid}) is a root volume; those are made and deleted with their virtual machine, and never ${done}`,
  );
}

/** The lowest deviceId that is free; 0 is the root volume's. */
async function freePlace(tx: SqlTransaction, vm: VmInstanceRow, running: boolean): Promise<number> {
  if (running) requireVirtio(vm, 'attached');
  const rows = await tx
    .selectFrom('volume')
    .select(sql<number>`coalesce(${sql.ref('deviceId')}, 0)`.as('deviceId'))
    .where('vmInstanceUuid', '=', vm.uuid)
    .execute();
  const most = devicesFor(vm.platform).paravirtual ? MOST.virtio : MOST.ide;
  if (rows.length >= most) {
    throw new IngotError(
      'SYS.1006',
      `virtual machine '${vm.name}' (${vm.uuid}) has ${rows.length} disks, and one of the platform ${vm.platform} has at most ${most}`,
    );
  }
  const taken = new Set(rows.map(({ deviceId }) => deviceId));
  let place = 1;
  while (taken.has(place)) place++;
  return place;
}

function requireVirtio(vm: VmInstanceRow, what: string): void {
  if (devicesFor(vm.platform).paravirtual) return;
  throw new IngotError(
    'SYS.1006',
    `virtual machine '${vm.name}' (${vm.uuid}) has IDE disks, as its platform is ${vm.platform}, and those can't be ${what} while it runs`,
    { elaboration: 'Stop it first (StopVmInstance).' },
  );
}

/** Where the volume is, or is to be: a promise comes to be where the root volume is. */
async function placeOf(
  parts: VmParts,
  tx: SqlTransaction,
  volume: VolumeRow,
  vm: VmInstanceRow,
): Promise<{ storageUuid: string; path: string; promised?: number }> {
  if (volume.status === 'Ready' && volume.primaryStorageUuid !== null && volume.path !== null) {
    await requireReachable(tx, volume.primaryStorageUuid);
    return { storageUuid: volume.primaryStorageUuid, path: volume.path };
  }
  if (volume.status !== 'NotInstantiated') {
    throw new IngotError(
      'VOLUME.1000',
      `volume '${volume.name}' (${volume.uuid}) is ${volume.status}, not Ready`,
    );
  }
  const root = await tx
    .selectFrom('volume')
    .select('primaryStorageUuid')
    .where('uuid', '=', vm.rootVolumeUuid)
    .executeTakeFirstOrThrow();
  const storage = await requireUsable(tx, root.primaryStorageUuid ?? '');
  await takeRoom(tx, storage.uuid, volume.size);
  const path = newLayerPath(volume.uuid);
  await tx
    .updateTable('volume')
    .set({
      status: 'Creating',
      primaryStorageUuid: storage.uuid,
      path,
      installPath: parts.primaryStorages.driverOf(storage).location(path),
    })
    .where('uuid', '=', volume.uuid)
    .execute();
  return { storageUuid: storage.uuid, path, promised: volume.size };
}
