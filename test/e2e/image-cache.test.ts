/** The image cache: fetched once, checked, kept as long as somebody stands on it. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { chmod, open, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fsckOf } from '../support/fsck.ts';
import { runProgram } from '../support/program.ts';
import { type RangeServer, startRangeServer } from '../support/range-server.ts';
import { startServiceProcess, startTestService, type TestService, until } from '../support/service.ts';
import { NO_SMALL_FILE_SYSTEM, smallFileSystem } from '../support/small-file-system.ts';
import { temporaryDirectory } from '../support/temp-directory.ts';

const MIB = 2 ** 20;
const disk = randomBytes(8 * MIB);

/** A primary storage on a file system of its own, to which nothing can be linked. */
async function addFarStorage(service: TestService, bytes = 256 * MIB): Promise<string | undefined> {
  const url = await smallFileSystem(bytes);
  if (url === undefined) return undefined;
  const [zone] = await service.client.query('Zone');
  const parameters = { name: 'far', url, zoneUuid: zone?.uuid };
  return (await service.client.call('AddLocalPrimaryStorage', parameters)).inventory.uuid;
}

async function damage(file: string): Promise<void> {
  await chmod(file, 0o640);
  const handle = await open(file, 'r+');
  await handle.write(Buffer.from('damaged'), 0, 7, 12_345);
  await handle.close();
}

const volume = (imageUuid: string, primaryStorageUuid?: string) => ({
  name: 'x',
  imageUuid,
  ...(primaryStorageUuid && { primaryStorageUuid }),
});

/** By this process, which the service is in, so far: proc(5). */
const bytesWritten = () => Number(/^wchar: (\d+)$/m.exec(readFileSync('/proc/self/io', 'latin1'))?.[1]);

