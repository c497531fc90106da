import type { Database } from '../database/database.ts';
import { LongJob } from '../job/long-job.ts';
import type { ChangeOperation, Operations, SyncOperation } from '../job/operation.ts';
import type { JobRunner } from '../job/runner.ts';
import type { Clock } from '../kernel/clock.ts';
import { IngotError } from '../kernel/errors.ts';
import type { Message } from '../kernel/message.ts';
import type { Resource } from '../kernel/resource.ts';
import { requireInventory } from '../query/find.ts';
import type * as messages from './messages.ts';
import type { CancelLongJob, DeleteLongJob, GetTaskProgress, UpdateLongJob } from './messages.ts';
import { progressOf } from './progress.ts';
import { type CheckCall, submitLongJob } from './submit.ts';

interface Parts {
  database: Database;
  runner: () => JobRunner;
  clock: Clock;
  resources: ReadonlyMap<string, Resource>;
  messages: readonly Message[];
  check: CheckCall;
}

export function longJobOperations(parts: Parts): Operations<typeof messages> {
  return {
    submitLongJob: submitLongJob(parts),
    updateLongJob: updateLongJob(parts),
    deleteLongJob: deleteLongJob(),
    cancelLongJob: cancelLongJob(parts),
    getTaskProgress: getTaskProgress(parts),
  };
}

function updateLongJob(parts: Parts): ChangeOperation<typeof UpdateLongJob> {
  return async ({ parameters: { uuid, ...changes } }, tx) => {
    await requireInventory(tx, LongJob, uuid);
    await tx
      .updateTable('longJob')
      .set({ ...changes, lastOpDate: parts.clock.now() })
      .where('uuid', '=', uuid)
      .execute();
    return { inventory: await requireInventory(tx, LongJob, uuid) };
  };
}

function deleteLongJob(): ChangeOperation<typeof DeleteLongJob> {
  return async ({ parameters: { uuid } }, tx) => {
    const { state } = await requireInventory(tx, LongJob, uuid);
    if (state !== 'Succeeded' && state !== 'Failed' && state !== 'Canceled') {
      throw new IngotError('SYS.1006', `job ${uuid} is ${state}; only one that has ended can be deleted`, {
        elaboration: 'CancelLongJob stops it.',
      });
    }
    await tx.deleteFrom('longJob').where('uuid', '=', uuid).execute();
    return {};
  };
}

function cancelLongJob(parts: Parts): ChangeOperation<typeof CancelLongJob> {
  return async ({ parameters: { uuid } }, tx, afterCommit) => {
    await parts.runner().cancel(uuid, tx);
    afterCommit(() => parts.runner().noticeCancelled(uuid));
    return { inventory: await requireInventory(tx, LongJob, uuid) };
  };
}

function getTaskProgress(parts: Parts): SyncOperation<typeof GetTaskProgress> {
  return async ({ parameters: { apiId } }) => {
    const job = await progressOf(parts, apiId);
    if (!job) return { inventories: [] };
    const { message, percent, ...opaque } = job;
    const progress = {
      taskUuid: apiId,
      taskName: message,
      type: 'Task',
      content: String(percent),
      time: parts.clock.now(),
      opaque,
    };
    return { inventories: [progress] };
  };
}
