import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import { sql } from 'kysely';
import type { Database } from '../../src/database/database.ts';
import { Image, ImageBackupStorageRef } from '../../src/image/image.ts';
import type { Resource } from '../../src/kernel/resource.ts';
import type { Restrict } from '../../src/query/compile.ts';
import { PLANNING } from '../../src/query/plan.ts';
import { query } from '../../src/query/query.ts';
import { SystemTag } from '../../src/query/tag.ts';
import { addSystemTag, addUserTag } from '../../src/tag/tags.ts';
import { Zone } from '../../src/zone/zone.ts';
import { onBothDatabases } from '../database/both-databases.ts';
import { insertCopy, insertImages, insertStorage, insertZone } from '../query/fill.ts';

/** Nothing by the name of `hidden` may be seen, and no copy on what is called so. */
const restrict: Restrict = (alias, resource) => {
  if (resource === ImageBackupStorageRef) {
    return sql`${sql.ref(`${alias}.backupStorageUuid`)} not in (select uuid from "backupStorage" where name = 'hidden')`;
  }
  if (resource === SystemTag) return sql`${sql.ref(`${alias}.tag`)} <> 'remote'`;
  return resource.fields.name ? sql`${sql.ref(`${alias}.name`)} <> 'hidden'` : undefined;
};

onBothDatabases((_kind, open) => {
  describe('what may not be seen', () => {
    let database: Database;
    before(async () => {
      database = await open();
      const zone = await insertZone(database, 'hidden');
      const seen = await insertStorage(database, 'seen', [zone]);
      const hidden = await insertStorage(database, 'hidden', [zone]);
      const images = await insertImages(database, [{ name: 'hidden' }, { name: 'both' }, { name: 'alone' }]);
      const [first, both, alone] = images.map(({ uuid }) => uuid) as [string, string, string];
      for (const uuid of [first, both]) await insertCopy(database, uuid, seen);
      for (const uuid of [first, both, alone]) await insertCopy(database, uuid, hidden);
      await database.transaction(async (tx) => {
        await addUserTag(tx, { resource: Image, uuid: first }, 'red', 1);
        for (const tag of ['remote', 'packer'])
          await addSystemTag(tx, { resource: Image, uuid: both }, tag, 1);
      });
    });

    for (const planning of [PLANNING, { small: -1, fewest: 1, most: 1, first: 1 }]) {
      const ask = (where: string | undefined, resource: Resource = Image) =>
        query(
          database,
          resource,
          { ...(where && { where }), replyWithCount: true, sortBy: 'name' },
          { restrict, planning },
        );
      const names = async (where?: string) => {
        const { inventories = [], total } = await ask(where);
        assert.equal(total, inventories.length);
        return inventories.map(({ name }) => name);
      };

      it(`is neither returned nor counted, and nothing is learnt over it (small: ${planning.small})`, async () => {
        assert.deepEqual(await names(), ['alone', 'both']);
        assert.deepEqual(await names('name=hidden or name=both'), ['both']);
        assert.deepEqual(await names('not name=x'), ['alone', 'both']);
        assert.deepEqual(await names('__userTag__=red'), []);
        assert.deepEqual(await names('backupStorage.name=seen'), ['both']);
        assert.deepEqual(await names('backupStorage.name=hidden'), []);
        assert.deepEqual(await names('not backupStorage.name=hidden'), ['alone', 'both']);
        assert.deepEqual(await names('backupStorage.zone.name=hidden'), []);
        assert.deepEqual(await names('backupStorage.image.name=hidden'), []);
        assert.deepEqual(await names('backupStorageRef.status=Ready'), ['both']);
        assert.deepEqual(await names('__systemTag__=remote'), []);
        assert.deepEqual(await names('__systemTag__=packer'), ['both']);
        assert.deepEqual((await ask(undefined, Zone)).inventories, []);
      });

      it(`is in no list of an inventory either (small: ${planning.small})`, async () => {
        const { inventories = [] } = await ask(undefined);
        const lists = inventories.map(({ backupStorageRefs, systemTags }) => [
          (backupStorageRefs as unknown[]).length,
          (systemTags as { tag: string }[]).map(({ tag }) => tag).join(),
        ]);
        assert.deepEqual(lists, [
          [0, ''],
          [1, 'packer'],
        ]);
      });
    }
  });
});
