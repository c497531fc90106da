/**
 * SQLite through node:sqlite: one connection that writes, one that only reads. SQLite lets one transaction
 * write at a time anyway; readers see the last commit and wait for nobody (WAL).
 */
import { chmodSync, closeSync, existsSync, openSync } from 'node:fs';
import {
  DatabaseSync,
  type SQLInputValue,
  type StatementColumnMetadata,
  type StatementSync,
} from 'node:sqlite';
import {
  CompiledQuery,
  type DatabaseConnection,
  type Dialect,
  type Driver,
  type Kysely,
  type QueryResult,
  SelectQueryNode,
  SqliteAdapter,
  SqliteIntrospector,
  SqliteQueryCompiler,
  sql,
} from 'kysely';
import { compileRecord } from '../kernel/record.ts';
import type { ReadInProcess } from './read.ts';
import { ResultCache } from './result-cache.ts';
import type { Syntax } from './syntax.ts';

export const SQLITE_SYNTAX: Syntax = {
  name: 'sqlite',
  fold: (text) => sql`${text} collate nocase`,
  indexedLength: Number.POSITIVE_INFINITY,
  indexed: (text) => sql`${text} collate nocase`,
  now: sql<number>`cast(unixepoch('subsec') * 1000 as integer)`,
  among: (column, values) => sql`${column} in (select value from json_each(${JSON.stringify(values)}))`,
  amongValue: (values) => JSON.stringify(values),
  inTime: sql`in_time()`,
};

/** 0600: it holds digests of passwords and secret keys. SQLite gives what it keeps beside it the same mode. */
function keepToOwner(path: string): void {
  try {
    closeSync(openSync(path, 'a', 0o600));
    for (const file of [path, `${path}-wal`, `${path}-shm`]) if (existsSync(file)) chmodSync(file, 0o600);
  } catch {
    // Opening it says what is wrong, if it is more than somebody else's file.
  }
}

export function openSqlite(path: string): { dialect: Dialect; read: ReadInProcess } {
  keepToOwner(path);
  const driver = new SqliteDriver(path);
  const dialect = {
    createAdapter: () => new Adapter(),
    createDriver: () => driver,
    createIntrospector: (kysely: Kysely<unknown>) => new SqliteIntrospector(kysely),
    createQueryCompiler: () => new SqliteQueryCompiler(),
  };
  return { dialect, read: (text, values) => driver.read(text, values) };
}

class Adapter extends SqliteAdapter {
  /** Otherwise Kysely would have every read wait for the transaction that is under way. */
  override get supportsMultipleConnections(): boolean {
    return true;
  }
  /** A migration that is killed half-way leaves nothing. */
  override get supportsTransactionalDdl(): boolean {
    return true;
  }
}

class SqliteDriver implements Driver {
  readonly #path: string;
  #writer: StatementCache | undefined;
  #reader: StatementCache | undefined;
  readonly #turn = new Turn();

  constructor(path: string) {
    this.#path = path;
  }

