import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { rename } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, beforeEach, describe, it } from 'node:test';
import { newUuid } from '../../src/kernel/uuid.ts';
import { type TestClient, until } from '../support/service.ts';
import { temporaryDirectory } from '../support/temp-directory.ts';
import { openStage, type Stage } from './stage.ts';

for (const kind of ['sqlite', 'postgres'] as const) {
  describe(`DeleteImage on ${kind}`, () => {
    let stage: Stage;
    let client: TestClient;
    let one: string;
    let two: string;
    const first = join(temporaryDirectory(), 'one');
    before(async () => {
      stage = await openStage(kind, { parallelJobs: 1 });
      ({ client } = stage.service);
      one = await stage.addStorage('one', first);
      two = await stage.addStorage('two');
    });
    after(() => stage.close());
    beforeEach(() => stage.faults.clear());
    const add = async () => {
      const parameters = { name: 'x', url: stage.url('/disk.qcow2'), backupStorageUuids: [one, two] };
      return (await client.call('AddImage', parameters)).inventory;
    };
    const remove = (uuid: string, parameters: Record<string, unknown> = {}) =>
      client.call('DeleteImage', { uuid, ...parameters });

    it('removes all copies, with their bytes, rows and room', async () => {
      const image = await add();
      assert.deepEqual(await remove(image.uuid), {});
      for (const ref of image.backupStorageRefs) assert.equal(existsSync(ref.installPath), false);
      await stage.checkNothing();
    });

    it('removes single copies, and the image with its last one', async () => {
      const image = await add();
      await remove(image.uuid, { backupStorageUuids: [one] });
      const [left] = await client.query('Image', `uuid=${image.uuid}`);
      assert.deepEqual(
        left?.backupStorageRefs.map((ref: { backupStorageUuid: string }) => ref.backupStorageUuid),
        [two],
      );
      await stage.checkAll();
      await assert.rejects(remove(image.uuid, { backupStorageUuids: [one] }), {
        code: 'SYS.1007',
        message: `image 'x' has no copy on backup storage ${one}`,
      });
      await assert.rejects(remove(image.uuid, { backupStorageUuids: [two, newUuid()] }), {
        code: 'SYS.1007',
      });
      await stage.checkAll();
      assert.equal((await client.query('Image')).length, 1);
      // By force, what is not there is no reason to stop.
      await remove(image.uuid, { backupStorageUuids: [one], deleteMode: 'Enforcing' });
      assert.equal((await client.query('Image')).length, 1);
      await remove(image.uuid, { backupStorageUuids: [one, two], deleteMode: 'Enforcing' });
      await stage.checkNothing();
    });

    it('of an image that is not there succeeds', async () => {
      assert.deepEqual(await remove(newUuid()), {});
      assert.deepEqual(await remove(newUuid(), { deleteMode: 'Enforcing' }), {});
      await assert.rejects(remove(newUuid(), { deleteMode: 'Gently' }), { code: 'SYS.1007' });
    });

    it('of an image that is being taken in stops that, waits for it, and leaves nothing', async () => {
      stage.faults.set('/disk.raw', () => ({ bytesPerSecond: 1 << 20 }));
      const parameters = { name: 'slow', url: stage.url('/disk.raw'), backupStorageUuids: [one, two] };
      const running = await client.begin('AddImage', parameters);
      const waiting = await client.begin('AddImage', { ...parameters, name: 'later' });
      const [slow, later] = await until('both images', async () => {
        const images = await client.query('Image');
        const named = (name: string) => images.find((image) => image.name === name);
        return images.length === 2 && [named('slow'), named('later')];
      });
      // Not a single copy of it, as there is none yet.
      await assert.rejects(remove(slow?.uuid, { backupStorageUuids: [one] }), { code: 'SYS.1006' });
      // Though one job may run at a time, and these wait for the undoing of others that may have to wait as well.
      await Promise.all([later, slow].map((image) => remove(image?.uuid)));
      for (const job of [running, waiting]) await assert.rejects(client.result(job), { code: 'SYS.1017' });
      await stage.checkNothing();
    });

    it('from a storage that is gone fails and changes nothing, but not by force', async () => {
      const image = await add();
      const [before] = await client.query('Image', `uuid=${image.uuid}`);
      await rename(first, `${first}.away`);
      await assert.rejects(remove(image.uuid, { backupStorageUuids: [one] }), { code: 'BS.1005' });
      await rename(`${first}.away`, first);
      const [after] = await client.query('Image', `uuid=${image.uuid}`);
      const undated = (inventory: unknown) =>
        JSON.stringify(inventory, (key, value) => (key === 'lastOpDate' ? '' : value));
      assert.equal(undated(after), undated(before));
      await stage.checkAll();

      await rename(first, `${first}.away`);
      await remove(image.uuid, { deleteMode: 'Enforcing' });
      assert.deepEqual(await client.query('Image'), []);
      await rename(`${first}.away`, first);
      // What force has left behind goes when the storage is back.
      const [left] = image.backupStorageRefs.filter(
        (ref: { backupStorageUuid: string }) => ref.backupStorageUuid === one,
      );
      assert.equal(existsSync(left.installPath), true);
      await remove((await add()).uuid);
      await until('what was left to go', () => !existsSync(join(first, 'templates')));
      await stage.checkNothing();
    });

    it('by several at once gives the room back once', async () => {
      const image = await add();
      const results = await Promise.allSettled([
        remove(image.uuid),
        remove(image.uuid, { backupStorageUuids: [one] }),
        remove(image.uuid, { deleteMode: 'Enforcing' }),
        remove(image.uuid),
      ]);
      assert.ok(results.some((result) => result.status === 'fulfilled'));
      await stage.checkNothing();
    });
  });
}
