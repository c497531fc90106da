/**
 * The audit log. What a call changes and the row that tells of it are one transaction, for jobs their first and
 * their last; so nothing is changed without a row, and no row tells of what did not happen.
 */
import { sql } from 'kysely';
import type { Database, Sql } from '../database/database.ts';
import type { JobResult } from '../job/long-job.ts';
import type { Call, Caller, Journal } from '../job/operation.ts';
import type { Clock } from '../kernel/clock.ts';
import type { ErrorBody } from '../kernel/errors.ts';
import { type Message, pathVariables } from '../kernel/message.ts';
import { resourceTypeOf } from '../kernel/resource.ts';
import { shownParameters } from '../kernel/shown-parameters.ts';
import { newUuid } from '../kernel/uuid.ts';

/** Characters of the parameters of one call; a list of many uuids is cut. */
const LONGEST_PARAMETERS = 8192;
const LONGEST_ERROR = 4096;
/** Rows a minute for callers whom nobody knows: they must not be able to fill the disk. */
const MOST_UNKNOWN = 120;
const MINUTE = 60_000;

/** A call as it is known before anybody has looked at it. */
export interface Asked {
  id: string;
  message: Message;
  parameters: Record<string, unknown>;
  caller?: Caller | undefined;
  from?: string | undefined;
}

type State = 'Running' | 'Succeeded' | 'Failed' | 'Canceled';

interface Told {
  state: State;
  target?: string | undefined;
  error?: ErrorBody;
}

export class AuditLog implements Journal {
  readonly #database: Database;
  readonly #clock: Clock;
  readonly #messages: readonly Message[];
  #unknown = { since: 0, count: 0 };

  constructor(parts: { database: Database; clock: Clock; messages: readonly Message[] }) {
    this.#database = parts.database;
    this.#clock = parts.clock;
    this.#messages = parts.messages;
  }

  /** A call that was done in this transaction, or became a job in it. */
  async accepted(tx: Sql, call: Call, state: 'Running' | 'Succeeded', target?: string): Promise<void> {
    await this.#write(tx, call as Asked, { state, target });
  }

  async ended(tx: Sql, id: string, state: Exclude<State, 'Running'>, result: JobResult): Promise<void> {
    await tx
      .updateTable('audit')
      .set({
        state,
        endDate: this.#clock.now(),
        ...('error' in result && { error: told(result.error) }),
      })
      .where('jobUuid', '=', id)
      .where('state', '=', 'Running')
      .execute();
  }

  /** A call that was answered at once. */
  async answered(asked: Asked, answer: Record<string, unknown>): Promise<void> {
    const { inventory } = answer as { inventory?: { uuid?: unknown; accountUuid?: unknown } };
    const { message, caller } = asked;
    // Who logs in is known only now. A session's uuid is its secret, and names no resource here.
    const whose = message.caller === 'anyone' ? inventory?.accountUuid : undefined;
    const made = message.resource?.name === 'Session' ? undefined : inventory?.uuid;
    await this.#write(
      this.#database.sql,
      typeof whose === 'string'
        ? { ...asked, caller: { accountUuid: whose, admin: false } }
        : { ...asked, caller },
      { state: 'Succeeded', target: typeof made === 'string' ? made : undefined },
    );
  }

  /**
   * A call that nothing came of. Of callers whom nobody knows only log-ins are told, as nothing else is anybody's
   * doing.
   */
  async refused(asked: Asked, error: ErrorBody): Promise<void> {
    if (!asked.caller && (asked.message.caller !== 'anyone' || !this.#mayTellOfUnknown())) return;
    await this.#write(this.#database.sql, asked, { state: 'Failed', error });
  }

  /** Forgets calls that are older than so many milliseconds. */
  async purge(milliseconds: number): Promise<void> {
    await this.#database.sql
      .deleteFrom('audit')
      .where('createDate', '<', this.#clock.now() - milliseconds)
      .where('state', '!=', 'Running')
      .execute();
  }

  #mayTellOfUnknown(): boolean {
    const now = this.#clock.now();
    if (now - this.#unknown.since >= MINUTE) this.#unknown = { since: now, count: 0 };
    return ++this.#unknown.count <= MOST_UNKNOWN;
  }

  async #write(on: Sql, asked: Asked, { state, target, error }: Told): Promise<void> {
    const { id, message, caller, from } = asked;
    const now = this.#clock.now();
    const accountUuid = caller?.accountUuid || null;
    await on
      .insertInto('audit')
      .values({
        uuid: newUuid(),
        apiName: message.name,
        jobUuid: id,
        accountUuid,
        accountName: sql<
          string | null
        >`(select ${sql.ref('name')} from ${sql.table('account')} where ${sql.ref('uuid')} = ${accountUuid})`,
        clientIp: from ?? null,
        resourceType: message.resource ? resourceTypeOf(message.resource) : null,
        resourceUuid: target ?? namedIn(asked) ?? null,
        parameters: this.#shown(asked),
        state,
        error: error ? told(error) : null,
        createDate: now,
        endDate: state === 'Running' ? null : now,
      })
      .execute();
  }

  #shown({ message, parameters }: Asked): string {
    const shown = shownParameters(message.parameters, parameters);
    // A call inside of a call.
    if (typeof shown.jobData === 'string')
      shown.jobData = this.#shownInner(parameters.jobName, shown.jobData);
    const text = JSON.stringify(shown);
    return text.length <= LONGEST_PARAMETERS ? text : `${text.slice(0, LONGEST_PARAMETERS)}…`;
  }

  #shownInner(jobName: unknown, jobData: string): unknown {
    const inner = this.#messages.find(({ name }) => jobName === name || jobName === `API${name}Msg`);
    try {
      const parameters: unknown = JSON.parse(jobData);
      if (inner && typeof parameters === 'object' && parameters !== null)
        return shownParameters(inner.parameters, parameters as Record<string, unknown>);
    } catch {
      // No JSON, and refused for it.
    }
    return '***';
  }
}

function told({ code, details }: ErrorBody): string {
  return `${code} ${details}`.slice(0, LONGEST_ERROR);
}

/** What the path names is what the call is about. */
function namedIn({ message, parameters }: Asked): string | undefined {
  const [name] = pathVariables(message.route.path);
  const value = name === undefined || message.parameters[name]?.secret ? undefined : parameters[name];
  return typeof value === 'string' ? value.slice(0, 255) : undefined;
}
