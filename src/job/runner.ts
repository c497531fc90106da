/**
 * Durable jobs in this process. A job is a row; whoever holds its lease works on it, and no one else. Other
 * processes on the same database take over what a dead one leaves.
 */

import { Counter } from 'prom-client';
import type { Database, SqlTransaction } from '../database/database.ts';
import { type Clock, sleep } from '../kernel/clock.ts';
import { type ErrorBody, fromErrorBody, IngotError, toIngotError } from '../kernel/errors.ts';
import type { Log } from '../kernel/log.ts';
import type { Message } from '../kernel/message.ts';
import { metrics } from '../kernel/metrics.ts';
import type { SecretBox } from '../kernel/secret-box.ts';
import { JobRows } from './job-rows.ts';
import { type JobResult, type LongJobRow, messageNameOf } from './long-job.ts';
import { Meter } from './meter.ts';
import {
  type AnyOperation,
  type Call,
  type ChangeOperation,
  type CreationHook,
  type Job,
  JobCancelled,
  type JobOperation,
  JobTimedOut,
  type Journal,
  LeaseLost,
  type Progress,
  ServiceStopping,
} from './operation.ts';

export interface JobSettings {
  /** How long a lease holds, in milliseconds. It is renewed three times as often. */
  lease: number;
  /** Jobs at once in this process. */
  parallel: number;
  /** How long the rows of ended jobs are kept, in milliseconds. */
  keep: number;
}

interface Parts {
  database: Database;
  log: Log;
  clock: Clock;
  settings: JobSettings;
  /** Who holds leases: another name at each start, so that none is ever held under a dead process's. */
  node: string;
  /** No other process can have the database: what it says others hold was left by dead ones. */
  alone: boolean;
  /** Every message and its operation, by the message's name. */
  operations: ReadonlyMap<string, { message: Message; operation: AnyOperation }>;
  /** What follows wherever a resource comes to be, such as that it belongs to somebody. */
  onCreate?: readonly CreationHook[];
  /** Keeps a record of every call. */
  journal?: Journal;
  /** Under which the parameters of open jobs are kept that hold something secret. */
  secrets?: SecretBox;
}

interface Running {
  readonly row: LongJobRow;
  readonly stop: AbortController;
  readonly meter: Meter;
  progress: Progress;
  ended: Promise<void>;
}

export interface JobProgress extends Progress {
  /** Bytes a second over the last few seconds. */
  rate: number;
  percent: number;
}

/** Starts without getting ahead after which a job is given up: it would only kill its process again. */
const MOST_ATTEMPTS = 10;
const UNDO_ATTEMPTS = 5;
const HOUR = 3_600_000;

const ended = new Counter({
  name: 'ingot_jobs_ended_total',
  help: 'Asynchronous calls ended, by message and outcome.',
  labelNames: ['message', 'state'],
  registers: [metrics],
});

export class JobRunner {
  readonly #parts: Parts;
  readonly #rows: JobRows;
  readonly #running = new Map<string, Running>();
  /** Places of jobs that are just being accepted or claimed. */
  #promised = 0;
  #stopping = false;
  #beat: Promise<void> = Promise.resolve();
  readonly #stopBeat = new AbortController();

  constructor(parts: Parts) {
    this.#parts = parts;
    this.#rows = new JobRows({ ...parts, lease: parts.settings.lease });
  }

