import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { CompiledQuery, Kysely } from 'kysely';
import { type Database, openDatabase } from '../../src/database/database.ts';
import { openPostgres } from '../../src/database/postgres.ts';
import { testDatabaseUrl } from '../support/postgres.ts';

const SLEEP = CompiledQuery.raw('select pg_sleep(60)');

describe('the connections to PostgreSQL for what may take long', () => {
  let url: string;
  let database: Database;
  before(async () => {
    url = await testDatabaseUrl();
    database = await openDatabase(url);
  });
  after(() => database.close());

  it('end a statement whose time is over, and serve the next', async () => {
    const reader = new Kysely({ dialect: openPostgres(url, { connections: 1, timeLimit: 200 }) });
    try {
      const held = [1, 2].map(() =>
        assert.rejects(reader.executeQuery(SLEEP), {
          code: 'SYS.1001',
          message: /^the query took more than 1 s, and was ended$/,
        }),
      );
      await Promise.all(held);
      assert.deepEqual((await reader.executeQuery(CompiledQuery.raw('select 1 as one'))).rows, [{ one: 1 }]);
    } finally {
      await reader.destroy();
    }
  });

  it('have a limit of half a minute, and are none that all else needs', async () => {
    const { rows } = await database.reader.executeQuery(CompiledQuery.raw('show statement_timeout'));
    assert.deepEqual(rows, [{ statement_timeout: '30s' }]);
    const under = CompiledQuery.raw(
      "select pg_cancel_backend(pid) from pg_stat_activity where query = 'select pg_sleep(60)' and datname = current_database()",
    );
    const held = Array.from({ length: 20 }, () => database.reader.executeQuery(SLEEP).catch(() => {}));
    let done = false;
    const all = Promise.all(held).then(() => {
      done = true;
    });
    await database.ping();
    await database.transaction(async () => {});
    while (!done) {
      await database.sql.executeQuery(under);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    await all;
  });
});
