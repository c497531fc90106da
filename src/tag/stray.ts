/** Tags of what is not there. The database takes tags away with their resource, so only a change by hand leaves any. */
import { sql } from 'kysely';
import type { Database } from '../database/database.ts';
import { type Resource, resourceTypeOf } from '../kernel/resource.ts';

export interface StrayTag {
  table: 'userTag' | 'systemTag';
  uuid: string;
  tag: string;
  resourceType: string;
  resourceUuid: string;
}

export async function findStrayTags(database: Database, resources: Iterable<Resource>): Promise<StrayTag[]> {
  const found: StrayTag[] = [];
  const taggable = [...resources].filter((resource) => resource.tags);
  const isThere = sql.join(
    taggable.map(
      (resource) => sql`(${sql.ref('resourceType')} = ${resourceTypeOf(resource)}
        and ${sql.ref('resourceUuid')} in (select uuid from ${sql.table(resource.table)}))`,
    ),
    sql` or `,
  );
  for (const table of ['userTag', 'systemTag'] as const) {
    const { rows } = await sql<Omit<StrayTag, 'table'>>`
      select uuid, tag, ${sql.ref('resourceType')}, ${sql.ref('resourceUuid')}
      from ${sql.table(table)} where not (${isThere})`.execute(database.sql);
    found.push(...rows.map((row) => ({ table, ...row })));
  }
  return found;
}
