import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, statfsSync, symlinkSync, writeFileSync } from 'node:fs';
import { rename } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { IngotError } from '../../src/kernel/errors.ts';
import { newUuid } from '../../src/kernel/uuid.ts';
import { openStage, type Stage } from '../image/stage.ts';
import { type TestClient, until } from '../support/service.ts';
import { temporaryDirectory } from '../support/temp-directory.ts';

for (const kind of ['sqlite', 'postgres'] as const) {
  describe(`a local backup storage on ${kind}`, () => {
    let stage: Stage;
    let client: TestClient;
    let place: string;
    before(async () => {
      stage = await openStage(kind);
      ({ client } = stage.service);
      place = temporaryDirectory();
    });
    after(() => stage.close());
    const add = (url: string, more: Record<string, unknown> = {}) =>
      client.call('AddLocalBackupStorage', { name: 'store', url, ...more });
    const remove = (uuid: string, more: Record<string, unknown> = {}) =>
      client.call('DeleteBackupStorage', { uuid, ...more });
    const addImage = async (backupStorageUuids: string[], path = '/disk.qcow2') =>
      (await client.call('AddImage', { name: 'x', url: stage.url(path), backupStorageUuids })).inventory;

    it('is a directory that is made for it, with the room of its file system', async () => {
      const url = join(place, 'new', 'deep');
      const resourceUuid = newUuid();
      const { inventory } = await add(`${url}///`, { description: 'of mine', resourceUuid });
      const { createDate, lastOpDate, ...rest } = inventory;
      const zone = await stage.database.sql
        .selectFrom('zone')
        .select('uuid')
        .where('isDefault', '=', true)
        .executeTakeFirst();
      const { blocks, bsize } = statfsSync(url);
      assert.deepEqual(rest, {
        uuid: resourceUuid,
        name: 'store',
        description: 'of mine',
        url,
        totalCapacity: blocks * bsize,
        availableCapacity: blocks * bsize,
        type: 'LocalBackupStorage',
        state: 'Enabled',
        status: 'Connected',
        attachedZoneUuids: [zone?.uuid],
      });
      assert.deepEqual(await client.query('BackupStorage', 'name=store'), [inventory]);
      await remove(resourceUuid);
      assert.deepEqual(await client.query('BackupStorage', 'name=store'), []);
      assert.deepEqual(readdirSync(url), []);
      // What was given back can be taken again.
      const { inventory: again } = await add(url);
      await remove(again.uuid);
    });

    it('is no directory of the system, of the service or of another storage, nor one with something in it', async () => {
      const { inventory: used } = await add(join(place, 'used'));
      mkdirSync(join(place, 'full', 'sub'), { recursive: true });
      writeFileSync(join(place, 'file'), 'x');
      symlinkSync(join(place, 'used'), join(place, 'link'));
      symlinkSync('/etc', join(place, 'etc'));
      symlinkSync(join(place, 'dangling-target'), join(place, 'dangling'));
      const [local] = await client.query('BackupStorage', 'name=local');
      const cases: [url: string, sentence: RegExp][] = [
        ['/', /\/ is a directory of the system/],
        ['/etc', /\/etc belongs to the system/],
        ['/usr/lib/images', /\/usr belongs to the system/],
        ['/tmp/../etc/images', /\/etc belongs to the system/],
        ['/proc/self', /\/proc belongs to the system/],
        ['/var', /\/var is a directory of the system/],
        [join(place, 'etc', 'images'), /\/etc belongs to the system/],
        [join(place, 'used'), /backup storage 'store' uses it already$/],
        [join(place, 'used', '..', 'used', '.'), /uses it already$/],
        [join(place, 'link'), /uses it already$/],
        [join(place, 'link', 'inside'), /overlaps with .*\/used of backup storage 'store'$/],
        [place, /overlaps with|not empty/],
        [join(place, 'full'), /it is not empty \(it holds 'sub'\)$/],
        [join(place, 'file'), /it is not a directory$/],
        [join(place, 'file', 'below'), /not a directory/],
        [stage.service.data, /the service keeps its own files in/],
        [local?.url, /backup storage 'local' uses it already$/],
        [join(local?.url, 'inside'), /overlaps with/],
        ['relative/path', /^'url' must be an absolute path such as \/srv\/images, but is 'relative\/path'$/],
        ['', /^'url' must not be empty$/],
        ['/srv/\0x', /^'url' must not hold control characters$/],
      ];
      for (const [url, sentence] of cases) {
        await assert.rejects(add(url), (thrown) => {
          assert.ok(thrown instanceof IngotError, `${url}: ${thrown}`);
          assert.equal(thrown.code, 'SYS.1007', url);
          assert.match(thrown.details, sentence);
          assert.equal(thrown.opaque?.parameter, 'url');
          return true;
        });
      }
      await assert.rejects(add(join(place, 'x'), { resourceUuid: used.uuid }), {
        code: 'SYS.1007',
        message: /is taken: there is a BackupStorage with it already$/,
      });
      const zone = await stage.database.sql.selectFrom('zone').select('uuid').executeTakeFirst();
      await assert.rejects(add(join(place, 'x'), { resourceUuid: zone?.uuid }), {
        code: 'SYS.1007',
        message: /is taken: there is a Zone with it already$/,
      });
      assert.equal(existsSync(join(place, 'x')), false);
      assert.equal((await client.query('BackupStorage')).length, 2);
      await remove(used.uuid);
      const elsewhere = join(place, 'elsewhere');
      mkdirSync(elsewhere);
      writeFileSync(join(elsewhere, '.ingot-backup-storage'), `{"uuid":"${newUuid()}"}`);
      await assert.rejects(
        add(elsewhere),
        /is a backup storage of another Ingot, or of an earlier one; empty it first, or take it up again with resourceUuid=[0-9a-f]{32}$/,
      );
    });

    it('takes a directory for one storage, when several ask for it at once', async () => {
      const url = join(place, 'wanted');
      const results = await Promise.allSettled([1, 2, 3].map(() => add(url)));
      const [made, ...more] = results.filter((result) => result.status === 'fulfilled');
      assert.equal(more.length, 0);
      const stores = await client.query('BackupStorage', `url=${url}`);
      assert.deepEqual(stores, [made?.value.inventory]);
      await addImage([stores[0]?.uuid]);
      await stage.checkAll();
      await remove(stores[0]?.uuid);
    });

    it('keeps count of its room, to the byte, whatever comes and goes', async () => {
      const one = await stage.addStorage('counted');
      const two = await stage.addStorage('other');
      const available = async () =>
        (await client.query('BackupStorage', `uuid=${one}`))[0]?.availableCapacity;
      const total = await available();
      const first = await addImage([one]);
      assert.equal(await available(), total - stage.disks.qcow2.length);
      const second = await addImage([one, two], '/disk.raw');
      assert.equal(await available(), total - stage.disks.qcow2.length - stage.disks.raw.length);
      await stage.checkAll();
      const capacityOf = (backupStorageUuids: string[]) =>
        client.call('GetBackupStorageCapacity', { backupStorageUuids });
      const [{ totalCapacity }] = (await client.query('BackupStorage', `uuid=${two}`)) as [
        { totalCapacity: number },
      ];
      assert.deepEqual(await capacityOf([one, two]), {
        totalCapacity: total + totalCapacity,
        availableCapacity: total + totalCapacity - stage.disks.qcow2.length - 2 * stage.disks.raw.length,
      });
      assert.deepEqual(await capacityOf([newUuid()]), { totalCapacity: 0, availableCapacity: 0 });
      await client.call('DeleteImage', { uuid: second.uuid, backupStorageUuids: [one] });
      assert.equal(await available(), total - stage.disks.qcow2.length);
      await client.call('DeleteImage', { uuid: first.uuid });
      assert.equal(await available(), total);
      await client.call('DeleteImage', { uuid: second.uuid });
      await stage.checkNothing();
      for (const uuid of [one, two]) await remove(uuid);
    });

    it('that is deleted takes its copies along, and the images that have no other', async () => {
      const directory = join(place, 'going');
      const one = await stage.addStorage('going', directory);
      const two = await stage.addStorage('staying');
      const alone = await addImage([one]);
      const both = await addImage([one, two]);
      const elsewhere = await addImage([two]);
      assert.deepEqual(await remove(one), {});
      assert.deepEqual(readdirSync(directory), []);
      assert.deepEqual(await client.query('Image', `uuid=${alone.uuid}`), []);
      const [left] = await client.query('Image', `uuid=${both.uuid}`);
      assert.equal(left?.status, 'Ready');
      assert.deepEqual(
        left?.backupStorageRefs.map((ref: { backupStorageUuid: string }) => ref.backupStorageUuid),
        [two],
      );
      await stage.checkAll();
      assert.deepEqual(await remove(one), {});
      for (const image of [both, elsewhere]) await client.call('DeleteImage', { uuid: image.uuid });
      await remove(two);
    });

    it('that is just being written to is not deleted, but by force, and then the image lands elsewhere', async () => {
      const [one, two] = [await stage.addStorage('busy'), await stage.addStorage('idle')];
      stage.faults.set('/disk.raw', ({ number }) => (number === 1 ? { stallAfter: 1 << 20 } : undefined));
      stage.server.requests.length = 0;
      const job = await client.begin('AddImage', {
        name: 'slow',
        url: stage.url('/disk.raw'),
        backupStorageUuids: [one, two],
      });
      await until('the stall', () => (stage.server.requests[0]?.bytesSent ?? 0) >= 1 << 20);
      await assert.rejects(remove(one), {
        code: 'SYS.1006',
        message: /^image 'slow' .* is just being written/,
      });
      await remove(one, { deleteMode: 'Enforcing' });
      const { inventory, failures } = await client.result(job);
      assert.deepEqual(
        inventory.backupStorageRefs.map((ref: { backupStorageUuid: string }) => ref.backupStorageUuid),
        [two],
      );
      assert.equal(failures[0].backupStorageUuid, one);
      await stage.checkAll();
      stage.faults.clear();
      await client.call('DeleteImage', { uuid: inventory.uuid });
      await remove(two);
    });

    it('that is gone is not deleted, but by force', async () => {
      const directory = join(place, 'unmounted');
      const uuid = await stage.addStorage('unmounted', directory);
      await rename(directory, `${directory}.away`);
      await assert.rejects(remove(uuid), { code: 'SYS.1004', message: /'unmounted' can't be reached/ });
      assert.equal((await client.query('BackupStorage', `uuid=${uuid}`)).length, 1);
      await remove(uuid, { deleteMode: 'Enforcing' });
      assert.deepEqual(await client.query('BackupStorage', `uuid=${uuid}`), []);
    });

    it('is taken out of use and back', async () => {
      const uuid = await stage.addStorage('switched');
      const change = async (stateEvent: string) =>
        (await client.call('ChangeBackupStorageState', { uuid, stateEvent })).inventory.state;
      assert.equal(await change('disable'), 'Disabled');
      await assert.rejects(addImage([uuid]), { code: 'SYS.1002' });
      assert.equal(await change('enable'), 'Enabled');
      await assert.rejects(change('maintain'), { code: 'SYS.1007' });
      await client.call('DeleteImage', { uuid: (await addImage([uuid])).uuid });
      await remove(uuid);
      await stage.checkNothing();
    });
  });
}
