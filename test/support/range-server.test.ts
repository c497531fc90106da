import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { get as httpGet, type IncomingMessage } from 'node:http';
import { get as httpsGet } from 'node:https';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { type RangeServerOptions, startRangeServer } from './range-server.ts';
import { temporaryDirectory } from './temp-directory.ts';

const BYTES = randomBytes(300_000);

async function start(t: TestContext, options: RangeServerOptions = {}) {
  const server = await startRangeServer({ files: { '/disk': BYTES }, ...options });
  t.after(() => server.close());
  return server;
}

/** Reads a body as far as it goes. */
async function drain(url: string, headers: Record<string, string> = {}) {
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    httpGet(url, { headers, agent: false }, resolve).on('error', reject);
  });
  const chunks: Buffer[] = [];
  let error: unknown;
  try {
    for await (const chunk of response) chunks.push(chunk);
  } catch (thrown) {
    error = thrown;
  }
  return { response, status: response.statusCode, bytes: Buffer.concat(chunks), error };
}

test('the whole file comes with its length and validators', async (t) => {
  const server = await start(t);
  const { response, status, bytes, error } = await drain(server.url('/disk'));
  assert.equal(error, undefined);
  assert.equal(status, 200);
  assert.ok(bytes.equals(BYTES));
  assert.equal(response.headers['content-length'], '300000');
  assert.match(response.headers.etag ?? '', /^"[0-9a-f]{32}"$/);
  assert.equal(response.headers['last-modified'], 'Wed, 01 Jan 2025 00:00:00 GMT');
  assert.equal(server.bytesSent(), 300_000);
});

test('ranges: from, to, last, past the end', async (t) => {
  const server = await start(t);
  const url = server.url('/disk');
  const from = await drain(url, { range: 'bytes=299990-' });
  assert.equal(from.status, 206);
  assert.equal(from.response.headers['content-range'], 'bytes 299990-299999/300000');
  assert.ok(from.bytes.equals(BYTES.subarray(299_990)));
  assert.ok((await drain(url, { range: 'bytes=5-9' })).bytes.equals(BYTES.subarray(5, 10)));
  assert.ok((await drain(url, { range: 'bytes=-7' })).bytes.equals(BYTES.subarray(-7)));
  assert.equal((await drain(url, { range: 'bytes=300000-' })).status, 416);
  assert.equal((await drain(url, { range: 'bytes=9-5' })).status, 200);
});

test('If-Range gives the part of the same file, and the whole of another', async (t) => {
  const server = await start(t);
  const url = server.url('/disk');
  const { etag = '' } = (await drain(url, { range: 'bytes=0-0' })).response.headers;
  assert.equal((await drain(url, { range: 'bytes=9-', 'if-range': etag })).status, 206);
  server.serve('/disk', randomBytes(300_000));
  const other = await drain(url, { range: 'bytes=9-', 'if-range': etag });
  assert.equal(other.status, 200);
  assert.equal(other.bytes.length, 300_000);
  assert.notEqual(other.response.headers.etag, etag);
});

test('a file on disk is served like bytes in memory', async (t) => {
  const path = join(temporaryDirectory(), 'disk');
  writeFileSync(path, BYTES);
  const server = await start(t, { files: { '/disk': { content: path, etag: null, lastModified: null } } });
  const { bytes, response } = await drain(server.url('/disk'), { range: 'bytes=1000-' });
  assert.ok(bytes.equals(BYTES.subarray(1000)));
  assert.equal(response.headers.etag, undefined);
  assert.equal(response.headers['last-modified'], undefined);
});

test('a broken connection has delivered exactly the bytes before the break', async (t) => {
  const server = await start(t, {
    fault: ({ number }) => (number === 1 ? { breakAfter: 123_456 } : undefined),
  });
  const broken = await drain(server.url('/disk'));
  assert.ok(broken.error);
  assert.ok(broken.bytes.equals(BYTES.subarray(0, 123_456)));
  const rest = await drain(server.url('/disk'), { range: 'bytes=123456-' });
  assert.ok(Buffer.concat([broken.bytes, rest.bytes]).equals(BYTES));
  assert.deepEqual(
    server.requests.map(({ status, bytesSent, headers }) => [status, bytesSent, headers.range]),
    [
      [200, 123_456, undefined],
      [206, 300_000 - 123_456, 'bytes=123456-'],
    ],
  );
});