  /** Takes up what dead processes left: at once where this one is alone, else as their leases run out. */
  async start(): Promise<void> {
    if (this.#parts.alone) await this.#rows.freeAll();
    await this.#takeUp();
    this.#beat = this.#heartbeat();
  }

  /** Stops long jobs where they can go on later, and lets short ones end, for as long as `grace` milliseconds. */
  async stop(grace: number): Promise<void> {
    this.#stopping = true;
    this.#stopBeat.abort(new ServiceStopping());
    await this.#beat;
    for (const job of this.#running.values()) job.stop.abort(new ServiceStopping('the service is stopping'));
    const all = Promise.all([...this.#running.values()].map((job) => job.ended));
    const over = new AbortController();
    await Promise.race([all, sleep(grace, over.signal)]);
    // A timer that is left would keep the process alive.
    over.abort();
  }

  /** Accepts a call of a `change` or `job` message. What it throws is the call's answer, and nothing has happened. */
  async submit(call: Call): Promise<void> {
    if (this.#stopping) {
      throw new IngotError('SYS.1010', 'the service is stopping; call again later', { retryable: true });
    }
    const operation = this.#operationOf(call.message.name);
    if (call.message.kind === 'change') return this.#change(call, operation as ChangeOperation<Message>);
    const state = this.#isFull() ? 'Waiting' : 'Running';
    const accept = async () => {
      const row = await this.#parts.database.transaction(async (tx) => {
        const { target, checkpoint } = await (operation as JobOperation<Message>).admit(call, tx);
        if (target !== undefined) await this.#created('begin', tx, call, target);
        await this.#parts.journal?.accepted(tx, call, 'Running', target);
        return this.#rows.insert(tx, call, state, { targetResourceUuid: target ?? null, checkpoint });
      });
      await this.#noticeCancelledOn(row.targetResourceUuid);
      return row;
    };
    try {
      if (state === 'Running') await this.#fillPlace(accept);
      else await accept();
    } finally {
      // A place may have become free meanwhile: that of a job that ended, or of a call that was refused.
      this.#takeUpSoon();
    }
  }

  /**
   * A job that another one's last step begins: its row in that transaction, without an `admit`. It is taken up when
   * that stands.
   */
  async follow(
    tx: SqlTransaction,
    call: Call,
    { target, checkpoint }: { target: string; checkpoint: unknown },
  ): Promise<void> {
    await this.#rows.insert(tx, call, 'Waiting', { targetResourceUuid: target, checkpoint });
  }

  /** Marks a job to be stopped and undone, in the caller's transaction; see `noticeCancelled`. */
  cancel(uuid: string, tx: SqlTransaction): Promise<void> {
    return this.#rows.cancel(uuid, tx);
  }

  /** Stops the job if it runs here; in other processes their heartbeat notices. */
  noticeCancelled(uuid: string): void {
    const job = this.#running.get(uuid);
    if (job) job.stop.abort(new JobCancelled('the job was cancelled'));
    else this.#takeUpSoon();
  }

  /** A call that was just accepted may have cancelled the job that works on the same resource. */
  async #noticeCancelledOn(target: string | null): Promise<void> {
    for (const { row, stop } of this.#running.values()) {
      if (target === null || row.targetResourceUuid !== target || row.state !== 'Running') continue;
      if (await this.#rows.isHeldAndCancelled(row.uuid))
        stop.abort(new JobCancelled('the job was cancelled'));
    }
  }

  /** Progress of a job that runs here, fresher than its row. */
  progressOf(uuid: string): JobProgress | undefined {
    const job = this.#running.get(uuid);
    return job && { ...job.progress, rate: job.meter.rate(), percent: percentOf(job.progress) };
  }

  /** Uuids of the resources that jobs in this process work on. */
  targets(): Set<string> {
    return new Set([...this.#running.values()].flatMap((job) => job.row.targetResourceUuid ?? []));
  }

  #operationOf(name: string): AnyOperation {
    const found = this.#parts.operations.get(name);
    if (!found) throw new IngotError('SYS.1008', `there is no message '${name}'`);
    return found.operation;
  }

  async #change(call: Call, operation: ChangeOperation<Message>): Promise<void> {
    const after: (() => void)[] = [];
    await this.#parts.database.transaction(async (tx) => {
      const answer = await operation(call, tx, (action) => after.push(action));
      const made = (answer as { inventory?: { uuid?: unknown } }).inventory?.uuid;
      if (typeof made === 'string') await this.#created('begin', tx, call, made);
      await this.#parts.journal?.accepted(tx, call, 'Succeeded', typeof made === 'string' ? made : undefined);
      const result: JobResult = { answer };
      await this.#rows.insertDone(tx, call, JSON.stringify(result));
    });
    ended.inc({ message: call.message.name, state: 'Succeeded' });
    for (const action of after) action();
  }

