import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { CompiledQuery, sql } from 'kysely';
import { openDatabase } from '../../src/database/database.ts';
import { ResultCache } from '../../src/database/result-cache.ts';
import { temporaryDirectory } from '../support/temp-directory.ts';

describe('rows that were read before', () => {
  it('are the same until a commit, of whomever', async () => {
    const path = join(temporaryDirectory(), 'x.sqlite');
    const [database, other] = [await openDatabase(path), await openDatabase(path)];
    await sql`create table thing (name text, number integer, good boolean)`.execute(database.sql);
    const read = async () => {
      const { rows } = await sql<{ name: string }>`select * from thing order by number`.execute(database.sql);
      return rows.map(({ name }) => name).join();
    };
    const expected = async (names: string) => {
      for (let i = 0; i < 4; i++) assert.equal(await read(), names);
    };
    await expected('');
    await sql`insert into thing values ('a', 1, true)`.execute(database.sql);
    await expected('a');
    await database.transaction(async (tx) => {
      await sql`insert into thing values ('b', 2, true)`.execute(tx);
      await expected('a');
      const { rows } = await sql<{ name: string }>`select name from thing`.execute(tx);
      assert.equal(rows.length, 2);
    });
    await expected('a,b');
    const failed = database.transaction(async (tx) => {
      await sql`delete from thing`.execute(tx);
      throw new Error('no');
    });
    await assert.rejects(failed, /no/);
    await expected('a,b');
    await sql`update thing set name = 'c' where number = 1`.execute(other.sql);
    await expected('c,b');
    await other.close();
    await database.close();
  });

  it('belong to whoever asked', async () => {
    const database = await openDatabase(join(temporaryDirectory(), 'x.sqlite'));
    await sql`create table thing (name text, good boolean)`.execute(database.sql);
    await sql`insert into thing values ('a', true)`.execute(database.sql);
    const ask = () =>
      sql<{ name: string; good: boolean }>`select name, good from thing`.execute(database.sql);
    for (let i = 0; i < 4; i++) {
      const { rows } = await ask();
      assert.deepEqual({ ...rows[0] }, { name: 'a', good: true });
      Object.assign(rows[0] ?? {}, { name: 'changed' });
      rows.push({ name: 'more', good: false });
    }
    await database.close();
  });

  it('are those of the very same values', async () => {
    const database = await openDatabase(join(temporaryDirectory(), 'x.sqlite'));
    const kinds: [value: unknown, kind: RegExp][] = [
      [1, /^(integer|real)$/],
      ['1', /^text$/],
      [null, /^null$/],
      [true, /^(integer|real)$/],
      ['', /^text$/],
    ];
    for (let i = 0; i < 3; i++) {
      for (const [value, kind] of kinds) {
        const { rows } = await database.sql.executeQuery<{ kind: string }>(
          CompiledQuery.raw('select typeof(?) as kind', [value]),
        );
        assert.match(rows[0]?.kind ?? '', kind, String(value));
      }
    }
    await database.close();
  });

  it('are not kept where reading them takes less time than asking whether they are still right', () => {
    const cache = new ResultCache();
    let versions = 0;
    const version = () => ++versions;
    const wait = (milliseconds: number) => {
      for (const until = performance.now() + milliseconds; performance.now() < until; );
    };
    for (let i = 0; i < 20; i++) cache.rows(version, 'quick', [], () => [[1]]);
    // One may have been held up.
    assert.ok(versions < 10, `${versions}`);
    versions = 0;
    for (let i = 0; i < 20; i++) {
      cache.rows(version, 'slow', [], () => {
        wait(1);
        return [[1]];
      });
    }
    assert.equal(versions, 19);
  });

  it('are kept when they came twice, as far as there is room, and not where time or chance has a say', () => {
    const cache = new ResultCache({ worthwhile: 0 });
    let reads = 0;
    const ask = (text: string, parameters: unknown[] = [], rows = 1) =>
      cache.rows(
        () => 1,
        text,
        parameters,
        () => {
          reads++;
          return Array.from({ length: rows }, () => [reads, 'x']);
        },
      );
    const readsOf = (work: () => void) => {
      reads = 0;
      for (let i = 0; i < 5; i++) work();
      return reads;
    };
    assert.equal(
      readsOf(() => ask('select 1')),
      2,
    );
    assert.equal(
      readsOf(() => ask('select 2', [1, 'a'])),
      2,
    );
    assert.equal(
      readsOf(() => ask('select 2', [1, 'b'])),
      2,
    );
    assert.equal(
      readsOf(() => ask('select 2', ['1a'])),
      2,
    );
    assert.equal(
      readsOf(() => ask("select unixepoch('subsec')")),
      5,
    );
    assert.equal(
      readsOf(() => ask('select 3', [new Uint8Array(1)])),
      5,
    );
    assert.equal(
      readsOf(() => ask('select large', [], 20_000)),
      5,
    );
    // Many that fit each, and not together: the last ones are there, the first had to go.
    for (let i = 0; i < 40; i++)
      assert.equal(
        readsOf(() => ask('select some', [i], 500)),
        2,
      );
    assert.equal(
      readsOf(() => ask('select some', [39], 500)),
      0,
    );
    assert.ok(readsOf(() => ask('select some', [0], 500)) > 0);
  });
});
