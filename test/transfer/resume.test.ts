import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, describe, it } from 'node:test';
import { IngotError } from '../../src/kernel/errors.ts';
import {
  type Fault,
  type RangeRequest,
  type RangeServer,
  startRangeServer,
} from '../support/range-server.ts';
import type { ServedFile } from '../support/served-file.ts';
import { Receiver } from './receiver.ts';

const MIB = 1024 * 1024;
const CONTENT = randomBytes(3 * MIB + 12_345);
const servers: RangeServer[] = [];

async function serve(file: ServedFile | Uint8Array, fault: (request: RangeRequest) => Fault | undefined) {
  const server = await startRangeServer({ files: { '/image': file }, fault });
  servers.push(server);
  return server;
}

after(() => Promise.all(servers.map((server) => server.close())));

/** For what shall be taken for a stall; milliseconds. */
const IMPATIENT = { http: { stallTimeout: 1000 } };

/** The fault of the first answer; later ones are right. */
const first = (fault: Fault) => (request: RangeRequest) => (request.number === 1 ? fault : undefined);

describe('a transfer whose source breaks', { concurrency: true }, () => {
  for (const [what, fault] of Object.entries<Fault>({
    'a broken connection': { breakAfter: 1_234_567 },
    'a body cut short': { truncateAt: 2 * MIB },
    'a stall': { stallAfter: 777_777 },
    'a stall before the first byte': { stallAfter: 0 },
    'a broken connection of unknown length': { chunked: true, breakAfter: 1_234_567 },
  })) {
    it(`goes on after ${what}`, async () => {
      const server = await serve(CONTENT, first(fault));
      const receiver = await Receiver.open();
      await receiver.check(await receiver.take(server.url('/image'), IMPATIENT), CONTENT);
      const { range, 'if-range': condition } = server.requests[1]?.headers ?? {};
      const sent = fault.breakAfter ?? fault.truncateAt ?? fault.stallAfter;
      if (sent === 0) {
        assert.equal(range, undefined);
      } else {
        assert.equal(range, `bytes=${sent}-`);
        assert.match(String(condition), /^"[0-9a-f]{32}"$/);
        assert.deepEqual(receiver.happened(), ['break', 'resume']);
      }
      assert.equal(server.bytesSent(), CONTENT.length);
    });
  }

  it('goes on as often as it takes, as long as bytes come', async () => {
    const server = await serve(CONTENT, () => ({ breakAfter: 300_001 }));
    const receiver = await Receiver.open();
    await receiver.check(await receiver.take(server.url('/image')), CONTENT);
    assert.equal(server.requests.length, Math.ceil(CONTENT.length / 300_001));
  });

  it('goes on by date where there is no strong ETag', async () => {
    const served = { content: CONTENT, etag: 'W/"weak"' };
    const server = await serve(served, first({ breakAfter: MIB }));
    const receiver = await Receiver.open();
    await receiver.check(await receiver.take(server.url('/image')), CONTENT);
    assert.equal(server.requests[1]?.headers['if-range'], 'Wed, 01 Jan 2025 00:00:00 GMT');
    assert.deepEqual(receiver.happened(), ['break', 'resume']);
  });

  const restarts: Record<string, { served?: ServedFile; later: Fault }> = {
    'the server knows no ranges': { served: { content: CONTENT, acceptRanges: false }, later: {} },
    'the server forgets its ranges': { later: { ignoreRange: true } },
    'nothing tells whether it is the same file': {
      served: { content: CONTENT, etag: null, lastModified: null },
      later: {},
    },
    'the server sends another range': {
      later: { headers: { 'content-range': `bytes 5-${CONTENT.length - 1}/${CONTENT.length}` } },
    },
    'the server does not say which range it sends': { later: { headers: { 'content-range': 'bytes' } } },
    'the range has another ETag': { later: { headers: { etag: '"other"' } } },
    'the range has another date': {
      later: { headers: { 'last-modified': 'Thu, 02 Jan 2025 00:00:00 GMT' } },
    },
    'the range is of a file of another length': {
      later: { headers: { 'content-range': `bytes ${MIB}-${CONTENT.length - 1}/${CONTENT.length + 1}` } },
    },
    'the server answers 412': { later: { status: 412 } },
    'the server answers 416': { later: { status: 416 } },
  };
  for (const [what, { served, later }] of Object.entries(restarts)) {
    it(`begins anew where ${what}`, async () => {
      const server = await serve(served ?? CONTENT, ({ number, headers }) => {
        if (number === 1) return { breakAfter: MIB };
        return headers.range === undefined ? undefined : later;
      });
      const receiver = await Receiver.open();
      await receiver.check(await receiver.take(server.url('/image')), CONTENT);
      assert.deepEqual(receiver.happened(), ['break', 'restart']);
      assert.deepEqual(receiver.events[1], { kind: 'restart', discardedBytes: MIB });
    });
  }

  for (const changed of [
    randomBytes(CONTENT.length),
    randomBytes(MIB + 5),
    randomBytes(10),
    randomBytes(5 * MIB),
  ]) {
    it(`begins anew when another file of ${changed.length} bytes has taken its place`, async () => {
      const server = await serve(CONTENT, ({ number }) => {
        if (number === 1) return { breakAfter: 2 * MIB };
        server.serve('/image', changed);
        return undefined;
      });
      const receiver = await Receiver.open();
      await receiver.check(await receiver.take(server.url('/image')), changed);
      assert.ok(receiver.happened().includes('restart'));
    });
  }

  it('gives up when no new byte comes, and leaves nothing', async () => {
    for (const acceptRanges of [true, false]) {
      const server = await serve({ content: CONTENT, acceptRanges }, ({ number }) => ({
        truncateAt: number === 1 || !acceptRanges ? MIB : 0,
      }));
      const receiver = await Receiver.open();
      await assert.rejects(
        receiver.take(server.url('/image')),
        (error) =>
          error instanceof IngotError &&
          error.retryable &&
          /ended after \d+ of the \d+ bytes/.test(error.details),
      );
      assert.equal(server.requests.length, 4);
      assert.deepEqual(await receiver.found(), []);
    }
  });

  it('names a stall that does not end', async () => {
    const server = await serve(CONTENT, () => ({ stallAfter: 0 }));
    const receiver = await Receiver.open();
    await assert.rejects(
      receiver.take(server.url('/image'), IMPATIENT),
      /No byte of http:.*\/image came for 1\.0 s/,
    );
    assert.deepEqual(await receiver.found(), []);
  });

  it('names a server that accepts but does not answer', async () => {
    const server = await serve(CONTENT, () => ({ delay: 60_000 }));
    const receiver = await Receiver.open();
    await assert.rejects(
      receiver.take(server.url('/image'), IMPATIENT),
      /did not answer the request for .* within 1\.0 s/,
    );
  });

  it('does not take slowness for a stall', async () => {
    const content = CONTENT.subarray(0, 60_000);
    const server = await serve(content, () => ({ bytesPerSecond: 40_000 }));
    const receiver = await Receiver.open();
    await receiver.check(await receiver.take(server.url('/image'), IMPATIENT), content);
    assert.deepEqual(receiver.happened(), []);
  });
});
