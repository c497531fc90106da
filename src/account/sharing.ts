import type { Database, Sql } from '../database/database.ts';
import type { Operations } from '../job/operation.ts';
import type { Clock } from '../kernel/clock.ts';
import { IngotError } from '../kernel/errors.ts';
import { bornAt } from '../kernel/properties.ts';
import type { InventoryOf, Resource } from '../kernel/resource.ts';
import { resourceTypeOf } from '../kernel/resource.ts';
import { newUuid } from '../kernel/uuid.ts';
import { findInventory, requireInventory } from '../query/find.ts';
import { Account } from './account.ts';
import type {
  ChangeResourceOwner,
  GetResourceAccount,
  RevokeResourceSharing,
  ShareResource,
} from './messages.ts';
import type { AccountResourceRef } from './owner.ts';
import type { Quotas } from './quotas.ts';

interface SharingMessages {
  ShareResource: typeof ShareResource;
  RevokeResourceSharing: typeof RevokeResourceSharing;
  ChangeResourceOwner: typeof ChangeResourceOwner;
  GetResourceAccount: typeof GetResourceAccount;
}

export function sharingOperations(parts: {
  database: Database;
  quotas: Quotas;
  clock: Clock;
  resources: ReadonlyMap<string, Resource>;
}): Operations<SharingMessages> {
  return {
    async shareResource({ parameters: { resourceUuids, accountUuids = [], toPublic } }, tx) {
      if (accountUuids.length === 0 && !toPublic) {
        throw new IngotError('SYS.1007', "say with whom to share: 'accountUuids', or toPublic=true");
      }
      for (const uuid of accountUuids) await requireInventory(tx, Account, uuid);
      for (const resourceUuid of new Set(resourceUuids)) {
        const { accountUuid: ownerAccountUuid, resourceType } = await requireOwner(tx, resourceUuid);
        for (const receiver of [...new Set(accountUuids), ...(toPublic ? [null] : [])]) {
          if (receiver === ownerAccountUuid || (await isShared(tx, resourceUuid, receiver))) continue;
          await tx
            .insertInto('sharedResource')
            .values({
              uuid: newUuid(),
              ownerAccountUuid,
              receiverAccountUuid: receiver,
              toPublic: receiver === null,
              resourceUuid,
              resourceType,
              ...bornAt(parts.clock.now()),
            })
            .execute();
        }
      }
      return {};
    },

    async revokeResourceSharing({ parameters: { resourceUuids, accountUuids = [], toPublic, all } }, tx) {
      if (accountUuids.length === 0 && !toPublic && !all) {
        throw new IngotError('SYS.1007', "say what to take back: 'accountUuids', toPublic=true or all=true");
      }
      let sharings = tx.deleteFrom('sharedResource').where('resourceUuid', 'in', resourceUuids);
      if (!all) {
        sharings = sharings.where((where) =>
          where.or([
            ...(accountUuids.length > 0 ? [where('receiverAccountUuid', 'in', accountUuids)] : []),
            ...(toPublic ? [where('toPublic', '=', true)] : []),
          ]),
        );
      }
      await sharings.execute();
      return {};
    },

    async changeResourceOwner({ parameters: { accountUuid, resourceUuid } }, tx) {
      await requireInventory(tx, Account, accountUuid);
      const { resourceType } = await requireOwner(tx, resourceUuid);
      await tx
        .updateTable('accountResourceRef')
        .set({ accountUuid, lastOpDate: parts.clock.now() })
        .where('resourceUuid', '=', resourceUuid)
        .execute();
      await tx
        .updateTable('sharedResource')
        .set({ ownerAccountUuid: accountUuid })
        .where('resourceUuid', '=', resourceUuid)
        .execute();
      const resource = [...parts.resources.values()].find((each) => resourceTypeOf(each) === resourceType);
      if (resource) await parts.quotas.require(tx, resource, accountUuid);
      return { inventory: await requireOwner(tx, resourceUuid) };
    },

    async getResourceAccount({ parameters: { resourceUuids }, caller }) {
      let refs = parts.database.sql
        .selectFrom('accountResourceRef')
        .select(['resourceUuid', 'accountUuid'])
        .where('resourceUuid', 'in', resourceUuids);
      if (!caller.admin) refs = refs.where('accountUuid', '=', caller.accountUuid);
      const inventories: Record<string, unknown> = {};
      for (const { resourceUuid, accountUuid } of await refs.execute()) {
        inventories[resourceUuid] = await findInventory(parts.database.sql, Account, accountUuid);
      }
      return { inventories };
    },
  };
}

async function requireOwner(tx: Sql, resourceUuid: string): Promise<InventoryOf<typeof AccountResourceRef>> {
  const owner = await tx
    .selectFrom('accountResourceRef')
    .selectAll()
    .where('resourceUuid', '=', resourceUuid)
    .executeTakeFirst();
  if (owner) return owner;
  throw new IngotError('SYS.1003', `there is no resource with the uuid ${resourceUuid} that has an owner`);
}

async function isShared(tx: Sql, resourceUuid: string, receiver: string | null): Promise<boolean> {
  const there = await tx
    .selectFrom('sharedResource')
    .select('uuid')
    .where('resourceUuid', '=', resourceUuid)
    .where('receiverAccountUuid', receiver === null ? 'is' : '=', receiver)
    .executeTakeFirst();
  return there !== undefined;
}
