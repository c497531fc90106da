import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { createServer as createWebServer } from 'node:http';
import { createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import {
  GetObjectCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  type S3Client,
} from '@aws-sdk/client-s3';
import type { S3Address } from '../../src/backup-storage/s3/client.ts';
import { DESCRIPTION_SUFFIX } from '../../src/image/description.ts';
import { IngotError } from '../../src/kernel/errors.ts';
import { fsckOf } from '../support/fsck.ts';
import { runProgram } from '../support/program.ts';
import { type RangeServer, startRangeServer } from '../support/range-server.ts';
import { bucketOf, clientOf } from '../support/s3-bucket.ts';
import { startServiceProcess, startTestService, type TestService, until } from '../support/service.ts';
import { type Swift, startSwift } from '../support/swift.ts';
import { temporaryDirectory } from '../support/temp-directory.ts';

const MIB = 1024 * 1024;
const IMAGE = randomBytes(40 * MIB);
const SHA256 = createHash('sha256').update(IMAGE).digest('hex');

let swift: Swift;
let web: RangeServer;
let look: S3Client;
/** Bytes a second of the source. */
let speed = Number.POSITIVE_INFINITY;

before(async () => {
  swift = await startSwift();
  look = clientOf(swift);
  web = await startRangeServer({
    files: { '/disk.raw': IMAGE },
    fault: () => (Number.isFinite(speed) ? { bytesPerSecond: speed } : undefined),
  });
});
after(async () => {
  look.destroy();
  await web.close();
  await swift.stop();
});

const callFor = ({ stallTimeout, ...address }: S3Address, more: object = {}) => ({
  name: 's3',
  ...address,
  ...more,
});

async function addLocal(service: TestService): Promise<string> {
  const url = join(temporaryDirectory(), 'store');
  const { inventory } = await service.client.call('AddLocalBackupStorage', { name: 'local', url });
  return inventory.uuid;
}

async function keysIn(bucket: string): Promise<string[]> {
  const { Contents = [] } = await look.send(new ListObjectsV2Command({ Bucket: bucket }));
  return Contents.map(({ Key = '' }) => Key);
}

/** Without the descriptions beside images, which come and go a moment after them. */
async function objectsIn(bucket: string): Promise<string[]> {
  return (await keysIn(bucket)).filter((key) => !key.endsWith(DESCRIPTION_SUFFIX));
}

async function uploadsIn(bucket: string): Promise<number> {
  return (await look.send(new ListMultipartUploadsCommand({ Bucket: bucket }))).Uploads?.length ?? 0;
}

const image = (name: string, backupStorageUuids: string[]) => ({
  name,
  format: 'raw',
  url: web.url('/disk.raw'),
  backupStorageUuids,
});

describe('an S3 backup storage in the service', () => {
  let service: TestService;
  before(async () => {
    service = await startTestService();
  });
  after(() => service.stop());

  it('takes an image beside a local one in one pass, and gives everything back', async () => {
    const address = await bucketOf(swift);
    const local = await addLocal(service);
    const { inventory: storage } = await service.client.call('AddS3BackupStorage', {
      ...callFor(address),
      prefix: '/golden images/',
      quota: 2 ** 33,
    });
    assert.equal(storage.type, 'S3BackupStorage');
    assert.equal(storage.status, 'Connected');
    assert.equal(storage.url, `${swift.endpoint}/${address.bucket}/golden images/`);
    assert.equal(storage.totalCapacity, 2 ** 33);
    assert.equal(storage.attachedZoneUuids.length, 1);

    const { inventory } = await service.client.call('AddImage', image('both', [local, storage.uuid]));
    assert.equal(inventory.status, 'Ready');
    assert.equal(inventory.sha256Sum, SHA256);
    assert.equal(inventory.backupStorageRefs.length, 2);
    const [ref] = inventory.backupStorageRefs.filter(
      (each: { backupStorageUuid: string }) => each.backupStorageUuid === storage.uuid,
    );
    const key = ref.installPath.replace(`s3://${address.bucket}/`, '');
    const { Body } = await look.send(new GetObjectCommand({ Bucket: address.bucket, Key: key }));
    assert.ok(Buffer.from((await Body?.transformToByteArray()) ?? []).equals(IMAGE));
    const [row] = await service.client.query('S3BackupStorage', `uuid=${storage.uuid}`);
    assert.equal(row?.availableCapacity, 2 ** 33 - IMAGE.length);
    assert.equal(row?.bucket, address.bucket);

    await service.client.call('DeleteImage', { uuid: inventory.uuid });
    await service.client.call('ExpungeImage', { uuid: inventory.uuid }).catch(() => {});
    await service.client.call('DeleteBackupStorage', { uuid: storage.uuid });
    assert.deepEqual(await keysIn(address.bucket), []);
    for (const said of [JSON.stringify(storage), JSON.stringify(row), service.log()]) {
      assert.ok(!said.includes(swift.secretKey) && !said.includes(swift.accessKey));
    }
  });

  it('takes a template that is made of a volume, and gives it back', async () => {
    const { client } = service;
    const address = await bucketOf(swift);
    const { inventory: storage } = await client.call('AddS3BackupStorage', callFor(address));
    const [primary] = await client.query('PrimaryStorage');
    const { inventory: volume } = await client.call('CreateDataVolume', {
      name: 'data',
      diskSize: 64 * MIB,
      primaryStorageUuid: primary?.uuid,
    });
    const content = join(temporaryDirectory(), 'content');
    writeFileSync(content, IMAGE);
    const write = `write -s ${content} ${MIB} ${IMAGE.length}`;
    await runProgram('qemu-io', ['-f', 'qcow2', '-c', write, volume.installPath]);
    const { inventory, failures } = await client.call('CreateDataVolumeTemplateFromVolume', {
      volumeUuid: volume.uuid,
      name: 'template',
      backupStorageUuids: [storage.uuid],
    });
    assert.equal(failures, undefined);
    const answer = await fetch(`${service.address}/v1/images/${inventory.uuid}/file`, {
      headers: { authorization: `OAuth ${client.session}` },
    });
    const bytes = Buffer.from(await answer.arrayBuffer());
    assert.ok(bytes.length > IMAGE.length);
    assert.equal(createHash('sha256').update(bytes).digest('hex'), inventory.sha256Sum);
    // Swift's listings may follow a moment later.
    await until('no upload to be left', async () => (await uploadsIn(address.bucket)) === 0);
    await client.call('DeleteImage', { uuid: inventory.uuid });
    await client.call('DeleteBackupStorage', { uuid: storage.uuid });
    assert.deepEqual(await keysIn(address.bucket), []);
  });

  it('says what is wrong with where it should be', async (t) => {
    const address = await bucketOf(swift);
    const full = await bucketOf(swift);
    await look.send(new PutObjectCommand({ Bucket: full.bucket, Key: 'a/b', Body: 'of somebody' }));
    const page = createWebServer((_, response) => response.end('<html>Welcome</html>')).listen(
      0,
      '127.0.0.1',
    );
    await once(page, 'listening');
    t.after(() => page.close());
    const at = (server: Server) => {
      const bound = server.address();
      return `http://127.0.0.1:${typeof bound === 'object' ? bound?.port : 0}`;
    };
    const nobody = createServer().listen(0, '127.0.0.1');
    await once(nobody, 'listening');
    const nowhere = at(nobody);
    nobody.close();
    for (const [changes, code, says] of [
      [{ secretKey: 'wrong' }, 'BS.1005', /refuses the access key.*403 SignatureDoesNotMatch/],
      [{ accessKey: 'nobody' }, 'BS.1005', /refuses the access key/],
      [{ bucket: 'not-there' }, 'BS.1005', /there is no such bucket/],
      [{ region: 'mars-1' }, 'BS.1005', /another region.*expecting 'us-east-1'/],
      [{ endpoint: nowhere }, 'BS.1005', /can't be reached.*ECONNREFUSED/],
      [{ endpoint: at(page) }, 'BS.1005', /S3 service/],
      [{ bucket: full.bucket }, 'SYS.1007', /not empty \(it holds 'a\/b'\)/],
      [{ endpoint: 'ftp://somewhere' }, 'SYS.1007', /a URL such as/],
      [{ prefix: 'a/../b' }, 'SYS.1007', /prefix/],
    ] as const) {
      await assert.rejects(service.client.call('AddS3BackupStorage', callFor(address, changes)), (error) => {
        assert.ok(error instanceof IngotError);
        assert.equal(error.code, code, error.details);
        assert.match(error.details, says);
        assert.ok(!error.details.includes(swift.secretKey));
        return true;
      });
    }
    assert.deepEqual(await service.client.query('BackupStorage', 'name=s3'), []);
    assert.deepEqual(await keysIn(address.bucket), []);
    assert.deepEqual(await keysIn(full.bucket), ['a/b']);
  });

  it('is alone in its prefix, also among the storages of others', async (t) => {
    const address = await bucketOf(swift);
    const add = (of: TestService, prefix: string) =>
      of.client.call('AddS3BackupStorage', callFor(address, { prefix }));
    const { inventory } = await add(service, 'one/two');
    await assert.rejects(add(service, 'one/two'), /is the backup storage 's3' already/);
    await assert.rejects(add(service, 'one'), /overlaps/);
    await add(service, 'one/twofold');
    const other = await startTestService();
    t.after(() => other.stop());
    await assert.rejects(
      add(other, 'one/two'),
      new RegExp(`is the backup storage ${inventory.uuid} already`),
    );
    await assert.rejects(add(other, 'one/two/three'), /it lies inside of s3:/);
    await assert.rejects(add(other, 'one'), /it is not empty/);
  });

  it('is connected anew with other keys, and says why where it is not', async () => {
    const address = await bucketOf(swift);
    const { uuid } = (await service.client.call('AddS3BackupStorage', callFor(address))).inventory;
    const statusBecomes = (status: string) =>
      until(`the storage to be ${status}`, async () => {
        const [row] = await service.client.query('BackupStorage', `uuid=${uuid}`);
        return row?.status === status && row;
      });
    await service.client.call('UpdateS3BackupStorage', { uuid, secretKey: 'wrong' });
    const row = await statusBecomes('Disconnected');
    assert.match(row.statusReason, /refuses the access key/);
    await assert.rejects(service.client.call('ReconnectS3BackupStorage', { uuid }), /refuses the access key/);
    await service.client.call('UpdateS3BackupStorage', { uuid, secretKey: swift.secretKey, quota: 2 ** 32 });
    assert.equal((await statusBecomes('Connected')).totalCapacity, 2 ** 32);
    await service.client.call('DeleteBackupStorage', { uuid });
  });
});

describe('what is killed during an AddImage into S3', () => {
  after(() => {
    speed = Number.POSITIVE_INFINITY;
  });

  it('is the service: it goes on where it was', async (t) => {
    speed = 16 * MIB;
    const data = temporaryDirectory();
    let service = await startServiceProcess({ data });
    t.after(() => service.kill());
    const address = await bucketOf(swift);
    const { inventory: storage } = await service.client.call('AddS3BackupStorage', callFor(address));
    const sent = web.bytesSent();
    const job = await service.client.begin('AddImage', image('resumed', [storage.uuid]));
    await until('some of it to be there', () => web.bytesSent() > sent + 30 * MIB);
    await service.kill();
    assert.deepEqual(await fsckOf(service), []);
    speed = Number.POSITIVE_INFINITY;
    service = await startServiceProcess({ data });
    const { inventory } = await service.client.result(job);
    assert.equal(inventory.sha256Sum, SHA256);
    const [row] = await service.client.query('LongJob', `uuid=${job}`);
    assert.ok(row?.bytesResumed > 0, `${row?.bytesResumed} bytes were resumed`);
    t.diagnostic(`${(row?.bytesResumed / MIB).toFixed(0)} of ${IMAGE.length / MIB} MiB were resumed`);
    await service.stop();
    assert.deepEqual(await fsckOf(service), []);
    assert.equal((await objectsIn(address.bucket)).length, 2);
  });

  it('is the server: the others finish without it', async (t) => {
    speed = 16 * MIB;
    const service = await startServiceProcess();
    t.after(() => service.kill());
    const local = await addLocal(service);
    const address = await bucketOf(swift);
    const { inventory: storage } = await service.client.call('AddS3BackupStorage', callFor(address));
    const sent = web.bytesSent();
    const job = await service.client.begin('AddImage', image('without', [local, storage.uuid]));
    await until('some of it to be there', () => web.bytesSent() > sent + 20 * MIB);
    await swift.kill();
    const answer = await service.client.result(job);
    assert.equal(answer.inventory.sha256Sum, SHA256);
    assert.deepEqual(
      answer.inventory.backupStorageRefs.map((ref: { backupStorageUuid: string }) => ref.backupStorageUuid),
      [local],
    );
    assert.match(JSON.stringify(answer.failures), /can't be reached/);
    await swift.restart();
    await service.client.call('ReconnectS3BackupStorage', { uuid: storage.uuid });
    const { inventory } = await service.client.call('AddImage', image('again', [local, storage.uuid]));
    assert.equal(inventory.backupStorageRefs.length, 2);
    // What could not be removed while it was away is looked for once a minute, and at the start.
    await service.stop();
    const next = await startServiceProcess({ data: service.data });
    t.after(() => next.kill());
    await until('the bucket to hold the marker and one image', async () => {
      const objects = await objectsIn(address.bucket);
      return objects.length === 2 && (await uploadsIn(address.bucket)) === 0;
    });
    await next.stop();
    assert.deepEqual(await fsckOf(service), []);
  });
});
