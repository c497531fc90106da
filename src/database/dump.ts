/** Copies of a whole database as it was at one moment, while it is in use; and putting one in its place. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { DatabaseSync } from 'node:sqlite';
import pg from 'pg';
import { IngotError, isSystemError } from '../kernel/errors.ts';
import { kindOfDatabase, shownDatabase } from './address.ts';

/** Writes the database to the new file `into`. Whoever works on it meanwhile is not held up. */
export async function dumpDatabase(address: string, into: string): Promise<void> {
  if (kindOfDatabase(address) === 'postgres') {
    await runPostgres('pg_dump', address, [
      '--format=custom',
      '--exclude-schema=replaced-*',
      '--no-owner',
      '--no-privileges',
      `--file=${into}`,
    ]);
    await runPostgres('pg_restore', undefined, ['--list', into]);
    return;
  }
  const database = new DatabaseSync(address, { readOnly: true });
  try {
    database.exec('pragma busy_timeout = 5000');
    // One read transaction: it sees the last commit, and nothing of what was deleted.
    database.prepare('vacuum into ?').run(into);
  } finally {
    database.close();
  }
  checkSqlite(into);
}

/** SYS.1016 where the file is not a whole SQLite database. */
export function checkSqlite(file: string): void {
  let said: unknown;
  try {
    const database = new DatabaseSync(file, { readOnly: true });
    try {
      said = database.prepare('pragma integrity_check').get()?.integrity_check;
    } finally {
      database.close();
    }
  } catch (cause) {
    throw new IngotError('SYS.1016', `${file} can't be read as a database: ${(cause as Error).message}`, {
      cause,
    });
  }
  if (said !== 'ok') throw new IngotError('SYS.1016', `the database ${file} is damaged: ${String(said)}`);
}

/** SYS.1010 where the file is not a whole dump of PostgreSQL's. */
export async function checkPostgresDump(file: string): Promise<void> {
  await runPostgres('pg_restore', undefined, ['--file=/dev/null', file]);
}

/** When a process of the service on a database of PostgreSQL's was heard of last; undefined where there is no such database yet. */
export async function lastHeard(
  address: string,
): Promise<{ hostName: string; heartBeat: number } | undefined> {
  return withClient(address, async (client) => {
    const { rows: tables } = await client.query(`select to_regclass('"managementNode"') as "known"`);
    if (tables[0]?.known === null) return undefined;
    const { rows } = await client.query(
      'select "hostName", "heartBeat"::float8 from "managementNode" order by "heartBeat" desc limit 1',
    );
    return rows[0] ?? { hostName: '', heartBeat: 0 };
  });
}

/**
 * Puts a dump of PostgreSQL's in the place of what is in the database. What was there is kept as the schema `aside`,
 * and comes back where the dump can't be put there: neither is lost when this ends half-way.
 */
export async function restorePostgres(address: string, file: string, aside: string): Promise<void> {
  const isAside = await withClient(address, async (client) => {
    const { rows } = await client.query(`select 1 from pg_tables where schemaname = 'public' limit 1`);
    if (rows.length === 0) return false;
    await client.query(`alter schema public rename to "${aside}"; create schema public`);
    return true;
  });
  const flags = ['--exit-on-error', '--single-transaction', '--no-owner', '--no-privileges'];
  try {
    await runPostgres('pg_restore', address, [...flags, file]);
  } catch (error) {
    // Nothing came of it, as all of it is one transaction.
    const back = `drop schema public cascade; alter schema "${aside}" rename to public`;
    if (isAside) await withClient(address, (client) => client.query(back));
    throw error;
  }
}

async function withClient<T>(address: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: address });
  try {
    await client.connect();
    return await work(client);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new IngotError('SYS.1010', `the database ${shownDatabase(address)} could not be used: ${reason}`, {
      cause,
    });
  } finally {
    await client.end().catch(() => {});
  }
}

/** The password goes by the environment: everybody on the machine sees the arguments. */
async function runPostgres(
  program: string,
  address: string | undefined,
  args: readonly string[],
): Promise<void> {
  const environment = { ...process.env };
  const line = [...args];
  if (address !== undefined) {
    const url = new URL(address);
    const password = decodeURIComponent(url.password) || url.searchParams.get('password');
    url.password = '';
    url.searchParams.delete('password');
    if (password) environment.PGPASSWORD = password;
    line.unshift(`--dbname=${url.href}`);
  }
  const child = spawn(program, line, { env: environment, stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (piece: string) => {
    said = (said + piece).slice(-4096);
  });
  let code: unknown;
  try {
    [code] = await once(child, 'close');
  } catch (cause) {
    if (!isSystemError(cause) || cause.code !== 'ENOENT') throw cause;
    throw new IngotError(
      'SYS.1006',
      `${program} is not installed, and is needed for a database of PostgreSQL's`,
      {
        elaboration: 'Install the Debian package postgresql-client, in the version of the server.',
      },
    );
  }
  if (code === 0) return;
  const where = address === undefined ? '' : ` on ${shownDatabase(address)}`;
  throw new IngotError(
    'SYS.1010',
    `${program}${where} failed: ${said.trim() || `it ended with ${String(code)}`}`,
  );
}
