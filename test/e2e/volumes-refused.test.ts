/** What is refused, in which words, and that nothing is left of it. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { resizeDisk } from '../../src/disk/qemu-img.ts';
import { IngotError } from '../../src/kernel/errors.ts';
import { debianImages } from '../support/bootable-images.ts';
import { fsckOf } from '../support/fsck.ts';
import { runProgram } from '../support/program.ts';
import { type RangeServer, startRangeServer } from '../support/range-server.ts';
import { startTestService, type TestService } from '../support/service.ts';
import { temporaryDirectory } from '../support/temp-directory.ts';

const MIB = 2 ** 20;
const disk = randomBytes(4 * MIB);

describe('volumes and snapshots that can not be', () => {
  let service: TestService;
  let server: RangeServer;
  let image: string;
  let storage: string;
  let zone: string;
  before(async () => {
    const { memtestIso } = await debianImages();
    service = await startTestService();
    server = await startRangeServer({ files: { '/disk.raw': disk, '/iso': readFileSync(memtestIso) } });
    image = (await addImage()).uuid;
    storage = (await service.client.query('PrimaryStorage'))[0]?.uuid;
    zone = (await service.client.query('Zone'))[0]?.uuid;
  });
  after(async () => {
    await service.stop();
    await server.close();
    assert.deepEqual(await fsckOf(service), []);
  });

  const call = async (name: string, parameters: Record<string, unknown> = {}) =>
    (await service.client.call(name, parameters)).inventory;
  const addImage = (more: object = {}) =>
    call('AddImage', { name: 'x', url: server.url('/disk.raw'), format: 'raw', ...more });
  const rootVolume = (more: object = {}) =>
    call('CreateRootVolumeFromImage', { name: 'x', imageUuid: image, ...more });
  const dataVolume = (more: object = {}) =>
    call('CreateDataVolume', { name: 'x', diskSize: MIB, primaryStorageUuid: storage, ...more });

  async function refused(work: Promise<unknown>, code: string, says: RegExp): Promise<void> {
    await assert.rejects(work, (error: unknown) => {
      assert.ok(error instanceof IngotError, String(error));
      assert.match(error.details, says);
      assert.equal(error.code, code, error.details);
      return true;
    });
  }

  async function counts(): Promise<number[]> {
    const all = ['Image', 'Volume', 'VolumeSnapshot', 'VolumeSnapshotTree'];
    return Promise.all(all.map(async (resource) => (await service.client.query(resource)).length));
  }

  it('refuses images that no such volume is made from', async () => {
    const disabled = await addImage();
    await call('ChangeImageState', { uuid: disabled.uuid, stateEvent: 'disable' });
    const data = await addImage({ mediaType: 'DataVolumeTemplate' });
    const system = await addImage({ system: true });
    const iso = await call('AddImage', { name: 'iso', url: server.url('/iso') });
    const before = await counts();
    const nobody = 'aaaaaaaaaaaa4aaaaaaaaaaaaaaaaaaa';
    await refused(rootVolume({ imageUuid: nobody }), 'SYS.1003', /there is no Image with the uuid/);
    await refused(rootVolume({ imageUuid: disabled.uuid }), 'SYS.1006', /is Disabled/);
    await refused(
      rootVolume({ imageUuid: data.uuid }),
      'SYS.1006',
      /DataVolumeTemplate; a root volume needs a RootVolumeTemplate/,
    );
    await refused(rootVolume({ imageUuid: system.uuid }), 'SYS.1006', /is a system image/);
    await refused(rootVolume({ imageUuid: iso.uuid }), 'SYS.1006', /media type ISO/);
    const fromTemplate = { name: 'x', imageUuid: image, primaryStorageUuid: storage };
    await refused(
      call('CreateDataVolumeFromVolumeTemplate', fromTemplate),
      'SYS.1006',
      /RootVolumeTemplate; a data volume needs a DataVolumeTemplate/,
    );
    await refused(rootVolume({ size: MIB }), 'SYS.1007', /'size' 1048576 is smaller than image/);
    await refused(rootVolume({ primaryStorageUuid: nobody }), 'SYS.1003', /no PrimaryStorage/);
    await refused(rootVolume({ resourceUuid: 'not-a-uuid' }), 'SYS.1007', /resourceUuid/);
    assert.deepEqual(await counts(), before);
  });

  it('refuses an image that is not Ready', async () => {
    const slow = await startRangeServer({
      files: { '/disk.raw': disk },
      fault: () => ({ bytesPerSecond: MIB / 2 }),
    });
    const job = await service.client.begin('AddImage', {
      name: 'slow',
      url: slow.url('/disk.raw'),
      format: 'raw',
    });
    const [{ uuid } = { uuid: '' }] = await service.client.query('Image', 'name=slow');
    await refused(rootVolume({ imageUuid: uuid }), 'SYS.1006', /is Downloading, not Ready/);
    await service.client.call('CancelLongJob', { uuid: job });
    await service.client.result(job).catch(() => {});
    await slow.close();
  });

  it('refuses primary storages that are out of use, full, or of another zone', async () => {
    const url = join(temporaryDirectory(), 'storage');
    const { uuid } = await call('AddLocalPrimaryStorage', { name: 'other', url, zoneUuid: zone });
    const on = { primaryStorageUuid: uuid };
    await call('ChangePrimaryStorageState', { uuid, stateEvent: 'disable' });
    await refused(
      rootVolume(on),
      'SYS.1006',
      /primary storage 'other' .* is Disabled; it takes no new volumes/,
    );
    await refused(dataVolume(on), 'SYS.1006', /is Disabled/);
    await call('ChangePrimaryStorageState', { uuid, stateEvent: 'enable' });
    const { totalCapacity } = await call('SyncPrimaryStorageCapacity', { uuid });
    await refused(
      dataVolume({ ...on, diskSize: totalCapacity + 512 }),
      'PS.1006',
      /has no room for a disk of/,
    );
    await call('UpdatePrimaryStorage', { uuid, overProvisioning: 200 });
    const large = await dataVolume({ ...on, diskSize: totalCapacity + 512 });
    const [full] = await service.client.query('PrimaryStorage', `uuid=${uuid}`);
    assert.equal(full?.availableCapacity, 2 * totalCapacity - large.size);

    // Its directory is gone, as of a file system that is not mounted.
    mkdirSync(`${url}-away`);
    await runProgram('mv', [`${url}/.ingot-primary-storage`, `${url}-away`]);
    await refused(call('ReconnectPrimaryStorage', { uuid }), 'PS.1003', /holds no primary storage/);
    await refused(rootVolume(on), 'SYS.1006', /is Disconnected/);
    await refused(service.client.call('DeletePrimaryStorage', { uuid }), 'SYS.1004', /can't be reached/);
    await runProgram('mv', [`${url}-away/.ingot-primary-storage`, url]);
    await call('ReconnectPrimaryStorage', { uuid });
    await service.client.call('DeletePrimaryStorage', { uuid });
    assert.deepEqual(readdirSync(url), []);
  });

  it('refuses a primary storage of a zone whose backup storages do not have the image', async () => {
    const { uuid: elsewhere } = await call('CreateZone', { name: 'elsewhere' });
    const url = join(temporaryDirectory(), 'elsewhere');
    const { uuid } = await call('AddSharedMountPointPrimaryStorage', {
      name: 'smp',
      url,
      zoneUuid: elsewhere,
    });
    await refused(
      rootVolume({ primaryStorageUuid: uuid }),
      'SYS.1006',
      new RegExp(`is not attached to the zone ${elsewhere}`),
    );
    await dataVolume({ primaryStorageUuid: uuid });
    // With the zone goes what is in it.
    await service.client.call('DeleteZone', { uuid: elsewhere });
    assert.deepEqual(await service.client.query('PrimaryStorage', `uuid=${uuid}`), []);
    assert.deepEqual(readdirSync(url), []);
  });

  it('takes back an NFS storage that can not be mounted', async () => {
    const added = call('AddNfsPrimaryStorage', {
      name: 'nfs',
      url: '127.0.0.1:/no/such/export',
      zoneUuid: zone,
    });
    // What is missing differs: the program, the right to mount, or the server.
    await assert.rejects(added, IngotError);
    assert.deepEqual(await service.client.query('PrimaryStorage', 'type=NFS'), []);
    const mounts = join(service.data, 'mounts');
    assert.deepEqual(existsSync(mounts) ? readdirSync(mounts) : [], []);
  });

  it('takes a directory where somebody has mounted an NFS server', async () => {
    const url = join(temporaryDirectory(), 'mounted');
    const { uuid, type } = await call('AddNfsPrimaryStorage', { name: 'nfs', url, zoneUuid: zone });
    assert.equal(type, 'NFS');
    const made = await rootVolume({ primaryStorageUuid: uuid });
    assert.ok(made.installPath.startsWith(url));
    await service.client.call('DeletePrimaryStorage', { uuid });
  });

  it('refuses directories that can not become primary storages', async () => {
    const directory = temporaryDirectory();
    const add = (url: string) => call('AddLocalPrimaryStorage', { name: 'x', url, zoneUuid: zone });
    writeFileSync(join(directory, 'file'), '');
    await refused(add('/'), 'SYS.1007', /directory of the system/);
    await refused(add('/etc/volumes'), 'SYS.1007', /belongs to the system/);
    await refused(add(directory), 'SYS.1007', /is not empty/);
    await refused(add('relative'), 'SYS.1007', /absolute path/);
    const [{ url } = { url: '' }] = await service.client.query('BackupStorage');
    await refused(add(url), 'SYS.1007', /backup storage 'local' uses it already/);
    await refused(add(join(url, 'inside')), 'SYS.1007', /overlaps with/);
    await refused(
      call('AddNfsPrimaryStorage', { name: 'x', url: 'nonsense', zoneUuid: zone }),
      'SYS.1007',
      /host:\/absolute\/path/,
    );
  });

  it('refuses what a volume can not do', async () => {
    const volume = await dataVolume();
    const root = await rootVolume();
    await refused(
      call('ResizeDataVolume', { uuid: volume.uuid, size: 512 }),
      'SYS.1007',
      /volumes only grow/,
    );
    await refused(
      call('ResizeRootVolume', { uuid: volume.uuid, size: 2 * MIB }),
      'SYS.1006',
      /use ResizeDataVolume/,
    );
    await refused(
      service.client.call('DeleteDataVolume', { uuid: root.uuid }),
      'SYS.1006',
      /use DeleteRootVolume/,
    );
    await refused(
      call('ChangeVolumeState', { uuid: root.uuid, stateEvent: 'disable' }),
      'SYS.1006',
      /root volumes?, and those are always Enabled/,
    );
    await refused(
      dataVolume({ diskOfferingUuid: volume.uuid }),
      'SYS.1007',
      /either 'diskOfferingUuid' or 'diskSize'/,
    );
    await call('ChangeVolumeState', { uuid: volume.uuid, stateEvent: 'disable' });
    const template = { name: 'x', volumeUuid: volume.uuid };
    await refused(
      call('CreateDataVolumeTemplateFromVolume', template),
      'SYS.1006',
      /is Disabled; no template/,
    );
    await refused(
      call('CreateRootVolumeTemplateFromRootVolume', { name: 'x', rootVolumeUuid: volume.uuid }),
      'SYS.1006',
      /is (Disabled|a data volume)/,
    );
    const promise = await call('CreateDataVolume', { name: 'later', diskSize: MIB });
    assert.equal(promise.status, 'NotInstantiated');
    await refused(
      call('CreateVolumeSnapshot', { volumeUuid: promise.uuid, name: 'x' }),
      'VOLUME.1000',
      /NotInstantiated, not Ready/,
    );
    for (const { uuid } of [volume, promise]) await service.client.call('DeleteDataVolume', { uuid });
    await service.client.call('DeleteDataVolume', { uuid: volume.uuid });
    await service.client.call('DeleteRootVolume', { uuid: root.uuid });
  });

  it('refuses what a snapshot can not do, and what nobody can do at the same time', async () => {
    const root = await rootVolume();
    const snapshot = await call('CreateVolumeSnapshot', { volumeUuid: root.uuid, name: 'x' });
    await call('ChangeVolumeSnapshotState', { uuid: snapshot.uuid, stateEvent: 'disable' });
    await refused(
      call('RevertVolumeFromSnapshot', { uuid: snapshot.uuid }),
      'SYS.1006',
      /is Disabled; nothing is reverted/,
    );
    const from = { name: 'x', snapshotUuid: snapshot.uuid };
    await refused(call('CreateRootVolumeTemplateFromVolumeSnapshot', from), 'SYS.1006', /is Disabled/);
    await refused(
      call('CreateDataVolumeFromVolumeSnapshot', { name: 'x', volumeSnapshotUuid: snapshot.uuid }),
      'SYS.1006',
      /is Disabled/,
    );
    await call('ChangeVolumeSnapshotState', { uuid: snapshot.uuid, stateEvent: 'enable' });
    const [store] = await service.client.query('BackupStorage');
    await call('BackupVolumeSnapshot', { uuid: snapshot.uuid, backupStorageUuid: store?.uuid });
    await refused(
      call('BackupVolumeSnapshot', { uuid: snapshot.uuid, backupStorageUuid: store?.uuid }),
      'SYS.1006',
      /has a copy on backup storage/,
    );

    const jobs = await Promise.all(
      Array.from({ length: 8 }, (_, i) =>
        service.client.begin('CreateVolumeSnapshot', { volumeUuid: root.uuid, name: String(i) }),
      ),
    );
    const ends = await Promise.allSettled(jobs.map((job) => service.client.result(job)));
    const losers = ends.filter((end) => end.status === 'rejected');
    for (const { reason } of losers) assert.match(reason.details, /is in use: CreateVolumeSnapshot \(job/);
    const snapshots = await service.client.query('VolumeSnapshot', `volumeUuid=${root.uuid}`);
    assert.equal(snapshots.length, 1 + jobs.length - losers.length);
    assert.equal(snapshots.filter(({ latest }) => latest).length, 1);
    // The copy on the backup storage goes with the snapshot.
    await service.client.call('DeleteVolumeSnapshot', { uuid: snapshot.uuid });
    assert.deepEqual(await service.client.query('VolumeSnapshot', `volumeUuid=${root.uuid}`), []);
    await service.client.call('DeleteRootVolume', { uuid: root.uuid });
  });

  it('leaves a snapshot as it is where qemu-img is missing', async () => {
    const root = await rootVolume();
    const snapshot = await call('CreateVolumeSnapshot', { volumeUuid: root.uuid, name: 'x' });
    const path = process.env.PATH;
    process.env.PATH = temporaryDirectory();
    try {
      await refused(
        service.client.call('DeleteVolumeSnapshot', { uuid: snapshot.uuid }),
        'SYS.1006',
        /qemu-img is needed for this and is not installed/,
      );
    } finally {
      process.env.PATH = path;
    }
    const [still] = await service.client.query('VolumeSnapshot', `uuid=${snapshot.uuid}`);
    assert.deepEqual([still?.status, still?.latest], ['Ready', true]);
    await service.client.call('DeleteVolumeSnapshot', { uuid: snapshot.uuid });
    await service.client.call('DeleteRootVolume', { uuid: root.uuid });
  });

  it('exports a volume, but not where it must not', async () => {
    const root = await rootVolume();
    const directory = temporaryDirectory();
    const exporting = (more: object) => service.client.call('ExportVolume', { uuid: root.uuid, ...more });
    const place = await exporting({});
    assert.deepEqual([place.path, place.standalone], [root.installPath, false]);
    const path = join(directory, 'disk.raw');
    const copy = await exporting({ path, format: 'raw' });
    assert.equal(copy.standalone, true);
    assert.ok(readFileSync(path).equals(disk));
    await refused(exporting({ path }), 'SYS.1007', /it exists already/);
    await refused(exporting({ path: join(directory, 'no', 'such') }), 'SYS.1007', /does not exist/);
    await refused(exporting({ path: join(service.data, 'x') }), 'SYS.1007', /keeps its own files/);
    assert.deepEqual(readdirSync(directory), ['disk.raw']);
    await service.client.call('DeleteRootVolume', { uuid: root.uuid });
  });

  it('begins a new tree when a chain is as long as may be', async () => {
    const set = (value: string) =>
      call('UpdateGlobalConfig', { category: 'volumeSnapshot', name: 'incrementalSnapshot.maxNum', value });
    await set('2');
    const root = await rootVolume({ size: 8 * MIB });
    const made = [];
    for (let i = 0; i < 5; i++) {
      const [{ installPath } = { installPath: '' }] = await service.client.query(
        'Volume',
        `uuid=${root.uuid}`,
      );
      await runProgram('qemu-io', ['-f', 'qcow2', '-c', `write -P ${i + 1} ${i}M 1M`, installPath]);
      made.push(await call('CreateVolumeSnapshot', { volumeUuid: root.uuid, name: String(i) }));
    }
    await set('16');
    assert.deepEqual(
      made.map(({ distance }) => distance),
      [1, 2, 1, 2, 1],
    );
    assert.equal(new Set(made.map(({ treeUuid }) => treeUuid)).size, 3);
    const trees = await service.client.query('VolumeSnapshotTree', `volumeUuid=${root.uuid}`);
    assert.deepEqual(
      trees.filter(({ current }) => current).map(({ uuid }) => uuid),
      [made[4]?.treeUuid],
    );
    for (const [i, { primaryStorageInstallPath: path }] of made.entries()) {
      const reads = Array.from({ length: i + 1 }, (_, j) => ['-c', `read -P ${j + 1} ${j}M 1M`]).flat();
      assert.doesNotMatch(await runProgram('qemu-io', ['-r', '-f', 'qcow2', ...reads, path]), /failed/);
    }
    // A chain never gets longer than it may: the image, two snapshots and the volume.
    const [{ installPath } = { installPath: '' }] = await service.client.query('Volume', `uuid=${root.uuid}`);
    const chain = JSON.parse(
      await runProgram('qemu-img', ['info', '--output=json', '--backing-chain', '-f', 'qcow2', installPath]),
    );
    assert.equal(chain.length, 3);
    await service.client.call('RevertVolumeFromSnapshot', { uuid: made[0]?.uuid });
    const [old] = await service.client.query('VolumeSnapshotTree', `current=true`, `volumeUuid=${root.uuid}`);
    assert.equal(old?.uuid, made[0]?.treeUuid);
    await service.client.call('BatchDeleteVolumeSnapshot', { uuids: made.map(({ uuid }) => uuid) });
    await service.client.call('DeleteRootVolume', { uuid: root.uuid });
  });
});

describe('qemu-img that does not do its work', () => {
  const original = process.env.PATH;
  after(() => {
    process.env.PATH = original;
  });

  function pretend(script: string): void {
    const directory = temporaryDirectory();
    writeFileSync(join(directory, 'qemu-img'), `#!/bin/sh\n${script}\n`);
    chmodSync(join(directory, 'qemu-img'), 0o755);
    process.env.PATH = `${directory}:${original}`;
  }

  async function fails(says: RegExp, code: string, elaboration?: RegExp): Promise<void> {
    await assert.rejects(resizeDisk('/nowhere/disk', MIB, { silence: 300 }), (error: unknown) => {
      assert.ok(error instanceof IngotError);
      assert.match(error.details, says);
      assert.equal(error.code, code);
      if (elaboration) assert.match(error.elaboration ?? '', elaboration);
      return true;
    });
  }

  it('names the package where it is missing', async () => {
    process.env.PATH = temporaryDirectory();
    await fails(/qemu-img is needed for this and is not installed/, 'SYS.1006', /apt install qemu-utils/);
  });

  it('tells its words when it fails', async () => {
    pretend('echo "disk is made of cheese" >&2; exit 1');
    await fails(/qemu-img resize failed with code 1: disk is made of cheese/, 'SYS.1016');
  });

  it('says that it was killed', async () => {
    pretend('kill -9 $$');
    await fails(/qemu-img resize was killed by SIGKILL/, 'SYS.1016');
  });

  it('kills it when it hangs', async () => {
    pretend('exec sleep 60');
    await fails(/did nothing for 0 s and was killed/, 'SYS.1001');
  });
});
