import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import { takeRoom } from '../../src/backup-storage/capacity.ts';
import { chooseStorage } from '../../src/backup-storage/choose.ts';
import type { Database } from '../../src/database/database.ts';
import { onBothDatabases } from '../database/both-databases.ts';
import { insertStorage, insertZone } from '../query/fill.ts';

/** Numbers that look random, the same in each run. */
function seeded(seed: number): (limit: number) => number {
  let state = seed;
  return (limit) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * limit);
  };
}

onBothDatabases((kind, open) => {
  let database: Database;
  let good: string[];
  before(async () => {
    database = await open();
    const zone = await insertZone(database, 'z');
    good = [];
    for (const name of ['a', 'b', 'c']) good.push(await insertStorage(database, name, [zone]));
    const bad = async (name: string, zones: string[], changes: Record<string, unknown>) => {
      const uuid = await insertStorage(database, name, zones);
      if (Object.keys(changes).length === 0) return;
      await database.sql.updateTable('backupStorage').set(changes).where('uuid', '=', uuid).execute();
    };
    await bad('disabled', [zone], { state: 'Disabled' });
    await bad('gone', [zone], { status: 'Disconnected' });
    await bad('connecting', [zone], { status: 'Connecting' });
    await bad('full', [zone], { availableCapacity: 1000 });
    await bad('attached to nothing', [], {});
  });
  const choose = (bytes: number, random: (limit: number) => number) =>
    database.transaction((tx) => chooseStorage(tx, bytes, random));

  describe('the storage for an image that names none', () => {
    it('is one of those that can take it, each now and then', async () => {
      const random = seeded(7);
      const counts = new Map<string, number>();
      for (let i = 0; i < 90; i++) {
        const uuid = await choose(1000, random);
        counts.set(uuid, (counts.get(uuid) ?? 0) + 1);
      }
      assert.deepEqual([...counts.keys()].sort(), good.sort());
      for (const count of counts.values()) assert.ok(count > 15 && count < 45, `${[...counts.values()]}`);
    });

    it('is the same for the same chance', async () => {
      const [one, other] = [seeded(3), seeded(3)];
      for (let i = 0; i < 5; i++) assert.equal(await choose(1000, one), await choose(1000, other));
    });

    it('has room: more than the image needs', async () => {
      const everyone = await Promise.all(Array.from({ length: 4 }, (_, i) => choose(999, () => i)));
      assert.equal(new Set(everyone).size, 4);
      await assert.rejects(
        choose(10 * 2 ** 30, () => 0),
        { code: 'BS.1003', message: /has more than 10 GiB left$/ },
      );
    });
  });

  describe('the room of a storage', () => {
    it('is never promised twice, and never more than there is', async () => {
      const uuid = await insertStorage(database, 'contended');
      const size = 10 * 2 ** 30;
      const results = await Promise.allSettled(
        Array.from({ length: 20 }, () => database.transaction((tx) => takeRoom(tx, uuid, size / 8))),
      );
      const failed = results.filter((result) => result.status === 'rejected');
      assert.equal(failed.length, 12, kind);
      for (const { reason } of failed) {
        assert.equal(reason.code, 'BS.1006');
        assert.match(
          reason.details,
          /'contended' has no room for 1\.25 GiB \(1342177280 bytes\): 0 B are left/,
        );
      }
      const left = async () =>
        (
          await database.sql
            .selectFrom('backupStorage')
            .select('availableCapacity')
            .where('uuid', '=', uuid)
            .executeTakeFirstOrThrow()
        ).availableCapacity;
      assert.equal(await left(), 0);
      await database.transaction((tx) => takeRoom(tx, uuid, -size));
      assert.equal(await left(), size);
      await database.transaction((tx) => takeRoom(tx, uuid, 0));
      await assert.rejects(
        database.transaction((tx) => takeRoom(tx, 'none', 1)),
        { code: 'SYS.1003' },
      );
      // Given back to what is gone.
      await database.transaction((tx) => takeRoom(tx, 'none', -1));
    });
  });
});
