import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { after, describe, it } from 'node:test';
import { gzipSync } from 'node:zlib';
import { IngotError } from '../../src/kernel/errors.ts';
import { httpSource } from '../../src/transfer/http-source.ts';
import { type RangeServer, type RangeServerOptions, startRangeServer } from '../support/range-server.ts';
import { Receiver } from './receiver.ts';

const CONTENT = randomBytes(100_000);
const servers: RangeServer[] = [];

async function serve(options: RangeServerOptions = {}): Promise<RangeServer> {
  const server = await startRangeServer({ files: { '/image': CONTENT }, ...options });
  servers.push(server);
  return server;
}

after(() => Promise.all(servers.map((server) => server.close())));

/** Expects the download to fail with this sentence and to leave nothing. */
async function refuses(url: string, sentence: RegExp, options: Parameters<Receiver['take']>[1] = {}) {
  const receiver = await Receiver.open();
  const error = await receiver.take(url, options).then(
    () => assert.fail(`${url} was taken`),
    (thrown) => thrown,
  );
  assert.ok(error instanceof IngotError, String(error));
  assert.match(error.details, sentence);
  assert.deepEqual(await receiver.found(), []);
  return { error, receiver };
}

describe('an HTTP source', { concurrency: true }, () => {
  it('follows five redirects, and no sixth', async () => {
    const server = await serve({
      fault: ({ path }) => {
        const left = Number(/^\/hop(\d)/.exec(path)?.[1] ?? 0);
        if (left > 1) return { redirectTo: `/hop${left - 1}` };
        return left === 1 ? { redirectTo: 'image' } : undefined;
      },
    });
    const receiver = await Receiver.open(1);
    const result = await receiver.take(server.url('/hop5'));
    await receiver.check(result, CONTENT);
    assert.equal(result.source.finalUrl, server.url('/image'));
    await refuses(server.url('/hop6'), /redirects more than 5 times: .*hop6 -> .*hop5 -> /);
  });

  it('names a loop of redirects', async () => {
    const server = await serve({ fault: ({ path }) => ({ redirectTo: path === '/a' ? '/b' : '/a' }) });
    const url = server.url('/a').replace('//', '//user:secret@');
    await refuses(url, /in a loop: http:\/\/user:\*\*\*@[^ ]+\/a -> .*\/b -> .*\/a\.$/);
  });

  it('follows no redirect away from the web or from https to http', async () => {
    const away = await serve({ fault: () => ({ redirectTo: 'file:///etc/passwd' }) });
    await refuses(away.url('/image'), /redirects to file:\/\/\/etc\/passwd; only http and https/);
    const plain = await serve();
    const secure = await serve({ tls: true, fault: () => ({ redirectTo: plain.url('/image') }) });
    const { certificate: ca = '' } = secure;
    await refuses(secure.url('/image'), /redirects from https to http:/, { http: { ca } });
    assert.equal(plain.requests.length, 0);
  });

  it('gives the password to the host it is for, and to no other', async () => {
    const other = await serve();
    const server = await serve({
      fault: ({ path }) => ({ redirectTo: path === '/a' ? '/b' : other.url('/image') }),
    });
    const receiver = await Receiver.open(1);
    const result = await receiver.take(server.url('/a').replace('//', '//us%65r:s%3Acret@'), {
      http: { headers: { 'X-Token': 'also secret' } },
    });
    await receiver.check(result, CONTENT);
    const basic = `Basic ${Buffer.from('user:s:cret').toString('base64')}`;
    assert.deepEqual(
      server.requests.map((request) => request.headers.authorization),
      [basic, basic],
    );
    assert.equal(server.requests[1]?.headers['x-token'], 'also secret');
    assert.equal(other.requests[0]?.headers.authorization, undefined);
    assert.equal(other.requests[0]?.headers['x-token'], undefined);
  });

  it('names the status of a file that can not be had, at once and without the password', async () => {
    const server = await serve({ fault: ({ path }) => ({ status: Number(path.slice(1)) }) });
    for (const status of [401, 403, 404, 410, 204, 206, 418]) {
      const url = server.url(`/${status}`).replace('//', '//user:secret@');
      const { error } = await refuses(url, new RegExp(`answered ${status}.*http://user:\\*\\*\\*@`));
      assert.equal(error.retryable, false);
    }
    assert.ok(server.requests.every((request) => request.number === 1));
  });

  it('waits for a server that is busy', async () => {
    const answers = [500, 503, 429];
    const server = await serve({
      fault: ({ number }) => {
        const status = answers[number - 1];
        return status === undefined ? undefined : { status, headers: { 'retry-after': '3600' } };
      },
    });
    const receiver = await Receiver.open(1);
    await receiver.check(await receiver.take(server.url('/image')), CONTENT);
    assert.deepEqual(receiver.happened(), ['break', 'break', 'break']);
    // An hour was asked for; no more than the longest delay is given.
    for (const event of receiver.events) assert.ok(event.kind === 'break' && event.waitMilliseconds === 50);
  });

  it('gives up on a server that stays busy', async () => {
    const server = await serve({ fault: () => ({ status: 502 }) });
    const { error } = await refuses(server.url('/image'), /answered 502 Bad Gateway/);
    assert.equal(error.retryable, true);
    assert.equal(server.requests.length, 4);
  });

  it('says that nothing listens', async () => {
    const listener = createServer().listen(0, '127.0.0.1');
    await once(listener, 'listening');
    const address = listener.address();
    const port = typeof address === 'object' ? address?.port : 0;
    listener.close();
    await once(listener, 'close');
    const { receiver } = await refuses(
      `http://127.0.0.1:${port}/image`,
      new RegExp(`127.0.0.1:${port} refused the connection`),
    );
    assert.equal(receiver.events.filter(({ kind }) => kind === 'break').length, 2);
  });

  it('says that a host is unknown', async () => {
    await refuses('http://no-such-host.invalid/image', /The host name "no-such-host.invalid" of/);
  });

  it('says why a certificate is not trusted, and trusts the one it is given', async () => {
    const server = await serve({ tls: true });
    await refuses(
      server.url('/image'),
      /certificate of 127\.0\.0\.1:\d+ can not be trusted: it is self-signed/,
    );
    assert.equal(server.requests.length, 0);
    const receiver = await Receiver.open(1);
    const { certificate: ca = '' } = server;
    await receiver.check(await receiver.take(server.url('/image'), { http: { ca } }), CONTENT);
  });

  it('says that a port does not speak https', async () => {
    const server = await serve();
    await refuses(server.url('/image').replace('http:', 'https:'), /No TLS connection could be made/);
  });

  it('says that a port does not speak HTTP', async () => {
    const listener = createServer((socket) => socket.end('220 mail.example ESMTP\r\n')).listen(
      0,
      '127.0.0.1',
    );
    await once(listener, 'listening');
    const address = listener.address();
    const port = typeof address === 'object' ? address?.port : 0;
    await refuses(`http://127.0.0.1:${port}/image`, /did not answer .* in valid HTTP/);
    listener.close();
  });

  it('refuses headers without end', async () => {
    const server = await serve({ fault: () => ({ headers: { 'x-long': 'x'.repeat(20_000) } }) });
    await refuses(server.url('/image'), /in valid HTTP \(HPE_HEADER_OVERFLOW\)/);
  });

  it('refuses a compressed transfer', async () => {
    const server = await serve({
      files: { '/image': gzipSync(CONTENT) },
      fault: () => ({ headers: { 'content-encoding': 'gzip' } }),
    });
    await refuses(server.url('/image'), /Content-Encoding "gzip"/);
    assert.equal(server.requests[0]?.headers['accept-encoding'], 'identity');
  });

  it('takes a body of unknown length', async () => {
    const server = await serve({ fault: () => ({ chunked: true }) });
    const receiver = await Receiver.open(1);
    const result = await receiver.take(server.url('/image'));
    await receiver.check(result, CONTENT);
    assert.equal(result.source.totalSize, CONTENT.length);
  });

  it('refuses what is no http address', () => {
    assert.throws(() => httpSource('image.qcow2'), /"image\.qcow2" is not a URL/);
    assert.throws(
      () => httpSource('ftp://u:secret@host/x'),
      /ftp:\/\/u:\*\*\*@host\/x can not be downloaded/,
    );
  });
});
