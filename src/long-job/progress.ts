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
}

/** From the runner where it runs in this process, else from its row; undefined where there is no such job. */
export async function progressOf(
  parts: { database: Database; runner: () => JobRunner },
  uuid: string,
): Promise<JobProgress | undefined> {
  const job = await parts.database.sql
    .selectFrom('longJob')
    .select(['jobName', 'state', 'progress', 'bytesDone', 'bytesTotal', 'bytesResumed'])
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
    ...(rate > 0 && bytesTotal !== undefined && { secondsLeft: Math.ceil((bytesTotal - bytesDone) / rate) }),
  };
}
