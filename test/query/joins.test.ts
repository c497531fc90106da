import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import { BackupStorage } from '../../src/backup-storage/backup-storage.ts';
import type { Database } from '../../src/database/database.ts';
import { Image } from '../../src/image/image.ts';
import type { Resource } from '../../src/kernel/resource.ts';
import { findInventory, requireFreeUuid, requireInventory } from '../../src/query/find.ts';
import { query } from '../../src/query/query.ts';
import { Volume } from '../../src/volume/volume.ts';
import { Zone } from '../../src/zone/zone.ts';
import { onBothDatabases } from '../database/both-databases.ts';
import { insertCopy, insertImages, insertStorage, insertVolume, insertZone } from './fill.ts';

onBothDatabases((_kind, open) => {
  let database: Database;
  let one: string;
  let two: string;
  let zones: string[];
  let images: { uuid: string; name: string }[];
  const find = async (resource: Resource, ...conditions: string[]) => {
    const { inventories = [], total } = await query(database, resource, {
      conditions,
      sortBy: 'name',
      replyWithCount: true,
    });
    assert.equal(total, inventories.length);
    return inventories.map(({ name }) => name);
  };

  before(async () => {
    database = await open();
    zones = [await insertZone(database, 'north'), await insertZone(database, 'south')];
    one = await insertStorage(database, 'one', zones);
    two = await insertStorage(database, 'two', zones.slice(1));
    await insertStorage(database, 'unattached');
    images = await insertImages(database, [{ name: 'both' }, { name: 'first' }, { name: 'nowhere' }]);
    const [both, first] = images;
    await insertCopy(database, both?.uuid ?? '', two, { createDate: 2, installPath: '/two/both' });
    await insertCopy(database, both?.uuid ?? '', one, { createDate: 1, installPath: '/one/both' });
    await insertCopy(database, first?.uuid ?? '', one, { installPath: '/one/first', status: 'Downloading' });
  });

  describe('a condition on what is related', () => {
    it('holds when any of the related rows fits, and finds a row once', async () => {
      assert.deepEqual(await find(Image, 'backupStorage.name~=%'), ['both', 'first']);
      assert.deepEqual(await find(Image, 'backupStorage.name=TWO'), ['both']);
      assert.deepEqual(await find(Image, `backupStorageRef.backupStorageUuid=${one}`), ['both', 'first']);
      assert.deepEqual(await find(Image, 'backupStorageRefs.installPath~=/one/%'), ['both', 'first']);
      assert.deepEqual(await find(Image, 'backupStorageRefs.status=downloading'), ['first']);
      assert.deepEqual(await find(Image, 'backupStorageRefs.createDate<1970-01-02', 'name~=b%'), ['both']);
    });

    it('leads over any number of relations, back to where it came from too', async () => {
      assert.deepEqual(await find(Image, 'backupStorage.zone.name=north'), ['both', 'first']);
      assert.deepEqual(await find(Image, 'backupStorage.zone.name?=north,south'), ['both', 'first']);
      assert.deepEqual(await find(Zone, 'backupStorage.image.name=first'), ['north', 'south']);
      assert.deepEqual(await find(Image, 'backupStorage.image.backupStorage.image.name=first'), [
        'both',
        'first',
      ]);
      assert.deepEqual(await find(Image, 'backupStorage.image.backupStorage.name=two', 'name=first'), [
        'first',
      ]);
      assert.deepEqual(await find(BackupStorage, 'imageRef.image.name=both', 'zone.name=north'), ['one']);
    });

    it('goes in circles where it is told to: back to the image, and on to its other volumes', async () => {
      const [both, first, nowhere] = images;
      for (const [name, rootImageUuid] of [
        ['root', both?.uuid],
        ['data', both?.uuid],
        ['other', first?.uuid],
      ])
        await insertVolume(database, name ?? '', rootImageUuid ?? '');
      assert.deepEqual(await find(Image, 'volume.name=root'), ['both']);
      assert.deepEqual(await find(Image, 'volume.image.name=both'), ['both']);
      assert.deepEqual(await find(Image, 'volume.image.volume.image.volume.name~=%'), ['both', 'first']);
      assert.deepEqual(await find(Volume, 'image.volume.name=root'), ['data', 'root']);
      assert.deepEqual(await find(Volume, `image.volume.image.volume.image.uuid=${first?.uuid}`), ['other']);
      assert.deepEqual(await find(Image, `volume.image.uuid=${nowhere?.uuid}`), []);
      assert.deepEqual(await find(Image, `${'volume.image.'.repeat(8)}name=first`), ['first']);
    });

    it('takes a list of plain values by its own name', async () => {
      assert.deepEqual(await find(BackupStorage, `attachedZoneUuids=${zones[0]}`), ['one']);
      assert.deepEqual(await find(BackupStorage, `attachedZoneUuids?=${zones.join(',')}`), ['one', 'two']);
      assert.deepEqual(await find(Image, `backupStorage.attachedZoneUuids=${zones[0]?.toUpperCase()}`), [
        'both',
        'first',
      ]);
    });

    it('that denies holds where a related row is another one, and not where there is none', async () => {
      assert.deepEqual(await find(Image, 'backupStorage.name!=two'), ['both', 'first']);
      assert.deepEqual(await find(Image, 'backupStorage.name!=one'), ['both']);
      assert.deepEqual(await find(Image, 'backupStorage.description is null'), ['both', 'first']);
      assert.deepEqual(await find(Image, 'backupStorage.description not null'), []);
    });
  });

  describe('an inventory', () => {
    it('holds its related rows, oldest first, and nothing that has no value', async () => {
      const { inventories = [] } = await query(database, Image, { conditions: ['name=both'] });
      const [both] = inventories;
      const refs = both?.backupStorageRefs as Record<string, unknown>[];
      assert.deepEqual(
        refs.map((ref) => ref.installPath),
        ['/one/both', '/two/both'],
      );
      assert.deepEqual(Object.keys(refs[0] ?? {}).sort(), [
        'backupStorageUuid',
        'createDate',
        'imageUuid',
        'installPath',
        'lastOpDate',
        'status',
      ]);
      assert.equal('description' in (both ?? {}), false);
      const empty = await findInventory(database.sql, Image, images[2]?.uuid ?? '');
      assert.deepEqual(empty?.backupStorageRefs, []);
      const { inventories: storages = [] } = await query(database, BackupStorage, { sortBy: 'name' });
      assert.deepEqual(
        storages.map((storage) => storage.attachedZoneUuids),
        [zones, zones.slice(1), []],
      );
    });

    it('is asked for by its uuid inside a transaction, too', async () => {
      const [both] = images;
      await database.transaction(async (tx) => {
        await tx
          .updateTable('image')
          .set({ guestOsType: 'inside' })
          .where('uuid', '=', both?.uuid ?? '')
          .execute();
        const inventory = await requireInventory(tx, Image, both?.uuid ?? '');
        assert.equal(inventory.guestOsType, 'inside');
      });
      await assert.rejects(requireInventory(database.sql, Image, one), {
        code: 'SYS.1003',
        message: `there is no Image with the uuid ${one}`,
      });
      await assert.rejects(requireFreeUuid(database.sql, [Image], both?.uuid ?? ''), { code: 'SYS.1007' });
      await requireFreeUuid(database.sql, [Image], one);
    });
  });
});
