/** Everything secret that there is goes through the service once; then it is looked for wherever anybody may look. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { lstatSync, readdirSync, readFileSync } from 'node:fs';
import http from 'node:http';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { messages } from '../../src/catalogue.ts';
import { openDatabase } from '../../src/database/database.ts';
import { startRangeServer } from '../support/range-server.ts';
import { startServiceProcess, startTestService, TestClient, until } from '../support/service.ts';
import { smallQcow2 } from '../support/small-disks.ts';

const sha512 = (text: string) => createHash('sha512').update(text).digest('hex');
const PASSWORD = sha512('the first password');
const NEXT_PASSWORD = sha512('the next password');
const WRONG = sha512('a wrong guess');
const KEY_SECRET = 'AccessKeySecretToBeFound0123456789';
const URL_PASSWORD = 'urlPassword-4711';
const TOKEN = 'presignedToken-4711';
const HOOK_PASSWORD = 'hookPassword-4711';

/** Every file below the directory. */
function filesIn(directory: string): string[] {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
}

for (const kind of ['sqlite', 'postgres'] as const) {
  it(`no secret is in a log, a row, a file or an answer, on ${kind}`, async (test) => {
    const disk = readFileSync((await smallQcow2()).path);
    const source = await startRangeServer({
      files: { '/a.qcow2': disk, '/slow': disk },
      fault: ({ path }) =>
        path.startsWith('/slow')
          ? { stallAfter: 1 }
          : path.startsWith('/away')
            ? { redirectTo: `/none?token=${TOKEN}` }
            : undefined,
    });
    test.after(() => source.close());
    const hooked: string[] = [];
    const hook = http.createServer((request, response) => {
      hooked.push(String(request.headers.authorization));
      response.statusCode = hooked.length > 1 ? 200 : 500;
      response.end();
    });
    hook.listen(0, '127.0.0.1');
    await once(hook, 'listening');
    test.after(() => hook.close());
    const { port } = hook.address() as { port: number };
    const service = await startTestService({
      database: kind,
      settings: { logLevel: 'trace', webHookHosts: '127.0.0.1' },
    });
    let stopped = false;
    const stop = async () => {
      if (!stopped) await service.stop();
      stopped = true;
    };
    test.after(stop);
    const { client } = service;
    const password = readFileSync(join(service.data, 'admin-password'), 'utf8').trim();
    const answers: unknown[] = [];
    const secrets: Record<string, string> = {
      password: PASSWORD,
      'next password': NEXT_PASSWORD,
      'wrong password': WRONG,
      'key secret': KEY_SECRET,
      'password in a url': URL_PASSWORD,
      token: TOKEN,
      'password of a web hook': HOOK_PASSWORD,
      'first password': password,
      'digest of the first password': sha512(password),
      session: client.session ?? '',
    };
    const call = async (name: string, parameters: Record<string, unknown>, by = client) => {
      driven.add(name);
      const answer = await by.call(name, parameters).catch((error) => error.toBody?.() ?? String(error));
      answers.push(answer);
      return answer;
    };
    const driven = new Set<string>();
    const { inventory: account } = await call('CreateAccount', { name: 'user', password: PASSWORD });
    await call('CreateAccount', { name: 'user', password: PASSWORD, type: 'Nothing' });
    await call('UpdateAccount', { uuid: account.uuid, password: NEXT_PASSWORD, oldPassword: WRONG });
    await call('UpdateAccount', { uuid: account.uuid, password: NEXT_PASSWORD, oldPassword: PASSWORD });
    await call('UpdateAccount', { uuid: 'none', password: NEXT_PASSWORD, pasword: WRONG });
    const user = new TestClient(service.address);
    for (const name of ['LogIn', 'LogInByAccount']) {
      const key = name === 'LogIn' ? 'username' : 'accountName';
      await call(name, { [key]: 'user', password: WRONG });
      driven.add(name);
      // The session is the answer; nobody else may have it.
      const { inventory } = await user.call(name, { [key]: 'user', password: NEXT_PASSWORD });
      user.session = inventory.uuid;
      secrets[`session of ${name}`] = inventory.uuid;
    }
    driven.add('RenewSession');
    await user.call('RenewSession', { sessionUuid: user.session });
    driven.add('ValidateSession');
    assert.equal((await user.call('ValidateSession', { sessionUuid: user.session })).valid, true);
    driven.add('CreateAccessKey');
    await client.call('CreateAccessKey', { AccessKeySecret: KEY_SECRET });
    await call('CreateAccessKey', { AccessKeySecret: KEY_SECRET, accountUuid: 'none' });
    answers.push(await client.query('AccessKey'));
    await call('LogOut', { sessionUuid: user.session });

    const withSecrets = (path: string) =>
      `${source.url(path).replace('//', `//me:${URL_PASSWORD}@`)}?X-Amz-Signature=${TOKEN}`;
    await call('AddImage', { name: 'good', url: withSecrets('/a.qcow2') });
    for (const path of ['/none', '/away']) await call('AddImage', { name: path, url: withSecrets(path) });
    for (const url of [
      `http://me:${URL_PASSWORD}@no host/`,
      `gopher://me:${URL_PASSWORD}@host/?token=${TOKEN}`,
      `http://me:${URL_PASSWORD}@169.254.169.254/?token=${TOKEN}`,
    ])
      await call('AddImage', { name: 'bad', url });
    await call('SubmitLongJob', {
      jobName: 'APIAddImageMsg',
      jobData: `{"url": "http://me:${URL_PASSWORD}@x/", }`,
    });
    await call('SubmitLongJob', {
      jobName: 'APIAddImageMsg',
      jobData: JSON.stringify({ name: 'long', url: withSecrets('/none') }),
    });
    await call('CreateUserTag', { resourceType: 'ImageVO', resourceUuid: account.uuid, tag: 'x' });
    // Every other call that takes a secret, with all of its secrets and whatever else it asks for.
    const bearing = messages.filter(({ parameters }) =>
      Object.values(parameters).some((field) => field.secret || field.url),
    );
    const samples: Record<string, unknown> = {
      hostname: '127.0.0.1',
      sshPort: 1,
      url: '/srv/x',
      uuid: account.uuid,
    };
    const others = bearing.filter(({ name }) => !driven.has(name));
    for (const { name, parameters } of others) {
      const given: Record<string, unknown> = {};
      for (const [parameter, field] of Object.entries(parameters)) {
        if (field.secret) {
          given[parameter] = `${name}-${parameter}-4711`;
          secrets[`${parameter} of ${name}`] = `${name}-${parameter}-4711`;
        } else if (parameter in samples) given[parameter] = samples[parameter];
        else if (field.presence === 'required') given[parameter] = field.kind === 'text' ? 'x' : 1;
      }
      await call(name, given);
    }
    assert.ok(others.length < bearing.length / 2, 'most are made as they should be');

    // While a job is open, what it needs is kept, and not to be read.
    const slow = await client.begin('AddImage', { name: 'slow', url: withSecrets('/slow') });
    const [store] = await client.query('BackupStorage');
    const { host } = new URL(source.url('/'));
    await client.http('PUT', `/zstack/v1/backup-storage/${store?.uuid}/actions`, {
      body: { changeBackupStorageState: { stateEvent: 'enable' } },
      headers: { 'x-web-hook': `http://me:${HOOK_PASSWORD}@127.0.0.1:${port}/?token=${TOKEN}` },
    });
    const refusedHook = await client.http('PUT', `/zstack/v1/backup-storage/${store?.uuid}/actions`, {
      body: { changeBackupStorageState: { stateEvent: 'enable' } },
      headers: {
        'x-web-hook': `http://me:${HOOK_PASSWORD}@${host.replace('127.0.0.1', 'elsewhere')}/?token=${TOKEN}`,
      },
    });
    answers.push(refusedHook.text);

    const database = await openDatabase(service.databaseAt);
    const everyRow = async () => {
      const tables = await database.sql.introspection.getTables();
      const rows = await Promise.all(
        tables.map(({ name }) =>
          database.sql
            .selectFrom(name as 'account')
            .selectAll()
            .execute(),
        ),
      );
      return JSON.stringify(rows);
    };
    // A session's uuid and its digest are no secret to each other; all else is looked for as it is.
    const look = (what: string, text: string) => {
      for (const [name, secret] of Object.entries(secrets))
        assert.equal(text.includes(secret), false, `the ${name} is in ${what}`);
    };
    look('the rows while a job is open', await everyRow());
    if (kind === 'sqlite') {
      for (const file of filesIn(service.data).filter((name) => /ingot\.sqlite/.test(name)))
        look(file, readFileSync(file, 'latin1'));
    }
    await until('the web hook', () => hooked.length > 1);
    assert.equal(hooked[1], `Basic ${Buffer.from(`me:${HOOK_PASSWORD}`).toString('base64')}`);
    await client.call('CancelLongJob', { uuid: slow });
    await client.result(slow).catch((error) => answers.push(error.toBody()));
    answers.push(await client.query('LongJob'), await client.query('Audit'), await client.query('Image'));
    look('the rows', await everyRow());
    look('the answers', JSON.stringify(answers));
    await database.close();
    await stop();
    look('the log', service.log());
    assert.match(service.log(), /a log-in failed/);
    for (const file of filesIn(service.data).filter((name) => !name.endsWith('admin-password')))
      look(file, readFileSync(file, 'latin1'));
  });
}

