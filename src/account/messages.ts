import { boolean, bytes, choice, integer, json, list, optional, text, uuid } from '../kernel/field.ts';
import {
  answerOf,
  CREATION_PARAMETERS,
  DELETION_PARAMETERS,
  defineMessage,
  defineQuery,
  inventoryOf,
  nothing,
} from '../kernel/message.ts';
import { DESCRIPTION, NAME } from '../kernel/properties.ts';
import { Account, Session } from './account.ts';
import { AccessKey, AccountResourceRef, Quota, SharedResource } from './owner.ts';

const zstackPackage = 'org.zstack.header.identity';
const aboutAccount = { resource: Account, zstackPackage };
const aboutSession = { resource: Session, zstackPackage };
const aboutOwner = { resource: AccountResourceRef, zstackPackage };

const PASSWORD = text('SHA-512 of the password, lower-case hex.', {
  secret: true,
  max: 128,
  rule: {
    says: 'the SHA-512 of the password in hex: 128 digits',
    test: (text) => /^[0-9a-f]{128}$/i.test(text),
  },
});

const ACCOUNT = uuid('The account.', { references: 'Account' });
const SESSION = text('Uuid of the session.', { secret: true, max: 64 });

/** What ZStack's clients may send along with a log-in. */
const LOG_IN_DETAILS = {
  captchaUuid: text('Without effect.', { optional: true, max: 64 }),
  verifyCode: text('Without effect.', { optional: true, max: 64 }),
  clientInfo: optional(json<unknown>('Without effect.')),
};

export const LogInByAccount = defineMessage({
  ...aboutSession,
  name: 'LogInByAccount',
  doc: 'Opens a session of two hours.',
  source: 'zstack-api.md 1.2',
  caller: 'anyone',
  kind: 'sync',
  route: 'PUT /accounts/login',
  parameters: {
    accountName: text("The account's name.", { max: 255 }),
    password: PASSWORD,
    accountType: text('Without effect.', { optional: true, max: 64 }),
    ...LOG_IN_DETAILS,
  },
  answer: inventoryOf(Session),
  zstackAnswer: 'APILogInReply',
});

export const LogIn = defineMessage({
  ...aboutSession,
  name: 'LogIn',
  doc: 'Opens a session of two hours, as newer clients ask for it.',
  source: 'zstack-api.md 1.2',
  caller: 'anyone',
  kind: 'sync',
  route: 'PUT /login',
  parameters: {
    username: text("The account's name.", { max: 255 }),
    password: PASSWORD,
    loginType: choice('Where the name is known.', { account: 'here' }, { default: 'account' }),
    ...LOG_IN_DETAILS,
  },
  answer: inventoryOf(Session),
  zstackPackage: 'org.zstack.header.identity.login',
});

export const LogOut = defineMessage({
  ...aboutSession,
  name: 'LogOut',
  doc: 'Ends a session; one that has ended already is no error.',
  source: 'zstack-api.md 1.2',
  caller: 'anyone',
  kind: 'sync',
  route: 'DELETE /accounts/sessions/{sessionUuid}',
  parameters: { sessionUuid: SESSION },
  answer: nothing,
});

export const ValidateSession = defineMessage({
  ...aboutSession,
  name: 'ValidateSession',
  doc: 'Says whether a session is still good.',
  source: 'zstack-api.md 1.2',
  caller: 'anyone',
  kind: 'sync',
  route: 'GET /accounts/sessions/{sessionUuid}/valid',
  parameters: { sessionUuid: SESSION },
  answer: answerOf({ valid: boolean('Whether calls may be made with it.') }),
});

/** Answers at once, unlike ZStack's, so that no session's uuid is kept in a job's row. */
export const RenewSession = defineMessage({
  ...aboutSession,
  name: 'RenewSession',
  doc: 'Lets a session live on from now.',
  source: 'zstack-api.md 1.2',
  caller: 'account',
  kind: 'sync',
  route: 'PUT /accounts/sessions/{sessionUuid}/renew',
  parameters: {
    sessionUuid: SESSION,
    duration: integer('For how long, in seconds; as after a log-in by default.', {
      unit: 'seconds',
      min: 60,
      max: 31_536_000,
      optional: true,
    }),
  },
  answer: inventoryOf(Session),
  zstackAnswer: 'APIRenewSessionEvent',
});