  async #created(step: 'begin' | 'end', tx: SqlTransaction, call: Call, uuid: string): Promise<void> {
    const { creates, resource } = call.message;
    if (!creates || !resource) return;
    for (const hook of this.#parts.onCreate ?? []) await hook[step]?.(tx, { call, resource, uuid });
  }

  #isFull(): boolean {
    return this.#running.size + this.#promised >= this.#parts.settings.parallel;
  }

  /** Launches the job that `get` gives; its place is taken from now on, so that there are never more than may be. */
  async #fillPlace(get: () => Promise<LongJobRow | undefined>): Promise<boolean> {
    this.#promised++;
    let row: LongJobRow | undefined;
    try {
      row = await get();
    } finally {
      this.#promised--;
    }
    return this.#launchOrRelease(row);
  }

  async #launchOrRelease(row: LongJobRow | undefined): Promise<boolean> {
    if (!row) return false;
    if (!this.#stopping) this.#launch(row);
    else await this.#rows.release(row.uuid);
    return true;
  }

  /**
   * Claims jobs that nobody works on, as many as there is room for. Cancelled ones need no room: a job that waits
   * for another one's undoing may have the last place.
   */
  async #takeUp(): Promise<void> {
    const claim = (onlyCancelled: boolean) =>
      this.#rows.claimNext({
        onlyCancelled,
        except: [...this.#running.keys()],
        isOurs: (row) => this.#isOurs(row),
      });
    for (let more = true; more && !this.#stopping; ) {
      more = this.#isFull()
        ? await this.#launchOrRelease(await claim(true))
        : await this.#fillPlace(() => claim(false));
    }
  }

  #isOurs(row: LongJobRow): boolean {
    if (this.#parts.alone) return true;
    const found = this.#parts.operations.get(messageNameOf(row));
    return (found?.operation as JobOperation<Message> | undefined)?.isOurs?.(row.checkpoint) ?? true;
  }

  #takeUpSoon(): void {
    if (this.#stopping) return;
    void this.#takeUp().catch((error) => this.#parts.log.error({ err: error }, 'taking up jobs failed'));
  }

  #launch(row: LongJobRow): void {
    const running: Running = {
      row,
      stop: new AbortController(),
      meter: new Meter(this.#parts.clock),
      progress: {
        bytesDone: row.bytesDone,
        ...(row.bytesTotal !== null && { bytesTotal: row.bytesTotal }),
        bytesResumed: row.bytesResumed,
      },
      ended: Promise.resolve(),
    };
    this.#running.set(row.uuid, running);
    running.ended = this.#work(running).then(
      () => {
        this.#forget(row.uuid);
        (this.#operationOf(messageNameOf(row)) as JobOperation<Message>).ended?.();
      },
      (error) => {
        this.#parts.log.error(
          { job: row.uuid, err: error },
          'a job could not be ended; it is taken up again later',
        );
        this.#forget(row.uuid);
      },
    );
  }

  #forget(uuid: string): void {
    this.#running.delete(uuid);
    this.#takeUpSoon();
  }

  async #work(running: Running): Promise<void> {
    const { row } = running;
    const log = this.#parts.log.child({ job: row.uuid, message: messageNameOf(row) });
    const operation = this.#operationOf(messageNameOf(row)) as JobOperation<Message>;
    const job = this.#jobFor(running);
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
      const alarm = alarmAt(row.deadline, this.#parts.clock, running.stop);
      try {
        const lastStep = await operation.run(job);
        await this.#end(running, 'Succeeded', async (tx) => {
          const answer = await lastStep(tx);
          if (row.targetResourceUuid !== null)
            await this.#created('end', tx, job.call, row.targetResourceUuid);
          return { answer };
        });
        log.info('job done');
        return;
      } catch (thrown) {
        if (running.stop.signal.reason instanceof ServiceStopping && !(thrown instanceof JobCancelled)) {
          log.info('job left for the next start');
          return this.#rows.release(row.uuid);
        }
        const lost = thrown instanceof LeaseLost || running.stop.signal.reason instanceof LeaseLost;
        if (lost && !(await this.#rows.isHeldAndCancelled(row.uuid))) {
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
    await this.#undo(running, operation, job, error);
  }

  /** Takes a failed or cancelled job's work back, and ends it with the error. */
  async #undo(
    running: Running,
    operation: JobOperation<Message>,
    job: Job,
    error: IngotError,
  ): Promise<void> {
    const { row } = running;
    const state = error.code === 'SYS.1017' ? 'Canceled' : 'Failed';
    const body: ErrorBody = error.toBody();
    // From here on, a death leads to the undoing and not to the work again.
    await this.#rows.write(row.uuid, { state: 'Canceling', jobResult: JSON.stringify({ error: body }) });
    for (let attempt = 1; ; attempt++) {
      try {
        const lastStep = await operation.undo(job);
        await this.#end(running, state, async (tx) => {
          await lastStep(tx);
          return { error: body };
        });
        return;
      } catch (thrown) {
        if (thrown instanceof LeaseLost) return;
        this.#parts.log.error({ job: row.uuid, err: thrown, attempt }, 'undoing a job failed');
        if (this.#stopping) return this.#rows.release(row.uuid);
        if (attempt < UNDO_ATTEMPTS) {
          await sleep(250 * 4 ** attempt);
          continue;
        }
        const left = `${body.details}; and cleaning up failed: ${toIngotError(thrown).details} ('ingot fsck --repair' removes what is left)`;
        await this.#end(running, state, async () => ({ error: { ...body, details: left } }));
        return;
      }
    }
  }

  #jobFor(running: Running): Job {
    const { row } = running;
    const name = messageNameOf(row);
    const operation = this.#parts.operations.get(name);
    if (!operation) throw new IngotError('SYS.1008', `there is no message '${name}'`);
    const saved = { checkpoint: row.checkpoint };
    const call = {
      id: row.uuid,
      message: operation.message,
      parameters: this.#rows.parametersOf(row),
      caller: { accountUuid: row.accountUuid, admin: true },
    } as Call;
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
        await this.#rows.write(row.uuid, changes).catch((error) => {
          // The work must know before it cleans up after itself: what it would remove is another's now.
          if (error instanceof LeaseLost) running.stop.abort(error);
          throw error;
        });
        saved.checkpoint = checkpoint;
      },
    };
  }

  /** The operation's last step and the job's end, or neither. */
  async #end(
    running: Running,
    state: 'Succeeded' | 'Canceled' | 'Failed',
    lastStep: (tx: SqlTransaction) => Promise<JobResult>,
  ): Promise<void> {
    const { database, clock } = this.#parts;
    const { row, progress } = running;
    await database.transaction(async (tx) => {
      const result = await lastStep(tx);
      await this.#rows.write(
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
      await this.#parts.journal?.ended(tx, row.uuid, state, result);
    });
    ended.inc({ message: messageNameOf(row), state });
  }

  /** Renews leases, writes progress, notices what other processes did, takes up what dead ones left. */
  async #heartbeat(): Promise<void> {
    const { settings, log, clock } = this.#parts;
    let purge = 0;
    while (!this.#stopping) {
      try {
        await sleep(settings.lease / 3, this.#stopBeat.signal);
        await this.#renew();
        await this.#takeUp();
        if (clock.now() - purge > HOUR) {
          purge = clock.now();
          await this.#rows.purge(settings.keep);
        }
      } catch (error) {
        if (!this.#stopping) log.error({ err: error }, 'the heartbeat of jobs failed; trying again');
      }
    }
  }

  async #renew(): Promise<void> {
    for (const running of this.#running.values()) {
      const { uuid } = running.row;
      const { bytesDone, bytesTotal = null, bytesResumed = 0 } = running.progress;
      const progress = percentOf(running.progress);
      const state = await this.#rows.renew(uuid, { bytesDone, bytesTotal, bytesResumed, progress });
      if (!this.#running.has(uuid)) continue;
      if (state === undefined) running.stop.abort(new LeaseLost('another process has taken the job'));
      else if (state === 'Canceling' && running.row.state === 'Running') {
        running.stop.abort(new JobCancelled('the job was cancelled'));
      }
    }
  }
}

function percentOf({ bytesDone, bytesTotal }: Progress): number {
  if (!bytesTotal) return 0;
  return Math.min(99, Math.floor((bytesDone / bytesTotal) * 100));
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
