/**
 * The one way in for every message, whatever wire it came over: may the caller, are the parameters right, and
 * then the operation, the job or the query engine.
 */
import type { AccessRules } from '../account/access.ts';
import type { AuditLog } from '../audit/audit-log.ts';
import type { Database } from '../database/database.ts';
import { type JobResult, messageNameOf } from '../job/long-job.ts';
import type { AnyOperation, Call, Caller, QueryCompletion, SyncOperation } from '../job/operation.ts';
import type { JobRunner } from '../job/runner.ts';
import type { Clock } from '../kernel/clock.ts';
import { IngotError, toIngotError } from '../kernel/errors.ts';
import type { Log } from '../kernel/log.ts';
import { type Message, type ParametersOf, pathVariables, type QueryMessage } from '../kernel/message.ts';
import { parseParameters } from '../kernel/parse.ts';
import { newUuid } from '../kernel/uuid.ts';
import { findInventory } from '../query/find.ts';
import { query } from '../query/query.ts';
import { HttpProblem } from './answers.ts';

export interface Request {
  message: Message;
  /** As they came over the wire. */
  parameters: Record<string, unknown>;
  /** Finds out who calls; throws where it can't. Not asked for messages that anyone may send. */
  authenticate: () => Promise<Caller>;
  /** The job's uuid, where the client chose it. */
  id?: string;
  /** The caller's address. */
  from?: string;
  /** Milliseconds that the call may take, where it says so. */
  timeout?: number;
}

/** When it was accepted, and when it ended. Milliseconds since 1970. */
interface Times {
  begun: number;
  ended: number;
}
type Done = { state: 'done'; message: Message } & Times & JobResult;
export type CallState = { state: 'unknown' } | { state: 'processing'; begun: number } | Done;

/** Calls that ended before they became jobs; their answers wait for the first poll. They did nothing, so memory is enough. */
const MOST_KEPT = 2000;
/** Characters of all of them together. */
const MOST_KEPT_TEXT = 8 * 1024 * 1024;

const JOB_UUID = /^[0-9a-zA-Z]{32}$/;

export class Dispatcher {
  readonly #database: Database;
  readonly #runner: JobRunner;
  readonly #operations: ReadonlyMap<string, { message: Message; operation: AnyOperation }>;
  readonly #access: AccessRules;
  readonly #audit: AuditLog;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #kept = new Map<string, Done & { length: number }>();
  #keptText = 0;
  /** Uuids that clients chose for calls that are just being accepted. */
  readonly #chosen = new Set<string>();

  constructor(parts: {
    database: Database;
    runner: JobRunner;
    operations: ReadonlyMap<string, { message: Message; operation: AnyOperation }>;
    access: AccessRules;
    audit: AuditLog;
    clock: Clock;
    log: Log;
  }) {
    this.#database = parts.database;
    this.#runner = parts.runner;
    this.#operations = parts.operations;
    this.#access = parts.access;
    this.#audit = parts.audit;
    this.#clock = parts.clock;
    this.#log = parts.log;
  }

  /** Answers a `sync` message. */
  async answer(request: Request): Promise<Record<string, unknown>> {
    if (!request.message.mutates) return this.#answer(await this.#admit(request, newUuid()));
    const asked = { ...request, id: newUuid() };
    const [caller, noteCaller] = remembering(request);
    try {
      const answer = await this.#answer(await this.#admit({ ...request, authenticate: caller }, asked.id));
      await this.#audit.answered({ ...asked, caller: noteCaller() }, answer);
      return answer;
    } catch (thrown) {
      await this.#audit.refused({ ...asked, caller: noteCaller() }, toIngotError(thrown).toBody());
      throw thrown;
    }
  }

