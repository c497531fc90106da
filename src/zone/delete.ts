/** DeleteZone: first what lies in it, each as its own call would delete it, and then the zone. */
import type { Database, Sql } from '../database/database.ts';
import type { Job, JobOperation } from '../job/operation.ts';
import type { Clock } from '../kernel/clock.ts';
import { IngotError } from '../kernel/errors.ts';
import type { DeletePrimaryStorage } from '../primary-storage/messages.ts';
import type { DeleteZone } from './messages.ts';

interface Checkpoint {
  uuid: string;
  /** The primary storage whose deletion has begun, and how far that is. */
  current?: { uuid: string; checkpoint: unknown };
}

type ZoneJob = Job<typeof DeleteZone, Checkpoint>;

export function deleteZone(parts: {
  database: Database;
  clock: Clock;
  /** How a primary storage is deleted. */
  primaryStorage: JobOperation<typeof DeletePrimaryStorage>;
}): JobOperation<typeof DeleteZone, Checkpoint> {
  return {
    async admit({ parameters: { uuid } }, tx) {
      await requireAnother(tx, uuid);
      return { target: uuid, checkpoint: { uuid } };
    },

    async run(job) {
      const { uuid } = job.checkpoint;
      for (;;) {
        const { current } = job.checkpoint;
        const storage = current?.uuid ?? (await storageIn(parts.database.sql, uuid));
        if (storage === undefined) break;
        const step = stepOf(job, storage);
        if (!current) {
          const { checkpoint } = await parts.database.transaction((tx) =>
            parts.primaryStorage.admit(step.call, tx),
          );
          await step.save(checkpoint);
        }
        const lastStep = await parts.primaryStorage.run(step);
        await parts.database.transaction(async (tx) => {
          await lastStep(tx);
        });
        await job.save({ uuid });
      }
      return async (tx) => {
        await requireAnother(tx, uuid);
        const added = await storageIn(tx, uuid);
        if (added !== undefined) {
          throw new IngotError(
            'SYS.1004',
            `primary storage ${added} was added to the zone ${uuid} meanwhile`,
            {
              retryable: true,
            },
          );
        }
        await tx.deleteFrom('zone').where('uuid', '=', uuid).execute();
        await requireDefault(tx, parts.clock.now());
        return {};
      };
    },

    /** What is gone is gone; the zone stays, with what is left in it, and can be deleted again. */
    async undo(job) {
      const { current } = job.checkpoint;
      return current ? parts.primaryStorage.undo(stepOf(job, current.uuid)) : async () => {};
    },
  };
}

/** The deletion of one storage as a part of the zone's job. */
function stepOf(job: ZoneJob, uuid: string): Job<typeof DeletePrimaryStorage> {
  const call = { ...job.call, parameters: { ...job.call.parameters, uuid } };
  return {
    call: call as unknown as Job<typeof DeletePrimaryStorage>['call'],
    get checkpoint() {
      return job.checkpoint.current?.checkpoint;
    },
    signal: job.signal,
    report: (progress) => job.report(progress),
    save: (checkpoint) => job.save({ uuid: job.checkpoint.uuid, current: { uuid, checkpoint } }),
    requireLease: (tx) => job.requireLease(tx),
  };
}

async function storageIn(on: Sql, zoneUuid: string): Promise<string | undefined> {
  const storage = await on
    .selectFrom('primaryStorage')
    .select('uuid')
    .where('zoneUuid', '=', zoneUuid)
    .orderBy('createDate')
    .limit(1)
    .executeTakeFirst();
  return storage?.uuid;
}

/** What names no zone is meant to have one: where the default one went, the oldest takes its place. */
async function requireDefault(tx: Sql, now: number): Promise<void> {
  const zones = await tx
    .selectFrom('zone')
    .select(['uuid', 'isDefault'])
    .orderBy('createDate')
    .orderBy('uuid')
    .execute();
  const [oldest] = zones;
  if (!oldest || zones.some(({ isDefault }) => isDefault)) return;
  await tx
    .updateTable('zone')
    .set({ isDefault: true, lastOpDate: now })
    .where('uuid', '=', oldest.uuid)
    .execute();
}

/** Without any zone nothing could be added, and the next start would take this for a new service. */
async function requireAnother(on: Sql, uuid: string): Promise<void> {
  const zone = await on.selectFrom('zone').select('name').where('uuid', '=', uuid).executeTakeFirst();
  if (!zone) throw new IngotError('SYS.1003', `there is no Zone with the uuid ${uuid}`);
  const other = await on.selectFrom('zone').select('uuid').where('uuid', '!=', uuid).executeTakeFirst();
  if (other) return;
  throw new IngotError('SYS.1004', `zone '${zone.name}' (${uuid}) is the only one, and one must stay`, {
    elaboration: "Make another one first, with 'CreateZone'.",
  });
}
