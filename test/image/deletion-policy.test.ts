/** What becomes of deleted images under each policy; recovering, expunging, and copies checked again. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';
import { fsckOf } from '../support/fsck.ts';
import { type RangeServer, startRangeServer } from '../support/range-server.ts';
import { startTestService, type TestClient, type TestService, until } from '../support/service.ts';
import { smallQcow2 } from '../support/small-disks.ts';
import { temporaryDirectory } from '../support/temp-directory.ts';

for (const kind of ['sqlite', 'postgres'] as const) {
  describe(`deletion on ${kind}`, () => {
    let service: TestService;
    let source: RangeServer;
    let client: TestClient;
    let stores: string[];
    before(async () => {
      source = await startRangeServer({ files: { '/a.qcow2': readFileSync((await smallQcow2()).path) } });
      service = await startTestService({ database: kind });
      ({ client } = service);
      await client.call('AddLocalBackupStorage', { name: 'two', url: temporaryDirectory() });
      stores = (await client.query('BackupStorage')).map((each) => each.uuid);
    });
    after(async () => {
      await service.stop();
      await source.close();
    });

    const policy = (value: string) =>
      client.call('UpdateGlobalConfig', { category: 'image', name: 'deletionPolicy', value });
    async function add(backupStorageUuids = stores) {
      const { inventory } = await client.call('AddImage', {
        name: 'x',
        url: source.url('/a.qcow2'),
        backupStorageUuids,
        systemTags: ['bootMode::UEFI'],
      });
      return inventory;
    }
    const find = async (uuid: string) => (await client.query('Image', `uuid=${uuid}`))[0];
    const paths = (image: { backupStorageRefs: { installPath: string }[] }) =>
      image.backupStorageRefs.map((ref) => ref.installPath);
    const checked = () => fsckOf(service);

    it('Direct, the default: image, bytes, room and tags are gone', async () => {
      const [before] = await client.query('BackupStorage', `uuid=${stores[0]}`);
      const image = await add();
      await client.call('DeleteImage', { uuid: image.uuid });
      assert.equal(await find(image.uuid), undefined);
      assert.ok(paths(image).every((path) => !existsSync(path)));
      assert.deepEqual(await client.query('SystemTag', `resourceUuid=${image.uuid}`), []);
      const [after] = await client.query('BackupStorage', `uuid=${stores[0]}`);
      assert.equal(after?.availableCapacity, before?.availableCapacity);
      assert.deepEqual(await checked(), []);
    });

    it('Delay: marked Deleted, brought back, deleted again and expunged', async () => {
      await policy('Delay');
      const image = await add();
      const { uuid } = image;
      await client.call('DeleteImage', { uuid, backupStorageUuids: [stores[0]] });
      assert.equal((await find(uuid))?.status, 'Ready');
      await client.call('DeleteImage', { uuid });
      const deleted = await find(uuid);
      assert.equal(deleted?.status, 'Deleted');
      assert.deepEqual(
        deleted?.backupStorageRefs.map((ref: { status: string }) => ref.status),
        ['Deleted', 'Deleted'],
      );
      assert.ok(paths(image).every((path) => existsSync(path)));
      assert.deepEqual(await checked(), []);
      // Once more changes nothing.
      await client.call('DeleteImage', { uuid });

      const { inventory } = await client.call('RecoverImage', {
        imageUuid: uuid,
        backupStorageUuids: [stores[1]],
      });
      assert.equal(inventory.status, 'Ready');
      await assert.rejects(
        client.call('RecoverImage', { imageUuid: uuid, backupStorageUuids: [stores[1]] }),
        { code: 'SYS.1007', message: /is Ready, not Deleted/ },
      );
      await client.call('ExpungeImage', { imageUuid: uuid });
      const left = await find(uuid);
      assert.equal(left?.status, 'Ready');
      assert.deepEqual(
        left?.backupStorageRefs.map((ref: { backupStorageUuid: string }) => ref.backupStorageUuid),
        [stores[1]],
      );
      for (const name of ['ExpungeImage', 'RecoverImage']) {
        await assert.rejects(client.call(name, { imageUuid: uuid }), { code: 'SYS.1006' }, name);
      }
      await client.call('DeleteImage', { uuid });
      await client.call('ExpungeImage', { imageUuid: uuid });
      assert.equal(await find(uuid), undefined);
      assert.ok(paths(image).every((path) => !existsSync(path)));
      assert.deepEqual(await client.query('AccountResourceRef', `resourceUuid=${uuid}`), []);
      assert.deepEqual(await checked(), []);
      await client.call('ExpungeImage', { imageUuid: uuid });
    });

    it('Enforcing is always at once, of marked ones too', async () => {
      await policy('Never');
      const image = await add();
      await client.call('DeleteImage', { uuid: image.uuid });
      assert.equal((await find(image.uuid))?.status, 'Deleted');
      await client.call('DeleteImage', { uuid: image.uuid, deleteMode: 'Enforcing' });
      assert.equal(await find(image.uuid), undefined);
      assert.ok(paths(image).every((path) => !existsSync(path)));
    });

    it('the expunger takes what has been Deleted for long enough, and with Never nothing', async () => {
      await policy('Never');
      const image = await add();
      await client.call('DeleteImage', { uuid: image.uuid });
      for (const name of ['expungePeriod', 'expungeInterval']) {
        await client.call('UpdateGlobalConfig', { category: 'image', name, value: '1' });
      }
      await new Promise((resolve) => setTimeout(resolve, 2500));
      assert.equal((await find(image.uuid))?.status, 'Deleted');
      await policy('Delay');
      await until('the expunger', async () => (await find(image.uuid)) === undefined);
      assert.ok(paths(image).every((path) => !existsSync(path)));
      await client.call('ResetGlobalConfig');
      const settings = await client.call('QueryGlobalConfig', {});
      assert.ok(
        settings.inventories.every(
          (each: { value: string; defaultValue: string }) => each.value === each.defaultValue,
        ),
      );
    });

    it('a storage that goes takes its copies along, and the status of the image follows', async () => {
      await policy('Delay');
      const { inventory } = await client.call('AddLocalBackupStorage', {
        name: 'three',
        url: temporaryDirectory(),
      });
      const image = await add([stores[0] ?? '', inventory.uuid]);
      await client.call('DeleteImage', { uuid: image.uuid, backupStorageUuids: [stores[0]] });
      await client.call('DeleteBackupStorage', { uuid: inventory.uuid });
      assert.equal((await find(image.uuid))?.status, 'Deleted');
      await policy('Direct');
      await client.call('DeleteImage', { uuid: image.uuid });
      assert.equal(await find(image.uuid), undefined);
    });

    it('settings take good values alone, and name what they are', async () => {
      await assert.rejects(policy('Sometimes'), { code: 'SYS.1007', message: /Direct, Delay, Never/ });
      await assert.rejects(
        client.call('UpdateGlobalConfig', { category: 'image', name: 'expungeInterval', value: '0' }),
        { code: 'SYS.1007' },
      );
      await assert.rejects(
        client.call('UpdateGlobalConfig', { category: 'image', name: 'deletionPolice', value: 'x' }),
        { code: 'SYS.1003', message: /did you mean 'image\/deletionPolicy'/ },
      );
    });

    it('copies are read again and found good, or damaged', async () => {
      const image = await add([stores[0] ?? '']);
      const [path = ''] = paths(image);
      const { uuid } = image;
      const asked = { uuid, backupStorageUuid: stores[0] };
      assert.equal((await client.call('SyncImageSize', { uuid })).inventory.actualSize, image.actualSize);
      for (const algorithm of ['md5', 'sha256']) {
        const { inventory } = await client.call('CalculateImageHash', { ...asked, algorithm });
        assert.equal(inventory.md5Sum, image.md5Sum);
        assert.equal(inventory.sha256Sum, image.sha256Sum);
      }
      await assert.rejects(client.call('CalculateImageHash', { ...asked, backupStorageUuid: stores[1] }), {
        code: 'SYS.1006',
      });
      const bytes = readFileSync(path);
      bytes[70_000] = (bytes[70_000] ?? 0) ^ 1;
      writeFileSync(path, bytes);
      await assert.rejects(client.call('CalculateImageHash', asked), { code: 'IMG.1002' });
      truncateSync(path, bytes.length - 1);
      await assert.rejects(client.call('SyncImageSize', { uuid }), { code: 'IMG.1002' });
      await client.call('DeleteImage', { uuid });
    });

    it('the candidates for an image are the storages that can take it', async () => {
      const name = 'GetCandidateBackupStorageForCreatingImage';
      const zone = (await client.query('Zone'))[0]?.uuid;
      const attached = (await client.query('BackupStorage', `zone.uuid=${zone}`)).map((each) => each.uuid);
      const { inventories } = await client.call(name, {});
      assert.deepEqual(inventories.map((each: { uuid: string }) => each.uuid).sort(), attached.sort());
      assert.deepEqual((await client.call(name, { size: 2 ** 52 })).inventories, []);
    });

    it('an image for aarch64 does not boot as Legacy', async () => {
      const image = await add();
      await client.call('SetImageBootMode', { uuid: image.uuid, bootMode: 'Legacy' });
      const tags = await client.query('SystemTag', `resourceUuid=${image.uuid}`);
      assert.deepEqual(
        tags.map((each) => each.tag),
        ['bootMode::Legacy'],
      );
      await client.call('UpdateImage', { uuid: image.uuid, architecture: 'aarch64' });
      await assert.rejects(client.call('SetImageBootMode', { uuid: image.uuid, bootMode: 'Legacy' }), {
        code: 'SYS.1007',
      });
    });
  });
}
