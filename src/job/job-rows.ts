/** The rows of jobs: who holds which, and writing to one only while holding it. */
import { sql } from 'kysely';
import type { Database, Sql, SqlTransaction } from '../database/database.ts';
import type { Clock } from '../kernel/clock.ts';
import { IngotError } from '../kernel/errors.ts';
import type { SecretBox } from '../kernel/secret-box.ts';
import { shownParameters } from '../kernel/shown-parameters.ts';
import { jobNameOf, type LongJobRow } from './long-job.ts';
import { type Call, LeaseLost } from './operation.ts';

export const OPEN_STATES = ['Waiting', 'Running', 'Canceling'] as const;
const ENDED = ['Succeeded', 'Canceled', 'Failed'] as const;

type Changes = Partial<Omit<LongJobRow, 'checkpoint'>> & { checkpoint?: string | null };

/** Which of the open jobs that nobody holds may be taken; a cancelled one always may. */
export interface ClaimFilter {
  /** No others than cancelled ones, and those of these names. */
  cancelledOr?: readonly string[];
  /** None of these names, of these accounts. */
  not?: { names: readonly string[]; ofAccounts: readonly string[] | 'all' };
}

export class JobRows {
  readonly #database: Database;
  readonly #clock: Clock;
  /** Who holds leases. */
  readonly #node: string;
  /** How long a lease holds, in milliseconds. */
  readonly #lease: number;
  readonly #secrets: SecretBox | undefined;

  constructor(parts: { database: Database; clock: Clock; node: string; lease: number; secrets?: SecretBox }) {
    this.#database = parts.database;
    this.#clock = parts.clock;
    this.#node = parts.node;
    this.#lease = parts.lease;
    this.#secrets = parts.secrets;
  }

