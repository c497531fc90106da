/** What becomes of the bytes when something happens between their arrival and their being made visible. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { pathToFileURL } from 'node:url';
import { localBackupStorage } from '../../src/backup-storage/local/driver.ts';
import { initialiseLocalBackupStorage } from '../../src/backup-storage/local/marker.ts';
import type { Taken } from '../../src/image/add-state.ts';
import { bringIn } from '../../src/image/take-in.ts';
import { JobCancelled, LeaseLost, ServiceStopping } from '../../src/job/operation.ts';
import { createLog } from '../../src/kernel/log.ts';
import { newUuid } from '../../src/kernel/uuid.ts';
import { fileSource } from '../../src/transfer/file-source.ts';
import { temporaryDirectory } from '../support/temp-directory.ts';

const BYTES = Buffer.alloc(70_000, 'some bytes');
const RAW: Pick<Taken, 'format' | 'virtualSize' | 'mediaType'> = {
  format: 'raw',
  virtualSize: BYTES.length,
  mediaType: 'DataVolumeTemplate',
};

/** Brings the bytes in, and says what is left of them after the failure. */
async function leftAfter(
  failure: Error,
  how: { during: 'judge' | 'save'; abort?: Error },
): Promise<Buffer | undefined> {
  const storage = { root: join(temporaryDirectory(), 'store'), uuid: newUuid() };
  await initialiseLocalBackupStorage(storage);
  const driver = localBackupStorage(storage);
  const directory = temporaryDirectory();
  const file = join(directory, 'disk.raw');
  writeFileSync(file, BYTES);
  const stop = new AbortController();
  const fail = () => {
    if (how.abort) stop.abort(how.abort);
    throw failure;
  };
  const parts = {
    storages: { driver: async () => driver },
    // No row of it is asked for.
    database: { transaction: async () => {} },
    log: createLog('silent'),
  };
  const checkpoint = {
    imageUuid: newUuid(),
    copies: [{ storageUuid: storage.uuid, path: 'one' }],
    failures: [],
  };
  const job = {
    call: { id: newUuid() },
    checkpoint,
    signal: stop.signal,
    report: () => {},
    save: async (next: { taken?: Taken }) => {
      if (next.taken && how.during === 'save') fail();
    },
  };
  const failed = bringIn(
    parts as unknown as Parameters<typeof bringIn>[0],
    job as unknown as Parameters<typeof bringIn>[1],
    {
      source: () => fileSource(pathToFileURL(file), [directory]),
      judge: () => (how.during === 'judge' ? fail() : RAW),
    },
  );
  await assert.rejects(failed, failure);
  const kept = await Array.fromAsync(driver.readPartial('one')).catch(() => undefined);
  return kept && Buffer.concat(kept);
}

describe('bytes that are there but not yet visible', () => {
  const killed = new Error('qemu-img was killed');

  it('are kept where the service stops or another process has the job, whatever the error says', async () => {
    for (const abort of [new ServiceStopping('stopping'), new LeaseLost('lost')]) {
      assert.ok((await leftAfter(killed, { during: 'judge', abort }))?.equals(BYTES));
    }
    assert.ok((await leftAfter(new LeaseLost('lost'), { during: 'judge' }))?.equals(BYTES));
  });

  it('are kept where only the database could not take them down', async () => {
    assert.ok((await leftAfter(new Error('the database is away'), { during: 'save' }))?.equals(BYTES));
  });

  it('are removed where they are not what they should be, or the job is cancelled', async () => {
    assert.equal(await leftAfter(new Error('not a disk'), { during: 'judge' }), undefined);
    const abort = new JobCancelled('cancelled');
    assert.equal(await leftAfter(killed, { during: 'judge', abort }), undefined);
  });
});
