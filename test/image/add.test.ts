import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, beforeEach, describe, it } from 'node:test';
import { ADMIN_UUID } from '../../src/account/account.ts';
import { hostArchitecture } from '../../src/image/guest.ts';
import { IngotError } from '../../src/kernel/errors.ts';
import { newUuid } from '../../src/kernel/uuid.ts';
import { type TestClient, until } from '../support/service.ts';
import { NO_SMALL_FILE_SYSTEM, smallFileSystem } from '../support/small-file-system.ts';
import { temporaryDirectory } from '../support/temp-directory.ts';
import { filesOn, openStage, type Stage } from './stage.ts';

const digest = (algorithm: string, bytes: Uint8Array) => createHash(algorithm).update(bytes).digest('hex');

for (const kind of ['sqlite', 'postgres'] as const) {
  describe(`AddImage on ${kind}`, () => {
    let stage: Stage;
    let client: TestClient;
    let one: string;
    let two: string;
    const directories: Record<string, string> = {};
    before(async () => {
      stage = await openStage(kind);
      ({ client } = stage.service);
      directories.one = join(temporaryDirectory(), 'one');
      directories.two = join(temporaryDirectory(), 'two');
      one = await stage.addStorage('one', directories.one);
      two = await stage.addStorage('two', directories.two);
    });
    after(() => stage.close());
    beforeEach(async () => {
      stage.faults.clear();
      for (const image of await client.query('Image')) await client.call('DeleteImage', { uuid: image.uuid });
      for (const uuid of [one, two])
        await client.call('ChangeBackupStorageState', { uuid, stateEvent: 'enable' });
    });
    const add = (parameters: Record<string, unknown>) =>
      client.call('AddImage', { name: 'an image', url: stage.url('/disk.qcow2'), ...parameters });
    const available = async (uuid: string) => {
      const [storage] = await client.query('BackupStorage', `uuid=${uuid}`);
      return storage?.availableCapacity as number;
    };
    const refuses = (parameters: Record<string, unknown>, code: string, sentence: RegExp) =>
      assert.rejects(add(parameters), (thrown) => {
        assert.ok(thrown instanceof IngotError, String(thrown));
        assert.equal(thrown.code, code, thrown.details);
        assert.match(thrown.details, sentence);
        return true;
      });

    it('puts the same bytes on every named storage, and says what they are', async () => {
      const { qcow2 } = stage.disks;
      const { inventory, failures } = await add({ format: 'qcow2', backupStorageUuids: [one, two, one] });
      assert.equal(failures, undefined);
      assert.equal(inventory.status, 'Ready');
      assert.equal(inventory.state, 'Enabled');
      assert.equal(inventory.size, 8 << 20);
      assert.equal(inventory.actualSize, qcow2.length);
      assert.equal(inventory.sha256Sum, digest('sha256', qcow2));
      assert.equal(inventory.md5Sum, digest('md5', qcow2));
      assert.equal(inventory.backupStorageRefs.length, 2);
      for (const [uuid, directory] of [
        [one, directories.one],
        [two, directories.two],
      ]) {
        const ref = inventory.backupStorageRefs.find(
          (each: { backupStorageUuid: string }) => each.backupStorageUuid === uuid,
        );
        assert.equal(ref.status, 'Ready');
        assert.equal(ref.imageUuid, inventory.uuid);
        const path = `templates/acct-${ADMIN_UUID}/${inventory.uuid}/${inventory.uuid}.template`;
        assert.equal(ref.installPath, join(directory ?? '', path));
        assert.ok(readFileSync(ref.installPath).equals(qcow2));
      }
      await stage.checkAll();
      assert.deepEqual(await client.query('Image', `uuid=${inventory.uuid}`), [inventory]);
    });

    it('goes on without a storage that is deleted meanwhile', async () => {
      stage.faults.set('/disk.qcow2', () => ({ bytesPerSecond: 1 << 19 }));
      const running = client.call('AddImage', {
        name: 'bereft',
        url: stage.url('/disk.qcow2'),
        backupStorageUuids: [one, two],
      });
      await until('the download', async () => {
        const [image] = await client.query('Image', 'name=bereft');
        const { numDeletedRows } = await stage.database.sql
          .deleteFrom('imageBackupStorageRef')
          .where('imageUuid', '=', String(image?.uuid))
          .where('backupStorageUuid', '=', two)
          .where('size', '>', 0)
          .executeTakeFirst();
        return numDeletedRows > 0n;
      });
      stage.faults.clear();
      const { inventory, failures } = await running;
      assert.deepEqual(
        inventory.backupStorageRefs.map((ref: { backupStorageUuid: string }) => ref.backupStorageUuid),
        [one],
      );
      assert.equal(failures[0].backupStorageUuid, two);
      await stage.database.sql
        .updateTable('backupStorage')
        .set((row) => ({ availableCapacity: row('availableCapacity', '+', inventory.actualSize) }))
        .where('uuid', '=', two)
        .execute();
      await stage.checkAll();
      await client.call('DeleteImage', { uuid: inventory.uuid });
    });

    it('fills in what is left out', async () => {
      const { inventory } = await add({});
      const {
        uuid,
        url,
        size,
        actualSize,
        md5Sum,
        sha256Sum,
        createDate,
        lastOpDate,
        backupStorageRefs,
        ...rest
      } = inventory;
      assert.deepEqual(rest, {
        name: 'an image',
        state: 'Enabled',
        status: 'Ready',
        mediaType: 'RootVolumeTemplate',
        platform: 'Linux',
        architecture: hostArchitecture(),
        type: 'zstack',
        format: 'qcow2',
        system: false,
        systemTags: [],
        virtio: true,
      });
      assert.match(uuid, /^[0-9a-f]{32}$/);
      assert.equal(url, stage.url('/disk.qcow2'));
      // Every storage is attached to the default zone, and one of them is chosen.
      const storages = await client.query('BackupStorage');
      assert.equal(backupStorageRefs.length, 1);
      assert.ok(storages.some((storage) => storage.uuid === backupStorageRefs[0].backupStorageUuid));
      await stage.checkAll();
    });

    it('keeps every parameter of the chapter', async () => {
      const resourceUuid = newUuid();
      const given = {
        name: 'n'.repeat(255),
        description: `${'d'.repeat(2047)}镜`,
        mediaType: 'DataVolumeTemplate',
        guestOsType: 'CentOS7',
        system: true,
        format: 'raw',
        platform: 'Windows',
        architecture: 'aarch64',
        type: 'zstack',
      };
      const url = stage.url('/disk.raw?a=b&c=%20');
      const { inventory } = await add({ ...given, url, resourceUuid, backupStorageUuids: [two] });
      assert.deepEqual({ ...inventory, ...given, url, uuid: resourceUuid, virtio: false }, inventory);
      assert.equal(inventory.size, stage.disks.raw.length);
      await stage.checkAll();
    });

    it('knows what is meant by other spellings', async () => {
      const { inventory: windows } = await add({ platform: 'WindowsVirtio', virtio: true });
      assert.deepEqual([windows.platform, windows.virtio], ['Windows', true]);
      const { inventory: para } = await add({
        platform: 'Paravirtualization',
        description: '',
        guestOsType: null,
      });
      assert.deepEqual([para.platform, para.virtio], ['Paravirtualization', true]);
      assert.equal('description' in para || 'guestOsType' in para, false);
      const iso = { url: stage.url('/disk.iso') };
      for (const more of [{}, { format: 'iso' }, { mediaType: 'ISO' }, { mediaType: 'ISO', format: 'raw' }]) {
        const { inventory } = await add({ ...iso, ...more });
        assert.deepEqual([inventory.format, inventory.mediaType], ['iso', 'ISO'], JSON.stringify(more));
        assert.equal(inventory.size, stage.disks.iso.length);
      }
      const { sha256, md5 } = {
        sha256: digest('sha256', stage.disks.qcow2),
        md5: digest('md5', stage.disks.qcow2),
      };
      const { inventory: checked } = await add({ sha256Sum: sha256.toUpperCase(), md5Sum: md5 });
      assert.equal(checked.sha256Sum, sha256);
      const address = stage.url('/disk.qcow2').replace('//', '//me:secret@');
      const { inventory: masked } = await add({ url: address });
      assert.equal(masked.url, stage.url('/disk.qcow2').replace('//', '//me:***@'));
      const [job] = await client.query('LongJob', `targetResourceUuid=${masked.uuid}`);
      assert.equal(JSON.parse(job?.jobData).url, masked.url);
      await stage.checkAll();
    });

    it('refuses what can not be, before a byte moves, and leaves nothing', async () => {
      const { inventory: taken } = await add({});
      await client.call('DeleteImage', { uuid: taken.uuid });
      const { inventory: there } = await add({});
      const asked = stage.server.requests.length;
      const uuid = newUuid();
      const hyphens = uuid.replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
      const cases: [parameters: Record<string, unknown>, code: string, sentence: RegExp][] = [
        [{ name: 'n'.repeat(256) }, 'SYS.1007', /^'name' may have at most 255 characters, but has 256$/],
        [{ description: 'd'.repeat(2049) }, 'SYS.1007', /^'description' may have at most 2048/],
        [{ resourceUuid: hyphens }, 'SYS.1007', new RegExp(`^'resourceUuid' must be .* as in ${uuid}`)],
        [{ resourceUuid: there.uuid }, 'SYS.1007', /is taken: there is a Image with it already$/],
        [
          { backupStorageUuids: [one, uuid] },
          'SYS.1003',
          new RegExp(`no BackupStorage with the uuid ${uuid}`),
        ],
        [{ backupStorageUuids: [] }, 'SYS.1007', /^'backupStorageUuids' must have at least 1 item$/],
        [{ backupStorageUuids: ['x'] }, 'SYS.1007', /^'backupStorageUuids' must be a v4 uuid/],
        [{ mediaType: 'ISO', system: true }, 'SYS.1007', /an ISO can't be a system image$/],
        [{ mediaType: 'ISO', format: 'qcow2' }, 'SYS.1007', /^'mediaType' ISO needs the format iso/],
        [{ mediaType: 'DataVolumeTemplate', format: 'iso' }, 'SYS.1007', /needs 'mediaType' ISO/],
        [{ format: 'vmdk' }, 'SYS.1007', /^'format' must be one of qcow2, raw, iso, but is 'vmdk'$/],
        [{ platform: 'Solaris' }, 'SYS.1007', /^'platform' must be one of Linux, Windows/],
        [{ url: 'gopher://server/image' }, 'SYS.1007', /^'url' must be an http:\/\/, https:\/\/, ftp:/],
        [{ url: 'file:///etc/passwd' }, 'SYS.1007', /may not be taken in: .* none is allowed/],
        [{ url: 'sftp://server/image' }, 'SYS.1007', /names no user/],
        [{ type: 'other' }, 'SYS.1007', /^'type' must be one of zstack/],
        [{ sha256Sum: 'abc' }, 'SYS.1007', /^'sha256Sum' must be 64 hex digits, but is 'abc'$/],
        [{ md5Sum: 'z'.repeat(32) }, 'SYS.1007', /^'md5Sum' must be 32 hex digits/],
        [{ system: 'maybe' }, 'SYS.1007', /^'system' must be true or false/],
        [{ backupStorageUuid: one }, 'SYS.1007', /did you mean 'backupStorageUuids'/],
      ];
      for (const [parameters, code, sentence] of cases) await refuses(parameters, code, sentence);
      assert.equal(stage.server.requests.length, asked);
      assert.equal((await client.query('Image')).length, 1);
      await stage.checkAll();
    });

    it('passes over a storage that is Disabled, and says so; refuses when all are', async () => {
      await client.call('ChangeBackupStorageState', { uuid: one, stateEvent: 'disable' });
      const { inventory, failures } = await add({ backupStorageUuids: [one, two] });
      assert.equal(inventory.status, 'Ready');
      assert.equal(inventory.backupStorageRefs.length, 1);
      assert.equal(failures.length, 1);
      assert.equal(failures[0].backupStorageUuid, one);
      assert.match(failures[0].error.details, /'one' .* is Disabled; no image can be added to it$/);
      await client.call('DeleteImage', { uuid: inventory.uuid });
      await refuses(
        { backupStorageUuids: [one] },
        'SYS.1002',
        /^no backup storage could take the image\. .*is Disabled/,
      );
      await client.call('ChangeBackupStorageState', { uuid: two, stateEvent: 'disable' });
      await assert.rejects(add({ backupStorageUuids: [one, two] }), (thrown: IngotError) => {
        assert.equal(thrown.causes.length, 2);
        return thrown.code === 'SYS.1002';
      });
      await stage.checkNothing();
    });

    it('passes over a storage that is full half-way, and gives its room back', async (t) => {
      const small = await smallFileSystem(4 << 20);
      if (!small) return t.skip(NO_SMALL_FILE_SYSTEM);
      const full = await stage.addStorage('small', join(small, 'store'));
      const before = await available(full);
      // Without a length, the space is missing only when it runs out.
      stage.faults.set('/disk.raw', () => ({ chunked: true }));
      const url = stage.url('/disk.raw');
      // A disk of zeros but for its partition would fit, as a file with holes.
      const solid = Buffer.from(stage.disks.raw);
      for (let at = 2 << 20; at < solid.length; at += 4096) solid.fill(1 + (at % 251), at, at + 4096);
      stage.server.serve('/disk.raw', solid);
      const { inventory, failures } = await add({ url, backupStorageUuids: [full, two] });
      assert.equal(inventory.sha256Sum, digest('sha256', solid));
      assert.deepEqual(
        inventory.backupStorageRefs.map((ref: { backupStorageUuid: string }) => ref.backupStorageUuid),
        [two],
      );
      assert.deepEqual(
        failures.map((each: { backupStorageUuid: string; error: { code: string } }) => [
          each.backupStorageUuid,
          each.error.code,
        ]),
        [[full, 'BS.1006']],
      );
      assert.equal(await available(full), before);
      assert.deepEqual([...filesOn(small).keys()], []);
      await stage.checkAll();
      // Alone, it fails, and nothing is left.
      await client.call('DeleteImage', { uuid: inventory.uuid });
      // The file system says so, or the storage, which knows of the size at the end: whichever is first.
      const says = /No space is left|has no room for/;
      await refuses({ url, backupStorageUuids: [full] }, 'BS.1006', says);
      await stage.checkNothing();
      stage.server.serve('/disk.raw', stage.disks.raw);
      await client.call('DeleteBackupStorage', { uuid: full });
    });

    it('takes what just fits, whether its size is said before or not', async (t) => {
      const small = await smallFileSystem(8 << 20);
      if (!small) return t.skip(NO_SMALL_FILE_SYSTEM);
      const tight = await stage.addStorage('tight', join(small, 'store'));
      const solid = Buffer.from(stage.disks.raw.subarray(0, 7 << 20));
      for (let at = 2 << 20; at < solid.length; at += 4096) solid.fill(1 + (at % 251), at, at + 4096);
      stage.server.serve('/disk.raw', solid);
      for (const chunked of [false, true]) {
        stage.faults.set('/disk.raw', () => ({ chunked }));
        const { inventory } = await add({ url: stage.url('/disk.raw'), backupStorageUuids: [tight] });
        assert.equal(inventory.actualSize, solid.length);
        await stage.checkAll();
        await client.call('DeleteImage', { uuid: inventory.uuid });
      }
      stage.server.serve('/disk.raw', stage.disks.raw);
      await client.call('DeleteBackupStorage', { uuid: tight });
    });

    it('takes no more than a storage has room for, whether the size is said before or only known at the end', async () => {
      const [storage] = await client.query('BackupStorage', `uuid=${one}`);
      const leave = (bytes: number) =>
        stage.database.sql
          .updateTable('backupStorage')
          .set({ totalCapacity: bytes, availableCapacity: bytes })
          .where('uuid', '=', one)
          .execute();
      const { length } = stage.disks.qcow2;
      for (const chunked of [false, true]) {
        stage.faults.set('/disk.qcow2', () => ({ chunked }));
        // Each time anew: once a minute the service looks at the file system, and finds what it really has.
        await leave(length - 1);
        await assert.rejects(add({ backupStorageUuids: [one] }), /has no room for .* are left/);
        await leave(length - 1);
        const { inventory, failures } = await add({ backupStorageUuids: [one, two] });
        assert.equal(inventory.backupStorageRefs.length, 1);
        assert.equal(failures[0].error.code, 'BS.1006');
        assert.match(failures[0].error.details, new RegExp(`no room for .* \\(${length} bytes\\)`));
        assert.equal(await available(one), length - 1);
        await stage.checkAll();
        await client.call('DeleteImage', { uuid: inventory.uuid });
      }
      await leave(length);
      const { inventory } = await add({ backupStorageUuids: [one] });
      assert.equal(await available(one), 0);
      await stage.checkAll();
      await client.call('DeleteImage', { uuid: inventory.uuid });
      await leave(storage?.totalCapacity);
      await stage.checkNothing();
    });

    it('refuses at once what points behind the size that was said', async () => {
      const image = Buffer.concat([stage.disks.qcow2, Buffer.alloc(8 << 20)]);
      image.writeBigUInt64BE(2n ** 40n, Number(image.readBigUInt64BE(40)));
      stage.server.serve('/behind.qcow2', image);
      stage.server.requests.length = 0;
      stage.faults.set('/behind.qcow2', () => ({ stallAfter: 2 << 20 }));
      const behind = { url: stage.url('/behind.qcow2'), backupStorageUuids: [one] };
      await refuses(behind, 'IMG.1002', /an L2 table reaches/);
      assert.equal(stage.server.requests.length, 1);
      await stage.checkNothing();
    });

    it('passes over a storage whose file can not be made visible in the end', async () => {
      let stalled = false;
      stage.faults.set('/disk.raw', ({ number }) => (number === 1 ? { stallAfter: 1 << 20 } : undefined));
      stage.server.requests.length = 0;
      const job = await client.begin('AddImage', {
        name: 'x',
        url: stage.url('/disk.raw'),
        backupStorageUuids: [one, two],
      });
      const part = await until('the part on the first storage', () =>
        [...filesOn(directories.one ?? '').keys()].find((path) => path.endsWith('.part')),
      );
      stalled = await until('the stall', () => (stage.server.requests[0]?.bytesSent ?? 0) >= 1 << 20);
      assert.ok(stalled);
      await rm(part);
      const { inventory, failures } = await client.result(job);
      assert.deepEqual(
        inventory.backupStorageRefs.map((ref: { backupStorageUuid: string }) => ref.backupStorageUuid),
        [two],
      );
      assert.equal(failures[0].backupStorageUuid, one);
      await stage.checkAll();
    });

    it('refuses bytes that are not what they were said to be, and leaves nothing', async () => {
      const wrong: [parameters: Record<string, unknown>, sentence: RegExp][] = [
        [
          { sha256Sum: 'a'.repeat(64) },
          /^the 'sha256Sum' of the bytes is [0-9a-f]{64}, but a{64} was expected$/,
        ],
        [{ md5Sum: 'B'.repeat(32) }, /^the 'md5Sum' of the bytes is [0-9a-f]{32}, but b{32} was expected$/],
        [{ format: 'raw' }, /qcow2/],
        [{ url: stage.url('/disk.raw'), format: 'qcow2' }, /qcow2.*raw|raw.*qcow2/],
        [{ mediaType: 'ISO' }, /ISO|iso/],
        [{ url: stage.url('/disk.iso'), mediaType: 'DataVolumeTemplate' }, /the bytes are iso/],
      ];
      for (const [parameters, sentence] of wrong) {
        await refuses({ backupStorageUuids: [one, two], ...parameters }, 'IMG.1002', sentence);
        await stage.checkNothing();
      }
      await refuses(
        { url: stage.url('/disk.iso'), system: true },
        'SYS.1007',
        /ISO can not be a system image/,
      );
      await stage.checkNothing();
    });

    it('shows an image that is under way, and takes it back when it is cancelled', async () => {
      stage.faults.set('/disk.raw', () => ({ bytesPerSecond: 1 << 20 }));
      const [storage] = await client.query('BackupStorage', `uuid=${one}`);
      const job = await client.begin('AddImage', {
        name: 'slow',
        url: stage.url('/disk.raw'),
        backupStorageUuids: [one],
      });
      const image = await until('the image', async () => (await client.query('Image', 'name=slow'))[0]);
      assert.deepEqual([image.status, image.size, image.actualSize], ['Downloading', 0, 0]);
      assert.equal(image.backupStorageRefs[0].status, 'Downloading');
      await until('room to be taken', async () => (await available(one)) < storage?.availableCapacity);
      assert.equal(await available(one), storage?.availableCapacity - stage.disks.raw.length);
      const task = await until('progress', async () => {
        const { inventories } = await client.call('GetTaskProgress', { apiId: job });
        return inventories[0]?.opaque.bytesDone > 0 && inventories[0];
      });
      assert.equal(task.opaque.bytesTotal, stage.disks.raw.length);
      assert.equal(Number(task.content), Math.floor((task.opaque.bytesDone / task.opaque.bytesTotal) * 100));
      await client.call('CancelLongJob', { uuid: job });
      await assert.rejects(client.result(job), { code: 'SYS.1017' });
      const [row] = await client.query('LongJob', `uuid=${job}`);
      assert.equal(row?.state, 'Canceled');
      await stage.checkNothing();
    });
  });
}
