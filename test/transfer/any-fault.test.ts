import assert from 'node:assert/strict';
import { after, it } from 'node:test';
import fc from 'fast-check';
import { IngotError } from '../../src/kernel/errors.ts';
import type { Checkpoint } from '../../src/transfer/checkpoint.ts';
import { SHUTDOWN } from '../../src/transfer/transfer.ts';
import { type Fault, type RangeServer, startRangeServer } from '../support/range-server.ts';
import { Receiver } from './receiver.ts';

const servers: RangeServer[] = [];
after(() => Promise.all(servers.map((server) => server.close())));

const size = fc.oneof(fc.constantFrom(0, 1, 4096, 1024 * 1024), fc.integer({ min: 0, max: 3_000_000 }));

const fault: fc.Arbitrary<Fault | 'change' | 'stop'> = fc.oneof(
  fc.record({ breakAfter: size }),
  fc.record({ truncateAt: size }),
  fc.record({ breakAfter: size, chunked: fc.constant(true) }),
  fc.record({ breakAfter: size, ignoreRange: fc.constant(true) }),
  fc.record({ stallAfter: size }),
  fc.record({ status: fc.constantFrom(500, 503, 429, 412, 416, 404) }),
  fc.record({
    headers: fc.record({ 'content-range': fc.constantFrom('bytes 0-1/2', 'bytes */9', 'nonsense') }),
  }),
  fc.record({ headers: fc.record({ etag: fc.constantFrom('"other"', 'W/"weak"') }) }),
  fc.constant({ redirectTo: '/elsewhere' }),
  fc.constantFrom('change' as const, 'stop' as const),
);

/** Different at each place, and for each version of the file. */
function contentOf(version: number, length: number): Buffer {
  const content = Buffer.alloc(length);
  for (let i = 0; i + 4 <= length; i += 4)
    content.writeUInt32LE((i * 2_654_435_761 + version * 40_503) >>> 0, i);
  return content;
}

it('whatever the source does, the right bytes arrive or nothing stays', async () => {
  await fc.assert(
    fc.asyncProperty(size, fc.array(fault, { maxLength: 8 }), async (length, faults) => {
      let version = 0;
      let stopping = new AbortController();
      const left = [...faults];
      const server = await startRangeServer({
        files: { '/image': contentOf(0, length) },
        fault: () => {
          const next = left.shift();
          if (next === 'change') {
            server.serve('/image', contentOf(++version, length));
            return { breakAfter: length >> 1 };
          }
          if (next === 'stop') {
            setTimeout(() => stopping.abort(SHUTDOWN), 5);
            return { stallAfter: length >> 1 };
          }
          return next;
        },
      });
      servers.push(server);
      const receiver = await Receiver.open();
      let checkpoint: Checkpoint | undefined;
      for (;;) {
        try {
          const result = await receiver.take(server.url('/image'), {
            ...(checkpoint && { checkpoint }),
            signal: stopping.signal,
            checkpointPolicy: { bytes: 300_000, milliseconds: 20 },
            onCheckpoint: async (latest) => {
              checkpoint = latest;
            },
            http: { stallTimeout: 60, retry: { tries: 3, baseDelay: 1, maxDelay: 4 } },
          });
          await receiver.check(result, contentOf(version, length));
          assert.deepEqual(await receiver.found(), ['0:image', '1:image']);
          break;
        } catch (error) {
          if (!(error instanceof IngotError)) throw error;
          if (error.code === 'LONG_JOB.1002') {
            stopping = new AbortController();
            continue;
          }
          assert.equal(error.code, 'SYS.1015', error.details);
          assert.deepEqual(await receiver.found(), []);
          break;
        }
      }
      await server.close();
      servers.splice(servers.indexOf(server), 1);
    }),
    { numRuns: 60 },
  );
});
