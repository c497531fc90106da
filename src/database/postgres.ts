/** PostgreSQL through pg, for more than one process on the same state. */
import {
  type DatabaseConnection,
  type Dialect,
  PostgresDialect,
  type PostgresDialectConfig,
  PostgresDriver,
  sql,
} from 'kysely';
import pg from 'pg';
import { IngotError, isSystemError } from '../kernel/errors.ts';
import type { Syntax } from './syntax.ts';
import { tookTooLong } from './time-limit.ts';

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

/** Milliseconds until a connection must stand. */
const CONNECT_TIMEOUT = 10_000;

interface PostgresOptions {
  /** At once, at most. */
  connections?: number;
  /** How long each statement may take, in milliseconds; without it, as long as the server lets it. */
  timeLimit?: number;
}

export function openPostgres(url: string, { connections = 10, timeLimit }: PostgresOptions = {}): Dialect {
  const pool = new pg.Pool({
    connectionString: url,
    max: connections,
    // What waits for others' long queries to end is not kept from its own.
    connectionTimeoutMillis: CONNECT_TIMEOUT + (timeLimit ?? 0),
    application_name: 'ingot',
    types: { getTypeParser: readType },
    // Not as a parameter of the connection: proxies such as PgBouncer refuse those that they don't know.
    ...(timeLimit !== undefined && {
      onConnect: async (client: pg.ClientBase) => {
        await client.query(`set statement_timeout = ${timeLimit}`);
      },
    }),
  });
  // An idle connection that breaks is replaced at the next use; without a listener it would end the process.
  pool.on('error', () => {});
  // Nor may one that breaks while it is in use: whoever uses it has the error from its query.
  pool.on('connect', (client) => client.on('error', () => {}));
  return new OutageNamingDialect({
    pool,
    onCreateConnection: async (connection) => nameOutages(connection, timeLimit),
  });
}

class OutageNamingDialect extends PostgresDialect {
  readonly #config: PostgresDialectConfig;

  constructor(config: PostgresDialectConfig) {
    super(config);
    this.#config = config;
  }

  override createDriver(): PostgresDriver {
    return new OutageNamingDriver(this.#config);
  }
}

class OutageNamingDriver extends PostgresDriver {
  override async acquireConnection(): Promise<DatabaseConnection> {
    try {
      return await super.acquireConnection();
    } catch (thrown) {
      throw asOutage(thrown);
    }
  }
}

/** Has the connection's queries say what has happened where the database goes away in the middle of them, or ends them. */
function nameOutages(connection: DatabaseConnection, timeLimit: number | undefined): void {
  const execute = connection.executeQuery.bind(connection);
  connection.executeQuery = async (...query) => {
    const began = performance.now();
    try {
      return await execute(...query);
    } catch (thrown) {
      // Whatever it says of it in its own language; an administrator may have ended it before.
      const isOver = timeLimit !== undefined && performance.now() - began >= timeLimit;
      if (isOver && isSystemError(thrown) && thrown.code === QUERY_CANCELED) throw tookTooLong(timeLimit);
      throw asOutage(thrown);
    }
  };
}

/** PostgreSQL's code of a statement that was ended. */
const QUERY_CANCELED = '57014';

/** Classes 08 (connection exception) and 57P (operator intervention) of PostgreSQL's error codes. */
const OUTAGE = /^(08...|57P0[1-5])$/;
/** What pg itself says, without a code, of a connection that broke or could not be had in time. */
const BROKEN =
  /connection terminated|timeout exceeded when trying to connect|client has encountered a connection error/i;

/** SYS.1010 where the database can't be reached; anything else as it is. */
function asOutage(thrown: unknown): unknown {
  if (!(thrown instanceof Error) || thrown instanceof IngotError) return thrown;
  const ofSystem = isSystemError(thrown) && 'syscall' in thrown;
  const ofPostgres = isSystemError(thrown) && OUTAGE.test(thrown.code);
  if (!ofSystem && !ofPostgres && !BROKEN.test(thrown.message)) return thrown;
  return new IngotError('SYS.1010', `the database can't be reached: ${thrown.message}`, {
    cause: thrown,
    elaboration: 'Call again when it is back; jobs under way go on by themselves.',
    retryable: true,
  });
}

const INT8 = 20;
const NUMERIC = 1700;

/** Sizes, dates and counts are 64-bit there and safe integers here. */
function readType(oid: number, format?: 'text' | 'binary'): (value: string) => unknown {
  if (oid === INT8 || oid === NUMERIC) return Number;
  return pg.types.getTypeParser(oid, format as 'text');
}
