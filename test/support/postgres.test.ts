import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { test } from 'node:test';
import { Client } from 'pg';
import { testDatabaseUrl } from './postgres.ts';
import { startPostgresCluster } from './postgres-cluster.ts';

async function query(url: string, statement: string): Promise<unknown[]> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query(statement)).rows;
  } finally {
    await client.end();
  }
}

test('each database is fresh, empty and PostgreSQL 15 with UTF-8', async () => {
  const [first, second] = await Promise.all([testDatabaseUrl(), testDatabaseUrl()]);
  assert.notEqual(first, second);
  await query(first, 'CREATE TABLE image (name text)');
  const tables = "SELECT count(*)::int AS count FROM pg_tables WHERE schemaname = 'public'";
  assert.deepEqual(await query(first, tables), [{ count: 1 }]);
  assert.deepEqual(await query(second, tables), [{ count: 0 }]);
  const [row] = await query(
    second,
    "SELECT current_setting('server_version_num')::int / 10000 AS major, '镜像' AS text",
  );
  assert.deepEqual(row, { major: 15, text: '镜像' });
});

test('a cluster stops with a session open, and leaves no directory', async () => {
  const cluster = await startPostgresCluster();
  const client = new Client({ connectionString: cluster.url });
  client.on('error', () => {}); // being thrown out is what happens
  await client.connect();
  const { rows } = await client.query<{ data_directory: string }>('SHOW data_directory');
  const directory = rows[0]?.data_directory ?? '';
  assert.ok(directory.endsWith('/data'));
  await cluster.stop();
  assert.equal(existsSync(directory), false);
  await assert.rejects(query(cluster.url, 'SELECT 1'), { code: 'ECONNREFUSED' });
});
