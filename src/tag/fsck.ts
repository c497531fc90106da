import type { Database } from '../database/database.ts';
import type { Inspection } from '../kernel/finding.ts';
import { shorten } from '../kernel/format.ts';
import type { Resource } from '../kernel/resource.ts';
import { findStrayTags } from './stray.ts';

/** No tag is of something that isn't there. */
export async function checkTags(
  database: Database,
  resources: Iterable<Resource>,
  { repair, find }: Inspection,
): Promise<void> {
  for (const { table, uuid, tag, resourceType, resourceUuid } of await findStrayTags(database, resources)) {
    if (repair) await database.sql.deleteFrom(table).where('uuid', '=', uuid).execute();
    find(
      'stray-tag',
      `the tag '${shorten(tag)}' is of a ${resourceType} that isn't there: ${resourceUuid}`,
      repair,
    );
  }
}
