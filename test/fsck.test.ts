import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdir, rename, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { BackupStorages } from '../src/backup-storage/backup-storages.ts';
import { type Database, openDatabase } from '../src/database/database.ts';
import { makeFirstZone } from '../src/first-start.ts';
import { fsck } from '../src/fsck.ts';
import { systemClock } from '../src/kernel/clock.ts';
import { createLog } from '../src/kernel/log.ts';
import { SecretBox } from '../src/kernel/secret-box.ts';
import { newUuid } from '../src/kernel/uuid.ts';
import { PrimaryStorages } from '../src/primary-storage/primary-storages.ts';
import { temporaryDirectory } from './support/temp-directory.ts';

describe('fsck', () => {
  let database: Database;
  let storages: BackupStorages;
  let primaryStorages: PrimaryStorages;
  let directory: string;
  let storage: string;
  const check = async (repair: boolean) => {
    const { findings } = await fsck({ database, storages, primaryStorages }, { repair, deep: false });
    // Rows of the test's own making have no owner, which is another matter.
    return findings
      .filter(({ kind }) => kind !== 'no-owner')
      .map(({ kind, repaired }) => `${kind}${repaired ? ' repaired' : ''}`)
      .sort();
  };

  beforeEach(async () => {
    directory = join(temporaryDirectory(), 'store');
    database = await openDatabase(join(temporaryDirectory(), 'ingot.sqlite'));
    storages = new BackupStorages({
      database,
      log: createLog('silent'),
      secrets: new SecretBox(() => undefined),
    });
    primaryStorages = new PrimaryStorages({ database, log: createLog('silent') });
    const primaryDirectory = join(temporaryDirectory(), 'primary');
    await makeFirstZone({ database, clock: systemClock, directory, primaryDirectory });
    storage = (await database.sql.selectFrom('backupStorage').select('uuid').executeTakeFirstOrThrow()).uuid;
  });
  afterEach(async () => {
    await storages.close();
    await primaryStorages.close();
    await database.close();
  });

  /** An image that is being downloaded by nobody, with bytes on the storage. */
  async function halfDone(): Promise<string> {
    const uuid = newUuid();
    const path = `templates/${uuid}.template`;
    const dates = { createDate: 1, lastOpDate: 1 };
    await database.sql
      .insertInto('image')
      .values({
        uuid,
        name: 'half',
        state: 'Enabled',
        status: 'Downloading',
        size: 0,
        actualSize: 0,
        url: 'http://127.0.0.1/',
        mediaType: 'RootVolumeTemplate',
        platform: 'Linux',
        architecture: 'x86_64',
        type: 'zstack',
        system: false,
        virtio: true,
        ...dates,
      })
      .execute();
    await database.sql
      .insertInto('imageBackupStorageRef')
      .values({
        imageUuid: uuid,
        backupStorageUuid: storage,
        installPath: join(directory, path),
        path,
        status: 'Downloading',
        size: 0,
        ...dates,
      })
      .execute();
    await mkdir(dirname(join(directory, path)), { recursive: true });
    await writeFile(join(directory, path), 'bytes');
    return join(directory, path);
  }

  it('goes on where a storage is away, and leaves what it can not mend', async () => {
    const file = await halfDone();
    await rename(directory, `${directory}.away`);
    assert.deepEqual(await check(true), ['half-done', 'unreachable']);
    await rename(`${directory}.away`, directory);
    assert.deepEqual(await check(true), ['half-done repaired']);
    assert.equal(existsSync(file), false);
    assert.deepEqual(await check(false), []);
  });

  it('removes what is unfinished beside a whole copy, and not the copy', async () => {
    const file = await halfDone();
    for (const table of ['image', 'imageBackupStorageRef'] as const)
      await database.sql.updateTable(table).set({ status: 'Ready' }).execute();
    await database.sql.updateTable('imageBackupStorageRef').set({ size: 5 }).execute();
    await writeFile(`${file}.part`, 'more');
    assert.ok((await check(false)).includes('stray-bytes'));
    assert.ok((await check(true)).includes('stray-bytes repaired'));
    assert.deepEqual([existsSync(file), existsSync(`${file}.part`)], [true, false]);
    assert.ok(!(await check(false)).includes('stray-bytes'));
  });

  it('finds nothing on a storage that an open job answers for', async () => {
    await writeFile(join(directory, 'stray'), 'bytes');
    assert.deepEqual(await check(false), ['stray-bytes']);
    const job = {
      uuid: newUuid(),
      name: 'DeleteBackupStorage',
      jobName: 'APIDeleteBackupStorageMsg',
      jobData: '{}',
      state: 'Running' as const,
      progress: 0,
      bytesDone: 0,
      bytesResumed: 0,
      accountUuid: newUuid(),
      attempts: 1,
      targetResourceUuid: storage,
      createDate: 1,
      lastOpDate: 1,
    };
    await database.sql
      .insertInto('longJob')
      .values({ ...job, apiId: job.uuid })
      .execute();
    assert.deepEqual(await check(true), []);
    assert.equal(existsSync(join(directory, 'stray')), true);
  });
});
