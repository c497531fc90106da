/** Sources that give a byte now and then. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { IngotError } from '../../src/kernel/errors.ts';
import { type Fault, type RangeServer, startRangeServer } from '../support/range-server.ts';
import { Receiver } from './receiver.ts';

const MIB = 1024 * 1024;
const CONTENT = randomBytes(24 * MIB + 77);
const servers: RangeServer[] = [];
after(() => Promise.all(servers.map((server) => server.close())));

async function serve(fault: Fault): Promise<string> {
  const server = await startRangeServer({ files: { '/image': CONTENT }, fault: () => fault });
  servers.push(server);
  return server.url('/image');
}

const tooSlow = (error: unknown) =>
  error instanceof IngotError &&
  error.code === 'SYS.1015' &&
  /image is too slow: \d+ B came in .* s, and at least 9.77 KiB in 1.0 s are expected/.test(error.details);

describe('a source', { concurrency: true }, () => {
  const pace = { bytes: 10_000, milliseconds: 1000 };

  it('that drips is given up, and leaves nothing', async () => {
    const receiver = await Receiver.open();
    const url = await serve({ bytesPerSecond: 200 });
    await assert.rejects(receiver.take(url, { pace }), tooSlow);
    assert.deepEqual(await receiver.found(), []);
  });

  it('that gives a little and breaks, again and again, is given up too', async () => {
    const receiver = await Receiver.open();
    const url = await serve({ breakAfter: 10 });
    const http = { retry: { tries: 3, baseDelay: 20, maxDelay: 20 } };
    await assert.rejects(receiver.take(url, { pace, http }), tooSlow);
    assert.ok(receiver.happened().filter((kind) => kind === 'break').length > 5, receiver.happened().join());
    assert.deepEqual(await receiver.found(), []);
  });

  it('may take its time to answer, and be asked to wait, where it is quick then', async () => {
    const receiver = await Receiver.open(1);
    const server = await startRangeServer({
      files: { '/image': CONTENT },
      fault: ({ number }) => (number < 3 ? { status: 503, headers: { 'retry-after': '1' } } : { delay: 700 }),
    });
    servers.push(server);
    const http = { retry: { tries: 3, baseDelay: 20, maxDelay: 1000 } };
    const result = await receiver.take(server.url('/image'), {
      http,
      pace: { bytes: CONTENT.length, milliseconds: 1000 },
    });
    await receiver.check(result, CONTENT);
  });

  it('is not blamed for a storage that is slow', async () => {
    const receiver = await Receiver.open(1);
    let written = Promise.resolve();
    const slowly = receiver.sinks().map((sink) => ({
      ...sink,
      open: async (options: Parameters<typeof sink.open>[0]) => {
        const writer = await sink.open(options);
        const write = writer.write.bind(writer);
        return Object.assign(writer, {
          write: (chunk: Uint8Array) => {
            written = written.then(() => sleep(150)).then(() => write(chunk));
            return written;
          },
        });
      },
    }));
    // More than the memory that one transfer may have.
    const result = await receiver.take(await serve({}), {
      sinks: slowly,
      pace: { bytes: 4 * MIB, milliseconds: 400 },
    });
    await receiver.check(result, CONTENT);
  });
});
