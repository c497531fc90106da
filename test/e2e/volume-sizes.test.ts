/** How large volumes are and become, and where templates of them go. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { IngotError } from '../../src/kernel/errors.ts';
import { fsckOf } from '../support/fsck.ts';
import { runProgram } from '../support/program.ts';
import { type RangeServer, startRangeServer } from '../support/range-server.ts';
import { startTestService, type TestService } from '../support/service.ts';
import { temporaryDirectory } from '../support/temp-directory.ts';

const MIB = 2 ** 20;
const disk = randomBytes(4 * MIB);

async function virtualSize(file: string): Promise<number> {
  return JSON.parse(await runProgram('qemu-img', ['info', '--output=json', file]))['virtual-size'];
}

async function contents(file: string): Promise<Buffer> {
  const raw = join(temporaryDirectory(), 'disk.raw');
  await runProgram('qemu-img', ['convert', '-O', 'raw', file, raw]);
  return readFileSync(raw);
}

describe('the size of a volume', () => {
  let service: TestService;
  let server: RangeServer;
  let image: string;
  let storage: string;
  before(async () => {
    service = await startTestService();
    server = await startRangeServer({ files: { '/disk.raw': disk } });
    image = (await call('AddImage', { name: 'x', url: server.url('/disk.raw'), format: 'raw' })).uuid;
    storage = (await service.client.query('PrimaryStorage'))[0]?.uuid;
  });
  after(async () => {
    await service.stop();
    await server.close();
    assert.deepEqual(await fsckOf(service), []);
  });

  const call = async (name: string, parameters: Record<string, unknown>) =>
    (await service.client.call(name, parameters)).inventory;
  const room = async () =>
    (await service.client.call('GetPrimaryStorageCapacity', { primaryStorageUuids: [storage] }))
      .availableCapacity;

  it('is that of its offering', async () => {
    const offering = await call('CreateDiskOffering', { name: 'small', diskSize: 3 * MIB });
    const made = { name: 'data', diskOfferingUuid: offering.uuid, primaryStorageUuid: storage };
    const volume = await call('CreateDataVolume', made);
    assert.deepEqual([volume.size, volume.diskOfferingUuid], [3 * MIB, offering.uuid]);
    assert.equal(await virtualSize(volume.installPath), 3 * MIB);
    assert.ok((await contents(volume.installPath)).equals(Buffer.alloc(3 * MIB)));

    await call('ChangeDiskOfferingState', { uuid: offering.uuid, stateEvent: 'disable' });
    await assert.rejects(
      call('CreateDataVolume', made),
      (error) => error instanceof IngotError && /'small' .*is Disabled/.test(error.details),
    );
    // A volume is whole without what it was made from.
    await service.client.call('DeleteDiskOffering', { uuid: offering.uuid });
    const [after] = await service.client.query('Volume', `uuid=${volume.uuid}`);
    assert.deepEqual([after?.size, after?.status], [3 * MIB, 'Ready']);
    await service.client.call('DeleteDataVolume', { uuid: volume.uuid });
  });

  for (const type of ['Root', 'Data'] as const) {
    it(`of type ${type} grows, and takes the room of it, and nothing that was there changes`, async () => {
      const before = await room();
      const volume =
        type === 'Root'
          ? await call('CreateRootVolumeFromImage', { name: 'root', imageUuid: image })
          : await call('CreateDataVolume', {
              name: 'data',
              diskSize: 4 * MIB,
              primaryStorageUuid: storage,
            });
      const was = await contents(volume.installPath);
      const grown = await call(`Resize${type}Volume`, { uuid: volume.uuid, size: 6 * MIB });
      assert.equal(grown.size, 6 * MIB);
      assert.equal(await virtualSize(grown.installPath), 6 * MIB);
      assert.ok((await contents(grown.installPath)).equals(Buffer.concat([was, Buffer.alloc(2 * MIB)])));
      assert.equal(before - (await room()), 6 * MIB);
      await service.client.call(`Delete${type}Volume`, { uuid: volume.uuid });
      assert.equal(await room(), before);
    });
  }

  it('is what its layer takes, as soon as that is looked at', async () => {
    const volume = await call('CreateRootVolumeFromImage', { name: 'root', imageUuid: image });
    assert.ok(volume.actualSize <= 200 * 1024, String(volume.actualSize));
    await runProgram('qemu-io', ['-c', 'write -P 7 0 2M', volume.installPath]);
    const { actualSize, size } = await call('SyncVolumeSize', { uuid: volume.uuid });
    assert.ok(actualSize >= 2 * MIB && actualSize < 3 * MIB, String(actualSize));
    assert.equal(size, 4 * MIB);
    await service.client.call('DeleteRootVolume', { uuid: volume.uuid });
  });
});

describe('a template', () => {
  it('goes to every store that can take it, to one of them when none is named, and nowhere when all fail', async () => {
    const service = await startTestService();
    const server = await startRangeServer({ files: { '/disk.raw': disk } });
    after(() => server.close());
    const call = async (name: string, parameters: Record<string, unknown>) =>
      (await service.client.call(name, parameters)).inventory;
    const [local] = await service.client.query('BackupStorage', 'name=local');
    const [other, out] = [
      await call('AddLocalBackupStorage', { name: 'other', url: temporaryDirectory() }),
      await call('AddLocalBackupStorage', { name: 'out', url: temporaryDirectory() }),
    ];
    await call('ChangeBackupStorageState', { uuid: out.uuid, stateEvent: 'disable' });
    const image = await call('AddImage', { name: 'x', url: server.url('/disk.raw'), format: 'raw' });
    const { uuid: rootVolumeUuid, installPath } = await call('CreateRootVolumeFromImage', {
      name: 'x',
      imageUuid: image.uuid,
    });
    await runProgram('qemu-io', ['-c', 'write -P 9 1M 1M', installPath]);
    const expected = await contents(installPath);

    const named = [local?.uuid, other.uuid, out.uuid];
    const { inventory: template, failures } = await service.client.call(
      'CreateRootVolumeTemplateFromRootVolume',
      { name: 'three', rootVolumeUuid, backupStorageUuids: named },
    );
    assert.deepEqual(
      template.backupStorageRefs.map((ref: { backupStorageUuid: string }) => ref.backupStorageUuid).sort(),
      [local?.uuid, other.uuid].sort(),
    );
    for (const { installPath: copy } of template.backupStorageRefs) {
      await runProgram('qemu-img', ['check', '-q', copy]);
      assert.ok((await contents(copy)).equals(expected));
    }
    assert.equal(failures.length, 1);
    assert.match(JSON.stringify(failures), new RegExp(`${out.uuid}.*Disabled`));

    const anywhere = await call('CreateRootVolumeTemplateFromRootVolume', { name: 'any', rootVolumeUuid });
    assert.equal(anywhere.backupStorageRefs.length, 1);
    assert.notEqual(anywhere.backupStorageRefs[0].backupStorageUuid, out.uuid);

    await assert.rejects(
      call('CreateRootVolumeTemplateFromRootVolume', {
        name: 'none',
        rootVolumeUuid,
        backupStorageUuids: [out.uuid],
      }),
      (error) => error instanceof IngotError && /Disabled/.test(error.details),
    );
    assert.deepEqual(await service.client.query('Image', 'name=none'), []);
    assert.equal(existsSync(join(out.url, 'templates')), false);
    await service.stop();
    assert.deepEqual(await fsckOf(service), []);
  });
});