export const CreateAccount = defineMessage({
  ...aboutAccount,
  name: 'CreateAccount',
  doc: 'Makes an account, which may log in from then on.',
  source: 'zstack-api.md 3.8',
  caller: 'admin',
  kind: 'change',
  route: 'POST /accounts',
  parameters: {
    name: text('1 to 255 visible characters; no other account has it.', { max: 255 }),
    password: PASSWORD,
    type: choice(
      'What it may do.',
      { Normal: 'what is its own or shared with it', SystemAdmin: 'everything' },
      { default: 'Normal' },
    ),
    description: DESCRIPTION,
    ...CREATION_PARAMETERS,
  },
  answer: inventoryOf(Account),
});

export const QueryAccount = defineQuery(Account, {
  route: 'GET /accounts',
  source: 'zstack-api.md 3.8',
  zstackPackage,
});

export const UpdateAccount = defineMessage({
  ...aboutAccount,
  name: 'UpdateAccount',
  doc: "Changes an account's name, description or password. A new password ends all of its sessions.",
  source: 'zstack-api.md 3.8',
  caller: 'account',
  kind: 'change',
  route: 'PUT /accounts/{uuid}',
  parameters: {
    uuid: ACCOUNT,
    name: optional(NAME),
    description: DESCRIPTION,
    password: optional(PASSWORD),
    oldPassword: text('The present password, or its SHA-512; checked where it is given.', {
      secret: true,
      max: 1024,
      optional: true,
    }),
  },
  answer: inventoryOf(Account),
});

export const DeleteAccount = defineMessage({
  ...aboutAccount,
  name: 'DeleteAccount',
  doc: "Deletes an account. What it owns is in the way, or becomes the administrator's with deleteMode=Enforcing.",
  source: 'zstack-api.md 3.8',
  caller: 'admin',
  kind: 'change',
  route: 'DELETE /accounts/{uuid}',
  parameters: { uuid: ACCOUNT, ...DELETION_PARAMETERS },
  answer: nothing,
  successIfMissing: true,
});

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

export const UpdateQuota = defineMessage({
  resource: Quota,
  zstackPackage,
  name: 'UpdateQuota',
  doc: 'Sets how much of something an account may have.',
  source: 'zstack-api.md 3.8',
  caller: 'admin',
  kind: 'change',
  route: 'PUT /accounts/quotas/actions',
  parameters: {
    identityUuid: uuid('The account.', { references: 'Account' }),
    name: text('Of what, such as image.num.', { max: 255 }),
    value: bytes('The most: a count, or bytes where the name ends in .size.'),
  },
  answer: inventoryOf(Quota),
});

export const QueryQuota = defineQuery(Quota, {
  route: 'GET /accounts/quotas',
  source: 'zstack-api.md 3.8',
  zstackPackage,
});

export const GetAccountQuotaUsage = defineMessage({
  resource: Quota,
  zstackPackage,
  name: 'GetAccountQuotaUsage',
  doc: 'Says how much of each quota an account has used.',
  source: 'zstack-api.md 3.8',
  caller: 'account',
  kind: 'sync',
  route: 'GET /accounts/quota/{uuid}/usages',
  parameters: { uuid: ACCOUNT },
  answer: answerOf({
    usages: json<{ name: string; total: number; used: number }[]>('One for each quota: name, total, used.'),
  }),
});

const aboutKey = { resource: AccessKey, zstackPackage: 'org.zstack.accessKey' };

/** Answers at once, unlike ZStack's, so that the secret is told and not kept in a job's row. */
export const CreateAccessKey = defineMessage({
  ...aboutKey,
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
  zstackPackage: aboutKey.zstackPackage,
});

export const DeleteAccessKey = defineMessage({
  ...aboutKey,
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
  ...aboutKey,
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
