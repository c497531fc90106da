import { LongJob } from '../job/long-job.ts';
import { boolean, json, optional, text, uuid } from '../kernel/field.ts';
import {
  answerOf,
  DELETION_PARAMETERS,
  defineMessage,
  defineQuery,
  inventoryOf,
  nothing,
} from '../kernel/message.ts';
import { DESCRIPTION, NAME } from '../kernel/properties.ts';

export const QueryLongJob = defineQuery(LongJob, { route: 'GET /longjobs', source: 'zstack-api.md 3.7' });

/** Answers at once, unlike ZStack's: the job is what takes its time. */
export const SubmitLongJob = defineMessage({
  resource: LongJob,
  name: 'SubmitLongJob',
  doc: 'Makes a call of a message that works for long, and returns its job. A bad parameter of that call is an error here.',
  source: 'zstack-api.md 3.7',
  caller: 'account',
  kind: 'sync',
  route: 'POST /longjobs',
  parameters: {
    jobName: text("ZStack's name of the message, such as APIAddImageMsg.", { max: 255 }),
    jobData: text("The message's parameters, as JSON text.", { max: 1_048_576 }),
    name: optional(NAME, 'What to call the job; the message by default.'),
    description: DESCRIPTION,
    targetResourceUuid: uuid('Without effect; the message says what it works on.', { optional: true }),
    resourceUuid: uuid('The uuid that the job shall have.', { optional: true }),
  },
  answer: inventoryOf(LongJob),
  zstackAnswer: 'APISubmitLongJobEvent',
});

export const UpdateLongJob = defineMessage({
  resource: LongJob,
  name: 'UpdateLongJob',
  doc: 'Changes what a job is called.',
  source: 'zstack-api.md 3.7',
  caller: 'account',
  kind: 'change',
  route: 'PUT /longjobs/{uuid}/actions',
  parameters: {
    uuid: uuid('The job.', { references: 'LongJob' }),
    name: optional(NAME),
    description: DESCRIPTION,
  },
  answer: inventoryOf(LongJob),
});

export const DeleteLongJob = defineMessage({
  resource: LongJob,
  name: 'DeleteLongJob',
  doc: 'Forgets a job that has ended, and its result.',
  source: 'zstack-api.md 3.7',
  caller: 'account',
  kind: 'change',
  route: 'DELETE /longjobs/{uuid}',
  parameters: { uuid: uuid('The job.', { references: 'LongJob' }), ...DELETION_PARAMETERS },
  answer: nothing,
  successIfMissing: true,
});

export const CancelLongJob = defineMessage({
  resource: LongJob,
  name: 'CancelLongJob',
  doc: 'Stops a call under way and takes back what it had begun.',
  source: 'zstack-api.md 3.7',
  caller: 'account',
  kind: 'change',
  route: 'PUT /longjobs/{uuid}/actions',
  parameters: { uuid: uuid('The job.', { references: 'LongJob' }) },
  answer: inventoryOf(LongJob),
});

/** `opaque` of an answer holds bytesDone, bytesTotal, bytesResumed, bytesPerSecond and secondsLeft, where known, and placeInLine while it waits. */
export const GetTaskProgress = defineMessage({
  resource: LongJob,
  name: 'GetTaskProgress',
  doc: 'Says how far a call under way is.',
  source: 'zstack-api.md 3.7',
  caller: 'account',
  kind: 'sync',
  route: 'GET /task-progresses/{apiId}',
  parameters: {
    apiId: text('Uuid of the job.', { max: 32 }),
    all: boolean('Without effect; a job has one progress.', { default: false }),
  },
  answer: answerOf({ inventories: json<unknown[]>('The progress: content is the percentage as text.') }),
  zstackPackage: 'org.zstack.header.core.progress',
});
