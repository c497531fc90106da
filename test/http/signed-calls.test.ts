/** Calls that are signed with an access key: what a signature is good for, and what it is not. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { signatureOf } from '../../src/account/access-keys.ts';
import { startTestService, type TestService } from '../support/service.ts';

describe('a signed call', () => {
  let service: TestService;
  let key: { uuid: string; AccessKeyID: string; AccessKeySecret: string };
  before(async () => {
    service = await startTestService();
    key = (await service.client.call('CreateAccessKey')).inventory;
  });
  after(() => service.stop());

  const headersFor = (method: string, path: string, date = new Date().toUTCString()) => ({
    date,
    authorization: `ZStack ${key.AccessKeyID}:${signatureOf(key.AccessKeySecret, method, date, path)}`,
  });
  const send = async (method: string, path: string, headers: Record<string, string>) => {
    const response = await fetch(service.address + path, { method, headers });
    const text = await response.text();
    const { error } = (text.startsWith('{') ? JSON.parse(text) : {}) as { error?: { details: string } };
    return { status: response.status, says: error?.details ?? text };
  };
  const WRONG = () => `wrong accessKey signature for access key id ${key.AccessKeyID}`;

  it('is taken on both flavours, whatever its query says', async () => {
    for (const [path, signed] of [
      ['/zstack/v1/zones?q=name=default', '/v1/zones'],
      ['/zstack/v1/zones/a%20b', '/v1/zones/a b'],
      ['/v1/zones?limit=1', '/v1/zones'],
    ] as const) {
      assert.equal((await send('GET', path, headersFor('GET', signed))).status, 200, path);
    }
  });

  it('that is replayed as another one is refused', async () => {
    const headers = headersFor('GET', '/v1/zones');
    assert.equal((await send('GET', '/zstack/v1/zones', headers)).status, 200);
    for (const [method, path] of [
      ['GET', '/zstack/v1/images'],
      ['GET', '/zstack/v1/zones/x'],
    ] as const) {
      assert.deepEqual(await send(method, path, headers), { status: 503, says: WRONG() }, path);
    }
    assert.deepEqual(await send('GET', '/v1/images', headers), { status: 401, says: WRONG() });
    const deleted = await send('DELETE', `/v1/accesskeys/${key.uuid}`, headers);
    assert.deepEqual(deleted, { status: 401, says: WRONG() });
    const later = { ...headers, date: new Date(Date.now() + 1000).toUTCString() };
    assert.deepEqual(await send('GET', '/zstack/v1/zones', later), { status: 503, says: WRONG() });
  });

  it('that is replayed later than a quarter of an hour is refused, before its signature is looked at', async () => {
    for (const minutes of [-16, 16]) {
      // As far away as no zone of the machine this runs on could explain.
      const date = new Date(Date.now() + minutes * 60_000 + minutes * 86_400_000).toUTCString();
      const answer = await send('GET', '/zstack/v1/zones', headersFor('GET', '/v1/zones', date));
      assert.deepEqual(answer, { status: 403, says: 'requestTimeTooSkewed' });
    }
    if (new Date().getTimezoneOffset() !== 0) return;
    const date = new Date(Date.now() - 16 * 60_000).toUTCString();
    assert.equal((await send('GET', '/zstack/v1/zones', headersFor('GET', '/v1/zones', date))).status, 403);
  });

  it('ends with its key', async () => {
    const headers = headersFor('GET', '/v1/zones');
    await service.client.call('ChangeAccessKeyState', { uuid: key.uuid, stateEvent: 'disable' });
    const disabled = await send('GET', '/zstack/v1/zones', headers);
    assert.deepEqual(disabled, { status: 503, says: `the access key id ${key.AccessKeyID} is Disabled` });
    await service.client.call('DeleteAccessKey', { uuid: key.uuid });
    const gone = await send('GET', '/zstack/v1/zones', headers);
    assert.deepEqual(gone, { status: 503, says: `there is no access key id ${key.AccessKeyID}` });
  });
});