  async #answer(call: Call): Promise<Record<string, unknown>> {
    const { message } = call;
    const operation = this.#operations.get(message.name)?.operation;
    if (message.query && message.resource) {
      const restrict = this.#access.restriction(call.caller);
      const asked = call.parameters as ParametersOf<QueryMessage>;
      const parameters = { ...asked, conditions: [...message.only, ...(asked.conditions ?? [])] };
      const options = restrict && { restrict };
      const answer = { ...(await query(this.#database, message.resource, parameters, options)) };
      await (operation as QueryCompletion | undefined)?.(answer, restrict);
      return answer;
    }
    return { ...(await (operation as SyncOperation<Message>)(call)) };
  }

  /**
   * Takes a `change` or `job` message and returns the uuid to poll by. As ZStack's clients expect, the poll
   * tells what was wrong with the call itself too (zstack-api.md 1.6); only a uuid that is in use is refused here.
   */
  async submit(request: Request): Promise<string> {
    if (request.id === undefined) return this.#accept(request, newUuid());
    const { id } = request;
    const used = new HttpProblem(400, 'SYS.1007', `the job uuid ${id} has been used already`);
    if (this.#chosen.has(id)) throw used;
    this.#chosen.add(id);
    try {
      if ((await this.stateOf(id)).state !== 'unknown') throw used;
      return await this.#accept(request, id);
    } finally {
      this.#chosen.delete(id);
    }
  }

  async #accept(request: Request, id: string): Promise<string> {
    const { message } = request;
    const begun = this.#clock.now();
    const [authenticate, noteCaller] = remembering(request);
    const done = (result: JobResult): void =>
      this.#keep(id, { state: 'done', message, begun, ended: this.#clock.now(), ...result });
    try {
      const call = await this.#admit({ ...request, authenticate }, id);
      if (message.successIfMissing && (await this.#isMissing(call))) {
        await this.#audit.answered({ ...request, id, caller: call.caller }, {});
        done({ answer: {} });
      } else {
        await this.#runner.submit(call);
      }
    } catch (thrown) {
      const error = toIngotError(thrown);
      if (error.code === 'SYS.1000')
        this.#log.error({ err: thrown, call: message.name }, 'a call failed unexpectedly');
      done({ error: error.toBody() });
      await this.#audit.refused({ ...request, id, caller: noteCaller() }, error.toBody());
    }
    return id;
  }

  /** What has become of a call. */
  async stateOf(id: string): Promise<CallState> {
    const kept = this.#kept.get(id);
    if (kept) {
      const { length, ...done } = kept;
      return done;
    }
    if (!JOB_UUID.test(id)) return { state: 'unknown' };
    const row = await this.#database.sql
      .selectFrom('longJob')
      .select(['jobName', 'state', 'jobResult', 'createDate', 'lastOpDate'])
      .where('uuid', '=', id)
      .executeTakeFirst();
    if (!row) return { state: 'unknown' };
    const message = this.#operations.get(messageNameOf(row))?.message;
    if (!message || row.state === 'Waiting' || row.state === 'Running' || row.state === 'Canceling') {
      return { state: 'processing', begun: row.createDate };
    }
    const result: JobResult = JSON.parse(row.jobResult ?? '{"answer":{}}');
    return { state: 'done', message, begun: row.createDate, ended: row.lastOpDate, ...result };
  }

  async #admit(request: Request, id: string): Promise<Call> {
    const { message, parameters, authenticate, from, timeout } = request;
    const caller = message.caller === 'anyone' ? NOBODY : await authenticate();
    const more = { ...(from !== undefined && { from }), ...(timeout !== undefined && { timeout }) };
    return { ...(await this.check(message, parameters, caller, id)), ...more };
  }

  /** A call whose caller may make it, with its parameters checked. */
  async check(
    message: Message,
    parameters: Record<string, unknown>,
    caller: Caller,
    id: string,
  ): Promise<Call> {
    if (message.caller === 'admin' && !caller.admin) {
      throw new IngotError('ID.1002', `${message.name} is for administrators`);
    }
    const values = parseParameters(message.name, message.parameters, parameters);
    const call = { id, message, parameters: values, caller };
    await this.#access.require(call);
    return call;
  }

  /** Whether what the call is about, the resource that its path names, is not there. */
  async #isMissing({ message, parameters }: Call): Promise<boolean> {
    const [name] = pathVariables(message.route.path);
    const uuid = name === undefined ? undefined : (parameters as Record<string, unknown>)[name];
    if (typeof uuid !== 'string' || !message.resource) return false;
    return (await findInventory(this.#database.sql, message.resource, uuid)) === undefined;
  }

  #keep(id: string, done: Done): void {
    const length = JSON.stringify('error' in done ? done.error : done.answer).length;
    this.#kept.set(id, { ...done, length });
    this.#keptText += length;
    for (const [oldest, { length: freed }] of this.#kept) {
      if (this.#kept.size <= MOST_KEPT && this.#keptText <= MOST_KEPT_TEXT) break;
      this.#kept.delete(oldest);
      this.#keptText -= freed;
    }
  }
}

const NOBODY: Caller = { accountUuid: '', admin: false };

/** The request's way of finding out who calls, and who it was, once it has been found out. */
function remembering({ authenticate }: Request): [Request['authenticate'], () => Caller | undefined] {
  let known: Caller | undefined;
  return [
    async () => {
      known = await authenticate();
      return known;
    },
    () => known,
  ];
}
