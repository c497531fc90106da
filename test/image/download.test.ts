import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { chmodSync, readdirSync, renameSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { type IncomingMessage, request } from 'node:http';
import { after, before, describe, it } from 'node:test';
import { Ingot } from '../../src/client/ingot.ts';
import { until } from '../support/service.ts';
import { openStage, type Stage } from './stage.ts';

const MIB = 1024 * 1024;

describe('downloading an image', () => {
  let stage: Stage;
  let uuid: string;
  let storages: string[];
  let bytes: Buffer;
  let path: string;

  before(async () => {
    stage = await openStage('sqlite');
    // Larger than what sockets hold, so that a client that stops reading is felt.
    bytes = Buffer.concat([stage.disks.raw, Buffer.alloc(32 * MIB, 'some bytes that are not all the same')]);
    stage.server.serve('/large.raw', bytes);
    storages = [await stage.addStorage('one'), await stage.addStorage('two')];
    const { inventory } = await stage.service.client.call('AddImage', {
      name: 'Größe "1"/../x',
      url: stage.url('/large.raw'),
      backupStorageUuids: storages,
    });
    uuid = inventory.uuid;
    path = `/v1/images/${uuid}/file`;
  });
  after(() => stage.close());

  const get = (headers: Record<string, string> = {}, method = 'GET', at = path) =>
    fetch(stage.service.address + at, {
      method,
      headers: { authorization: `OAuth ${stage.service.client.session}`, ...headers },
    });
  const etag = () => `"${createHash('sha256').update(bytes).digest('hex')}"`;
  /** In the order in which they are tried. */
  const copies = async () => {
    const [image] = await stage.service.client.query('Image', `uuid=${uuid}`);
    const refs: { backupStorageUuid: string; installPath: string; damage?: string }[] =
      image?.backupStorageRefs;
    return refs.sort((one, other) => (one.backupStorageUuid < other.backupStorageUuid ? -1 : 1));
  };

  it('gives all bytes, under both addresses, with length, digest and a name that is safe', async () => {
    for (const prefix of ['/v1', '/zstack/v1']) {
      const answer = await get({}, 'GET', `${prefix}/images/${uuid}/file`);
      assert.equal(answer.status, 200);
      assert.equal(answer.headers.get('content-length'), String(bytes.length));
      assert.equal(answer.headers.get('etag'), etag());
      assert.equal(answer.headers.get('accept-ranges'), 'bytes');
      assert.equal(
        answer.headers.get('content-disposition'),
        `attachment; filename="Gr__e _1__.._x.img"; filename*=UTF-8''Gr%C3%B6%C3%9Fe%20_1__.._x.img`,
      );
      assert.ok(bytes.equals(Buffer.from(await answer.arrayBuffer())));
    }
  });

  it('answers HEAD with the same headers and no bytes', async () => {
    const answer = await get({}, 'HEAD');
    assert.equal(answer.status, 200);
    assert.equal(answer.headers.get('content-length'), String(bytes.length));
    assert.equal(answer.headers.get('etag'), etag());
    assert.equal((await answer.arrayBuffer()).byteLength, 0);
  });

  for (const [range, start, end] of [
    ['bytes=0-0', 0, 1],
    ['bytes=100-1048700', 100, 1048701],
    ['bytes=5-', 5, Number.POSITIVE_INFINITY],
    ['bytes=-7', -7, Number.POSITIVE_INFINITY],
    ['bytes=10-99999999999', 10, Number.POSITIVE_INFINITY],
  ] as const) {
    it(`gives the range ${range}`, async () => {
      const answer = await get({ range });
      const from = start < 0 ? bytes.length + start : start;
      const to = Math.min(end, bytes.length);
      assert.equal(answer.status, 206);
      assert.equal(answer.headers.get('content-range'), `bytes ${from}-${to - 1}/${bytes.length}`);
      assert.ok(bytes.subarray(from, to).equals(Buffer.from(await answer.arrayBuffer())));
    });
  }

  it('refuses a range past the end, and takes several or a senseless one for the whole', async () => {
    const past = await get({ range: `bytes=${bytes.length}-` });
    assert.equal(past.status, 416);
    assert.equal(past.headers.get('content-range'), `bytes */${bytes.length}`);
    assert.match(await past.text(), /lies outside of the \d+ bytes/);
    for (const range of ['bytes=0-1,4-5', 'bytes=9-3', 'lines=1-2']) {
      const whole = await get({ range }, 'HEAD');
      assert.equal(whole.status, 200, range);
    }
  });

  it('looks at conditions', async () => {
    assert.equal((await get({ 'if-none-match': etag() })).status, 304);
    assert.equal((await get({ 'if-none-match': `"other", W/${etag()}` })).status, 304);
    assert.equal((await get({ 'if-none-match': '"other"' }, 'HEAD')).status, 200);
    assert.equal((await get({ 'if-match': '"other"' })).status, 412);
    assert.equal((await get({ range: 'bytes=0-3', 'if-range': etag() }, 'HEAD')).status, 206);
    assert.equal((await get({ range: 'bytes=0-3', 'if-range': '"other"' }, 'HEAD')).status, 200);
    const date = 'Wed, 21 Oct 2015 07:28:00 GMT';
    assert.equal((await get({ range: 'bytes=0-3', 'if-range': date }, 'HEAD')).status, 200);
  });

  it('is for those who may use the image', async () => {
    const nobody = await fetch(stage.service.address + path);
    assert.equal(nobody.status, 401);
    const missing = await get({}, 'GET', `/v1/images/7f0f1a3c9f3b4a0c8d1e2b3c4d5e6f70/file`);
    assert.equal(missing.status, 404);
    const { client } = stage.service;
    const password = createHash('sha512').update('secret').digest('hex');
    await client.call('CreateAccount', { name: 'guest', password });
    const { address } = stage.service;
    const guest = await Ingot.logIn({ address, accountName: 'guest', password: 'secret' });
    await assert.rejects(guest.download(uuid), { code: 'ID.1002' });
    const [account] = await client.query('Account', 'name=guest');
    await client.call('ShareResource', { resourceUuids: [uuid], accountUuids: [account?.uuid] });
    const shared = await guest.download(uuid, { headers: { range: 'bytes=0-9' } });
    assert.ok(bytes.subarray(0, 10).equals(Buffer.from(await shared.arrayBuffer())));
    await guest.close();
  });

  it('lets go of everything when the client goes', async () => {
    const open = () => readdirSync('/proc/self/fd').length;
    const before = open();
    const response = await openDownload(stage, path);
    await once(response, 'readable');
    assert.ok(open() > before);
    response.destroy();
    await until('the file to be closed', () => open() <= before);
  });

  it('comes from another copy while the storage of the first is away, which is no damage', async () => {
    const [first] = await copies();
    const [storage] = await stage.service.client.query('BackupStorage', `uuid=${first?.backupStorageUuid}`);
    renameSync(storage?.url, `${storage?.url}.away`);
    try {
      const answer = await get();
      assert.equal(answer.status, 200);
      assert.ok(bytes.equals(Buffer.from(await answer.arrayBuffer())));
    } finally {
      renameSync(`${storage?.url}.away`, storage?.url);
    }
    assert.equal((await copies())[0]?.damage, undefined);
  });

  it('goes on from another copy when the one being read is cut off, and tells of the damage', async () => {
    const [first, second] = await copies();
    assert.ok(first && second);
    const response = await openDownload(stage, path);
    const got = createHash('sha256');
    let length = 0;
    for await (const piece of response) {
      if (length === 0) truncateSync(first.installPath, 8 * MIB);
      length += (piece as Buffer).length;
      got.update(piece as Buffer);
    }
    assert.equal(length, bytes.length);
    assert.equal(`"${got.digest('hex')}"`, etag());
    const [now, other] = await copies();
    assert.match(now?.damage ?? '', /it ends after \d+ bytes/);
    assert.equal(other?.damage, undefined);
    const { text } = await stage.service.client.http('GET', '/metrics');
    assert.match(text, /^ingot_damaged_copies 1$/m);
    assert.match(stage.service.log(), /a copy of an image is damaged/);
  });

  it('says what is wrong with each copy when none can be read', async () => {
    const [, second] = await copies();
    assert.ok(second);
    rmSync(second.installPath);
    const answer = await get();
    assert.equal(answer.status, 409);
    assert.match(await answer.text(), /the copy on backup storage '(one|two)' is damaged: it is gone/);
    const again = await get();
    assert.match(await again.text(), /the copy on .* is damaged: it .*; the copy on .* is damaged: it/);
    // Back as they were, for the stage's own looks.
    for (const copy of await copies()) writeFileSync(copy.installPath, bytes);
    for (const copy of await copies()) chmodSync(copy.installPath, 0o640);
    await stage.database.sql.updateTable('imageBackupStorageRef').set({ damage: null }).execute();
  });

  it('is exported under an address that needs no session, until that is taken back', async () => {
    const { client, address } = stage.service;
    const exported = { imageUuid: uuid, backupStorageUuid: storages[1] };
    const { imageUrl, exportMd5Sum } = await client.call('ExportImageFromBackupStorage', exported);
    assert.ok(imageUrl.startsWith(`${address}/exports/`));
    assert.equal(exportMd5Sum, createHash('md5').update(bytes).digest('hex'));
    const again = await client.call('ExportImageFromBackupStorage', exported);
    assert.equal(again.imageUrl, imageUrl);
    assert.ok(bytes.equals(Buffer.from(await (await fetch(imageUrl)).arrayBuffer())));
    assert.equal((await fetch(imageUrl, { headers: { range: 'bytes=0-3' } })).status, 206);
    const other = { ...exported, exportFormat: 'qcow2' };
    await assert.rejects(client.call('ExportImageFromBackupStorage', other), { code: 'SYS.1013' });
    const guess = imageUrl.replace(/exports\/./, (text: string) =>
      text.endsWith('A') ? 'exports/B' : 'exports/A',
    );
    assert.equal((await fetch(guess)).status, 404);
    await client.call('DeleteExportedImageFromBackupStorage', exported);
    assert.equal((await fetch(imageUrl)).status, 404);
    await client.call('DeleteExportedImageFromBackupStorage', exported);
  });
});

/** An answer whose body waits for its reader. */
async function openDownload(stage: Stage, path: string): Promise<IncomingMessage> {
  const sent = request(stage.service.address + path, {
    headers: { authorization: `OAuth ${stage.service.client.session}` },
  }).end();
  const [response] = (await once(sent, 'response')) as [IncomingMessage];
  assert.equal(response.statusCode, 200);
  return response;
}
