/** Where the service itself connects to, as it is started. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { copyFileSync, readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { IngotError } from '../../src/kernel/errors.ts';
import { fsckOf } from '../support/fsck.ts';
import { type RangeServer, startRangeServer } from '../support/range-server.ts';
import { startTestService, type TestService, until } from '../support/service.ts';
import { smallQcow2 } from '../support/small-disks.ts';
import { startSshd } from '../support/sshd.ts';
import { temporaryDirectory } from '../support/temp-directory.ts';

describe('the service', () => {
  let source: RangeServer;
  before(async () => {
    source = await startRangeServer({ files: { '/a.qcow2': readFileSync((await smallQcow2()).path) } });
  });
  after(() => source.close());
  const add = (service: TestService, url: string) =>
    service.client.call('AddImage', { name: 'x', url }).then(
      () => 'taken',
      (error) => `${error.message} ${error.causes.map(String)}`,
    );

  it('takes images from this machine where only this machine can call, but never from itself or from the cloud', async () => {
    const service = await startTestService();
    const { client } = service;
    assert.equal(await add(service, source.url('/a.qcow2')), 'taken');
    const { port } = new URL(service.address);
    for (const host of ['127.0.0.1', 'localhost', '[::ffff:127.0.0.1]', '2130706433', '0x7f.1']) {
      assert.match(await add(service, `http://${host}:${port}/metrics`), /it is this service's own/);
    }
    assert.match(await add(service, 'http://169.254.169.254/latest/user-data'), /it is a link-local address/);
    const rows = await client.query('Audit', 'apiName=AddImage', 'state=Failed');
    assert.equal(rows.length, 6);
    assert.equal((await client.query('Image')).length, 1);
    await service.stop();
    assert.deepEqual(await fsckOf(service), []);
  });

  it('does not where others call through a proxy, unless it is told to', async () => {
    const [strict, told] = await Promise.all([
      startTestService({ settings: { trustedProxies: '127.0.0.1' } }),
      startTestService({
        settings: { trustedProxies: '127.0.0.1', egressAllow: `127.0.0.1:${new URL(source.url('/')).port}` },
      }),
    ]);
    const before = source.requests.length;
    assert.match(
      await add(strict, source.url('/a.qcow2')),
      /it is a loopback address, and only public, private may be/,
    );
    assert.equal(source.requests.length, before);
    assert.equal(await add(told, source.url('/a.qcow2')), 'taken');
    // The same holds for servers of storages: nobody is connected to before the address was judged.
    const sftp = (hostname: string) =>
      strict.client
        .call('AddSftpBackupStorage', {
          ...{ name: 'far', url: '/srv/x', hostname, username: 'x', password: 'y' },
          sshPort: Number(new URL(source.url('/')).port),
        })
        .then(
          () => 'taken',
          (error) => error.message,
        );
    assert.match(await sftp('127.0.0.1'), /it is a loopback address/);
    assert.match(await sftp('169.254.169.254'), /it is a link-local address/);
    const s3 = (endpoint: string) =>
      strict.client
        .call('AddS3BackupStorage', {
          ...{ name: 's3', endpoint, bucket: 'x', accessKey: 'a', secretKey: 'b' },
        })
        .then(
          () => 'taken',
          (error) => error.message,
        );
    assert.match(await s3(new URL(source.url('/')).origin), /it is a loopback address/);
    assert.match(await s3('http://169.254.169.254'), /it is a link-local address/);
    assert.equal(source.requests.length, before + 1);
    await Promise.all([strict.stop(), told.stop()]);
  });

  it('goes out by the schemes of the setting alone, also to what it knew before', async () => {
    let hooks = 0;
    const receiver = createServer((_request, response) => {
      hooks++;
      response.writeHead(500).end();
    }).listen(0, '127.0.0.1');
    await once(receiver, 'listening');
    const hook = `http://127.0.0.1:${(receiver.address() as AddressInfo).port}/`;
    const sshd = await startSshd({ keys: temporaryDirectory() });
    const far = {
      hostname: sshd.host,
      sshPort: sshd.port,
      username: sshd.username,
      privateKey: sshd.privateKey,
    };
    const store = () => ({ name: 'far', url: join(temporaryDirectory(), 'store'), ...far });

    const free = await startTestService({ settings: { webHookHosts: '127.0.0.1' } });
    const { inventory: known } = await free.client.call('AddSftpBackupStorage', store());
    await free.client.http('DELETE', '/zstack/v1/images/no-uuid', { headers: { 'x-web-hook': hook } });
    await until('the first try', () => hooks > 0);
    await free.stop();

    const files = temporaryDirectory();
    copyFileSync((await smallQcow2()).path, join(files, 'a.qcow2'));
    const service = await startTestService({
      data: free.data,
      settings: {
        egressSchemes: 'https',
        webHookHosts: '127.0.0.1',
        importDirectories: files,
        logLevel: 'debug',
      },
    });
    const { client } = service;
    const tried = hooks;
    const asked = source.requests.length;
    const fault = (scheme: string) =>
      `names the scheme '${scheme}', which is not among those that may be used (the setting egress.schemes: https)`;
    for (const url of [source.url('/a.qcow2'), 'ftp://x/a', 'sftp://x:y@x/a']) {
      const scheme = url.split(':')[0] ?? '';
      await assert.rejects(client.call('AddImage', { name: 'x', url }), (error: IngotError) => {
        assert.equal(error.code, 'SYS.1007');
        assert.equal(error.message, `'url' ${url.replace(':y@', ':***@')} ${fault(scheme)}`);
        return true;
      });
    }
    assert.equal(await add(service, join(files, 'a.qcow2')), 'taken');
    assert.equal(await add(service, 'upload://x'), 'taken');
    const s3 = { name: 's3', endpoint: new URL(hook).origin, bucket: 'xxx', accessKey: 'a', secretKey: 'b' };
    await assert.rejects(client.call('AddS3BackupStorage', s3), {
      code: 'SYS.1007',
      message: `'endpoint' ${s3.endpoint} ${fault('http')}`,
    });
    await assert.rejects(client.call('AddSftpBackupStorage', store()), {
      code: 'SYS.1007',
      message: /^a server of SFTP is connected to by the scheme 'sftp', which is not among/,
    });
    await assert.rejects(client.call('UpdateSftpBackupStorage', { uuid: known.uuid, ...far }), {
      code: 'SYS.1007',
    });
    const hooked = await client.http('DELETE', '/zstack/v1/images/no-uuid', {
      headers: { 'x-web-hook': hook },
    });
    assert.equal(hooked.status, 400);
    assert.equal(hooked.json.error.details, `the header X-Web-Hook ${fault('http')}`);

    const [row] = await client.query('BackupStorage', `uuid=${known.uuid}`);
    assert.equal(row?.status, 'Disconnected');
    assert.match(row?.statusReason, /must not be connected to by the scheme 'sftp', which is not among/);
    await until('the hook to be tried', () => /could not be sent/.test(service.log()));
    assert.match(service.log(), /127\.0\.0\.1 must not be connected to by the scheme 'http', which/);
    assert.equal(hooks, tried);
    assert.equal(source.requests.length, asked);
    await service.stop();
    await sshd.stop();
    receiver.close();
  });
});
