/** Messages about whose resources are, and who else may use them. */
import { boolean, json, list, uuid } from '../kernel/field.ts';
import { answerOf, defineMessage, defineQuery, inventoryOf, nothing } from '../kernel/message.ts';
import { AccountResourceRef, SharedResource } from './owner.ts';

const zstackPackage = 'org.zstack.header.identity';
const aboutOwner = { resource: AccountResourceRef, zstackPackage };

const RESOURCES = list('The resources.', uuid(''), { max: 1000 });
const RECEIVERS = list('Accounts that may use them, or no longer.', uuid('', { references: 'Account' }), {
  optional: true,
  min: 0,
});

export const ShareResource = defineMessage({
  ...aboutOwner,
  name: 'ShareResource',
  doc: 'Lets accounts, or everybody, see and use resources that are not theirs.',
  source: 'zstack-api.md 3.8',
  caller: 'admin',
  kind: 'change',
  route: 'PUT /accounts/resources/actions',
  parameters: {
    resourceUuids: RESOURCES,
    accountUuids: RECEIVERS,
    toPublic: boolean('Whether everybody may.', { default: false }),
  },
  answer: nothing,
});

export const RevokeResourceSharing = defineMessage({
  ...aboutOwner,
  name: 'RevokeResourceSharing',
  doc: 'Takes back what ShareResource gave.',
  source: 'zstack-api.md 3.8',
  caller: 'admin',
  kind: 'change',
  route: 'PUT /accounts/resources/actions',
  parameters: {
    resourceUuids: RESOURCES,
    accountUuids: RECEIVERS,
    toPublic: boolean('Whether what everybody got is taken back.', { default: false }),
    all: boolean('Take back all sharing, whoever got it.', { default: false }),
  },
  answer: nothing,
});

export const ChangeResourceOwner = defineMessage({
  ...aboutOwner,
  name: 'ChangeResourceOwner',
  doc: "Gives a resource to another account, as far as that one's quotas go.",
  source: 'zstack-api.md 3.8',
  caller: 'admin',
  kind: 'change',
  route: 'POST /account/{accountUuid}/resources',
  parameters: {
    accountUuid: uuid('Whose it is to be.', { references: 'Account' }),
    resourceUuid: uuid('The resource.'),
  },
  answer: inventoryOf(AccountResourceRef),
});

export const QuerySharedResource = defineQuery(SharedResource, {
  route: 'GET /accounts/resources',
  source: 'zstack-api.md 3.8',
  caller: 'admin',
  byUuid: false,
  zstackPackage,
});

export const QueryAccountResourceRef = defineQuery(AccountResourceRef, {
  route: 'GET /accounts/resources/refs',
  source: 'zstack-api.md 3.8',
  byUuid: false,
  zstackPackage,
});

export const GetResourceAccount = defineMessage({
  ...aboutOwner,
  name: 'GetResourceAccount',
  doc: 'Says whose resources are.',
  source: 'zstack-api.md 3.8',
  caller: 'account',
  kind: 'sync',
  route: 'GET /resources/accounts',
  parameters: { resourceUuids: RESOURCES },
  answer: answerOf({
    inventories: json<Record<string, unknown>>('Resource uuid → its account; for those the caller may see.'),
  }),
});
