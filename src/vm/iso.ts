/** AttachIsoToVmInstance, DetachIsoFromVmInstance: what is in the CD drive, which each virtual machine has. */
import type { SqlTransaction } from '../database/database.ts';
import { letGo } from '../job/holds.ts';
import type { JobOperation } from '../job/operation.ts';
import { IngotError } from '../kernel/errors.ts';
import { requireInventory } from '../query/find.ts';
import { storageFor } from '../volume/image-source.ts';
import type { AttachIsoToVmInstance, DetachIsoFromVmInstance } from './messages.ts';
import { requireIso } from './rules.ts';
import { VmInstance } from './vm-instance.ts';
import { takeVm, type VmParts } from './vms.ts';

const STATES = ['Running', 'Stopped', 'Created'] as const;

interface Attaching {
  vmUuid: string;
  isoUuid: string;
  storageUuid: string;
  running: boolean;
}

export function attachIsoToVmInstance(parts: VmParts): JobOperation<typeof AttachIsoToVmInstance, Attaching> {
  return {
    async admit({ id, parameters: { vmInstanceUuid, isoUuid } }, tx) {
      const image = await requireIso(tx, isoUuid);
      const vm = await takeVm(tx, vmInstanceUuid, {
        job: id,
        to: 'attach an ISO to',
        states: STATES,
        host: parts.host,
      });
      const drive = await driveOf(tx, vm.uuid);
      if (drive.isoUuid !== null) {
        throw new IngotError(
          'SYS.1006',
          `virtual machine '${vm.name}' (${vm.uuid}) has the ISO ${drive.isoUuid} in its CD drive`,
          { elaboration: 'Take it out first (DetachIsoFromVmInstance).' },
        );
      }
      const root = await tx
        .selectFrom('volume')
        .select('primaryStorageUuid')
        .where('uuid', '=', vm.rootVolumeUuid)
        .executeTakeFirstOrThrow();
      const storage = await storageFor(tx, image, 0, root.primaryStorageUuid ?? undefined);
      return {
        target: vm.uuid,
        checkpoint: { vmUuid: vm.uuid, isoUuid, storageUuid: storage.uuid, running: vm.state === 'Running' },
      };
    },

    async run(job) {
      const { vmUuid, isoUuid, storageUuid, running } = job.checkpoint;
      const { id } = job.call;
      const { path } = await parts.caches.require(storageUuid, isoUuid, {
        id,
        signal: job.signal,
        report: job.report,
      });
      const file = (await parts.primaryStorages.driver(storageUuid)).location(path);
      if (running) await parts.hypervisor.changeCd(vmUuid, file);
      return async (tx) => {
        await letGo(tx, id);
        await tx
          .updateTable('vmCdRom')
          .set({
            isoUuid,
            isoInstallPath: file,
            primaryStorageUuid: storageUuid,
            lastOpDate: parts.clock.now(),
          })
          .where('vmInstanceUuid', '=', vmUuid)
          .execute();
        return { inventory: await requireInventory(tx, VmInstance, vmUuid) };
      };
    },

    async undo(job) {
      const { vmUuid, running } = job.checkpoint;
      if (running && (await parts.hypervisor.state(vmUuid)).is === 'running') {
        await parts.hypervisor.changeCd(vmUuid, undefined);
      }
      return (tx) => letGo(tx, job.call.id);
    },
  };
}

interface Detaching {
  vmUuid: string;
  file: string | null;
  running: boolean;
}

export function detachIsoFromVmInstance(
  parts: VmParts,
): JobOperation<typeof DetachIsoFromVmInstance, Detaching> {
  return {
    async admit({ id, parameters: { vmInstanceUuid, isoUuid } }, tx) {
      const vm = await takeVm(tx, vmInstanceUuid, {
        job: id,
        to: 'detach an ISO from',
        states: STATES,
        host: parts.host,
      });
      const drive = await driveOf(tx, vm.uuid);
      if (drive.isoUuid === null || (isoUuid !== undefined && isoUuid !== drive.isoUuid)) {
        throw new IngotError(
          'SYS.1006',
          `virtual machine '${vm.name}' (${vm.uuid}) does not have ${isoUuid ? `the ISO ${isoUuid}` : 'an ISO'} in its CD drive`,
        );
      }
      return {
        target: vm.uuid,
        checkpoint: { vmUuid: vm.uuid, file: drive.isoInstallPath, running: vm.state === 'Running' },
      };
    },

    async run(job) {
      const { vmUuid, running } = job.checkpoint;
      if (running) await parts.hypervisor.changeCd(vmUuid, undefined);
      return async (tx) => {
        await letGo(tx, job.call.id);
        await tx
          .updateTable('vmCdRom')
          .set({
            isoUuid: null,
            isoInstallPath: null,
            primaryStorageUuid: null,
            lastOpDate: parts.clock.now(),
          })
          .where('vmInstanceUuid', '=', vmUuid)
          .execute();
        return { inventory: await requireInventory(tx, VmInstance, vmUuid) };
      };
    },

    async undo(job) {
      const { vmUuid, file, running } = job.checkpoint;
      if (running && file !== null && (await parts.hypervisor.state(vmUuid)).is === 'running') {
        await parts.hypervisor.changeCd(vmUuid, file);
      }
      return (tx) => letGo(tx, job.call.id);
    },
  };
}

async function driveOf(tx: SqlTransaction, vmUuid: string) {
  return tx
    .selectFrom('vmCdRom')
    .select(['isoUuid', 'isoInstallPath'])
    .where('vmInstanceUuid', '=', vmUuid)
    .executeTakeFirstOrThrow();
}
