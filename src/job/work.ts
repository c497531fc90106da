/** One job worked off by the process that holds it: its run, after an error or a cancel the undoing, and its end. */
import type { Database, SqlTransaction } from '../database/database.ts';
import { type Clock, sleep } from '../kernel/clock.ts';
import { type ErrorBody, fromErrorBody, IngotError, toIngotError } from '../kernel/errors.ts';
import type { Log } from '../kernel/log.ts';
import type { Message } from '../kernel/message.ts';
import { tellOfCreation } from './creation.ts';
import { jobsEnded } from './job-metrics.ts';
import type { JobRows } from './job-rows.ts';
import { type JobResult, type LongJobRow, messageNameOf } from './long-job.ts';
import {
  type AnyOperation,
  type Call,
  type CreationHook,
  type Job,
  JobCancelled,
  type JobOperation,
  JobTimedOut,
  type Journal,
  LeaseLost,
  ServiceStopping,
} from './operation.ts';
import { percentOf, type Running } from './running.ts';

interface Parts {
  database: Database;
  rows: JobRows;
  log: Log;
  clock: Clock;
  operations: ReadonlyMap<string, { message: Message; operation: AnyOperation }>;
  onCreate?: readonly CreationHook[];
  journal?: Journal;
  /** Whether the process ends: what can't be undone now is left for the next start. */
  isStopping: () => boolean;
}

/** Starts without getting ahead after which a job is given up: it would only kill its process again. */
const MOST_ATTEMPTS = 10;
const UNDO_ATTEMPTS = 5;

/**
 * Fulfilled when the job has ended, or is another's or the next start's to go on with. Rejects where its end could
 * not be written; the job is then still open.
 */
export async function workOff(running: Running, parts: Parts): Promise<void> {
  const { row } = running;
  const log = parts.log.child({ job: row.uuid, message: messageNameOf(row) });
  const found = parts.operations.get(messageNameOf(row));
  if (!found) throw new IngotError('SYS.1008', `there is no message '${messageNameOf(row)}'`);
  const operation = found.operation as JobOperation<Message>;
  const job = jobFor(running, found.message, parts);
  let error: IngotError;
  if (row.state === 'Canceling') {
    error = errorIn(row.jobResult) ?? cancelled();
  } else if (row.attempts > MOST_ATTEMPTS) {
    error = new IngotError(
      'LONG_JOB.1002',
      `the job was begun ${row.attempts - 1} times and never got ahead; it is given up`,
    );
  } else {
    if (row.attempts > 1) log.info({ attempt: row.attempts }, 'going on with a job');
    const alarm = alarmAt(row.deadline, parts.clock, running.stop);
    try {
      const lastStep = await operation.run(job);
      await end(running, parts, 'Succeeded', async (tx) => {
        const answer = await lastStep(tx);
        if (row.targetResourceUuid !== null)
          await tellOfCreation(parts.onCreate, 'end', tx, job.call, row.targetResourceUuid);
        return { answer };
      });
      log.info('job done');
      return;
    } catch (thrown) {
      if (running.stop.signal.reason instanceof ServiceStopping && !(thrown instanceof JobCancelled)) {
        log.info('job left for the next start');
        return parts.rows.release(row.uuid);
      }
      const lost = thrown instanceof LeaseLost || running.stop.signal.reason instanceof LeaseLost;
      if (lost && !(await parts.rows.isHeldAndCancelled(row.uuid))) {
        log.warn('another process has taken the job');
        return;
      }
      const stopped = running.stop.signal.aborted || lost;
      const late = running.stop.signal.reason instanceof JobTimedOut;
      error = late ? timedOut(row) : stopped ? cancelled() : toIngotError(thrown);
      if (error.code === 'SYS.1000') log.error({ err: thrown }, 'job failed unexpectedly');
      else log.warn({ code: error.code, details: error.details }, 'job failed');
    } finally {
      clearTimeout(alarm);
    }
  }
  await undo(running, parts, operation, job, error);
}

