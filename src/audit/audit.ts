import { choice, date, text, uuid } from '../kernel/field.ts';
import { CREATE_DATE, UUID } from '../kernel/properties.ts';
import { defineResource, type RowOf } from '../kernel/resource.ts';

export const Audit = defineResource({
  name: 'Audit',
  doc: 'A call that changed something, or tried to: who made it, from where, what it was and what came of it.',
  source: 'ingot',
  visible: 'administrators',
  fields: {
    uuid: UUID,
    apiName: text('The message.', { max: 255 }),
    jobUuid: text('What the call is polled by, and the uuid of its job where it became one.', { max: 32 }),
    accountUuid: uuid('Who called. Absent where nobody was known, as in a log-in that failed.', {
      optional: true,
      references: 'Account',
    }),
    accountName: text("The account's name at that time.", { max: 255, optional: true }),
    clientIp: text('The address that the call came from; absent for what the service does by itself.', {
      max: 255,
      optional: true,
    }),
    resourceType: text('What kind of thing it was about, such as ImageVO.', { max: 255, optional: true }),
    resourceUuid: text('Which one.', { max: 255, optional: true }),
    parameters: text('The parameters as JSON, secrets and passwords in URLs as ***.', { max: 1_048_576 }),
    state: choice('What came of it.', {
      Running: 'it became a job, which has not ended',
      Succeeded: 'it was done',
      Failed: 'it was refused, or failed and was undone',
      Canceled: 'somebody cancelled it, and it was undone',
    }),
    error: text('Code and sentence of its error.', { max: 4096, optional: true }),
    createDate: CREATE_DATE,
    endDate: date('When it was over.', { optional: true }),
  },
});

declare module '../database/database.ts' {
  interface Tables {
    audit: RowOf<typeof Audit>;
  }
}
