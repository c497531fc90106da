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
import { TIME_LIMIT, tookTooLong } from './time-limit.ts';

/** Threads, made when the first query comes. One would make all wait behind a slow query. */
const THREADS = 2;
/** Of each thread, in KiB. */
const CACHE = 65_536;
/** Prepared statements kept by each thread. */
const STATEMENTS = 200;
/** One that does not end by itself in its time loses its thread a little later: after so many times the limit. */
const PATIENCE = 1.2;

export function openSqliteReader(path: string, { timeLimit = TIME_LIMIT } = {}): Dialect {
  return {
    createAdapter: () => new SqliteAdapter(),
    createDriver: () => new ReaderDriver(path, timeLimit),
    createIntrospector: (kysely) => new SqliteIntrospector(kysely),
    createQueryCompiler: () => new SqliteQueryCompiler(),
  };
}

class ReaderDriver implements Driver {
  readonly #path: string;
  readonly #timeLimit: number;
  readonly #threads: ReaderThread[] = [];
  #closed = false;

  constructor(path: string, timeLimit: number) {
    this.#path = path;
    this.#timeLimit = timeLimit;
  }

  async init(): Promise<void> {}

  async acquireConnection(): Promise<DatabaseConnection> {
    if (this.#closed) throw new Error('the database is closed');
    const dead = this.#threads.findIndex((thread) => thread.dead);
    if (dead >= 0) this.#threads.splice(dead, 1);
    const [idlest] = this.#threads.toSorted((one, other) => one.waiting - other.waiting);
    if (idlest && (idlest.waiting === 0 || this.#threads.length >= THREADS)) return idlest;
    const thread = new ReaderThread(this.#path, this.#timeLimit);
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
  parameters: readonly unknown[];
  /** Makes its rows; undefined the first time, when the columns are asked for too. */
  toRow: ToRow | undefined;
  resolve(result: QueryResult<unknown>): void;
  reject(error: Error): void;
}

/** Rows, and their columns where they were asked for; or what went wrong, and whether it was the time. */
type Answer = [unknown[][], Parameters<typeof rowMaker>[0]?] | [string, boolean];

class ReaderThread implements DatabaseConnection {
  readonly #path: string;
  readonly #timeLimit: number;
  #worker: Worker;
  /** In the order in which they are answered: the first is under way. */
  readonly #asked = new Map<number, Asked>();
  readonly #toRows = new Map<string, ToRow>();
  #timer: NodeJS.Timeout | undefined;
  /** Whether the thread runs; starting one takes long on a busy machine, and is not the query's fault. */
  #online = false;
  #last = 0;
  dead = false;

  constructor(path: string, timeLimit: number) {
    this.#path = path;
    this.#timeLimit = timeLimit;
    this.#worker = this.#start();
  }

  #start(): Worker {
    const worker = new Worker(new URL('./sqlite-reader-worker.mjs', import.meta.url), {
      workerData: {
        path: this.#path,
        cacheKilobytes: CACHE,
        statements: STATEMENTS,
        timeLimit: this.#timeLimit,
      },
    });
    // What one says that was given up concerns nobody.
    const whileOurs = (act: () => void) => {
      if (worker === this.#worker) act();
    };
    this.#online = false;
    worker.on('online', () =>
      whileOurs(() => {
        this.#online = true;
        this.#watch();
      }),
    );
    worker.on('message', ([number, ...answer]: [number, ...unknown[]]) =>
      whileOurs(() => this.#answer(number, answer)),
    );
    worker.on('error', (error) => whileOurs(() => this.#fail(error as Error)));
    worker.on('exit', () =>
      whileOurs(() => this.#fail(new Error('the thread that reads the database has ended'))),
    );
    // Only a query under way keeps the process alive.
    worker.unref();
    return worker;
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
      const asked = {
        text: query.sql,
        parameters,
        toRow,
        resolve: resolve as Asked['resolve'],
        reject,
      };
      this.#asked.set(number, asked);
      this.#post(number, asked);
      if (this.#asked.size === 1) this.#watch();
    });
  }

  #post(number: number, { text, parameters, toRow }: Asked): void {
    this.#worker.ref();
    this.#worker.postMessage([number, text, parameters, toRow === undefined]);
  }

  /** From here on, the time of the query that is under way counts. */
  #watch(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#asked.size === 0) this.#worker.unref();
    else if (this.#online) this.#timer = setTimeout(() => this.#giveUp(), this.#timeLimit * PATIENCE);
  }

  /** Leaves the query under way, and the thread with it, which ends as soon as SQLite lets it; the others get a new one. */
  #giveUp(): void {
    const [under] = this.#asked;
    const stuck = this.#worker;
    this.#worker = this.#start();
    stuck.unref();
    void stuck.terminate();
    if (under) {
      const [number, { reject }] = under;
      this.#asked.delete(number);
      reject(tookTooLong(this.#timeLimit));
    }
    for (const [number, asked] of this.#asked) this.#post(number, asked);
    this.#watch();
  }

  // biome-ignore lint/correctness/useYield: the contract is a generator, and there is nothing to stream lazily from
  async *streamQuery<R>(): AsyncIterableIterator<QueryResult<R>> {
    throw new Error('streaming is not offered; page with limit');
  }

  async close(): Promise<void> {
    clearTimeout(this.#timer);
    await this.#worker.terminate();
  }

  #answer(number: number, answer: unknown[]): void {
    const asked = this.#asked.get(number);
    this.#asked.delete(number);
    this.#watch();
    if (!asked) return;
    const [rows, columns] = answer as Answer;
    if (typeof rows === 'string') {
      asked.reject(columns === true ? tookTooLong(this.#timeLimit) : new Error(rows));
      return;
    }
    const toRow = typeof columns === 'object' ? rowMaker(columns) : asked.toRow;
    if (columns && toRow) {
      if (this.#toRows.size >= STATEMENTS) this.#toRows.clear();
      this.#toRows.set(asked.text, toRow);
    }
    asked.resolve({ rows: toRow ? rows.map((values) => toRow(values)) : [] });
  }

  #fail(error: Error): void {
    this.dead = true;
    clearTimeout(this.#timer);
    for (const { reject } of this.#asked.values()) reject(error);
    this.#asked.clear();
  }
}
