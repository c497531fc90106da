import type { ErrorBody } from '../kernel/errors.ts';
import { bytes, choice, date, integer, json, text, uuid } from '../kernel/field.ts';
import { CREATE_DATE, DESCRIPTION, LAST_OP_DATE, UUID } from '../kernel/properties.ts';
import { defineResource, type RowOf } from '../kernel/resource.ts';

/** Every asynchronous call is one row, from the moment it was accepted until some hours after its end. */
export const LongJob = defineResource({
  name: 'LongJob',
  doc: 'A call under way or done.',
  source: 'zstack-api.md 4.10',
  visible: { account: 'accountUuid' },
  fields: {
    uuid: UUID,
    name: text('What the caller calls it; the message otherwise.', { max: 255 }),
    description: DESCRIPTION,
    apiId: uuid('The same as uuid: what progress and results are asked for by.'),
    jobName: text("ZStack's name of the message, such as APIAddImageMsg.", { max: 255 }),
    jobData: text('Parameters, as JSON; passwords in URLs are masked.', { max: 1_048_576 }),
    jobResult: text('Answer or error, as JSON.', { max: 16_777_216, optional: true }),
    targetResourceUuid: uuid('The resource it works on.', { optional: true }),
    managementNodeUuid: uuid('The process that runs it.', { optional: true }),
    state: choice('Where it is in its life.', {
      Waiting: 'not begun',
      Running: 'a process works on it',
      Canceling: 'being stopped and undone',
      Succeeded: 'done',
      Canceled: 'stopped and undone',
      Failed: 'ended by an error',
    }),
    progress: integer('How far it is.', { unit: 'percent', max: 100, since: 'ingot' }),
    bytesDone: bytes('Bytes moved so far.', { since: 'ingot' }),
    bytesTotal: bytes('Bytes to move in all, where known.', { since: 'ingot', optional: true }),
    bytesResumed: bytes('Bytes found good after an interruption and not moved again.', { since: 'ingot' }),
    executeTime: integer('How long it ran, in seconds.', { unit: 'seconds', optional: true }),
    createDate: CREATE_DATE,
    lastOpDate: LAST_OP_DATE,
  },
  columns: {
    accountUuid: uuid('Who called.'),
    /** The parameters as they are, as JSON; jobData is what may be shown of them. Gone when the job ends. */
    parameters: text('', { optional: true }),
    /** What the operation keeps of its own between a death and the next start. */
    checkpoint: json<unknown>('', { optional: true }),
    /** Until when, by the database's clock, the process named by managementNodeUuid alone may work on it. */
    leaseUntil: date('', { optional: true }),
    /** Starts since it last got ahead; a job that only ever kills its process is given up. */
    attempts: integer(''),
    startDate: date('', { optional: true }),
    /** When it is given up, where the call said how long it may take. */
    deadline: date('', { optional: true }),
  },
});

export type LongJobRow = RowOf<typeof LongJob>;

/** ZStack's name of a message as a long job: `APIAddImageMsg`. */
export const jobNameOf = (messageName: string) => `API${messageName}Msg`;
/** The message that the row is of. */
export const messageNameOf = ({ jobName }: { jobName: string }) => jobName.slice('API'.length, -'Msg'.length);

/** What `jobResult` holds as JSON. */
export type JobResult = { answer: Record<string, unknown> } | { error: ErrorBody };

declare module '../database/database.ts' {
  interface Tables {
    longJob: Omit<LongJobRow, 'checkpoint'> & { checkpoint: string | null };
  }
}