describe('the image cache', () => {
  let service: TestService;
  let server: RangeServer;
  before(async () => {
    service = await startTestService();
    server = await startRangeServer({ files: { '/disk.raw': disk } });
  });
  after(async () => {
    await service.stop();
    await server.close();
    assert.deepEqual(await fsckOf(service), []);
  });

  const addImage = async (more: object = {}) =>
    (
      await service.client.call('AddImage', {
        name: 'x',
        url: server.url('/disk.raw'),
        format: 'raw',
        ...more,
      })
    ).inventory;

  it('fetches an image once, however many ask at the same time', async (t) => {
    const storage = await addFarStorage(service);
    if (!storage) return t.skip(NO_SMALL_FILE_SYSTEM);
    const image = await addImage();
    const before = bytesWritten();
    const jobs = await Promise.all(
      Array.from({ length: 10 }, () =>
        service.client.begin('CreateRootVolumeFromImage', volume(image.uuid, storage)),
      ),
    );
    const volumes = await Promise.all(jobs.map((job) => service.client.result(job)));
    assert.equal(new Set(volumes.map(({ inventory }) => inventory.uuid)).size, 10);
    const entries = await service.client.query('ImageCache', `primaryStorageUuid=${storage}`);
    assert.equal(entries.length, 1);
    assert.equal(entries[0]?.sha256sum, image.sha256Sum);
    assert.equal((await readFile(entries[0]?.installUrl)).equals(disk), true);
    const written = bytesWritten() - before;
    assert.ok(written >= disk.length && written < 2 * disk.length, `${written} bytes were written`);
    assert.equal(statSync(entries[0]?.installUrl).mode & 0o777, 0o440);
    await service.client.call('DeletePrimaryStorage', { uuid: storage });
    assert.deepEqual(await service.client.query('Volume', `primaryStorageUuid=${storage}`), []);
  });

  it('lets those that wait go on when the one that began is cancelled', async (t) => {
    const storage = await addFarStorage(service);
    if (!storage) return t.skip(NO_SMALL_FILE_SYSTEM);
    const image = await addImage();
    const jobs = await Promise.all(
      Array.from({ length: 4 }, () =>
        service.client.begin('CreateRootVolumeFromImage', volume(image.uuid, storage)),
      ),
    );
    await service.client.call('CancelLongJob', { uuid: jobs[0] }).catch(() => {});
    const ends = await Promise.allSettled(jobs.map((job) => service.client.result(job)));
    assert.ok(
      ends.slice(1).every(({ status }) => status === 'fulfilled'),
      JSON.stringify(ends),
    );
    await service.client.call('DeletePrimaryStorage', { uuid: storage });
  });

  it('links where it can, and notices damage all the same', async () => {
    const [local] = await service.client.query('PrimaryStorage', 'name=local');
    const second = join(temporaryDirectory(), 'second');
    const { inventory: store } = await service.client.call('AddLocalBackupStorage', {
      name: 'second',
      url: second,
    });
    const [zone] = await service.client.query('Zone');
    await service.client
      .call('AttachBackupStorageToZone', { zoneUuid: zone?.uuid, backupStorageUuid: store.uuid })
      .catch(() => {});
    const image = await addImage();
    const { inventory: first } = await service.client.call(
      'CreateRootVolumeFromImage',
      volume(image.uuid, local?.uuid),
    );
    const [entry] = await service.client.query('ImageCache', `imageUuid=${image.uuid}`);
    const stored = image.backupStorageRefs[0].installPath;
    assert.equal(statSync(entry?.installUrl).ino, statSync(stored).ino);
    // The one file has two names: damaged under one, it is under the other, and no good copy is left.
    await damage(stored);
    await assert.rejects(
      service.client.call('CreateRootVolumeFromImage', volume(image.uuid, local?.uuid)),
      /is damaged: its SHA-256 is/,
    );
    const refs = async () =>
      (await service.client.query('Image', `uuid=${image.uuid}`))[0]?.backupStorageRefs;
    assert.match((await refs())[0].damage, /^its SHA-256 is/);
    await writeFile(stored, disk);
    const { inventory: again } = await service.client.call(
      'CreateRootVolumeFromImage',
      volume(image.uuid, local?.uuid),
    );
    await runProgram('qemu-img', ['compare', first.installPath, again.installPath]);
    assert.equal((await refs())[0].damage, undefined);
    for (const { uuid } of [first, again]) await service.client.call('DeleteRootVolume', { uuid });
  });

  it('fetches an entry anew that was damaged, and its volumes are whole again', async (t) => {
    const storage = await addFarStorage(service);
    if (!storage) return t.skip(NO_SMALL_FILE_SYSTEM);
    const image = await addImage();
    const { inventory: first } = await service.client.call(
      'CreateRootVolumeFromImage',
      volume(image.uuid, storage),
    );
    const [entry] = await service.client.query('ImageCache', `primaryStorageUuid=${storage}`);
    await damage(entry?.installUrl);
    const { inventory: second } = await service.client.call(
      'CreateRootVolumeFromImage',
      volume(image.uuid, storage),
    );
    assert.ok((await readFile(entry?.installUrl)).equals(disk));
    await runProgram('qemu-img', ['compare', first.installPath, second.installPath]);
    await rm(entry?.installUrl);
    await service.client.call('CreateRootVolumeFromImage', volume(image.uuid, storage));
    assert.ok((await readFile(entry?.installUrl)).equals(disk));
    await service.client.call('DeletePrimaryStorage', { uuid: storage });
  });

  it('says that the only copy is on a storage that is Disabled, unless it has the image', async (t) => {
    const storage = await addFarStorage(service);
    if (!storage) return t.skip(NO_SMALL_FILE_SYSTEM);
    const [store] = await service.client.query('BackupStorage', 'name=local');
    const there = { backupStorageUuids: [store?.uuid] };
    const [cached, missing] = [await addImage(there), await addImage(there)];
    await service.client.call('PrefetchImageToPrimaryStorage', { uuid: storage, imageUuid: cached.uuid });
    await service.client.call('ChangeBackupStorageState', { uuid: store?.uuid, stateEvent: 'disable' });
    try {
      await assert.rejects(
        service.client.call('CreateRootVolumeFromImage', volume(missing.uuid, storage)),
        /is not in the cache, and none of its copies can be read: backup storage 'local' .* is Disabled/,
      );
      await service.client.call('CreateRootVolumeFromImage', volume(cached.uuid, storage));
    } finally {
      await service.client.call('ChangeBackupStorageState', { uuid: store?.uuid, stateEvent: 'enable' });
    }
    await service.client.call('DeletePrimaryStorage', { uuid: storage });
  });

  it('keeps an entry while a volume stands on it, and lets it go then', async () => {
    const [local] = await service.client.query('PrimaryStorage', 'name=local');
    const image = await addImage();
    const { inventory: made } = await service.client.call(
      'CreateRootVolumeFromImage',
      volume(image.uuid, local?.uuid),
    );
    const [entry] = await service.client.query('ImageCache', `imageUuid=${image.uuid}`);
    await service.client.call('DeleteImage', { uuid: image.uuid });
    const clean = (force: boolean) =>
      service.client.call('CleanUpImageCacheOnPrimaryStorage', { uuid: local?.uuid, force });
    await clean(false);
    await clean(true);
    assert.ok(existsSync(entry?.installUrl));
    await runProgram('qemu-img', ['check', made.installPath]);
    await service.client.call('DeleteRootVolume', { uuid: made.uuid });
    await clean(false);
    assert.equal(existsSync(entry?.installUrl), false);
    assert.deepEqual(await service.client.query('ImageCache', `imageUuid=${image.uuid}`), []);
  });

  it('removes an unused entry of an image that is there only when forced', async () => {
    const [local] = await service.client.query('PrimaryStorage', 'name=local');
    const image = await addImage();
    const { inventory: entry } = await service.client.call('PrefetchImageToPrimaryStorage', {
      uuid: local?.uuid,
      imageUuid: image.uuid,
    });
    assert.equal(entry.imageUuid, image.uuid);
    await service.client.call('CleanUpImageCacheOnPrimaryStorage', { uuid: local?.uuid });
    assert.ok(existsSync(entry.installUrl));
    await service.client.call('CleanUpImageCacheOnPrimaryStorage', { uuid: local?.uuid, force: true });
    assert.equal(existsSync(entry.installUrl), false);
    const { inventory: made } = await service.client.call(
      'CreateRootVolumeFromImage',
      volume(image.uuid, local?.uuid),
    );
    assert.equal(made.status, 'Ready');
  });

  it('says that there is no room for the image, and leaves nothing', async (t) => {
    const storage = await addFarStorage(service, 6 * MIB);
    if (!storage) return t.skip(NO_SMALL_FILE_SYSTEM);
    await service.client.call('UpdatePrimaryStorage', { uuid: storage, overProvisioning: 1000 });
    const image = await addImage();
    await assert.rejects(
      service.client.call('CreateRootVolumeFromImage', volume(image.uuid, storage)),
      (error: Error & { code?: string }) =>
        error.code === 'PS.1006' && /has no room for an image/.test(error.message),
    );
    assert.deepEqual(await service.client.query('ImageCache', `primaryStorageUuid=${storage}`), []);
    assert.deepEqual(await service.client.query('Volume', `primaryStorageUuid=${storage}`), []);
    await service.client.call('DeletePrimaryStorage', { uuid: storage });
  });
});

