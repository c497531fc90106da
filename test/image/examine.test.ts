/** What a scrub takes for damage, and what for a bad moment of the storage. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { before, describe, it } from 'node:test';
import type { BackupStorageDriver } from '../../src/backup-storage/driver.ts';
import { localBackupStorage } from '../../src/backup-storage/local/driver.ts';
import { initialiseLocalBackupStorage } from '../../src/backup-storage/local/marker.ts';
import { examine } from '../../src/image/scrub.ts';
import { IngotError } from '../../src/kernel/errors.ts';
import { newUuid } from '../../src/kernel/uuid.ts';
import { temporaryDirectory } from '../support/temp-directory.ts';

const BYTES = Buffer.from('the bytes of a copy');

describe('a copy that could not be read', { concurrency: true }, () => {
  const uuid = newUuid();
  let driver: BackupStorageDriver;
  before(async () => {
    const storage = { root: join(temporaryDirectory(), 'store'), uuid };
    await initialiseLocalBackupStorage(storage);
    driver = localBackupStorage(storage);
    const writer = await driver.create('one');
    await writer.write(BYTES);
    await writer.commit();
  });

  /** Its first `times` reads fail. */
  const examined = (error: Error, times: number) => {
    let failures = 0;
    const failing: BackupStorageDriver = {
      ...driver,
      async openForReading(path, options) {
        if (failures++ < times) throw error;
        return (driver.openForReading as NonNullable<typeof driver.openForReading>)(path, options);
      },
    };
    const parts = { storages: { driver: async () => failing }, settings: { get: async () => 0 } };
    return examine(
      parts as unknown as Parameters<typeof examine>[0],
      {
        backupStorageUuid: uuid,
        path: 'one',
        size: BYTES.length,
        sha256Sum: createHash('sha256').update(BYTES).digest('hex'),
      },
      new AbortController().signal,
      () => {},
    );
  };
  const passing = new IngotError('SYS.1016', 'the connection was cut', { retryable: true });

  it('for a moment is read again, and is good', async () => {
    assert.equal(await examined(passing, 2), undefined);
  });

  it('again and again, from a storage that can be reached, ends the scrub and is not damaged', async () => {
    await assert.rejects(examined(passing, Number.POSITIVE_INFINITY), passing);
  });

  it('for good is damaged', async () => {
    const lasting = new IngotError('SYS.1016', 'it is no file');
    assert.equal(await examined(lasting, 1), "it can't be read: it is no file");
  });

  it('as the disk gives an error at each attempt is damaged', async () => {
    const error = Object.assign(new Error('EIO: i/o error, read'), { code: 'EIO' });
    assert.match((await examined(error, Number.POSITIVE_INFINITY)) ?? '', /can't be read: EIO/);
    assert.equal(await examined(error, 1), undefined);
  });
});
