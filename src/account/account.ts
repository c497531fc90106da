import { choice, date, text, uuid } from '../kernel/field.ts';
import { CREATE_DATE, DESCRIPTION, LAST_OP_DATE, NAME, UUID } from '../kernel/properties.ts';
import { defineResource, type RowOf } from '../kernel/resource.ts';

/** The built-in administrator's uuid, the same on every ZStack (zstack-api.md 1.2). */
export const ADMIN_UUID = '36c27e8ff05c4780bf6d2fa65700f22e';

export const Account = defineResource({
  name: 'Account',
  zstackClass: 'org.zstack.header.identity.AccountInventory',
  doc: 'Somebody who may call.',
  source: 'zstack-api.md 4.11',
  visible: { account: 'uuid' },
  fields: {
    uuid: UUID,
    name: NAME,
    description: DESCRIPTION,
    type: choice('What it may do.', {
      SystemAdmin: 'everything',
      Normal: 'what is its own or shared with it',
    }),
    createDate: CREATE_DATE,
    lastOpDate: LAST_OP_DATE,
  },
  columns: {
    passwordHash: text('scrypt over the SHA-512 of the password, with its salt and costs.', { max: 1024 }),
  },
});

export const Session = defineResource({
  name: 'Session',
  zstackClass: 'org.zstack.header.identity.SessionInventory',
  doc: "An account's permission to call, for a time.",
  source: 'zstack-api.md 1.2',
  visible: { account: 'accountUuid' },
  fields: {
    uuid: uuid('What the Authorization header carries.'),
    accountUuid: uuid('Whose session it is.', { references: 'Account' }),
    userUuid: uuid('The same as accountUuid.'),
    userType: choice('Type of the account.', { SystemAdmin: '', Normal: '' }),
    expiredDate: date('When it ends.'),
    createDate: CREATE_DATE,
  },
});

/** The table keeps a digest of the session's uuid, so that who reads the database can't call with it. */
interface SessionRow {
  digest: string;
  accountUuid: string;
  expiredDate: number;
  createDate: number;
}

declare module '../database/database.ts' {
  interface Tables {
    account: RowOf<typeof Account>;
    session: SessionRow;
  }
}
