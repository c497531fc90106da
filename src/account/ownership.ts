/** Whose a resource is: written here and nowhere else when it is created, and gone with its row. */
import { type RawBuilder, sql } from 'kysely';
import type { Database, Sql } from '../database/database.ts';
import type { CreationHook } from '../job/operation.ts';
import type { Clock } from '../kernel/clock.ts';
import { bornAt } from '../kernel/properties.ts';
import { isOwned, type Resource, resourceTypeOf } from '../kernel/resource.ts';

/** Makes `accountUuid` the owner of a resource that is new. */
export async function own(
  tx: Sql,
  resource: Resource,
  uuid: string,
  accountUuid: string,
  now: number,
): Promise<void> {
  if (!isOwned(resource)) return;
  await tx
    .insertInto('accountResourceRef')
    .values({
      resourceUuid: uuid,
      accountUuid,
      resourceType: resourceTypeOf(resource),
      concreteResourceType: resource.zstackClass.replace(/Inventory$/, 'VO'),
      ...bornAt(now),
    })
    .execute();
}

/** What a caller creates is his. */
export function ownershipHook(parts: { clock: Clock }): CreationHook {
  return {
    begin: (tx, { call, resource, uuid }) =>
      own(tx, resource, uuid, call.caller.accountUuid, parts.clock.now()),
  };
}

/**
 * Sees to it that owners and sharings go with their resource, whoever deletes its row and by which way: a trigger
 * on every table whose rows are owned.
 */
export async function ownersGoWithTheirResources(
  database: Database,
  resources: Iterable<Resource>,
): Promise<void> {
  const owned = [...resources].filter(isOwned);
  await database.transaction(async (tx) => {
    if (database.syntax.name === 'postgres') {
      // Two processes that start at once wait for each other here.
      await sql`select pg_advisory_xact_lock(72110003)`.execute(tx);
      await sql`create or replace function "forgetOwner"() returns trigger language plpgsql as $$
        begin
          delete from "accountResourceRef" where "resourceUuid" = old."uuid";
          delete from "sharedResource" where "resourceUuid" = old."uuid";
          return null;
        end $$`.execute(tx);
    }
    for (const { table } of owned) {
      const name = sql.id(`${table}_forgetOwner`);
      if (database.syntax.name === 'postgres') {
        await sql`create or replace trigger ${name} after delete on ${sql.table(table)}
          for each row execute function "forgetOwner"()`.execute(tx);
      } else {
        await sql`create trigger if not exists ${name} after delete on ${sql.table(table)} begin
          delete from "accountResourceRef" where "resourceUuid" = old."uuid";
          delete from "sharedResource" where "resourceUuid" = old."uuid";
        end`.execute(tx);
      }
    }
  });
}

/** True for rows whose uuid is `uuid` and that the account owns. */
export function ownedBy(uuid: RawBuilder<unknown>, accountUuid: string): RawBuilder<unknown> {
  return sql`exists (select 1 from ${sql.table('accountResourceRef')} as ${sql.id('mine')}
    where ${sql.ref('mine.resourceUuid')} = ${uuid} and ${sql.ref('mine.accountUuid')} = ${accountUuid})`;
}

/** True for rows whose uuid is `uuid` and that are shared with the account or with everybody. */
export function sharedWith(uuid: RawBuilder<unknown>, accountUuid: string): RawBuilder<unknown> {
  return sql`exists (select 1 from ${sql.table('sharedResource')} as ${sql.id('shared')}
    where ${sql.ref('shared.resourceUuid')} = ${uuid}
      and (${sql.ref('shared.receiverAccountUuid')} = ${accountUuid} or ${sql.ref('shared.toPublic')} = true))`;
}
