/** What the database knows of its tables, as far as the way of a query depends on it. */
import { type Kysely, type RawBuilder, sql } from 'kysely';
import type { Syntax } from './syntax.ts';

/** How long a size is believed, in milliseconds. */
const BELIEVED = 60_000;
const MOST_COUNTED = 50_000;

export class TableFacts {
  // biome-ignore lint/suspicious/noExplicitAny: only raw statements are run, which need no types of tables
  readonly #sql: Kysely<any>;
  readonly #syntax: Syntax;
  readonly #sizes = new Map<string, { size: number; until: number }>();
  #indexed: Promise<ReadonlySet<string>> | undefined;

  // biome-ignore lint/suspicious/noExplicitAny: as above
  constructor(kysely: Kysely<any>, syntax: Syntax) {
    this.#sql = kysely;
    this.#syntax = syntax;
  }

  /** Rows of the table, roughly, and some time ago. */
  async size(table: string): Promise<number> {
    const known = this.#sizes.get(table);
    const now = performance.now();
    if (known && known.until > now) return known.size;
    const size = Math.max(0, await this.#count(table));
    this.#sizes.set(table, { size, until: now + BELIEVED });
    return size;
  }

  async #count(table: string): Promise<number> {
    const read = async (statement: RawBuilder<unknown>) => {
      const { rows } = await sql<{ size: number | null }>`${statement}`.execute(this.#sql);
      return rows[0]?.size ?? 0;
    };
    if (this.#syntax.name === 'postgres') {
      return read(
        sql`select cast(reltuples as float8) as size from pg_class where oid = to_regclass(${`"${table}"`})`,
      );
    }
    // A table that is its own index has no rowids; of such a one, no more is counted than takes a moment.
    const isOwnIndex = await read(sql`select wr as size from pragma_table_list(${table})`);
    return isOwnIndex
      ? read(sql`select count(*) as size from (select 1 from ${sql.table(table)} limit ${MOST_COUNTED})`)
      : read(sql`select max(rowid) as size from ${sql.table(table)}`);
  }

  /** Whether an index begins with the column, folded or as it is. */
  async isIndexed(table: string, column: string): Promise<boolean> {
    this.#indexed ??= this.#readIndexes().catch((error) => {
      this.#indexed = undefined;
      throw error;
    });
    return (await this.#indexed).has(`${table}.${column}`);
  }

  async #readIndexes(): Promise<ReadonlySet<string>> {
    if (this.#syntax.name === 'sqlite') {
      const { rows } = await sql<{ table: string; column: string }>`
        select m.tbl_name as "table", x.name as "column" from sqlite_master as m, pragma_index_xinfo(m.name) as x
        where m.type = 'index' and x.seqno = 0`.execute(this.#sql);
      return new Set(rows.map(({ table, column }) => `${table}.${column}`));
    }
    // Of an expression, the columns that it is made of.
    const { rows } = await sql<{ table: string; column: string }>`
      select distinct c.relname as "table", a.attname as "column"
      from pg_index i
      join pg_class c on c.oid = i.indrelid
      join pg_namespace n on n.oid = c.relnamespace and n.nspname = current_schema()
      join pg_attribute a on a.attrelid = i.indrelid
      where a.attnum = i.indkey[0]
         or (i.indkey[0] = 0
             and pg_get_indexdef(i.indexrelid, 1, true) ~ ('(^|[^[:alnum:]_])' || a.attname || '([^[:alnum:]_]|$)'))`.execute(
      this.#sql,
    );
    return new Set(rows.map(({ table, column }) => `${table}.${column}`));
  }
}
