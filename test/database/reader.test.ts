import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import { CompiledQuery, Kysely } from 'kysely';
import { openSqlite } from '../../src/database/sqlite.ts';
import { openSqliteReader } from '../../src/database/sqlite-reader.ts';
import { temporaryDirectory } from '../support/temp-directory.ts';

const LIMIT = 300;
const TOO_LONG = { code: 'SYS.1001', message: /^the query took more than 1 s, and was ended$/ };

describe('a thread that reads SQLite', async () => {
  const path = `${temporaryDirectory()}/test.sqlite`;
  const writer = new Kysely({ dialect: openSqlite(path).dialect });
  await writer.executeQuery(CompiledQuery.raw('create table t (n integer)'));
  const reader = new Kysely({ dialect: openSqliteReader(path, { timeLimit: LIMIT }) });
  after(async () => {
    await reader.destroy();
    await writer.destroy();
  });
  const ask = async (text: string) => (await reader.executeQuery(CompiledQuery.raw(text))).rows;
  const count = (to: string, where: string) =>
    ask(
      `with recursive c(n) as (select 1 union all select n + 1 from c${to}) select count(*) as k from c where ${where}`,
    );

  it('ends a statement that asks whether it is in time, and goes on', async () => {
    // Both threads are held; what comes behind waits, and has its answer.
    // Awaited from the start: one that ends before the others would else count as unhandled.
    const held = [1, 2, 3].map(() => assert.rejects(count('', 'in_time()'), TOO_LONG));
    const behind = ask('select 1 as one');
    await Promise.all(held);
    assert.deepEqual(await behind, [{ one: 1 }]);
    assert.deepEqual(await count(' limit 1000', 'in_time()'), [{ k: 1000 }]);
  });

  it('is given up for one that does not ask, and what waits behind it gets another', async () => {
    // Some seconds: it can be left, and not be ended.
    const held = [1, 2].map(() => count(' limit 30000000', '1'));
    const rejected = Promise.allSettled(held);
    const began = performance.now();
    assert.deepEqual(await ask('select 2 as two'), [{ two: 2 }]);
    assert.ok(performance.now() - began >= LIMIT);
    for (const each of await rejected) {
      assert.equal(each.status, 'rejected');
      assert.match(String(each.reason), /took more than 1 s/);
    }
  });
});
