import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { after, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fsckOf } from '../support/fsck.ts';
import { startRangeServer } from '../support/range-server.ts';
import { startServiceProcess, until } from '../support/service.ts';
import { temporaryDirectory } from '../support/temp-directory.ts';

const MIB = 1024 * 1024;
const KILLS = 50;
const IMAGE_BYTES = 48 * MIB;
/** Slow enough that most kills hit the download, with a checkpoint every now and then. */
const BYTES_PER_SECOND = 64 * MIB;

function rawDisk(size: number): { content: Buffer; sha256: string } {
  const content = randomBytes(size);
  return { content, sha256: createHash('sha256').update(content).digest('hex') };
}

describe('a service killed at random moments of AddImage', () => {
  it(`brings every image in, ${KILLS} kills long`, { timeout: 280_000 }, async (t) => {
    const data = temporaryDirectory();
    const { content, sha256 } = rawDisk(IMAGE_BYTES);
    const server = await startRangeServer({
      files: { '/disk.raw': content },
      fault: () => ({ bytesPerSecond: BYTES_PER_SECOND }),
    });
    after(() => server.close());
    let service = await startServiceProcess({ data, settings: { logLevel: 'warn' } });
    after(() => service.kill());

    let resumed = 0;
    let resumedBytes = 0;
    let ready = 0;
    let job: string | undefined;
    for (let kill = 1; kill <= KILLS; kill++) {
      job ??= await service.client.begin('AddImage', {
        name: `killed ${kill}`,
        format: 'raw',
        url: server.url('/disk.raw'),
      });
      // From the first millisecond of the work to beyond its end.
      await sleep(Math.random() * 1000);
      await service.kill();
      assert.deepEqual(await fsckOf(service), [], `after kill ${kill}`);

      service = await startServiceProcess({ data, settings: { logLevel: 'warn' } });
      // Some jobs are killed again and again before they may end.
      if (kill < KILLS && kill % 3 !== 0) continue;
      const { inventory } = await service.client.result(job);
      const [row] = await service.client.query('LongJob', `uuid=${job}`);
      resumedBytes += row?.bytesResumed;
      if (row?.bytesResumed > 0) resumed++;
      job = undefined;
      assert.equal(inventory.status, 'Ready');
      assert.equal(inventory.sha256Sum, sha256);
      const stored = readFileSync(inventory.backupStorageRefs[0].installPath);
      assert.equal(createHash('sha256').update(stored).digest('hex'), sha256);
      assert.equal((await service.client.query('Image')).length, 1);
      await service.client.call('DeleteImage', { uuid: inventory.uuid });
      ready++;
    }
    await service.stop();
    assert.deepEqual(await fsckOf(service), []);
    t.diagnostic(
      `${KILLS} kills: all ${ready} images became Ready; ${resumed} were resumed, keeping ${Math.round(resumedBytes / MIB)} MiB`,
    );
    assert.ok(resumed > 0, 'no download was resumed');
  });
});

describe('a stopped service', () => {
  it('leaves a download to the next start, which keeps its bytes', async () => {
    const data = temporaryDirectory();
    const { content, sha256 } = rawDisk(32 * MIB);
    const server = await startRangeServer({
      files: { '/disk.raw': content },
      fault: ({ number }) => ({ bytesPerSecond: number === 1 ? 8 * MIB : 1024 * MIB }),
    });
    after(() => server.close());
    const first = await startServiceProcess({ data });
    after(() => first.kill());
    const job = await first.client.begin('AddImage', {
      name: 'stopped',
      format: 'raw',
      url: server.url('/disk.raw'),
    });
    await until('some bytes to be there', () => server.bytesSent() > 12 * MIB);
    await first.stop();
    assert.deepEqual(await fsckOf(first), []);

    const second = await startServiceProcess({ data });
    after(() => second.kill());
    const { inventory } = await second.client.result(job);
    assert.equal(inventory.sha256Sum, sha256);
    const [row] = await second.client.query('LongJob', `uuid=${job}`);
    assert.ok(row?.bytesResumed > 0);
    await second.stop();
  });

  it('had its data directory to itself: a second one says who has it', async () => {
    const data = temporaryDirectory();
    const first = await startServiceProcess({ data });
    after(() => first.kill());
    await assert.rejects(startServiceProcess({ data }), (error: Error) => {
      assert.match(error.message, /another Ingot uses the data directory .* already, and serves http:/);
      return true;
    });
    await first.kill();
    // A lock of the operating system's goes with its process.
    const second = await startServiceProcess({ data });
    await second.stop();
  });
});
