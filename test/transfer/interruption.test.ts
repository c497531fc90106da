import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { localBackupStorage } from '../../src/backup-storage/local/driver.ts';
import { initialiseLocalBackupStorage } from '../../src/backup-storage/local/marker.ts';
import { IngotError } from '../../src/kernel/errors.ts';
import { newUuid } from '../../src/kernel/uuid.ts';
import type { Checkpoint } from '../../src/transfer/checkpoint.ts';
import { SHUTDOWN } from '../../src/transfer/transfer.ts';
import {
  type Fault,
  type RangeRequest,
  type RangeServer,
  startRangeServer,
} from '../support/range-server.ts';
import { temporaryDirectory } from '../support/temp-directory.ts';
import { Receiver } from './receiver.ts';

const MIB = 1024 * 1024;
const CONTENT = randomBytes(9 * MIB + 321);
const OFTEN = { bytes: MIB, milliseconds: 50 };
const servers: RangeServer[] = [];

async function serve(fault: (request: RangeRequest) => Fault | undefined = () => undefined) {
  const server = await startRangeServer({ files: { '/image': CONTENT }, fault });
  servers.push(server);
  return server;
}

after(() => Promise.all(servers.map((server) => server.close())));

/** Takes the bytes until so many have come, and aborts with the reason. */
async function interrupted(
  receiver: Receiver,
  url: string,
  bytes: number,
  reason: unknown,
): Promise<unknown> {
  const controller = new AbortController();
  const taking = receiver.take(url, {
    signal: controller.signal,
    checkpointPolicy: OFTEN,
    onCheckpoint: async (checkpoint) => {
      receiver.checkpoints.push(checkpoint);
      if (checkpoint.offset >= bytes) controller.abort(reason);
    },
  });
  return taking.then(
    () => assert.fail('the transfer ended before it was interrupted'),
    (error) => error,
  );
}

/** A receiver that was stopped by the end of the service after about 4 of 9 MiB. */
async function stopped(url: string): Promise<{ receiver: Receiver; checkpoint: Checkpoint }> {
  const receiver = await Receiver.open();
  const error = await interrupted(receiver, url, 4 * MIB, SHUTDOWN);
  assert.ok(error instanceof IngotError && error.code === 'LONG_JOB.1002', String(error));
  const checkpoint = receiver.checkpoints.at(-1);
  assert.ok(checkpoint && checkpoint.offset >= 4 * MIB && checkpoint.offset < CONTENT.length);
  return { receiver, checkpoint };
}

/** So that a flush of a busy disk, which checkpoints wait for, ends long before the last byte. */
const slowly = () => ({ bytesPerSecond: 4 * MIB });

