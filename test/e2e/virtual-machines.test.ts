/**
 * One guest that writes a line to its disk each second, and all that is done to it meanwhile: its service is killed, it
 * gets disks and loses them, is kept in snapshots and made a template of; and it never stops.
 */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { type GuestImages, guestImages } from '../support/bootable-images.ts';
import { fsckOf } from '../support/fsck.ts';
import {
  endMachines,
  eventually,
  lastTick,
  SMALL,
  saidBy,
  sha256Of,
  untilSays,
  untilState,
  vmOf,
} from '../support/guests.ts';
import { runProgram } from '../support/program.ts';
import { type RangeServer, startRangeServer } from '../support/range-server.ts';
import { startServiceProcess } from '../support/service.ts';
import { temporaryDirectory } from '../support/temp-directory.ts';

type Service = Awaited<ReturnType<typeof startServiceProcess>>;

const MIB = 2 ** 20;
const settings = { accelerator: 'tcg' as const };

/** Neither the file nor the file system in it has anything to be mended. */
async function requireClean(disk: string): Promise<void> {
  await runProgram('qemu-img', ['check', '-f', 'qcow2', disk]);
  const directory = temporaryDirectory();
  const [raw, partition] = [join(directory, 'disk.raw'), join(directory, 'ext4')];
  await runProgram('qemu-img', ['convert', '-f', 'qcow2', '-O', 'raw', disk, raw]);
  writeFileSync(partition, readFileSync(raw).subarray(17 * MIB, 29 * MIB));
  await runProgram('e2fsck', ['-f', '-n', partition]);
}

