/** Virtual machines come and go, and break: QEMU is real, but nothing waits for a guest to boot. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, readlinkSync, rmSync } from 'node:fs';
import { totalmem } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { BackupStorages } from '../../src/backup-storage/backup-storages.ts';
import { DataDirectory } from '../../src/data-directory.ts';
import { openDatabase } from '../../src/database/database.ts';
import { fsck } from '../../src/fsck.ts';
import { createLog } from '../../src/kernel/log.ts';
import { newUuid } from '../../src/kernel/uuid.ts';
import { PrimaryStorages } from '../../src/primary-storage/primary-storages.ts';
import { secretBoxOf } from '../../src/secret-key.ts';
import { qemuHypervisor } from '../../src/vm/qemu/driver.ts';
import { fsckOf } from '../support/fsck.ts';
import { endMachines, eventually, longResult, SMALL, untilState, vmOf } from '../support/guests.ts';
import { type RangeServer, startRangeServer } from '../support/range-server.ts';
import { startServiceProcess } from '../support/service.ts';

const MIB = 2 ** 20;
const settings = { accelerator: 'tcg' as const, jobLease: 1 };

/** The layers that a QEMU has open for writing. */
function writtenBy(pid: number): string[] {
  return readdirSync(`/proc/${pid}/fd`).flatMap((fd) => {
    const path = readlinkSync(`/proc/${pid}/fd/${fd}`);
    const flags = /flags:\s+0*(\d+)/.exec(readFileSync(`/proc/${pid}/fdinfo/${fd}`, 'utf8'))?.[1] ?? '0';
    return path.includes('/volumes/') && (Number.parseInt(flags, 8) & 3) === 2 ? [path] : [];
  });
}

/** Ticks that the process has used. */
function processorTime(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ').at(-1)?.split(' ') ?? [];
  return Number(fields[11]) + Number(fields[12]);
}