test('a stalled body stops, and closing the server ends it', async () => {
  const server = await startRangeServer({ files: { '/disk': BYTES }, fault: () => ({ stallAfter: 1000 }) });
  const reading = drain(server.url('/disk'));
  while (server.bytesSent() < 1000) await new Promise((resolve) => setTimeout(resolve, 5));
  await server.close();
  const { bytes, error } = await reading;
  assert.equal(bytes.length, 1000);
  assert.ok(error);
});

test('lengths that lie: too few bytes, a wrong Content-Length, none at all', async (t) => {
  const faults = [{ truncateAt: 1000 }, { contentLength: 400_000 }, { chunked: true }];
  const server = await start(t, { fault: ({ number }) => faults[number - 1] });
  const truncated = await drain(server.url('/disk'));
  assert.ok(truncated.error);
  assert.equal(truncated.bytes.length, 1000);
  const tooLong = await drain(server.url('/disk'));
  assert.equal(tooLong.response.headers['content-length'], '400000');
  assert.ok(tooLong.error);
  assert.equal(tooLong.bytes.length, 300_000);
  const chunked = await drain(server.url('/disk'));
  assert.equal(chunked.response.headers['content-length'], undefined);
  assert.ok(chunked.bytes.equals(BYTES));
});

test('statuses, redirects, HTML and ignored ranges', async (t) => {
  const server = await start(t, {
    fault: ({ path, number }) => {
      if (path === '/from') return { redirectTo: '/disk' };
      if (path === '/page') return { body: '<html>', headers: { 'content-type': 'text/html' } };
      if (path === '/nothing') return undefined;
      if (number === 1) return { status: 503, headers: { 'retry-after': '7' } };
      return { ignoreRange: true };
    },
    files: { '/disk': BYTES, '/page': BYTES },
  });
  const busy = await drain(server.url('/disk'));
  assert.equal(busy.status, 503);
  assert.equal(busy.response.headers['retry-after'], '7');
  const whole = await drain(server.url('/disk'), { range: 'bytes=5-' });
  assert.equal(whole.status, 200);
  assert.equal(whole.bytes.length, 300_000);
  assert.equal((await drain(server.url('/from'))).response.headers.location, '/disk');
  const page = await drain(server.url('/page'));
  assert.deepEqual([page.status, page.bytes.toString()], [200, '<html>']);
  assert.equal((await drain(server.url('/nothing'))).status, 404);
});

test('a rate is held', async (t) => {
  const server = await start(t, { fault: () => ({ bytesPerSecond: 1_000_000 }) });
  const began = performance.now();
  const { bytes } = await drain(server.url('/disk'));
  assert.equal(bytes.length, 300_000);
  // 300,000 bytes at 1,000,000 a second; only "not earlier" is certain. Timers may fire 1 ms early.
  assert.ok(performance.now() - began >= 295);
});

test('a client that goes away leaves nothing behind', async () => {
  const server = await startRangeServer({ files: { '/disk': Buffer.alloc(64 << 20) } });
  await new Promise<void>((resolve, reject) => {
    httpGet(server.url('/disk'), { agent: false }, (response) => {
      response.once('data', () => response.destroy());
      response.once('close', resolve);
    }).on('error', reject);
  });
  await server.close();
  assert.ok(server.bytesSent() < 64 << 20);
});

test('HTTPS, for those who trust its certificate', async (t) => {
  const server = await start(t, { tls: true });
  const ask = (ca: string | undefined) =>
    new Promise<number | undefined>((resolve, reject) => {
      httpsGet(server.url('/disk'), { ...(ca && { ca }), agent: false }, (response) => {
        response.resume();
        resolve(response.statusCode);
      }).on('error', reject);
    });
  await assert.rejects(ask(undefined), { code: 'DEPTH_ZERO_SELF_SIGNED_CERT' });
  assert.equal(await ask(server.certificate), 200);
});
