import { sql } from 'kysely';
import type { Sql } from '../database/database.ts';
import type { Operations } from '../job/operation.ts';
import type { Clock } from '../kernel/clock.ts';
import { IngotError } from '../kernel/errors.ts';
import { bornAt } from '../kernel/properties.ts';
import type { Resource } from '../kernel/resource.ts';
import { newUuid } from '../kernel/uuid.ts';
import { requireFreeUuid, requireInventory } from '../query/find.ts';
import { Account, ADMIN_UUID } from './account.ts';
import type { LogInLimits } from './log-in-limits.ts';
import type { CreateAccount, DeleteAccount, UpdateAccount } from './messages.ts';
import { hashPassword, sha512, verifyPassword } from './password.ts';
import type { Quotas } from './quotas.ts';
import type { Sessions } from './sessions.ts';

/** Of a caller who is logged in, within a transaction that others may wait for. */
const KNOWN = { urgent: true };

interface AccountMessages {
  CreateAccount: typeof CreateAccount;
  UpdateAccount: typeof UpdateAccount;
  DeleteAccount: typeof DeleteAccount;
}

export function accountOperations(parts: {
  sessions: Sessions;
  quotas: Quotas;
  limits: LogInLimits;
  resources: ReadonlyMap<string, Resource>;
  clock: Clock;
}): Operations<AccountMessages> {
  return {
    async createAccount({ parameters }, tx) {
      if (parameters.resourceUuid)
        await requireFreeUuid(tx, parts.resources.values(), parameters.resourceUuid);
      await requireFreeName(tx, parameters.name);
      const uuid = parameters.resourceUuid ?? newUuid();
      await tx
        .insertInto('account')
        .values({
          uuid,
          name: parameters.name,
          description: parameters.description ?? null,
          type: parameters.type,
          passwordHash: await hashPassword(parameters.password, KNOWN),
          ...bornAt(parts.clock.now()),
        })
        .execute();
      await parts.quotas.give(tx, uuid);
      return { inventory: await requireInventory(tx, Account, uuid) };
    },

    async updateAccount({ parameters, from = 'unknown' }, tx) {
      const { uuid, name, description, password, oldPassword } = parameters;
      const account = await requireInventory(tx, Account, uuid);
      if (name !== undefined && name !== account.name) {
        if (uuid === ADMIN_UUID) {
          throw new IngotError('SYS.1007', "the built-in administrator's name can't be changed");
        }
        await requireFreeName(tx, name);
      }
      if (oldPassword !== undefined) {
        // Whoever has a session, but not its password, is not to find that out here. The transaction may not wait.
        const right = await parts.limits.check({ from, name: account.name }, () =>
          isPassword(tx, uuid, oldPassword),
        );
        if (!right) throw new IngotError('ID.1000', "'oldPassword' is not the present password");
      }
      await tx
        .updateTable('account')
        .set({
          ...(name !== undefined && { name }),
          ...(description !== undefined && { description }),
          ...(password !== undefined && { passwordHash: await hashPassword(password, KNOWN) }),
          lastOpDate: parts.clock.now(),
        })
        .where('uuid', '=', uuid)
        .execute();
      // Whoever has found the old password out is shut out with it.
      if (password !== undefined) await parts.sessions.closeAll(tx, uuid);
      return { inventory: await requireInventory(tx, Account, uuid) };
    },

    async deleteAccount({ parameters: { uuid, deleteMode }, caller }, tx) {
      if (uuid === caller.accountUuid) throw new IngotError('SYS.1007', "an account can't delete itself");
      if (uuid === ADMIN_UUID) {
        throw new IngotError('SYS.1007', "the built-in administrator can't be deleted");
      }
      const account = await requireInventory(tx, Account, uuid);
      if (deleteMode === 'Enforcing') await handOver(tx, uuid, parts.clock.now());
      else await requireNothingOwned(tx, account);
      await tx.deleteFrom('account').where('uuid', '=', uuid).execute();
      return {};
    },
  };
}

async function requireFreeName(tx: Sql, name: string): Promise<void> {
  const there = await tx
    .selectFrom('account')
    .select('uuid')
    .where(sql<string>`lower(${sql.ref('name')})`, '=', name.toLowerCase())
    .executeTakeFirst();
  if (!there) return;
  throw new IngotError('SYS.1007', `there is an account named '${name}' already`, {
    opaque: { parameter: 'name' },
  });
}

/** ZStack's command line sends the old password as it is, its other clients the SHA-512. */
async function isPassword(tx: Sql, uuid: string, given: string): Promise<boolean> {
  const { passwordHash } = await tx
    .selectFrom('account')
    .select('passwordHash')
    .where('uuid', '=', uuid)
    .executeTakeFirstOrThrow();
  const asIs = await verifyPassword(given, passwordHash, KNOWN);
  const hashed = await verifyPassword(sha512(given), passwordHash, KNOWN);
  return asIs || hashed;
}

async function handOver(tx: Sql, uuid: string, now: number): Promise<void> {
  await tx
    .updateTable('accountResourceRef')
    .set({ accountUuid: ADMIN_UUID, lastOpDate: now })
    .where('accountUuid', '=', uuid)
    .execute();
  await tx
    .updateTable('sharedResource')
    .set({ ownerAccountUuid: ADMIN_UUID })
    .where('ownerAccountUuid', '=', uuid)
    .execute();
}

async function requireNothingOwned(tx: Sql, account: { uuid: string; name: string }): Promise<void> {
  const owned = await tx
    .selectFrom('accountResourceRef')
    .select(['resourceType', (select) => select.fn.countAll<number>().as('count')])
    .where('accountUuid', '=', account.uuid)
    .groupBy('resourceType')
    .orderBy('resourceType')
    .execute();
  if (owned.length === 0) return;
  const what = owned.map(({ resourceType, count }) => `${count} ${resourceType}`).join(', ');
  throw new IngotError('SYS.1004', `account '${account.name}' (${account.uuid}) still owns ${what}`, {
    elaboration:
      "Delete them, give them to somebody else (ChangeResourceOwner), or use deleteMode=Enforcing: then they become the administrator's.",
  });
}
