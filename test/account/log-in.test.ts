import assert from 'node:assert/strict';
import { readFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { ADMIN_UUID } from '../../src/account/account.ts';
import { makeFirstAccount } from '../../src/account/first-account.ts';
import { sessionOperations } from '../../src/account/log-in.ts';
import { LogInLimits } from '../../src/account/log-in-limits.ts';
import { LogInByAccount } from '../../src/account/messages.ts';
import { hashPassword, sha512, verifyPassword } from '../../src/account/password.ts';
import { Sessions } from '../../src/account/sessions.ts';
import * as accountSettings from '../../src/account/settings.ts';
import type { Database } from '../../src/database/database.ts';
import { Settings } from '../../src/global-config/settings.ts';
import { systemClock } from '../../src/kernel/clock.ts';
import type { IngotError } from '../../src/kernel/errors.ts';
import { createLog } from '../../src/kernel/log.ts';
import { bornAt } from '../../src/kernel/properties.ts';
import { newUuid } from '../../src/kernel/uuid.ts';
import { onBothDatabases } from '../database/both-databases.ts';
import { temporaryDirectory } from '../support/temp-directory.ts';

describe('a password', () => {
  it('travels as its SHA-512 in lower-case hex, and is kept as salted scrypt over that', async () => {
    assert.equal(
      sha512('password'),
      'b109f3bbbc244eb82441917ed06d618b9008dd09b3befd1b5e07394c706a8bb980b1d7785e5976ec049b46df5f1326af5a2ea6d103fd07c95385ffab0cacbc86',
    );
    const digest = sha512('Passwort mit Ü');
    const [one, other] = await Promise.all([hashPassword(digest), hashPassword(digest)]);
    assert.notEqual(one, other);
    assert.match(one, /^scrypt:16384:8:1:[\w-]{22}:[\w-]{43}$/);
    assert.equal(one.includes(digest), false);
    assert.equal(await verifyPassword(digest, one), true);
    assert.equal(await verifyPassword(digest.toUpperCase(), one), true);
    assert.equal(await verifyPassword(sha512('another'), one), false);
  });
});

onBothDatabases((_kind, open) => {
  let database: Database;
  before(async () => {
    database = await open();
  });

  describe('the first account', () => {
    const file = join(temporaryDirectory(), 'admin-password');
    it('is made once, with a password in a file that only its owner reads', async () => {
      const password = await makeFirstAccount(database, file, 5);
      assert.ok(password && password.length >= 20);
      assert.equal(readFileSync(file, 'utf8'), `${password}\n`);
      assert.equal(statSync(file).mode & 0o777, 0o600);
      const [admin, ...others] = await database.sql.selectFrom('account').selectAll().execute();
      assert.deepEqual(others, []);
      assert.deepEqual([admin?.uuid, admin?.name, admin?.type], [ADMIN_UUID, 'admin', 'SystemAdmin']);
      assert.equal(await verifyPassword(sha512(password), admin?.passwordHash ?? ''), true);
      assert.equal(await makeFirstAccount(database, file, 6), undefined);
      assert.equal(readFileSync(file, 'utf8'), `${password}\n`);
    });

    it('has the password of one process, when two make it at the same time', async () => {
      await database.sql.deleteFrom('account').execute();
      const files = [1, 2, 3].map(() => join(temporaryDirectory(), 'admin-password'));
      const passwords = await Promise.all(files.map((each) => makeFirstAccount(database, each, 5)));
      const [right, ...more] = passwords.filter((password) => password !== undefined);
      assert.deepEqual(more, []);
      const admin = await database.sql.selectFrom('account').selectAll().executeTakeFirstOrThrow();
      assert.equal(await verifyPassword(sha512(right ?? ''), admin.passwordHash), true);
      const written = files.filter((each) => statSync(each, { throwIfNoEntry: false }));
      assert.deepEqual(written, [files[passwords.indexOf(right)]]);
    });
    after(() => rmSync(file, { force: true }));
  });

  describe('a session', () => {
    const clock = { time: 1_000_000, now: () => clock.time };
    let sessions: Sessions;
    before(() => {
      const settings = new Settings({
        database,
        clock,
        log: createLog('silent'),
        settings: Object.values(accountSettings),
      });
      sessions = new Sessions({ database, clock, settings });
    });
    const open = () => sessions.open({ uuid: ADMIN_UUID, type: 'SystemAdmin' });

    it('lives two hours, however much it is used', async () => {
      const session = await open();
      assert.equal(session.expiredDate - session.createDate, 7_200_000);
      assert.equal(session.userUuid, ADMIN_UUID);
      assert.deepEqual(await sessions.callerOf(session.uuid), { accountUuid: ADMIN_UUID, admin: true });
      clock.time += 7_199_999;
      assert.equal((await sessions.callerOf(session.uuid)).admin, true);
      clock.time += 1;
      await assert.rejects(sessions.callerOf(session.uuid), { code: 'ID.1001', message: 'Session expired' });
      await assert.rejects(sessions.callerOf(''), { code: 'ID.1001' });
    });

    it('is not to be read in the database, and goes from there when its time is over', async () => {
      const { uuid } = await open();
      const rows = await database.sql.selectFrom('session').selectAll().execute();
      assert.equal(rows.length, 1);
      assert.equal(JSON.stringify(rows).includes(uuid), false);
    });

    it('is refused where an account has five hundred', async () => {
      for (let i = 1; i < 500; i++) {
        await database.sql
          .insertInto('session')
          .values({ digest: `d${i}`, accountUuid: ADMIN_UUID, expiredDate: clock.time + 9, createDate: 1 })
          .execute();
      }
      await assert.rejects(open(), { code: 'ID.1006' });
      clock.time += 9;
      await open();
    });
  });

  describe('one password tried on many accounts', () => {
    it('is slowed, and keeps nobody out who has logged in from there', async () => {
      const [log, clock] = [createLog('silent'), systemClock];
      const settings = new Settings({ database, clock, log, settings: Object.values(accountSettings) });
      const sessions = new Sessions({ database, clock, settings });
      const limits = new LogInLimits(clock);
      const { logInByAccount } = sessionOperations({ database, sessions, limits, log });
      await database.sql
        .insertInto('account')
        .values({
          uuid: newUuid(),
          name: 'alice',
          description: null,
          type: 'Normal',
          passwordHash: await hashPassword(sha512('right')),
          ...bornAt(clock.now()),
        })
        .execute();
      const ended: string[] = [];
      const logIn = async (accountName: string, password: string, from: string) => {
        const parameters = { accountName, password: sha512(password) };
        const caller = { accountUuid: '', admin: false };
        const call = { id: newUuid(), message: LogInByAccount, parameters, caller, from };
        const answer = await logInByAccount(call).catch((error: IngotError) => error);
        ended.push(accountName);
        return 'inventory' in answer ? 'in' : answer.code;
      };
      const wrong = (count: number) =>
        Array.from({ length: count }, (_, i) => logIn(`nobody ${i}`, 'Spring 2026', '192.0.2.1'));
      assert.equal(await logIn('alice', 'right', '192.0.2.1'), 'in');
      assert.deepEqual(await Promise.all(wrong(20)), new Array(20).fill('ID.1000'));
      ended.length = 0;
      const began = performance.now();
      const guesses = wrong(4);
      assert.equal(await logIn('alice', 'right', '192.0.2.1'), 'in');
      await Promise.all(guesses);
      // 0.25, 0.5, 1 and 2 s, the first of them from the failure before.
      assert.ok(performance.now() - began >= 3500);
      assert.ok(ended.indexOf('alice') <= 1, ended.join());
    });
  });
});
