/**
 * The service's state in a relational database: SQLite in the embedded default, PostgreSQL past that. One
 * file a dialect; everything above sees the same Kysely, with booleans as booleans, and sizes and dates
 * (milliseconds since 1970) as numbers.
 */
import { Kysely, SqliteAdapter, sql, type Transaction } from 'kysely';
import { IngotError } from '../kernel/errors.ts';
import { nobodyListens, type StepListener } from '../kernel/steps.ts';
import { kindOfDatabase, shownDatabase } from './address.ts';
import { migrate } from './migrate.ts';
import { openPostgres, POSTGRES_SYNTAX } from './postgres.ts';
import { readInProcess } from './read.ts';
import { openSqlite, SQLITE_SYNTAX } from './sqlite.ts';
import { openSqliteReader } from './sqlite-reader.ts';
import type { Syntax } from './syntax.ts';
import { TableFacts } from './table-facts.ts';
import { TIME_LIMIT } from './time-limit.ts';

/** Connections to PostgreSQL for reads that may take long. */
const READERS = 8;

/** Every table's row type. Each resource adds its own where it is declared (`declare module`). */
// biome-ignore lint/suspicious/noEmptyInterface: filled by the folders that own the tables
export interface Tables {}

export type Sql = Kysely<Tables>;
export type SqlTransaction = Transaction<Tables>;

export class Database {
  readonly sql: Sql;
  /**
   * The same tables, for reads that may take long: they keep neither the event loop from turning nor others from a
   * connection, and end with SYS.1001 when their time is over.
   */
  readonly reader: Sql;
  readonly syntax: Syntax;
  readonly facts: TableFacts;
  /** Told of each transaction, before it, when it is about to be committed, and when it is; and of each checkpoint. */
  readonly onStep: StepListener;
  #lastWrite: Promise<void> = Promise.resolve();

  constructor(kysely: Sql, reader: Sql, syntax: Syntax, onStep: StepListener = nobodyListens) {
    this.onStep = onStep;
    this.sql = kysely;
    this.reader = reader;
    this.syntax = syntax;
    this.facts = new TableFacts(kysely, syntax);
  }

  /**
   * All of the work or nothing, and after the one before it: what the work has read is still so when it writes.
   * SQLite lets one transaction write at a time anyway; on PostgreSQL a lock does, which ends with the transaction.
   */
  async transaction<T>(work: (tx: SqlTransaction) => Promise<T>): Promise<T> {
    await this.onStep('before transaction');
    const result = await this.#commit(async (tx) => {
      const done = await work(tx);
      await this.onStep('before commit');
      return done;
    });
    await this.onStep('after commit');
    return result;
  }

  #commit<T>(work: (tx: SqlTransaction) => Promise<T>): Promise<T> {
    const { lockWrites } = this.syntax;
    if (!lockWrites) return this.sql.transaction().execute(work);
    // One connection at a time waits for the lock: else all would, and none be left for whoever has it.
    const done = this.#lastWrite.then(() =>
      this.sql.transaction().execute(async (tx) => {
        await lockWrites.execute(tx);
        return work(tx);
      }),
    );
    this.#lastWrite = done.then(
      () => {},
      () => {},
    );
    return done;
  }

  /** Fulfilled when the database answers. */
  async ping(): Promise<void> {
    await sql`select 1`.execute(this.sql);
  }

  async close(): Promise<void> {
    await this.reader.destroy();
    await this.sql.destroy();
  }
}

/** The dialect that a database, or a transaction in it, is spoken to in. */
export function syntaxOf(on: Sql): Syntax {
  return on.getExecutor().adapter instanceof SqliteAdapter ? SQLITE_SYNTAX : POSTGRES_SYNTAX;
}

/**
 * Opens `postgres://user:password@host/database`, or an SQLite file given by its path, and brings its tables
 * up to date.
 */
export async function openDatabase(url: string, onStep?: StepListener): Promise<Database> {
  const postgres = kindOfDatabase(url) === 'postgres';
  const sqlite = postgres ? undefined : openSqlite(url);
  const kysely = new Kysely<Tables>({ dialect: sqlite?.dialect ?? openPostgres(url) });
  const reader = new Kysely<Tables>({
    dialect: postgres
      ? openPostgres(url, { connections: READERS, timeLimit: TIME_LIMIT })
      : openSqliteReader(url),
  });
  const database = new Database(kysely, reader, postgres ? POSTGRES_SYNTAX : SQLITE_SYNTAX, onStep);
  try {
    await migrate(database.sql, database.syntax);
    if (sqlite) readInProcess(kysely, sqlite.read);
  } catch (cause) {
    await database.close();
    throw new IngotError(
      'SYS.1010',
      `the database ${shownDatabase(url)} could not be opened: ${cause instanceof Error ? cause.message : String(cause)}`,
      { cause },
    );
  }
  return database;
}
