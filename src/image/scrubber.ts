import { sql } from 'kysely';
import { ADMIN_UUID } from '../account/account.ts';
import type { Database } from '../database/database.ts';
import { atIntervals } from '../global-config/at-intervals.ts';
import type { Settings } from '../global-config/settings.ts';
import { jobNameOf } from '../job/long-job.ts';
import type { JobRunner } from '../job/runner.ts';
import type { Clock } from '../kernel/clock.ts';
import type { Log } from '../kernel/log.ts';
import { newUuid } from '../kernel/uuid.ts';
import { ScrubBackupStorage } from './messages.ts';
import { SCRUB_INTERVAL, SCRUB_REPAIR } from './settings.ts';

interface Parts {
  database: Database;
  settings: Settings;
  runner: () => JobRunner;
  clock: Clock;
  log: Log;
}

/** How often it is looked for copies that are due, in milliseconds; sooner where the interval is shorter. */
const LOOK = 60_000;

/** Has each copy read again once the interval has passed, until the signal ends it. */
export function runScrubber(parts: Parts, signal: AbortSignal): Promise<void> {
  const work = async (interval: number) => {
    if (interval > 0) await scrubDue(parts, interval * 1000);
  };
  const failed = 'looking for copies to read again failed; it is tried again';
  return atIntervals(parts, { setting: SCRUB_INTERVAL, atLeast: LOOK, work, failed }, signal);
}

/** A job for every storage that has copies which were not read for so long, and no such job already. */
async function scrubDue({ database, settings, runner, clock, log }: Parts, interval: number): Promise<void> {
  const due = await database.sql
    .selectFrom('backupStorage as storage')
    .select('storage.uuid')
    .where('storage.status', '=', 'Connected')
    .where('storage.uuid', 'in', (refs) =>
      refs
        .selectFrom('imageBackupStorageRef as ref')
        .select('ref.backupStorageUuid')
        .where('ref.status', '=', 'Ready')
        .where(
          sql<boolean>`coalesce(${sql.ref('ref.checkDate')}, ${sql.ref('ref.createDate')}) <= ${clock.now() - interval}`,
        ),
    )
    .where('storage.uuid', 'not in', (jobs) =>
      jobs
        .selectFrom('longJob')
        .select('targetResourceUuid')
        .where('jobName', '=', jobNameOf(ScrubBackupStorage.name))
        .where('state', 'in', ['Waiting', 'Running', 'Canceling'])
        .where('targetResourceUuid', 'is not', null)
        .$castTo<{ targetResourceUuid: string }>(),
    )
    .execute();
  const repair = await settings.get(SCRUB_REPAIR);
  for (const { uuid } of due) {
    await runner()
      .submit({
        id: newUuid(),
        message: ScrubBackupStorage,
        parameters: { uuid, repair, olderThan: interval / 1000 },
        caller: { accountUuid: ADMIN_UUID, admin: true },
      })
      .catch((error) => log.warn({ storage: uuid, err: error }, 'a storage could not be scrubbed'));
  }
}
