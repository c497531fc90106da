import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { signatureOf } from '../../src/account/access-keys.ts';
import { possibleTimes, readSigned } from '../../src/http/signing.ts';

const at = Date.UTC(2025, 0, 6, 3, 51, 16);

describe('the Date of a signed call', () => {
  it('is understood as every client writes it', () => {
    for (const date of [
      'Mon, 06 Jan 2025 03:51:16 GMT',
      'Mon, 06 Jan 2025 03:51:16 UTC',
      'mon, 06 jan 2025 03:51:16 Z',
      'Mon, 06 Jan 2025 03:51:16 +0000',
      'Mon, 06 Jan 2025 06:51:16 +03',
      'Mon, 06 Jan 2025 11:51:16 Asia/Shanghai',
      'Sun, 05 Jan 2025 22:51:16 America/New_York',
      '2025-01-06T03:51:16Z',
    ]) {
      assert.equal(possibleTimes(date)[0], at, date);
    }
  });

  it("is the server's own time where nobody knows the zone", () => {
    const local = new Date(2025, 0, 6, 11, 51, 16).getTime();
    for (const zone of ['CST', 'ICT', 'No/Where']) {
      assert.deepEqual(possibleTimes(`Mon, 06 Jan 2025 11:51:16 ${zone}`), [local], zone);
    }
  });

  it('is refused where it is none, is missing, or is more than a quarter of an hour off', () => {
    for (const text of ['', 'yesterday', 'Mon, 06 Foo 2025 03:51:16 GMT', '1736135476']) {
      assert.deepEqual(possibleTimes(text), [], text);
    }
    const headers = { date: 'Mon, 06 Jan 2025 03:51:16 GMT' };
    const minutes = (count: number) => at + count * 60_000;
    assert.equal(readSigned('id:signature', headers, minutes(15)).id, 'id');
    assert.equal(readSigned('id:signature', headers, minutes(-15)).date, headers.date);
    // As far away as no zone of the machine this runs on could explain.
    for (const time of [minutes(15) + 1, minutes(-15) - 1, at + 30 * 86_400_000]) {
      assert.throws(() => readSigned('id:signature', headers, time), {
        status: 403,
        message: 'requestTimeTooSkewed',
      });
    }
    for (const bad of ['id', 'id:', ':signature', 'a:b:c']) {
      assert.throws(() => readSigned(bad, headers, at), { status: 400 }, bad);
    }
    assert.throws(() => readSigned('id:signature', {}, at), { status: 400 });
  });
});

describe('a signature', () => {
  it('is of the method, the date and the path, and of nothing else', () => {
    const one = signatureOf('secret', 'GET', 'Mon, 06 Jan 2025 03:51:16 UTC', '/v1/images');
    // openssl dgst -sha1 -hmac secret, over the three lines.
    assert.equal(one, 'gchiSMcQQo2pSoSbzeUzT2YcacI=');
    for (const other of [
      signatureOf('secret', 'PUT', 'Mon, 06 Jan 2025 03:51:16 UTC', '/v1/images'),
      signatureOf('secret', 'GET', 'Mon, 06 Jan 2025 03:51:17 UTC', '/v1/images'),
      signatureOf('secret', 'GET', 'Mon, 06 Jan 2025 03:51:16 UTC', '/v1/zones'),
      signatureOf('Secret', 'GET', 'Mon, 06 Jan 2025 03:51:16 UTC', '/v1/images'),
    ]) {
      assert.notEqual(other, one);
    }
  });
});