describe('the image cache of a service that is killed', () => {
  it('is whole after the next start', async (t) => {
    const far = await smallFileSystem(512 * MIB);
    if (far === undefined) return t.skip(NO_SMALL_FILE_SYSTEM);
    const large = Buffer.concat([disk, randomBytes(88 * MIB)]);
    const server = await startRangeServer({ files: { '/large.raw': large } });
    const data = temporaryDirectory();
    let service = await startServiceProcess({ data, settings: { jobLease: 2 } });
    const { inventory: image } = await service.client.call('AddImage', {
      name: 'x',
      url: server.url('/large.raw'),
      format: 'raw',
    });
    const [zone] = await service.client.query('Zone');
    const { inventory: storage } = await service.client.call('AddLocalPrimaryStorage', {
      name: 'far',
      url: join(far, 'storage'),
      zoneUuid: zone?.uuid,
    });
    let midway = 0;
    for (let kill = 0; kill < 6; kill++) {
      const jobs = await Promise.all(
        [1, 2, 3].map(() =>
          service.client.begin('CreateRootVolumeFromImage', volume(image.uuid, storage.uuid)),
        ),
      );
      if (kill % 2 === 0) {
        const part = join(far, 'storage', 'imagecache', image.uuid);
        await until('the fetching to begin', () => existsSync(part) && true).catch(() => {});
      } else await sleep(10 * kill);
      await service.kill();
      const [entry] = await readdir(join(far, 'storage', 'imagecache', image.uuid)).catch(() => []);
      if (entry?.endsWith('.part')) midway++;
      service = await startServiceProcess({ data, settings: { jobLease: 2 } });
      for (const job of jobs) {
        const { inventory } = await service.client.result(job);
        await service.client.call('DeleteRootVolume', { uuid: inventory.uuid });
      }
      await service.client.call('CleanUpImageCacheOnPrimaryStorage', { uuid: storage.uuid, force: true });
    }
    assert.ok(midway > 0, 'no kill came in the middle of the fetching');
    await service.stop();
    await server.close();
    assert.deepEqual(await fsckOf(service), []);
  });
});
