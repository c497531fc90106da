import { createHash } from 'node:crypto';
import type { Database, Sql, SqlTransaction } from '../database/database.ts';
import { Statement } from '../database/statement.ts';
import type { Settings } from '../global-config/settings.ts';
import type { Caller } from '../job/operation.ts';
import type { Clock } from '../kernel/clock.ts';
import { IngotError } from '../kernel/errors.ts';
import type { InventoryOf } from '../kernel/resource.ts';
import { newUuid } from '../kernel/uuid.ts';
import type { Account, Session } from './account.ts';
import { SESSION_MOST, SESSION_TIMEOUT } from './settings.ts';

type SessionInventory = InventoryOf<typeof Session>;

interface OpenSession {
  accountUuid: string;
  type: SessionInventory['userType'];
  expiredDate: number;
  createDate: number;
}

/** By the digest of its uuid. */
const OPEN_SESSION = new Statement<OpenSession>((on) =>
  on
    .selectFrom('session')
    .innerJoin('account', 'account.uuid', 'session.accountUuid')
    .select(['account.uuid as accountUuid', 'account.type', 'session.expiredDate', 'session.createDate'])
    .where('digest', '=', ''),
);

/** Who may call, by the uuid that the Authorization header carries. */
export class Sessions {
  readonly #database: Database;
  readonly #clock: Clock;
  readonly #settings: Settings;

  constructor({ database, clock, settings }: { database: Database; clock: Clock; settings: Settings }) {
    this.#database = database;
    this.#clock = clock;
    this.#settings = settings;
  }

  async open(account: Pick<InventoryOf<typeof Account>, 'uuid' | 'type'>): Promise<SessionInventory> {
    const now = this.#clock.now();
    const uuid = newUuid();
    const expiredDate = now + (await this.#settings.get(SESSION_TIMEOUT)) * 1000;
    const most = await this.#settings.get(SESSION_MOST);
    await this.#database.transaction(async (tx) => {
      await tx.deleteFrom('session').where('expiredDate', '<=', now).execute();
      const open = await tx
        .selectFrom('session')
        .select((select) => select.fn.countAll<number>().as('count'))
        .where('accountUuid', '=', account.uuid)
        .executeTakeFirstOrThrow();
      if (open.count >= most) {
        throw new IngotError(
          'ID.1006',
          `the account has ${most} sessions already; log out of some, or wait until they end`,
        );
      }
      await tx
        .insertInto('session')
        .values({ digest: digestOf(uuid), accountUuid: account.uuid, expiredDate, createDate: now })
        .execute();
    });
    return inventoryOf(uuid, account.uuid, account.type, expiredDate, now);
  }

  /** Whose session it is; ID.1001 where there is none or its time is over. */
  async callerOf(uuid: string): Promise<Caller> {
    const session = await this.#find(this.#database.sql, uuid);
    if (!session) throw expired();
    return { accountUuid: session.accountUuid, admin: session.type === 'SystemAdmin' };
  }

  /** Lets the caller's session live from now for `seconds`. */
  async renew(uuid: string, caller: Caller, seconds?: number): Promise<SessionInventory> {
    const duration = seconds ?? (await this.#settings.get(SESSION_TIMEOUT));
    return this.#database.transaction(async (tx) => {
      const session = await this.#find(tx, uuid);
      if (!session) throw expired();
      if (session.accountUuid !== caller.accountUuid && !caller.admin) {
        throw new IngotError('ID.1002', "the session is another account's");
      }
      const expiredDate = this.#clock.now() + duration * 1000;
      await tx.updateTable('session').set({ expiredDate }).where('digest', '=', digestOf(uuid)).execute();
      return inventoryOf(uuid, session.accountUuid, session.type, expiredDate, session.createDate);
    });
  }

  async isValid(uuid: string): Promise<boolean> {
    return (await this.#find(this.#database.sql, uuid)) !== undefined;
  }

  async close(uuid: string): Promise<void> {
    await this.#database.sql.deleteFrom('session').where('digest', '=', digestOf(uuid)).execute();
  }

  async closeAll(tx: SqlTransaction, accountUuid: string): Promise<void> {
    await tx.deleteFrom('session').where('accountUuid', '=', accountUuid).execute();
  }

  async #find(on: Sql, uuid: string) {
    const [row] = await OPEN_SESSION.run(on, [digestOf(uuid)]);
    return row && row.expiredDate > this.#clock.now() ? row : undefined;
  }
}

function inventoryOf(
  uuid: string,
  accountUuid: string,
  userType: SessionInventory['userType'],
  expiredDate: number,
  createDate: number,
): SessionInventory {
  return { uuid, accountUuid, userUuid: accountUuid, userType, expiredDate, createDate };
}

// ZStack's command line looks for these very words to forget its session.
function expired(): IngotError {
  return new IngotError('ID.1001', 'Session expired', { elaboration: 'Log in again.' });
}

/** The uuid itself is not kept; looking the digest up tells nothing about it by the time it takes. */
function digestOf(uuid: string): string {
  return createHash('sha256').update(uuid).digest('hex');
}
