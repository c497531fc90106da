import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createReadStream, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { type DetailedError, Upload } from 'tus-js-client';
import { MOST_OPEN } from '../../src/image/upload/uploads.ts';
import { startServiceProcess, type TestClient, until } from '../support/service.ts';
import { temporaryDirectory } from '../support/temp-directory.ts';
import { openStage, type Stage } from './stage.ts';

const MIB = 1024 * 1024;
const TUS = { 'tus-resumable': '1.0.0' };

describe('uploading an image', () => {
  let stage: Stage;
  let bytes: Buffer;
  let file: string;

  before(async () => {
    // Fewer places for jobs than uploads that pause below.
    stage = await openStage('sqlite', { stallTimeout: 20, parallelJobs: 4 });
    bytes = Buffer.concat([stage.disks.raw, randomBytes(36 * MIB)]);
    file = join(temporaryDirectory(), 'disk.raw');
    writeFileSync(file, bytes);
  });
  after(() => stage.close());

  const client = () => stage.service.client;
  const digest = () => createHash('sha256').update(bytes).digest('hex');
  const begin = (parameters: Record<string, unknown> = {}, as: TestClient = client()) =>
    as.call('AddImage', { name: 'disk', url: 'upload://disk.raw', ...parameters });
  const head = async (url: string) => {
    const answer = await fetch(url, { method: 'HEAD', headers: TUS });
    return { status: answer.status, offset: Number(answer.headers.get('upload-offset')) };
  };
  const patch = (url: string, offset: number, body: Uint8Array<ArrayBuffer>) =>
    fetch(url, {
      method: 'PATCH',
      headers: {
        ...TUS,
        'upload-offset': String(offset),
        'content-type': 'application/offset+octet-stream',
      },
      body,
    });
  const piece = (start: number, end: number) => Uint8Array.from(bytes.subarray(start, end));

  it('answers with an address, takes the bytes that tus-js-client sends there, and makes the image', async () => {
    const { inventory, uploadUrl, uploadJobUuid } = await begin({ uploadSize: bytes.length });
    assert.equal(inventory.status, 'Downloading');
    assert.equal(inventory.backupStorageRefs[0].installPath, uploadUrl);
    assert.ok(uploadUrl.startsWith(`${stage.service.address}/uploads/`));
    const progress: number[] = [];
    await send(createReadStream(file), {
      uploadUrl,
      uploadSize: bytes.length,
      onProgress: (sent) => progress.push(sent),
    });
    const done = await client().result(uploadJobUuid);
    assert.equal(done.inventory.uuid, inventory.uuid);
    assert.equal(done.inventory.status, 'Ready');
    assert.equal(done.inventory.sha256Sum, digest());
    assert.equal(done.inventory.url, 'upload://disk.raw');
    assert.deepEqual(await head(uploadUrl), { status: 200, offset: bytes.length });
    assert.ok(progress.length > 0);
    await stage.checkAll();
    await client().call('DeleteImage', { uuid: inventory.uuid });
    assert.equal((await head(uploadUrl)).status, 404);
  });

  it('takes them from a client that creates uploads, in pieces, and of a length that it says last', async () => {
    const { uploadUrl: endpoint, uploadJobUuid } = await begin();
    await send(createReadStream(file), { endpoint, uploadSize: bytes.length, chunkSize: 15 * MIB });
    assert.equal((await client().result(uploadJobUuid)).inventory.sha256Sum, digest());
    const deferred = await begin();
    await send(bytes, {
      uploadUrl: deferred.uploadUrl,
      uploadLengthDeferred: true,
      chunkSize: 20 * MIB,
    });
    const { inventory } = await client().result(deferred.uploadJobUuid);
    assert.equal(inventory.sha256Sum, digest());
    await stage.checkAll();
  });

  it('goes on where a request broke off, and refuses bytes that belong elsewhere', async () => {
    const { uploadUrl, uploadJobUuid } = await begin({ url: 'upload://broken', uploadSize: bytes.length });
    const sent = request(uploadUrl, {
      method: 'PATCH',
      headers: {
        ...TUS,
        'upload-offset': '0',
        'content-type': 'application/offset+octet-stream',
        'content-length': bytes.length,
      },
    });
    sent.on('error', () => {});
    sent.write(bytes.subarray(0, 5 * MIB));
    await until('5 MiB to be taken', async () => {
      const { existingJobDetails } = await client().call('GetUploadImageJobDetails', { imageId: 'broken' });
      return existingJobDetails[0]?.offset === 5 * MIB;
    });
    sent.destroy();
    const { offset } = await head(uploadUrl);
    assert.equal(offset, 5 * MIB);
    assert.equal((await patch(uploadUrl, 4 * MIB, piece(4 * MIB, 6 * MIB))).status, 409);
    const second = await patch(uploadUrl, offset, piece(offset, 12 * MIB));
    assert.equal(second.status, 204);
    assert.equal(second.headers.get('upload-offset'), String(12 * MIB));
    assert.equal((await patch(uploadUrl, 12 * MIB, piece(12 * MIB, bytes.length))).status, 204);
    assert.equal((await client().result(uploadJobUuid)).inventory.sha256Sum, digest());
  });

  it('holds no memory for an upload that pauses', async () => {
    const begun = await Promise.all(Array.from({ length: 25 }, () => begin({ uploadSize: bytes.length })));
    await Promise.all(begun.map(({ uploadUrl }) => patch(uploadUrl, 0, piece(0, MIB / 2))));
    // More than there are chunks in the pool; another image is not kept waiting by them.
    const { inventory } = await client().call('AddImage', { name: 'other', url: stage.url('/disk.qcow2') });
    assert.equal(inventory.status, 'Ready');
    for (const { uploadUrl } of begun) {
      assert.equal((await fetch(uploadUrl, { method: 'DELETE', headers: TUS })).status, 204);
    }
    for (const { uploadJobUuid } of begun) {
      await assert.rejects(client().result(uploadJobUuid), { code: 'SYS.1017' });
    }
    await stage.checkAll();
  });

  it('refuses more uploads at once than there may be', async () => {
    const { inventory, uploadJobUuid } = await begin();
    const one = await stage.database.sql
      .selectFrom('imageUpload')
      .selectAll()
      .where('imageUuid', '=', inventory.uuid)
      .executeTakeFirstOrThrow();
    const others = Array.from({ length: MOST_OPEN - 1 }, (_, i) => ({ ...one, key: `other-${i}` }));
    await stage.database.sql.insertInto('imageUpload').values(others).execute();
    await assert.rejects(begin(), { code: 'SYS.1006', message: /256 uploads are under way/ });
    await client().call('DeleteImage', { uuid: inventory.uuid });
    await assert.rejects(client().result(uploadJobUuid), { code: 'SYS.1017' });
    await stage.checkAll();
  });

  it('refuses what is no image as soon as it shows, and leaves nothing', async () => {
    const { uploadUrl, uploadJobUuid, inventory } = await begin({ uploadSize: 8 * MIB });
    const page = Uint8Array.from(Buffer.alloc(8 * MIB, '<!DOCTYPE html><html>a page</html>'));
    const answer = await patch(uploadUrl, 0, page);
    await assert.rejects(client().result(uploadJobUuid), { code: 'IMG.1002' });
    if (answer.status !== 204) {
      assert.equal(answer.status, 410);
      assert.match(await answer.text(), /web page|HTML/i);
    }
    assert.equal((await head(uploadUrl)).status, 404);
    assert.deepEqual(await client().query('Image', `uuid=${inventory.uuid}`), []);
    await stage.checkAll();
  });

  it('refuses bytes whose digest is another, more bytes than were said, and addresses that nobody was given', async () => {
    const wrong = await begin({ uploadSize: bytes.length, sha256Sum: 'a'.repeat(64) });
    await patch(wrong.uploadUrl, 0, piece(0, bytes.length));
    await assert.rejects(client().result(wrong.uploadJobUuid), { code: 'IMG.1002' });
    const short = await begin({ uploadSize: MIB });
    assert.equal((await patch(short.uploadUrl, 0, piece(0, 2 * MIB))).status, 413);
    await client().call('DeleteImage', { uuid: short.inventory.uuid });
    await assert.rejects(client().result(short.uploadJobUuid), { code: 'SYS.1017' });
    assert.equal((await head(short.uploadUrl)).status, 404);
    const guess = `${stage.service.address}/uploads/${'x'.repeat(43)}`;
    assert.equal((await head(guess)).status, 404);
    assert.equal((await patch(guess, 0, piece(0, 1))).status, 404);
    await stage.checkAll();
  });

  it('tells by its name how far an upload is, as ZStack does', async () => {
    const { uploadUrl, uploadJobUuid, inventory } = await begin({
      url: 'upload://by-name',
      uploadSize: bytes.length,
    });
    await patch(uploadUrl, 0, piece(0, MIB));
    const { existingJobDetails } = await client().call('GetUploadImageJobDetails', { imageId: 'by-name' });
    assert.deepEqual(existingJobDetails, [
      {
        longJobUuid: uploadJobUuid,
        longJobState: 'Running',
        imageUuid: inventory.uuid,
        imageUploadUrl: uploadUrl,
        offset: MIB,
      },
    ]);
    await client().call('CancelLongJob', { uuid: uploadJobUuid });
    await assert.rejects(client().result(uploadJobUuid), { code: 'SYS.1017' });
    await stage.checkAll();
  });

  it('gives up an upload that nothing comes for', async () => {
    await client().call('UpdateGlobalConfig', { category: 'image', name: 'upload.maxIdle', value: '1' });
    const { uploadJobUuid } = await begin({ uploadSize: bytes.length });
    await assert.rejects(client().result(uploadJobUuid), {
      code: 'IMG.1001',
      message: /nothing was sent to upload:\/\/disk\.raw for 1\.0 s; 0 B of /,
    });
    await stage.checkAll();
  });

  it('goes on after the service was killed', async () => {
    const service = await startServiceProcess();
    const begun = await begin({ uploadSize: bytes.length }, service.client);
    const { pathname } = new URL(begun.uploadUrl);
    // Enough for a checkpoint.
    assert.equal((await patch(begun.uploadUrl, 0, piece(0, 33 * MIB))).status, 204);
    // A second later there is another; either may be the one that is found.
    await settled();
    await service.kill();
    const again = await startServiceProcess({ data: service.data });
    try {
      const url = again.address + pathname;
      const { offset } = await until('the upload to be taken up', async () => {
        const state = await head(url);
        return state.status === 200 && state;
      });
      assert.ok(offset > 0 && offset <= 33 * MIB, `it goes on at ${offset}`);
      assert.equal((await patch(url, offset, piece(offset, bytes.length))).status, 204);
      const { inventory } = await again.client.result(begun.uploadJobUuid);
      assert.equal(inventory.sha256Sum, digest());
      assert.ok(!inventory.backupStorageRefs[0].installPath.includes('/uploads/'));
    } finally {
      await again.stop();
    }
  });
});

/** Checkpoints are written a moment after their bytes. */
function settled(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 1000));
}

/** As programs do it. Rejects with the client's error. */
async function send(
  source: ReturnType<typeof createReadStream> | Buffer,
  options: ConstructorParameters<typeof Upload>[1],
): Promise<void> {
  if (!Buffer.isBuffer(source)) await once(source, 'open');
  return new Promise((resolve, reject) => {
    new Upload(source, {
      chunkSize: Number.POSITIVE_INFINITY,
      retryDelays: [20, 50, 100],
      onSuccess: () => resolve(),
      onError: (error: Error | DetailedError) => reject(error),
      ...options,
    }).start();
  });
}