describe('a transfer that is interrupted', { concurrency: true }, () => {
  it('leaves nothing when it is cancelled', async () => {
    const server = await serve(slowly);
    const receiver = await Receiver.open();
    const error = await interrupted(receiver, server.url('/image'), MIB, new Error('enough'));
    assert.ok(error instanceof IngotError && error.code === 'SYS.1017', String(error));
    assert.deepEqual(await receiver.found(), []);
    const own = new IngotError('SYS.1001', 'too late');
    assert.equal(await interrupted(receiver, server.url('/image'), MIB, own), own);
  });

  it('leaves nothing when it is cancelled before or between bytes', async () => {
    const server = await serve(() => ({ stallAfter: 0 }));
    for (const [milliseconds, http] of [
      [0, {}],
      [60, {}],
      [60, { stallTimeout: 20, retry: { baseDelay: 9999, maxDelay: 9999 } }],
    ] as const) {
      const receiver = await Receiver.open();
      const signal = AbortSignal.timeout(milliseconds);
      await assert.rejects(
        receiver.take(server.url('/image'), { signal, http: { stallTimeout: 9999, ...http } }),
        {
          code: 'SYS.1017',
        },
      );
      assert.deepEqual(await receiver.found(), []);
    }
  });

  it('goes on where it stopped when the service did', async () => {
    const server = await serve(({ number }) => (number === 1 ? slowly() : undefined));
    const { receiver, checkpoint } = await stopped(server.url('/image'));
    assert.deepEqual(await receiver.found(), ['0:image.part', '1:image.part']);
    const result = await receiver.take(server.url('/image'), { checkpoint });
    assert.equal(result.resumedBytes, checkpoint.offset);
    assert.equal(server.requests[1]?.headers.range, `bytes=${checkpoint.offset}-`);
    await receiver.check(result, CONTENT);
    assert.deepEqual(await receiver.found(), ['0:image', '1:image']);
  });

  it('needs no source when all bytes are there', async () => {
    const server = await serve();
    const receiver = await Receiver.open();
    const { writers, sha256 } = await receiver.take(server.url('/image'));
    for (const writer of writers.values()) await writer.abort({ keep: true });
    const checkpoint = { offset: CONTENT.length, sha256, source: { totalSize: CONTENT.length } };
    await receiver.check(await receiver.take(server.url('/image'), { checkpoint }), CONTENT);
    assert.equal(server.requests.length, 1);
  });

  const damages: Record<string, (part: string) => Promise<void>> = {
    'was tampered with': (part) => writeFile(part, 'tampered', { flag: 'r+' }),
    'is too short': (part) => truncate(part, MIB),
  };
  for (const [what, damage] of Object.entries(damages)) {
    it(`goes on with the store that is right where another's part ${what}`, async () => {
      for (const damaged of [0, 1]) {
        const server = await serve(({ number }) => (number === 1 ? slowly() : undefined));
        const { receiver, checkpoint } = await stopped(server.url('/image'));
        await damage(`${receiver.drivers[damaged]?.location('image')}.part`);
        const result = await receiver.take(server.url('/image'), { checkpoint });
        assert.equal(result.resumedBytes, checkpoint.offset);
        assert.equal(server.requests[1]?.headers.range, `bytes=${checkpoint.offset}-`);
        assert.deepEqual([...result.failures.keys()], [`store-${damaged}`]);
        await receiver.check(result, CONTENT);
        assert.deepEqual(await receiver.found(), [`${1 - damaged}:image`]);
      }
    });
  }

  it('begins anew where no part is what it was', async () => {
    const server = await serve(({ number }) => (number === 1 ? slowly() : undefined));
    const { receiver, checkpoint } = await stopped(server.url('/image'));
    for (const driver of receiver.drivers)
      await writeFile(`${driver.location('image')}.part`, 'tampered', { flag: 'r+' });
    const result = await receiver.take(server.url('/image'), { checkpoint });
    assert.equal(result.resumedBytes, 0);
    assert.equal(server.requests[1]?.headers.range, undefined);
    assert.equal(result.failures.size, 0);
    await receiver.check(result, CONTENT);
  });

  it('goes on without a store that is away', async () => {
    const server = await serve(({ number }) => (number === 1 ? slowly() : undefined));
    const { receiver, checkpoint } = await stopped(server.url('/image'));
    const gone = async () => {
      throw new IngotError('BS.1005', 'It is away.', { retryable: true });
    };
    const sinks = receiver.sinks().map((sink, i) =>
      i === 0
        ? {
            ...sink,
            open: gone,
            async *readPartial() {
              yield await gone();
            },
          }
        : sink,
    );
    const result = await receiver.take(server.url('/image'), { checkpoint, sinks });
    assert.equal(result.resumedBytes, checkpoint.offset);
    assert.deepEqual(
      [...result.failures].map(([id, { code }]) => [id, code]),
      [['store-0', 'BS.1005']],
    );
    await receiver.check(result, CONTENT);
  });

  it('begins anew where the source has changed meanwhile', async () => {
    const server = await serve(({ number }) => (number === 1 ? slowly() : undefined));
    const { receiver, checkpoint } = await stopped(server.url('/image'));
    const changed = randomBytes(8 * MIB);
    server.serve('/image', changed);
    const result = await receiver.take(server.url('/image'), { checkpoint });
    assert.equal(result.resumedBytes, 0);
    await receiver.check(result, changed);
  });

  it('removes what an earlier run left when the source is gone for good', async () => {
    for (const sound of [true, false]) {
      const server = await serve(({ number }) => (number === 1 ? slowly() : { status: 404 }));
      const { receiver, checkpoint } = await stopped(server.url('/image'));
      const sha256 = sound ? checkpoint.sha256 : '0'.repeat(64);
      await assert.rejects(
        receiver.take(server.url('/image'), { checkpoint: { ...checkpoint, sha256 } }),
        /answered 404/,
      );
      assert.deepEqual(await receiver.found(), []);
    }
  });

  it('remembers which sinks were dropped', async () => {
    const server = await serve(({ number }) => (number === 1 ? slowly() : undefined));
    const { receiver, checkpoint } = await stopped(server.url('/image'));
    const gone = new IngotError('BS.1006', 'No space is left.').toBody();
    await receiver.drivers[1]?.remove('image');
    const result = await receiver.take(server.url('/image'), {
      checkpoint: { ...checkpoint, failures: { 'store-1': gone } },
    });
    assert.equal(result.resumedBytes, checkpoint.offset);
    assert.deepEqual(
      [...result.failures].map(([id, { code }]) => [id, code]),
      [['store-1', 'BS.1006']],
    );
    await receiver.check(result, CONTENT);
    assert.deepEqual(await receiver.found(), ['0:image']);
  });

  it('goes on from its last checkpoint when the process is killed', async () => {
    const server = await serve(({ number }) => (number === 1 ? slowly() : undefined));
    const stores = [0, 1].map(() => ({ root: join(temporaryDirectory(), 'store'), uuid: newUuid() }));
    await Promise.all(stores.map(initialiseLocalBackupStorage));
    const script = fileURLToPath(new URL('./doomed-transfer.ts', import.meta.url));
    const child = spawn(
      process.execPath,
      [script, server.url('/image'), ...stores.map((one) => JSON.stringify(one))],
      {
        stdio: ['ignore', 'pipe', 'inherit'],
      },
    );
    let heard = '';
    for await (const text of child.stdout) {
      heard += text;
      if (heard.split('\n').length > 3) child.kill('SIGKILL');
    }
    const checkpoint: Checkpoint = JSON.parse(heard.split('\n').at(-2) ?? '');

    const receiver = new Receiver(stores.map(localBackupStorage));
    assert.deepEqual(await receiver.found(), ['0:image.part', '1:image.part']);
    const result = await receiver.take(server.url('/image'), { checkpoint });
    assert.ok(result.resumedBytes >= MIB, `${result.resumedBytes} bytes were resumed`);
    assert.equal(result.resumedBytes, checkpoint.offset);
    await receiver.check(result, CONTENT);
    assert.deepEqual(await receiver.found(), ['0:image', '1:image']);
  });
});
