/** SFTP backup storages in the service: added, changed, gone and back again, with their secrets kept. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { IngotError } from '../../src/kernel/errors.ts';
import { filesOn, openStage, type Stage } from '../image/stage.ts';
import { fsckOf } from '../support/fsck.ts';
import { runProgram } from '../support/program.ts';
import { startRangeServer } from '../support/range-server.ts';
import { type TestClient, until } from '../support/service.ts';
import { type Sshd, startSshd } from '../support/sshd.ts';
import { temporaryDirectory } from '../support/temp-directory.ts';

const SECRET = 'hunter2-never-to-be-seen';

for (const kind of ['sqlite', 'postgres'] as const) {
  describe(`an SFTP backup storage on ${kind}`, () => {
    let stage: Stage;
    let client: TestClient;
    let sshd: Sshd;
    let log: Sshd['privateKey'];
    before(async () => {
      stage = await openStage(kind);
      ({ client } = stage.service);
      sshd = await startSshd({ keys: temporaryDirectory() });
      log = sshd.privateKey.trim().split('\n')[2] ?? '';
    });
    after(async () => {
      await stage.close();
      assert.deepEqual(await fsckOf(stage.service), []);
      for (const secret of [SECRET, log])
        assert.ok(!stage.service.log().includes(secret), 'the log tells a secret');
      await sshd.stop();
    });

    const login = () => ({
      hostname: sshd.host,
      sshPort: sshd.port,
      username: sshd.username,
      privateKey: sshd.privateKey,
    });
    const add = async (more: object = {}) =>
      (
        await client.call('AddSftpBackupStorage', {
          name: 'far',
          url: join(temporaryDirectory(), '黄金 store'),
          ...login(),
          ...more,
        })
      ).inventory;
    const storageOf = async (uuid: string) => (await client.query('BackupStorage', `uuid=${uuid}`))[0];
    const remove = (uuid: string, more: object = {}) => client.call('DeleteBackupStorage', { uuid, ...more });
    const addImage = async (backupStorageUuids: string[], path = '/disk.qcow2') =>
      client.call('AddImage', { name: 'x', url: stage.url(path), backupStorageUuids });
    const ping = (seconds: number) =>
      client.call('UpdateGlobalConfig', {
        category: 'backupStorage',
        name: 'ping.interval',
        value: `${seconds}`,
      });
    async function refuses(work: Promise<unknown>, code: string, says: RegExp): Promise<void> {
      await assert.rejects(work, (error) => {
        assert.ok(error instanceof IngotError, String(error));
        assert.match(error.details, says);
        assert.equal(error.code, code, error.details);
        assert.ok(!JSON.stringify(error.toBody()).includes(log), 'the error tells a secret');
        return true;
      });
    }

    it('is added and found with what its server is, and never with its secrets', async () => {
      const url = join(temporaryDirectory(), 'secret');
      const storage = await add({ url: `${url}//`, password: SECRET, description: 'far away' });
      const { createDate, lastOpDate, totalCapacity, availableCapacity, attachedZoneUuids, ...rest } =
        storage;
      assert.deepEqual(rest, {
        uuid: storage.uuid,
        name: 'far',
        description: 'far away',
        url,
        type: 'SftpBackupStorage',
        hostname: '127.0.0.1',
        username: sshd.username,
        sshPort: sshd.port,
        hostKey: rest.hostKey,
        state: 'Enabled',
        status: 'Connected',
      });
      assert.match(rest.hostKey, /^ssh-ed25519 SHA256:[\w+/]{43}$/);
      assert.ok(totalCapacity > 0 && availableCapacity === totalCapacity);
      assert.equal(attachedZoneUuids.length, 1);
      assert.deepEqual(await client.query('SftpBackupStorage', 'hostname=127.0.0.1'), [storage]);
      assert.deepEqual(await client.query('SftpBackupStorage', 'name=local'), []);
      assert.deepEqual(
        await client.query('BackupStorage', 'type=SftpBackupStorage', `sshPort=${sshd.port}`),
        [storage],
      );

      await addImage([storage.uuid]);
      const jobs = await stage.database.sql.selectFrom('longJob').selectAll().execute();
      const rows = await stage.database.sql.selectFrom('backupStorage').selectAll().execute();
      const told = JSON.stringify([jobs, rows, await client.query('LongJob')]);
      for (const secret of [SECRET, log]) assert.ok(!told.includes(secret), 'a row tells a secret');
      for (const file of readdirSync(stage.service.data)) {
        const path = join(stage.service.data, file);
        if (!statSync(path).isFile()) continue;
        for (const secret of [SECRET, log]) assert.ok(!readFileSync(path).includes(secret), file);
      }
      assert.equal(statSync(join(stage.service.data, 'secret-key')).mode & 0o777, 0o600);
      await stage.checkAll();
      await remove(storage.uuid);
      assert.deepEqual(readdirSync(url), []);
    });

    it('is none where that can not be, and nothing is left', async () => {
      const url = join(temporaryDirectory(), 'used');
      const used = await add({ url });
      const before = await client.query('BackupStorage');
      const other = join(temporaryDirectory(), 'other');
      mkdirSync(join(other, 'sub'), { recursive: true });
      await refuses(add({ url }), 'SYS.1007', /is the backup storage 'far' already/);
      await refuses(add({ url: join(url, 'in') }), 'SYS.1007', /overlaps with/);
      // Another name of the same server.
      await refuses(add({ url, hostname: 'localhost' }), 'SYS.1007', /is the backup storage \w+ already/);
      await refuses(
        add({ url: join(url, 'in'), hostname: 'localhost' }),
        'SYS.1007',
        /lies in the backup storage/,
      );
      await refuses(add({ url: other }), 'SYS.1007', /is not empty \(it holds 'sub'\)/);
      await refuses(add({ url: '/proc/x' }), 'SYS.1007', /can't be in \/proc/);
      await refuses(add({ url: '/' }), 'SYS.1007', /can't be \/ itself/);
      await refuses(add({ url: 'relative' }), 'SYS.1007', /'url' must be an absolute path/);
      await refuses(add({ privateKey: undefined }), 'SYS.1007', /a 'password' or a 'privateKey' is needed/);
      await refuses(add({ privateKey: 'nonsense' }), 'SYS.1007', /is no private key/);
      await refuses(add({ privateKey: undefined, password: 'wrong' }), 'BS.1005', /refuses the log in/);
      await refuses(add({ hostname: 'user@host' }), 'SYS.1007', /must be a host name or an address/);
      await refuses(add({ sshPort: 0 }), 'SYS.1007', /'sshPort' must be from 1 to 65535/);
      await refuses(add({ sshPort: 1 }), 'BS.1005', /ECONNREFUSED/);
      assert.deepEqual(await client.query('BackupStorage'), before);
      assert.deepEqual(readdirSync(url), ['.ingot-backup-storage']);
      await remove(used.uuid);
    });

    it('gives back what it holds, to disks too', async () => {
      const { uuid } = await add();
      const { inventory: image } = await addImage([uuid], '/disk.raw');
      const { inventory: volume } = await client.call('CreateRootVolumeFromImage', {
        name: 'v',
        imageUuid: image.uuid,
      });
      assert.equal(volume.status, 'Ready');
      const [entry] = await client.query('ImageCache', `imageUuid=${image.uuid}`);
      assert.equal(entry?.sha256sum, image.sha256Sum);
      const [primary] = await client.query('PrimaryStorage');
      await client.call('DeletePrimaryStorage', { uuid: primary?.uuid });
      await client.call('DeleteImage', { uuid: image.uuid });
      await remove(uuid);
    });

    it('is changed, with its secrets staying where they are not given', async () => {
      const { uuid, hostKey } = await add();
      const { inventory } = await client.call('UpdateSftpBackupStorage', {
        uuid,
        name: 'renamed',
        description: 'd',
      });
      assert.deepEqual(
        [inventory.name, inventory.description, inventory.status],
        ['renamed', 'd', 'Connected'],
      );
      await client.call('UpdateSftpBackupStorage', { uuid, username: 'nobody-of-that-name' });
      const gone = await until('it to be gone', async () => {
        const storage = await storageOf(uuid);
        return storage?.status === 'Disconnected' && storage;
      });
      assert.match(gone.statusReason, /nobody-of-that-name@127\.0\.0\.1:\d+ refuses the log in/);
      assert.equal(gone.hostKey, hostKey);
      await refuses(client.call('ReconnectSftpBackupStorage', { uuid }), 'BS.1005', /refuses the log in/);
      await refuses(addImage([uuid]), 'SYS.1002', /is Disconnected/);
      await client.call('UpdateSftpBackupStorage', { uuid, username: sshd.username });
      const { inventory: back } = await client.call('ReconnectSftpBackupStorage', { uuid });
      assert.deepEqual([back.status, back.statusReason], ['Connected', undefined]);
      const [local] = await client.query('BackupStorage', 'name=local');
      await refuses(
        client.call('UpdateSftpBackupStorage', { uuid: local?.uuid, name: 'x' }),
        'SYS.1003',
        /is a Local/,
      );
      await client.call('UpdateBackupStorage', { uuid, name: 'again' });
      assert.equal((await storageOf(uuid))?.name, 'again');
      await client.call('ReconnectBackupStorage', { uuid });
      await remove(uuid);
    });

    it('is connected anew without harm to an image that is on its way there', async () => {
      const { uuid } = await add();
      const bytes = Buffer.concat([stage.disks.raw, randomBytes(8 << 20)]);
      const server = await startRangeServer({
        files: { '/disk.raw': bytes },
        fault: () => ({ bytesPerSecond: 4 << 20 }),
      });
      try {
        const url = server.url('/disk.raw');
        const job = await client.begin('AddImage', { name: 'x', url, backupStorageUuids: [uuid] });
        await until('bytes to come', () => server.bytesSent() > 2 << 20);
        await client.call('ReconnectSftpBackupStorage', { uuid });
        assert.ok(server.bytesSent() < bytes.length, 'the image came too early');
        const { inventory, failures } = await client.result(job);
        assert.deepEqual([inventory.status, failures], ['Ready', undefined]);
        assert.equal(server.requests.length, 1);
        await client.call('DeleteImage', { uuid: inventory.uuid });
      } finally {
        await server.close();
      }
      await remove(uuid);
    });

    it('is Disconnected while its server is gone or another, and comes back by itself', async () => {
      const { uuid, hostKey } = await add();
      const { inventory: image } = await addImage([uuid]);
      const { port, keys } = sshd;
      const statusIs = (status: string) =>
        until(`it to be ${status}`, async () => {
          const storage = await storageOf(uuid);
          return storage?.status === status && storage;
        });
      await ping(1);
      await sshd.kill();
      const gone = await statusIs('Disconnected');
      assert.match(gone.statusReason, /can't be connected|cut|ended/);
      await refuses(remove(uuid), 'SYS.1004', /can't be reached/);
      assert.equal((await storageOf(uuid))?.state, 'Enabled');
      sshd = await startSshd({ port, keys });
      assert.equal((await statusIs('Connected')).statusReason, undefined);
      // Somebody in between, or a machine that was set up anew.
      await sshd.kill();
      for (const name of ['host', 'host.pub']) rmSync(join(keys, name));
      await runProgram('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', join(keys, 'host')]);
      sshd = await startSshd({ port, keys });
      const changed = await statusIs('Disconnected');
      assert.match(changed.statusReason, /is not the server it was: its host key was ssh-ed25519/);
      await refuses(
        client.call('ReconnectSftpBackupStorage', { uuid }),
        'BS.1005',
        /is not the server it was/,
      );
      const { inventory } = await client.call('ReconnectSftpBackupStorage', { uuid, acceptNewHostKey: true });
      assert.equal(inventory.status, 'Connected');
      assert.notEqual(inventory.hostKey, hostKey);
      await ping(60);
      await stage.checkAll();
      await client.call('DeleteImage', { uuid: image.uuid });
      await remove(uuid);
    });

    it('is forgotten by force when it is gone, with the images that it alone held', async () => {
      const url = join(temporaryDirectory(), 'left');
      const { uuid } = await add({ url });
      const local = await stage.addStorage('near');
      const { inventory: both } = await addImage([uuid, local]);
      const { inventory: alone } = await addImage([uuid]);
      const { port, keys } = sshd;
      await sshd.kill();
      await refuses(remove(uuid), 'SYS.1004', /can't be reached/);
      assert.equal((await client.query('Image', `uuid=${alone.uuid}`)).length, 1);
      await remove(uuid, { deleteMode: 'Enforcing' });
      sshd = await startSshd({ port, keys });
      assert.equal(await storageOf(uuid), undefined);
      assert.deepEqual(await client.query('Image', `uuid=${alone.uuid}`), []);
      const [kept] = await client.query('Image', `uuid=${both.uuid}`);
      assert.equal(kept?.status, 'Ready');
      assert.equal(kept?.backupStorageRefs.length, 1);
      assert.equal(filesOn(url).size, 2);
      await client.call('DeleteImage', { uuid: both.uuid });
      await remove(local);
    });
  });
}
