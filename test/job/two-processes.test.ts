import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { type Database, openDatabase } from '../../src/database/database.ts';
import { filesOn } from '../image/stage.ts';
import { testDatabaseUrl } from '../support/postgres.ts';
import { type RangeServer, startRangeServer } from '../support/range-server.ts';
import { startServiceProcess, until } from '../support/service.ts';
import { temporaryDirectory } from '../support/temp-directory.ts';

describe('two services on one PostgreSQL database', () => {
  let databaseUrl: string;
  let database: Database;
  let services: Awaited<ReturnType<typeof startServiceProcess>>[];
  let server: RangeServer;
  const bytes = randomBytes(24 << 20);
  before(async () => {
    databaseUrl = await testDatabaseUrl();
    // At the same moment, on a database that is empty.
    services = await Promise.all(
      [1, 2].map(() => startServiceProcess({ databaseUrl, settings: { jobLease: 1, stallTimeout: 2 } })),
    );
    database = await openDatabase(databaseUrl);
    // The header of a raw disk, as an image must have one.
    bytes.fill(0, 0, 512);
    bytes.set([0x55, 0xaa], 510);
    bytes.set([0x80, 0, 2, 0, 0x83, 0, 0, 0, 0, 8, 0, 0, 0, 8, 0, 0], 446);
    server = await startRangeServer({
      files: { '/disk.raw': bytes },
      fault: ({ number }) => (number === 1 ? { bytesPerSecond: 8 << 20, stallAfter: 20 << 20 } : undefined),
    });
  });
  after(async () => {
    await database.close();
    await Promise.all(services.map((service) => service.kill()));
    await server.close();
  });

  it('make one zone, one storage and one administrator between them', async () => {
    const zones = await database.sql.selectFrom('zone').select('name').execute();
    const storages = await database.sql.selectFrom('backupStorage').select(['name', 'url']).execute();
    assert.deepEqual([zones.length, storages.length], [1, 1]);
    const [first, ...more] = services.filter((service) => service.client.session !== undefined);
    assert.deepEqual([more.length, await first?.client.query('Zone').then((found) => found.length)], [0, 1]);
    const [other] = services.filter((service) => service !== first);
    assert.deepEqual(
      storages[0]?.url.startsWith(first?.data ?? '-') || storages[0]?.url.startsWith(other?.data ?? '-'),
      true,
    );
    // A session of one is a session of the other.
    if (other && first) other.client.session = first.client.session;
    assert.equal((await other?.client.query('BackupStorage'))?.length, 1);
  });

  it('take over what the other was doing when it was killed, and go on where it was', async () => {
    const [victim, heir] = services as [(typeof services)[0], (typeof services)[0]];
    const directory = join(temporaryDirectory(), 'shared');
    const { inventory: storage } = await heir.client.call('AddLocalBackupStorage', {
      name: 's',
      url: directory,
    });
    const job = await victim.client.begin('AddImage', {
      name: 'inherited',
      url: server.url('/disk.raw'),
      backupStorageUuids: [storage.uuid],
    });
    const row = () =>
      database.sql.selectFrom('longJob').selectAll().where('uuid', '=', job).executeTakeFirstOrThrow();
    await until('a checkpoint with bytes', async () => /"offset":[1-9]/.test((await row()).checkpoint ?? ''));
    const { managementNodeUuid } = await row();
    await victim.kill();
    const { inventory } = await heir.client.result(job);
    assert.equal(inventory.status, 'Ready');
    const end = await row();
    assert.notEqual(end.managementNodeUuid, managementNodeUuid);
    assert.ok(end.bytesResumed > 0);
    const [path, ...others] = filesOn(directory).keys();
    assert.deepEqual(others, []);
    assert.ok(readFileSync(path ?? '').equals(bytes));
    await heir.client.call('DeleteImage', { uuid: inventory.uuid });
    assert.deepEqual([...filesOn(directory).keys()], []);
  });
});