  /** A new row, held by this process from the start or waiting for any. */
  async insert(
    tx: SqlTransaction,
    call: Call,
    state: 'Running' | 'Waiting',
    more: Partial<LongJobRow>,
  ): Promise<LongJobRow> {
    const held = state === 'Running';
    const now = this.#clock.now();
    const row: LongJobRow = {
      ...blankRow(call, now),
      parameters: this.#kept(call),
      state,
      managementNodeUuid: held ? this.#node : null,
      leaseUntil: held ? (await this.#databaseTime(tx)) + this.#lease : null,
      startDate: held ? now : null,
      attempts: held ? 1 : 0,
      ...more,
    };
    await tx
      .insertInto('longJob')
      .values({ ...row, checkpoint: row.checkpoint === null ? null : JSON.stringify(row.checkpoint) })
      .execute();
    return row;
  }

  /** The row of a call that was done when it was accepted. */
  async insertDone(tx: SqlTransaction, call: Call, jobResult: string): Promise<void> {
    await tx
      .insertInto('longJob')
      .values({
        ...blankRow(call, this.#clock.now()),
        state: 'Succeeded',
        progress: 100,
        executeTime: 0,
        managementNodeUuid: this.#node,
        jobResult,
        parameters: null,
        checkpoint: null,
      })
      .execute();
  }

  /** Frees every open job, for a process that has the database to itself: whoever held them is dead. */
  async freeAll(): Promise<void> {
    await this.#database.sql
      .updateTable('longJob')
      .set({ leaseUntil: null })
      .where('state', 'in', OPEN_STATES)
      .execute();
  }

  /**
   * Takes the oldest open job that nobody holds; undefined when there is none. `except`: jobs that this very
   * process works on, whatever has become of their leases. `isOurs`: whether it may work on such a job at all.
   */
  async claimNext(options: {
    filter: ClaimFilter;
    except: readonly string[];
    isOurs: (row: LongJobRow) => boolean;
  }): Promise<LongJobRow | undefined> {
    const { cancelledOr, not } = options.filter;
    const except = [...options.except];
    for (;;) {
      const now = await this.#databaseTime(this.#database.sql);
      let open = this.#database.sql
        .selectFrom('longJob')
        .selectAll()
        .where('state', 'in', OPEN_STATES)
        .where((where) => where.or([where('leaseUntil', 'is', null), where('leaseUntil', '<', now)]));
      if (cancelledOr) {
        open = open.where((where) =>
          where.or([
            where('state', '=', 'Canceling'),
            ...(cancelledOr.length > 0 ? [where('jobName', 'in', cancelledOr)] : []),
          ]),
        );
      }
      if (not && not.names.length > 0 && not.ofAccounts.length > 0) {
        const { names, ofAccounts } = not;
        open = open.where((where) =>
          where.or([
            where('state', '=', 'Canceling'),
            where('jobName', 'not in', names),
            ...(ofAccounts === 'all' ? [] : [where('accountUuid', 'not in', ofAccounts)]),
          ]),
        );
      }
      if (except.length > 0) open = open.where('uuid', 'not in', except);
      const found = await open.orderBy('createDate').orderBy('uuid').limit(1).executeTakeFirst();
      if (!found) return undefined;
      const row = { ...found, checkpoint: found.checkpoint === null ? null : JSON.parse(found.checkpoint) };
      if (!options.isOurs(row)) {
        except.push(row.uuid);
        continue;
      }
      const changes = {
        managementNodeUuid: this.#node,
        leaseUntil: now + this.#lease,
        attempts: row.attempts + 1,
        startDate: row.startDate ?? this.#clock.now(),
        state: row.state === 'Canceling' ? ('Canceling' as const) : ('Running' as const),
      };
      const { numUpdatedRows } = await this.#database.sql
        .updateTable('longJob')
        .set(changes)
        .where('uuid', '=', row.uuid)
        .where('state', '=', row.state)
        .where((where) => where.or([where('leaseUntil', 'is', null), where('leaseUntil', '<', now)]))
        .executeTakeFirst();
      // Another process may have been quicker.
      if (numUpdatedRows === 0n) continue;
      return { ...row, ...changes };
    }
  }

  /**
   * Writes to a job's row only if it is open and this process still holds it, in the state it thinks it is in; else
   * LeaseLost.
   */
  async write(
    uuid: string,
    changes: Changes,
    options: { on?: Sql; expected?: LongJobRow['state'] } = {},
  ): Promise<void> {
    const update = (options.on ?? this.#database.sql)
      .updateTable('longJob')
      .set({ ...changes, lastOpDate: this.#clock.now() })
      .where('uuid', '=', uuid)
      .where('managementNodeUuid', '=', this.#node)
      .where('state', 'in', options.expected ? [options.expected] : OPEN_STATES);
    const { numUpdatedRows } = await update.executeTakeFirst();
    if (numUpdatedRows === 0n) throw new LeaseLost(`this process no longer holds job ${uuid}`);
  }

  /** The call's parameters as they came, without those that are secrets. */
  parametersOf(row: Pick<LongJobRow, 'uuid' | 'parameters' | 'jobData'>): Record<string, unknown> {
    const { uuid, parameters, jobData } = row;
    // JSON begins with a brace.
    const sealed = parameters !== null && !parameters.startsWith('{') && this.#secrets;
    return JSON.parse(sealed ? sealed.open(parameters, ownerOf(uuid)) : (parameters ?? jobData));
  }

  /** What is needed until the job ends; under the key where it is more than may be shown, as a password in a URL is. */
  #kept(call: Call): string {
    const parameters = withoutSecrets(call);
    const text = JSON.stringify(parameters);
    const shown = JSON.stringify(shownParameters(call.message.parameters, parameters));
    return this.#secrets && shown !== text ? this.#secrets.seal(text, ownerOf(call.id)) : text;
  }

  /** Renews the lease and writes progress. Fulfilled with the job's state, undefined when it is held no longer. */
  async renew(uuid: string, progress: Changes): Promise<LongJobRow['state'] | undefined> {
    const row = await this.#database.sql
      .updateTable('longJob')
      .set({ ...progress, leaseUntil: sql<number>`${this.#database.syntax.now} + ${this.#lease}` })
      .where('uuid', '=', uuid)
      .where('managementNodeUuid', '=', this.#node)
      .where('state', 'in', OPEN_STATES)
      .returning('state')
      .executeTakeFirst();
    return row?.state;
  }

  /** Lets go of a job, for the next start or another process. */
  async release(uuid: string): Promise<void> {
    await this.write(uuid, { leaseUntil: null }).catch(() => {});
  }

  async isHeldAndCancelled(uuid: string): Promise<boolean> {
    const row = await this.#database.sql
      .selectFrom('longJob')
      .select(['state', 'managementNodeUuid'])
      .where('uuid', '=', uuid)
      .executeTakeFirst();
    return row?.state === 'Canceling' && row.managementNodeUuid === this.#node;
  }

  /** Marks a job to be stopped and undone. */
  async cancel(uuid: string, tx: SqlTransaction): Promise<void> {
    const { numUpdatedRows } = await tx
      .updateTable('longJob')
      .set({ state: 'Canceling', lastOpDate: this.#clock.now() })
      .where('uuid', '=', uuid)
      .where('state', 'in', ['Waiting', 'Running'])
      .executeTakeFirst();
    if (numUpdatedRows > 0n) return;
    const row = await tx.selectFrom('longJob').select('state').where('uuid', '=', uuid).executeTakeFirst();
    if (!row) throw new IngotError('SYS.1003', `there is no job ${uuid}`);
    if (row.state === 'Canceling' || row.state === 'Canceled') return;
    throw new IngotError('LONG_JOB.1001', `job ${uuid} has ended already: ${row.state}`);
  }

  /** Forgets jobs that ended more than `milliseconds` ago. */
  async purge(milliseconds: number): Promise<void> {
    await this.#database.sql
      .deleteFrom('longJob')
      .where('state', 'in', ENDED)
      .where('lastOpDate', '<', this.#clock.now() - milliseconds)
      .execute();
  }

  async #databaseTime(on: Sql): Promise<number> {
    const { rows } = await sql<{ now: number }>`select ${this.#database.syntax.now} as now`.execute(on);
    return rows[0]?.now ?? 0;
  }
}

function blankRow(call: Call, now: number): LongJobRow {
  return {
    uuid: call.id,
    name: call.title?.name ?? call.message.name,
    description: call.title?.description ?? null,
    apiId: call.id,
    jobName: jobNameOf(call.message.name),
    jobData: JSON.stringify(shownParameters(call.message.parameters, withoutSecrets(call))),
    jobResult: null,
    targetResourceUuid: null,
    managementNodeUuid: null,
    state: 'Waiting',
    progress: 0,
    bytesDone: 0,
    bytesTotal: null,
    bytesResumed: 0,
    executeTime: null,
    accountUuid: call.caller.accountUuid,
    parameters: null,
    checkpoint: null,
    leaseUntil: null,
    attempts: 1,
    startDate: null,
    deadline: call.timeout === undefined ? null : now + call.timeout,
    createDate: now,
    lastOpDate: now,
  };
}

/** Parameters as they may be kept. */
function withoutSecrets(call: Call): Record<string, unknown> {
  const fields = call.message.parameters;
  return Object.fromEntries(Object.entries(call.parameters).filter(([name]) => !fields[name]?.secret));
}

const ownerOf = (uuid: string) => `job ${uuid}`;
