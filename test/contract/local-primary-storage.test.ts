import assert from 'node:assert/strict';
import { mkdir, readdir, rename, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { initialiseLocalBackupStorage } from '../../src/backup-storage/local/marker.ts';
import { IngotError } from '../../src/kernel/errors.ts';
import { newUuid } from '../../src/kernel/uuid.ts';
import type { PrimaryStorageDriver } from '../../src/primary-storage/driver.ts';
import { localPrimaryStorage } from '../../src/primary-storage/local/driver.ts';
import { NO_SMALL_FILE_SYSTEM, smallFileSystem } from '../support/small-file-system.ts';
import { temporaryDirectory } from '../support/temp-directory.ts';
import { primaryStorageDriverContract } from './primary-storage-driver.ts';

async function openStorage(root: string): Promise<PrimaryStorageDriver> {
  const options = { root, uuid: newUuid(), kind: 'primary' as const };
  await initialiseLocalBackupStorage(options);
  return localPrimaryStorage(options);
}

primaryStorageDriverContract('a local primary storage', {
  make: () => openStorage(join(temporaryDirectory(), 'storage')),
  async makeSmall(bytes) {
    const directory = await smallFileSystem(bytes);
    return directory === undefined ? NO_SMALL_FILE_SYSTEM : openStorage(directory);
  },
});

describe('a local primary storage', () => {
  it('is not mistaken for a backup storage, another one, or an empty mount point', async () => {
    const root = join(temporaryDirectory(), 'storage');
    const driver = await openStorage(root);
    await initialiseLocalBackupStorage({ root: `${root}-backup`, uuid: newUuid() });
    for (const wrong of [root, `${root}-backup`]) {
      await assert.rejects(localPrimaryStorage({ root: wrong, uuid: newUuid() }).ping(), /primary storage/);
    }
    await rename(root, `${root}.unmounted`);
    await mkdir(root);
    const unmounted = (error: unknown) =>
      error instanceof IngotError && error.code === 'PS.1003' && error.retryable;
    await assert.rejects(driver.ping(), unmounted);
    await assert.rejects(driver.blank('volumes/a/1.qcow2', 2 ** 20), unmounted);
    await assert.rejects(driver.usage('volumes/a/1.qcow2'), unmounted);
    assert.deepEqual(await readdir(root), []);
  });

  it('makes a frozen layer read-only, and lets it be written again', async () => {
    const driver = await openStorage(join(temporaryDirectory(), 'storage'));
    await driver.blank('volumes/a/1.qcow2', 2 ** 20);
    const mode = async () => ((await stat(driver.location('volumes/a/1.qcow2'))).mode & 0o777).toString(8);
    await driver.freeze('volumes/a/1.qcow2');
    assert.equal(await mode(), '440');
    await driver.thaw('volumes/a/1.qcow2');
    assert.equal(await mode(), '640');
  });
});
