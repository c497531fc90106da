import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import { type Kysely, sql, type Transaction } from 'kysely';
import type { Database } from '../../src/database/database.ts';
import { freshDatabase, onBothDatabases } from './both-databases.ts';

interface Tables {
  item: { id: number; name: string; done: boolean | null };
  part: { itemId: number };
}

/** A promise and what fulfils it. */
const gate = () => Promise.withResolvers<void>();

onBothDatabases((kind, open) => {
  let database: Database;
  let url: string;
  let items: Kysely<Tables>;
  const transaction = <T>(work: (tx: Transaction<Tables>) => Promise<T>): Promise<T> =>
    items.transaction().execute(work);
  const idsOf = async (on: Kysely<Tables> = items) =>
    (await on.selectFrom('item').select('id').orderBy('id').execute()).map(({ id }) => id);

  before(async () => {
    url = await freshDatabase(kind);
    database = await open(url);
    items = database.sql as unknown as Kysely<Tables>;
    await items.schema
      .createTable('item')
      .addColumn('id', 'integer', (column) => column.primaryKey())
      .addColumn('name', 'text', (column) => column.notNull())
      .addColumn('done', 'boolean')
      .execute();
    await sql`create table part (${sql.ref('itemId')} integer references item (id) deferrable initially deferred)`.execute(
      items,
    );
  });
  const clear = async () => {
    await items.deleteFrom('part').execute();
    await items.deleteFrom('item').execute();
  };

  describe('a transaction', () => {
    it('shows its writes to itself, and to others only when it is done', async () => {
      await clear();
      const [written, seen] = [gate(), gate()];
      const inside = transaction(async (tx) => {
        await tx.insertInto('item').values({ id: 1, name: 'one', done: null }).execute();
        assert.deepEqual(await idsOf(tx), [1]);
        written.resolve();
        await seen.promise;
      });
      await written.promise;
      assert.deepEqual(await idsOf(), []);
      seen.resolve();
      await inside;
      assert.deepEqual(await idsOf(), [1]);
    });

    it('that fails leaves nothing, and the error is the one that was thrown', async () => {
      await clear();
      const failure = new Error('no');
      await assert.rejects(
        transaction(async (tx) => {
          await tx.insertInto('item').values({ id: 1, name: 'one', done: null }).execute();
          throw failure;
        }),
        (thrown) => thrown === failure,
      );
      await assert.rejects(
        transaction(async (tx) => {
          await tx.insertInto('item').values({ id: 2, name: 'two', done: null }).execute();
          await tx.insertInto('item').values({ id: 2, name: 'two', done: null }).execute();
        }),
        /unique|duplicate/i,
      );
      assert.deepEqual(await idsOf(), []);
    });

    it('whose commit fails leaves nothing, and those after it go on', async () => {
      await clear();
      await assert.rejects(
        transaction(async (tx) => {
          await tx.insertInto('part').values({ itemId: 99 }).execute();
        }),
        /foreign key/i,
      );
      assert.deepEqual(await items.selectFrom('part').selectAll().execute(), []);
      await transaction((tx) => tx.insertInto('item').values({ id: 1, name: 'one', done: null }).execute());
      assert.deepEqual(await idsOf(), [1]);
    });

    it('does not take in writes that are made beside it', async () => {
      await clear();
      const [begun, go] = [gate(), gate()];
      const failing = transaction(async (tx) => {
        await tx.insertInto('item').values({ id: 1, name: 'inside', done: null }).execute();
        begun.resolve();
        await go.promise;
        throw new Error('no');
      });
      await begun.promise;
      const beside = items.insertInto('item').values({ id: 2, name: 'beside', done: null }).execute();
      go.resolve();
      await assert.rejects(failing, /no/);
      await beside;
      assert.deepEqual(await idsOf(), [2]);
    });

    it('whose connection is cut fails, and the process and those after it go on', async (test) => {
      if (kind !== 'postgres') return test.skip('no connection');
      await clear();
      await assert.rejects(
        transaction(async (tx) => {
          await tx.insertInto('item').values({ id: 1, name: 'one', done: null }).execute();
          const { rows } = await sql<{ pid: number }>`select pg_backend_pid() as pid`.execute(tx);
          await sql`select pg_terminate_backend(${rows[0]?.pid})`.execute(items);
          // No query is under way when the end of the connection is heard of.
          await new Promise((resolve) => setTimeout(resolve, 50));
          await idsOf(tx);
        }),
      );
      assert.deepEqual(await idsOf(), []);
      await transaction((tx) => tx.insertInto('item').values({ id: 2, name: 'two', done: null }).execute());
      assert.deepEqual(await idsOf(), [2]);
    });

    it('sees nothing change that it has read, in this process or another, however many there are', async () => {
      await clear();
      // One process alone has an SQLite file.
      const other = kind === 'postgres' ? await open(url) : database;
      await items
        .insertInto('item')
        .values([1, 2].map((id) => ({ id, name: 'copy', done: null })))
        .execute();
      // Each takes one away unless it is the last one.
      const take = (on: Database, id: number) =>
        on.transaction(async (outer) => {
          const tx = outer as unknown as Transaction<Tables>;
          const { length } = await idsOf(tx);
          // The pool has connections left for reads beside it.
          await items.selectFrom('part').selectAll().execute();
          if (length > 1) await tx.deleteFrom('item').where('id', '=', id).execute();
        });
      await Promise.all(
        Array.from({ length: 24 }, (_, i) => take(i % 4 < 2 ? database : other, 1 + (i % 2))),
      );
      assert.equal((await idsOf()).length, 1);
    });

    it('adds to what others have added, however many there are at once', async () => {
      await clear();
      await items.insertInto('item').values({ id: 1, name: '0', done: null }).execute();
      const order: number[] = [];
      const add = (i: number) =>
        transaction(async (tx) => {
          let read = tx.selectFrom('item').select('name').where('id', '=', 1);
          if (kind === 'postgres') read = read.forUpdate();
          const { name } = await read.executeTakeFirstOrThrow();
          // Time enough for the others to come between, if they could.
          await new Promise((resolve) => setImmediate(resolve));
          await tx
            .updateTable('item')
            .set({ name: String(Number(name) + 1) })
            .where('id', '=', 1)
            .execute();
          order.push(i);
        });
      await Promise.all(Array.from({ length: 60 }, (_, i) => add(i)));
      const { name } = await items.selectFrom('item').select('name').executeTakeFirstOrThrow();
      assert.equal(name, '60');
      // First come, first served: where one waits at the service's own door, and not at the database's.
      if (kind === 'sqlite')
        assert.deepEqual(
          order,
          [...order].sort((a, b) => a - b),
        );
    });
  });

  describe('values', () => {
    it('come back as what they were: booleans, nothing, sizes, any text', async () => {
      await clear();
      const texts = [
        "it's",
        '"; drop table item; --',
        '%_\\',
        '镜像 💿',
        'line\nbreak\ttab',
        '',
        `${'x'.repeat(100_000)}`,
      ];
      await items
        .insertInto('item')
        .values(texts.map((name, id) => ({ id, name, done: [true, false, null][id % 3] ?? null })))
        .execute();
      const rows = await items.selectFrom('item').selectAll().orderBy('id').execute();
      assert.deepEqual(
        rows,
        texts.map((name, id) => ({ id, name, done: [true, false, null][id % 3] ?? null })),
      );
      const returned = await items
        .updateTable('item')
        .set({ done: true })
        .where('id', '=', 1)
        .returning(['id', 'done as finished'])
        .execute();
      assert.deepEqual(returned, [{ id: 1, finished: true }]);
      assert.equal(
        (await items.selectFrom('item').select('id').where('done', '=', true).execute()).length,
        4,
      );
      const { rows: sums } = await sql<{
        count: number;
        large: number;
      }>`select count(*) as count, max(cast(${2 ** 53 - 1} as bigint)) as large from item`.execute(items);
      assert.deepEqual(sums, [{ count: texts.length, large: Number.MAX_SAFE_INTEGER }]);
    });

    it('tell how many rows a write has met', async () => {
      await clear();
      await items
        .insertInto('item')
        .values([1, 2, 3].map((id) => ({ id, name: 'n', done: null })))
        .execute();
      const updated = await items
        .updateTable('item')
        .set({ name: 'm' })
        .where('id', '>', 1)
        .executeTakeFirst();
      assert.equal(updated.numUpdatedRows, 2n);
      const deleted = await items.deleteFrom('item').where('id', '>', 7).executeTakeFirst();
      assert.equal(deleted.numDeletedRows, 0n);
    });

    it("include the database's own time, in milliseconds", async () => {
      const { rows } = await sql<{ now: number }>`select ${database.syntax.now} as now`.execute(items);
      assert.ok(Math.abs((rows[0]?.now ?? 0) - Date.now()) < 60_000);
    });
  });
});
