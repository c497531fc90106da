/** What the service stands on goes away for a while, or lies: the database, the lock on it, the clock. */
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fsckOf } from '../support/fsck.ts';
import { startPostgresCluster } from '../support/postgres-cluster.ts';
import { type RangeServer, startRangeServer } from '../support/range-server.ts';
import { startServiceProcess, startTestService, type TestService, until } from '../support/service.ts';
import { temporaryDirectory } from '../support/temp-directory.ts';

const MIB = 2 ** 20;
const content = randomBytes(24 * MIB);
const sha256 = createHash('sha256').update(content).digest('hex');

/** Debian's libfaketime, by machine. */
const FAKETIME = ['x86_64', 'aarch64']
  .map((machine) => `/usr/lib/${machine}-linux-gnu/faketime/libfaketime.so.1`)
  .find((path) => existsSync(path));

describe('a download under way', () => {
  let server: RangeServer;
  before(async () => {
    server = await startRangeServer({
      files: { '/disk.raw': content },
      fault: () => ({ bytesPerSecond: 8 * MIB }),
    });
  });
  after(() => server.close());

  const begin = ({ client }: TestService, name: string) =>
    client.begin('AddImage', { name, url: server.url('/disk.raw'), format: 'raw' });

  const bytesOf = async ({ client }: TestService, job: string) =>
    (await client.http('GET', `/v1/jobs/${job}`)).json.bytesDone ?? 0;

  async function endsWell(service: TestService, job: string): Promise<void> {
    const { inventory } = await service.client.result(job);
    assert.equal(inventory.status, 'Ready');
    assert.equal(inventory.sha256Sum, sha256);
  }

  it('outlives the death of its PostgreSQL, and says meanwhile what is missing', async () => {
    const cluster = await startPostgresCluster();
    after(() => cluster.stop());
    const service = await startTestService({ databaseUrl: cluster.url, settings: { jobLease: 2 } });
    const job = await begin(service, 'postgres');
    await until('some bytes', async () => (await bytesOf(service, job)) > 4 * MIB);
    await cluster.die();
    const asked = await service.client.http('GET', '/zstack/v1/images');
    assert.equal(asked.status, 503);
    assert.equal(asked.json.error.code, 'SYS.1010');
    assert.equal((await service.client.http('GET', '/readyz')).status, 503);
    assert.equal((await service.client.http('GET', '/healthz')).status, 200);
    await sleep(2500);
    await cluster.revive();
    await until('the database to be back', async () => {
      return (await service.client.http('GET', '/readyz')).status === 200;
    });
    await endsWell(service, job);
    await service.stop();
    assert.deepEqual(await fsckOf(service), []);
  });

  it('waits for a foreign lock on its SQLite to go', async () => {
    const service = await startServiceProcess();
    const job = await begin(service, 'sqlite');
    await until('some bytes', async () => (await bytesOf(service, job)) > 4 * MIB);
    const stranger = new DatabaseSync(join(service.data, 'ingot.sqlite'));
    stranger.exec('begin exclusive');
    // Longer than SQLite itself waits.
    await sleep(7000);
    stranger.exec('rollback');
    stranger.close();
    await endsWell(service, job);
    await service.stop();
    assert.deepEqual(await fsckOf(service), []);
  });

  it('does not mind a clock that jumps by a day, there and back', async (t) => {
    if (!FAKETIME) return t.skip('libfaketime is not installed');
    const clock = join(temporaryDirectory(), 'clock');
    const jump = (offset: string) => writeFileSync(clock, `${offset}\n`);
    jump('+0');
    const service = await startServiceProcess({
      environment: {
        LD_PRELOAD: FAKETIME,
        FAKETIME_TIMESTAMP_FILE: clock,
        FAKETIME_NO_CACHE: '1',
        // The clocks that timers go by are those of the machine, as they are when a real clock is set.
        FAKETIME_DONT_FAKE_MONOTONIC: '1',
      },
      settings: { jobLease: 2 },
    });
    const job = await begin(service, 'clock');
    await until('some bytes', async () => (await bytesOf(service, job)) > 4 * MIB);
    jump('+1d');
    const forward = await bytesOf(service, job);
    await until('more bytes', async () => (await bytesOf(service, job)) > forward + 4 * MIB);
    // What was valid for two hours is not any longer, and says so.
    assert.equal((await service.client.http('GET', '/zstack/v1/images')).status, 503);
    jump('-1d');
    await endsWell(service, job);
    await service.stop();
    assert.deepEqual(await fsckOf(service), []);
  });
});
