/** The whole way on a guest that really boots: image, volume, snapshot, templates, and volumes of those. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { createReadStream, readFileSync, statSync } from 'node:fs';
import { open, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { type GuestImages, guestImages } from '../support/bootable-images.ts';
import { fsckOf } from '../support/fsck.ts';
import { runProgram } from '../support/program.ts';
import { type RangeServer, startRangeServer } from '../support/range-server.ts';
import { type DatabaseKind, startTestService, type TestService } from '../support/service.ts';
import { temporaryDirectory } from '../support/temp-directory.ts';

/** Where the guest's ext4 partition begins. */
const EXT4_START = 17 * 2 ** 20;
const EXT4_SIZE = 12 * 2 ** 20;

/** Writes a file into the guest's second partition, as a guest would, through the volume's own layer. */
async function writeInside(disk: string, name: string, content: string): Promise<void> {
  const directory = temporaryDirectory();
  const [raw, partition, file] = ['disk.raw', 'root.ext4', 'file'].map((each) => join(directory, each)) as [
    string,
    string,
    string,
  ];
  await runProgram('qemu-img', ['convert', '-f', 'qcow2', '-O', 'raw', disk, raw]);
  const handle = await open(raw, 'r');
  const bytes = Buffer.alloc(EXT4_SIZE);
  await handle.read(bytes, 0, EXT4_SIZE, EXT4_START);
  await handle.close();
  await writeFile(partition, bytes);
  await writeFile(file, content);
  await runProgram('debugfs', ['-w', '-R', `write ${file} ${name}`, partition]);
  await runProgram('qemu-io', [
    '-f',
    'qcow2',
    '-c',
    `write -s ${partition} ${EXT4_START} ${EXT4_SIZE}`,
    disk,
  ]);
}

async function readInside(disk: string, name: string): Promise<string> {
  const directory = temporaryDirectory();
  const [raw, partition] = [join(directory, 'disk.raw'), join(directory, 'root.ext4')];
  await runProgram('qemu-img', ['convert', '-f', 'qcow2', '-O', 'raw', disk, raw]);
  const bytes = (await readFile(raw)).subarray(EXT4_START, EXT4_START + EXT4_SIZE);
  await writeFile(partition, bytes);
  return runProgram('debugfs', ['-R', `cat ${name}`, partition]);
}

async function compare(one: string, other: string, format = 'qcow2'): Promise<void> {
  await runProgram('qemu-img', ['compare', '-f', 'qcow2', '-F', format, one, other]);
}

async function check(disk: string): Promise<void> {
  await runProgram('qemu-img', ['check', '-f', 'qcow2', disk]);
}

async function sha256Of(path: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer);
  return hash.digest('hex');
}

