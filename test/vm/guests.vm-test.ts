/** Guests that boot, one after the other: which devices they see, from which formats, and what is said of those that don't. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';
import { guestImages } from '../support/bootable-images.ts';
import { fsckOf } from '../support/fsck.ts';
import { endMachines, longResult, SMALL, sha256Of, untilSays, untilState } from '../support/guests.ts';
import { type RangeServer, startRangeServer } from '../support/range-server.ts';
import { startTestService, type TestService } from '../support/service.ts';

const MIB = 2 ** 20;

describe('guests', () => {
  let service: TestService;
  let server: RangeServer;
  before(async () => {
    const { qcow2, raw, iso, stays, legacy } = await guestImages();
    service = await startTestService({ settings: { accelerator: 'tcg' } });
    const files = { '/qcow2': qcow2, '/raw': raw, '/iso': iso, '/stays': stays, '/legacy': legacy };
    server = await startRangeServer({
      files: {
        ...Object.fromEntries(Object.entries(files).map(([name, path]) => [name, readFileSync(path)])),
        '/noise': Buffer.concat([randomBytes(510), Buffer.from([0x55, 0xaa]), randomBytes(MIB)]),
        '/zeros': Buffer.alloc(MIB),
      },
    });
  });
  after(async () => {
    await service.stop();
    endMachines(service.data);
    await server.close();
    assert.deepEqual(await fsckOf(service), []);
  });

  const call = async (name: string, parameters: Record<string, unknown> = {}) =>
    (await service.client.call(name, parameters)).inventory;
  const addImage = (name: string, more: object = {}) =>
    call('AddImage', { name, url: server.url(`/${name}`), ...more });

  /** Boots one until it has said that it is ready, or why not, and powered off. */
  async function boot(image: string, more: object = {}): Promise<string> {
    const vm = await call('CreateVmInstance', { name: 'guest', imageUuid: image, ...SMALL, ...more });
    const said = await untilSays(service.client, vm.uuid, /INGOT-GUEST (ready|failed).*[\r\n]/);
    await untilState(service.client, vm.uuid, 'Stopped');
    await service.client.call('DestroyVmInstance', { uuid: vm.uuid });
    return said;
  }

  async function verify(image: string, more: object = {}) {
    const asked = { uuid: image, memorySize: SMALL.memorySize, ...more };
    return longResult(service.client, await service.client.begin('VerifyImageBoots', asked));
  }

  const tagsOf = async (image: string) =>
    (await service.client.query('SystemTag', `resourceUuid=${image}`)).map(({ tag, inherent }) => [
      tag,
      inherent,
    ]);

  for (const format of ['qcow2', 'raw']) {
    it(`of ${format} see virtio devices as Linux, IDE and e1000 as Other`, async () => {
      const { uuid } = await addImage(format, { format });
      assert.match(
        await boot(uuid),
        /devices disks=vda:virtio_blk,sr0:ata_piix nics=eth0:virtio_net\s+INGOT-GUEST ready disk=\/dev\/vda2 payload=ok/,
      );
      assert.match(
        await boot(uuid, { platform: 'Other' }),
        /devices disks=sda:ata_piix,sr0:ata_piix nics=eth0:e1000\s+INGOT-GUEST ready disk=\/dev\/sda2 payload=ok/,
      );
    });
  }

  it('of an ISO boot from it on a blank disk', async () => {
    const { uuid } = await addImage('iso');
    const said = await boot(uuid, { rootDiskSize: 16 * MIB });
    assert.match(said, /disks=vda:virtio_blk,sr0:ata_piix/);
    assert.match(said, /ready disk=\/dev\/sr0 payload=ok/);
  });

  it('without virtio drivers fail as Linux and boot as Other', async () => {
    const { uuid } = await addImage('legacy');
    assert.match(await boot(uuid), /INGOT-GUEST failed: no disk with the data was found/);
    assert.match(await boot(uuid, { platform: 'Other' }), /ready disk=\/dev\/sda2 payload=ok/);

    const failed = await verify(uuid);
    assert.equal(failed.boots, false);
    assert.match(
      failed.evidence,
      /powered off before that.*Power down|powered off before that.*failed: no disk/,
    );
    const [[tag, inherent] = []] = await tagsOf(uuid);
    assert.match(tag, /^boot::failed::its guest powered off before that/);
    assert.equal(inherent, true);
    await call('UpdateImage', { uuid, platform: 'Other' });
    const good = await verify(uuid, { pattern: 'INGOT-GUEST ready' });
    assert.equal(good.boots, true);
    assert.match(good.evidence, /the serial port said 'INGOT-GUEST ready'/);
    const day = new Date().toISOString().slice(0, 10);
    assert.deepEqual(await tagsOf(uuid), [[`boot::verified::${day}`, true]]);
    const [kept] = await service.client.query('SystemTag', `resourceUuid=${uuid}`);
    await assert.rejects(service.client.call('DeleteTag', { uuid: kept?.uuid }), { message: /is inherent/ });
  });

  it('that come to a log-in prompt are up', async () => {
    const { uuid, backupStorageRefs } = await addImage('stays');
    const digest = await sha256Of(backupStorageRefs[0].installPath);
    const answer = await verify(uuid);
    assert.equal(answer.boots, true, answer.evidence);
    assert.match(answer.evidence, /the serial port said 'login:'/);
    assert.match(answer.console, /INGOT-GUEST ready/);
    assert.deepEqual(readFileSync(answer.screen).subarray(0, 8), Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'));
    assert.equal(await sha256Of(backupStorageRefs[0].installPath), digest);
    assert.deepEqual(await service.client.query('Volume'), []);

    // It stops by itself when it is asked to, and is started again.
    const vm = await call('CreateVmInstance', { name: 'guest', imageUuid: uuid, ...SMALL });
    await untilSays(service.client, vm.uuid, /INGOT-TICK 1/);
    const rebooted = await call('RebootVmInstance', { uuid: vm.uuid });
    assert.equal(rebooted.state, 'Running');
    await untilSays(service.client, vm.uuid, /stops after tick[\s\S]*INGOT-TICK/);
    // One that is asked to stop at once has not said good-bye.
    const stopped = await call('StopVmInstance', { uuid: vm.uuid, type: 'cold' });
    assert.equal(stopped.state, 'Stopped');
    await call('StartVmInstance', { uuid: vm.uuid });
    // Destroyed in the middle of its start.
    await service.client.call('DestroyVmInstance', { uuid: vm.uuid });
    assert.equal(existsSync(`${service.data}/vms/${vm.uuid}`), false);
  });

  it('of disks that nothing can be started from are told as such', async () => {
    const { uuid } = await addImage('zeros', { format: 'raw' }).catch(() =>
      addImage('noise', { format: 'raw' }),
    );
    const answer = await verify(uuid, { seconds: 30 });
    assert.equal(answer.boots, false);
    assert.match((await tagsOf(uuid))[0]?.[0], /^boot::failed::/);
  });
});
