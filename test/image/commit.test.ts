import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { localBackupStorage } from '../../src/backup-storage/local/driver.ts';
import { initialiseLocalBackupStorage } from '../../src/backup-storage/local/marker.ts';
import type { Landing } from '../../src/image/add-state.ts';
import { commitCopies } from '../../src/image/commit.ts';
import { LeaseLost } from '../../src/job/operation.ts';
import { newUuid } from '../../src/kernel/uuid.ts';
import { temporaryDirectory } from '../support/temp-directory.ts';

describe('making copies visible', () => {
  it('leaves the bytes alone when another process has taken the job', async () => {
    const storage = { root: join(temporaryDirectory(), 'store'), uuid: newUuid() };
    await initialiseLocalBackupStorage(storage);
    const driver = localBackupStorage(storage);
    const copy = { storageUuid: storage.uuid, path: 'images/one' };
    const writer = await driver.create(copy.path, {});
    await writer.write(Buffer.from('bytes'));
    await writer.flush();
    const landing = { bytes: 5, failures: [], writers: new Map([[storage.uuid, writer]]) };
    const stop = new AbortController();
    stop.abort(new LeaseLost('another process has taken the job'));
    const storages = { driver: async () => driver };
    const { landed, failures } = await commitCopies(
      { storages } as unknown as Parameters<typeof commitCopies>[0],
      [copy],
      landing as unknown as Landing,
      stop.signal,
    );
    assert.deepEqual([landed, failures.length], [[], 1]);
    assert.equal(await driver.size(copy.path), undefined);
    const kept = await Array.fromAsync(driver.readPartial(copy.path, { start: 0, end: 5 }));
    assert.equal(Buffer.concat(kept).toString(), 'bytes');
  });
});
