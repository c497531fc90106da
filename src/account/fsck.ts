import { sql } from 'kysely';
import type { Database } from '../database/database.ts';
import type { Inspection } from '../kernel/finding.ts';
import { isOwned, type Resource } from '../kernel/resource.ts';
import { ADMIN_UUID } from './account.ts';
import { own } from './ownership.ts';

/** Everything that can be owned is, and nothing is owned that is not there. */
export async function checkOwners(
  database: Database,
  resources: Iterable<Resource>,
  { repair, find }: Inspection,
): Promise<void> {
  const owned = [...resources].filter(isOwned);
  for (const resource of owned) {
    const { rows } = await sql<{ uuid: string }>`select uuid from ${sql.table(resource.table)}
      where uuid not in (select ${sql.ref('resourceUuid')} from ${sql.table('accountResourceRef')})`.execute(
      database.sql,
    );
    for (const { uuid } of rows) {
      if (repair) await own(database.sql, resource, uuid, ADMIN_UUID, Date.now());
      find(
        'no-owner',
        `${resource.name} ${uuid} belongs to nobody${repair ? "; it is the administrator's now" : ''}`,
        repair,
      );
    }
  }
  const all = sql.join(
    owned.map(({ table }) => sql`select uuid from ${sql.table(table)}`),
    sql` union all `,
  );
  const { rows } = await sql<{ resourceUuid: string; resourceType: string }>`
    select ${sql.ref('resourceUuid')}, ${sql.ref('resourceType')} from ${sql.table('accountResourceRef')}
    where ${sql.ref('resourceUuid')} not in (${all})`.execute(database.sql);
  for (const { resourceUuid, resourceType } of rows) {
    if (repair) {
      await database.sql.deleteFrom('accountResourceRef').where('resourceUuid', '=', resourceUuid).execute();
    }
    find('no-owner', `an account owns the ${resourceType} ${resourceUuid}, which is not there`, repair);
  }
}
