/** PostgreSQL through pg, for more than one process on the same state. */
import { type Dialect, PostgresDialect, sql } from 'kysely';
import pg from 'pg';
import type { Syntax } from './syntax.ts';

/** Characters of a text that indexes hold. */
const INDEXED = 255;

/** The advisory lock of those that write: any number that nothing else in the database uses. */
const WRITE_LOCK = 0x696e676f;

export const POSTGRES_SYNTAX: Syntax = {
  name: 'postgres',
  // The C collation folds ASCII letters alone, whatever the database's locale: the same as SQLite's nocase.
  fold: (text) => sql`lower(${text} collate "C")`,
  indexedLength: INDEXED,
  // An entry of an index has at most 2704 bytes.
  indexed: (text, longest) =>
    longest <= INDEXED
      ? sql`lower(${text} collate "C")`
      : sql`left(lower(${text} collate "C"), ${sql.lit(INDEXED)})`,
  now: sql<number>`cast(extract(epoch from clock_timestamp()) * 1000 as bigint)`,
  lockWrites: sql`select pg_advisory_xact_lock(${sql.lit(WRITE_LOCK)})`,
  among: (column, values) => sql`${column} = any(${values}::text[])`,
  amongValue: (values) => values,
};

export function openPostgres(url: string): Dialect {
  const pool = new pg.Pool({
    connectionString: url,
    max: 10,
    connectionTimeoutMillis: 10_000,
    application_name: 'ingot',
    types: { getTypeParser: readType },
  });
  // An idle connection that breaks is replaced at the next use; without a listener it would end the process.
  pool.on('error', () => {});
  // Nor may one that breaks while it is in use: whoever uses it has the error from its query.
  pool.on('connect', (client) => client.on('error', () => {}));
  return new PostgresDialect({ pool });
}

const INT8 = 20;
const NUMERIC = 1700;

/** Sizes, dates and counts are 64-bit there and safe integers here. */
function readType(oid: number, format?: 'text' | 'binary'): (value: string) => unknown {
  if (oid === INT8 || oid === NUMERIC) return Number;
  return pg.types.getTypeParser(oid, format as 'text');
}
