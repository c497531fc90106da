/** The image chapter's rules for virtual machines, one by one, and what else is refused before anything starts. */
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { totalmem } from 'node:os';
import { after, before, describe, it } from 'node:test';
import { openDatabase } from '../../src/database/database.ts';
import { IngotError } from '../../src/kernel/errors.ts';
import { debianImages } from '../support/bootable-images.ts';
import { fsckOf } from '../support/fsck.ts';
import { SMALL } from '../support/guests.ts';
import { type RangeServer, startRangeServer } from '../support/range-server.ts';
import { type DatabaseKind, startTestService, TestClient, type TestService } from '../support/service.ts';

const MIB = 2 ** 20;
const disk = randomBytes(4 * MIB);

for (const database of ['sqlite', 'postgres'] as DatabaseKind[]) {
  describe(`virtual machines that can not be, on ${database}`, () => {
    let service: TestService;
    let server: RangeServer;
    let image: string;
    let iso: string;
    before(async () => {
      const { memtestIso } = await debianImages();
      service = await startTestService({ database, settings: { accelerator: 'tcg' } });
      server = await startRangeServer({ files: { '/disk.raw': disk, '/iso': readFileSync(memtestIso) } });
      image = (await addImage()).uuid;
      iso = (await call('AddImage', { name: 'iso', url: server.url('/iso') })).uuid;
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
    const create = (more: object = {}) =>
      call('CreateVmInstance', { name: 'vm', imageUuid: image, strategy: 'JustCreate', ...SMALL, ...more });
    const destroy = (uuid: string) => service.client.call('DestroyVmInstance', { uuid });

    /** Refused in these words, and nothing is there that was not there before. */
    async function refused(work: () => Promise<unknown>, code: string, says: RegExp): Promise<void> {
      const before = await contents();
      await assert.rejects(work(), (error: unknown) => {
        assert.ok(error instanceof IngotError, String(error));
        assert.match(error.details, says);
        assert.equal(error.code, code, error.details);
        return true;
      });
      assert.deepEqual(await contents(), before);
    }

    async function contents(): Promise<unknown> {
      const resources = ['VmInstance', 'VmNic', 'VmCdRom', 'Volume'];
      const counts = await Promise.all(
        resources.map(async (name) => (await service.client.query(name)).length),
      );
      const [storage] = await service.client.query('PrimaryStorage');
      return [...counts, storage?.availableCapacity];
    }

    it('a Disabled image makes none (State)', async () => {
      const { uuid } = await addImage();
      await call('ChangeImageState', { uuid, stateEvent: 'disable' });
      await refused(
        () => create({ imageUuid: uuid }),
        'SYS.1006',
        /is Disabled; no virtual machine can be created/,
      );
      await call('ChangeImageState', { uuid, stateEvent: 'enable' });
      await destroy((await create({ imageUuid: uuid })).uuid);
    });

    it('an image that is not Ready makes none (Status)', async () => {
      const slow = await startRangeServer({
        files: { '/disk.raw': disk },
        fault: () => ({ bytesPerSecond: MIB / 2 }),
      });
      const url = slow.url('/disk.raw');
      const job = await service.client.begin('AddImage', { name: 'slow', url, format: 'raw' });
      const [found] = await service.client.query('Image', 'name=slow');
      await refused(() => create({ imageUuid: found?.uuid }), 'SYS.1006', /is Downloading, not Ready/);
      await service.client.call('CancelLongJob', { uuid: job });
      await service.client.result(job).catch(() => {});
      await slow.close();
    });

    it('a DataVolumeTemplate makes none (Media Type)', async () => {
      const { uuid } = await addImage({ mediaType: 'DataVolumeTemplate' });
      await refused(
        () => create({ imageUuid: uuid }),
        'SYS.1006',
        /is a DataVolumeTemplate; virtual machines are made/,
      );
    });

    it('a system image makes ApplianceVms alone, and no other image makes one (System Image)', async () => {
      const { uuid } = await addImage({ system: true });
      await refused(() => create({ imageUuid: uuid }), 'SYS.1006', /is a system image; only appliance/);
      await refused(() => create({ type: 'ApplianceVm' }), 'SYS.1006', /is no system image/);
      const appliance = await create({ imageUuid: uuid, type: 'ApplianceVm' });
      assert.equal(appliance.type, 'ApplianceVm');
      await destroy(appliance.uuid);
    });

    it('the platform decides the devices (Platform)', async () => {
      for (const [platform, driver] of [
        ['Linux', 'virtio'],
        ['Paravirtualization', 'virtio'],
        ['Windows', 'e1000'],
        ['Other', 'e1000'],
      ]) {
        const { uuid } = await addImage({ platform });
        const vm = await create({ imageUuid: uuid });
        assert.equal(vm.platform, platform);
        assert.equal(vm.vmNics[0].driverType, driver);
        await destroy(vm.uuid);
        const changed = await create({ platform });
        assert.equal(changed.vmNics[0].driverType, driver);
        await destroy(changed.uuid);
      }
    });

    it('volumes are qcow2, of whichever format the image is (Format)', async () => {
      const vm = await create();
      assert.equal(vm.allVolumes[0].format, 'qcow2');
      assert.equal(vm.allVolumes[0].type, 'Root');
      assert.equal(vm.allVolumes[0].deviceId, 0);
      await destroy(vm.uuid);
      // An image whose format the hypervisor does not take can only come from elsewhere.
      const at = await openDatabase(service.databaseAt);
      const { uuid } = await addImage();
      await at.sql.updateTable('image').set({ format: 'iso' }).where('uuid', '=', uuid).execute();
      await at.close();
      await refused(
        () => create({ imageUuid: uuid }),
        'SYS.1006',
        /has the format iso, and KVM takes qcow2 or raw/,
      );
      await service.client.call('DeleteImage', { uuid });
    });

    it('an ISO needs to be told how large the blank root volume is', async () => {
      await refused(() => create({ imageUuid: iso }), 'SYS.1007', /is an ISO.*give 'rootDiskSize' or/);
      const offering = await call('CreateDiskOffering', { name: 'd', diskSize: 8 * MIB });
      for (const size of [{ rootDiskSize: 8 * MIB }, { rootDiskOfferingUuid: offering.uuid }]) {
        const vm = await create({ imageUuid: iso, ...size });
        assert.equal(vm.allVolumes[0].size, 8 * MIB);
        assert.equal(vm.allVolumes[0].rootImageUuid, iso);
        assert.equal(vm.vmCdRoms[0].isoUuid, iso);
        await destroy(vm.uuid);
      }
    });

    it('an image whose only copy is on a Disabled storage makes one only while it is cached', async () => {
      const { uuid, backupStorageRefs } = await addImage();
      const storage = backupStorageRefs[0].backupStorageUuid;
      const change = (stateEvent: string) => call('ChangeBackupStorageState', { uuid: storage, stateEvent });
      await change('disable');
      await refused(
        () => create({ imageUuid: uuid }),
        'SYS.1006',
        /is not in the cache, and none of its copies can be read: .* is Disabled/,
      );
      await change('enable');
      await destroy((await create({ imageUuid: uuid })).uuid);
      await change('disable');
      await destroy((await create({ imageUuid: uuid })).uuid);
      await change('enable');
    });

    it('sizes come from an offering or from numbers, and fit the host', async () => {
      await refused(
        () => create({ cpuNum: undefined }),
        'SYS.1007',
        /either 'instanceOfferingUuid', or 'cpuNum'/,
      );
      await refused(() => create({ memorySize: 2 * totalmem() }), 'SYS.1007', /is more than the host has/);
      await refused(
        () => create({ rootDiskSize: MIB }),
        'SYS.1007',
        /'rootDiskSize' 1048576 is smaller than/,
      );
      const offering = await call('CreateInstanceOffering', { name: 'small', ...SMALL });
      const by = { instanceOfferingUuid: offering.uuid };
      await refused(() => create(by), 'SYS.1007', /leave out 'cpuNum' and 'memorySize'/);
      const none = { cpuNum: undefined, memorySize: undefined };
      const vm = await create({ ...by, ...none, dataDiskSizes: [MIB, 2 * MIB] });
      assert.deepEqual([vm.cpuNum, vm.memorySize], [SMALL.cpuNum, SMALL.memorySize]);
      assert.deepEqual(
        vm.allVolumes
          .map(({ type, deviceId, size }: Record<string, unknown>) => [deviceId, type, size])
          .sort(),
        [
          [0, 'Root', 4 * MIB],
          [1, 'Data', MIB],
          [2, 'Data', 2 * MIB],
        ],
      );
      assert.equal((await service.client.query('VmInstance', 'instanceOffering.name=small')).length, 1);
      await destroy(vm.uuid);
      for (const { uuid } of await service.client.query('Volume', 'type=Data')) {
        await service.client.call('DeleteDataVolume', { uuid });
      }
      await call('ChangeInstanceOfferingState', { uuid: offering.uuid, stateEvent: 'disable' });
      await refused(() => create({ ...by, ...none }), 'SYS.1006', /instance offering 'small' .* is Disabled/);
    });

    it('an image is not tried with more than the host has, nor for words that are none', async () => {
      const verify = (more: object) => service.client.call('VerifyImageBoots', { uuid: image, ...more });
      const memorySize = Math.ceil((2 * totalmem()) / MIB) * MIB;
      await refused(() => verify({ memorySize }), 'SYS.1007', /is more than the host has/);
      await refused(() => verify({ pattern: '**' }), 'SYS.1007', /'pattern'.*words within a line/);
    });

    it('a volume that a virtual machine of another host writes to is left alone', async () => {
      const { uuid, rootVolumeUuid } = await create();
      const at = await openDatabase(service.databaseAt);
      const set = (state: 'Running' | 'Created', hostUuid: string | null) =>
        at.sql.updateTable('vmInstance').set({ state, hostUuid }).where('uuid', '=', uuid).execute();
      await set('Running', 'f'.repeat(32));
      for (const [name, parameters] of [
        ['CreateVolumeSnapshot', { name: 's', volumeUuid: rootVolumeUuid }],
        ['CreateRootVolumeTemplateFromRootVolume', { name: 't', rootVolumeUuid }],
      ] as const) {
        await refused(
          () => service.client.call(name, parameters),
          'SYS.1006',
          /is on host f{32}, and this service runs those of host/,
        );
      }
      await set('Created', null);
      await at.close();
      await destroy(uuid);
    });

    it('a guest of another architecture is not runnable here', async () => {
      await refused(
        () => create({ architecture: 'aarch64' }),
        'SYS.1013',
        /architecture aarch64 can't be run/,
      );
    });

    it('a guest that boots by UEFI alone is not runnable here', async () => {
      const { uuid } = await addImage();
      const boots = (bootMode: string) => service.client.call('SetImageBootMode', { uuid, bootMode });
      await boots('UEFI');
      await refused(() => create({ imageUuid: uuid }), 'SYS.1013', /boots by UEFI.*have a BIOS here/);
      await boots('UEFI_WITH_CSM');
      await destroy((await create({ imageUuid: uuid })).uuid);
    });

    it('a host that is out of use takes none', async () => {
      const [host] = await service.client.query('Host');
      await call('ChangeHostState', { uuid: host?.uuid, stateEvent: 'disable' });
      await refused(
        () => create({ strategy: 'InstantStart' }),
        'SYS.1006',
        /is Disabled; it takes no virtual machines/,
      );
      await refused(
        () => service.client.call('VerifyImageBoots', { uuid: image }),
        'SYS.1006',
        /is Disabled; it takes no virtual machines/,
      );
      await call('ChangeHostState', { uuid: host?.uuid, stateEvent: 'enable' });
    });

    it('what does not run can not be stopped, rebooted or shown', async () => {
      const { uuid } = await create();
      await refused(
        () => call('StopVmInstance', { uuid }),
        'SYS.1006',
        /is Created; to stop it, it has to be Running/,
      );
      await refused(
        () => call('RebootVmInstance', { uuid }),
        'SYS.1006',
        /to reboot it, it has to be Running/,
      );
      await refused(
        () => service.client.call('GetVmConsoleLog', { uuid }),
        'SYS.1006',
        /is Created and has never run: there is no console/,
      );
      await destroy(uuid);
      await destroy(uuid); // what is not there is gone
    });

    it('disks come and go while it does not run, but each once, and never the root volume', async () => {
      const { uuid, rootVolumeUuid } = await create({ platform: 'Other' });
      const volumes = await Promise.all(
        [1, 2, 3].map((i) => call('CreateDataVolume', { name: `data-${i}`, diskSize: MIB })),
      );
      const attach = (volumeUuid: string) =>
        call('AttachDataVolumeToVm', { volumeUuid, vmInstanceUuid: uuid });
      const [first, second, third] = volumes.map((volume) => volume.uuid) as [string, string, string];
      assert.equal((await attach(first)).deviceId, 1);
      assert.equal((await attach(second)).deviceId, 2);
      await refused(
        () => attach(third),
        'SYS.1006',
        /has 3 disks, and one of the platform Other has at most 3/,
      );
      await refused(() => attach(first), 'SYS.1006', /is attached to virtual machine .* already/);
      await refused(() => attach(rootVolumeUuid), 'SYS.1006', /is a root volume.*never attached/);
      await refused(
        () => call('DetachDataVolumeFromVm', { uuid: rootVolumeUuid }),
        'SYS.1006',
        /is a root volume.*never detached/,
      );
      await refused(
        () => service.client.call('DeleteRootVolume', { uuid: rootVolumeUuid }),
        'SYS.1006',
        /is in use by the virtual machine/,
      );
      assert.equal((await call('DetachDataVolumeFromVm', { uuid: first })).vmInstanceUuid, undefined);
      await refused(
        () => call('DetachDataVolumeFromVm', { uuid: first }),
        'SYS.1006',
        /is not attached to any/,
      );
      assert.equal((await attach(third)).deviceId, 1);
      await destroy(uuid);
      assert.deepEqual(await service.client.query('Volume', 'vmInstanceUuid!=null'), []);
      for (const volume of [first, second, third])
        await service.client.call('DeleteDataVolume', { uuid: volume });
    });

    it('ISOs go into the CD drive, one at a time, and stay in the cache for it', async () => {
      const { uuid } = await create();
      const attach = (isoUuid: string) => call('AttachIsoToVmInstance', { vmInstanceUuid: uuid, isoUuid });
      await refused(
        () => attach(image),
        'SYS.1006',
        /is a RootVolumeTemplate; only an ISO goes into a CD drive/,
      );
      const vm = await attach(iso);
      assert.equal(vm.vmCdRoms[0].isoUuid, iso);
      assert.deepEqual(
        readFileSync(vm.vmCdRoms[0].isoInstallPath),
        readFileSync((await debianImages()).memtestIso),
      );
      await refused(() => attach(iso), 'SYS.1006', /has the ISO .* in its CD drive/);
      const [storage] = await service.client.query('PrimaryStorage');
      const clean = { uuid: storage?.uuid, force: true };
      await service.client.call('CleanUpImageCacheOnPrimaryStorage', clean);
      assert.ok(readFileSync(vm.vmCdRoms[0].isoInstallPath));
      await call('DetachIsoFromVmInstance', { vmInstanceUuid: uuid });
      await refused(
        () => call('DetachIsoFromVmInstance', { vmInstanceUuid: uuid }),
        'SYS.1006',
        /does not have an ISO in its CD drive/,
      );
      await destroy(uuid);
    });

    it('accounts have virtual machines of their own, of images that are shared with them', async () => {
      const clients: TestClient[] = [];
      for (const name of ['one', 'other']) {
        const password = createHash('sha512').update(name).digest('hex');
        await call('CreateAccount', { name, password });
        const client = new TestClient(service.address);
        await client.logIn(name, name);
        clients.push(client);
      }
      const [one, other] = clients as [TestClient, TestClient];
      const wanted = { name: 'mine', imageUuid: image, strategy: 'JustCreate', ...SMALL };
      await assert.rejects(one.call('CreateVmInstance', wanted), { code: 'ID.1002' });
      await service.client.call('ShareResource', { resourceUuids: [image], toPublic: true });
      await assert.rejects(one.call('CreateVmInstance', { ...wanted, bridge: 'br0' }), { code: 'ID.1002' });
      const { inventory: vm } = await one.call('CreateVmInstance', wanted);
      assert.equal(vm.vmNics.length, 1);
      for (const resource of ['VmInstance', 'Volume', 'VmNic', 'VmCdRom']) {
        assert.equal((await one.query(resource)).length, 1, resource);
        assert.equal((await other.query(resource)).length, 0, resource);
      }
      await assert.rejects(other.call('StartVmInstance', { uuid: vm.uuid }), { code: 'ID.1002' });
      await assert.rejects(other.call('GetVmConsoleLog', { uuid: vm.uuid }), { code: 'ID.1002' });
      await one.call('DestroyVmInstance', { uuid: vm.uuid });
      assert.deepEqual(await one.query('Volume'), []);
    });

    it('the tag of an image that was seen to boot is put on by the service alone', async () => {
      await assert.rejects(
        service.client.call('CreateSystemTag', {
          resourceType: 'ImageVO',
          resourceUuid: image,
          tag: 'boot::verified::2026-01-01',
        }),
        { code: 'SYS.1007', message: /is put on by the service alone/ },
      );
    });
  });
}

describe('a host without QEMU', () => {
  it('says which package is missing, and nothing is left of the virtual machine', async () => {
    const path = process.env.PATH;
    const server = await startRangeServer({ files: { '/disk.raw': disk } });
    process.env.PATH = '/nonexistent';
    const service = await startTestService({ settings: { accelerator: 'tcg' } });
    try {
      const { client } = service;
      const [host] = await client.query('Host');
      assert.equal(host?.status, 'Disconnected');
      assert.match(host?.acceleratorReason, /qemu-system-x86_64 is not installed/);
      const { inventory } = await client.call('AddImage', {
        name: 'x',
        url: server.url('/disk.raw'),
        format: 'raw',
      });
      const wanted = { name: 'vm', imageUuid: inventory.uuid, ...SMALL };
      await assert.rejects(client.call('CreateVmInstance', wanted), (error: unknown) => {
        assert.ok(error instanceof IngotError);
        assert.match(error.details, /qemu-system-x86_64 is needed for this and is not installed/);
        assert.match(error.elaboration ?? '', /apt install qemu-system-x86/);
        return true;
      });
      for (const resource of ['VmInstance', 'Volume']) assert.deepEqual(await client.query(resource), []);
    } finally {
      process.env.PATH = path;
      await service.stop();
      await server.close();
    }
    assert.deepEqual(await fsckOf(service), []);
  });
});
