/** StartVmInstance, StopVmInstance, RebootVmInstance. */
import type { SqlTransaction } from '../database/database.ts';
import { hold, letGo } from '../job/holds.ts';
import type { Job, JobOperation } from '../job/operation.ts';
import { IngotError } from '../kernel/errors.ts';
import type { Message } from '../kernel/message.ts';
import { requireReachable } from '../primary-storage/usable.ts';
import { requireInventory } from '../query/find.ts';
import { requireRoom } from './hosts.ts';
import type { RebootVmInstance, StartVmInstance, StopVmInstance } from './messages.ts';
import { STOP_PATIENCE } from './settings.ts';
import { VmInstance, type VmInstanceRow } from './vm-instance.ts';
import { machineOf, requireVm, setState, stopped, takeVm, type VmParts } from './vms.ts';

interface Checkpoint {
  uuid: string;
  /** Of a reboot: it is down, and is to be started. */
  down?: true;
}

export function startVmInstance(parts: VmParts): JobOperation<typeof StartVmInstance, Checkpoint> {
  return {
    async admit({ id, parameters: { uuid } }, tx) {
      const states = ['Created', 'Stopped'] as const;
      const vm = await takeVm(tx, uuid, { job: id, to: 'start', states, host: parts.host });
      await takeVolumes(tx, vm, id);
      await requireRoom(tx, parts.host.uuid, vm);
      await setState(tx, parts, uuid, { state: 'Starting', hostUuid: parts.host.uuid, stateReason: null });
      return { target: uuid, checkpoint: { uuid } };
    },
    async run(job) {
      await start(parts, job);
      return running(parts, job);
    },
    async undo(job) {
      const { uuid } = job.checkpoint;
      await parts.hypervisor.stop(uuid);
      return async (tx) => {
        await letGo(tx, job.call.id);
        await setState(tx, parts, uuid, stopped(await requireVm(tx, uuid)));
      };
    },
  };
}

export function stopVmInstance(parts: VmParts): JobOperation<typeof StopVmInstance, Checkpoint> {
  return {
    async admit({ id, parameters: { uuid } }, tx) {
      const states = ['Running', 'Unknown'] as const;
      await takeVm(tx, uuid, { job: id, to: 'stop', states, host: parts.host });
      await setState(tx, parts, uuid, { state: 'Stopping' });
      return { target: uuid, checkpoint: { uuid } };
    },
    async run(job) {
      const { uuid } = job.checkpoint;
      await stop(parts, job, job.call.parameters.type);
      return async (tx) => {
        await letGo(tx, job.call.id);
        await setState(tx, parts, uuid, stopped(await requireVm(tx, uuid)));
        return { inventory: await requireInventory(tx, VmInstance, uuid) };
      };
    },
    undo: (job) => backToTruth(parts, job),
  };
}

export function rebootVmInstance(parts: VmParts): JobOperation<typeof RebootVmInstance, Checkpoint> {
  return {
    async admit({ id, parameters: { uuid } }, tx) {
      const states = ['Running'] as const;
      const vm = await takeVm(tx, uuid, { job: id, to: 'reboot', states, host: parts.host });
      await takeVolumes(tx, vm, id);
      await setState(tx, parts, uuid, { state: 'Rebooting' });
      return { target: uuid, checkpoint: { uuid } };
    },
    async run(job) {
      if (!job.checkpoint.down) {
        await stop(parts, job, 'grace');
        await job.save({ ...job.checkpoint, down: true });
      }
      await start(parts, job);
      return running(parts, job);
    },
    undo: (job) => backToTruth(parts, job),
  };
}

/** What a guest is going to write to is nobody else's meanwhile, and is where it can be reached. */
async function takeVolumes(tx: SqlTransaction, vm: VmInstanceRow, job: string): Promise<void> {
  const volumes = await tx
    .selectFrom('volume')
    .select(['uuid', 'name', 'status', 'primaryStorageUuid'])
    .where('vmInstanceUuid', '=', vm.uuid)
    .execute();
  for (const { uuid, name, status, primaryStorageUuid } of volumes) {
    await hold(tx, { table: 'volume', uuid, mode: 'change', job });
    if (status !== 'Ready' || primaryStorageUuid === null) {
      throw new IngotError('VOLUME.1000', `volume '${name}' (${uuid}) is ${status}, not Ready`);
    }
    await requireReachable(tx, primaryStorageUuid);
  }
}

async function start(parts: VmParts, job: Job<Message, Checkpoint>): Promise<void> {
  const vm = await requireVm(parts.database.sql, job.checkpoint.uuid);
  await parts.hypervisor.start(await machineOf(parts, parts.database.sql, vm), job.signal);
}

/** The last step of a job that has started it. */
function running(parts: VmParts, job: Job<Message, Checkpoint>) {
  const { uuid } = job.checkpoint;
  return async (tx: SqlTransaction) => {
    await letGo(tx, job.call.id);
    await setState(tx, parts, uuid, { state: 'Running', lastHostUuid: parts.host.uuid, stateReason: null });
    return { inventory: await requireInventory(tx, VmInstance, uuid) };
  };
}

async function stop(
  parts: VmParts,
  { checkpoint: { uuid }, signal }: Job<Message, Checkpoint>,
  how: 'grace' | 'cold',
): Promise<void> {
  if (how === 'grace') {
    const patience = (await parts.settings.get(STOP_PATIENCE)) * 1000;
    if (await parts.hypervisor.powerDown(uuid, patience, signal)) return;
    parts.log.warn({ vm: uuid }, 'a guest did not power off in time; it is ended');
  }
  await parts.hypervisor.stop(uuid);
}

/** After a stop that was cancelled: the guest may run, or not. */
async function backToTruth(parts: VmParts, job: Job<Message, Checkpoint>) {
  const { uuid } = job.checkpoint;
  const { is, why } = await parts.hypervisor.state(uuid);
  return async (tx: SqlTransaction) => {
    await letGo(tx, job.call.id);
    const vm = await requireVm(tx, uuid);
    if (is === 'stopped') await setState(tx, parts, uuid, stopped(vm, why));
    else
      await setState(tx, parts, uuid, {
        state: is === 'unknown' ? 'Unknown' : 'Running',
        stateReason: why ?? null,
      });
  };
}
