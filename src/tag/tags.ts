/** Tags in the tables: put on and looked for. With their resource they go by themselves. */
import { sql } from 'kysely';
import { type SqlTransaction, syntaxOf } from '../database/database.ts';
import { IngotError } from '../kernel/errors.ts';
import { shorten } from '../kernel/format.ts';
import { bornAt } from '../kernel/properties.ts';
import { type Resource, resourceTypeOf } from '../kernel/resource.ts';
import { newUuid } from '../kernel/uuid.ts';
import { isOf, patternOf } from './patterns.ts';

/** What is tagged. */
export interface Tagged {
  resource: Resource;
  uuid: string;
}

/**
 * SYS.1003 where the resource is not there. It stays until the transaction ends, and no other one tags it
 * meanwhile, so that what is found of its tags stays true.
 */
export async function holdResource(tx: SqlTransaction, { resource, uuid }: Tagged): Promise<void> {
  // SQLite's transactions exclude each other anyway.
  const hold = syntaxOf(tx).name === 'postgres' ? sql`for no key update` : sql``;
  const { rows } = await sql`
    select uuid from ${sql.table(resource.table)} where uuid = ${uuid} ${hold}`.execute(tx);
  if (rows.length === 0) {
    throw new IngotError('SYS.1003', `there is no ${resource.name} with the uuid ${uuid}`);
  }
}

/** The new tag's uuid; SYS.1006 where the resource has the tag already. */
export async function addUserTag(
  tx: SqlTransaction,
  { resource, uuid: resourceUuid }: Tagged,
  tag: string,
  now: number,
): Promise<string> {
  const existing = await tx
    .selectFrom('userTag')
    .select('uuid')
    .where('resourceUuid', '=', resourceUuid)
    .where('tag', '=', tag)
    .executeTakeFirst();
  if (existing) {
    throw new IngotError(
      'SYS.1006',
      `the ${resource.name} ${resourceUuid} has the user tag '${shorten(tag)}' already`,
      {
        opaque: { tagUuid: existing.uuid },
      },
    );
  }
  const uuid = newUuid();
  await tx
    .insertInto('userTag')
    .values({ uuid, resourceUuid, resourceType: resourceTypeOf(resource), tag, type: 'User', ...bornAt(now) })
    .execute();
  return uuid;
}

/** The tag's uuid, which may be one that was there; SYS.1007 where it is of no pattern of the resource. */
export async function addSystemTag(
  tx: SqlTransaction,
  { resource, uuid: resourceUuid }: Tagged,
  tag: string,
  now: number,
  { inherent = false }: { inherent?: boolean } = {},
): Promise<string> {
  const pattern = patternOf(resource, tag);
  if (resource.tags?.system[pattern]?.byService && !inherent) {
    throw new IngotError('SYS.1007', `the system tag '${shorten(tag)}' is put on by the service alone`, {
      opaque: { parameter: 'systemTags' },
    });
  }
  const all = await tx
    .selectFrom('systemTag')
    .select(['uuid', 'tag'])
    .where('resourceUuid', '=', resourceUuid)
    .execute();
  const same = all.find((each) => each.tag === tag);
  if (same) return same.uuid;
  const other = resource.tags?.system[pattern]?.single
    ? all.find((each) => isOf(pattern, each.tag))
    : undefined;
  if (other) {
    throw new IngotError(
      'SYS.1006',
      `the ${resource.name} ${resourceUuid} has the system tag '${other.tag}', and can have one such only`,
      { elaboration: `Delete the tag ${other.uuid} first.`, opaque: { tagUuid: other.uuid } },
    );
  }
  const uuid = newUuid();
  const type = { resourceType: resourceTypeOf(resource), type: 'System' } as const;
  await tx
    .insertInto('systemTag')
    .values({ uuid, resourceUuid, tag, inherent, ...type, ...bornAt(now) })
    .execute();
  return uuid;
}

/** Takes the resource's tags of the pattern away. */
export async function dropSystemTags(tx: SqlTransaction, { uuid }: Tagged, pattern: string): Promise<void> {
  const all = await tx
    .selectFrom('systemTag')
    .select(['uuid', 'tag'])
    .where('resourceUuid', '=', uuid)
    .execute();
  const old = all.filter(({ tag }) => isOf(pattern, tag)).map((each) => each.uuid);
  if (old.length > 0) await tx.deleteFrom('systemTag').where('uuid', 'in', old).execute();
}

/** Puts the tag in the place of those of its pattern, as where a boot mode is changed. */
export async function replaceSystemTag(
  tx: SqlTransaction,
  tagged: Tagged,
  tag: string,
  now: number,
  options: { inherent?: boolean } = {},
): Promise<string> {
  const pattern = patternOf(tagged.resource, tag);
  const all = await tx
    .selectFrom('systemTag')
    .select(['uuid', 'tag'])
    .where('resourceUuid', '=', tagged.uuid)
    .execute();
  const old = all.filter((each) => each.tag !== tag && isOf(pattern, each.tag)).map((each) => each.uuid);
  if (old.length > 0) await tx.deleteFrom('systemTag').where('uuid', 'in', old).execute();
  return addSystemTag(tx, tagged, tag, now, options);
}
