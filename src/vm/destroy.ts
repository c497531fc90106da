/** DestroyVmInstance: with its root volume; what is just being done to it is cancelled first. */
import type { SqlTransaction } from '../database/database.ts';
import { hold, letGo } from '../job/holds.ts';
import type { Job, JobOperation } from '../job/operation.ts';
import type { JobRunner } from '../job/runner.ts';
import { sleep } from '../kernel/clock.ts';
import { IngotError } from '../kernel/errors.ts';
import { dropVolume } from '../volume/delete.ts';
import type { DestroyVmInstance } from './messages.ts';
import { requireHere, requireVm, setState, stopped, type VmParts } from './vms.ts';

interface Checkpoint {
  uuid: string;
  /** The job that has it, and has to end first. */
  other?: string;
}

/** What may be stopped in the middle so that the virtual machine can go. */
const CANCELLABLE = ['CreateVmInstance', 'StartVmInstance', 'StopVmInstance', 'RebootVmInstance'];

export function destroyVmInstance(
  parts: VmParts & { runner: () => JobRunner },
): JobOperation<typeof DestroyVmInstance, Checkpoint> {
  return {
    async admit({ id, parameters: { uuid } }, tx) {
      requireHere(await requireVm(tx, uuid), parts.host);
      const other = await cancelOther(parts.runner(), tx, uuid);
      if (!other) await take(parts, tx, uuid, id);
      return { target: uuid, checkpoint: { uuid, ...(other && { other }) } };
    },

    async run(job) {
      const { uuid, other } = job.checkpoint;
      if (other) {
        await untilEnded(parts, other, job.signal);
        if (!(await takeNow(parts, job))) return async () => ({});
      }
      await parts.hypervisor.forget(uuid);
      return async (tx) => {
        await letGo(tx, job.call.id);
        await drop(parts, tx, uuid);
        return {};
      };
    },

    async undo(job) {
      const { uuid } = job.checkpoint;
      const { is, why } = await parts.hypervisor.state(uuid);
      return async (tx) => {
        await letGo(tx, job.call.id);
        const vm = await tx.selectFrom('vmInstance').selectAll().where('uuid', '=', uuid).executeTakeFirst();
        if (vm?.state !== 'Destroying') return;
        if (is === 'stopped') await setState(tx, parts, uuid, stopped(vm, why));
        else await setState(tx, parts, uuid, { state: 'Running' });
      };
    },

    ended: () => void parts.trash.empty(),
  };
}

async function cancelOther(runner: JobRunner, tx: SqlTransaction, uuid: string): Promise<string | undefined> {
  const other = await tx
    .selectFrom('jobHold')
    .innerJoin('longJob', 'longJob.uuid', 'jobHold.jobUuid')
    .select(['longJob.uuid', 'longJob.jobName'])
    .where('jobHold.resourceUuid', '=', uuid)
    .where('longJob.state', 'in', ['Waiting', 'Running', 'Canceling'])
    .executeTakeFirst();
  if (!other || !CANCELLABLE.some((name) => other.jobName === `API${name}Msg`)) return undefined;
  await runner.cancel(other.uuid, tx).catch((error) => {
    // It is ending by itself, or being undone already.
    if (!(error instanceof IngotError)) throw error;
  });
  return other.uuid;
}

async function untilEnded(
  parts: VmParts & { runner: () => JobRunner },
  job: string,
  signal: AbortSignal,
): Promise<void> {
  parts.runner().noticeCancelled(job);
  for (;;) {
    const row = await parts.database.sql
      .selectFrom('longJob')
      .select('state')
      .where('uuid', '=', job)
      .executeTakeFirst();
    if (!row || !['Waiting', 'Running', 'Canceling'].includes(row.state)) return;
    await sleep(50, signal);
  }
}

/** False where the undoing of its creation has left nothing. */
async function takeNow(parts: VmParts, job: Job<typeof DestroyVmInstance, Checkpoint>): Promise<boolean> {
  const { uuid } = job.checkpoint;
  return parts.database.transaction(async (tx) => {
    const there = await tx
      .selectFrom('vmInstance')
      .select('uuid')
      .where('uuid', '=', uuid)
      .executeTakeFirst();
    if (!there) return false;
    const held = await tx
      .selectFrom('jobHold')
      .select('jobUuid')
      .where('jobUuid', '=', job.call.id)
      .executeTakeFirst();
    if (!held) await take(parts, tx, uuid, job.call.id);
    return true;
  });
}

async function take(parts: VmParts, tx: SqlTransaction, uuid: string, job: string): Promise<void> {
  await hold(tx, { table: 'vmInstance', uuid, mode: 'change', job });
  for (const volume of await tx
    .selectFrom('volume')
    .select('uuid')
    .where('vmInstanceUuid', '=', uuid)
    .execute()) {
    await hold(tx, { table: 'volume', uuid: volume.uuid, mode: 'change', job });
  }
  await setState(tx, parts, uuid, { state: 'Destroying' });
}

async function drop(parts: VmParts, tx: SqlTransaction, uuid: string): Promise<void> {
  const { rootVolumeUuid } = await requireVm(tx, uuid);
  await setState(tx, parts, uuid, { state: 'Destroyed' });
  await dropVolume(tx, rootVolumeUuid);
  const now = parts.clock.now();
  await tx
    .updateTable('volume')
    .set({ vmInstanceUuid: null, deviceId: null, lastDetachDate: now, lastOpDate: now })
    .where('vmInstanceUuid', '=', uuid)
    .execute();
  await tx.deleteFrom('vmInstance').where('uuid', '=', uuid).execute();
}
