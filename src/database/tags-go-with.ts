import { type Kysely, sql } from 'kysely';
import type { Syntax } from './syntax.ts';

/** The tables that hold the tags of whatever has a uuid. */
const TAG_TABLES = ['userTag', 'systemTag'] as const;

/**
 * From now on the tags of a row go with it, however it is deleted: by an operation, by a cascade or by hand. For
 * the migration that makes a table whose resource can be tagged.
 */
export async function tagsGoWith(kysely: Kysely<unknown>, syntax: Syntax, table: string): Promise<void> {
  const trigger = sql.id(`${table}_tags`);
  if (syntax.name === 'postgres') {
    await sql`create trigger ${trigger} after delete on ${sql.table(table)}
      for each row execute function "forgetTags"()`.execute(kysely);
    return;
  }
  await sql`create trigger ${trigger} after delete on ${sql.table(table)} begin ${deletions()} end`.execute(
    kysely,
  );
}

/** What PostgreSQL's triggers call; SQLite's hold their statements themselves. */
export async function createTagFunction(kysely: Kysely<unknown>, syntax: Syntax): Promise<void> {
  if (syntax.name !== 'postgres') return;
  await sql`create function "forgetTags"() returns trigger language plpgsql as
    $$ begin ${deletions()} return null; end $$`.execute(kysely);
}

function deletions() {
  return sql.join(
    TAG_TABLES.map((table) => sql`delete from ${sql.table(table)} where "resourceUuid" = old."uuid";`),
    sql` `,
  );
}
