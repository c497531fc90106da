import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { newUuid } from '../../src/kernel/uuid.ts';
import { openStage, type Stage } from '../image/stage.ts';
import type { TestClient } from '../support/service.ts';
import { temporaryDirectory } from '../support/temp-directory.ts';

for (const kind of ['sqlite', 'postgres'] as const) {
  describe(`zones on ${kind}`, () => {
    let stage: Stage;
    let client: TestClient;
    before(async () => {
      stage = await openStage(kind);
      ({ client } = stage.service);
    });
    after(() => stage.close());
    const create = async (more: object = {}) =>
      (await client.call('CreateZone', { name: 'z', ...more })).inventory;

    it('are made, one of them the default, and deleted but for the last', async () => {
      const [first] = await client.query('Zone');
      await assert.rejects(client.call('DeleteZone', { uuid: first?.uuid }), {
        code: 'SYS.1004',
        message: /zone 'default' .* is the only one, and one must stay/,
      });
      const resourceUuid = newUuid();
      const zone = await create({ description: 'of mine', isDefault: true, resourceUuid, userTags: ['new'] });
      const { createDate, lastOpDate, ...rest } = zone;
      assert.deepEqual(rest, {
        uuid: resourceUuid,
        name: 'z',
        description: 'of mine',
        state: 'Enabled',
        type: 'zstack',
        isDefault: true,
      });
      assert.deepEqual(
        (await client.query('Zone', 'isDefault=true')).map(({ uuid }) => uuid),
        [resourceUuid],
      );
      assert.equal((await client.query('Zone', '__userTag__=new')).length, 1);
      await assert.rejects(create({ resourceUuid }), { code: 'SYS.1007' });
      // What names no zone goes to the default one.
      const store = await stage.addStorage('follows');
      const [{ attachedZoneUuids }] = (await client.query('BackupStorage', `uuid=${store}`)) as [
        { attachedZoneUuids: string[] },
      ];
      assert.deepEqual(attachedZoneUuids, [resourceUuid]);
      await client.call('DeleteZone', { uuid: resourceUuid });
      await client.call('DeleteZone', { uuid: resourceUuid });
      const [theDefault] = await client.query('Zone', 'isDefault=true');
      assert.equal(theDefault?.uuid, first?.uuid);
      assert.deepEqual(await client.query('BackupStorage', `zone.uuid=${resourceUuid}`), []);
      assert.equal((await client.query('BackupStorage', `uuid=${store}`)).length, 1);
      await client.call('DeleteBackupStorage', { uuid: store });
    });

    it('take what is in them along, as its own call would', async () => {
      const zone = await create({ name: 'full' });
      const url = join(temporaryDirectory(), 'primary');
      for (const name of ['one', 'two']) {
        const parameters = { name, url: join(url, name), zoneUuid: zone.uuid };
        await client.call('AddLocalPrimaryStorage', parameters);
      }
      await client.call('DeleteZone', { uuid: zone.uuid });
      assert.deepEqual(await client.query('PrimaryStorage', `zoneUuid=${zone.uuid}`), []);
      assert.equal(existsSync(join(url, 'one', '.ingot-primary-storage')), false);
    });

    it('are served by the backup storages that are attached to them', async () => {
      const zone = await create();
      const store = await stage.addStorage('attached');
      const both = { zoneUuid: zone.uuid, backupStorageUuid: store };
      const { inventory } = await client.call('AttachBackupStorageToZone', both);
      assert.equal(inventory.attachedZoneUuids.length, 2);
      assert.ok(inventory.attachedZoneUuids.includes(zone.uuid));
      await assert.rejects(
        client.call('AttachBackupStorageToZone', both),
        /is attached to zone 'z' .*already/,
      );
      const { inventory: without } = await client.call('DetachBackupStorageFromZone', both);
      assert.ok(!without.attachedZoneUuids.includes(zone.uuid));
      await assert.rejects(client.call('DetachBackupStorageFromZone', both), /it is not true that/);
      await assert.rejects(client.call('AttachBackupStorageToZone', { ...both, zoneUuid: newUuid() }), {
        code: 'SYS.1003',
      });
      await client.call('DeleteBackupStorage', { uuid: store });
      assert.deepEqual(
        (await client.call('GetBackupStorageTypes')).types.includes('LocalBackupStorage'),
        true,
      );
    });
  });
}
