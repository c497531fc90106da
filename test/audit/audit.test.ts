import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';
import { ADMIN_UUID } from '../../src/account/account.ts';
import { AuditLog } from '../../src/audit/audit-log.ts';
import { messages } from '../../src/catalogue.ts';
import { type Database, openDatabase } from '../../src/database/database.ts';
import { type RangeServer, startRangeServer } from '../support/range-server.ts';
import { startTestService, TestClient, type TestService, until } from '../support/service.ts';
import { smallQcow2 } from '../support/small-disks.ts';

const sha512 = (text: string) => createHash('sha512').update(text).digest('hex');

it('every message that changes something is told of, and none that only asks', () => {
  const asking = messages.filter((message) => !message.mutates).map(({ name }) => name);
  for (const name of asking) assert.match(name, /^(Query|Get|Is|Validate|Download)/);
  const changing = messages
    .filter((message) => message.mutates && message.kind === 'sync')
    .map(({ name }) => name);
  for (const name of changing) assert.doesNotMatch(name, /^(Query|Get|Is|Validate|Download)/);
});

for (const kind of ['sqlite', 'postgres'] as const) {
  describe(`the audit log on ${kind}`, () => {
    let service: TestService;
    let admin: TestClient;
    let source: RangeServer;
    let database: Database;
    before(async () => {
      source = await startRangeServer({ files: { '/a.qcow2': readFileSync((await smallQcow2()).path) } });
      service = await startTestService({ database: kind });
      admin = service.client;
      database = await openDatabase(service.databaseAt);
    });
    after(async () => {
      await database.close();
      await service.stop();
      await source.close();
    });
    const rows = (...conditions: string[]) => admin.query('Audit', ...conditions);

    it('says who logged in, from where, and who tried in vain', async () => {
      const [login] = await rows('apiName=LogInByAccount', 'state=Succeeded');
      assert.equal(login?.accountUuid, ADMIN_UUID);
      assert.equal(login?.accountName, 'admin');
      assert.equal(login?.clientIp, '127.0.0.1');
      assert.deepEqual(JSON.parse(login?.parameters), { accountName: 'admin', password: '***' });
      assert.ok(login?.createDate && login.endDate);
      const wrong = admin.call('LogInByAccount', { accountName: 'mallory', password: sha512('guess') });
      await assert.rejects(wrong, { code: 'ID.1000' });
      const [failed] = await rows('apiName=LogInByAccount', 'state=Failed');
      assert.equal(failed?.accountUuid, undefined);
      assert.match(failed?.error, /^ID\.1000 the account name or the password is wrong$/);
      assert.equal(JSON.parse(failed?.parameters).accountName, 'mallory');
    });

    it('tells of a job when it is taken, and of its end in the same row', async () => {
      const url = source.url('/a.qcow2').replace('//', '//me:hunter2@');
      const { inventory } = await admin.call('AddImage', { name: 'told', url: `${url}?token=hunter2` });
      const [row, ...more] = await rows('apiName=AddImage');
      assert.deepEqual(more, []);
      assert.equal(row?.state, 'Succeeded');
      assert.equal(row?.resourceType, 'ImageVO');
      assert.equal(row?.resourceUuid, inventory.uuid);
      assert.match(JSON.parse(row?.parameters).url, /\/\/me:\*\*\*@.*token=\*\*\*$/);
      const [job] = await admin.query('LongJob', `uuid=${row?.jobUuid}`);
      assert.equal(job?.targetResourceUuid, inventory.uuid);
      const broken = admin.call('AddImage', { name: 'none', url: source.url('/none') });
      await assert.rejects(broken);
      const [failed] = await rows('apiName=AddImage', 'state=Failed');
      assert.match(failed?.error, /answered 404/);
      assert.ok(failed && failed.endDate >= failed.createDate);
    });

    it('tells of a job that is under way, and that it was cancelled', async () => {
      const slow = await startRangeServer({
        files: { '/a.qcow2': readFileSync((await smallQcow2()).path) },
        fault: () => ({ stallAfter: 1000 }),
      });
      const job = await admin.begin('AddImage', { name: 'slow', url: slow.url('/a.qcow2') });
      const [running] = await rows(`jobUuid=${job}`);
      assert.equal(running?.state, 'Running');
      assert.equal(running?.endDate, undefined);
      await admin.call('CancelLongJob', { uuid: job });
      await assert.rejects(admin.result(job), { code: 'SYS.1017' });
      assert.equal((await rows(`jobUuid=${job}`))[0]?.state, 'Canceled');
      assert.equal((await rows('apiName=CancelLongJob'))[0]?.resourceUuid, job);
      await slow.close();
    });

    it('tells of what was refused, with whose it was', async () => {
      const { inventory: account } = await admin.call('CreateAccount', {
        name: 'user',
        password: sha512('user'),
      });
      const user = new TestClient(service.address);
      await user.logIn('user', 'user');
      await assert.rejects(user.call('AddLocalBackupStorage', { name: 'x', url: '/srv/x' }), {
        code: 'ID.1002',
      });
      const [row] = await rows('apiName=AddLocalBackupStorage');
      assert.equal(row?.state, 'Failed');
      assert.equal(row?.accountUuid, account.uuid);
      assert.equal(row?.accountName, 'user');
      assert.match(row?.error, /^ID\.1002 /);
      // Nor may he read what is told.
      await assert.rejects(user.query('Audit'), { code: 'ID.1002' });
      await assert.rejects(admin.call('UpdateImage', { uuid: account.uuid, name: 'x', pasword: 'hunter2' }));
      const [mistyped] = await rows('apiName=UpdateImage');
      assert.deepEqual(JSON.parse(mistyped?.parameters), { uuid: account.uuid, name: 'x' });
    });

    it('knows no secret of a call within a call, nor of one that is broken', async () => {
      const url = source.url('/a.qcow2').replace('//', '//me:hunter2@');
      await admin.call('SubmitLongJob', {
        jobName: 'APIAddImageMsg',
        jobData: JSON.stringify({ name: 'inner', url }),
      });
      await assert.rejects(
        admin.call('SubmitLongJob', { jobName: 'APIAddImageMsg', jobData: '{"url": "hunter2", }' }),
      );
      const submitted = await rows('apiName=SubmitLongJob');
      assert.equal(submitted.length, 2);
      assert.match(submitted.map((row) => row.parameters).join(), /"name":"inner"/);
      await until(
        'the inner job',
        async () => (await rows('apiName=AddImage', 'state=Running')).length === 0,
      );
      assert.doesNotMatch(JSON.stringify(await rows()), /hunter2/);
    });

    it('is not filled by callers whom nobody knows', async () => {
      const before = (await rows()).length;
      const stranger = new TestClient(service.address);
      stranger.session = 'f'.repeat(32);
      await assert.rejects(stranger.call('UpdateGlobalConfig', { category: 'a', name: 'b' }), {
        code: 'ID.1001',
      });
      assert.equal((await rows()).length, before);
      const clock = { time: Date.now(), now: () => clock.time };
      const audit = new AuditLog({ database, clock, messages });
      const message = messages.find(({ name }) => name === 'LogIn');
      assert.ok(message);
      const error = { code: 'ID.1000', description: '', details: 'wrong' };
      const guess = (id: number) =>
        audit.refused({ id: String(id), message, parameters: { username: 'x' } }, error);
      for (let i = 0; i < 300; i++) await guess(i);
      assert.equal((await rows('apiName=LogIn')).length, 120);
      clock.time += 60_000;
      await guess(300);
      assert.equal((await rows('apiName=LogIn')).length, 121);
    });

    it('forgets what is older than it is to keep', async () => {
      const [oldest] = await rows();
      assert.ok(oldest);
      await database.sql
        .updateTable('audit')
        .set({ createDate: 1000 })
        .where('uuid', '=', oldest.uuid)
        .execute();
      const count = (await rows()).length;
      await new AuditLog({ database, clock: { now: () => 90_000_000 }, messages }).purge(86_400_000);
      assert.equal((await rows()).length, count - 1);
    });
  });
}
