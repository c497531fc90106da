/** One image on several storages in one pass, whatever becomes of one of them meanwhile. */
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, afterEach, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { openDatabase } from '../../src/database/database.ts';
import { type CuttingProxy, startCuttingProxy } from '../support/cutting-proxy.ts';
import { fsckOf } from '../support/fsck.ts';
import { type RangeServer, startRangeServer } from '../support/range-server.ts';
import { startServiceProcess, until } from '../support/service.ts';
import { NO_SMALL_FILE_SYSTEM, smallFileSystem } from '../support/small-file-system.ts';
import { type Sshd, startSshd } from '../support/sshd.ts';
import { temporaryDirectory } from '../support/temp-directory.ts';

const MIB = 2 ** 20;
const IMAGE_BYTES = 24 * MIB;
const content = randomBytes(IMAGE_BYTES);
const sha256 = createHash('sha256').update(content).digest('hex');

describe('an image on several storages', () => {
  const data = temporaryDirectory();
  let service: Awaited<ReturnType<typeof startServiceProcess>>;
  let server: RangeServer;
  let sshd: Sshd;
  let proxy: CuttingProxy;
  let near: string;
  let far: string;
  const root = join(temporaryDirectory(), 'far');
  before(async () => {
    server = await startRangeServer({
      files: { '/disk.raw': content },
      fault: () => ({ bytesPerSecond: 12 * MIB }),
    });
    sshd = await startSshd({ keys: temporaryDirectory() });
    proxy = await startCuttingProxy(sshd.port);
    service = await startServiceProcess({ data });
    near = await call('AddLocalBackupStorage', { name: 'near', url: join(temporaryDirectory(), 'near') });
    far = await addFar(root);
  });
  after(async () => {
    await service.stop();
    assert.deepEqual(await fsckOf(service), []);
    await proxy.close();
    await sshd.stop();
    await server.close();
  });
  afterEach(async () => {
    for (const { uuid } of await service.client.query('Image')) await call('DeleteImage', { uuid });
    for (const { totalCapacity, availableCapacity } of await service.client.query('BackupStorage'))
      assert.equal(availableCapacity, totalCapacity);
  });

  const call = async (name: string, parameters: object): Promise<string> =>
    (await service.client.call(name, { ...parameters })).inventory?.uuid;
  const addFar = (url: string) =>
    call('AddSftpBackupStorage', {
      name: 'far',
      url,
      hostname: sshd.host,
      sshPort: proxy.port,
      username: sshd.username,
      privateKey: sshd.privateKey,
    });
  const begin = (backupStorageUuids: string[], more: object = {}) =>
    service.client.begin('AddImage', {
      name: 'x',
      format: 'raw',
      url: server.url('/disk.raw'),
      backupStorageUuids,
      ...more,
    });
  /** Fulfilled when so many bytes of the image have come. */
  const come = (job: string, bytes: number) =>
    until(`${bytes} bytes to come`, async () => {
      const { json } = await service.client.http('GET', `/v1/jobs/${job}`);
      assert.ok(
        ['Waiting', 'Running'].includes(json.state),
        `the job is ${json.state}: ${JSON.stringify(json.error)}`,
      );
      return json.bytesDone >= bytes;
    });
  /** The copies of the image on the two, by what is in their files. */
  const digests = (image: { uuid: string; backupStorageRefs: { installPath: string }[] }) =>
    image.backupStorageRefs.map(({ installPath }) =>
      createHash('sha256')
        .update(readFileSync(installPath.replace(/^sftp:\/\/[^/]+/, '')))
        .digest('hex'),
    );

  it('is whole on each, also where a connection was cut on the way', async () => {
    const job = await begin([near, far]);
    for (const share of [0.2, 0.5, 0.8]) {
      await come(job, IMAGE_BYTES * share);
      proxy.cut();
    }
    const { inventory, failures } = await service.client.result(job);
    assert.equal(failures, undefined);
    assert.equal(inventory.status, 'Ready');
    assert.equal(inventory.sha256Sum, sha256);
    assert.deepEqual(digests(inventory), [sha256, sha256]);
    await call('DeleteImage', { uuid: inventory.uuid });
  });

  it('ends on the others when one dies midway, and says which', async () => {
    const job = await begin([near, far]);
    await come(job, IMAGE_BYTES / 4);
    const { port, keys } = sshd;
    await sshd.kill();
    const { inventory, failures } = await service.client.result(job);
    sshd = await startSshd({ port, keys });
    assert.equal(failures.length, 1);
    assert.equal(failures[0].backupStorageUuid, far);
    assert.match(failures[0].error.details, /connection/i);
    assert.equal(inventory.status, 'Ready');
    assert.deepEqual(
      inventory.backupStorageRefs.map((ref: { backupStorageUuid: string }) => ref.backupStorageUuid),
      [near],
    );
    assert.deepEqual(digests(inventory), [sha256]);
    await call('ReconnectBackupStorage', { uuid: far });
    // What the dead one had taken goes when it is back, at the latest with the next start.
    await service.stop();
    service = await startServiceProcess({ data });
    await until('the part to go', () => readdirSync(root).length === 1);
    await call('DeleteImage', { uuid: inventory.uuid });
  });

  it('waits for one that is slow for a while, and then is on both', async () => {
    const job = await begin([near, far]);
    await come(job, IMAGE_BYTES / 4);
    proxy.hold(true);
    await sleep(2500);
    proxy.hold(false);
    const { inventory, failures } = await service.client.result(job);
    assert.equal(failures, undefined);
    assert.deepEqual(digests(inventory), [sha256, sha256]);
  });

  it('goes on where it was when the service is killed', async () => {
    const job = await begin([near, far]);
    const database = await openDatabase(service.databaseAt);
    await until('a checkpoint', async () => {
      const row = await database.sql
        .selectFrom('longJob')
        .select('checkpoint')
        .where('uuid', '=', job)
        .executeTakeFirst();
      return row?.checkpoint?.includes('"offset"');
    });
    await database.close();
    await service.kill();
    assert.deepEqual(await fsckOf(service), []);
    service = await startServiceProcess({ data });
    const { inventory } = await service.client.result(job);
    const [row] = await service.client.query('LongJob', `uuid=${job}`);
    assert.ok(row?.bytesResumed > 0, 'nothing was kept');
    assert.equal(inventory.backupStorageRefs.length, 2);
    assert.deepEqual(digests(inventory), [sha256, sha256]);
  });

  it('goes to another one that has room, when none is named and the chosen one has none', async (t) => {
    const smalls: string[] = [];
    for (const i of [1, 2, 3, 4]) {
      const small = await smallFileSystem(IMAGE_BYTES / 2);
      if (small === undefined) return t.skip(NO_SMALL_FILE_SYSTEM);
      smalls.push(await call('AddLocalBackupStorage', { name: `small ${i}`, url: join(small, 'store') }));
    }
    for (let i = 0; i < 3; i++) {
      const job = await service.client.begin('AddImage', {
        name: 'x',
        format: 'raw',
        url: server.url('/disk.raw'),
      });
      const { inventory } = await service.client.result(job);
      assert.equal(inventory.status, 'Ready');
      assert.equal(inventory.backupStorageRefs.length, 1);
      assert.ok(!smalls.includes(inventory.backupStorageRefs[0].backupStorageUuid));
      await call('DeleteImage', { uuid: inventory.uuid });
    }
    for (const { uuid } of await service.client.query('BackupStorage')) {
      if (!smalls.includes(uuid)) await call('ChangeBackupStorageState', { uuid, stateEvent: 'disable' });
    }
    await assert.rejects(
      service.client.call('AddImage', { name: 'x', format: 'raw', url: server.url('/disk.raw') }),
      { code: 'BS.1006', message: /has no room for 24 MiB/ },
    );
    for (const { uuid } of await service.client.query('BackupStorage', 'state=Disabled'))
      await call('ChangeBackupStorageState', { uuid, stateEvent: 'enable' });
    for (const uuid of smalls) await service.client.call('DeleteBackupStorage', { uuid });
  });

  it('never has room promised twice, however many come at once', async (t) => {
    const small = await smallFileSystem(4.5 * IMAGE_BYTES);
    if (small === undefined) return t.skip(NO_SMALL_FILE_SYSTEM);
    for (const uuid of [
      await call('AddLocalBackupStorage', { name: 'small', url: join(small, 'near') }),
      await addFar(join(small, 'far')),
    ]) {
      // All begin, and then four have room.
      const jobs = await Promise.all(Array.from({ length: 10 }, () => begin([uuid])));
      const results = await Promise.allSettled(jobs.map((job) => service.client.result(job)));
      const failed = results.filter((result) => result.status === 'rejected');
      assert.equal(failed.length, 6);
      for (const { reason } of failed)
        assert.match(reason.details, /has no room for 24 MiB|No space is left/);
      const [storage] = await service.client.query('BackupStorage', `uuid=${uuid}`);
      assert.equal(storage?.totalCapacity - storage?.availableCapacity, 4 * IMAGE_BYTES);
      const images = await service.client.query('Image');
      assert.equal(images.length, 4);
      for (const image of images) {
        assert.equal(image.status, 'Ready');
        await call('DeleteImage', { uuid: image.uuid });
      }
      await service.client.call('DeleteBackupStorage', { uuid });
    }
  });
});
