import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { after, describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { localBackupStorage } from '../../src/backup-storage/local/driver.ts';
import { initialiseLocalBackupStorage } from '../../src/backup-storage/local/marker.ts';
import { IngotError } from '../../src/kernel/errors.ts';
import { newUuid } from '../../src/kernel/uuid.ts';
import type { Sink, Writer } from '../../src/transfer/sink.ts';
import { type RangeServer, type RangeServerOptions, startRangeServer } from '../support/range-server.ts';
import { NO_SMALL_FILE_SYSTEM, smallFileSystem } from '../support/small-file-system.ts';
import { Receiver, Witness } from './receiver.ts';

const MIB = 1024 * 1024;
const CONTENT = randomBytes(12 * MIB + 99);
const servers: RangeServer[] = [];

async function serve(options: RangeServerOptions = {}): Promise<RangeServer> {
  const server = await startRangeServer({ files: { '/image': CONTENT }, ...options });
  servers.push(server);
  return server;
}

after(() => Promise.all(servers.map((server) => server.close())));

/** A sink that turns the given call of its writer into a failure, or lets it take its time. */
function disturbed(
  sink: Sink,
  disturb: (call: 'open' | 'write' | 'flush', count: number) => Promise<void> | void,
): Sink {
  return {
    ...sink,
    async open(options) {
      await disturb('open', 1);
      const writer = await sink.open(options);
      let [writes, flushes] = [0, 0];
      return {
        offset: writer.offset,
        async write(chunk) {
          await disturb('write', ++writes);
          await writer.write(chunk);
        },
        async flush() {
          await disturb('flush', ++flushes);
          await writer.flush();
        },
        commit: () => writer.commit(),
        abort: (options) => writer.abort(options),
      } satisfies Writer;
    },
  };
}

function failingAt(sink: Sink, call: string, count: number): Sink {
  return disturbed(sink, (now, counted) => {
    if (now === call && counted === count)
      throw new IngotError('SYS.1016', 'the disk broke', { retryable: true });
  });
}

describe('the sinks of a transfer', { concurrency: true }, () => {
  it('all get an empty file, too', async () => {
    for (const chunked of [false, true]) {
      const server = await serve({ files: { '/image': new Uint8Array(0) }, fault: () => ({ chunked }) });
      const receiver = await Receiver.open();
      const result = await receiver.take(server.url('/image'));
      await receiver.check(result, new Uint8Array(0));
      assert.deepEqual(await receiver.found(), ['0:image', '1:image']);
    }
  });

  it('are told the size beforehand and can refuse it, each for itself', async () => {
    const server = await serve();
    const receiver = await Receiver.open();
    const [one, other] = receiver.sinks() as [Sink, Sink];
    const sizes: unknown[] = [];
    const small: Sink = {
      ...one,
      checkSize: (bytes) => {
        sizes.push(bytes);
        throw new IngotError('BS.1006', 'too large for here');
      },
    };
    const result = await receiver.take(server.url('/image'), { sinks: [small, other] });
    assert.deepEqual(sizes, [CONTENT.length]);
    assert.equal(result.failures.get('store-0')?.details, 'too large for here');
    await receiver.check(result, CONTENT);
    assert.deepEqual(await receiver.found(), ['1:image']);
  });

  it('are asked again on the way, when the size is not known', async () => {
    const server = await serve({ fault: () => ({ chunked: true, bytesPerSecond: 40 * MIB }) });
    const receiver = await Receiver.open();
    const [one, other] = receiver.sinks() as [Sink, Sink];
    const small: Sink = {
      ...one,
      checkSize: (bytes) => {
        if (bytes > 3 * MIB) throw new IngotError('BS.1006', 'too large for here');
      },
    };
    const result = await receiver.take(server.url('/image'), {
      sinks: [small, other],
      checkpointPolicy: { bytes: MIB, milliseconds: 1000 },
    });
    assert.deepEqual([...result.failures.keys()], ['store-0']);
    await receiver.check(result, CONTENT);
    assert.deepEqual(await receiver.found(), ['1:image']);
  });

  it('refuse a size that is too large for all of them before a byte is written', async () => {
    for (const chunked of [false, true]) {
      const server = await serve({ fault: () => ({ chunked, bytesPerSecond: 16 * MIB }) });
      const receiver = await Receiver.open();
      const tooLarge = new IngotError('IMG.1000', 'images are smaller');
      const checkSize = (bytes: number) => {
        if (bytes > 2 * MIB) throw tooLarge;
      };
      await assert.rejects(receiver.take(server.url('/image'), { checkSize }), tooLarge);
      assert.deepEqual(await receiver.found(), []);
    }
  });

  for (const [call, count] of [
    ['open', 1],
    ['write', 1],
    ['write', 7],
    ['flush', 1],
    ['flush', 3],
  ] as const) {
    it(`go on without one that fails at ${call} ${count}`, async () => {
      const server = await serve({ fault: () => ({ bytesPerSecond: 60 * MIB }) });
      const receiver = await Receiver.open(3);
      const [one, other, third] = receiver.sinks() as [Sink, Sink, Sink];
      const result = await receiver.take(server.url('/image'), {
        sinks: [one, failingAt(other, call, count), third],
        checkpointPolicy: { bytes: 2 * MIB, milliseconds: 1000 },
      });
      assert.deepEqual(
        [...result.failures].map(([id, { details }]) => [id, details]),
        [['store-1', 'the disk broke']],
      );
      assert.deepEqual(receiver.happened(), ['sink-failed']);
      await receiver.check(result, CONTENT);
      assert.deepEqual(await receiver.found(), ['0:image', '2:image']);
    });
  }

  it('say each why, when all have failed', async () => {
    const server = await serve();
    const receiver = await Receiver.open();
    const [one, other] = receiver.sinks() as [Sink, Sink];
    const sinks = [failingAt(one, 'write', 2), failingAt(other, 'write', 5)];
    await assert.rejects(receiver.take(server.url('/image'), { sinks }), (error) => {
      assert.ok(error instanceof IngotError && error.code === 'BS.1000' && error.retryable);
      assert.match(error.details, /store-0: the disk broke; store-1: the disk broke/);
      assert.equal(error.causes.length, 2);
      return true;
    });
    assert.deepEqual(await receiver.found(), []);
    // The source is not asked again for what nobody can take.
    assert.equal(server.requests.length, 1);
  });

  it('all fail at once on a source that has nothing more to say', async () => {
    const server = await serve({ fault: () => ({ stallAfter: 2 * MIB }) });
    const receiver = await Receiver.open(1);
    const sinks = receiver.sinks().map((sink) => failingAt(sink, 'write', 1));
    await assert.rejects(receiver.take(server.url('/image'), { sinks, http: { stallTimeout: 60_000 } }), {
      code: 'BS.1000',
    });
  });

  it('really full, are dropped and leave nothing', async (t) => {
    const root = await smallFileSystem(6 * MIB);
    if (root === undefined) return t.skip(NO_SMALL_FILE_SYSTEM);
    const options = { root, uuid: newUuid() };
    await initialiseLocalBackupStorage(options);
    const { drivers } = await Receiver.open(1);
    const server = await serve();
    const receiver = new Receiver([localBackupStorage(options), ...drivers]);
    const result = await receiver.take(server.url('/image'));
    assert.equal(result.failures.get('store-0')?.code, 'BS.1006');
    await receiver.check(result, CONTENT);
    assert.deepEqual(await receiver.found(), ['1:image']);

    const alone = new Receiver([localBackupStorage(options)]);
    await assert.rejects(alone.take(server.url('/image')), { code: 'BS.1006' });
    assert.deepEqual(await alone.found(), []);
  });

  it('hold the source back, instead of filling memory', async () => {
    const content = Buffer.concat(Array.from({ length: 4 }, () => CONTENT));
    const server = await serve({ files: { '/image': content } });
    const receiver = await Receiver.open();
    const [one, other] = receiver.sinks() as [Sink, Sink];
    let released = false;
    const patient = disturbed(other, async (call) => {
      while (call === 'write' && !released) await delay(5);
    });
    const taking = receiver.take(server.url('/image'), { sinks: [one, patient] });
    await delay(400);
    const taken = receiver.progress.at(-1) ?? 0;
    assert.ok(taken < 20 * MIB, `${taken} bytes were taken while nobody wrote them`);
    released = true;
    await receiver.check(await taking, content);
  });

  it('get nothing of what the inspector refuses', async () => {
    const server = await serve();
    const receiver = await Receiver.open();
    const refusal = new IngotError('IMG.1002', 'no image');
    class Critic extends Witness {
      #seen = 0;

      override write(chunk: Uint8Array): void {
        this.#seen += chunk.length;
        if (this.#seen > 3 * MIB) throw refusal;
      }
    }
    await assert.rejects(receiver.take(server.url('/image'), { inspect: () => new Critic() }), refusal);
    assert.deepEqual(await receiver.found(), []);
  });

  it('take no more where a checkpoint can not be kept', async () => {
    const server = await serve({ fault: () => ({ bytesPerSecond: 40 * MIB }) });
    const receiver = await Receiver.open();
    const lost = new IngotError('SYS.1006', 'the lease is lost');
    await assert.rejects(
      receiver.take(server.url('/image'), {
        checkpointPolicy: { bytes: MIB, milliseconds: 1000 },
        onCheckpoint: async () => {
          throw lost;
        },
      }),
      lost,
    );
    assert.deepEqual(await receiver.found(), []);
  });

  it('go on where what keeps checkpoints, or knows the room, is away for a moment', async () => {
    const server = await serve({ fault: () => ({ bytesPerSecond: 60 * MIB }) });
    const receiver = await Receiver.open();
    const away = () => new Error('Connection terminated unexpectedly');
    let [tries, checks, kept] = [0, 0, 0];
    const result = await receiver.take(server.url('/image'), {
      sinks: receiver.sinks().map((sink) => ({
        ...sink,
        // The first time is when the sink is opened.
        checkSize: () => {
          if (++checks === 3) throw away();
        },
      })),
      checkpointPolicy: { bytes: MIB, milliseconds: 1000 },
      onCheckpoint: async () => {
        if (++tries <= 2) throw away();
        kept++;
      },
    });
    await receiver.check(result, CONTENT);
    assert.equal(result.failures.size, 0);
    assert.ok(kept > 0);
    assert.equal(receiver.events.filter(({ kind }) => kind === 'checkpoint-failed').length, 3);
  });

  it('make checkpoints whose digest is that of the bytes', async () => {
    const server = await serve({ fault: () => ({ bytesPerSecond: 60 * MIB }) });
    const receiver = await Receiver.open();
    const policy = { bytes: MIB, milliseconds: 1000 };
    await receiver.check(await receiver.take(server.url('/image'), { checkpointPolicy: policy }), CONTENT);
    assert.ok(receiver.checkpoints.length > 2);
    for (const { offset, sha256, source } of receiver.checkpoints) {
      assert.equal(sha256, createHash('sha256').update(CONTENT.subarray(0, offset)).digest('hex'));
      assert.equal(source.totalSize, CONTENT.length);
    }
  });

  it('serve twenty downloads at once, slow ones and broken ones among them', async () => {
    const contents = Array.from({ length: 20 }, (_, i) => CONTENT.subarray(i * 4999, 6 * MIB + i * 77_777));
    const server = await serve({
      files: Object.fromEntries(contents.map((content, i) => [`/${i}`, content])),
      fault: ({ path, number }) => {
        if (number > 1) return undefined;
        const i = Number(path.slice(1));
        return i % 5 === 1
          ? { bytesPerSecond: 8 * MIB }
          : i % 5 === 2
            ? { breakAfter: 3 * MIB + i }
            : undefined;
      },
    });
    const receiver = await Receiver.open();
    await Promise.all(
      contents.map(async (content, i) => {
        const path = `images/${i}`;
        const result = await receiver.take(server.url(`/${i}`), { sinks: receiver.sinks(path) });
        await receiver.check(result, content, path);
      }),
    );
    assert.equal((await receiver.found()).length, 40);
  });
});