describe('what the service writes', () => {
  it('is for its own user and group, and what is secret for its user alone, whatever the mask', async () => {
    const before = process.umask(0);
    try {
      const source = await startRangeServer({
        files: { '/a.qcow2': readFileSync((await smallQcow2()).path) },
      });
      const service = await startServiceProcess();
      const { client, data } = service;
      const { inventory } = await client.call('AddImage', { name: 'x', url: source.url('/a.qcow2') });
      const [zone] = await client.query('Zone');
      await client
        .call('CreateDataVolumeFromVolumeTemplate', {
          name: 'v',
          imageUuid: inventory.uuid,
          zoneUuid: zone?.uuid,
        })
        .catch(() => {});
      await client.call('CreateAccessKey');
      await until('the description', () => filesIn(data).some((name) => name.endsWith('.ingot.json')));
      const open: string[] = [];
      const secret = /admin-password$|secret-key$|ingot\.sqlite/;
      for (const entry of readdirSync(data, { recursive: true, withFileTypes: true })) {
        const path = join(entry.parentPath, entry.name);
        const mode = lstatSync(path).mode & 0o777;
        const most = entry.isDirectory() ? 0o750 : secret.test(path) ? 0o600 : 0o640;
        if ((mode & ~most) !== 0) open.push(`${path} ${mode.toString(8)}`);
      }
      assert.deepEqual(open, []);
      assert.ok(filesIn(data).some((name) => name.endsWith('secret-key')));
      await service.stop();
      await source.close();
    } finally {
      process.umask(before);
    }
  });
});