  async init(): Promise<void> {
    const writer = new DatabaseSync(this.#path);
    // FULL: a commit is on the disk before anyone hears of it.
    writer.exec(`
      pragma journal_mode = wal;
      pragma synchronous = full;
      pragma foreign_keys = on;
      pragma busy_timeout = 5000;
      pragma temp_store = memory;
      pragma cache_size = -16384;
    `);
    this.#writer = new StatementCache(writer);
    const reader = new DatabaseSync(this.#path);
    reader.exec('pragma query_only = on; pragma busy_timeout = 5000; pragma cache_size = -32768;');
    this.#reader = new StatementCache(reader, { onlyReads: true });
  }

  /** As the last commit left it; may be called once a connection was acquired. */
  read(text: string, values: readonly unknown[]): unknown[] {
    if (!this.#reader) throw new Error('the database is closed');
    return this.#reader.read(text, values);
  }

  async acquireConnection(): Promise<DatabaseConnection> {
    if (!this.#writer || !this.#reader) throw new Error('the database is closed');
    return new SqliteConnection(this.#writer, this.#reader, this.#turn);
  }

  async beginTransaction(connection: DatabaseConnection): Promise<void> {
    // IMMEDIATE: a transaction that reads first and then writes can't find its snapshot outdated.
    await (connection as SqliteConnection).begin();
  }

  async commitTransaction(connection: DatabaseConnection): Promise<void> {
    (connection as SqliteConnection).end('commit');
  }

  async rollbackTransaction(connection: DatabaseConnection): Promise<void> {
    (connection as SqliteConnection).end('rollback');
  }

  async releaseConnection(): Promise<void> {}

  async destroy(): Promise<void> {
    await this.#turn.take();
    this.#reader?.close();
    this.#writer?.close();
    this.#reader = this.#writer = undefined;
  }
}

class SqliteConnection implements DatabaseConnection {
  readonly #writer: StatementCache;
  readonly #reader: StatementCache;
  readonly #turn: Turn;
  #inTransaction = false;

  constructor(writer: StatementCache, reader: StatementCache, turn: Turn) {
    this.#writer = writer;
    this.#reader = reader;
    this.#turn = turn;
  }

  async executeQuery<R>(query: CompiledQuery): Promise<QueryResult<R>> {
    if (this.#inTransaction) return this.#writer.run<R>(query);
    if (SelectQueryNode.is(query.query) || /^\s*(select|with|explain)\b/i.test(query.sql)) {
      return this.#reader.run<R>(query);
    }
    await this.#turn.take();
    try {
      return this.#writer.run<R>(query);
    } finally {
      this.#turn.give();
    }
  }

  // biome-ignore lint/correctness/useYield: the contract is a generator, and there is nothing to stream lazily from
  async *streamQuery<R>(): AsyncIterableIterator<QueryResult<R>> {
    throw new Error('streaming is not offered; page with limit');
  }

  async begin(): Promise<void> {
    await this.#turn.take();
    try {
      this.#writer.run(CompiledQuery.raw('begin immediate'));
      this.#inTransaction = true;
    } catch (error) {
      this.#turn.give();
      throw error;
    }
  }

  end(how: 'commit' | 'rollback'): void {
    try {
      // Some failures, a full disk for one, have SQLite roll back by itself.
      if (how === 'commit' || this.#writer.inTransaction) this.#writer.run(CompiledQuery.raw(how));
      this.#inTransaction = false;
    } finally {
      // A commit that failed leaves the transaction open: Kysely rolls it back next, and then gives the turn.
      if (!this.#inTransaction || how === 'rollback') {
        this.#inTransaction = false;
        this.#turn.give();
      }
    }
  }
}

/** Who writes now. First come, first served. */
class Turn {
  #taken = false;
  readonly #waiting: (() => void)[] = [];

  take(): Promise<void> | void {
    if (!this.#taken) {
      this.#taken = true;
      return;
    }
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  give(): void {
    const next = this.#waiting.shift();
    if (next) next();
    else this.#taken = false;
  }
}

interface Prepared {
  statement: StatementSync;
  /** Absent where the statement returns no rows. */
  toRow: ToRow | undefined;
}

type Row = Record<string, unknown>;
type ToRow = (values: readonly unknown[]) => Row;

/** Prepared statements by their text; the ones used longest ago are let go. */
class StatementCache {
  readonly #database: DatabaseSync;
  readonly #prepared = new Map<string, Prepared>();
  /** Of a connection that only reads. */
  readonly #results: { cache: ResultCache; version: () => unknown } | undefined;

  constructor(database: DatabaseSync, { onlyReads = false } = {}) {
    this.#database = database;
    if (!onlyReads) return;
    this.#results = { cache: new ResultCache(), version: versionOf(database) };
  }

  run<R>(query: CompiledQuery): QueryResult<R> {
    const { statement, toRow } = this.#prepare(query.sql);
    if (!toRow) {
      const { changes, lastInsertRowid } = statement.run(...query.parameters.map(toSqlite));
      return { rows: [], numAffectedRows: BigInt(changes), insertId: BigInt(lastInsertRowid) };
    }
    const rows = this.read(query.sql, query.parameters) as R[];
    return { rows, numAffectedRows: BigInt(rows.length) };
  }

  read(text: string, values: readonly unknown[]): Row[] {
    const { statement, toRow } = this.#prepare(text);
    if (!toRow) return [];
    const parameters = values.map(toSqlite);
    const all = () => statement.all(...parameters) as unknown as unknown[][];
    const found = this.#results
      ? this.#results.cache.rows(this.#results.version, text, parameters, all)
      : all();
    return found.map((values) => toRow(values));
  }

  #prepare(text: string): Prepared {
    let prepared = this.#prepared.get(text);
    if (prepared) {
      this.#prepared.delete(text);
    } else {
      const statement = this.#database.prepare(text);
      const columns = statement.columns();
      statement.setReturnArrays(true);
      prepared = { statement, toRow: columns.length > 0 ? rowMaker(columns) : undefined };
      if (this.#prepared.size >= 500) this.#prepared.delete(this.#prepared.keys().next().value ?? '');
    }
    this.#prepared.set(text, prepared);
    return prepared;
  }

  get inTransaction(): boolean {
    return this.#database.isTransaction;
  }

  close(): void {
    this.#prepared.clear();
    this.#database.close();
  }
}

/** What differs after a commit of any other connection, be it of another process. */
function versionOf(database: DatabaseSync): () => unknown {
  const statement = database.prepare('pragma data_version');
  statement.setReturnArrays(true);
  return () => (statement.get() as unknown as unknown[])[0];
}

/** Rows as plain objects that all have one shape; those of node:sqlite are slow to write as JSON. */
export function rowMaker(
  columns: readonly Pick<StatementColumnMetadata, 'name' | 'type'>[],
): (values: readonly unknown[]) => Row {
  return compileRecord<readonly unknown[]>(
    columns.map(({ name, type }, i) => [
      name,
      // SQLite has no booleans; columns declared so hold 0 and 1.
      type?.toLowerCase() === 'boolean' ? `from[${i}] === null ? null : from[${i}] === 1` : `from[${i}]`,
    ]),
  );
}

function toSqlite(value: unknown): SQLInputValue {
  if (value === undefined) return null;
  if (typeof value === 'boolean') return value ? 1 : 0;
  return value as SQLInputValue;
}
