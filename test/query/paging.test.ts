import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import type { Database } from '../../src/database/database.ts';
import { Image } from '../../src/image/image.ts';
import type { ParametersOf, QueryMessage } from '../../src/kernel/message.ts';
import { query } from '../../src/query/query.ts';
import { onBothDatabases } from '../database/both-databases.ts';
import { insertImages } from './fill.ts';

type Parameters = NonNullable<Partial<ParametersOf<QueryMessage>>>;

onBothDatabases((_kind, open) => {
  let database: Database;

  const ask = (parameters: Parameters) => query(database, Image, parameters);
  const names = async (parameters: Parameters) =>
    ((await ask(parameters)).inventories ?? []).map(({ name }) => name).join(' ');

  before(async () => {
    database = await open();
    await insertImages(database, [
      { name: 'e', createDate: 5, size: 2, guestOsType: 'b' },
      { name: 'B', createDate: 4, size: 2 },
      { name: 'd', createDate: 3, size: 1, guestOsType: 'A' },
      { name: 'C', createDate: 2, size: 1 },
      { name: 'a', createDate: 1, size: 3, guestOsType: 'c' },
    ]);
  });

  describe('the rows of a query', () => {
    it('come oldest first, the same each time', async () => {
      assert.equal(await names({}), 'a C d B e');
      const same = await Promise.all(Array.from({ length: 5 }, () => names({})));
      assert.deepEqual(new Set(same), new Set(['a C d B e']));
    });

    it('are sorted by any field: text without regard to case, nothing first, equals by age', async () => {
      assert.equal(await names({ sortBy: 'name' }), 'a B C d e');
      assert.equal(await names({ sortBy: 'name', sortDirection: 'desc' }), 'e d C B a');
      assert.equal(await names({ sortBy: 'size' }), 'C d B e a');
      assert.equal(await names({ sortBy: 'size', sortDirection: 'desc' }), 'a e B d C');
      assert.equal(await names({ sortBy: 'guestOsType' }), 'C B d e a');
      assert.equal(await names({ sortBy: 'guestOsType', sortDirection: 'desc' }), 'a e d B C');
      assert.equal(await names({ sortBy: 'createDate', sortDirection: 'desc' }), 'e B d C a');
    });

    it('that are equal in all but their uuid come in its order', async () => {
      const made = await insertImages(
        database,
        [1, 2, 3, 4].map(() => ({ name: 'twin', createDate: 9 })),
      );
      const uuids = async (sortDirection: 'asc' | 'desc') => {
        const { inventories = [] } = await ask({ conditions: ['name=twin'], sortBy: 'size', sortDirection });
        return inventories.map(({ uuid }) => uuid);
      };
      const sorted = made.map(({ uuid }) => uuid).sort();
      assert.deepEqual(await uuids('asc'), sorted);
      assert.deepEqual(await uuids('desc'), sorted.reverse());
      await database.sql.deleteFrom('image').where('name', '=', 'twin').execute();
    });

    it('come page by page', async () => {
      assert.equal(await names({ limit: 2 }), 'a C');
      assert.equal(await names({ limit: 2, start: 2 }), 'd B');
      assert.equal(await names({ limit: 2, start: 4 }), 'e');
      assert.equal(await names({ start: 99 }), '');
      assert.equal(await names({ limit: 0 }), '');
    });

    it('are counted instead, or as well, whatever the page', async () => {
      assert.deepEqual(await ask({ count: true }), { total: 5 });
      assert.deepEqual(await ask({ count: true, conditions: ['size=2'], limit: 1 }), { total: 2 });
      const both = await ask({ replyWithCount: true, limit: 1, start: 1, conditions: ['size<3'] });
      assert.equal(both.total, 4);
      assert.deepEqual(
        both.inventories?.map(({ name }) => name),
        ['d'],
      );
      assert.equal('total' in (await ask({})), false);
    });

    it('hold the named fields alone, without lists and without what has no value', async () => {
      const { inventories = [] } = await ask({ fields: ['name', 'guestOsType', 'name'], limit: 2 });
      assert.deepEqual(inventories, [{ name: 'a', guestOsType: 'c' }, { name: 'C' }]);
      const { inventories: whole = [] } = await ask({ fields: [], limit: 1 });
      assert.deepEqual(whole[0]?.backupStorageRefs, []);
    });

    it('can neither be sorted by nor hold what is no field of their own, and the nearest is named', async () => {
      await assert.rejects(ask({ sortBy: 'nmae' }), {
        code: 'SYS.1007',
        message: "'sortBy' takes Image's own fields, and 'nmae' is none; did you mean 'name'?",
      });
      await assert.rejects(
        ask({ fields: ['uuid', 'siez'] }),
        /'fields' takes .* 'siez' is none; did you mean 'size'/,
      );
      await assert.rejects(ask({ sortBy: 'backupStorage.name' }), { code: 'SYS.1007' });
      await assert.rejects(ask({ fields: ['__proto__'] }), { code: 'SYS.1007' });
      await assert.rejects(ask({ sortBy: 'path' }), { code: 'SYS.1007' });
    });
  });
});