for (const database of ['sqlite', 'postgres'] as DatabaseKind[]) {
  describe(`volumes on ${database}`, () => {
    let service: TestService;
    let server: RangeServer;
    let guest: GuestImages;
    before(async () => {
      guest = await guestImages();
      service = await startTestService({ database });
      server = await startRangeServer({
        files: { '/guest.qcow2': readFileSync(guest.qcow2), '/guest.raw': readFileSync(guest.raw) },
      });
    });
    after(async () => {
      await service.stop();
      await server.close();
      assert.deepEqual(await fsckOf(service), []);
    });

    it('goes from image to volume to snapshot to templates and back, every byte right', async () => {
      const { client } = service;
      const { inventory: image } = await client.call('AddImage', {
        name: 'guest',
        url: server.url('/guest.qcow2'),
        guestOsType: 'Debian12',
      });
      const [ref] = image.backupStorageRefs;
      const digest = await sha256Of(ref.installPath);
      assert.equal(digest, image.sha256Sum);

      const { inventory: volume } = await client.call('CreateRootVolumeFromImage', {
        name: 'disk',
        imageUuid: image.uuid,
      });
      assert.equal(volume.status, 'Ready');
      assert.equal(volume.type, 'Root');
      assert.equal(volume.deviceId, 0);
      assert.equal(volume.format, 'qcow2');
      assert.equal(volume.size, image.size);
      assert.equal(volume.rootImageUuid, image.uuid);
      assert.ok(volume.actualSize <= 200 * 1024, `${volume.actualSize} bytes for an empty layer`);
      await compare(volume.installPath, guest.qcow2);

      const [cached] = await client.query('ImageCache', `imageUuid=${image.uuid}`);
      assert.equal(cached?.state, 'ready');
      assert.equal(cached?.md5sum, image.md5Sum);
      // The store and the cache share a file system: one file with two names.
      assert.equal(statSync(cached?.installUrl).ino, statSync(ref.installPath).ino);

      await writeInside(volume.installPath, 'greeting', 'hello from the volume');
      const { inventory: snapshot } = await client.call('CreateVolumeSnapshot', {
        volumeUuid: volume.uuid,
        name: 'first',
      });
      assert.equal(snapshot.status, 'Ready');
      assert.equal(snapshot.latest, true);
      assert.equal(snapshot.distance, 1);
      assert.equal(snapshot.primaryStorageInstallPath, volume.installPath);
      const [after1] = await client.query('Volume', `uuid=${volume.uuid}`);
      assert.notEqual(after1?.installPath, volume.installPath);
      await compare(after1?.installPath, snapshot.primaryStorageInstallPath);
      await writeInside(after1?.installPath, 'later', 'written after the snapshot');

      const { inventory: fromVolume, failures } = await client.call(
        'CreateRootVolumeTemplateFromRootVolume',
        {
          rootVolumeUuid: volume.uuid,
          name: 'of the volume',
        },
      );
      assert.equal(failures, undefined);
      assert.equal(fromVolume.status, 'Ready');
      assert.equal(fromVolume.url, `volume://${volume.uuid}`);
      assert.equal(fromVolume.guestOsType, 'Debian12');
      assert.equal(fromVolume.mediaType, 'RootVolumeTemplate');
      assert.equal(fromVolume.size, image.size);
      const { inventory: fromSnapshot } = await client.call('CreateRootVolumeTemplateFromVolumeSnapshot', {
        snapshotUuid: snapshot.uuid,
        name: 'of the snapshot',
        platform: 'Other',
        guestOsType: 'plan9',
      });
      assert.equal(fromSnapshot.url, `volumeSnapshot://${snapshot.uuid}`);
      assert.equal(fromSnapshot.platform, 'Other');
      assert.equal(fromSnapshot.virtio, false);
      for (const [template, disk] of [
        [fromVolume, after1?.installPath],
        [fromSnapshot, snapshot.primaryStorageInstallPath],
      ] as const) {
        const stored = template.backupStorageRefs[0].installPath;
        await check(stored);
        await compare(stored, disk);
        assert.doesNotMatch(await runProgram('qemu-img', ['info', stored]), /backing/);
        assert.equal(await sha256Of(stored), template.sha256Sum);
        assert.equal((await stat(stored)).size, template.actualSize);
        const { inventory: again } = await client.call('CreateRootVolumeFromImage', {
          name: 'again',
          imageUuid: template.uuid,
        });
        await compare(again.installPath, disk);
        assert.equal(await readInside(again.installPath, 'greeting'), 'hello from the volume');
      }

      const { inventory: dataTemplate } = await client.call('CreateDataVolumeTemplateFromVolume', {
        volumeUuid: volume.uuid,
        name: 'data',
      });
      const storage = volume.primaryStorageUuid;
      const { inventory: data } = await client.call('CreateDataVolumeFromVolumeTemplate', {
        imageUuid: dataTemplate.uuid,
        primaryStorageUuid: storage,
        name: 'data',
      });
      assert.equal(data.type, 'Data');
      await compare(data.installPath, after1?.installPath);
      const { inventory: ofSnapshot } = await client.call('CreateDataVolumeFromVolumeSnapshot', {
        volumeSnapshotUuid: snapshot.uuid,
        name: 'of snapshot',
      });
      await compare(ofSnapshot.installPath, snapshot.primaryStorageInstallPath);

      await client.call('RevertVolumeFromSnapshot', { uuid: snapshot.uuid });
      const [reverted] = await client.query('Volume', `uuid=${volume.uuid}`);
      await compare(reverted?.installPath, ofSnapshot.installPath);
      await client.call('DeleteVolumeSnapshot', { uuid: snapshot.uuid });
      await compare(reverted?.installPath, ofSnapshot.installPath);
      assert.deepEqual(await client.query('VolumeSnapshot', `volumeUuid=${volume.uuid}`), []);

      await client.call('DeleteImage', { uuid: image.uuid });
      await compare(reverted?.installPath, ofSnapshot.installPath);
      assert.equal(await sha256Of(cached?.installUrl), digest);
      for (const { installPath } of await client.query('Volume', 'status=Ready')) await check(installPath);
    });

    it('answers questions over all of it, from both sides', async () => {
      const { client } = service;
      const { inventory: image } = await client.call('AddImage', {
        name: 'asked',
        url: server.url('/guest.raw'),
      });
      const { inventory: volume } = await client.call('CreateRootVolumeFromImage', {
        name: 'asked',
        imageUuid: image.uuid,
      });
      assert.equal(volume.format, 'qcow2');
      await compare(volume.installPath, guest.raw, 'raw');
      const { inventory: snapshot } = await client.call('CreateVolumeSnapshot', {
        volumeUuid: volume.uuid,
        name: 'asked',
      });
      const { inventory: backed } = await client.call('BackupVolumeSnapshot', { uuid: snapshot.uuid });
      await check(backed.backupStorageRefs[0].installPath);
      await compare(backed.backupStorageRefs[0].installPath, volume.installPath);
      const { inventory: child } = await client.call('CreateVolumeSnapshot', {
        volumeUuid: volume.uuid,
        name: 'child',
      });
      for (const [resource, condition, uuid] of [
        ['Image', `volume.uuid=${volume.uuid}`, image.uuid],
        ['Image', `volume.snapshot.uuid=${snapshot.uuid}`, image.uuid],
        ['Image', 'volume.primaryStorage.zone.name=default', undefined],
        ['Volume', 'image.name=asked', volume.uuid],
        ['Volume', `snapshot.uuid=${snapshot.uuid}`, volume.uuid],
        ['Volume', `primaryStorage.imageCache.imageUuid=${image.uuid}`, undefined],
        ['PrimaryStorage', `volume.uuid=${volume.uuid}`, volume.primaryStorageUuid],
        ['PrimaryStorage', `volumeSnapshot.name=asked`, volume.primaryStorageUuid],
        ['Zone', `primaryStorage.volume.image.uuid=${image.uuid}`, undefined],
        ['VolumeSnapshot', `volume.image.uuid=${image.uuid}`, snapshot.uuid],
        ['VolumeSnapshot', `tree.current=true`, snapshot.uuid],
        ['VolumeSnapshot', `backupStorage.name=local`, snapshot.uuid],
        [
          'BackupStorage',
          `volumeSnapshot.uuid=${snapshot.uuid}`,
          backed.backupStorageRefs[0].backupStorageUuid,
        ],
      ] as const) {
        const found = await client.query(resource, condition);
        assert.ok(found.length > 0, `${resource} ${condition}`);
        if (uuid)
          assert.ok(
            found.some((each) => each.uuid === uuid),
            `${resource} ${condition}`,
          );
      }
      const { inventories } = await client.call('QueryVolumeSnapshotTree', {
        q: [`volumeUuid=${volume.uuid}`],
      });
      assert.equal(inventories.length, 1);
      assert.equal(inventories[0].tree.inventory.uuid, snapshot.uuid);
      assert.equal(inventories[0].tree.children[0].inventory.uuid, child.uuid);
      assert.match(inventories[0].tree.inventory.createDate, /^[A-Z][a-z]{2} \d/);
      assert.equal(inventories[0].tree.inventory.backupStorageRefs.length, 1);
      await client.call('DeleteVolumeSnapshotFromBackupStorage', { uuid: snapshot.uuid });
      await client.call('DeleteRootVolume', { uuid: volume.uuid });
      assert.deepEqual(await client.query('VolumeSnapshot', `volumeUuid=${volume.uuid}`), []);
    });
  });
}
