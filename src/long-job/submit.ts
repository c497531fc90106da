import type { Database } from '../database/database.ts';
import { jobNameOf, LongJob } from '../job/long-job.ts';
import type { Call, Caller, SyncOperation } from '../job/operation.ts';
import type { JobRunner } from '../job/runner.ts';
import { IngotError } from '../kernel/errors.ts';
import { jsonFault } from '../kernel/json-fault.ts';
import type { Message } from '../kernel/message.ts';
import { didYouMean } from '../kernel/nearest.ts';
import type { Resource } from '../kernel/resource.ts';
import { newUuid } from '../kernel/uuid.ts';
import { requireFreeUuid, requireInventory } from '../query/find.ts';
import type { SubmitLongJob } from './messages.ts';

/** A call whose caller may make it, with its parameters checked. */
export type CheckCall = (
  message: Message,
  parameters: Record<string, unknown>,
  caller: Caller,
  id: string,
) => Promise<Call>;

export function submitLongJob(parts: {
  database: Database;
  runner: () => JobRunner;
  resources: ReadonlyMap<string, Resource>;
  messages: readonly Message[];
  check: CheckCall;
}): SyncOperation<typeof SubmitLongJob> {
  const byJobName = new Map(
    parts.messages.filter((each) => each.kind === 'job').map((each) => [jobNameOf(each.name), each]),
  );
  return async ({ parameters, caller, from }) => {
    const { jobName, jobData, name, description, resourceUuid } = parameters;
    const message = byJobName.get(jobName);
    if (!message) {
      const known = [...byJobName.keys()];
      throw new IngotError('LONG_JOB.1003', `'${jobName}' can't be a long job${didYouMean(jobName, known)}`, {
        elaboration: `What can: ${known.join(', ')}.`,
        opaque: { parameter: 'jobName' },
      });
    }
    if (resourceUuid !== undefined)
      await requireFreeUuid(parts.database.sql, parts.resources.values(), resourceUuid);
    const id = resourceUuid ?? newUuid();
    const call = await parts.check(message, readJobData(jobData), caller, id);
    const title = { ...(name !== undefined && { name }), ...(description !== undefined && { description }) };
    await parts.runner().submit({ ...call, title, ...(from !== undefined && { from }) });
    return { inventory: await requireInventory(parts.database.sql, LongJob, id) };
  };
}

function readJobData(text: string): Record<string, unknown> {
  let data: unknown;
  try {
    data = JSON.parse(text);
  } catch (cause) {
    // Without the cause, which would repeat what may be secret.
    throw new IngotError('SYS.1007', `'jobData' is not JSON: ${jsonFault(cause)}`, {
      opaque: { parameter: 'jobData' },
    });
  }
  if (typeof data === 'object' && data !== null && !Array.isArray(data))
    return data as Record<string, unknown>;
  throw new IngotError('SYS.1007', "'jobData' must be a JSON object as text");
}
