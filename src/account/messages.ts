/** Messages about accounts and their sessions. */
import { boolean, choice, integer, json, optional, text, uuid } from '../kernel/field.ts';
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

export * from './access-key-messages.ts';
export * from './quota-messages.ts';
export * from './sharing-messages.ts';

const zstackPackage = 'org.zstack.header.identity';
const aboutAccount = { resource: Account, zstackPackage };
const aboutSession = { resource: Session, zstackPackage };

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