/** Takes a failed or cancelled job's work back, and ends it with the error. */
async function undo(
  running: Running,
  parts: Parts,
  operation: JobOperation<Message>,
  job: Job,
  error: IngotError,
): Promise<void> {
  const { row } = running;
  const state = error.code === 'SYS.1017' ? 'Canceled' : 'Failed';
  const body: ErrorBody = error.toBody();
  // From here on, a death leads to the undoing and not to the work again.
  await parts.rows.write(row.uuid, { state: 'Canceling', jobResult: JSON.stringify({ error: body }) });
  for (let attempt = 1; ; attempt++) {
    try {
      const lastStep = await operation.undo(job);
      await end(running, parts, state, async (tx) => {
        await lastStep(tx);
        return { error: body };
      });
      return;
    } catch (thrown) {
      if (thrown instanceof LeaseLost) return;
      parts.log.error({ job: row.uuid, err: thrown, attempt }, 'undoing a job failed');
      if (parts.isStopping()) return parts.rows.release(row.uuid);
      if (attempt < UNDO_ATTEMPTS) {
        await sleep(250 * 4 ** attempt);
        continue;
      }
      const left = `${body.details}; and cleaning up failed: ${toIngotError(thrown).details} ('ingot fsck --repair' removes what is left)`;
      await end(running, parts, state, async () => ({ error: { ...body, details: left } }));
      return;
    }
  }
}

/** The operation's last step and the job's end, or neither. */
async function end(
  running: Running,
  { database, rows, clock, journal }: Parts,
  state: 'Succeeded' | 'Canceled' | 'Failed',
  lastStep: (tx: SqlTransaction) => Promise<JobResult>,
): Promise<void> {
  const { row, progress } = running;
  await database.transaction(async (tx) => {
    const result = await lastStep(tx);
    await rows.write(
      row.uuid,
      {
        state,
        jobResult: JSON.stringify(result),
        progress: state === 'Succeeded' ? 100 : percentOf(progress),
        bytesDone: progress.bytesDone,
        bytesTotal: progress.bytesTotal ?? null,
        bytesResumed: progress.bytesResumed ?? 0,
        executeTime: Math.round((clock.now() - (row.startDate ?? clock.now())) / 1000),
        leaseUntil: null,
        parameters: null,
        checkpoint: null,
      },
      { on: tx, expected: state === 'Succeeded' ? 'Running' : 'Canceling' },
    );
    await journal?.ended(tx, row.uuid, state, result);
  });
  jobsEnded.inc({ message: messageNameOf(row), state });
}

/** The job as its operation sees it. */
function jobFor(running: Running, message: Message, { database, rows }: Parts): Job {
  const { row } = running;
  const saved = { checkpoint: row.checkpoint };
  const call = {
    id: row.uuid,
    message,
    parameters: rows.parametersOf(row),
    caller: { accountUuid: row.accountUuid, admin: true },
  } as Call;
  const stopWhereLost = (error: unknown) => {
    // The work must know before it cleans up after itself: what it would remove is another's now.
    if (error instanceof LeaseLost) running.stop.abort(error);
    throw error;
  };
  return {
    call,
    get checkpoint() {
      return saved.checkpoint;
    },
    signal: running.stop.signal,
    report: (progress) => {
      running.progress = progress;
      running.meter.note(progress.bytesDone);
    },
    save: async (checkpoint) => {
      // Getting ahead wipes the slate of starts.
      const changes = { checkpoint: JSON.stringify(checkpoint), attempts: 1 };
      await database.onStep('before save');
      await rows.write(row.uuid, changes).catch(stopWhereLost);
      saved.checkpoint = checkpoint;
    },
    requireLease: (tx) => rows.write(row.uuid, {}, { on: tx }).catch(stopWhereLost),
  };
}

/** Timers hold 2^31 milliseconds at most; a later deadline is met by a later start. */
const LONGEST_TIMER = 2 ** 31 - 1;

function alarmAt(
  deadline: number | null,
  clock: Clock,
  stop: AbortController,
): ReturnType<typeof setTimeout> | undefined {
  if (deadline === null || deadline - clock.now() > LONGEST_TIMER) return undefined;
  const ring = () => stop.abort(new JobTimedOut('the call has taken longer than it may'));
  return setTimeout(ring, Math.max(0, deadline - clock.now()));
}

function timedOut({ deadline, createDate }: LongJobRow): IngotError {
  const seconds = Math.round(((deadline ?? createDate) - createDate) / 1000);
  return new IngotError('SYS.1001', `the call has taken longer than the ${seconds} s it was given`, {
    elaboration: 'What it had begun is gone. Give it more time with the header X-API-Timeout, in seconds.',
  });
}

function cancelled(): IngotError {
  return new IngotError('SYS.1017', 'the job was cancelled; what it had begun is gone');
}

function errorIn(jobResult: string | null): IngotError | undefined {
  if (jobResult === null) return undefined;
  const result: JobResult = JSON.parse(jobResult);
  return 'error' in result ? fromErrorBody(result.error) : undefined;
}
