import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { newUuid } from '../../src/kernel/uuid.ts';
import type { TestClient } from '../support/service.ts';
import { openStage, type Stage } from './stage.ts';

for (const kind of ['sqlite', 'postgres'] as const) {
  describe(`an image on ${kind}`, () => {
    let stage: Stage;
    let client: TestClient;
    let uuid: string;
    before(async () => {
      stage = await openStage(kind);
      ({ client } = stage.service);
      const parameters = { name: 'before', description: 'said before', url: stage.url('/disk.qcow2') };
      uuid = (await client.call('AddImage', parameters)).inventory.uuid;
      await stage.database.sql.updateTable('image').set({ createDate: 1000, lastOpDate: 1000 }).execute();
    });
    after(() => stage.close());
    const update = async (parameters: Record<string, unknown>) =>
      (await client.call('UpdateImage', { uuid, ...parameters })).inventory;

    it('is enabled and disabled, and says when', async () => {
      const [before] = await client.query('Image');
      for (const [stateEvent, state] of [
        ['disable', 'Disabled'],
        ['disable', 'Disabled'],
        ['enable', 'Enabled'],
      ]) {
        const { inventory } = await client.call('ChangeImageState', { uuid, stateEvent });
        assert.equal(inventory.state, state);
        assert.equal(inventory.createDate, before?.createDate);
        assert.notEqual(inventory.lastOpDate, before?.lastOpDate);
        assert.deepEqual(await client.query('Image', `state=${state}`), [inventory]);
      }
      await assert.rejects(client.call('ChangeImageState', { uuid, stateEvent: 'destroy' }), {
        code: 'SYS.1007',
        message: /^'stateEvent' must be one of enable, disable, but is 'destroy'$/,
      });
      await assert.rejects(client.call('ChangeImageState', { uuid }), /^.*'stateEvent' is required/);
      await assert.rejects(client.call('ChangeImageState', { uuid: newUuid(), stateEvent: 'enable' }), {
        code: 'SYS.1003',
      });
    });

    it('keeps what is not given, null or empty', async () => {
      const [before] = await client.query('Image');
      const unchanged = (image: Record<string, unknown> | undefined) => ({ ...image, lastOpDate: undefined });
      for (const nothing of [undefined, null, '']) {
        const after = await update({
          name: nothing,
          description: nothing,
          guestOsType: nothing,
          platform: nothing,
        });
        assert.deepEqual(unchanged(after), unchanged(before));
      }
    });

    it('takes every change that leaves it true', async () => {
      const changes = {
        name: 'after',
        description: 'said after',
        guestOsType: 'Debian 12',
        mediaType: 'DataVolumeTemplate',
        system: true,
        platform: 'Other',
        architecture: 'loongarch64',
        virtio: false,
      };
      const inventory = await update({ ...changes, format: 'qcow2' });
      assert.deepEqual({ ...inventory, ...changes }, inventory);
      assert.deepEqual(await client.query('Image'), [inventory]);
      assert.equal((await update({ platform: 'WindowsVirtio' })).platform, 'Windows');
    });

    it('refuses those that would make it lie, and changes nothing', async () => {
      const [before] = await client.query('Image');
      const wrong: [parameters: Record<string, unknown>, sentence: RegExp][] = [
        [{ name: 'x', format: 'raw' }, /^'format' can't become raw: the bytes of image 'after' are qcow2$/],
        [{ name: 'x', mediaType: 'ISO', system: false }, /^'mediaType' ISO needs the format iso/],
        [{ name: 'x', mediaType: 'ISO' }, /an ISO can't be a system image/],
        [{ name: 'n'.repeat(256) }, /at most 255/],
        [{ name: 'x', colour: 'red' }, /UpdateImage has no parameter 'colour'/],
      ];
      for (const [parameters, sentence] of wrong) {
        await assert.rejects(update(parameters), { code: 'SYS.1007', message: sentence });
      }
      assert.deepEqual(await client.query('Image'), [before]);
      await assert.rejects(client.call('UpdateImage', { uuid: newUuid(), name: 'x' }), { code: 'SYS.1003' });
    });

    it('takes no media type and no system while it is being downloaded, which would say otherwise', async () => {
      const become = (status: 'Downloading' | 'Ready') =>
        stage.database.sql.updateTable('image').set({ status }).where('uuid', '=', uuid).execute();
      await become('Downloading');
      for (const parameters of [{ mediaType: 'DataVolumeTemplate' }, { system: true }]) {
        await assert.rejects(update({ name: 'x', ...parameters }), {
          code: 'SYS.1006',
          message: /can't be changed while it is Downloading$/,
        });
      }
      assert.equal((await update({ name: 'meanwhile' })).name, 'meanwhile');
      await become('Ready');
      assert.equal((await update({ system: false })).system, false);
    });
  });
}
