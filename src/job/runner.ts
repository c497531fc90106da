/**
 * Durable jobs in this process. A job is a row; whoever holds its lease works on it, and no one else. Other
 * processes on the same database take over what a dead one leaves.
 */

import type { Database, SqlTransaction } from '../database/database.ts';
import { type Clock, sleep } from '../kernel/clock.ts';
import { IngotError } from '../kernel/errors.ts';
import type { Log } from '../kernel/log.ts';
import type { Message } from '../kernel/message.ts';
import type { SecretBox } from '../kernel/secret-box.ts';
import { tellOfCreation } from './creation.ts';
import { jobsEnded } from './job-metrics.ts';
import { JobRows } from './job-rows.ts';
import { type JobResult, jobNameOf, type LongJobRow, messageNameOf } from './long-job.ts';
import {
  type AnyOperation,
  type Call,
  type ChangeOperation,
  type CreationHook,
  JobCancelled,
  type JobOperation,
  type Journal,
  LeaseLost,
  ServiceStopping,
} from './operation.ts';
import { Places, type Seat } from './places.ts';
import { type JobProgress, percentOf, type Running, runningOf } from './running.ts';
import { workOff } from './work.ts';

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

const HOUR = 3_600_000;

export class JobRunner {
  readonly #parts: Parts;
  readonly #rows: JobRows;
  readonly #running = new Map<string, Running>();
  /** Places of jobs that are just being accepted or claimed. */
  readonly #promised = new Set<Seat>();
  /** Made with the first job, when every operation is there. */
  #madePlaces: Places | undefined;
  /** While waiting jobs are being taken up; `again` where some may have come since it last looked. */
  #takingUp: { again: boolean; done: Promise<void> } | undefined;
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
    const seat = { jobName: jobNameOf(call.message.name), accountUuid: call.caller.accountUuid };
    const state = this.#places.has(seat) ? 'Running' : 'Waiting';
    const accept = async () => {
      const row = await this.#parts.database.transaction(async (tx) => {
        const { target, checkpoint } = await (operation as JobOperation<Message>).admit(call, tx);
        if (target !== undefined) await tellOfCreation(this.#parts.onCreate, 'begin', tx, call, target);
        await this.#parts.journal?.accepted(tx, call, 'Running', target);
        return this.#rows.insert(tx, call, state, { targetResourceUuid: target ?? null, checkpoint });
      });
      await this.#noticeCancelledOn(row.targetResourceUuid);
      return row;
    };
    try {
      if (state === 'Running') await this.#fillPlace(seat, accept);
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

  get #places(): Places {
    this.#madePlaces ??= new Places({
      all: this.#parts.settings.parallel,
      operations: this.#parts.operations.values(),
      seats: () => [...[...this.#running.values()].map(({ row }) => row), ...this.#promised],
    });
    return this.#madePlaces;
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
      if (typeof made === 'string') await tellOfCreation(this.#parts.onCreate, 'begin', tx, call, made);
      await this.#parts.journal?.accepted(tx, call, 'Succeeded', typeof made === 'string' ? made : undefined);
      const result: JobResult = { answer };
      await this.#rows.insertDone(tx, call, JSON.stringify(result));
    });
    jobsEnded.inc({ message: call.message.name, state: 'Succeeded' });
    for (const action of after) action();
  }

  /** Launches the job that `get` gives; its place is taken from now on, so that there are never more than may be. */
  async #fillPlace(seat: Seat, get: () => Promise<LongJobRow | undefined>): Promise<boolean> {
    this.#promised.add(seat);
    let row: LongJobRow | undefined;
    try {
      row = await get();
    } finally {
      this.#promised.delete(seat);
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
   * for another one's undoing may have the last place; nor do those that wait for a client.
   */
  #takeUp(): Promise<void> {
    const underWay = this.#takingUp;
    if (underWay) {
      underWay.again = true;
      return underWay.done;
    }
    const taking = { again: true, done: Promise.resolve() };
    this.#takingUp = taking;
    taking.done = this.#takeUpAll(taking).finally(() => {
      this.#takingUp = undefined;
    });
    return taking.done;
  }

  /** One at a time, so that none takes a place into account that another one will not fill. */
  async #takeUpAll(taking: { again: boolean }): Promise<void> {
    while (taking.again && !this.#stopping) {
      taking.again = false;
      const filter = this.#places.filter();
      const claim = () =>
        this.#rows.claimNext({
          filter,
          except: [...this.#running.keys()],
          isOurs: (row) => this.#isOurs(row),
        });
      const more = filter.cancelledOr
        ? await this.#launchOrRelease(await claim())
        : await this.#fillPlace({}, claim);
      taking.again ||= more;
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
    const running = runningOf(row, this.#parts.clock);
    this.#running.set(row.uuid, running);
    running.ended = workOff(running, {
      ...this.#parts,
      rows: this.#rows,
      isStopping: () => this.#stopping,
    }).then(
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
