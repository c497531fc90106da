/** Messages about the keys that calls are signed with. */
import { choice, text, uuid } from '../kernel/field.ts';
import { DELETION_PARAMETERS, defineMessage, defineQuery, inventoryOf, nothing } from '../kernel/message.ts';
import { DESCRIPTION } from '../kernel/properties.ts';
import { AccessKey } from './owner.ts';

const about = { resource: AccessKey, zstackPackage: 'org.zstack.accessKey' };

/** Answers at once, unlike ZStack's, so that the secret is told and not kept in a job's row. */
export const CreateAccessKey = defineMessage({
  ...about,
  name: 'CreateAccessKey',
  doc: 'Makes an access key. Its secret is in this answer and nowhere else.',
  source: 'zstack-api.md 1.4',
  caller: 'account',
  kind: 'sync',
  route: 'POST /accesskeys',
  parameters: {
    accountUuid: uuid("Whose calls it shall sign; the caller's own by default.", {
      references: 'Account',
      access: 'change',
      optional: true,
    }),
    userUuid: uuid('Without effect; an account has no further users.', { optional: true }),
    description: DESCRIPTION,
    AccessKeyID: text('What calls shall name it by; made up by default.', {
      min: 10,
      max: 20,
      optional: true,
      rule: { says: '10 to 20 letters and digits', test: (id) => /^[0-9A-Za-z]{10,20}$/.test(id) },
    }),
    AccessKeySecret: text('The secret; made up by default, which is better.', {
      min: 10,
      max: 40,
      optional: true,
      secret: true,
      rule: { says: '10 to 40 letters and digits', test: (id) => /^[0-9A-Za-z]{10,40}$/.test(id) },
    }),
  },
  answer: inventoryOf(AccessKey),
  zstackAnswer: 'APICreateAccessKeyEvent',
});

export const QueryAccessKey = defineQuery(AccessKey, {
  route: 'GET /accesskeys',
  source: 'zstack-api.md 1.4',
  zstackPackage: about.zstackPackage,
});

export const DeleteAccessKey = defineMessage({
  ...about,
  name: 'DeleteAccessKey',
  doc: 'Deletes an access key; nothing signed with it is taken any longer.',
  source: 'zstack-api.md 1.4',
  caller: 'account',
  kind: 'change',
  route: 'DELETE /accesskeys/{uuid}',
  parameters: { uuid: uuid('The access key.', { references: 'AccessKey' }), ...DELETION_PARAMETERS },
  answer: nothing,
  successIfMissing: true,
});

export const ChangeAccessKeyState = defineMessage({
  ...about,
  name: 'ChangeAccessKeyState',
  doc: 'Puts an access key into use or takes it out of use.',
  source: 'zstack-api.md 1.4',
  caller: 'account',
  kind: 'change',
  route: 'PUT /accesskeys/{uuid}/actions',
  parameters: {
    uuid: uuid('The access key.', { references: 'AccessKey' }),
    stateEvent: choice('What to do.', { enable: 'state becomes Enabled', disable: 'state becomes Disabled' }),
  },
  answer: inventoryOf(AccessKey),
});
