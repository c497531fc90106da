/** Where the service itself connects to, as it is started. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';
import { fsckOf } from '../support/fsck.ts';
import { type RangeServer, startRangeServer } from '../support/range-server.ts';
import { startTestService, type TestService } from '../support/service.ts';
import { smallQcow2 } from '../support/small-disks.ts';

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
});
