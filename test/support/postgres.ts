import { randomBytes } from 'node:crypto';
import { after } from 'node:test';
import { Client } from 'pg';
import { type PostgresCluster, startPostgresCluster } from './postgres-cluster.ts';

let ownCluster: Promise<PostgresCluster> | undefined;
const made: string[] = [];

after(async () => {
  const cluster = await ownCluster;
  if (cluster) await cluster.stop();
  else for (const name of made) await execute(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`);
});

/**
 * URL of a fresh, empty PostgreSQL database. It is in the cluster of the test run (INGOT_TEST_POSTGRES_URL), or,
 * when a file runs alone, in one of this process; it goes when the tests of the file have run.
 */
export async function testDatabaseUrl(): Promise<string> {
  const name = `ingot_test_${randomBytes(6).toString('hex')}`;
  // template0 can be copied while another process makes a database too; template1 can not.
  await execute(`CREATE DATABASE ${name} TEMPLATE template0`);
  made.push(name);
  const url = new URL(await clusterUrl());
  url.pathname = name;
  return url.href;
}

async function clusterUrl(): Promise<string> {
  const given = process.env.INGOT_TEST_POSTGRES_URL;
  if (given) return given;
  ownCluster ??= startPostgresCluster();
  return (await ownCluster).url;
}

async function execute(statement: string): Promise<void> {
  const client = new Client({ connectionString: await clusterUrl() });
  await client.connect();
  try {
    await client.query(statement);
  } finally {
    await client.end();
  }
}
