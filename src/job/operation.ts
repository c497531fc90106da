/** What carries a message out: a function, or for a job its three parts. */
import type { Sql, SqlTransaction } from '../database/database.ts';
import type { AnswerOf, Message, ParametersOf, QueryMessage } from '../kernel/message.ts';
import type { Resource } from '../kernel/resource.ts';
import type { Restrict } from '../query/compile.ts';
import type { JobResult } from './long-job.ts';

export interface Caller {
  accountUuid: string;
  /** True for accounts that may do everything. */
  admin: boolean;
}

/** One message on its way, its parameters already checked against the declaration. */
export interface Call<M extends Message = Message> {
  /** What polls, progress and cancelling name it by. */
  readonly id: string;
  readonly message: M;
  readonly parameters: ParametersOf<M>;
  readonly caller: Caller;
  /** Where it came from: an IP address. Absent for what the service does by itself. */
  readonly from?: string;
  /** Milliseconds that a job may take from now on; without a limit where absent. */
  readonly timeout?: number;
  /** What the caller calls the job, where not by its message. */
  readonly title?: { name?: string; description?: string };
}

/** A resource that a call has just made, in the transaction that makes it. */
export interface Created {
  readonly call: Call;
  readonly resource: Resource;
  readonly uuid: string;
}

/** What else is to be done where a resource comes to be, whichever message makes it. */
export interface CreationHook {
  /** In the transaction that writes the first rows. */
  begin?(tx: SqlTransaction, created: Created): Promise<void>;
  /** In the transaction that ends a job which has made a resource. */
  end?(tx: SqlTransaction, created: Created): Promise<void>;
}

/** Who keeps a record of calls: told in the transactions that accept them and that end their jobs. */
export interface Journal {
  /** `target` is the resource that the call is about. */
  accepted(tx: Sql, call: Call, state: 'Running' | 'Succeeded', target?: string): Promise<void>;
  ended(tx: Sql, id: string, state: 'Succeeded' | 'Failed' | 'Canceled', result: JobResult): Promise<void>;
}

/** Answers at once. */
export type SyncOperation<M extends Message> = (call: Call<M>) => Promise<AnswerOf<M>>;

/** Does all in the given transaction; `afterCommit` holds what is to follow when it stands. */
export type ChangeOperation<M extends Message> = (
  call: Call<M>,
  tx: SqlTransaction,
  afterCommit: (action: () => void) => void,
) => Promise<AnswerOf<M>>;

/**
 * A job: what it has begun is ended or undone whatever dies in between. Its last step and the job's own end are
 * one transaction.
 */
export interface JobOperation<M extends Message, C = unknown> {
  /**
   * Checks the call against what there is, and writes the first rows: in one transaction with the job's own row.
   * What it throws is the call's answer, and nothing has happened.
   */
  admit(call: Call<M>, tx: SqlTransaction): Promise<{ target?: string; checkpoint: C }>;
  /** Does the work, or goes on with it after a death; returns the last step. */
  run(job: Job<M, C>): Promise<LastStep<M>>;
  /**
   * After an error or a cancel: takes back what was begun, and returns the last step. May be called again after
   * a death, so what is gone already is no error.
   */
  undo(job: Job<M, C>): Promise<(tx: SqlTransaction) => Promise<void>>;
  /**
   * What it is mostly idle for. `client`: until one sends something; it takes none of the places that jobs have, so
   * that clients that pause keep no other job waiting, and whoever begins such jobs bounds their number. `source`:
   * for somebody's server; such jobs get a part of the places, and each account a share of it (places.ts).
   */
  readonly waitsFor?: 'client' | 'source';
  /**
   * False where another service's process has to run and undo it, as what it works on is out of our reach; this one
   * then leaves it alone, whatever becomes of the other. Every process can where this is absent.
   */
  isOurs?(checkpoint: C): boolean;
  /** After the job's end stands, well or not, in the process that ended it; nothing may rest on its being called. */
  ended?(): void;
}

export type LastStep<M extends Message> = (tx: SqlTransaction) => Promise<AnswerOf<M>>;

export interface Progress {
  bytesDone: number;
  bytesTotal?: number;
  /** Bytes found good after an interruption and not moved again. */
  bytesResumed?: number;
}

/** A job under way, as its operation sees it. */
export interface Job<M extends Message = Message, C = unknown> {
  readonly call: Call<M>;
  /** What was saved last, before a death too; at first what `admit` returned. JSON. */
  readonly checkpoint: C;
  /** Aborted with a JobCancelled, a JobTimedOut, a ServiceStopping or a LeaseLost as the reason. */
  readonly signal: AbortSignal;
  report(progress: Progress): void;
  /** Keeps the checkpoint durably. Rejects with LeaseLost when another process has taken the job. */
  save(checkpoint: C): Promise<void>;
  /** For what is written before the last step: rejects with LeaseLost where another process has taken the job. */
  requireLease(tx: SqlTransaction): Promise<void>;
}

/** The job's work is to be undone: somebody cancelled it. */
export class JobCancelled extends Error {}

/** The call's own time is over: the job's work is to be undone. */
export class JobTimedOut extends Error {}

/** The process ends: stop soon, keep what would be lost, the next start goes on. */
export class ServiceStopping extends Error {}

/** Another process has the job: stop at once and touch nothing. */
export class LeaseLost extends Error {}

/**
 * The operations of a folder's messages: one for each, of the right kind, under the message's action name; tsc
 * names what is missing. Queries need none.
 */
export type Operations<Messages> = {
  [K in keyof Messages as Messages[K] extends QueryMessage
    ? never
    : Uncapitalize<K & string>]: Messages[K] extends Message<infer P, infer A, infer Kind>
    ? OperationFor<Message<P, A, Kind>>
    : never;
};

type OperationFor<M extends Message> = M extends { kind: 'sync' }
  ? SyncOperation<M>
  : M extends { kind: 'change' }
    ? ChangeOperation<M>
    : // biome-ignore lint/suspicious/noExplicitAny: each operation has a checkpoint of its own
      JobOperation<M, any>;

/** Adds to what the query engine has found; `restrict` says which rows the caller may see. */
export type QueryCompletion = (
  answer: { inventories?: Record<string, unknown>[] },
  restrict: Restrict | undefined,
) => Promise<void>;

export type AnyOperation =
  | SyncOperation<Message>
  | ChangeOperation<Message>
  | JobOperation<Message>
  | QueryCompletion;
