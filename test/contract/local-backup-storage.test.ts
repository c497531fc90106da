import assert from 'node:assert/strict';
import { randomFillSync } from 'node:crypto';
import { mkdir, readdir, rename, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { localBackupStorage } from '../../src/backup-storage/local/driver.ts';
import {
  initialiseLocalBackupStorage,
  markedUuid,
  retireLocalBackupStorage,
} from '../../src/backup-storage/local/marker.ts';
import { IngotError } from '../../src/kernel/errors.ts';
import { newUuid } from '../../src/kernel/uuid.ts';
import { ChunkPool } from '../../src/transfer/chunk-pool.ts';
import { inputOutputError, watchDisk } from '../support/disk-operations.ts';
import { NO_SMALL_FILE_SYSTEM, smallFileSystem } from '../support/small-file-system.ts';
import { temporaryDirectory } from '../support/temp-directory.ts';
import { backupStorageDriverContract, type StoreUnderTest } from './backup-storage-driver.ts';

async function openStore(root: string): Promise<StoreUnderTest & { root: string; uuid: string }> {
  const options = { root, uuid: newUuid() };
  await initialiseLocalBackupStorage(options);
  const module = new URL('../../src/backup-storage/local/driver.ts', import.meta.url).href;
  return {
    ...options,
    driver: localBackupStorage(options),
    elsewhere: { module, factory: 'localBackupStorage', options },
    allocated: async (path) => (await stat(join(root, path))).blocks * 512,
  };
}

backupStorageDriverContract('a local backup storage', {
  make: () => openStore(join(temporaryDirectory(), 'store')),
  async makeSmall(bytes) {
    const directory = await smallFileSystem(bytes);
    return directory === undefined ? NO_SMALL_FILE_SYSTEM : openStore(directory);
  },
});

describe('a local backup storage', () => {
  it('keeps the bytes whatever way they go, past the page cache or through it', async () => {
    // Page-aligned memory, as transfers write from; pieces that begin and end anywhere.
    const { memory } = new ChunkPool(1);
    const content = new Uint8Array(memory);
    const length = fc.oneof(
      fc.constantFrom(4096, 8192, 65_536, 131_072),
      fc.integer({ min: 1, max: 200_000 }),
    );
    const piece = fc.record({ length, zero: fc.boolean(), flush: fc.boolean() });
    await fc.assert(
      fc.asyncProperty(fc.array(piece, { minLength: 1, maxLength: 12 }), async (pieces) => {
        const { driver } = await openStore(join(temporaryDirectory(), 'store'));
        randomFillSync(content);
        let writer = await driver.create('image');
        const writes: Promise<void>[] = [];
        let at = 0;
        for (const { length, zero, flush } of pieces) {
          const end = Math.min(content.length, at + length);
          if (zero) content.fill(0, at, end);
          writes.push(writer.write(content.subarray(at, end)));
          at = end;
          if (!flush) continue;
          await writer.flush();
          await writer.abort({ keep: true });
          writer = await driver.create('image', { resumeAt: at });
        }
        await Promise.all(writes);
        await writer.commit();
        const stored = Buffer.concat(await Array.fromAsync(driver.read('image')));
        assert.ok(stored.equals(content.subarray(0, at)));
      }),
      { numRuns: 60 },
    );
  });

  it('takes a flush that failed for the end, as the kernel may say the next time that all is well', async () => {
    const { driver, root } = await openStore(join(temporaryDirectory(), 'store'));
    const broken = new Set<string>();
    await watchDisk(root, (operation) => {
      if (broken.delete(operation)) throw inputOutputError(operation);
    });
    const begin = async () => {
      const writer = await driver.create('image');
      await writer.write(Uint8Array.of(1, 2, 3));
      broken.add('datasync /image.part');
      return writer;
    };
    const failure = { code: 'SYS.1016', details: /image\.part could not be read or written: EIO/ };
    const one = await begin();
    await assert.rejects(one.flush(), failure);
    await assert.rejects(one.flush(), failure);
    await assert.rejects(one.commit(), failure);
    await one.abort();
    const other = await begin();
    await assert.rejects(other.commit(), failure);
    await assert.rejects(other.commit(), failure);
    await other.abort();
    assert.deepEqual(await readdir(root), ['.ingot-backup-storage']);
  });

  it('makes files 0640 and directories 0750, and takes empty directories away', async () => {
    const { driver, root } = await openStore(join(temporaryDirectory(), 'store'));
    const writer = await driver.create('images/one/image');
    await writer.write(Uint8Array.of(1));
    await writer.commit();
    const mode = async (path: string) => ((await stat(join(root, path))).mode & 0o777).toString(8);
    assert.equal(await mode('images/one/image'), '640');
    assert.equal(await mode('images/one'), '750');
    await driver.remove('images/one/image');
    assert.deepEqual(await readdir(root), ['.ingot-backup-storage']);
  });

  it('is not mistaken for another one, nor for an empty mount point', async () => {
    const { driver, root, uuid } = await openStore(join(temporaryDirectory(), 'store'));
    await driver.ping();
    assert.equal(await markedUuid(root), uuid);
    await initialiseLocalBackupStorage({ root, uuid });
    await assert.rejects(initialiseLocalBackupStorage({ root, uuid: newUuid() }), /is the backup storage/);
    await assert.rejects(localBackupStorage({ root, uuid: newUuid() }).ping(), /was expected/);

    await rename(root, `${root}.unmounted`);
    await mkdir(root);
    const unmounted = (error: unknown) =>
      error instanceof IngotError && error.code === 'BS.1005' && error.retryable;
    await assert.rejects(driver.ping(), unmounted);
    await assert.rejects(driver.create('image'), unmounted);
    await assert.rejects(driver.size('image'), unmounted);
    await assert.rejects(driver.remove('image'), unmounted);
    await assert.rejects(Array.fromAsync(driver.list('')), unmounted);
    assert.deepEqual(await readdir(root), []);
  });

  it('gives a directory back when it is retired', async () => {
    const { root, uuid } = await openStore(join(temporaryDirectory(), 'store'));
    await retireLocalBackupStorage({ root, uuid: newUuid() });
    assert.equal(await markedUuid(root), uuid);
    await retireLocalBackupStorage({ root, uuid });
    await retireLocalBackupStorage({ root, uuid });
    assert.deepEqual(await readdir(root), []);
  });

  it('refuses names that are its own', async () => {
    const { driver } = await openStore(join(temporaryDirectory(), 'store'));
    for (const path of ['image.part', '.ingot-backup-storage', '.ingot-x/image']) {
      await assert.rejects(driver.create(path), /can not be the path/);
    }
  });

  it('names the file that can not be a directory', async () => {
    const directory = temporaryDirectory();
    await writeFile(join(directory, 'file'), '');
    const options = { root: join(directory, 'file'), uuid: newUuid() };
    await assert.rejects(initialiseLocalBackupStorage(options), /file/);
  });
});