describe('virtual machines', () => {
  let service: Awaited<ReturnType<typeof startServiceProcess>>;
  let server: RangeServer;
  let image: string;
  before(async () => {
    service = await startServiceProcess({ settings });
    // Nothing can be started from it, and the firmware says so for ever.
    server = await startRangeServer({ files: { '/disk.raw': randomBytes(4 * MIB) } });
    image = (await call('AddImage', { name: 'x', url: server.url('/disk.raw'), format: 'raw' })).uuid;
    const update = { category: 'vm', name: 'stop.patience', value: '1' };
    await service.client.call('UpdateGlobalConfig', update);
  });
  after(async () => {
    await service.stop();
    endMachines(service.data);
    await server.close();
    assert.deepEqual(await fsckOf(service), []);
  });

  const call = async (name: string, parameters: Record<string, unknown> = {}) =>
    (await service.client.call(name, parameters)).inventory;
  const create = (more: object = {}) =>
    call('CreateVmInstance', { name: 'vm', imageUuid: image, ...SMALL, ...more });
  const destroy = (uuid: string) => service.client.call('DestroyVmInstance', { uuid });
  const kept = (uuid: string, name = '') => join(service.data, 'vms', uuid, name);
  const pidOf = (uuid: string) => Number(readFileSync(kept(uuid, 'qemu.pid'), 'utf8'));
  async function killed(): Promise<void> {
    const { data } = service;
    await service.kill();
    service = await startServiceProcess({ data, settings });
  }

  it('are asked to power off, and ended when they do not', async () => {
    const { uuid } = await create();
    const pid = pidOf(uuid);
    assert.match(readFileSync(`/proc/${pid}/cmdline`, 'latin1'), /-accel\0tcg[\s\S]*restrict=on/);
    const begun = performance.now();
    const stopped = await call('StopVmInstance', { uuid });
    assert.ok(performance.now() - begun >= 1000, 'it was given no time');
    assert.equal(stopped.state, 'Stopped');
    assert.equal(stopped.hostUuid, undefined);
    assert.equal(existsSync(`/proc/${pid}`), false);
    const started = await call('StartVmInstance', { uuid });
    assert.equal(started.state, 'Running');
    await assert.rejects(call('StartVmInstance', { uuid }), {
      message: /is Running; to start it, it has to be/,
    });
    const network = { category: 'vm', name: 'guest.network', value: 'user' };
    await service.client.call('UpdateGlobalConfig', network);
    assert.equal((await call('RebootVmInstance', { uuid })).state, 'Running');
    assert.match(readFileSync(`/proc/${pidOf(uuid)}/cmdline`, 'latin1'), /restrict=off/);
    for (const change of [{ cpuNum: 2 }, { memorySize: 96 * MIB }, { platform: 'Other' }]) {
      await assert.rejects(call('UpdateVmInstance', { uuid, ...change }), {
        message: /is Running; 'cpuNum', 'memorySize' and 'platform' are changed while it is Stopped/,
      });
    }
    assert.equal((await call('UpdateVmInstance', { uuid, name: 'renamed' })).name, 'renamed');
    await call('StopVmInstance', { uuid, type: 'cold' });
    await call('UpdateVmInstance', { uuid, platform: 'Other', memorySize: 96 * MIB });
    const other = await call('StartVmInstance', { uuid });
    assert.equal(other.vmNics[0].driverType, 'e1000');
    assert.match(readFileSync(`/proc/${pidOf(uuid)}/cmdline`, 'latin1'), /size=96M[\s\S]*ide-hd[\s\S]*e1000/);
    const volume = await call('CreateDataVolume', { name: 'd', diskSize: MIB });
    const asked = { volumeUuid: volume.uuid, vmInstanceUuid: uuid };
    await assert.rejects(call('AttachDataVolumeToVm', asked), { message: /has IDE disks.*while it runs/ });
    await service.client.call('DeleteDataVolume', { uuid: volume.uuid });
    await destroy(uuid);
    assert.equal(existsSync(kept(uuid)), false);
  });

  it('whose QEMU is killed from outside are Stopped, and why', async () => {
    const { uuid } = await create();
    process.kill(pidOf(uuid), 'SIGKILL');
    const vm = await untilState(service.client, uuid, 'Stopped');
    assert.match(vm.stateReason, /QEMU ended without its guest having powered off/);
    assert.equal((await call('StartVmInstance', { uuid })).stateReason, undefined);
    await destroy(uuid);
  });

  it('that can not be reached any more are Unknown, and can be stopped all the same', async () => {
    const { uuid } = await create();
    rmSync(kept(uuid, 'qmp.sock'));
    await killed();
    const vm = await untilState(service.client, uuid, 'Unknown');
    assert.match(vm.stateReason, /does not answer/);
    await assert.rejects(
      service.client.call('CreateVolumeSnapshot', { volumeUuid: vm.rootVolumeUuid, name: 'x' }),
      {
        message: /is in use: virtual machine 'vm' .* is Unknown/,
      },
    );
    assert.equal((await call('StopVmInstance', { uuid })).state, 'Stopped');
    await destroy(uuid);
  });

  it('are gone when they are destroyed in the middle of a start', async () => {
    const { uuid } = await create({ strategy: 'JustCreate' });
    const start = await service.client.begin('StartVmInstance', { uuid });
    await destroy(uuid);
    await longResult(service.client, start).catch(() => {});
    assert.deepEqual(await service.client.query('VmInstance'), []);
    assert.deepEqual(await service.client.query('Volume'), []);
    assert.equal(existsSync(kept(uuid)), false);

    const resourceUuid = newUuid();
    const creation = { name: 'vm', imageUuid: image, ...SMALL, resourceUuid };
    const making = await service.client.begin('CreateVmInstance', creation);
    await destroy(resourceUuid);
    await longResult(service.client, making).catch(() => {});
    assert.deepEqual(await service.client.query('VmInstance'), []);
    assert.deepEqual(await service.client.query('Volume'), []);
  });

  it('are in a true state, whenever the service dies in the middle of a start, a stop or a delete', async () => {
    for (const delay of [0, 250]) {
      const resourceUuid = newUuid();
      const vm = { name: 'vm', imageUuid: image, ...SMALL, resourceUuid };
      const made = await service.client.begin('CreateVmInstance', vm);
      await new Promise((resolve) => setTimeout(resolve, delay));
      await killed();
      await longResult(service.client, made);
      assert.equal((await vmOf(service.client, resourceUuid)).state, 'Running');
      assert.ok(existsSync(`/proc/${pidOf(resourceUuid)}`));

      const stop = await service.client.begin('StopVmInstance', { uuid: resourceUuid });
      await new Promise((resolve) => setTimeout(resolve, delay));
      await killed();
      await longResult(service.client, stop);
      assert.equal((await vmOf(service.client, resourceUuid)).state, 'Stopped');

      const gone = await service.client.begin('DestroyVmInstance', { uuid: resourceUuid });
      await killed();
      await longResult(service.client, gone);
      assert.deepEqual(await service.client.query('VmInstance'), []);
      assert.equal(existsSync(kept(resourceUuid)), false);
    }
  });

  it('write to the layer that their row names, whenever the service dies in the middle of a snapshot or a template', async () => {
    const { uuid, rootVolumeUuid } = await create();
    const pid = pidOf(uuid);
    for (const delay of [0, 20, 50, 90, 150, 300]) {
      const template = delay % 100 !== 50;
      const job = template
        ? await service.client.begin('CreateRootVolumeTemplateFromRootVolume', { name: 't', rootVolumeUuid })
        : await service.client.begin('CreateVolumeSnapshot', { name: 's', volumeUuid: rootVolumeUuid });
      await new Promise((resolve) => setTimeout(resolve, delay));
      await killed();
      const { inventory } = await longResult(service.client, job);
      assert.equal(inventory.status, 'Ready');
      assert.equal((await vmOf(service.client, uuid)).state, 'Running');
      const [volume] = await service.client.query('Volume', `uuid=${rootVolumeUuid}`);
      assert.deepEqual(writtenBy(pid), [volume?.installPath], `after ${delay} ms`);
      if (template) await service.client.call('DeleteImage', { uuid: inventory.uuid });
    }
    // Its guest has gone on all the while, and is not held.
    const before = processorTime(pid);
    await eventually('the guest to go on', async () => processorTime(pid) > before);
    await destroy(uuid);
    assert.deepEqual(await service.client.query('VolumeSnapshot'), []);
  });

  it('do not get more memory than the host has left', async () => {
    const memorySize = Math.floor((0.6 * totalmem()) / MIB) * MIB;
    const { uuid } = await create({ memorySize });
    await assert.rejects(create({ memorySize }), {
      message: /of memory left beside its running virtual machines/,
    });
    const [host] = await service.client.query('Host');
    assert.equal(host?.availableMemoryCapacity, totalmem() - memorySize);
    const trying = { uuid: image, memorySize, pattern: 'never said' };
    await assert.rejects(service.client.call('VerifyImageBoots', trying), { message: /of memory left/ });
    await destroy(uuid);
    // What is tried has memory too, though it is in no list of virtual machines.
    const trial = await service.client.begin('VerifyImageBoots', trying);
    await assert.rejects(create({ memorySize }), { message: /of memory left/ });
    await service.client.call('CancelLongJob', { uuid: trial });
    await longResult(service.client, trial).catch(() => {});
    await destroy((await create({ memorySize })).uuid);
    const [free] = await service.client.query('Host');
    assert.equal(free?.availableMemoryCapacity, totalmem());
  });

  it('are seen by fsck, and what is wrong with them is mended', async () => {
    const { uuid, rootVolumeUuid } = await create();
    const stray = await create();
    const volume = await call('CreateDataVolume', { name: 'd', diskSize: MIB });
    await service.stop();
    assert.deepEqual(await fsckOf(service), [], 'a machine that runs is no finding');
    const database = await openDatabase(service.databaseAt);
    const log = createLog('silent');
    const hypervisor = qemuHypervisor({ directory: join(service.data, 'vms'), accelerator: 'tcg', log });
    const parts = {
      database,
      hypervisor,
      storages: new BackupStorages({
        database,
        log,
        secrets: secretBoxOf({ data: new DataDirectory(service.data), secretKey: '' }),
      }),
      primaryStorages: new PrimaryStorages({ database, log }),
    };
    await database.sql
      .updateTable('vmInstance')
      .set({ state: 'Starting' })
      .where('uuid', '=', uuid)
      .execute();
    await database.sql.deleteFrom('vmInstance').where('uuid', '=', stray.uuid).execute();
    await database.sql
      .updateTable('volume')
      .set({ vmInstanceUuid: newUuid() })
      .where('uuid', '=', volume.uuid)
      .execute();
    const { findings } = await fsck(parts, { repair: true, deep: true });
    const sentences = findings.map(({ sentence }) => sentence).join('\n');
    assert.match(
      sentences,
      new RegExp(`virtual machine 'vm' \\(${uuid}\\) is Starting, but no job works on it`),
    );
    assert.match(sentences, /volume 'd' .* is attached to the virtual machine .* which is not there/);
    assert.match(sentences, new RegExp(`runs a virtual machine that belongs to nothing: ${stray.uuid}`));
    const again = await fsck(parts, { repair: false, deep: true });
    assert.deepEqual(again.findings, []);
    await hypervisor.close();
    await database.close();
    service = await startServiceProcess({ data: service.data, settings });
    await untilState(service.client, uuid, 'Running');
    assert.equal(existsSync(kept(stray.uuid)), false);
    await destroy(uuid);
    await eventually('its root volume to go', async () => {
      const left = await service.client.query('Volume', `uuid=${rootVolumeUuid}`);
      return left.length === 0;
    });
    await service.client.call('DeleteRootVolume', { uuid: stray.rootVolumeUuid });
    await service.client.call('DeleteDataVolume', { uuid: volume.uuid });
  });
});