describe('a guest that runs', () => {
  let service: Service;
  let server: RangeServer;
  let guest: GuestImages;
  before(async () => {
    guest = await guestImages();
    service = await startServiceProcess({ settings });
    server = await startRangeServer({ files: { '/stays.qcow2': readFileSync(guest.stays) } });
  });
  after(async () => {
    await service.stop();
    endMachines(service.data);
    await server.close();
    assert.deepEqual(await fsckOf(service), []);
  });

  const call = async (name: string, parameters: Record<string, unknown> = {}) =>
    (await service.client.call(name, parameters)).inventory;

  /** The service dies as if its machine had, but for the guests, and comes back. */
  async function killed(): Promise<void> {
    const { data } = service;
    await service.kill();
    service = await startServiceProcess({ data, settings });
  }

  it('goes on through snapshots, templates, plugging and the death of its service', async () => {
    const image = await call('AddImage', { name: 'stays', url: server.url('/stays.qcow2') });
    const base = image.backupStorageRefs[0].installPath;
    const digest = await sha256Of(base);
    const vm = await call('CreateVmInstance', { name: 'web-1', imageUuid: image.uuid, ...SMALL });
    assert.equal(vm.state, 'Running');
    assert.equal(vm.vmNics[0].driverType, 'virtio');
    assert.equal(vm.allVolumes.length, 1);
    const root = vm.allVolumes[0];
    assert.equal(root.uuid, vm.rootVolumeUuid);

    // Asked for over its volumes, from every side (image chapter, Query Image).
    for (const condition of [`volume.vmInstanceUuid=${vm.uuid}`, 'volume.vmInstance.name~=web%']) {
      assert.deepEqual(
        (await service.client.query('Image', condition)).map(({ uuid }) => uuid),
        [image.uuid],
        condition,
      );
    }
    const host = (await service.client.query('Host'))[0];
    assert.equal(host?.accelerator, 'tcg');
    assert.equal(host?.availableMemoryCapacity, host?.totalMemoryCapacity - SMALL.memorySize);
    assert.equal((await service.client.query('VmInstance', `host.uuid=${host?.uuid}`)).length, 1);

    const first = await untilSays(service.client, vm.uuid, /INGOT-TICK 2/);
    assert.match(first, /devices disks=vda:virtio_blk,sr0:ata_piix nics=eth0:virtio_net/);

    // A snapshot, with its file systems frozen by its agent.
    const snapshot = await call('CreateVolumeSnapshot', { volumeUuid: root.uuid, name: 'live' });
    const frozen = lastTick(await untilSays(service.client, vm.uuid, /INGOT-THAWED/));
    assert.equal(snapshot.primaryStorageInstallPath, root.installPath);

    await killed();
    assert.equal((await vmOf(service.client, vm.uuid)).state, 'Running');
    await untilSays(service.client, vm.uuid, new RegExp(`INGOT-TICK ${frozen + 2}\\b`));

    // A disk that comes and goes; and one that was a promise until now.
    const promise = await call('CreateDataVolume', { name: 'data', diskSize: 8 * MIB });
    assert.equal(promise.status, 'NotInstantiated');
    const data = await call('AttachDataVolumeToVm', { volumeUuid: promise.uuid, vmInstanceUuid: vm.uuid });
    assert.equal(data.status, 'Ready');
    assert.equal(data.deviceId, 1);
    await untilSays(service.client, vm.uuid, /INGOT-DISKS vda,vdb,sr0/);
    await assert.rejects(
      service.client.call('AttachDataVolumeToVm', { volumeUuid: promise.uuid, vmInstanceUuid: vm.uuid }),
      { message: /is attached to virtual machine .* already/ },
    );
    await assert.rejects(service.client.call('DetachDataVolumeFromVm', { uuid: root.uuid }), {
      message: /is a root volume.*never detached/,
    });
    const detached = await call('DetachDataVolumeFromVm', { uuid: data.uuid });
    assert.equal(detached.vmInstanceUuid, undefined);
    await untilSays(service.client, vm.uuid, /vdb,sr0[\s\S]*INGOT-DISKS vda,sr0/);
    await call('AttachDataVolumeToVm', { volumeUuid: promise.uuid, vmInstanceUuid: vm.uuid });

    // A template of it while it writes; the service is killed in the middle.
    const before = lastTick(await saidBy(service.client, vm.uuid));
    const job = await service.client.begin('CreateRootVolumeTemplateFromRootVolume', {
      rootVolumeUuid: root.uuid,
      name: 'template',
    });
    await killed();
    const { inventory: template } = await service.client.result(job);
    const [after1] = await service.client.query('Volume', `uuid=${root.uuid}`);
    assert.equal(await sha256Of(template.backupStorageRefs[0].installPath), template.sha256Sum);
    await requireClean(template.backupStorageRefs[0].installPath);
    const { inventory: copy } = await service.client.call('CreateVmInstance', {
      name: 'copy',
      imageUuid: template.uuid,
      ...SMALL,
    });

    // What can't be done while it runs says so.
    for (const [name, parameters] of [
      ['RevertVolumeFromSnapshot', { uuid: snapshot.uuid }],
      ['DeleteVolumeSnapshot', { uuid: snapshot.uuid }],
      ['ResizeRootVolume', { uuid: root.uuid, size: 64 * MIB }],
    ] as const) {
      await assert.rejects(service.client.call(name, parameters), { message: /is in use: virtual machine/ });
    }
    await assert.rejects(service.client.call('DeleteDataVolume', { uuid: promise.uuid }), {
      message: /is in use/,
    });

    const copied = await untilSays(service.client, copy.uuid, /INGOT-TICK \d+/);
    const went = Number(/INGOT-TICK (\d+)/.exec(copied)?.[1]) - 1;
    assert.ok(went >= before, `the template ends at tick ${went}, and ${before} had been said before`);
    await service.client.call('DestroyVmInstance', { uuid: copy.uuid });

    // It has never stopped: each second's tick is there, and none twice.
    const said = await saidBy(service.client, vm.uuid);
    const ticks = [...said.matchAll(/INGOT-TICK (\d+)/g)].map(([, tick]) => Number(tick));
    assert.deepEqual(
      ticks,
      ticks.map((_, i) => i + 1),
    );
    assert.equal(said.split('SYSLINUX').length, 2);

    const stopped = await call('StopVmInstance', { uuid: vm.uuid });
    assert.equal(stopped.state, 'Stopped');
    assert.match(await saidBy(service.client, vm.uuid), /INGOT-GUEST stops after tick/);
    assert.equal(await sha256Of(base), digest);
    const layers = [after1?.installPath, snapshot.primaryStorageInstallPath, data.installPath];
    for (const layer of layers) await runProgram('qemu-img', ['check', '-f', 'qcow2', layer]);

    // What could not be done while it ran can be now.
    await service.client.call('RevertVolumeFromSnapshot', { uuid: snapshot.uuid });
    await service.client.call('DeleteVolumeSnapshot', { uuid: snapshot.uuid });
    await call('StartVmInstance', { uuid: vm.uuid });
    const again = await untilSays(service.client, vm.uuid, /stops after[\s\S]*login: \s+INGOT-TICK \d+/);
    const revived = Number(/stops after[\s\S]*?login: \s+INGOT-TICK (\d+)/.exec(again)?.[1]);
    assert.ok(
      Math.abs(revived - frozen) <= 2,
      `reverted to tick ${revived}, and the snapshot was at ${frozen}`,
    );

    // Its QEMU is killed from outside.
    const pid = readFileSync(`${service.data}/vms/${vm.uuid}/qemu.pid`, 'utf8').trim();
    process.kill(Number(pid), 'SIGKILL');
    const dead = await untilState(service.client, vm.uuid, 'Stopped');
    assert.match(dead.stateReason, /QEMU ended without its guest having powered off/);

    await service.client.call('DestroyVmInstance', { uuid: vm.uuid });
    assert.deepEqual(await service.client.query('VmInstance'), []);
    const [left] = await service.client.query('Volume', `uuid=${promise.uuid}`);
    assert.equal(left?.vmInstanceUuid, undefined);
    await eventually('the files to go', async () => (await service.client.query('Volume')).length === 1);
  });
});
