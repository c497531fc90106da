/**
 * SQLite in threads that only read, for queries that may take long: the thread that serves calls goes on meanwhile.
 * Short ones are quicker without the way to a thread and back.
 */
import { Worker } from 'node:worker_threads';
import {
  type CompiledQuery,
  type DatabaseConnection,
  type Dialect,
  type Driver,
  type QueryResult,
  SqliteAdapter,
  SqliteIntrospector,
  SqliteQueryCompiler,
} from 'kysely';
import { rowMaker } from './sqlite.ts';

/** Threads, made when the first query comes. One would make all wait behind a slow query. */
const THREADS = 2;
/** Of each thread, in KiB. */
const CACHE = 65_536;
/** Prepared statements kept by each thread. */
const STATEMENTS = 200;

export function openSqliteReader(path: string): Dialect {
  return {
    createAdapter: () => new SqliteAdapter(),
    createDriver: () => new ReaderDriver(path),
    createIntrospector: (kysely) => new SqliteIntrospector(kysely),
    createQueryCompiler: () => new SqliteQueryCompiler(),
  };
}

class ReaderDriver implements Driver {
  readonly #path: string;
  readonly #threads: ReaderThread[] = [];
  #closed = false;

  constructor(path: string) {
    this.#path = path;
  }

  async init(): Promise<void> {}

  async acquireConnection(): Promise<DatabaseConnection> {
    if (this.#closed) throw new Error('the database is closed');
    const dead = this.#threads.findIndex((thread) => thread.dead);
    if (dead >= 0) this.#threads.splice(dead, 1);
    const [idlest] = this.#threads.toSorted((one, other) => one.waiting - other.waiting);
    if (idlest && (idlest.waiting === 0 || this.#threads.length >= THREADS)) return idlest;
    const thread = new ReaderThread(this.#path);
    this.#threads.push(thread);
    return thread;
  }

  beginTransaction(): Promise<void> {
    return Promise.reject(new Error('a reader has no transactions'));
  }

  async commitTransaction(): Promise<void> {}

  async rollbackTransaction(): Promise<void> {}

  async releaseConnection(): Promise<void> {}

  async destroy(): Promise<void> {
    this.#closed = true;
    await Promise.all(this.#threads.splice(0).map((thread) => thread.close()));
  }
}

type ToRow = ReturnType<typeof rowMaker>;

interface Asked {
  /** The statement. */
  text: string;
  /** Makes its rows; undefined the first time, when the columns are asked for too. */
  toRow: ToRow | undefined;
  resolve(result: QueryResult<unknown>): void;
  reject(error: Error): void;
}

class ReaderThread implements DatabaseConnection {
  readonly #worker: Worker;
  readonly #asked = new Map<number, Asked>();
  readonly #toRows = new Map<string, ToRow>();
  #last = 0;
  dead = false;

  constructor(path: string) {
    this.#worker = new Worker(new URL('./sqlite-reader-worker.mjs', import.meta.url), {
      workerData: { path, cacheKilobytes: CACHE, statements: STATEMENTS },
    });
    this.#worker.on('message', ([number, ...answer]: [number, ...unknown[]]) => this.#answer(number, answer));
    this.#worker.on('error', (error) => this.#fail(error as Error));
    this.#worker.on('exit', () => this.#fail(new Error('the thread that reads the database has ended')));
    // Only a query under way keeps the process alive.
    this.#worker.unref();
  }

  /** Queries that have no answer yet. */
  get waiting(): number {
    return this.#asked.size;
  }

  executeQuery<R>(query: CompiledQuery): Promise<QueryResult<R>> {
    const number = ++this.#last;
    const parameters = query.parameters.map((value) =>
      typeof value === 'boolean' ? Number(value) : (value ?? null),
    );
    return new Promise((resolve, reject) => {
      const toRow = this.#toRows.get(query.sql);
      this.#asked.set(number, { text: query.sql, toRow, resolve: resolve as Asked['resolve'], reject });
      this.#worker.ref();
      this.#worker.postMessage([number, query.sql, parameters, toRow === undefined]);
    });
  }

  // biome-ignore lint/correctness/useYield: the contract is a generator, and there is nothing to stream lazily from
  async *streamQuery<R>(): AsyncIterableIterator<QueryResult<R>> {
    throw new Error('streaming is not offered; page with limit');
  }

  async close(): Promise<void> {
    await this.#worker.terminate();
  }

  #answer(number: number, answer: unknown[]): void {
    const asked = this.#asked.get(number);
    this.#asked.delete(number);
    if (this.#asked.size === 0) this.#worker.unref();
    const [rows, columns] = answer as [unknown[][] | string, Parameters<typeof rowMaker>[0]?];
    if (!asked) return;
    if (typeof rows === 'string') {
      asked.reject(new Error(rows));
      return;
    }
    const toRow = columns ? rowMaker(columns) : asked.toRow;
    if (columns && toRow) {
      if (this.#toRows.size >= STATEMENTS) this.#toRows.clear();
      this.#toRows.set(asked.text, toRow);
    }
    asked.resolve({ rows: toRow ? rows.map((values) => toRow(values)) : [] });
  }

  #fail(error: Error): void {
    this.dead = true;
    for (const { reject } of this.#asked.values()) reject(error);
    this.#asked.clear();
  }
}
