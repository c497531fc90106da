import type { Database } from '../database/database.ts';
import { messageNameOf } from '../job/long-job.ts';
import type { JobRunner } from '../job/runner.ts';

/** How far a job is. Sizes in bytes. */
export interface JobProgress {
  message: string;
  state: string;
  percent: number;
  bytesDone: number;
  bytesTotal?: number;
  /** Bytes found good after an interruption and not moved again. */
  bytesResumed: number;
  bytesPerSecond: number;
  secondsLeft?: number;
  /** Of a job that waits for a free place: 1 is the next to begin. */
  placeInLine?: number;
}

/** From the runner where it runs in this process, else from its row; undefined where there is no such job. */
export async function progressOf(
  parts: { database: Database; runner: () => JobRunner },
  uuid: string,
): Promise<JobProgress | undefined> {
  const job = await parts.database.sql
    .selectFrom('longJob')
    .select(['uuid', 'jobName', 'state', 'progress', 'bytesDone', 'bytesTotal', 'bytesResumed', 'createDate'])
    .where('uuid', '=', uuid)
    .executeTakeFirst();
  if (!job) return undefined;
  const live = parts.runner().progressOf(uuid);
  const bytesDone = live?.bytesDone ?? job.bytesDone;
  const bytesTotal = live?.bytesTotal ?? job.bytesTotal ?? undefined;
  const rate = live?.rate ?? 0;
  return {
    message: messageNameOf(job),
    state: job.state,
    percent: job.state === 'Succeeded' ? 100 : (live?.percent ?? job.progress),
    bytesDone,
    ...(bytesTotal !== undefined && { bytesTotal }),
    bytesResumed: live?.bytesResumed ?? job.bytesResumed,
    bytesPerSecond: Math.round(rate),
    ...(job.state === 'Waiting' && { placeInLine: await placeInLine(parts.database, job) }),
    ...(rate > 0 && bytesTotal !== undefined && { secondsLeft: Math.ceil((bytesTotal - bytesDone) / rate) }),
  };
}

/**
 * Jobs begin in the order in which they were accepted (job/job-rows.ts), but for those whose account has its share of
 * places (job/places.ts): others pass them.
 */
async function placeInLine(
  { sql }: Database,
  { uuid, createDate }: { uuid: string; createDate: number },
): Promise<number> {
  const { ahead } = await sql
    .selectFrom('longJob')
    .select((row) => row.fn.countAll<number>().as('ahead'))
    .where('state', '=', 'Waiting')
    .where((row) =>
      row.or([
        row('createDate', '<', createDate),
        row.and([row('createDate', '=', createDate), row('uuid', '<', uuid)]),
      ]),
    )
    .executeTakeFirstOrThrow();
  return ahead + 1;
}
