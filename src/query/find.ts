/** One resource by its uuid, as an operation needs it inside its transaction. */
import { sql } from 'kysely';
import type { Sql } from '../database/database.ts';
import { IngotError } from '../kernel/errors.ts';
import type { InventoryOf, Resource } from '../kernel/resource.ts';
import { toInventories } from './query.ts';
import type { Inventory } from './shape.ts';

/** The inventory, or undefined where there is none. */
export async function findInventory<R extends Resource>(
  on: Sql,
  resource: R,
  uuid: string,
): Promise<InventoryOf<R> | undefined> {
  const { rows } = await sql<Inventory>`
    select ${sql.join(Object.keys(resource.fields).map((name) => sql.ref(name)))}
    from ${sql.table(resource.table)} where uuid = ${uuid}`.execute(on);
  const [inventory] = await toInventories(on, resource, rows);
  return inventory as InventoryOf<R> | undefined;
}

/** The inventory, or SYS.1003. */
export async function requireInventory<R extends Resource>(
  on: Sql,
  resource: R,
  uuid: string,
): Promise<InventoryOf<R>> {
  const inventory = await findInventory(on, resource, uuid);
  if (!inventory) throw new IngotError('SYS.1003', `there is no ${resource.name} with the uuid ${uuid}`);
  return inventory;
}

/** SYS.1007 where a resource, of whichever of the types, has the uuid already. */
export async function requireFreeUuid(
  on: Sql,
  types: Iterable<Resource> | Resource,
  asked: string,
): Promise<void> {
  for (const resource of Symbol.iterator in types ? types : [types]) {
    // The uuid of a session is not in its table, only a digest of it.
    if (resource.key[0] !== 'uuid' || resource.name === 'Session') continue;
    const { rows } = await sql`select 1 from ${sql.table(resource.table)} where uuid = ${asked}`.execute(on);
    if (rows.length > 0)
      throw new IngotError(
        'SYS.1007',
        `'resourceUuid' ${asked} is taken: there is a ${resource.name} with it already`,
        {
          opaque: { parameter: 'resourceUuid' },
        },
      );
  }
}
