/** Whose a resource is, and with whom it is shared. */
import { boolean, bytes, choice, text, uuid } from '../kernel/field.ts';
import { CREATE_DATE, DESCRIPTION, LAST_OP_DATE, UUID } from '../kernel/properties.ts';
import { defineResource, type RowOf } from '../kernel/resource.ts';
import { Account } from './account.ts';

const RESOURCE = {
  resourceUuid: uuid('The resource.'),
  resourceType: text('Its type, such as ImageVO.', { max: 255 }),
};

export const AccountResourceRef = defineResource({
  name: 'AccountResourceRef',
  zstackClass: 'org.zstack.header.identity.AccountResourceRefInventory',
  doc: 'Whose a resource is. Written when it is created, whatever creates it, and gone with it.',
  source: 'zstack-api.md 4.11',
  key: ['resourceUuid'],
  visible: { account: 'accountUuid' },
  fields: {
    ...RESOURCE,
    accountUuid: uuid('Who owns it.', { references: 'Account' }),
    concreteResourceType: text("ZStack's class of it.", { max: 255 }),
    createDate: CREATE_DATE,
    lastOpDate: LAST_OP_DATE,
  },
  references: { account: { to: Account, by: 'accountUuid', doc: 'Who owns it.' } },
});

export const SharedResource = defineResource({
  name: 'SharedResource',
  zstackClass: 'org.zstack.header.identity.SharedResourceInventory',
  doc: 'A resource that an account, or everybody, may use though it is not theirs.',
  source: 'zstack-api.md 3.8',
  visible: { account: 'ownerAccountUuid' },
  fields: {
    uuid: UUID,
    ownerAccountUuid: uuid('Whose it was when it was shared.', { references: 'Account' }),
    receiverAccountUuid: uuid('Who may use it.', { references: 'Account', optional: true }),
    toPublic: boolean('Whether everybody may.'),
    ...RESOURCE,
    createDate: CREATE_DATE,
    lastOpDate: LAST_OP_DATE,
  },
});

export const Quota = defineResource({
  name: 'Quota',
  zstackClass: 'org.zstack.header.identity.QuotaInventory',
  doc: 'How much of something an account may have. Administrators have no quota.',
  source: 'zstack-api.md 4.11, 5.10',
  visible: { account: 'identityUuid' },
  fields: {
    uuid: UUID,
    name: text('Of what, such as image.num.', { max: 255 }),
    identityUuid: uuid('Whose quota it is.', { references: 'Account' }),
    identityType: choice('Always an account.', { AccountVO: '' }),
    value: bytes('The most: a count, or bytes where the name ends in .size.'),
    createDate: CREATE_DATE,
    lastOpDate: LAST_OP_DATE,
  },
  references: {
    account: {
      to: Account,
      by: 'identityUuid',
      doc: 'Whose quota it is.',
      inverse: { name: 'quota', doc: 'How much it may have.' },
    },
  },
});

export const AccessKey = defineResource({
  name: 'AccessKey',
  zstackClass: 'org.zstack.accessKey.AccessKeyInventory',
  doc: 'A pair of an id and a secret with which a program signs its calls, instead of logging in.',
  source: 'zstack-api.md 1.4',
  visible: { account: 'accountUuid' },
  fields: {
    uuid: UUID,
    description: DESCRIPTION,
    accountUuid: uuid('Whose calls it signs.', { references: 'Account' }),
    userUuid: uuid('The same as accountUuid.'),
    AccessKeyID: text('What calls name it by.', { max: 20 }),
    state: choice('Whether calls signed with it are taken.', { Enabled: '', Disabled: '' }),
    createDate: CREATE_DATE,
    lastOpDate: LAST_OP_DATE,
  },
  columns: {
    // Sealed: the service needs it as it is to check signatures. Told once, when the key is made.
    secret: text('', { max: 255, secret: true }),
  },
  references: { account: { to: Account, by: 'accountUuid', doc: 'Whose calls it signs.' } },
});

declare module '../database/database.ts' {
  interface Tables {
    accountResourceRef: RowOf<typeof AccountResourceRef>;
    sharedResource: RowOf<typeof SharedResource>;
    quota: RowOf<typeof Quota>;
    accessKey: RowOf<typeof AccessKey>;
  }
}
